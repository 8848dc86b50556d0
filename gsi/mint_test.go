package gsi_test

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"strings"
	"testing"
	"time"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
)

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func newPKI(t testing.TB) *gridtest.PKI {
	t.Helper()
	pki, err := gridtest.NewPKI(t.TempDir(), gridtest.PKIOptions{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return pki
}

func mint(t testing.TB, issuer *gsi.Credential, l gsi.Limits) *gsi.Credential {
	t.Helper()
	if l.Now.IsZero() {
		l.Now = now
	}
	l.KeyType = gsi.P256
	c, err := gsi.NewProxy(issuer, l)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestMint_MakesEveryKindOverEveryIssuer(t *testing.T) {
	pki := newPKI(t)
	policy := &gsi.Policy{Language: asn1.ObjectIdentifier{1, 2, 3}, Body: []byte("what is allowed")}
	for _, kind := range []gsi.ProxyType{
		gsi.RFC, gsi.RFCLimited, gsi.RFCIndependent, gsi.RFCRestricted,
		gsi.Draft, gsi.DraftLimited, gsi.DraftIndependent, gsi.DraftRestricted, gsi.Legacy, gsi.LegacyLimited,
	} {
		for _, issuer := range []*gsi.Credential{pki.User, pki.ECUser} {
			for _, digest := range []crypto.Hash{crypto.SHA1, crypto.SHA256} {
				l := gsi.Limits{Type: kind, Digest: digest}
				if kind.Restricted() {
					l.Policy = policy
				}
				c := mint(t, issuer, l)
				leaf := c.Leaf()
				if got, err := gsi.Classify(leaf); err != nil || got != kind {
					t.Errorf("%s: classified as %q, %v", kind, got, err)
				}
				if err := issuer.Leaf().CheckSignature(leaf.SignatureAlgorithm, leaf.RawTBSCertificate, leaf.Signature); err != nil {
					t.Errorf("%s: %v", kind, err)
				}
				if (digest == crypto.SHA1) != strings.Contains(leaf.SignatureAlgorithm.String(), "SHA1") {
					t.Errorf("%s signed with %s", kind, leaf.SignatureAlgorithm)
				}
				checkSubject(t, issuer.Leaf(), leaf, kind)
			}
		}
	}
}

// checkSubject holds a proxy against the rules for its name and serial number.
func checkSubject(t *testing.T, issuer, leaf *x509.Certificate, kind gsi.ProxyType) {
	t.Helper()
	if !gsi.ExtendsIssuer(leaf) || !bytes.Equal(leaf.RawIssuer, issuer.RawSubject) {
		t.Errorf("%s: %s", kind, gsi.OneLine(leaf.RawSubject))
	}
	cn, serial := leaf.SerialNumber.String(), leaf.SerialNumber
	switch kind {
	case gsi.Legacy:
		cn, serial = "proxy", issuer.SerialNumber
	case gsi.LegacyLimited:
		cn, serial = "limited proxy", issuer.SerialNumber
	}
	if leaf.SerialNumber.Cmp(serial) != 0 || gsi.OneLine(leaf.RawSubject) != gsi.OneLine(issuer.RawSubject)+"/CN="+cn {
		t.Errorf("%s: serial %s, %s", kind, leaf.SerialNumber, gsi.OneLine(leaf.RawSubject))
	}
}

func TestMint_TakesTheIssuersKindWhenNoneIsNamed(t *testing.T) {
	pki := newPKI(t)
	for above, want := range map[gsi.ProxyType]gsi.ProxyType{
		"": gsi.RFC, gsi.RFC: gsi.RFC, gsi.RFCLimited: gsi.RFCLimited, gsi.Draft: gsi.Draft, gsi.LegacyLimited: gsi.LegacyLimited,
	} {
		issuer := pki.User
		if above != "" {
			issuer = mint(t, issuer, gsi.Limits{Type: above})
		}
		if got, _ := gsi.Classify(mint(t, issuer, gsi.Limits{}).Leaf()); got != want {
			t.Errorf("below %q: %q, want %q", above, got, want)
		}
	}
}

func TestMint_KeepsTheIssuersStringTypesAndKeyUsage(t *testing.T) {
	pki := newPKI(t)
	// O as a T61String, "Grid" with an umlaut in Latin-1.
	raw := []byte{0x30, 0x10, 0x31, 0x0e, 0x30, 0x0c, 0x06, 0x03, 0x55, 0x04, 0x0a, 0x14, 0x05, 'G', 'r', 0xfc, 'i', 'd'}
	user, err := pki.CA.Issue(gridtest.Request{RawSubject: raw, Change: func(c *x509.Certificate) {
		c.KeyUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment | x509.KeyUsageKeyAgreement
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}})
	if err != nil {
		t.Fatal(err)
	}
	leaf := mint(t, user, gsi.Limits{}).Leaf()
	if !bytes.Contains(leaf.RawSubject, raw[2:]) {
		t.Errorf("subject %x", leaf.RawSubject)
	}
	if leaf.KeyUsage != x509.KeyUsageDigitalSignature|x509.KeyUsageKeyAgreement || len(leaf.ExtKeyUsage) != 1 {
		t.Errorf("key usage %b %v", leaf.KeyUsage, leaf.ExtKeyUsage)
	}
}

func TestMint_NeverOutlivesItsIssuer(t *testing.T) {
	pki := newPKI(t)
	hour := mint(t, pki.User, gsi.Limits{Lifetime: time.Hour})
	leaf := mint(t, hour, gsi.Limits{Lifetime: 2 * time.Hour}).Leaf()
	if !leaf.NotAfter.Equal(now.Add(time.Hour)) || !leaf.NotBefore.Equal(now.Add(-5*time.Minute)) {
		t.Errorf("valid from %s to %s", leaf.NotBefore, leaf.NotAfter)
	}
	if leaf = mint(t, pki.User, gsi.Limits{}).Leaf(); !leaf.NotAfter.Equal(now.Add(12 * time.Hour)) {
		t.Errorf("valid to %s by default", leaf.NotAfter)
	}
	early := now.Add(-time.Hour + time.Minute) // a minute after the user's certificate
	if leaf = mint(t, pki.User, gsi.Limits{Now: early}).Leaf(); !leaf.NotBefore.Equal(now.Add(-time.Hour)) {
		t.Errorf("valid from %s, before its issuer", leaf.NotBefore)
	}
}

func TestMint_PathLength(t *testing.T) {
	pki := newPKI(t)
	for _, family := range []gsi.ProxyType{gsi.RFC, gsi.Draft} {
		one := 1
		first := mint(t, pki.User, gsi.Limits{Type: family, PathLen: &one})
		info, err := gsi.ProxyCertInfoOf(first.Leaf())
		if err != nil || info.PathLen == nil || *info.PathLen != 1 {
			t.Fatalf("%+v, %v", info, err)
		}
		second := mint(t, first, gsi.Limits{})
		if _, err := gsi.NewProxy(second, gsi.Limits{Now: now, KeyType: gsi.P256}); err == nil || !strings.Contains(err.Error(), "path length") {
			t.Errorf("%s: %v", family, err)
		}
	}
}

func TestMint_Refuses(t *testing.T) {
	pki := newPKI(t)
	limited, legacy := mint(t, pki.User, gsi.Limits{Type: gsi.RFCLimited}), mint(t, pki.User, gsi.Limits{Type: gsi.Legacy})
	ca := &gsi.Credential{Chain: []*x509.Certificate{pki.CA.Cert}, Key: pki.CA.Key}
	encipherOnly, err := pki.CA.Issue(gridtest.Request{Name: gridtest.UserName, Change: func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }})
	if err != nil {
		t.Fatal(err)
	}
	negative, zero := -1, 0
	for name, test := range map[string]struct {
		issuer *gsi.Credential
		limits gsi.Limits
		word   string
	}{
		"full under limited":         {limited, gsi.Limits{Type: gsi.RFC}, "limited"},
		"independent under limited":  {limited, gsi.Limits{Type: gsi.RFCIndependent}, "limited"},
		"issuer may not sign":        {encipherOnly, gsi.Limits{}, "digitalSignature"},
		"mixed families":             {legacy, gsi.Limits{Type: gsi.RFC}, "cannot follow"},
		"an end entity":              {pki.User, gsi.Limits{Type: gsi.EEC}, "no proxy type"},
		"no such type":               {pki.User, gsi.Limits{Type: "rfc/unlimited"}, "no proxy type"},
		"under a CA":                 {ca, gsi.Limits{}, "a CA issues"},
		"MD5":                        {pki.User, gsi.Limits{Digest: crypto.MD5}, "SHA-256"},
		"SHA-224":                    {pki.User, gsi.Limits{Digest: crypto.SHA224}, "SHA-256"},
		"policy without restriction": {pki.User, gsi.Limits{Policy: &gsi.Policy{Language: asn1.ObjectIdentifier{1, 2}}}, "policy"},
		"restriction without policy": {pki.User, gsi.Limits{Type: gsi.RFCRestricted}, "policy"},
		"restricted to everything":   {pki.User, gsi.Limits{Type: gsi.RFCRestricted, Policy: &gsi.Policy{Language: gsi.OIDInheritAll}}, "policy"},
		"legacy with a path length":  {pki.User, gsi.Limits{Type: gsi.Legacy, PathLen: &zero}, "path length"},
		"negative path length":       {pki.User, gsi.Limits{PathLen: &negative}, "0 or more"},
		"negative lifetime":          {pki.User, gsi.Limits{Lifetime: -time.Hour}, "lifetime"},
		"expired issuer":             {pki.User, gsi.Limits{Now: now.AddDate(2, 0, 0)}, "renew"},
		"another's key":              {&gsi.Credential{Chain: pki.User.Chain, Key: pki.Host.Key}, gsi.Limits{}, "does not belong"},
		"no key":                     {&gsi.Credential{Chain: pki.User.Chain}, gsi.Limits{}, "no key"},
		"no chain":                   {&gsi.Credential{}, gsi.Limits{}, "no certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			if test.limits.Now.IsZero() {
				test.limits.Now = now
			}
			_, err := gsi.Mint(test.issuer, pki.Host.Key.Public(), test.limits)
			if err == nil || !strings.Contains(err.Error(), test.word) {
				t.Errorf("got %v, want %q", err, test.word)
			}
		})
	}
	short := &rsa.PublicKey{N: new(big.Int).Rsh(pki.User.Key.Public().(*rsa.PublicKey).N, 1200), E: 65537}
	if _, err := gsi.Mint(pki.ECUser, short, gsi.Limits{Now: now}); err == nil {
		t.Error("minted over a short key")
	}
}
