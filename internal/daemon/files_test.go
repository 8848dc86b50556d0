package daemon

import (
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
	"gsigw/wssec"
)

const privateConfig = `
listen: {proxy: "127.0.0.1:0"}
trust: {dir: certificates}
credentials:
  jane: {proxy: proxy.pem}
routes:
  counter:
    target: %s
    upgrade: true
    loopback: true
    for: gt4
    message: gsi-message
    privacy: true
    encrypt-to: host.pem
    cipher: aes128-cbc
    key-transport: rsa-1_5
`

const usernameConfig = `
listen: {proxy: "127.0.0.1:0"}
trust: {dir: certificates}
routes:
  counter:
    target: %s
    upgrade: true
    loopback: true
    message: wss-username
    username: alice
    password-file: password
`

func (b *bench) writeCertificate(name string, c *gsi.Credential) {
	b.t.Helper()
	b.write(name, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Leaf().Raw})))
}

func newPrivateBench(t *testing.T) *bench {
	t.Helper()
	b := newBench(t, gridtest.StandInOptions{Privacy: true, Digest: wssec.SHA1})
	b.writeCertificate("host.pem", b.pki.Host)
	b.configure(fmt.Sprintf(privateConfig, b.service.URL()))
	return b
}

func TestRun_CarriesAPrivateCall(t *testing.T) {
	b := newPrivateBench(t).start()
	if status, reply := b.post(createCounter); status != 200 || !strings.Contains(reply, "CounterKey") || strings.Contains(reply, "Encrypted") {
		t.Fatalf("%d %s\n%s", status, reply, b.log)
	}
	b.service.Misbehave(gridtest.ClearReply)
	if status, reply := b.post(createCounter); status != 500 || strings.Contains(reply, "CounterKey") {
		t.Errorf("a reply in clear came through: %d %s", status, reply)
	}
}

func TestRun_CarriesACallWithAPassword(t *testing.T) {
	b := newBench(t, gridtest.StandInOptions{Modern: true, Users: map[string]string{"alice": "open sesame"}})
	b.write("password", "open sesame\nnot this line\n")
	b.configure(fmt.Sprintf(usernameConfig, b.service.URL()))
	b.start()
	if status, reply := b.post(createCounter); status != 200 || !strings.Contains(reply, "CounterKey") {
		t.Fatalf("%d %s\n%s", status, reply, b.log)
	}
	b.write("password", "another\n")
	b.log.wait(t, "read again", 1)
	if status, _ := b.post(createCounter); status != 500 {
		t.Error("the password was not read again")
	}
	b.write("password", "\n")
	b.log.wait(t, "what was read of it before is used", 1)
	if strings.Contains(b.log.String(), "sesame") {
		t.Error(b.log)
	}
}

// A certificate that cannot be read any more leaves the earlier one in use; one that does not hold stops the calls.
func TestRun_TakesAnotherRecipientAndKeepsTheOldOneIfItMust(t *testing.T) {
	b := newPrivateBench(t).start()
	if status, reply := b.post(createCounter); status != 200 {
		t.Fatalf("%d %s\n%s", status, reply, b.log)
	}
	b.write("host.pem", "half a certif")
	b.log.wait(t, "what was read of it before is used", 1)
	if status, _ := b.post(createCounter); status != 200 {
		t.Error("the certificate that was read before is not used")
	}
	b.writeCertificate("host.pem", b.pki.ECUser)
	b.log.wait(t, "is not RSA", 1)
	b.writeCertificate("host.pem", b.pki.User)
	b.log.wait(t, "routes.counter.encrypt-to: calls are refused", 1)
	if status, reply := b.post(createCounter); status != 500 || !strings.Contains(reply, "was not sent") {
		t.Errorf("%d %s", status, reply)
	}
	b.writeCertificate("host.pem", b.pki.Host)
	b.log.wait(t, "read again", 4)
	if status, _ := b.post(createCounter); status != 200 {
		t.Error("the right certificate is not used again")
	}
}

func TestCheck_SaysWhatIsWrongWithTheFilesOfARoute(t *testing.T) {
	for _, test := range []struct {
		name  string
		write func(*bench)
		fails bool
		want  string
	}{
		{"all well", func(*bench) {}, false, ""},
		{"no PEM", func(b *bench) { b.write("host.pem", "x") }, true, "host.pem: no certificate"},
		{"a key on a curve", func(b *bench) { b.writeCertificate("host.pem", b.pki.ECUser) }, true, "name a certificate with an RSA key"},
		{"not the service's", func(b *bench) { b.writeCertificate("host.pem", b.pki.User) }, false, "calls are refused: the certificate of encrypt-to: "},
		{"no file", func(b *bench) { os.Remove(filepath.Join(b.dir, "host.pem")) }, true, "routes.counter.encrypt-to: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newPrivateBench(t)
			test.write(b)
			warnings, err := Check(t.Context(), b.file())
			if (err != nil) != test.fails {
				t.Fatal(err)
			}
			if place := regexp.MustCompile(`gsigw\.yaml:\d+:\d+: routes\.counter\.encrypt-to: `); test.want != "" && !place.MatchString(fmt.Sprint(warnings, err)) {
				t.Errorf("%s, %v: no place", warnings, err)
			}
			if text := fmt.Sprint(warnings, err); !strings.Contains(text, test.want) || test.want == "" && len(warnings) > 0 {
				t.Errorf("%s, want %q", text, test.want)
			}
		})
	}
}
