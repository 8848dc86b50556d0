package wssec

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gsigw/gsi"
	"gsigw/soap"
)

// Confirmation is how a service knows that who sends an assertion may do so (SAML token profile 1.1, section 3.5).
type Confirmation uint8

// The methods.
const (
	HolderOfKey Confirmation = iota // the message is signed with the key that the assertion names
	Bearer                          // whoever has it may use it
)

// ParseConfirmation reads "holder-of-key" or "bearer".
func ParseConfirmation(s string) (Confirmation, error) {
	switch s {
	case "", "holder-of-key":
		return HolderOfKey, nil
	case "bearer":
		return Bearer, nil
	}
	return 0, fmt.Errorf("wssec: the confirmation %q is neither holder-of-key nor bearer", s)
}

// SAMLToken puts an assertion, SAML 1.1 or 2.0, byte for byte into the security header and signs it with the message
// (SAML token profile 1.1). The assertion is checked before it is sent: its issuer's signature, its times, its audience,
// and whose key it names.
type SAMLToken struct {
	Assertion    func(context.Context) ([]byte, error) // asked for each message
	Confirmation Confirmation
	Issuer       Trust    // of the assertion's signer
	Audience     []string // one of these must be among the assertion's audiences, where it has any; none: not looked at

	Digest      Digest           // of the message's signature; SHA-1 is refused
	Token       Token            // of the credential, for a bearer's assertion
	DropHeaders []soap.Name      // header blocks that are left out instead of signed
	Lifetime    time.Duration    // from Created to Expires [5m]
	Skew        time.Duration    // how far the issuer's clock may be from ours [1m]
	Now         func() time.Time // [time.Now]
	Verifier    *Verifier        // of the reply

	// SignatureConfirmation demands a reply that repeats our signature value, signed (WS-Security 1.1, section 8.5).
	SignatureConfirmation bool
	// Unsigned sends a bearer's assertion without a signature over the message: only TLS protects it. The credential is
	// not used, and may be nil; the Pending is UnsignedReply.
	Unsigned bool
	// Unanswered signs a message without a MessageID, whose reply could not be told from another's.
	Unanswered bool
}

// Secure checks the assertion and puts it in.
func (p *SAMLToken) Secure(ctx context.Context, m *soap.Message, c *gsi.Credential) (*soap.Edit, Pending, error) {
	return nil, nil, errors.ErrUnsupported
}
