package gsi_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"math/big"
	"slices"
	"testing"

	"gsigw/gsi"
)

func TestVerifyLegacyRSA_AgreesWithCryptoRSA(t *testing.T) {
	key := newPKI(t).User.Key.(*rsa.PrivateKey)
	digest := sha256.Sum256([]byte("signed"))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	if err := gsi.VerifyLegacyRSA(&key.PublicKey, crypto.SHA256, digest[:], signature); err != nil {
		t.Error(err)
	}
	other := digest
	other[3] ^= 1
	changed := slices.Clone(signature)
	changed[7] ^= 1
	encoded := new(big.Int).Exp(new(big.Int).SetBytes(signature), big.NewInt(int64(key.E)), key.N).FillBytes(make([]byte, 256))
	low, lifted := liftedSignature(t, key)
	for name, err := range map[string]error{
		"another digest":            gsi.VerifyLegacyRSA(&key.PublicKey, crypto.SHA256, other[:], signature),
		"changed":                   gsi.VerifyLegacyRSA(&key.PublicKey, crypto.SHA256, digest[:], changed),
		"another hash":              gsi.VerifyLegacyRSA(&key.PublicKey, crypto.MD5, digest[:16], signature),
		"an unknown hash":           gsi.VerifyLegacyRSA(&key.PublicKey, crypto.SHA512, digest[:], signature),
		"a short digest":            gsi.VerifyLegacyRSA(&key.PublicKey, crypto.SHA256, digest[:31], signature),
		"a long signature":          gsi.VerifyLegacyRSA(&key.PublicKey, crypto.SHA256, digest[:], append([]byte{0}, signature...)),
		"larger than N":             gsi.VerifyLegacyRSA(&key.PublicKey, crypto.SHA256, digest[:], bytes.Repeat([]byte{0xff}, 256)),
		"an exponent of 1":          gsi.VerifyLegacyRSA(&rsa.PublicKey{N: key.N, E: 1}, crypto.SHA256, digest[:], signature),
		"an exponent of 1, fitting": gsi.VerifyLegacyRSA(&rsa.PublicKey{N: key.N, E: 1}, crypto.SHA256, digest[:], encoded),
		"a multiple of N more":      gsi.VerifyLegacyRSA(&key.PublicKey, crypto.SHA256, low[:], lifted),
		"an even exponent":          gsi.VerifyLegacyRSA(&rsa.PublicKey{N: key.N, E: 4}, crypto.SHA256, digest[:], signature),
	} {
		if err == nil {
			t.Error("taken:", name)
		}
	}
}

// liftedSignature signs until it finds a signature to which the modulus can be
// added: the same number modulo N, other bytes.
func liftedSignature(t *testing.T, key *rsa.PrivateKey) (digest [32]byte, lifted []byte) {
	t.Helper()
	for i := range 100 {
		digest = sha256.Sum256([]byte{byte(i)})
		signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
		if err != nil {
			t.Fatal(err)
		}
		if sum := new(big.Int).Add(new(big.Int).SetBytes(signature), key.N); sum.BitLen() <= 2048 {
			return digest, sum.Bytes()
		}
	}
	t.Fatal("no signature is small enough")
	return digest, nil
}
