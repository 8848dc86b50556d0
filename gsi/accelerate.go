package gsi

import (
	"crypto"
)

// Accelerated returns a signer that makes the same signatures as the key does, by the fastest means that this build has:
// with the build tag openssl, RSA keys sign in libcrypto, at four times the rate. Every other key, and every key in the
// default build, is given back as it is.
//
//	signature, err := gsi.Accelerated(credential.Key).Sign(rand.Reader, digest, crypto.SHA256)
//
// Credentials hold the key itself, which can be written to a file; who signs much asks for the accelerated one each
// time: that costs next to nothing, since the key's form in libcrypto is kept for as long as the key lives.
func Accelerated(key crypto.Signer) crypto.Signer { return accelerated(key) }

// RSASigner names what signs with RSA keys in this build, for those who compare machines.
func RSASigner() string { return rsaSigner() }
