package wssec_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"strings"
	"testing"

	"gsigw/internal/gridtest"
	. "gsigw/wssec"
	"gsigw/wssec/c14n"
)

const costSize = 100_000

// costly are messages of 100 KB that try to cost the verifier more than their bytes do.
func costly(t testing.TB, g *grid) map[string]string {
	signed := secure(t, &GSIMessage{}, plainRequest, g.User)
	seal := sealer{key: g.User.Key}
	pad := func(doc, before string, next func(i int) string) string {
		var b strings.Builder
		for i := 0; len(doc)+b.Len() < costSize; i++ {
			b.WriteString(next(i))
		}
		return strings.Replace(doc, before, b.String()+before, 1)
	}
	longNames := strings.Replace(plainRequest, "</add>", `<p:b xmlns:p="urn:p" xmlns="urn:`+strings.Repeat("x", 500)+`">HERE</p:b></add>`, 1)
	manyNames := plainRequest
	for i := range 120 {
		manyNames = strings.Replace(manyNames, "<soapenv:Envelope ", fmt.Sprintf(`<soapenv:Envelope xmlns:n%d="urn:%s%d" `, i, strings.Repeat("n", 400), i), 1)
	}
	for i := range 50 {
		manyNames = strings.Replace(manyNames, "</soapenv:Header>", fmt.Sprintf(`<x:h%d xmlns:x="urn:x"/></soapenv:Header>`, i), 1)
	}
	prefixes := func(doc string) string {
		return pad(strings.Replace(doc, transformEnd, `<ec:InclusiveNamespaces xmlns:ec="`+c14n.ExclusiveURI+`" PrefixList="LIST"/>`+transformEnd, 1), "LIST", func(i int) string { return fmt.Sprintf("n%d ", i) })
	}
	certs := make([]*x509.Certificate, 16)
	for i := range certs {
		certs[i] = g.CA.Cert
	}
	return map[string]string{
		"long namespace name on each element": secure(t, &GSIMessage{}, pad(longNames, "HERE", func(int) string { return "<a/>" }), g.User),
		"all namespaces on each header":       seal.seal(t, everywhere(c14n.ExclusiveURI, c14n.InclusiveURI)(secure(t, &GSIMessage{}, manyNames, g.User))),
		"long PrefixList":                     seal.seal(t, prefixes(signed)),
		"ids":                                 pad(signed, "</add>", func(i int) string { return fmt.Sprintf(`<a Id="%d"/>`, i) }),
		"security header of tokens": pad(signed, "<ds:Signature ", func(i int) string {
			return `<wsse:BinarySecurityToken>` + strings.Repeat("A", 200) + `</wsse:BinarySecurityToken>`
		}),
		"references":                         pad(signed, "</ds:SignedInfo>", func(i int) string { return cut(signed, "ds:Reference") }),
		"path of CAs":                        token("X509PKIPathv1", path(certs...))(signed),
		"QNames in text":                     secure(t, &GSIMessage{}, pad(plainRequest, "</add>", func(int) string { return "xsd:a " }), g.User),
		"colons in text":                     secure(t, &GSIMessage{}, pad(plainRequest, "</add>", func(int) string { return "a:" }), g.User),
		"RSA of 8192 bits, largest exponent": token("X509v3", selfSigned(t, g, 8192))(secure(t, &GSIMessage{}, plainRequest, g.User)),
	}
}

// selfSigned is a stranger's certificate over a key that takes long to verify with.
func selfSigned(t testing.TB, g *grid, bits int) []byte {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), uint(bits-1)))
	if err != nil {
		t.Fatal(err)
	}
	n.SetBit(n, bits-1, 1).SetBit(n, 0, 1)
	c, err := g.CA.Issue(gridtest.Request{Name: gridtest.UserName, Key: publicOnly{&rsa.PublicKey{N: n, E: 1<<31 - 1}}})
	if err != nil {
		t.Fatal(err)
	}
	return c.Leaf().Raw
}

type publicOnly struct{ key *rsa.PublicKey }

func (p publicOnly) Public() crypto.PublicKey { return p.key }
func (p publicOnly) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	panic("never signs")
}

// BenchmarkVerify_Costly is read, verify and rebuild.
func BenchmarkVerify_Costly(b *testing.B) {
	g := newGrid(b)
	for name, doc := range costly(b, g) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if v, err := verifyBytes(g.verifier, []byte(doc), Expect{}); err == nil {
					v.Message(nil)
				}
			}
		})
	}
}
