package wssec

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"

	"gsigw/gsi"
	"gsigw/soap"
)

// GSIMessage is GSI Secure Message with a signature, in the order and form of a GT4 client (facts/gt4-wire.md, capture
// 02): token, one Signature over Body, Timestamp and every header block outside wsse:Security, Timestamp.
type GSIMessage struct {
	Digest      Digest
	Token       Token
	DropHeaders []soap.Name      // header blocks that are left out instead of signed
	Lifetime    time.Duration    // from Created to Expires [5m]
	Now         func() time.Time // [time.Now]
	Verifier    *Verifier        // of the reply
	Privacy     *Encryption      // encrypt, then sign, and demand as much of the reply; nil: the message stays readable

	// Unanswered signs a message without a MessageID, whose reply could not be told from another's.
	Unanswered bool
}

var (
	// ErrEngineSecurity means that the message has a security header for its last receiver already: it would either
	// be believed in the user's name or break the user's signature.
	ErrEngineSecurity = errors.New("wssec: the message already has a wsse:Security header for the service; send it without one")
	// ErrNoMessageID means that no reply could be held against the request.
	ErrNoMessageID = errors.New("wssec: the message has no wsa:MessageID, so its reply could not be told from another's; let the route add addressing headers")
	// ErrCredentialExpired means that nobody would accept the signature.
	ErrCredentialExpired = errors.New("wssec: the credential has expired; make a new proxy")
)

// Secure signs the message.
func (p *GSIMessage) Secure(_ context.Context, m *soap.Message, c *gsi.Credential) (*soap.Edit, Pending, error) {
	now := instantOf(p.Now)
	if err := refuse(m, c, now, p.Unanswered); err != nil {
		return nil, nil, err
	}
	hidden, encrypted, verifier := m, ownKey{}, p.Verifier
	if p.Privacy != nil {
		var err error
		if hidden, encrypted, err = p.Privacy.beforeSigning(m, p.DropHeaders, true); err != nil {
			return nil, nil, err
		}
		if verifier, err = p.Privacy.ofReplies(verifier, c); err != nil {
			return nil, nil, err
		}
	}
	s := &signing{m: hidden, key: c.Key, digest: p.Digest, drop: p.DropHeaders}
	edit, err := p.sign(s, c, now, encrypted.bytes())
	if err != nil {
		return nil, nil, err
	}
	return edit, &pendingReply{verifier: verifier, messageID: m.Addressing.MessageID, privacy: p.Privacy}, nil
}

func (p *GSIMessage) sign(s *signing, c *gsi.Credential, now time.Time, encryptedKey []byte) (*soap.Edit, error) {
	valueType, der, err := p.Token.encode(c)
	if err != nil {
		return nil, err
	}
	timestampID, timestamp := s.timestamp(now, p.Lifetime)
	if err := s.own(timestampID, timestamp); err != nil {
		return nil, err
	}
	if err := s.parts(); err != nil {
		return nil, err
	}
	tokenID := s.newID("CertId-")
	signature, err := s.signature(func() []byte {
		return fmt.Appendf(nil, `<ds:KeyInfo Id="%s"><wsse:SecurityTokenReference xmlns:wsu="%s" wsu:Id="%s">`+
			`<wsse:Reference URI="#%s" ValueType="%s"></wsse:Reference></wsse:SecurityTokenReference></ds:KeyInfo>`,
			s.newID("KeyId-"), soap.WSU, s.newID("STRId-"), tokenID, valueType)
	})
	if err != nil {
		return nil, err
	}
	return s.m.Edit(append(s.changes, s.m.PutHeaders(p.header(s, tokenID, valueType, der, signature, timestamp, encryptedKey)))...)
}

// header writes the security header (WS-Security 1.0, section 5).
func (p *GSIMessage) header(s *signing, tokenID, valueType string, token, signature, timestamp, encryptedKey []byte) []byte {
	var b bytes.Buffer
	b.Grow(len(token)*4/3 + len(signature) + len(timestamp) + len(encryptedKey) + 1<<10)
	fmt.Fprintf(&b, `<wsse:Security xmlns:wsse="%s" xmlns:soapenv="%s" soapenv:mustUnderstand="1">`, soap.WSSE, s.m.Version.Space())
	fmt.Fprintf(&b, `<wsse:BinarySecurityToken xmlns:wsu="%s" EncodingType="%s" ValueType="%s" wsu:Id="%s">%s</wsse:BinarySecurityToken>`,
		soap.WSU, base64Binary, valueType, tokenID, base64.StdEncoding.EncodeToString(token))
	b.Write(signature)
	b.Write(timestamp)
	b.Write(encryptedKey)
	b.WriteString(`</wsse:Security>`)
	return b.Bytes()
}

func instantOf(now func() time.Time) time.Time {
	if now != nil {
		return now()
	}
	return time.Now()
}

// refuse looks for what makes a signature pointless: unanswered says that nobody looks at a reply.
func refuse(m *soap.Message, c *gsi.Credential, now time.Time, unanswered bool) error {
	if err := refuseEngineSecurity(m); err != nil {
		return err
	}
	if m.Addressing.MessageID == "" && !unanswered {
		return ErrNoMessageID
	}
	if now.After(c.NotAfter()) {
		return ErrCredentialExpired
	}
	return nil
}

func refuseEngineSecurity(m *soap.Message) error {
	for _, b := range m.Blocks {
		if isSecurity(b) && b.ForUltimate() {
			return ErrEngineSecurity
		}
	}
	return nil
}

func isSecurity(b *soap.Block) bool {
	return b.Name == soap.Name{Space: soap.WSSE, Local: "Security"}
}

// pendingReply holds a reply against its request.
type pendingReply struct {
	verifier  *Verifier
	messageID string
	confirms  []byte      // the signature value to confirm, nil where none need be
	privacy   *Encryption // it must come as the request went
}

func (p *pendingReply) Verify(ctx context.Context, reply *soap.Message, e Expect) (*Verified, error) {
	if p.messageID == "" && p.confirms == nil {
		return nil, &Error{Class: ClassRelatesTo, Msg: "the request had no MessageID that a reply could answer"}
	}
	e.Role, e.RelatesTo, e.Confirms = Reply, p.messageID, p.confirms
	if p.privacy != nil {
		e.Encrypted = e.Encrypted || len(p.privacy.Elements) == 0
		e.Hidden = append(slices.Clip(e.Hidden), p.privacy.Elements...)
	}
	return p.verifier.Verify(ctx, reply, e)
}
