package interop

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
	"gsigw/voms"
)

// fakeCases are proxies that voms-proxy-fake makes, which holds the key of the authority and lies as it is told. It
// needs certificates with key identifiers, and its -target crashes.
func fakeCases(t *testing.T) []gridtest.VOMSCase {
	made := func(args ...string) func(*gridtest.VOMSGrid) []*x509.Certificate {
		return func(g *gridtest.VOMSGrid) []*x509.Certificate { return fakeProxy(t, g, "voms", args...) }
	}
	return []gridtest.VOMSCase{
		{Name: "fake", Make: made()},
		{Name: "fake, new format", Make: made("-newformat")},
		{Name: "fake, limited", Make: made("-limited")},
		{Name: "fake, expired", Code: "expired", Make: made("-pastac", "30:00")},
		{Name: "fake, for another VO", Code: "foreign-fqan", Make: made("-fqan", "/atlas/Role=production")},
		{Name: "fake, another holder", Code: "holder-mismatch", Make: func(g *gridtest.VOMSGrid) []*x509.Certificate {
			return g.Carry(g.ECUser, gridtest.Must(voms.ACs(fakeProxy(t, g, "voms")))...).Chain
		}},
		{Name: "fake, FQAN changed", Code: "bad-signature", Make: func(g *gridtest.VOMSGrid) []*x509.Certificate {
			ac := gridtest.Must(voms.ACs(fakeProxy(t, g, "voms")))[0]
			return g.Carry(g.User, bytes.Replace(ac, []byte("Role=admin"), []byte("Role=owner"), 1)).Chain
		}},
		{Name: "fake, another authority", Code: "lsc-mismatch", Make: func(g *gridtest.VOMSGrid) []*x509.Certificate {
			other := gridtest.Must(g.CA.Issue(gridtest.Request{Name: "/O=Grid/OU=gsigw test/CN=fake.example.org",
				Change: func(c *x509.Certificate) { c.SubjectKeyId = []byte("twenty bytes of a key") }}))
			gridtest.Must(0, g.WritePair("fake", other))
			return fakeProxy(t, g, "fake")
		}},
		{Name: "fake, LSC file of another", Code: "lsc-mismatch", Make: func(g *gridtest.VOMSGrid) []*x509.Certificate {
			gridtest.Must(0, g.AA.WriteVOMSFile(g.VOMSDir, gridtest.VOMSHost+".lsc", gridtest.HostName+"\n"+gridtest.CAName+"\n"))
			return fakeProxy(t, g, "voms")
		}},
	}
}

// fakeProxy has voms-proxy-fake make a proxy of the user's, with two FQANs from the authority whose certificate and
// key are called so.
func fakeProxy(t *testing.T, g *gridtest.VOMSGrid, authority string, args ...string) []*x509.Certificate {
	t.Helper()
	at := func(name string) string { return filepath.Join(g.Dir, name) }
	all := append([]string{"-q", "-rfc", "-cert", at("usercert.pem"), "-key", at("userkey.pem"), "-certdir", g.TrustDir, "-out", at("fake.pem"),
		"-voms", gridtest.VO, "-uri", gridtest.VOMSServer, "-hostcert", at(authority + "cert.pem"), "-hostkey", at(authority + "key.pem"),
		"-fqan", "/testvo", "-fqan", "/testvo/Role=admin"}, args...)
	run(t, exec.Command(need(t, "voms-proxy-fake"), all...))
	return gridtest.Must(gsi.ParseCertificates(readFile(t, at("fake.pem"))))
}

// What our extension carries is what VOMS's own tool reads, FQANs, generic attributes, server and all.
func TestVOMSExtension_IsReadByVomsProxyInfo(t *testing.T) {
	g := gridtest.Must(gridtest.NewVOMSGrid(t.TempDir(), gridtest.PKIOptions{}))
	ac := g.Good()
	ac.Generic = []gridtest.Tag{{Name: "nickname", Value: "jane", Qualifier: gridtest.VO}}
	proxy := filepath.Join(g.Dir, "proxy.pem")
	extension := gridtest.Must(voms.Extension(gridtest.Must(g.AA.Issue(ac))))
	if err := gsi.WriteProxyFile(proxy, gridtest.Must(g.Proxy(gsi.Limits{Extensions: []pkix.Extension{extension}}))); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(need(t, "voms-proxy-info2"), "-all", "-file", proxy)
	cmd.Env = append(os.Environ(), "X509_CERT_DIR="+g.TrustDir, "X509_VOMS_DIR="+g.VOMSDir)
	said := run(t, cmd)
	for _, line := range []string{
		"VO        : testvo",
		"subject   : " + gridtest.UserName,
		"issuer    : " + gridtest.VOMSName,
		"attribute : /testvo/Role=NULL/Capability=NULL",
		"attribute : /testvo/prod/Role=admin/Capability=NULL",
		"attribute : nickname = jane (testvo)",
		"uri       : " + gridtest.VOMSServer,
	} {
		if !strings.Contains(said, line+"\n") {
			t.Errorf("voms-proxy-info2 does not say %q:\n%s", line, said)
		}
	}
}

// What `voms-proxy-fake -include` puts into a proxy is what we find there, and the other way round.
func TestIncludedFile_IsThatOfVomsProxyFake(t *testing.T) {
	g := gridtest.Must(gridtest.NewVOMSGrid(t.TempDir(), gridtest.PKIOptions{}))
	file := filepath.Join(g.Dir, "ticket")
	writeFile(t, file, "a ticket\n")
	chain := fakeProxy(t, g, "voms", "-include", file)
	if got := string(voms.IncludedFile(chain)); got != "a ticket\n" {
		t.Errorf("%q", got)
	}
}
