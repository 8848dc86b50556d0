package gridtest

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"time"

	"gsigw/gsi"
)

// tlv encodes one ASN.1 value of a tag below 31, as DER has it.
func tlv(tag byte, parts ...[]byte) []byte {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	return appendAll(append([]byte{tag}, derLength(n)...), parts...)
}

func derLength(n int) []byte {
	switch {
	case n < 0x80:
		return []byte{byte(n)}
	case n < 0x100:
		return []byte{0x81, byte(n)}
	case n < 0x10000:
		return []byte{0x82, byte(n >> 8), byte(n)}
	}
	return []byte{0x83, byte(n >> 16), byte(n >> 8), byte(n)} // up to 16 MB
}

// longTLV spends a byte more on the length than DER allows.
func longTLV(tag byte, parts ...[]byte) []byte {
	body := appendAll(nil, parts...)
	return append([]byte{tag, 0x82, byte(len(body) >> 8), byte(len(body))}, body...)
}

// openTLV is BER of indefinite length.
func openTLV(tag byte, parts ...[]byte) []byte {
	return append(appendAll([]byte{tag, 0x80}, parts...), 0, 0)
}

func appendAll(to []byte, parts ...[]byte) []byte {
	for _, p := range parts {
		to = append(to, p...)
	}
	return to
}

// The tags that the corpus uses.
const (
	tagBool, tagInt, tagBits, tagOctets, tagNull = 0x01, 0x02, 0x03, 0x04, 0x05
	tagEnum, tagUTF8, tagSeq, tagSet             = 0x0a, 0x0c, 0x30, 0x31
	tagPrintable, tagT61, tagIA5                 = 0x13, 0x14, 0x16
	tagUTCTime, tagGeneralTime, tagVisible       = 0x17, 0x18, 0x1a
	tagUniversal, tagBMP                         = 0x1c, 0x1e
)

func derInt(n int64) []byte                       { return Must(asn1.Marshal(big.NewInt(n))) }
func derOID(id asn1.ObjectIdentifier) []byte      { return Must(asn1.Marshal(id)) }
func derBits(b []byte) []byte                     { return tlv(tagBits, []byte{0}, b) }
func tagged(n byte, parts ...[]byte) []byte       { return tlv(0xa0|n, parts...) }
func taggedString(n byte, parts ...[]byte) []byte { return tlv(0x80|n, parts...) }

// derTime writes UTCTime up to 2049 and GeneralizedTime from then on (RFC 5280, section 4.1.2.5).
func derTime(t time.Time) []byte {
	if t.UTC().Year() >= 2050 {
		return generalTime(t)
	}
	return utcTime(t)
}

func utcTime(t time.Time) []byte { return tlv(tagUTCTime, []byte(t.UTC().Format("060102150405Z"))) }
func generalTime(t time.Time) []byte {
	return tlv(tagGeneralTime, []byte(t.UTC().Format("20060102150405Z")))
}

// A signature is an algorithm to sign with: its AlgorithmIdentifier and hash.
type signature struct {
	id   []byte
	hash crypto.Hash
	pss  bool
}

func rsaSignature(arc int, hash crypto.Hash) signature {
	id := tlv(tagSeq, derOID(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, arc}), tlv(tagNull))
	return signature{id: id, hash: hash}
}

func ecdsaSignature(hash crypto.Hash, arcs ...int) signature {
	return signature{id: tlv(tagSeq, derOID(append(asn1.ObjectIdentifier{1, 2, 840, 10045, 4}, arcs...))), hash: hash}
}

// pssSignature is RSASSA-PSS with one hash throughout and a salt of its size (RFC 4055).
func pssSignature(arc int, hash crypto.Hash) signature {
	digest := tlv(tagSeq, derOID(asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, arc}), tlv(tagNull))
	mgf := tlv(tagSeq, derOID(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 8}), digest)
	params := tlv(tagSeq, tagged(0, digest), tagged(1, mgf), tagged(2, derInt(int64(hash.Size()))))
	return signature{id: tlv(tagSeq, derOID(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}), params), hash: hash,
		pss: true}
}

