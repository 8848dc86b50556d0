package gsi_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"
	"strings"
	"testing"
	"time"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
)

func ecKey(t *testing.T, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestMint_SignsWithEveryKeyAndDigestThatIsBelieved(t *testing.T) {
	pki := newPKI(t)
	issuers := map[string]*gsi.Credential{"RSA": pki.User}
	subjects := map[string]crypto.PublicKey{"RSA": pki.Host.Key.Public()}
	for name, curve := range map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()} {
		c, err := pki.CA.Issue(gridtest.Request{Name: gridtest.UserName, Key: ecKey(t, curve)})
		if err != nil {
			t.Fatal(err)
		}
		issuers[name], subjects[name] = c, ecKey(t, curve).Public()
	}
	for digest, word := range map[crypto.Hash]string{0: "SHA256", crypto.SHA1: "SHA1", crypto.SHA256: "SHA256", crypto.SHA384: "SHA384", crypto.SHA512: "SHA512"} {
		for by, issuer := range issuers {
			for over, subject := range subjects {
				chain, err := gsi.Mint(issuer, subject, gsi.Limits{Now: now, Digest: digest})
				if err != nil {
					t.Errorf("%s by %s over %s: %v", word, by, over, err)
					continue
				}
				leaf := chain[0]
				if err := issuer.Leaf().CheckSignature(leaf.SignatureAlgorithm, leaf.RawTBSCertificate, leaf.Signature); err != nil {
					t.Errorf("%s by %s over %s: %v", word, by, over, err)
				}
				if !strings.Contains(strings.ReplaceAll(leaf.SignatureAlgorithm.String(), "-", ""), word) {
					t.Errorf("%s by %s over %s: signed with %s", word, by, over, leaf.SignatureAlgorithm)
				}
			}
		}
	}
}

func TestMint_RefusesKeysThatNobodyBelieves(t *testing.T) {
	pki := newPKI(t)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	edUser, err := pki.CA.Issue(gridtest.Request{Name: gridtest.UserName, Key: ed})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		issuer  *gsi.Credential
		subject crypto.PublicKey
	}{
		"Ed25519 subject": {pki.User, ed.Public()},
		"Ed25519 issuer":  {edUser, pki.Host.Key.Public()},
		"P-224 subject":   {pki.User, ecKey(t, elliptic.P224()).Public()},
	} {
		if _, err := gsi.Mint(test.issuer, test.subject, gsi.Limits{Now: now}); err == nil || !strings.Contains(err.Error(), "believed") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMint_TakesFurtherExtensions(t *testing.T) {
	pki := newPKI(t)
	voms := pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 8005, 100, 100, 5}, Value: []byte{0x30, 0}}
	other := pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Value: []byte{5, 0}}
	for _, kind := range []gsi.ProxyType{gsi.RFC, gsi.Draft, gsi.Legacy} {
		leaf := mint(t, pki.User, gsi.Limits{Type: kind, Extensions: []pkix.Extension{voms, other}}).Leaf()
		for _, want := range []pkix.Extension{voms, other} {
			if !slices.ContainsFunc(leaf.Extensions, func(e pkix.Extension) bool {
				return e.Id.Equal(want.Id) && string(e.Value) == string(want.Value) && !e.Critical
			}) {
				t.Errorf("%s: %s is missing", kind, want.Id)
			}
		}
		if got, err := gsi.Classify(leaf); got != kind || err != nil {
			t.Errorf("%s: now a %s, %v", kind, got, err)
		}
	}
}

func TestMint_RefusesExtensions(t *testing.T) {
	pki := newPKI(t)
	mine := asn1.ObjectIdentifier{1, 2, 3, 4}
	for name, test := range map[string]struct {
		extensions []pkix.Extension
		word       string
	}{
		"critical":                 {[]pkix.Extension{{Id: mine, Critical: true}}, "critical"},
		"twice":                    {[]pkix.Extension{{Id: mine}, {Id: asn1.ObjectIdentifier{1, 2}}, {Id: mine}}, "twice"},
		"without OID":              {[]pkix.Extension{{}}, "without an OID"},
		"ProxyCertInfo":            {[]pkix.Extension{{Id: gsi.OIDProxyCertInfo}}, "not to be given"},
		"ProxyCertInfo, draft":     {[]pkix.Extension{{Id: gsi.OIDDraftProxyCertInfo}}, "not to be given"},
		"key usage":                {[]pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 15}}}, "not to be given"},
		"extended key usage":       {[]pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}}}, "not to be given"},
		"basic constraints":        {[]pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 19}}}, "not to be given"},
		"subject alternative name": {[]pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}}}, "not to be given"},
		"issuer alternative name":  {[]pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 18}}}, "not to be given"},
	} {
		for _, kind := range []gsi.ProxyType{gsi.RFC, gsi.Legacy} { // a legacy proxy has no ProxyCertInfo to clash with
			_, err := gsi.Mint(pki.User, pki.Host.Key.Public(), gsi.Limits{Now: now, Type: kind, Extensions: test.extensions})
			if err == nil || !strings.Contains(err.Error(), test.word) {
				t.Errorf("%s, %s: %v", name, kind, err)
			}
		}
	}
}

