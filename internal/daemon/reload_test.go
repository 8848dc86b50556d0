package daemon

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gsigw/gsi"
	"gsigw/internal/config"
	"gsigw/internal/gridtest"
)

func TestReload_KeepsWhatRunsWhenTheConfigIsWrong(t *testing.T) {
	b := newBench(t, gridtest.StandInOptions{}).start()
	b.log.wait(t, "listening", 1)
	b.configure("routes: {counter: {target: nonsense}}")
	if err := b.daemon.Reload(t.Context()); err == nil {
		t.Fatal("a wrong config was taken")
	}
	if !strings.Contains(b.log.String(), "what ran before goes on") || !b.works() {
		t.Errorf("the old config does not run on: %s", b.log)
	}
}

func TestRun_TakesAChangedConfigByItself(t *testing.T) {
	b := newBench(t, gridtest.StandInOptions{}).start()
	if !b.works() {
		t.Fatal(b.log)
	}
	b.configure(strings.Replace(fmt.Sprintf(benchConfig, b.service.URL()), "message: gsi-message", "message: gsi-message, operations: [\"{http://counter.com}add\"]", 1))
	b.log.wait(t, "read again", 1)
	if b.works() {
		t.Error("an operation that the new config does not allow passes")
	}
}

func TestRun_TakesAConfigOnHangUp(t *testing.T) {
	b := newBench(t, gridtest.StandInOptions{}).start()
	b.works() // Run has come to take signals
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	b.log.wait(t, "read again", 1)
}

func TestRun_TakesANewRevocationListByItself(t *testing.T) {
	b := newBench(t, gridtest.StandInOptions{}).start()
	if !b.works() {
		t.Fatal(b.log)
	}
	if err := b.pki.CA.WriteCRL(b.pki.TrustDir, gridtest.CRL{Revoked: b.pki.Host.Chain}); err != nil {
		t.Fatal(err)
	}
	b.log.wait(t, "read again", 1)
	if status, reply := b.post(createCounter); status < 500 {
		t.Errorf("a revoked host is believed: %d %s", status, reply)
	}
}

func TestReload_TakesRevocationsThoughTheConfigIsWrong(t *testing.T) {
	b := newBench(t, gridtest.StandInOptions{}).start()
	if !b.works() {
		t.Fatal(b.log)
	}
	b.configure("routes: nonsense")
	if err := b.pki.CA.WriteCRL(b.pki.TrustDir, gridtest.CRL{Revoked: b.pki.Host.Chain}); err != nil {
		t.Fatal(err)
	}
	if err := b.daemon.Reload(t.Context()); err == nil {
		t.Fatal("a wrong config was taken")
	}
	if status, reply := b.post(createCounter); status < 500 {
		t.Errorf("a revoked host is believed: %d %s", status, reply)
	}
}

func TestRun_TakesARenewedProxyByItself(t *testing.T) {
	var signer string
	b := newBench(t, gridtest.StandInOptions{Seen: func(s gridtest.Seen) { signer = s.Signer }}).start()
	if !b.works() || signer != gridtest.UserName {
		t.Fatal(b.log)
	}
	other := gridtest.Must(b.pki.CA.Issue(gridtest.Request{Name: "/O=Grid/OU=gsigw test/CN=John Roe"}))
	gridtest.Must(b.pki.WriteProxy("proxy.pem", gridtest.Must(b.pki.ProxyOf(other, gsi.Limits{}))))
	if !b.works() || signer != "/O=Grid/OU=gsigw test/CN=John Roe" {
		t.Errorf("the service saw %s", signer)
	}
}

func TestReload_SaysThatListenersWantARestart(t *testing.T) {
	b := newBench(t, gridtest.StandInOptions{}).start()
	b.configure(strings.Replace(fmt.Sprintf(benchConfig, b.service.URL()), `proxy: "127.0.0.1:0"`, `proxy: "127.0.0.1:9"`, 1))
	if err := b.daemon.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.log.String(), "restart to change listeners") || !b.works() {
		t.Error(b.log)
	}
}

