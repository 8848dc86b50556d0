package trust_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
	"gsigw/trust"
)

const (
	subName    = "/O=Grid/OU=gsigw test/CN=Sub CA"
	subSubName = "/O=Grid/OU=gsigw test/CN=Sub Sub CA"
)

// subordinate makes a CA below another.
func subordinate(t testing.TB, above *gridtest.Authority, name string, change func(*x509.Certificate)) *gridtest.Authority {
	t.Helper()
	c := issue(t, above, gridtest.Request{Name: name, CA: true, Change: change})
	return &gridtest.Authority{Cert: c.Leaf(), Key: c.Key}
}

func userOf(t testing.TB, ca *gridtest.Authority) *gsi.Credential {
	t.Helper()
	return issue(t, ca, gridtest.Request{Name: gridtest.UserName, NotBefore: now, NotAfter: now.AddDate(1, 0, 0)})
}

func TestVerify_TakesTheIntermediateCAFromTheChainOrTheDirectory(t *testing.T) {
	pki := newPKI(t)
	sub := subordinate(t, pki.CA, subName, nil)
	user := userOf(t, sub)
	store := open(t, pki.TrustDir, trust.Options{})
	if _, err := store.Verify([]*x509.Certificate{user.Leaf(), sub.Cert}, now); err != nil {
		t.Error("from the chain:", err)
	}
	_, err := store.Verify(user.Chain, now)
	refused(t, err, trust.UnknownCA)
	writePEM(t, filepath.Join(pki.TrustDir, sub.Hashes()[1]+".0"), "CERTIFICATE", sub.Cert.Raw)
	if err := store.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Verify(user.Chain, now); err != nil {
		t.Error("from the directory:", err)
	}
}

func TestVerify_AnIntermediateCAIsNoAnchor(t *testing.T) {
	pki := newPKI(t)
	sub := subordinate(t, pki.Other, subName, nil)
	writePEM(t, filepath.Join(pki.TrustDir, sub.Hashes()[1]+".0"), "CERTIFICATE", sub.Cert.Raw)
	_, err := open(t, pki.TrustDir, trust.Options{}).Verify(userOf(t, sub).Chain, now)
	refused(t, err, trust.UnknownCA)
}

// To remove the hash link is to switch a CA off; the files that IGTF puts beside it stay.
func TestVerify_TakesACAUnderItsHashAlone(t *testing.T) {
	for _, name := range []string{"Test-CA.pem", "Test-CA.0", "abcdef01.0", "abcdef01.7"} {
		pki := newPKI(t)
		for _, hash := range pki.CA.Hashes() {
			os.Remove(filepath.Join(pki.TrustDir, hash+".0"))
		}
		writePEM(t, filepath.Join(pki.TrustDir, name), "CERTIFICATE", pki.CA.Cert.Raw)
		store := open(t, pki.TrustDir, trust.Options{})
		remedy := "openssl rehash " + pki.TrustDir
		if !strings.HasSuffix(name, ".pem") {
			remedy = "ln -s " + name + " " + filepath.Join(pki.TrustDir, pki.CA.Hashes()[1]+".0")
		}
		for _, chain := range [][]*x509.Certificate{pki.User.Chain, append(pki.User.Chain, pki.CA.Cert)} {
			_, err := store.Verify(chain, now)
			refused(t, err, trust.UnknownCA)
			if !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), remedy) {
				t.Errorf("%v does not say where the CA lies", err)
			}
		}
		if len(store.Anchors()) > 0 {
			t.Errorf("%s made an anchor", name)
		}
		problems := store.Problems()
		if misnamed := !strings.HasSuffix(name, ".pem"); misnamed != (len(problems) == 1) {
			t.Errorf("%s: %v", name, problems)
		}
		for _, p := range problems {
			if p.File != name || !strings.Contains(p.Remedy, remedy) {
				t.Errorf("%v does not say what to do", p)
			}
		}
	}
}

