package trust_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
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
	"gsigw/trust"
)

func TestVerify_AcceptsEveryKindOfProxyAndNamesItsUser(t *testing.T) {
	pki := newPKI(t)
	store := open(t, pki.TrustDir, trust.Options{RequireSigningPolicy: true, CRL: trust.CRLRequire})
	for _, kind := range []gsi.ProxyType{gsi.RFC, gsi.RFCLimited, gsi.Draft, gsi.DraftLimited, gsi.Legacy, gsi.LegacyLimited} {
		t.Run(string(kind), func(t *testing.T) {
			for _, user := range []*gsi.Credential{pki.User, pki.ECUser} {
				one := proxyOf(t, pki, user, gsi.Limits{Type: kind, Lifetime: time.Hour})
				two := proxyOf(t, pki, one, gsi.Limits{KeyType: gsi.P256, Lifetime: 2 * time.Hour})
				id, err := store.Verify(two.Chain, now)
				if err != nil {
					t.Fatal(err)
				}
				if id.DN != gsi.OneLine(user.Leaf().RawSubject) || id.EndEntity != user.Leaf() || id.Leaf != two.Leaf() {
					t.Errorf("identity %q of %q", id.DN, user)
				}
				if id.Type != kind || id.Depth != 2 || id.Limited != kind.Limited() || id.Independent {
					t.Errorf("%+v", id)
				}
				if !id.NotAfter.Equal(now.Add(time.Hour)) {
					t.Errorf("valid until %s, want an hour", id.NotAfter)
				}
			}
		})
	}
}

func TestVerify_AcceptsEndEntityWithAndWithoutItsCA(t *testing.T) {
	pki := newPKI(t)
	store := open(t, pki.TrustDir, trust.Options{})
	for _, chain := range [][]*x509.Certificate{pki.Host.Chain, append(slices.Clone(pki.Host.Chain), pki.CA.Cert)} {
		id, err := store.Verify(chain, now)
		if err != nil {
			t.Fatal(err)
		}
		if id.DN != gridtest.HostName || id.Type != gsi.EEC || id.Depth != 0 {
			t.Errorf("%+v", id)
		}
		roots := x509.NewCertPool()
		roots.AddCert(pki.CA.Cert)
		if _, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now}); err != nil {
			t.Errorf("crypto/x509 thinks otherwise: %v", err)
		}
	}
}

func TestVerify_IndependentProxyNeverYieldsTheEndEntitysIdentity(t *testing.T) {
	pki := newPKI(t)
	store := open(t, pki.TrustDir, trust.Options{})
	independent := proxy(t, pki, gsi.Limits{Type: gsi.RFCIndependent})
	below := proxyOf(t, pki, independent, gsi.Limits{Type: gsi.RFC})
	for _, c := range []*gsi.Credential{independent, below} {
		id, err := store.Verify(c.Chain, now)
		if err != nil {
			t.Fatal(err)
		}
		if !id.Independent || id.EndEntity != independent.Leaf() || id.DN != gsi.OneLine(independent.Leaf().RawSubject) {
			t.Errorf("identity %q", id.DN)
		}
		if id.Matches(gridtest.UserName) {
			t.Error("it matches the user's name")
		}
	}
}

func TestVerify_LimitedStaysLimitedDownTheChain(t *testing.T) {
	pki := newPKI(t)
	store := open(t, pki.TrustDir, trust.Options{})
	full := proxyOf(t, pki, pki.User, gsi.Limits{})
	limited := proxyOf(t, pki, full, gsi.Limits{Type: gsi.RFCLimited})
	for _, c := range []*gsi.Credential{limited, proxyOf(t, pki, limited, gsi.Limits{})} {
		if id, err := store.Verify(c.Chain, now); err != nil || !id.Limited {
			t.Errorf("%+v, %v", id, err)
		}
	}
	for _, language := range []asn1.ObjectIdentifier{gsi.OIDInheritAll, gsi.OIDIndependent} {
		below := forge(t, limited, func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{info(t, gsi.ProxyCertInfo{Policy: gsi.Policy{Language: language}})}
		})
		_, err := store.Verify(below.Chain, now)
		refused(t, err, trust.LimitedProxy)
	}
}

