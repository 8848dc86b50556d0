package myproxy

import (
	"crypto"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"regexp"
	"slices"
	"strings"

	_ "crypto/sha1" // the hashes of the proofs
	_ "crypto/sha256"

	"gsigw/gsi"
)

// method is a way of authorization that is known here, by its name in an offer and its number in the answer
// (myproxy_authorization.h). SASL is a fourth, with the number 3.
type method struct {
	name   string
	number byte
	hash   crypto.Hash // of a proof; 0: the passphrase is the proof
}

// methods are in the order of preference.
var methods = []method{
	{"X509_certificate_SHA256", 4, crypto.SHA256}, // of newer servers
	{"X509_certificate", 2, crypto.SHA1},
	{"password", 1, 0},
}

// maxRounds bounds how often a server may ask for authorization.
const maxRounds = 3

// challengePattern is what a server gives to be signed: 16 random bytes in hexadecimal. Nothing else is signed, lest a
// server has us sign a certificate of its own making.
var challengePattern = regexp.MustCompile(`^[0-9a-f]{32}$`)

// authorization answers one of the offers (section A.6). The first byte of the answer is the number of the method, the
// next three say nothing.
func (s *session) authorization(offers []offer) ([]byte, error) {
	for _, m := range methods {
		i := slices.IndexFunc(offers, func(o offer) bool { return o.method == m.name })
		if i < 0 || !s.canProve(m) {
			continue
		}
		proof := append([]byte(s.request.passphrase), 0)
		if m.hash != 0 {
			var err error
			if proof, err = proveRenewal(s.renew, offers[i].data, m.hash); err != nil {
				return nil, err
			}
		}
		return slices.Concat([]byte{m.number, 0, 0, 0}, proof), nil
	}
	return nil, fmt.Errorf("%w: it takes %s: give the passphrase, or the proxy to be renewed", ErrAuthorization, list(offers))
}

func (s *session) canProve(m method) bool {
	if m.hash != 0 {
		return s.renew != nil
	}
	return s.renew == nil && s.request.passphrase != ""
}

func list(offers []offer) string {
	if len(offers) == 0 {
		return "none that it names"
	}
	var names []string
	for _, o := range offers {
		names = append(names, harmless(o.method))
	}
	return strings.Join(names, ", ")
}

// proveRenewal signs the challenge with the key of the credential to be renewed: the length of the signature in four
// bytes, the signature, and the chain (auth_cert_create_client_data; the chain's count is one byte there, where
// PROTOCOL says four).
func proveRenewal(old *gsi.Credential, challenge string, hash crypto.Hash) ([]byte, error) {
	if !challengePattern.MatchString(challenge) {
		return nil, protocolError("it wants something signed that is no challenge; 32 hexadecimal digits are")
	}
	h := hash.New()
	h.Write([]byte(challenge))
	signature, err := old.Key.Sign(rand.Reader, h.Sum(nil), hash)
	if err != nil {
		return nil, fmt.Errorf("myproxy: sign with the credential to be renewed: %w", err)
	}
	chain, err := encodeChain(old.Chain)
	if err != nil {
		return nil, err
	}
	return slices.Concat(binary.BigEndian.AppendUint32(nil, uint32(len(signature))), signature, chain), nil
}