var (
	md5RSA      = rsaSignature(4, crypto.MD5)
	sha1RSA     = rsaSignature(5, crypto.SHA1)
	sha224RSA   = rsaSignature(14, crypto.SHA224)
	sha256RSA   = rsaSignature(11, crypto.SHA256)
	sha384RSA   = rsaSignature(12, crypto.SHA384)
	sha512RSA   = rsaSignature(13, crypto.SHA512)
	sha1ECDSA   = ecdsaSignature(crypto.SHA1, 1)
	sha256ECDSA = ecdsaSignature(crypto.SHA256, 3, 2)
	sha384ECDSA = ecdsaSignature(crypto.SHA384, 3, 3)
	pureEd25519 = signature{id: tlv(tagSeq, derOID(asn1.ObjectIdentifier{1, 3, 101, 112}))}
)

// usual is the algorithm that goes with a key where a row names none.
func usual(key crypto.Signer) signature {
	switch key.Public().(type) {
	case *rsa.PublicKey:
		return sha256RSA
	case ed25519.PublicKey:
		return pureEd25519
	}
	return sha256ECDSA
}

// sign signs bytes. Keys too short for crypto/rsa sign for themselves.
func (s signature) sign(key crypto.Signer, data []byte) []byte {
	if s.hash == 0 {
		return Must(key.Sign(rand.Reader, data, s.hash))
	}
	h := s.hash.New()
	h.Write(data)
	if s.pss {
		return Must(key.Sign(rand.Reader, h.Sum(nil), &rsa.PSSOptions{SaltLength: s.hash.Size(), Hash: s.hash}))
	}
	if k, ok := key.(*rsa.PrivateKey); ok && k.N.BitLen() < 1024 {
		return shortRSA(k, s.hash, h.Sum(nil))
	}
	return Must(key.Sign(rand.Reader, h.Sum(nil), s.hash))
}

// shortRSA is PKCS#1 v1.5 (RFC 8017, section 9.2) by hand.
func shortRSA(k *rsa.PrivateKey, hash crypto.Hash, digest []byte) []byte {
	oids := map[crypto.Hash]asn1.ObjectIdentifier{
		crypto.MD5:    {1, 2, 840, 113549, 2, 5},
		crypto.SHA1:   {1, 3, 14, 3, 2, 26},
		crypto.SHA256: {2, 16, 840, 1, 101, 3, 4, 2, 1},
	}
	info := tlv(tagSeq, tlv(tagSeq, derOID(oids[hash]), tlv(tagNull)), tlv(tagOctets, digest))
	size := (k.N.BitLen() + 7) / 8
	padded := []byte{0, 1}
	for len(padded) < size-len(info)-1 {
		padded = append(padded, 0xff)
	}
	m := new(big.Int).SetBytes(append(append(padded, 0), info...))
	return m.Exp(m, k.D, k.N).FillBytes(make([]byte, size))
}

// An attr is one attribute of a name: type, string tag, bytes.
type attr struct {
	oid   asn1.ObjectIdentifier
	tag   byte
	value string
}

func (a attr) der() []byte { return tlv(tagSeq, derOID(a.oid), tlv(a.tag, []byte(a.value))) }

var (
	oidO     = asn1.ObjectIdentifier{2, 5, 4, 10}
	oidOU    = asn1.ObjectIdentifier{2, 5, 4, 11}
	oidCN    = asn1.ObjectIdentifier{2, 5, 4, 3}
	oidEmail = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}
	oidUID   = asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}
	oidDC    = asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 25}
)

// rdns makes the DER of a name of one attribute in each RDN.
func rdns(attrs ...attr) []byte {
	var sets [][]byte
	for _, a := range attrs {
		sets = append(sets, tlv(tagSet, a.der()))
	}
	return tlv(tagSeq, sets...)
}

// below adds RDNs, each the DER of a set, to the DER of a name.
func below(name []byte, sets ...[]byte) []byte {
	var seq asn1.RawValue
	Must(asn1.Unmarshal(name, &seq))
	return tlv(tagSeq, append([][]byte{seq.Bytes}, sets...)...)
}

func cn(value string) []byte { return tlv(tagSet, attr{oidCN, tagUTF8, value}.der()) }

// in is a name in the namespace of the grid.
func in(attrs ...attr) []byte {
	return rdns(append([]attr{{oidO, tagUTF8, "Grid"}, {oidOU, tagUTF8, "gsigw test"}}, attrs...)...)
}

func dn(oneLine string) []byte { return Must(Must(gsi.ParseDN(oneLine)).DER()) }

func keyID(key crypto.Signer) []byte {
	sum := sha1.Sum(Must(x509.MarshalPKIXPublicKey(key.Public())))
	return sum[:]
}

func extension(id asn1.ObjectIdentifier, critical bool, value []byte) pkix.Extension {
	return pkix.Extension{Id: id, Critical: critical, Value: value}
}