func TestVerify_RefusesProxy(t *testing.T) {
	pki := newPKI(t)
	store := open(t, pki.TrustDir, trust.Options{})
	zero := 0
	rfc := proxy(t, pki, gsi.Limits{})
	legacy := proxy(t, pki, gsi.Limits{Type: gsi.Legacy})
	legacyLimited := proxy(t, pki, gsi.Limits{Type: gsi.LegacyLimited})
	draft := proxy(t, pki, gsi.Limits{Type: gsi.Draft})
	atEnd := proxy(t, pki, gsi.Limits{PathLen: &zero})
	draftAtEnd := proxy(t, pki, gsi.Limits{Type: gsi.Draft, PathLen: &zero})
	noSign := issue(t, pki.CA, gridtest.Request{Name: gridtest.UserName, Change: func(c *x509.Certificate) {
		c.KeyUsage = x509.KeyUsageKeyEncipherment
	}})
	nameOf := func(c *gsi.Credential, cns ...string) func(*x509.Certificate) {
		return func(p *x509.Certificate) { p.RawSubject = extend(t, c.Leaf().RawSubject, cns...) }
	}
	asLegacy := func(c *gsi.Credential) func(*x509.Certificate) {
		return func(p *x509.Certificate) {
			p.RawSubject, p.ExtraExtensions = extend(t, c.Leaf().RawSubject, "proxy"), nil
		}
	}
	withInfo := func(p gsi.ProxyCertInfo) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.ExtraExtensions = []pkix.Extension{info(t, p)} }
	}
	plain := func(*x509.Certificate) {}
	altName := must(asn1.Marshal([]asn1.RawValue{{Class: 2, Tag: 2, Bytes: []byte("localhost")}}))
	for name, test := range map[string]struct {
		issuer *gsi.Credential
		change func(*x509.Certificate)
		code   trust.Code
	}{
		"expired":          {pki.User, func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Second * 2) }, trust.Expired},
		"not yet valid":    {pki.User, func(c *x509.Certificate) { c.NotBefore = now.Add(time.Second * 2) }, trust.NotYetValid},
		"another name":     {pki.User, func(c *x509.Certificate) { c.RawSubject = pki.Host.Leaf().RawSubject }, trust.ProxySubject},
		"a sibling's name": {rfc, nameOf(pki.User, "1"), trust.ProxySubject},
		"two CNs more":     {pki.User, nameOf(pki.User, "1", "2"), trust.ProxySubject},
		"an OU more": {pki.User, func(c *x509.Certificate) {
			c.RawSubject = bytes.Replace(extend(t, pki.User.Leaf().RawSubject, "4711"), cnOU[0], cnOU[1], -1)
		}, trust.ProxySubject},
		"it is a CA":                {pki.User, func(c *x509.Certificate) { c.BasicConstraintsValid, c.IsCA = true, true }, trust.EndEntityIsCA},
		"a CA issued it":            {&gsi.Credential{Chain: []*x509.Certificate{pki.CA.Cert}, Key: pki.CA.Key}, plain, trust.EndEntityIsCA},
		"issuer without signing":    {noSign, plain, trust.KeyUsage},
		"proxy issuer may not sign": {forge(t, pki.User, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }), plain, trust.KeyUsage},
		"subjectAltName":            {pki.User, func(c *x509.Certificate) { c.DNSNames = []string{"localhost"} }, trust.ProxyExtension},
		"issuerAltName": {pki.User, func(c *x509.Certificate) {
			c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 18}, Value: altName})
		}, trust.ProxyExtension},
		"ProxyCertInfo not critical": {pki.User, func(c *x509.Certificate) { c.ExtraExtensions[0].Critical = false }, trust.ProxyExtension},
		"critical extension": {pki.User, func(c *x509.Certificate) {
			c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}})
		}, trust.CriticalExtension},
		"unknown policy":          {pki.User, withInfo(gsi.ProxyCertInfo{Policy: gsi.Policy{Language: asn1.ObjectIdentifier{1, 2, 3}}}), trust.PolicyUnknown},
		"unknown policy, draft":   {pki.User, withInfo(gsi.ProxyCertInfo{Draft: true, Policy: gsi.Policy{Language: asn1.ObjectIdentifier{1, 2, 3}}}), trust.PolicyUnknown},
		"unknown policy, text":    {pki.User, withInfo(gsi.ProxyCertInfo{Policy: gsi.Policy{Language: asn1.ObjectIdentifier{1, 2, 3}, Body: []byte("x")}}), trust.PolicyUnknown},
		"inherit-all with text":   {pki.User, withInfo(gsi.ProxyCertInfo{Policy: gsi.Policy{Language: gsi.OIDInheritAll, Body: []byte("x")}}), trust.PolicyUnknown},
		"malformed ProxyCertInfo": {pki.User, func(c *x509.Certificate) { c.ExtraExtensions[0].Value = append(c.ExtraExtensions[0].Value, 0) }, trust.Malformed},
		"two ProxyCertInfos": {pki.User, func(c *x509.Certificate) {
			c.ExtraExtensions = append(c.ExtraExtensions, info(t, gsi.ProxyCertInfo{Draft: true, Policy: gsi.Policy{Language: gsi.OIDInheritAll}}))
		}, trust.Malformed},
		"path length":                 {atEnd, plain, trust.PathLength},
		"path length, draft":          {draftAtEnd, withInfo(gsi.ProxyCertInfo{Draft: true, Policy: gsi.Policy{Language: gsi.OIDInheritAll}}), trust.PathLength},
		"path length, further up":     {forge(t, atEnd, plain), plain, trust.PathLength},
		"RFC under legacy":            {legacy, plain, trust.MixedTypes},
		"RFC under draft":             {draft, plain, trust.MixedTypes},
		"legacy under RFC":            {rfc, asLegacy(rfc), trust.MixedTypes},
		"legacy under draft":          {draft, asLegacy(draft), trust.MixedTypes},
		"no proxy under a proxy":      {rfc, func(c *x509.Certificate) { c.ExtraExtensions = nil }, trust.NotCA},
		"no proxy under a user":       {pki.User, func(c *x509.Certificate) { c.ExtraExtensions = nil }, trust.NotCA},
		"full legacy under a limited": {legacyLimited, asLegacy(legacyLimited), trust.LimitedProxy},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := store.Verify(forge(t, test.issuer, test.change).Chain, now)
			refused(t, err, test.code)
		})
	}
}

