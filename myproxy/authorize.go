package myproxy

import (
	"crypto"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"regexp"
	"slices"
	"strings"

	_ "crypto/sha1" // what the challenge is signed over

	"gsigw/gsi"
)

// The methods of authorization that are known here, by name in an offer and number in the answer
// (myproxy_authorization.h). SASL is a third.
const (
	methodPassword    = "password"
	methodCertificate = "X509_certificate"

	numberPassword    = 1
	numberCertificate = 2
)

// maxRounds bounds how often a server may ask for authorization.
const maxRounds = 3

// challengePattern is what a server gives to be signed: 16 random bytes in hexadecimal. Nothing else is signed, lest a
// server has us sign a certificate of its own making.
var challengePattern = regexp.MustCompile(`^[0-9a-f]{32}$`)

// authorization answers one of the offers (section A.6). The first byte of the answer is the number of the method, the
// next three say nothing.
func (s *session) authorization(offers []offer) ([]byte, error) {
	for _, o := range offers {
		switch {
		case o.method == methodCertificate && s.renew != nil:
			proof, err := proveRenewal(s.renew, o.data)
			return slices.Concat([]byte{numberCertificate, 0, 0, 0}, proof), err
		case o.method == methodPassword && s.renew == nil && s.passphrase != "":
			return slices.Concat([]byte{numberPassword, 0, 0, 0}, []byte(s.passphrase), []byte{0}), nil
		}
	}
	var methods []string
	for _, o := range offers {
		methods = append(methods, harmless(o.method))
	}
	return nil, fmt.Errorf("%w: it takes %s: give the passphrase, or the proxy to be renewed", ErrAuthorization, strings.Join(methods, ", "))
}

// proveRenewal signs the challenge with the key of the credential to be renewed: the length of the signature in four
// bytes, the signature over the SHA-1 of the text, and the chain (auth_cert_create_client_data; the chain's count is
// one byte there, where PROTOCOL says four).
func proveRenewal(old *gsi.Credential, challenge string) ([]byte, error) {
	if !challengePattern.MatchString(challenge) {
		return nil, protocolError("it wants something signed that is no challenge; 32 hexadecimal digits are")
	}
	h := crypto.SHA1.New()
	h.Write([]byte(challenge))
	signature, err := old.Key.Sign(rand.Reader, h.Sum(nil), crypto.SHA1)
	if err != nil {
		return nil, fmt.Errorf("myproxy: sign with the credential to be renewed: %w", err)
	}
	chain, err := encodeChain(old.Chain)
	if err != nil {
		return nil, err
	}
	return slices.Concat(binary.BigEndian.AppendUint32(nil, uint32(len(signature))), signature, chain), nil
}
