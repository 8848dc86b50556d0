package wssec

import (
	"context"
	"errors"
	"time"

	"gsigw/gsi"
	"gsigw/soap"
)

// X509Message is WS-Security with an X.509 signature as services of today want it (WS-Security 1.1, X.509 token profile
// 1.1, within the Basic Security Profile 1.1): Timestamp, token, Signature, in this order, over Body, Timestamp and
// every header block outside wsse:Security.
type X509Message struct {
	Digest       Digest // SHA-1 is refused
	Token        Token  // the form of the token, where KeyReference is one
	KeyReference KeyReference
	DropHeaders  []soap.Name      // header blocks that are left out instead of signed
	Lifetime     time.Duration    // from Created to Expires [5m]
	Now          func() time.Time // [time.Now]
	Verifier     *Verifier        // of the reply

	// SignToken covers the token with the signature; there must be one.
	SignToken bool
	// InclusiveNamespaces names, with every canonicalization, the prefixes in scope that it would not show
	// (Basic Security Profile 1.1, R5405 to R5408).
	InclusiveNamespaces bool
	// SignatureConfirmation demands a reply that repeats our signature value, signed (WS-Security 1.1, section 8.5).
	// It binds the reply to the request also where there are no addressing headers.
	SignatureConfirmation bool
	// Unanswered signs a message whose reply could not be told from another's: one without a MessageID and without
	// SignatureConfirmation.
	Unanswered bool
}

// Secure signs the message.
func (p *X509Message) Secure(_ context.Context, m *soap.Message, c *gsi.Credential) (*soap.Edit, Pending, error) {
	return nil, nil, errors.ErrUnsupported
}
