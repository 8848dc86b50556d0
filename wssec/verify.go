package wssec

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"gsigw/gsi"
	"gsigw/soap"
	"gsigw/soap/xmlscan"
	"gsigw/wssec/xmlenc"
)

// Verifier checks signed messages. A zero field means the default in brackets.
type Verifier struct {
	Trust      Trust
	Now        func() time.Time // [time.Now]
	Skew       time.Duration    // how far Created may be from now, either way [5m]
	Replay     Replay           // nil: replays are not looked for
	Algorithms Algorithms

	// Certificates are those that a message may name by issuer and serial number, by key identifier or by thumbprint
	// without bringing them. They must hold in Trust as any other.
	Certificates []*x509.Certificate

	// Decrypt opens what came encrypted; nil: it stays as it came.
	Decrypt *Decryption

	// IgnoreSignedInfoPrefixes is a quirk of GT4: InclusiveNamespaces on the CanonicalizationMethod is ignored
	// (facts/gt4-wire.md).
	IgnoreSignedInfoPrefixes bool

	MaxReferences   int // in one signature [128]
	MaxCertificates int // in one token [16]
}

func (v *Verifier) now() time.Time {
	if v.Now != nil {
		return v.Now()
	}
	return time.Now()
}

func (v *Verifier) skew() time.Duration {
	if v.Skew > 0 {
		return v.Skew
	}
	return 5 * time.Minute
}

func (v *Verifier) maxReferences() int {
	if v.MaxReferences > 0 {
		return v.MaxReferences
	}
	return 128
}

func (v *Verifier) maxCertificates() int {
	if v.MaxCertificates > 0 {
		return v.MaxCertificates
	}
	return 16
}

// verification is one message's way through the verifier.
type verification struct {
	*Verifier
	m        *soap.Message
	expect   Expect
	security *soap.Node
	signed   map[*soap.Element]*part // by the element that was digested
	out      Verified

	encrypted encryption
	tokens    map[*soap.Node]decodedToken
}

// Verify checks a message: one Signature in the one security header for us, by a trusted signer, over Body, Timestamp
// and every addressing header and resource key that is there; in time; not seen before. Errors are *Error.
func (v *Verifier) Verify(ctx context.Context, m *soap.Message, e Expect) (*Verified, error) {
	c := &verification{Verifier: v, m: m, expect: e, signed: map[*soap.Element]*part{}, tokens: map[*soap.Node]decodedToken{}}
	c.out.m, c.out.keep = m, e.Keep
	if err := c.run(ctx); err != nil {
		return nil, classed(c.disclose(err))
	}
	return &c.out, nil
}

// run takes the steps in an order that spends little on a message that fails: for strangers nothing is digested.
func (v *verification) run(ctx context.Context) error {
	if err := v.findSecurity(); err != nil {
		return err
	}
	sig, signer, err := v.openSigned()
	if err != nil {
		return err
	}
	if err := v.checkReferences(sig); err != nil {
		return err
	}
	if err := v.proveOpened(); err != nil {
		return err
	}
	if err := v.openDigested(); err != nil {
		return err
	}
	if err := v.checkCoverage(); err != nil {
		return err
	}
	if err := v.checkTimestamp(); err != nil {
		return err
	}
	if err := v.checkConfirmation(); err != nil {
		return err
	}
	if err := v.checkRelatesTo(); err != nil {
		return err
	}
	return v.checkReplay(ctx, sig, signer)
}

// openSigned opens what comes before the signature, and says who signed the message that comes of it. For strangers
// nothing is opened, unless the security header hides who signed.
func (v *verification) openSigned() (sig *signature, signer *x509.Certificate, err error) {
	hidden := v.Decrypt != nil && v.security.Child(xmlenc.Space, "EncryptedData") != nil
	if !hidden {
		if sig, signer, err = v.checkSigned(); err != nil {
			return nil, nil, err
		}
	}
	if err := v.openFirst(); err != nil {
		return nil, nil, err
	}
	if len(v.encrypted.opened) == 0 && !hidden {
		return sig, signer, nil
	}
	v.out.Signer = nil // what was received is done with
	return v.checkSigned()
}

// checkSigned finds who signed SignedInfo, and refuses strangers.
func (v *verification) checkSigned() (*signature, *x509.Certificate, error) {
	sig, err := v.parseSignature()
	if err != nil {
		return nil, nil, err
	}
	chain, err := v.signerChain(sig.keyInfo)
	if err != nil {
		return nil, nil, err
	}
	if err := v.checkSignature(sig, chain[0]); err != nil {
		return nil, nil, err
	}
	return sig, chain[0], v.checkSigner(chain)
}