// cnOU turns the CN "4711" into an OU.
var cnOU = [2][]byte{
	append([]byte{0x06, 0x03, 0x55, 0x04, 0x03, 0x0c, 0x04}, "4711"...),
	append([]byte{0x06, 0x03, 0x55, 0x04, 0x0b, 0x0c, 0x04}, "4711"...),
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestVerify_RefusesEndEntity(t *testing.T) {
	pki := newPKI(t)
	store := open(t, pki.TrustDir, trust.Options{})
	ext := func(id asn1.ObjectIdentifier, critical bool) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: id, Critical: critical, Value: []byte{2, 1, 0}}}
		}
	}
	for name, test := range map[string]struct {
		request gridtest.Request
		code    trust.Code
	}{
		"expired":               {gridtest.Request{NotAfter: now.Add(-2 * time.Second)}, trust.Expired},
		"not yet valid":         {gridtest.Request{NotBefore: now.Add(2 * time.Second)}, trust.NotYetValid},
		"outside of the policy": {gridtest.Request{Name: "/O=Elsewhere/CN=Jane Doe"}, trust.SigningPolicy},
		"no name":               {gridtest.Request{RawSubject: []byte{0x30, 0}}, trust.NoName},
		"critical extension":    {gridtest.Request{Change: ext(asn1.ObjectIdentifier{1, 2, 3}, true)}, trust.CriticalExtension},
	} {
		t.Run(name, func(t *testing.T) {
			r := test.request
			if r.Name == "" {
				r.Name = gridtest.UserName
			}
			c := issue(t, pki.CA, r)
			_, err := store.Verify(c.Chain, now)
			refused(t, err, test.code)
		})
	}
}