func TestMint_TakesExtendedKeyUsageAsItIs(t *testing.T) {
	pki := newPKI(t)
	usage := pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: []byte{0x30, 0x0a, 6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 2}}
	user, err := pki.CA.Issue(gridtest.Request{Name: gridtest.UserName, Change: func(c *x509.Certificate) {
		c.ExtraExtensions, c.DNSNames = []pkix.Extension{usage}, []string{"jane.example.org"}
	}})
	if err != nil {
		t.Fatal(err)
	}
	leaf := mint(t, user, gsi.Limits{}).Leaf()
	if !slices.ContainsFunc(leaf.Extensions, func(e pkix.Extension) bool {
		return e.Id.Equal(usage.Id) && e.Critical && string(e.Value) == string(usage.Value)
	}) {
		t.Error("the extended key usage has changed:", leaf.Extensions)
	}
	if len(leaf.DNSNames) > 0 || leaf.IsCA || leaf.BasicConstraintsValid || leaf.SubjectKeyId != nil || leaf.AuthorityKeyId != nil {
		t.Error("the proxy says more than grid-proxy-init's would")
	}
}

func TestMint_WithoutANamedKindPassesRightsOnButNeverMore(t *testing.T) {
	pki := newPKI(t)
	policy := &gsi.Policy{Language: asn1.ObjectIdentifier{1, 2, 3}}
	independent := mint(t, pki.User, gsi.Limits{Type: gsi.DraftIndependent})
	restricted := mint(t, pki.User, gsi.Limits{Type: gsi.RFCRestricted, Policy: policy})
	for name, test := range map[string]struct {
		issuer *gsi.Credential
		want   gsi.ProxyType
	}{
		"independent": {independent, gsi.Draft},
		"restricted":  {restricted, gsi.RFC},
		"limited":     {mint(t, mint(t, pki.User, gsi.Limits{Type: gsi.LegacyLimited}), gsi.Limits{}), gsi.LegacyLimited},
	} {
		if got, err := gsi.Classify(mint(t, test.issuer, gsi.Limits{}).Leaf()); err != nil || got != test.want {
			t.Errorf("below %s: %q, %v, want %q", name, got, err, test.want)
		}
	}
}

func TestMint_LimitedStaysLimitedBelowAnyProxy(t *testing.T) {
	pki := newPKI(t)
	limited := mint(t, pki.User, gsi.Limits{Type: gsi.RFCLimited})
	// What no tool of ours makes: a full proxy signed by a limited one.
	full := mint(t, &gsi.Credential{Chain: []*x509.Certificate{pki.User.Leaf()}, Key: pki.User.Key}, gsi.Limits{})
	forged := &gsi.Credential{Chain: []*x509.Certificate{full.Leaf(), limited.Leaf(), pki.User.Leaf()}, Key: full.Key}
	if _, err := gsi.Mint(forged, pki.Host.Key.Public(), gsi.Limits{Now: now, Type: gsi.RFC}); err == nil || !strings.Contains(err.Error(), "limited") {
		t.Error("a full proxy two below a limited one:", err)
	}
	chain, err := gsi.Mint(forged, pki.Host.Key.Public(), gsi.Limits{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	if kind, _ := gsi.Classify(chain[0]); kind != gsi.RFCLimited {
		t.Error("inherits", kind)
	}
}

func TestMint_PathLengthZeroIsWrittenAndEndsTheChain(t *testing.T) {
	pki := newPKI(t)
	zero := 0
	for _, family := range []gsi.ProxyType{gsi.RFC, gsi.Draft} {
		last := mint(t, pki.User, gsi.Limits{Type: family, PathLen: &zero})
		if info, err := gsi.ProxyCertInfoOf(last.Leaf()); err != nil || info.PathLen == nil || *info.PathLen != 0 {
			t.Errorf("%s: %+v, %v", family, info, err)
		}
		if _, err := gsi.Mint(last, pki.Host.Key.Public(), gsi.Limits{Now: now}); err == nil || !strings.Contains(err.Error(), "leaves no room") {
			t.Errorf("%s: %v", family, err)
		}
	}
}

func TestMint_RefusesAnIssuerThatIsNotYetValid(t *testing.T) {
	pki := newPKI(t)
	early := gsi.Limits{Now: now.Add(-2 * time.Hour), Lifetime: 12 * time.Hour}
	if _, err := gsi.Mint(pki.User, pki.Host.Key.Public(), early); err == nil || !strings.Contains(err.Error(), "check the clock") {
		t.Error(err)
	}
}

func TestNewProxy_MakesOrTakesTheKeyOfItsLimits(t *testing.T) {
	pki := newPKI(t)
	for bits, want := range map[int]int{0: 2048, 1024: 1024, 1536: 1536} {
		c, err := gsi.NewProxy(pki.User, gsi.Limits{Now: now, Bits: bits})
		if err != nil || c.Key.Public().(*rsa.PublicKey).N.BitLen() != want {
			t.Errorf("%d bits: %v", bits, err)
		}
	}
	given := ecKey(t, elliptic.P384())
	if c, err := gsi.NewProxy(pki.User, gsi.Limits{Now: now, Key: given}); err != nil || c.Key != crypto.Signer(given) {
		t.Error("a given key:", err)
	}
	for name, l := range map[string]gsi.Limits{
		"512 bits":   {Bits: 512},
		"1023 bits":  {Bits: 1023},
		"8193 bits":  {Bits: 8193},
		"-1 bits":    {Bits: -1},
		"P-256, 384": {KeyType: gsi.P256, Bits: 384},
		"no type":    {KeyType: 9},
	} {
		l.Now = now
		if _, err := gsi.NewProxy(pki.User, l); err == nil {
			t.Error(name, "is taken")
		}
	}
}

func BenchmarkNewProxy(b *testing.B) {
	pki := newPKI(b)
	b.Run("with a new key", func(b *testing.B) {
		for b.Loop() {
			if _, err := gsi.NewProxy(pki.User, gsi.Limits{Now: now}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("with a key made ahead", func(b *testing.B) {
		key := pki.Host.Key
		for b.Loop() {
			if _, err := gsi.NewProxy(pki.User, gsi.Limits{Now: now, Key: key}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
