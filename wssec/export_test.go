package wssec

import (
	"crypto"
	"crypto/rand"
)

// What the tests, which stand outside because the stand-in that they share imports this package, see of the inside.
const (
	DSig     = dsig
	DSigMore = dsigMore
)

var IsSecurity = isSecurity

func SignDigest(key crypto.Signer, h crypto.Hash, digest []byte) ([]byte, error) {
	return sign(key, rand.Reader, h, digest)
}