func TestVerify_RefusesKeysOfAKindThatItDoesNotKnow(t *testing.T) {
	pki := newPKI(t)
	store := open(t, pki.TrustDir, trust.Options{})
	for _, key := range []any{nil, must(ecdh.X25519().GenerateKey(rand.Reader)).PublicKey(), &ecdsa.PublicKey{Curve: &elliptic.CurveParams{Name: "own"}}} {
		user := *pki.User.Leaf()
		user.PublicKey = key
		_, err := store.Verify([]*x509.Certificate{&user}, now)
		refused(t, err, trust.Algorithm)
	}
}

func TestVerify_SaysThatAnAlgorithmIsNotKnown(t *testing.T) {
	pki := newPKI(t)
	user := *pki.User.Leaf()
	user.SignatureAlgorithm = x509.UnknownSignatureAlgorithm
	_, err := open(t, pki.TrustDir, trust.Options{}).Verify([]*x509.Certificate{&user}, now)
	refused(t, err, trust.Algorithm)
	if !strings.Contains(err.Error(), "is signed with an algorithm that is not known here") {
		t.Error(err)
	}
}

func TestVerify_RefusesChain(t *testing.T) {
	pki := newPKI(t)
	store := open(t, pki.TrustDir, trust.Options{MaxCertificates: 4})
	rfc := proxy(t, pki, gsi.Limits{})
	stranger := issue(t, pki.Other, gridtest.Request{Name: gridtest.UserName})
	key := must(rsa.GenerateKey(rand.Reader, 2048))
	impostor := &gridtest.Authority{Cert: issue(t, pki.Other, gridtest.Request{Name: gridtest.CAName, CA: true, Key: key}).Leaf(), Key: key}
	broken := *rfc.Leaf()
	broken.Signature = bytes.Clone(broken.Signature)
	broken.Signature[40] ^= 1
	twice := *rfc.Leaf()
	twice.Extensions = append(slices.Clone(twice.Extensions), twice.Extensions[0])
	unknown := *rfc.Leaf()
	unknown.SignatureAlgorithm = x509.UnknownSignatureAlgorithm
	old := *rfc.Leaf()
	old.SignatureAlgorithm = x509.MD2WithRSA
	four := proxyOf(t, pki, proxyOf(t, pki, rfc, gsi.Limits{}), gsi.Limits{})
	for name, test := range map[string]struct {
		chain []*x509.Certificate
		code  trust.Code
	}{
		"empty":                    {nil, trust.Malformed},
		"a hole":                   {[]*x509.Certificate{rfc.Leaf(), nil}, trust.Malformed},
		"unknown CA":               {stranger.Chain, trust.UnknownCA},
		"unknown CA that it sends": {append(slices.Clone(stranger.Chain), pki.Other.Cert), trust.UnknownCA},
		"the unknown CA alone":     {[]*x509.Certificate{pki.Other.Cert}, trust.UnknownCA},
		"the CA's name only":       {issue(t, impostor, gridtest.Request{Name: gridtest.UserName, NotBefore: now, NotAfter: now.Add(time.Hour)}).Chain, trust.BadSignature},
		"the end entity left out":  {rfc.Chain[:1], trust.UnknownCA},
		"leaf last":                {[]*x509.Certificate{rfc.Chain[1], rfc.Chain[0]}, trust.NameChaining},
		"somebody else's":          {[]*x509.Certificate{rfc.Chain[0], pki.ECUser.Leaf()}, trust.NameChaining},
		"a CA in the middle":       {[]*x509.Certificate{rfc.Chain[0], rfc.Chain[1], pki.CA.Cert, pki.CA.Cert}, trust.NameChaining},
		"a signature changed":      {[]*x509.Certificate{&broken, rfc.Chain[1]}, trust.BadSignature},
		"too many":                 {append(slices.Clone(four.Chain), pki.CA.Cert), trust.TooLarge},
		"unknown algorithm":        {[]*x509.Certificate{&unknown, rfc.Chain[1]}, trust.Algorithm},
		"MD2":                      {[]*x509.Certificate{&old, rfc.Chain[1]}, trust.Algorithm},
		"an extension twice":       {[]*x509.Certificate{&twice, rfc.Chain[1]}, trust.Malformed},
		"too many, whatever else":  {[]*x509.Certificate{rfc.Leaf(), rfc.Leaf(), rfc.Leaf(), rfc.Leaf(), rfc.Leaf()}, trust.TooLarge},
		"too many with the CA":     {four.Chain, trust.TooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := store.Verify(test.chain, now)
			refused(t, err, test.code)
		})
	}
}

