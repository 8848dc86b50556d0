package wssec

import (
	"crypto"
	"crypto/x509"
)

// Decryption is what a verifier opens encrypted messages with.
type Decryption struct {
	Key          crypto.Decrypter    // RSA
	Certificates []*x509.Certificate // those of the key, by which senders name it; empty: every key that is sent is tried

	// CBC and RSA15 take what hides content from those only who cannot send it changed. A route that names them has
	// a peer that knows nothing better.
	CBC, RSA15 bool
}
