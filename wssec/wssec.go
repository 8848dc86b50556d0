// Package wssec secures SOAP messages with WS-Security and verifies what comes back: as GT4's GSI Secure Message does, with
// proxy certificates (GSIMessage), and as services of today want it (X509Message, UsernameToken, SAMLToken).
//
// Securing a request yields a Pending, which is what its reply is held against; verifying yields a Verified, from
// which only signed octets can be read:
//
//	p := &wssec.GSIMessage{Digest: wssec.SHA256, Verifier: v}
//	edit, pending, err := p.Secure(ctx, request, credential)
//	...
//	verified, err := pending.Verify(ctx, reply, wssec.Expect{Peer: host})
//	plain, err := verified.Message(nil)
//
// There is one view of a message: the verifier works on the index that package soap made of the received bytes,
// references are bound to the places Envelope/Header/* and Envelope/Body, and what a Verified gives back is the very
// octets that were digested.
package wssec

import (
	"context"
	"crypto/x509"
	"time"

	"gsigw/gsi"
	"gsigw/soap"
)

// Profile is a way to secure a message.
type Profile interface {
	// Secure gives the message with its security header, and what its reply is to be held against. The credential is
	// the one to use now; the message is left as it is.
	Secure(ctx context.Context, m *soap.Message, c *gsi.Credential) (*soap.Edit, Pending, error)
}

// Pending is a secured request that waits for its reply.
type Pending interface {
	// Verify checks the reply. Errors are *Error.
	Verify(ctx context.Context, reply *soap.Message, e Expect) (*Verified, error)
}

// Trust decides whether a certificate chain (leaf first) is one to believe, and whose it is. *trust.Store is one.
type Trust interface {
	Verify(chain []*x509.Certificate, at time.Time) (*gsi.Identity, error)
}

// Role says what a verified message is; it decides which headers must be signed.
type Role uint8

// The roles.
const (
	Request Role = iota
	Reply
)

// Expect is what a message must live up to beyond a good signature.
type Expect struct {
	Role Role
	// Peer refuses a signer that is trusted but not the one wanted; nil takes every trusted signer.
	Peer func(*gsi.Identity) error
	// RelatesTo is the MessageID that a reply must answer; empty compares nothing.
	RelatesTo string
	// Confirms is the signature value that the message must confirm, and no other (WS-Security 1.1, section 8.5); nil
	// demands no confirmation. A confirmation binds a reply that has no RelatesTo, too.
	Confirms []byte
	// Require names parts that must be there and signed, besides those that always must.
	Require []soap.Name
	// Keep names namespaces, beside the well-known ones, whose unsigned bindings names in the message may depend on; see
	// Verified.Message. What was decrypted after it was digested is refused where it needs another.
	Keep []string
	// Encrypted demands that all of Body's content came encrypted; the verifier needs a key.
	Encrypted bool
	// Hidden are elements that may not stand in Body in the clear; a message without them has nothing to hide. The
	// verifier needs a key.
	Hidden []soap.Name
}

// Class says why a message was refused. They are the reasons that `gsigw verify` prints.
type Class string

// The classes.
const (
	ClassDigest       Class = "digest"        // a signed part was changed
	ClassSignature    Class = "signature"     // SignedInfo was changed, or another key signed
	ClassUntrusted    Class = "untrusted"     // the signer's chain does not hold
	ClassIdentity     Class = "identity"      // a trusted signer, but not the one wanted
	ClassExpired      Class = "expired"       // outside its time
	ClassReplay       Class = "replay"        // seen before, or the memory of what was seen is full
	ClassRelatesTo    Class = "relates-to"    // answers another request
	ClassUnsignedPart Class = "unsigned-part" // what must be signed is not
	ClassWrapped      Class = "wrapped"       // a signed part is not where it counts
	ClassMalformed    Class = "malformed"
	ClassAlgorithm    Class = "algorithm" // not one that is allowed here
	ClassDuplicateID  Class = "duplicate-id"
	ClassDTD          Class = "dtd"
	ClassLimit        Class = "limit"
	ClassNoSecurity   Class = "no-security" // no security header for us
	ClassDecrypt      Class = "decrypt"
)

// Error is a refusal. Its words are for operators; a peer is told nothing but that the check failed.
type Error struct {
	Class Class
	Msg   string
	Err   error

	// Hidden is why a message of ClassDecrypt was refused that did decrypt: its signer is unknown, say. It is for an
	// operator's log; whoever else learns of it learns what the message holds.
	Hidden error
}

func (e *Error) Error() string {
	if e.Err != nil {
		return e.Msg + ": " + e.Err.Error()
	}
	return e.Msg
}

func (e *Error) Unwrap() error { return e.Err }