func TestNeedsRestart_NamesEachFixedPart(t *testing.T) {
	base := func() *config.Config { return &config.Config{Routes: map[string]config.Route{"r": {}}} }
	for want, change := range map[string]func(*config.Config){
		"listen":     func(c *config.Config) { c.Listen.TLS.Cert = "x" },
		"reverse":    func(c *config.Config) { c.Reverse.Paths = map[string]string{"/x": "r"} },
		"client":     func(c *config.Config) { c.Callers = map[string]config.Caller{"e": {ClientCert: "x"}} },
		"limits":     func(c *config.Config) { c.Limits.Message = 1 },
		"replay":     func(c *config.Config) { c.Replay.State = "x" },
		"trace":      func(c *config.Config) { c.Trace = "x" },
		"log.format": func(c *config.Config) { c.Log.Format = config.JSON },
	} {
		c := base()
		change(c)
		if got := needsRestart(base(), c); len(got) != 1 || !strings.HasPrefix(got[0], want) {
			t.Errorf("%s: %q", want, got)
		}
	}
	c := base()
	c.Trust.Dir, c.Log.Level = "x", 4
	if got := needsRestart(base(), c); got != nil {
		t.Errorf("a reload can take these: %q", got)
	}
}

func TestWatcher_SeesASymlinkSwap(t *testing.T) { // as mounted ConfigMaps are updated
	dir := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range []string{"1", "2"} {
		must(os.Mkdir(filepath.Join(dir, d), 0o755))
		must(os.WriteFile(filepath.Join(dir, d, "key"), []byte(d), 0o600))
	}
	must(os.Symlink("1", filepath.Join(dir, "..data")))
	must(os.Symlink("..data/key", filepath.Join(dir, "key")))
	reloads := watched(t, []string{filepath.Join(dir, "key")})
	must(os.Symlink("2", filepath.Join(dir, "..new")))
	must(os.Rename(filepath.Join(dir, "..new"), filepath.Join(dir, "..data")))
	heard(t, reloads)
}

func TestWatcher_IgnoresOtherFiles(t *testing.T) { // a proxy's directory may be /tmp
	dir := t.TempDir()
	ours := filepath.Join(dir, "x509up_u1")
	os.WriteFile(ours, []byte("1"), 0o600)
	reloads := watched(t, []string{ours})
	os.WriteFile(filepath.Join(dir, "noise"), nil, 0o600)
	select {
	case <-reloads:
		t.Error("another file's change was taken for ours")
	case <-time.After(3 * settleTime):
	}
	os.WriteFile(ours, []byte("22"), 0o600)
	heard(t, reloads)
}

func TestWatcher_LooksWithoutEvents(t *testing.T) { // network file systems give none
	ours := filepath.Join(t.TempDir(), "ours")
	os.WriteFile(ours, []byte("1"), 0o600)
	w := gridtest.Must(newWatcher(slog.New(slog.DiscardHandler)))
	w.every = 10 * time.Millisecond
	w.watch(nil, []string{ours})
	if err := w.notify.Remove(filepath.Dir(ours)); err != nil {
		t.Fatal(err)
	}
	reloads := running(t, w)
	os.WriteFile(ours, []byte("22"), 0o600)
	heard(t, reloads)
}

// What changes after it was read, and before the reload is over, would otherwise never be read.
func TestWatcher_SeesAChangeDuringAReload(t *testing.T) {
	ours := filepath.Join(t.TempDir(), "ours")
	os.WriteFile(ours, []byte("1"), 0o600)
	w := gridtest.Must(newWatcher(slog.New(slog.DiscardHandler)))
	w.watch(nil, []string{ours})
	reloads, done, first := make(chan bool, 10), make(chan bool), true
	go func() {
		defer close(done)
		w.run(t.Context(), nil, func() {
			if first {
				os.WriteFile(ours, []byte("333"), 0o600)
			}
			first = false
			w.watch(w.dirs, w.files)
			reloads <- true
		})
	}()
	t.Cleanup(func() { <-done })
	os.WriteFile(ours, []byte("22"), 0o600)
	heard(t, reloads)
	heard(t, reloads)
}

// watched runs a watcher until the test ends.
func watched(t *testing.T, files []string) <-chan bool {
	t.Helper()
	w := gridtest.Must(newWatcher(slog.New(slog.DiscardHandler)))
	w.watch(nil, files)
	return running(t, w)
}

func running(t *testing.T, w *watcher) <-chan bool {
	t.Helper()
	reloads, done := make(chan bool, 10), make(chan bool)
	go func() {
		defer close(done)
		w.run(t.Context(), nil, func() { reloads <- true; w.watch(w.dirs, w.files) })
	}()
	t.Cleanup(func() { <-done })
	return reloads
}

func heard(t *testing.T, reloads <-chan bool) {
	t.Helper()
	select {
	case <-reloads:
	case <-time.After(10 * time.Second):
		t.Error("the change was not seen")
	}
}
