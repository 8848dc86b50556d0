package wssec

import (
	"context"
	"errors"
	"time"

	"gsigw/gsi"
	"gsigw/soap"
)

// UsernameToken puts a user's name and password into the security header, and a Timestamp (UsernameToken profile 1.1,
// section 3). Nothing is signed: only over TLS does that say who calls and hide what is said. The Pending is
// UnsignedReply.
type UsernameToken struct {
	User     string
	Password func(context.Context) ([]byte, error) // asked for each message; the bytes are erased after use

	// Digest sends the password's digest over a nonce and the time instead of the password.
	Digest   bool
	Lifetime time.Duration    // of the Timestamp [5m]
	Now      func() time.Time // [time.Now]
}

// UnsignedReply is the Pending of a request in which nothing is signed, so that its reply is not either. It verifies
// nothing: Verify refuses every reply. Who knows from the transport whose the reply is (TLS with the peer's certificate
// checked) looks for this type, and passes the reply on as one without message security:
//
//	if _, ok := pending.(wssec.UnsignedReply); ok && overTLS {
type UnsignedReply struct{}

// Verify refuses the reply.
func (UnsignedReply) Verify(context.Context, *soap.Message, Expect) (*Verified, error) {
	return nil, &Error{Class: ClassNoSecurity, Msg: "the request was not signed, so its reply proves nothing; only TLS can tell whose it is"}
}

// Secure puts the token in. The credential is not used, and may be nil.
func (p *UsernameToken) Secure(ctx context.Context, m *soap.Message, _ *gsi.Credential) (*soap.Edit, Pending, error) {
	return nil, nil, errors.ErrUnsupported
}
