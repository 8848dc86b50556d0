package upstream

import (
	"bufio"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gsigw/gsi"
)

// opensslServer starts `openssl s_server`, which verifies the client's chain itself and shows it on a page.
func opensslServer(t *testing.T, ca *ca, args ...string) *Target {
	t.Helper()
	openssl, err := exec.LookPath("openssl")
	if err != nil && os.Getenv("CI") == "" {
		t.Skip("openssl is not installed")
	}
	dir := t.TempDir()
	host := ca.issue(t, "host/service.example.org", loopbackHost)
	writePEM(t, filepath.Join(dir, "ca.pem"), "CERTIFICATE", ca.cert.Raw)
	writePEM(t, filepath.Join(dir, "host.pem"), "CERTIFICATE", host.Chain[0].Raw)
	writePEM(t, filepath.Join(dir, "host.key"), "PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(host.Key))(t))
	cmd := exec.Command(openssl, append([]string{"s_server", "-accept", "127.0.0.1:0", "-cert", "host.pem", "-key", "host.key",
		"-CAfile", "ca.pem", "-Verify", "10", "-verify_return_error", "-www"}, args...)...)
	cmd.Dir = dir
	out := must(cmd.StdoutPipe())(t)
	check(t, 0, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if addr, ok := strings.CutPrefix(lines.Text(), "ACCEPT "); ok {
			go func() { // keep the pipe from filling
				for lines.Scan() {
				}
			}()
			return &Target{URL: parseURL(t, "https://"+addr+"/"), Transport: GSI, Allow: Allow{Loopback: true}}
		}
	}
	t.Fatal("openssl s_server did not start")
	return nil
}

func writePEM(t *testing.T, path, kind string, der []byte) {
	check(t, 0, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}

func TestDo_OpenSSLVerifiesTheProxyChain(t *testing.T) {
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		t.Run(version, func(t *testing.T) {
			ca := newCA(t)
			target := opensslServer(t, ca, "-allow_proxy_certs", version)
			target.Credential = newProxy(t, newProxy(t, ca.issue(t, "Alice", nil), gsi.Limits{}), gsi.Limits{})
			_, page, err := doCall(newClient(t, Config{Trust: ca}), t.Context(), target, &Request{Method: "GET"})
			leaf := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: target.Credential.Chain[0].Raw})
			if err != nil || !strings.Contains(page, string(leaf)) {
				t.Errorf("error %v, page\n%s", err, page)
			}
		})
	}
}

func TestDo_SaysThatOpenSSLRefusesProxies(t *testing.T) {
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		ca := newCA(t)
		target := opensslServer(t, ca, version)
		target.Credential = newProxy(t, ca.issue(t, "Alice", nil), gsi.Limits{})
		_, _, err := doCall(newClient(t, Config{Trust: ca}), t.Context(), target, &Request{Method: "GET"})
		wantError(t, err, OpHandshake, "remote error: tls")
	}
}
