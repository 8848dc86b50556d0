package interop

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gsigw/internal/gridtest"
)

// A grid is a throwaway PKI with the files that the peers read. The proxies are made by the tools of others.
// A credential file holds certificate, key and chain, mode 0600, whether it is a proxy or not.
type grid struct {
	*gridtest.PKI
	host         string // credential of the services, for localhost
	user, ecUser string // end entities' credentials, RSA and P-256
}

func newGrid(t testing.TB) *grid {
	t.Helper()
	pki, err := gridtest.NewPKI(t.TempDir(), gridtest.PKIOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return &grid{
		PKI:    pki,
		host:   gridtest.Must(pki.WriteProxy("host.pem", pki.Host)),
		user:   gridtest.Must(pki.WriteProxy("user.pem", pki.User)),
		ecUser: gridtest.Must(pki.WriteProxy("ecuser.pem", pki.ECUser)),
	}
}

// proxy has grid-proxy-init make an RFC 3820 proxy of the user's credential.
func (g *grid) proxy(t testing.TB) string {
	t.Helper()
	out := filepath.Join(g.Dir, "proxy.pem")
	cmd := exec.Command(need(t, "grid-proxy-init"), "-q", "-rfc", "-cert", g.user, "-key", g.user, "-out", out)
	cmd.Env = append(os.Environ(), "X509_CERT_DIR="+g.TrustDir)
	run(t, cmd)
	return out
}

// ecProxy has openssl make a P-256 proxy of the P-256 user's credential: grid-proxy-init makes RSA keys only.
func (g *grid) ecProxy(t testing.TB) string {
	t.Helper()
	openssl, base := need(t, "openssl"), filepath.Join(g.Dir, "ecproxy")
	writeFile(t, base+".ext", "keyUsage=critical,digitalSignature\nproxyCertInfo=critical,language:id-ppl-inheritAll\n")
	run(t, exec.Command(openssl, "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
		"-keyout", base+".key", "-out", base+".csr", "-subj", gridtest.ECUserName+"/CN=4711", "-config", "/dev/null"))
	run(t, exec.Command(openssl, "x509", "-req", "-in", base+".csr", "-CA", g.ecUser, "-CAkey", g.ecUser,
		"-set_serial", "4711", "-days", "1", "-extfile", base+".ext", "-out", base+".crt"))
	issuer, _ := pem.Decode(readFile(t, g.ecUser))
	chain := append(readFile(t, base+".crt"), readFile(t, base+".key")...)
	writeFile(t, base+".pem", string(append(chain, pem.EncodeToMemory(issuer)...)))
	return base + ".pem"
}

// run returns what the command wrote to its standard output, and fails the test with all it wrote if it failed.
func run(t testing.TB, cmd *exec.Cmd) string {
	t.Helper()
	out, err := tryRun(cmd)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func tryRun(cmd *exec.Cmd) (string, error) {
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s: %w\n%s%s", strings.Join(cmd.Args, " "), err, &out, &errs)
	}
	return out.String(), nil
}

func writeFile(t testing.TB, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
