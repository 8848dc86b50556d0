package ca

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// clock is a time that tests set.
type clock struct{ now time.Time }

func (c *clock) read() time.Time { return c.now }

func newCA(t *testing.T, o Options) *Authority {
	t.Helper()
	if o.Now == nil {
		o.Now = (&clock{start}).read
	}
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// verify checks a leaf as a client of the CA would.
func verify(a *Authority, leaf *x509.Certificate, host string, at time.Time) error {
	roots := x509.NewCertPool()
	roots.AddCert(a.Certificate())
	_, err := leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: roots, CurrentTime: at})
	return err
}

func TestLeaf_IsTrustedForItsHost(t *testing.T) {
	for _, kind := range []KeyType{ECDSA, RSA} {
		a := newCA(t, Options{Hosts: []string{"GT4.example", "192.0.2.7", "2001:db8::1"}, Key: kind})
		for host, want := range map[string]string{"gt4.example": "gt4.example", "192.0.2.7": "192.0.2.7", "[2001:db8::1]": "2001:db8::1", "2001:db8::1": "2001:db8::1"} {
			leaf, err := a.Leaf(host)
			if err != nil {
				t.Fatal(err)
			}
			if err := verify(a, leaf.Leaf, want, start); err != nil {
				t.Errorf("%s %s: %v", kind, host, err)
			}
			wantCN := "gsigw leaf"
			if net.ParseIP(want) == nil {
				wantCN = want
			}
			if leaf.Leaf.Subject.CommonName != wantCN || leaf.Leaf.IsCA {
				t.Errorf("%s: subject %s, CA %v", host, leaf.Leaf.Subject, leaf.Leaf.IsCA)
			}
			_, isRSA := leaf.PrivateKey.(*rsa.PrivateKey)
			if isRSA != (kind == RSA) {
				t.Errorf("%s: key %T", kind, leaf.PrivateKey)
			}
		}
	}
}

func TestLeaf_LivesADayAndIsKept(t *testing.T) {
	c := &clock{start}
	a := newCA(t, Options{Hosts: []string{"gt4.example"}, Now: c.read})
	first, _ := a.Leaf("gt4.example")
	c.now = start.Add(17 * time.Hour)
	same, _ := a.Leaf("gt4.example")
	c.now = start.Add(19 * time.Hour)
	renewed, _ := a.Leaf("gt4.example")
	if first != same || first == renewed {
		t.Errorf("kept %v, renewed %v", first == same, first != renewed)
	}
	if end := first.Leaf.NotAfter; !end.Equal(start.Add(24 * time.Hour)) {
		t.Errorf("ends %s", end)
	}
	c.now = start // the clock was set back
	if again, _ := a.Leaf("gt4.example"); again == renewed {
		t.Error("a leaf of the future is handed out")
	}
}

func TestLeaf_RefusesOtherHosts(t *testing.T) {
	a := newCA(t, Options{Hosts: []string{"gt4.example", "192.0.2.7"}})
	for _, host := range []string{"evil.example", "sub.gt4.example", "example", "192.0.2.8", "", "*.example", "gt4.example:443", "invalid"} {
		if _, err := a.Leaf(host); err == nil {
			t.Errorf("made a leaf for %q", host)
		}
	}
	c := &clock{start}
	a = newCA(t, Options{Hosts: []string{"gt4.example"}, Years: 1, Now: c.read})
	c.now = start.AddDate(1, 0, 1)
	if _, err := a.Leaf("gt4.example"); err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("an expired CA made a leaf: %v", err)
	}
}

// Were the key stolen, clients would still refuse what it signs for others.
func TestNew_ConstrainsWhatTheKeyCanDo(t *testing.T) {
	for _, tc := range []struct{ hosts, refused []string }{
		{[]string{"gt4.example"}, []string{"evil.example", "192.0.2.8", "2001:db8::2"}},
		{[]string{"192.0.2.7"}, []string{"evil.example", "192.0.2.8", "2001:db8::2", "gt4.example"}},
	} {
		a := newCA(t, Options{Hosts: tc.hosts})
		cert := a.Certificate()
		if !cert.PermittedDNSDomainsCritical || !cert.MaxPathLenZero || !cert.IsCA {
			t.Errorf("%v: constraints critical %v", tc.hosts, cert.PermittedDNSDomainsCritical)
		}
		for _, host := range tc.refused {
			leaf, err := a.sign(host, start)
			if err != nil {
				t.Fatal(err)
			}
			if err := verify(a, leaf.Leaf, host, start); err == nil {
				t.Errorf("a CA for %v speaks for %s", tc.hosts, host)
			}
		}
		leaf, err := a.Leaf(tc.hosts[0])
		if err != nil || verify(a, leaf.Leaf, tc.hosts[0], start) != nil {
			t.Errorf("%v: refused for itself", tc.hosts)
		}
	}
}

