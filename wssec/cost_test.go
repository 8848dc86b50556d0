package wssec_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"io"
	"maps"
	"math/big"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"gsigw/internal/gridtest"
	"gsigw/soap/xmlscan"
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
	prefixes := func(doc string) string {
		return pad(strings.Replace(doc, transformEnd, `<ec:InclusiveNamespaces xmlns:ec="`+c14n.ExclusiveURI+`" PrefixList="LIST"/>`+transformEnd, 1), "LIST", func(i int) string { return fmt.Sprintf("n%d ", i) })
	}
	certs := make([]*x509.Certificate, 16)
	for i := range certs {
		certs[i] = g.CA.Cert
	}
	docs := map[string]string{
		"long PrefixList": seal.seal(t, prefixes(signed)),
		"ids":             pad(signed, "</add>", func(i int) string { return fmt.Sprintf(`<a Id="%d"/>`, i) }),
		"security header of tokens": pad(signed, "<ds:Signature ", func(i int) string {
			return `<wsse:BinarySecurityToken>` + strings.Repeat("A", 200) + `</wsse:BinarySecurityToken>`
		}),
		"references":                         pad(signed, "</ds:SignedInfo>", func(i int) string { return cut(signed, "ds:Reference") }),
		"path of CAs":                        token("X509PKIPathv1", path(certs...))(signed),
		"QNames in text":                     secure(t, &GSIMessage{}, pad(plainRequest, "</add>", func(int) string { return "xsd:a " }), g.User),
		"colons in text":                     secure(t, &GSIMessage{}, pad(plainRequest, "</add>", func(int) string { return "a:" }), g.User),
		"RSA of 8192 bits, largest exponent": token("X509v3", selfSigned(t, g, 8192))(secure(t, &GSIMessage{}, plainRequest, g.User)),
	}
	maps.Copy(docs, costlyContent(t, g))
	maps.Copy(docs, costlyHeaders(t, g))
	return docs
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

// BenchmarkVerify_Costly is read, verify and rebuild, in CPU time: 100 KB must stay below 50 ms, whatever is in them.
func BenchmarkVerify_Costly(b *testing.B) {
	g := newGrid(b)
	docs := costly(b, g)
	for _, name := range slices.Sorted(maps.Keys(docs)) {
		b.Run(name, func(b *testing.B) {
			before := cpuTime(b)
			for b.Loop() {
				takeIn(g.verifier, xmlscan.Memory(docs[name]))
			}
			b.ReportMetric(float64(cpuTime(b)-before)/1e6/float64(b.N), "cpu-ms/op")
		})
	}
}

// cpuTime is what this process has used, collecting garbage included.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
