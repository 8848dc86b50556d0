package interop

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
	"gsigw/myproxy"
	"gsigw/trust"
)

func init() {
	maps.Copy(packages, map[string]string{
		"myproxy-server":             "myproxy-server",
		"myproxy-change-pass-phrase": "myproxy",
		"myproxy-destroy":            "myproxy",
		"myproxy-get-trustroots":     "myproxy",
		"myproxy-info":               "myproxy",
		"myproxy-init":               "myproxy",
		"myproxy-logon":              "myproxy",
		"myproxy-retrieve":           "myproxy",
		"myproxy-store":              "myproxy",
	})
}

// The people of the peers' PKI. The server takes renewals from the robot alone.
const (
	alice, aliceName = "alice", "/C=XX/O=PeerLab/CN=Alice Tester"
	bob, bobName     = "bob", "/C=XX/O=PeerLab/CN=Bob Tester"
	robot, robotName = "gateway", "/C=XX/O=PeerLab/CN=Gateway Robot"
	nobody           = ""
)

const myProxyPass = "sesame-7512"

// A myProxyServer is the real one, with a store and a PKI of its own.
type myProxyServer struct{ dir, port string }

func startMyProxy(t *testing.T) *myProxyServer {
	t.Helper()
	need(t, "myproxy-server")
	need(t, "openssl")
	peers := filepath.Join(shared(t), "peers")
	m := &myProxyServer{t.TempDir(), freePort(t)}
	run(t, exec.Command("cp", "-a", peersPKI(t, peers), m.dir))
	t.Cleanup(func() { run(t, exec.Command("bash", filepath.Join(peers, "myproxy-down.sh"), m.dir)) })
	run(t, exec.Command("bash", filepath.Join(peers, "myproxy-up.sh"), m.dir, m.port))
	return m
}

// peersPKI returns a directory pki as the peers' scripts make it, which takes seconds: it is made once, to be copied.
func peersPKI(t *testing.T, peers string) string {
	t.Helper()
	dir := filepath.Join(scratch, "myproxy")
	run(t, exec.Command("bash", filepath.Join(peers, "pki-up.sh"), dir))
	return filepath.Join(dir, "pki")
}

func (m *myProxyServer) file(name string) string { return filepath.Join(m.dir, "pki", name) }
func (m *myProxyServer) trustDir() string        { return m.file("certificates") }

func (m *myProxyServer) trust(t testing.TB) *trust.Store {
	t.Helper()
	return gridtest.Must(trust.Open(m.trustDir(), trust.Options{CRL: trust.CRLRequire, RequireSigningPolicy: true}))
}

// client is ours, with somebody's certificate.
func (m *myProxyServer) client(t testing.TB, who string) *myproxy.Client {
	t.Helper()
	c := &myproxy.Client{Addr: "localhost:" + m.port, Trust: m.trust(t), Timeout: patience}
	if who != nobody {
		c.Credential = gsi.PairFile(m.file(who+".pem"), m.file(who+".key"), gsi.FileOptions{})
	}
	return c
}

// tool runs one of the C clients with somebody's certificate, and returns all that it writes.
func (m *myProxyServer) tool(t testing.TB, who, input, name string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(need(t, name), args...)
	cmd.Dir, cmd.Stdin = m.dir, strings.NewReader(input)
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + m.dir, "LOGNAME=nobody", "GLOBUS_HOSTNAME=localhost",
		"MYPROXY_SERVER=localhost", "MYPROXY_SERVER_PORT=" + m.port, "X509_CERT_DIR=" + m.trustDir(), "X509_USER_PROXY=" + m.file("no.proxy"),
	}
	if who != nobody {
		cmd.Env = append(cmd.Env, "X509_USER_CERT="+m.file(who+".pem"), "X509_USER_KEY="+m.file(who+".key"))
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (m *myProxyServer) mustTool(t testing.TB, who, input, name string, args ...string) string {
	t.Helper()
	out, err := m.tool(t, who, input, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}
