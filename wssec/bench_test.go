package wssec_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"strings"
	"testing"

	"gsigw/gsi"
	"gsigw/soap"
	"gsigw/soap/xmlscan"
	. "gsigw/wssec"
)

// request is a message of about so many bytes with an element-heavy body, like that of peers/java/PeerWss.
func request(size int) []byte {
	var b bytes.Buffer
	head, tail, _ := strings.Cut(plainRequest, cut(plainRequest, "soapenv:Body"))
	b.WriteString(head + `<soapenv:Body><m:echo xmlns:m="http://example.org/echo">`)
	for n := 0; b.Len() < size; n++ {
		fmt.Fprintf(&b, `<m:item id="%d" kind="data">value number %d &amp; some text padding here</m:item>`, n, n)
	}
	b.WriteString(`</m:echo></soapenv:Body>` + tail)
	return b.Bytes()
}

var sizes = []struct {
	name string
	size int
}{{"2KB", 2 << 10}, {"20KB", 20 << 10}, {"1MB", 1 << 20}, {"20MB", 20 << 20}}

// BenchmarkSign is read, secure and write; BenchmarkRSA is the one private-key operation in it.
func BenchmarkSign(b *testing.B) {
	g := newGrid(b)
	for _, s := range sizes {
		benchmarkSign(b, s.name, request(s.size), g.User)
	}
}

func benchmarkSign(b *testing.B, name string, doc []byte, c *gsi.Credential) {
	b.Run(name, func(b *testing.B) {
		b.SetBytes(int64(len(doc)))
		b.ReportAllocs()
		for b.Loop() {
			m, err := soap.Read(xmlscan.Memory(doc), soap.Limits{})
			if err != nil {
				b.Fatal(err)
			}
			edit, _, err := (&GSIMessage{}).Secure(context.Background(), m, c)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := edit.WriteTo(io.Discard); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// free is a key whose operation costs nothing.
type free struct{ crypto.Signer }

func (f free) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return make([]byte, 256), nil
}

// BenchmarkSign_AllButRSA is BenchmarkSign without the private-key operation.
func BenchmarkSign_AllButRSA(b *testing.B) {
	g := newGrid(b)
	c := &gsi.Credential{Chain: g.User.Chain, Key: free{g.User.Key}}
	for _, s := range sizes {
		benchmarkSign(b, s.name, request(s.size), c)
	}
}

func BenchmarkRSA(b *testing.B) {
	g := newGrid(b)
	digest := sha256.Sum256(nil)
	for b.Loop() {
		if _, err := g.User.Key.Sign(rand.Reader, digest[:], crypto.SHA256); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVerify is read and verify, chain included, and the rebuilt message.
func BenchmarkVerify(b *testing.B) {
	g := newGrid(b)
	for _, s := range sizes {
		doc := []byte(secure(b, &GSIMessage{}, string(request(s.size)), g.User))
		b.Run(s.name, func(b *testing.B) {
			b.SetBytes(int64(len(doc)))
			b.ReportAllocs()
			for b.Loop() {
				v, err := verifyBytes(g.verifier, doc, Expect{})
				if err != nil {
					b.Fatal(err)
				}
				if _, err := v.Message(nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
