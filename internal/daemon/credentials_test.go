package daemon

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
)

func (b *bench) writeExpiredProxy() {
	b.t.Helper()
	gone := gridtest.Must(b.pki.Proxy(gsi.Limits{Lifetime: time.Minute, Now: time.Now().Add(-30 * time.Minute)}))
	gridtest.Must(b.pki.WriteProxy("proxy.pem", gone))
}

func TestRun_SaysThatAReplacedCredentialCannotBeUsed(t *testing.T) {
	for name, replace := range map[string]func(b *bench, proxy string){
		"expired":     func(b *bench, _ string) { b.writeExpiredProxy() },
		"garbage":     func(b *bench, proxy string) { os.WriteFile(proxy, []byte("garbage"), 0o600) },
		"open to all": func(b *bench, proxy string) { os.Chmod(proxy, 0o644) }, // the config is refused too
		"another's":   func(b *bench, proxy string) { os.Rename(filepath.Join(b.dir, "mixed.pem"), proxy) },
		"without keys": func(b *bench, proxy string) {
			os.Rename(filepath.Join(b.dir, "usercert.pem"), proxy)
			os.Chmod(proxy, 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, gridtest.StandInOptions{})
			cert := gridtest.Must(os.ReadFile(filepath.Join(b.dir, "hostcert.pem")))
			key := gridtest.Must(os.ReadFile(filepath.Join(b.dir, "userkey.pem")))
			os.WriteFile(filepath.Join(b.dir, "mixed.pem"), append(cert, key...), 0o600)
			b.start()
			if status, body := b.get("/readyz"); body != "ready\n" {
				t.Fatal(status, body)
			}
			proxy := filepath.Join(b.dir, "proxy.pem")
			replace(b, proxy)
			b.log.wait(t, "the earlier one is used until 20", 1)
			if text := b.log.String(); !strings.Contains(text, "credentials.jane: changed, but no usable credential in "+proxy) {
				t.Error(text)
			}
			if !b.works() {
				t.Error("the earlier credential is not used")
			}
			if status, body := b.get("/readyz"); status != http.StatusOK || !strings.HasPrefix(body, "ready\ncredential jane: the file changed and cannot be used: ") {
				t.Error(status, body)
			}
			if _, body := b.get("/metrics"); !strings.Contains(body, "gsigw_credential_problems 1\n") {
				t.Error("the metric does not tell")
			}
		})
	}
}

func TestNew_SaysThatACredentialCannotBeUsed(t *testing.T) {
	b := newBench(t, gridtest.StandInOptions{})
	b.writeExpiredProxy()
	b.start()
	b.log.wait(t, "credentials.jane: no usable credential in "+filepath.Join(b.dir, "proxy.pem")+": the credential expired at ", 1)
}

func TestReload_SaysThatADiscoveredCredentialChanged(t *testing.T) {
	b := newBench(t, gridtest.StandInOptions{})
	t.Setenv("X509_USER_PROXY", filepath.Join(b.dir, "proxy.pem"))
	d := &discovered{}
	w := &wiring{named: map[string]gsi.Source{"found": d}}
	if got := w.credentialProblems(t.Context()); got != nil {
		t.Error(got)
	}
	b.writeExpiredProxy()
	if got := w.credentialProblems(t.Context()); len(got) != 1 || !strings.Contains(got[0], "credentials.found: changed, but ") {
		t.Error(got)
	}
}
