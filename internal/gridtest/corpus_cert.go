package gridtest

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
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"gsigw/gsi"
)

// cert is what a certificate is to say, byte for byte: half of the corpus crypto/x509 would not make.
type cert struct {
	version         int // 3; 1 leaves the field out
	serial          *big.Int
	issuer, subject []byte // DER
	notBefore       []byte // DER
	notAfter        []byte
	key             crypto.Signer
	spki            []byte // nil: of the key
	extensions      []pkix.Extension
	inner           *signature // what it says of its algorithm inside, nil: what it is signed with
	signWith        *signature // nil: what is usual for the key
	signer          crypto.Signer
	broken          bool // the signature is changed
	raw             func(tbs []byte) []byte
}

// A change makes one certificate differ from the ordinary.
type change func(*cert)

// A holder is a certificate with its key and who issued it.
type holder struct {
	cert
	der   []byte
	above *holder // nil for a root
}

func (c *cert) algorithm() signature {
	if c.signWith != nil {
		return *c.signWith
	}
	return usual(c.signer)
}

func (c *cert) encode() []byte {
	outer := c.algorithm()
	inner := outer
	if c.inner != nil {
		inner = *c.inner
	}
	spki := c.spki
	if spki == nil {
		spki = Must(x509.MarshalPKIXPublicKey(c.key.Public()))
	}
	parts := [][]byte{Must(asn1.Marshal(c.serial)), inner.id, c.issuer, tlv(tagSeq, c.notBefore, c.notAfter), c.subject,
		spki}
	if c.version > 1 {
		parts = slices.Insert(parts, 0, tagged(0, derInt(int64(c.version-1))))
	}
	if len(c.extensions) > 0 {
		parts = append(parts, tagged(3, Must(asn1.Marshal(c.extensions))))
	}
	tbs := tlv(tagSeq, parts...)
	if c.raw != nil {
		tbs = c.raw(tbs)
	}
	signed := outer.sign(c.signer, tbs)
	if c.broken {
		signed[len(signed)/2] ^= 1
	}
	return tlv(tagSeq, tbs, outer.id, derBits(signed))
}

// issue makes a certificate below another, nil for a self-signed one.
func issue(above *holder, c cert, changes ...change) *holder {
	c.version, c.serial = 3, big.NewInt(serial.Add(1)+1000)
	c.issuer, c.signer = c.subject, c.key
	if above != nil {
		c.issuer, c.signer = above.subject, above.key
	}
	for _, change := range changes {
		change(&c)
	}
	if above == nil {
		c.issuer, c.signer = c.subject, c.key
	}
	return &holder{cert: c, der: c.encode(), above: above}
}

// The changes that rows are made of.

func named(subject []byte) change { return func(c *cert) { c.subject = subject } }
func issuedBy(name []byte) change { return func(c *cert) { c.issuer = name } }
func signedUnder(key crypto.Signer) change {
	return func(c *cert) { c.signer = key }
}
func signedWith(s signature) change { return func(c *cert) { c.signWith = &s } }
func withSerial(n *big.Int) change  { return func(c *cert) { c.serial = n } }
func withKey(key crypto.Signer) change {
	return func(c *cert) { c.key = key }
}
func broken(c *cert) { c.broken = true }

func valid(from, to time.Time) change {
	return func(c *cert) { c.notBefore, c.notAfter = derTime(from), derTime(to) }
}

// having sets an extension, in the place of what is there of its kind.
func having(e pkix.Extension) change {
	return func(c *cert) {
		for i := range c.extensions {
			if c.extensions[i].Id.Equal(e.Id) {
				c.extensions = slices.Clone(c.extensions)
				c.extensions[i] = e
				return
			}
		}
		c.extensions = append(slices.Clip(c.extensions), e)
	}
}

// twice adds an extension, whatever is there.
func twice(e pkix.Extension) change {
	return func(c *cert) { c.extensions = append(slices.Clip(c.extensions), e) }
}

func without(id asn1.ObjectIdentifier) change {
	return func(c *cert) {
		c.extensions = slices.DeleteFunc(slices.Clone(c.extensions),
			func(e pkix.Extension) bool { return e.Id.Equal(id) })
	}
}

