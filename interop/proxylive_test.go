package interop

import (
	"crypto/tls"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
)

// startScript runs one of the scripts of shared/peers with the grid's PKI in place of its own, and ends what it started
// with the test. It returns the directory that it works in.
func startScript(t *testing.T, g *grid, name, port string) string {
	t.Helper()
	peers, work := filepath.Join(shared(t), "peers"), t.TempDir()
	pki := filepath.Join(work, "pki") // as pki-up.sh would make it
	if err := os.CopyFS(filepath.Join(pki, "certificates"), os.DirFS(g.TrustDir)); err != nil {
		t.Fatal(err)
	}
	for name, from := range map[string]string{"host.pem": "hostcert.pem", "host.key": "hostkey.pem", "ca.pem": "ca.pem"} {
		writeFile(t, filepath.Join(pki, name), string(readFile(t, filepath.Join(g.Dir, from))))
	}
	writeFile(t, filepath.Join(pki, ".done"), "")
	t.Cleanup(func() { run(t, exec.Command("bash", filepath.Join(peers, name+"-down.sh"), work)) })
	run(t, exec.Command("bash", filepath.Join(peers, name+"-up.sh"), work, port))
	return work
}

// startGatekeeper runs the GRAM gatekeeper, with the user in its grid-mapfile. It returns the contact.
func startGatekeeper(t *testing.T, g *grid) string {
	t.Helper()
	need(t, "globus-gatekeeper")
	if os.Geteuid() != 0 {
		report := t.Skip
		if os.Getenv("CI") == "true" {
			report = t.Fatal
		}
		report("the gatekeeper runs as root alone: it turns callers into local users")
	}
	port := freePort(t)
	work := startScript(t, g, "gram", port)
	writeFile(t, filepath.Join(work, "gram", "grid-mapfile"), `"`+gridtest.UserName+`" gridtest`+"\n")
	return "localhost:" + port + "/jobmanager-fork:" + gridtest.HostName
}

// askGatekeeper asks whether it would take jobs from who has the proxy.
func (p *proxyTable) askGatekeeper(t *testing.T) {
	globusrun, contact := need(t, "globusrun"), startGatekeeper(t, p.grid)
	for _, c := range p.cases {
		cmd := exec.Command(globusrun, "-authenticate-only", "-r", contact)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + p.dir, "GLOBUS_HOSTNAME=localhost", "X509_CERT_DIR=" + p.TrustDir, "X509_USER_PROXY=" + c.file}
		out, err := cmd.CombinedOutput()
		c.verdicts["gatekeeper"] = refuses
		if err == nil && strings.Contains(string(out), "GRAM Authentication test successful") {
			c.verdicts["gatekeeper"] = accepts
		}
	}
}

// askARC calls arched's echo service with each proxy as client certificate. Its handlers look at policies, too.
func (p *proxyTable) askARC(t *testing.T) {
	need(t, "arched")
	port := freePort(t)
	startScript(t, p.grid, "arched", port)
	for _, c := range p.cases {
		c.verdicts["ARC"] = refuses
		for range 3 { // on a busy machine it drops a connection now and then, which is no verdict
			if echoes(t, port, c.file) {
				c.verdicts["ARC"] = accepts
				break
			}
		}
	}
}

func echoes(t *testing.T, port, file string) bool {
	cred, err := gsi.ProxyFile(file, gsi.FileOptions{}).Credential(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	client := tls.Certificate{PrivateKey: cred.Key}
	for _, cert := range readCertificates(t, file) {
		client.Certificate = append(client.Certificate, cert.Raw)
	}
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
		InsecureSkipVerify:   true, // it is the server's verdict that is asked for
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &client, nil },
	}}
	call := `<soapenv:Envelope xmlns:soapenv="` + soapNS + `"><soapenv:Body><e:echo xmlns:e="http://www.nordugrid.org/schemas/echo">` +
		`<e:say>HELLO</e:say></e:echo></soapenv:Body></soapenv:Envelope>`
	answer, err := (&http.Client{Transport: transport, Timeout: patience}).Post("https://localhost:"+port+"/Echo", "text/xml", strings.NewReader(call))
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return err == nil && answer.StatusCode == http.StatusOK && strings.Contains(string(body), "[ HELLO ]")
}
