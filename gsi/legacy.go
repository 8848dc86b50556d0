package gsi

import (
	"crypto"
	"crypto/rsa"
	"crypto/subtle"
	"errors"
	"math/big"
)

// digestPrefix is the DigestInfo up to the digest (RFC 8017, section 9.2).
var digestPrefix = map[crypto.Hash][]byte{
	crypto.MD5:    {0x30, 0x20, 0x30, 0x0c, 0x06, 0x08, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x05, 0x05, 0x00, 0x04, 0x10},
	crypto.SHA1:   {0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00, 0x04, 0x14},
	crypto.SHA256: {0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20},
}

var errLegacySignature = errors.New("gsi: the RSA signature does not fit")

// VerifyLegacyRSA verifies a PKCS#1 v1.5 signature with a key of 512 bits or
// more over an MD5, SHA-1 or SHA-256 digest: what crypto/rsa and crypto/x509
// refuse, unless a setting for the whole process lets them. For callers whose
// configuration names the old algorithm, nobody else.
func VerifyLegacyRSA(key *rsa.PublicKey, hash crypto.Hash, digest, signature []byte) error {
	prefix, ok := digestPrefix[hash]
	size := key.Size()
	if !ok || len(digest) != hash.Size() || len(signature) != size ||
		key.N.BitLen() < 512 || key.N.BitLen() > 8192 || key.E < 3 || key.E%2 == 0 {
		return errLegacySignature
	}
	s := new(big.Int).SetBytes(signature)
	padding := size - 3 - len(prefix) - len(digest)
	if s.Cmp(key.N) >= 0 || padding < 8 {
		return errLegacySignature
	}
	want := []byte{0, 1}
	for range padding {
		want = append(want, 0xff)
	}
	want = append(append(append(want, 0), prefix...), digest...)
	have := s.Exp(s, big.NewInt(int64(key.E)), key.N).FillBytes(make([]byte, size))
	if subtle.ConstantTimeCompare(have, want) != 1 {
		return errLegacySignature
	}
	return nil
}