// findSecurity takes the one security header that is for us. No role has two (WS-Security 1.0, section 5).
func (v *verification) findSecurity() error {
	var found *soap.Block
	others := map[string]bool{}
	for _, b := range v.m.Blocks {
		switch {
		case !isSecurity(b):
		case !b.ForUltimate():
			if others[b.Role] {
				return malformed("there are two security headers for the role %.80q", b.Role)
			}
			others[b.Role] = true
		case found != nil:
			return malformed("there are two security headers for the last receiver")
		default:
			found = b
		}
	}
	if found == nil {
		return &Error{Class: ClassNoSecurity, Msg: "the message has no security header for its last receiver"}
	}
	if v.m.HasDuplicateIDs() {
		return &Error{Class: ClassDuplicateID, Msg: "two elements have the same wsu:Id"}
	}
	tree, err := v.m.Tree(&found.Element)
	v.security = tree
	return err
}

func (v *verification) checkSigner(chain []*x509.Certificate) error {
	id, err := v.Trust.Verify(chain, v.now())
	if err != nil {
		return untrusted(err)
	}
	const signs = x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment
	if usage := chain[0].KeyUsage; usage != 0 && usage&signs == 0 {
		return untrusted(errors.New("the signer's certificate is not for signatures (its key usage says so)"))
	}
	if v.expect.Peer != nil {
		if err := v.expect.Peer(id); err != nil {
			return &Error{Class: ClassIdentity, Msg: fmt.Sprintf("the signer is %s, which is not the one expected", id.DN), Err: err}
		}
	}
	v.out.Signer = id
	return nil
}

// untrusted tells a chain that is out of its time from one that does not hold.
func untrusted(err error) error {
	class := ClassUntrusted
	if errors.Is(err, gsi.ErrExpired) {
		class = ClassExpired
	}
	return &Error{Class: class, Msg: "the signer's chain does not hold", Err: err}
}

func (v *verification) checkRelatesTo() error {
	a := v.m.Addressing
	v.out.MessageID, v.out.Addressing = a.MessageID, a
	if v.expect.Role != Reply {
		return nil
	}
	if len(a.RelatesTo) == 0 && v.expect.RelatesTo == "" && v.expect.Confirms != nil {
		return nil
	}
	if len(a.RelatesTo) == 0 {
		return &Error{Class: ClassRelatesTo, Msg: "the reply does not say which request it answers (RelatesTo)"}
	}
	if want := v.expect.RelatesTo; want != "" && (len(a.RelatesTo) != 1 || a.RelatesTo[0] != want) {
		return &Error{Class: ClassRelatesTo, Msg: fmt.Sprintf("the reply answers %.80q, not %.80q", a.RelatesTo, want)}
	}
	return nil
}

// checkReplay comes last: only what is otherwise good is remembered, so that strangers cannot fill the memory. A
// message without a MessageID is known by what was signed, and with which key: of signature values there is more than
// one to a message (ECDSA takes n-s for s).
func (v *verification) checkReplay(ctx context.Context, sig *signature, signer *x509.Certificate) error {
	if v.Replay == nil {
		return nil
	}
	id := "id:" + v.out.MessageID
	if v.out.MessageID == "" {
		id = fmt.Sprintf("signed:%x by %x", sig.digest, sha256.Sum256(signer.RawSubjectPublicKeyInfo))
	}
	err := v.Replay.Seen(ctx, id, v.out.Created.Add(v.skew()))
	if err != nil {
		return &Error{Class: ClassReplay, Msg: fmt.Sprintf("the message %.80q is refused", v.out.MessageID), Err: err}
	}
	return nil
}

// classed gives every error a class: those of the scanner and the tree keep theirs.
func classed(err error) error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return ReadError(err)
}

// ReadError is the refusal of a message that soap.Read refused.
func ReadError(err error) *Error {
	class := ClassMalformed
	if e, ok := errors.AsType[*xmlscan.Error](err); ok {
		switch e.Class {
		case xmlscan.Unreadable: // no fault of the message's, and whoever reads it may know more of the reason
			return &Error{Class: class, Msg: "the message cannot be read", Err: e.Err}
		case xmlscan.DTD:
			class = ClassDTD
		case xmlscan.Limit:
			class = ClassLimit
		}
	}
	return &Error{Class: class, Msg: err.Error()}
}