func TestVerify_RefusesCA(t *testing.T) {
	pki := newPKI(t)
	store := open(t, pki.TrustDir, trust.Options{})
	constrained := subordinate(t, pki.CA, subName, func(c *x509.Certificate) { c.MaxPathLenZero = true })
	for name, test := range map[string]struct {
		ca    *gridtest.Authority
		above []*x509.Certificate
		code  trust.Code
	}{
		"without basicConstraints": {subordinate(t, pki.CA, subName, func(c *x509.Certificate) { c.BasicConstraintsValid = false }), nil, trust.NotCA},
		"CA:FALSE":                 {subordinate(t, pki.CA, subName, func(c *x509.Certificate) { c.IsCA = false }), nil, trust.NotCA},
		"without keyCertSign":      {subordinate(t, pki.CA, subName, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign }), nil, trust.KeyUsage},
		"expired":                  {subordinate(t, pki.CA, subName, func(c *x509.Certificate) { c.NotAfter = now.Add(-1e10) }), nil, trust.Expired},
		"outside of the policy":    {subordinate(t, pki.CA, "/O=Elsewhere/CN=Sub CA", nil), nil, trust.SigningPolicy},
		"below its path length":    {subordinate(t, constrained, subSubName, func(c *x509.Certificate) { c.NotBefore, c.NotAfter = now.Add(-1e10), now.AddDate(1, 0, 0) }), []*x509.Certificate{constrained.Cert}, trust.PathLength},
	} {
		t.Run(name, func(t *testing.T) {
			chain := append([]*x509.Certificate{userOf(t, test.ca).Leaf(), test.ca.Cert}, test.above...)
			_, err := store.Verify(chain, now)
			refused(t, err, test.code)
		})
	}
}

func TestVerify_RefusesAnAnchorThatExpired(t *testing.T) {
	pki := newPKI(t)
	later := pki.CA.Cert.NotAfter.AddDate(0, 0, 1)
	user := issue(t, pki.CA, gridtest.Request{Name: gridtest.UserName, NotAfter: later.AddDate(1, 0, 0)})
	_, err := open(t, pki.TrustDir, trust.Options{CRL: trust.CRLOff}).Verify(user.Chain, later)
	refused(t, err, trust.Expired)
}

func TestVerify_FindsTheRightOneOfTwoCAsWithOneName(t *testing.T) {
	pki := newPKI(t)
	key := must(rsa.GenerateKey(rand.Reader, 2048))
	self := issue(t, &gridtest.Authority{}, gridtest.Request{Name: gridtest.CAName, CA: true, Key: key, NotBefore: now.Add(-1e10), NotAfter: now.AddDate(1, 0, 0)})
	rolled := &gridtest.Authority{Cert: self.Leaf(), Key: key}
	for _, hash := range rolled.Hashes() {
		writePEM(t, filepath.Join(pki.TrustDir, hash+".1"), "CERTIFICATE", rolled.Cert.Raw)
	}
	store := open(t, pki.TrustDir, trust.Options{})
	for _, user := range []*gsi.Credential{pki.User, userOf(t, rolled)} {
		if _, err := store.Verify(user.Chain, now); err != nil {
			t.Error(err)
		}
	}
}

func TestVerify_WeakAlgorithmsOnlyWhereNamed(t *testing.T) {
	sha1PKI := must(gridtest.NewPKI(t.TempDir(), gridtest.PKIOptions{Now: now, Digest: crypto.SHA1}))
	chain := proxy(t, sha1PKI, gsi.Limits{}).Chain
	if _, err := open(t, sha1PKI.TrustDir, trust.Options{}).Verify(chain, now); err != nil {
		t.Error(err)
	}
	_, err := open(t, sha1PKI.TrustDir, trust.Options{RefuseSHA1: true}).Verify(chain, now)
	refused(t, err, trust.Algorithm)

	pki := newPKI(t)
	short := forge(t, pki.User, func(*x509.Certificate) {})
	_, err = open(t, pki.TrustDir, trust.Options{MaxRSABits: 2047}).Verify(short.Chain, now)
	refused(t, err, trust.TooLarge)
}

func writePEM(t testing.TB, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o644); err != nil {
		t.Fatal(err)
	}
}

// A CA that changes its key certifies the new one with the old, under its own name.
func TestVerify_TakesANewKeyThatTheOldOneCertified(t *testing.T) {
	pki := newPKI(t)
	key := must(rsa.GenerateKey(rand.Reader, 2048))
	certified := issue(t, pki.CA, gridtest.Request{Name: gridtest.CAName, CA: true, Key: key})
	rolled := &gridtest.Authority{Cert: certified.Leaf(), Key: key}
	store := open(t, pki.TrustDir, trust.Options{CRL: trust.CRLOff})
	if _, err := store.Verify([]*x509.Certificate{userOf(t, rolled).Leaf(), rolled.Cert}, now); err != nil {
		t.Error(err)
	}
	_, err := store.Verify(userOf(t, rolled).Chain, now)
	refused(t, err, trust.BadSignature)
}

// The key of a CA that the directory alone brings is held to the limits as well.
func TestVerify_RefusesARootWhoseKeyIsBeyondTheLimits(t *testing.T) {
	pki := newPKI(t)
	if _, err := open(t, pki.TrustDir, trust.Options{}).Verify(pki.ECUser.Chain, now); err != nil {
		t.Fatal(err)
	}
	_, err := open(t, pki.TrustDir, trust.Options{MaxRSABits: 1024, CRL: trust.CRLOff}).Verify(pki.ECUser.Chain, now)
	refused(t, err, trust.TooLarge)
}