func TestNew_RefusesOptions(t *testing.T) {
	for name, o := range map[string]Options{
		"no hosts": {}, "too long": {Hosts: []string{"h"}, Years: 6}, "key type": {Hosts: []string{"h"}, Key: "dsa"},
		"wildcard": {Hosts: []string{"*.example"}}, "port": {Hosts: []string{"h:1"}}, "every name": {Hosts: []string{""}}, "dot": {Hosts: []string{".example"}},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%s: passed", name)
		}
	}
}

func TestReissue_KeepsKeyNameAndEnd(t *testing.T) {
	old := newCA(t, Options{Hosts: []string{"a.example"}})
	if old.Covers([]string{"a.example", "b.example"}) || !old.Covers([]string{"A.example"}) {
		t.Error("Covers is wrong")
	}
	grown, err := old.Reissue([]string{"a.example", "b.example"})
	if err != nil {
		t.Fatal(err)
	}
	o, g := old.Certificate(), grown.Certificate()
	if !g.PublicKey.(*ecdsa.PublicKey).Equal(o.PublicKey) || g.Subject.String() != o.Subject.String() || !g.NotAfter.Equal(o.NotAfter) || g.SerialNumber.Cmp(o.SerialNumber) == 0 {
		t.Errorf("old %v, grown %v", o.Subject, g.Subject)
	}
	leaf, err := grown.Leaf("b.example")
	if err != nil || verify(grown, leaf.Leaf, "b.example", start) != nil {
		t.Errorf("b.example is not covered: %v", err)
	}
	if verify(old, leaf.Leaf, "b.example", start) == nil {
		t.Error("the old anchor accepts b.example")
	}
}

func TestLoad_ReadsWhatSaveWrote(t *testing.T) {
	for _, kind := range []KeyType{ECDSA, RSA} {
		dir := filepath.Join(t.TempDir(), "ca")
		a := newCA(t, Options{Hosts: []string{"gt4.example"}, Key: kind})
		if err := a.Save(dir); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(filepath.Join(dir, KeyFile)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("key mode %v, %v", info.Mode(), err)
		}
		b, err := Load(dir, (&clock{start}).read)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := b.Leaf("gt4.example")
		if err != nil || verify(a, leaf.Leaf, "gt4.example", start) != nil {
			t.Errorf("%s: a loaded CA signs otherwise: %v", kind, err)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, ".new-*")); left != nil {
			t.Errorf("left behind: %v", left)
		}
	}
}

func TestLoad_Refuses(t *testing.T) {
	unconstrained, wildKey := newCA(t, Options{Hosts: []string{"h"}}), newCA(t, Options{Hosts: []string{"h"}})
	free := *unconstrained.cert
	free.PermittedDNSDomains, free.PermittedDNSDomainsCritical, free.ExcludedIPRanges = nil, false, nil
	free.RawSubject, free.ExtraExtensions = nil, nil
	der, err := x509.CreateCertificate(nil, &free, &free, unconstrained.key.Public(), unconstrained.key)
	if err != nil {
		t.Fatal(err)
	}
	unconstrained.cert, err = x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		spoil func(dir string) error
		words string
	}{
		"no certificate": {func(dir string) error { return os.Remove(filepath.Join(dir, CertFile)) }, "gsigw ca init"},
		"no key":         {func(dir string) error { return os.Remove(filepath.Join(dir, KeyFile)) }, "no such file"},
		"readable key":   {func(dir string) error { return os.Chmod(filepath.Join(dir, KeyFile), 0o640) }, "chmod 600"},
		"other key":      {func(dir string) error { return os.WriteFile(filepath.Join(dir, CertFile), wildKey.PEM(), 0o644) }, "do not belong together"},
		"no constraints": {func(dir string) error { return unconstrained.Save(dir) }, "any host"},
		"no PEM":         {func(dir string) error { return os.WriteFile(filepath.Join(dir, CertFile), []byte("x"), 0o644) }, "no PEM"},
		"no PEM key":     {func(dir string) error { return os.WriteFile(filepath.Join(dir, KeyFile), []byte("x"), 0o600) }, "no PEM"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := newCA(t, Options{Hosts: []string{"h"}}).Save(dir); err != nil {
				t.Fatal(err)
			}
			if err := tc.spoil(dir); err != nil {
				t.Fatal(err)
			}
			if _, err := Load(dir, time.Now); err == nil || !strings.Contains(err.Error(), tc.words) {
				t.Errorf("got %v, want %q", err, tc.words)
			}
		})
	}
}