// A name that can be read in two ways in the one-line form is given in RFC 2253's, and no signing policy takes it for
// another.
func TestVerify_ANameHasOneReading(t *testing.T) {
	pki := newPKI(t)
	store := open(t, pki.TrustDir, trust.Options{})
	for rfc2253, wanted := range map[string]error{
		"CN=x/CN\\=root,OU=gsigw test,O=Grid": nil,
		"CN=x+UID=y,OU=gsigw test,O=Grid":     nil,
		"CN=x,O=Grid/OU\\=gsigw test":         trust.SigningPolicy,
		"CN=x,OU=gsigw test+O=Grid":           trust.SigningPolicy,
	} {
		user := issue(t, pki.CA, gridtest.Request{RawSubject: must(must(gsi.ParseDN(rfc2253)).DER())})
		id, err := store.Verify(user.Chain, now)
		if wanted != nil {
			refused(t, err, trust.SigningPolicy)
			continue
		}
		if err != nil || strings.HasPrefix(id.DN, "/") || !id.Matches(id.DN) {
			t.Errorf("%s: %+v, %v", rfc2253, id, err)
		}
	}
}

func TestVerify_StretchesDatesByTheSkewOnly(t *testing.T) {
	pki := newPKI(t)
	p := proxy(t, pki, gsi.Limits{Lifetime: time.Hour})
	strict, lenient := open(t, pki.TrustDir, trust.Options{}), open(t, pki.TrustDir, trust.Options{Skew: time.Minute})
	for _, test := range []struct {
		at              time.Time
		strict, lenient bool
	}{
		{now.Add(time.Hour), true, true},
		{now.Add(time.Hour + time.Second), false, true},
		{now.Add(time.Hour + time.Minute), false, true},
		{now.Add(time.Hour + time.Minute + time.Second), false, false},
		{now.Add(-5*time.Minute - time.Second), false, true},
		{now.Add(-7 * time.Minute), false, false},
	} {
		if _, err := strict.Verify(p.Chain, test.at); (err == nil) != test.strict {
			t.Errorf("%s without skew: %v", test.at, err)
		}
		if _, err := lenient.Verify(p.Chain, test.at); (err == nil) != test.lenient {
			t.Errorf("%s with a minute: %v", test.at, err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	pki := newPKI(b)
	store := open(b, pki.TrustDir, trust.Options{})
	chain := proxy(b, pki, gsi.Limits{}).Chain
	for b.Loop() {
		if _, err := store.Verify(chain, now); err != nil {
			b.Fatal(err)
		}
	}
}