var (
	idKeyUsage         = asn1.ObjectIdentifier{2, 5, 29, 15}
	idBasicConstraints = asn1.ObjectIdentifier{2, 5, 29, 19}
	idKeyID            = asn1.ObjectIdentifier{2, 5, 29, 14}
)

// usage makes a critical keyUsage of these bits (RFC 5280, section 4.2.1.3).
func usage(bits ...int) pkix.Extension {
	octets := make([]byte, 1+slices.Max(bits)/8)
	for _, b := range bits {
		octets[b/8] |= 0x80 >> (b % 8)
	}
	spare := byte(7 - slices.Max(bits)%8)
	return extension(idKeyUsage, true, tlv(tagBits, []byte{spare}, octets))
}

const (
	digitalSignature, nonRepudiation, keyEncipherment, dataEncipherment = 0, 1, 2, 3
	keyAgreement, keyCertSign, crlSign                                  = 4, 5, 6
)

// isCA makes a critical basicConstraints; a negative path length is none.
func isCA(pathLen int) pkix.Extension {
	if pathLen < 0 {
		return extension(idBasicConstraints, true, tlv(tagSeq, tlv(tagBool, []byte{0xff})))
	}
	return extension(idBasicConstraints, true, tlv(tagSeq, tlv(tagBool, []byte{0xff}), derInt(int64(pathLen))))
}

func noCA() pkix.Extension { return extension(idBasicConstraints, true, tlv(tagSeq)) }

// keyOf makes a key at the first call with its name: "p256", "rsa1024" and so on, then who it is for.
func keyOf(kind, who string) crypto.Signer {
	if kind == "rsa2048" || kind == "p256" {
		return Must(testKey("corpus "+who, kind == "p256"))
	}
	keys.Lock()
	defer keys.Unlock()
	name := kind + " of " + who
	if key, ok := keys.made[name]; ok {
		return key
	}
	if keys.made == nil {
		keys.made = map[string]crypto.Signer{}
	}
	key := makeKey(kind)
	keys.made[name] = key
	return key
}

func makeKey(kind string) crypto.Signer {
	switch kind {
	case "p224":
		return Must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader))
	case "p384":
		return Must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	case "p521":
		return Must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader))
	case "ed25519":
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return Must(key, err)
	case "rsa512":
		return shortKey(512)
	}
	var bits int
	Must(fmt.Sscanf(kind, "rsa%d", &bits))
	return Must(rsa.GenerateKey(rand.Reader, bits))
}

// shortKey makes an RSA key that crypto/rsa would not.
func shortKey(bits int) *rsa.PrivateKey {
	e, one := big.NewInt(65537), big.NewInt(1)
	for {
		p, q := Must(rand.Prime(rand.Reader, bits/2)), Must(rand.Prime(rand.Reader, bits/2))
		n := new(big.Int).Mul(p, q)
		phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
		d := new(big.Int).ModInverse(e, phi)
		if d == nil || n.BitLen() != bits {
			continue
		}
		k := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: n, E: 65537}, D: d, Primes: []*big.Int{p, q}}
		k.Precompute()
		return k
	}
}

// keyPEM writes a key as proxy files have it.
func keyPEM(key crypto.Signer) []byte {
	switch k := key.(type) {
	case *rsa.PrivateKey:
		return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(k)})
	case *ecdsa.PrivateKey:
		return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: Must(x509.MarshalECPrivateKey(k))})
	}
	return pkcs8PEM(key)
}

func pkcs8PEM(key crypto.Signer) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: Must(x509.MarshalPKCS8PrivateKey(key))})
}

func (h *holder) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.der})
}

// chain is the certificate and what stands above it, without the root.
func (h *holder) chain() (chain []*holder) {
	for ; h.above != nil; h = h.above {
		chain = append(chain, h)
	}
	return chain
}

// file is a proxy file: the certificate, its key, and the chain.
func (h *holder) file() []byte {
	out := slices.Concat(h.pem(), keyPEM(h.key))
	for _, c := range h.chain() {
		if c != h {
			out = append(out, c.pem()...)
		}
	}
	return out
}

// hashes are the names of a CA's files.
func (h *holder) hashes() []string {
	return []string{gsi.SubjectHashOld(h.subject), Must(gsi.SubjectHash(h.subject))}
}

func (h *holder) oneLine() string { return strings.ReplaceAll(gsi.OneLine(h.subject), "'", `\x27`) }