func TestTrustStore_HoldsTheCertificateAndNoKey(t *testing.T) {
	a := newCA(t, Options{Hosts: []string{"gt4.example"}})
	data, err := a.TrustStore("changeit")
	if err != nil {
		t.Fatal(err)
	}
	certs, err := pkcs12.DecodeTrustStore(data, "changeit")
	if err != nil || len(certs) != 1 || !certs[0].Equal(a.Certificate()) {
		t.Errorf("read back %d certificates, %v", len(certs), err)
	}
	if strings.Contains(string(a.PEM()), "PRIVATE") {
		t.Error("the PEM export holds a key")
	}
}

func TestTrustStore_IsReadByKeytool(t *testing.T) {
	keytool := peer(t, "keytool")
	a := newCA(t, Options{Hosts: []string{"gt4.example"}, Now: time.Now})
	dir := t.TempDir()
	data, err := a.TrustStore("changeit")
	if err != nil {
		t.Fatal(err)
	}
	store, pemFile, imported := filepath.Join(dir, "t.p12"), filepath.Join(dir, "ca.pem"), filepath.Join(dir, "imported.p12")
	if err := os.WriteFile(store, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(pemFile, a.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	line := strings.Fields(strings.ReplaceAll(KeytoolLine(pemFile, imported), `"`, ""))
	if out, err := exec.Command(keytool, append(line[1:], "-storepass", "changeit")...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", line, err, out)
	}
	for _, file := range []string{store, imported} {
		out, err := exec.Command(keytool, "-list", "-v", "-keystore", file, "-storepass", "changeit").CombinedOutput()
		text := string(out)
		if err != nil || !strings.Contains(text, "trustedCertEntry") || !strings.Contains(text, "Alias name: gsigw") || !strings.Contains(text, "NameConstraints") {
			t.Errorf("%s: %v\n%s", file, err, text)
		}
	}
}

// OpenSSL heeds constraints on the trust anchor too.
func TestLeaf_IsVerifiedByOpenSSL(t *testing.T) {
	openssl := peer(t, "openssl")
	for _, hosts := range [][]string{{"gt4.example"}, {"192.0.2.7"}, {"gt4.example", "2001:db8::1"}} {
		a := newCA(t, Options{Hosts: hosts, Now: time.Now})
		for _, host := range append(hosts, "evil.example", "192.0.2.99") {
			leaf, err := a.sign(host, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			good := slices.Contains(hosts, host)
			if out, err := opensslVerify(t, openssl, a, leaf.Leaf, host); good != (err == nil) {
				t.Errorf("%s under %v: %v\n%s", host, hosts, err, out)
			}
		}
	}
}

func opensslVerify(t *testing.T, openssl string, a *Authority, leaf *x509.Certificate, host string) ([]byte, error) {
	t.Helper()
	dir := t.TempDir()
	caFile, leafFile := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "leaf.pem")
	if err := os.WriteFile(caFile, a.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(leafFile, (&Authority{cert: leaf}).PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	flag := "-verify_hostname"
	if net.ParseIP(host) != nil {
		flag = "-verify_ip"
	}
	return exec.Command(openssl, "verify", "-x509_strict", "-purpose", "sslserver", flag, host, "-CAfile", caFile, leafFile).CombinedOutput()
}

// peer finds a program that CI has and other machines may lack.
func peer(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("%s is missing", name)
		}
		t.Skipf("%s is missing", name)
	}
	return path
}
