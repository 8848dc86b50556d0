package wssec

import (
	"crypto"
	"crypto/ecdsa"
	_ "crypto/md5" // MD5 and the SHA families register themselves with crypto
	"crypto/rsa"
	_ "crypto/sha1"
	_ "crypto/sha256"
	_ "crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"

	"gsigw/gsi"
	"gsigw/wssec/xmlenc"
)

// Digest is the hash that a profile signs with.
type Digest uint8

// The digests. Stock GT4 4.0 takes both in messages; SHA-1 belongs to its profiles only.
const (
	SHA256 Digest = iota
	SHA1
	SHA384
	SHA512
)

var digestNames = [...]string{"sha256", "sha1", "sha384", "sha512"}

// ParseDigest reads "sha1", "sha256", "sha384" or "sha512".
func ParseDigest(s string) (Digest, error) {
	for i, name := range digestNames {
		if s == name {
			return Digest(i), nil
		}
	}
	return 0, fmt.Errorf("wssec: the digest %q is none of sha256, sha384, sha512 and sha1", s)
}

func (d Digest) String() string {
	if int(d) < len(digestNames) {
		return digestNames[d]
	}
	return fmt.Sprintf("Digest(%d)", d)
}

func (d Digest) hash() crypto.Hash {
	switch d {
	case SHA1:
		return crypto.SHA1
	case SHA384:
		return crypto.SHA384
	case SHA512:
		return crypto.SHA512
	}
	return crypto.SHA256
}

// The algorithm identifiers of XML Signature 1.1, section 6, and RFC 6931.
const (
	dsig     = "http://www.w3.org/2000/09/xmldsig#"
	dsigMore = "http://www.w3.org/2001/04/xmldsig-more#"
)

var digests = map[string]crypto.Hash{
	dsig + "sha1":           crypto.SHA1,
	xmlenc.Space + "sha256": crypto.SHA256,
	dsigMore + "sha384":     crypto.SHA384,
	xmlenc.Space + "sha512": crypto.SHA512,
	dsigMore + "md5":        crypto.MD5,
}

// signatureMethod is a key type and the hash that SignedInfo goes through.
type signatureMethod struct {
	key  x509.PublicKeyAlgorithm
	hash crypto.Hash
}

var signatures = map[string]signatureMethod{
	dsig + "rsa-sha1":         {x509.RSA, crypto.SHA1},
	dsigMore + "rsa-sha256":   {x509.RSA, crypto.SHA256},
	dsigMore + "rsa-sha384":   {x509.RSA, crypto.SHA384},
	dsigMore + "rsa-sha512":   {x509.RSA, crypto.SHA512},
	dsigMore + "rsa-md5":      {x509.RSA, crypto.MD5},
	dsigMore + "ecdsa-sha1":   {x509.ECDSA, crypto.SHA1},
	dsigMore + "ecdsa-sha256": {x509.ECDSA, crypto.SHA256},
	dsigMore + "ecdsa-sha384": {x509.ECDSA, crypto.SHA384},
	dsigMore + "ecdsa-sha512": {x509.ECDSA, crypto.SHA512},
}

func digestURI(h crypto.Hash) string {
	for uri, known := range digests {
		if known == h {
			return uri
		}
	}
	return ""
}

func signatureURI(m signatureMethod) string {
	for uri, known := range signatures {
		if known == m {
			return uri
		}
	}
	return ""
}

// Algorithms says which weak algorithms a verifier takes. The zero value takes SHA-2 with RSA from 1024 to 8192 bits
// and ECDSA.
type Algorithms struct {
	SHA1       bool // stock GT4 signs with it
	MD5        bool
	MinRSABits int // [1024]
	MaxRSABits int // [8192]
}

func (a Algorithms) checkHash(h crypto.Hash) error {
	switch {
	case h == crypto.SHA1 && !a.SHA1:
		return &Error{Class: ClassAlgorithm, Msg: "SHA-1 is not allowed here; for: gt4 on a route allows it"}
	case h == crypto.MD5 && !a.MD5:
		return &Error{Class: ClassAlgorithm, Msg: "MD5 is not allowed here; allow-md5 on a route or --legacy-md5 allows it"}
	}
	return nil
}

func (a Algorithms) checkKey(key crypto.PublicKey) error {
	k, ok := key.(*rsa.PublicKey)
	if !ok {
		return nil
	}
	least, most := a.MinRSABits, a.MaxRSABits
	if least == 0 {
		least = 1024
	}
	if most == 0 {
		most = 8192
	}
	switch n := k.N.BitLen(); {
	case n < least:
		return &Error{Class: ClassAlgorithm, Msg: fmt.Sprintf("the signer's RSA key of %d bits is shorter than the %d allowed here", n, least)}
	case n > most:
		return &Error{Class: ClassLimit, Msg: fmt.Sprintf("the signer's RSA key of %d bits exceeds the limit rsa-bits of %d", n, most)}
	}
	return nil
}

var errSignature = errors.New("the signature value does not match")

// fits reports whether the method is for keys of that kind.
func (m signatureMethod) fits(key crypto.PublicKey) bool {
	switch key.(type) {
	case *rsa.PublicKey:
		return m.key == x509.RSA
	case *ecdsa.PublicKey:
		return m.key == x509.ECDSA
	}
	return false
}

// verifySignature checks a signature value over a digest; the method fits the key. ECDSA values are r and s side by side (XML Signature 1.1,
// section 6.4.3).
func verifySignature(key crypto.PublicKey, m signatureMethod, digest, value []byte) error {
	switch k := key.(type) {
	case *rsa.PublicKey:
		if k.N.BitLen() < 1024 {
			return gsi.VerifyLegacyRSA(k, m.hash, digest, value)
		}
		return rsa.VerifyPKCS1v15(k, m.hash, digest, value)
	case *ecdsa.PublicKey:
		size := (k.Curve.Params().N.BitLen() + 7) / 8
		if len(value) != 2*size {
			return errSignature
		}
		r, s := new(big.Int).SetBytes(value[:size]), new(big.Int).SetBytes(value[size:])
		if !ecdsa.Verify(k, digest, r, s) {
			return errSignature
		}
		return nil
	}
	return fmt.Errorf("a key of type %T cannot sign a message", key)
}

// sign makes the signature value over a digest.
func sign(key crypto.Signer, rand io.Reader, h crypto.Hash, digest []byte) ([]byte, error) {
	value, err := gsi.Accelerated(key).Sign(rand, digest, h)
	if err != nil {
		return nil, err
	}
	k, ok := key.Public().(*ecdsa.PublicKey)
	if !ok {
		return value, nil
	}
	var rs struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(value, &rs); err != nil {
		return nil, fmt.Errorf("the key's signature is not DER: %w", err)
	}
	size := (k.Curve.Params().N.BitLen() + 7) / 8
	out := make([]byte, 2*size)
	rs.R.FillBytes(out[:size])
	rs.S.FillBytes(out[size:])
	return out, nil
}

func methodFor(key crypto.PublicKey, d Digest) (signatureMethod, error) {
	switch key.(type) {
	case *rsa.PublicKey:
		return signatureMethod{x509.RSA, d.hash()}, nil
	case *ecdsa.PublicKey:
		return signatureMethod{x509.ECDSA, d.hash()}, nil
	}
	return signatureMethod{}, fmt.Errorf("a key of type %T cannot sign a message: use RSA or P-256", key)
}
