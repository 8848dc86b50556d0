package wssec

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gsigw/gsi"
	"gsigw/soap"
	"gsigw/soap/xmlscan"
	"gsigw/wssec/c14n"
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
	Privacy     *Encryption      // encrypt, then sign; nil: the message stays readable

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
	now := p.now()
	if err := p.refuse(m, c, now); err != nil {
		return nil, nil, err
	}
	s := &signing{GSIMessage: p, m: m, c: c}
	edit, err := s.run(now.UTC().Truncate(time.Second))
	if err != nil {
		return nil, nil, err
	}
	return edit, &pendingReply{verifier: p.Verifier, messageID: m.Addressing.MessageID}, nil
}

func (p *GSIMessage) now() time.Time {
	if p.Now != nil {
		return p.Now()
	}
	return time.Now()
}

func (p *GSIMessage) refuse(m *soap.Message, c *gsi.Credential, now time.Time) error {
	for _, b := range m.Blocks {
		if isSecurity(b) && b.ForUltimate() {
			return ErrEngineSecurity
		}
	}
	if m.Addressing.MessageID == "" && !p.Unanswered {
		return ErrNoMessageID
	}
	if now.After(c.NotAfter()) {
		return ErrCredentialExpired
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
}

func (p *pendingReply) Verify(ctx context.Context, reply *soap.Message, e Expect) (*Verified, error) {
	if p.messageID == "" {
		return nil, &Error{Class: ClassRelatesTo, Msg: "the request had no MessageID that a reply could answer"}
	}
	e.Role, e.RelatesTo = Reply, p.messageID
	return p.verifier.Verify(ctx, reply, e)
}

// signing makes one secured message.
type signing struct {
	*GSIMessage
	m          *soap.Message
	c          *gsi.Credential
	changes    []soap.Change
	references bytes.Buffer
}

func (s *signing) run(created time.Time) (*soap.Edit, error) {
	valueType, der, err := s.Token.encode(s.c)
	if err != nil {
		return nil, err
	}
	method, err := methodFor(s.c.Key.Public(), s.Digest)
	if err != nil {
		return nil, err
	}
	timestampID, timestamp := s.timestamp(created)
	s.reference(timestampID, digestOf(s.Digest.hash(), timestamp))
	if err := s.parts(); err != nil {
		return nil, err
	}
	signedInfo := fmt.Appendf(nil, `<ds:SignedInfo xmlns:ds="%s"><ds:CanonicalizationMethod Algorithm="%s"></ds:CanonicalizationMethod>`+
		`<ds:SignatureMethod Algorithm="%s"></ds:SignatureMethod>%s</ds:SignedInfo>`, dsig, c14n.ExclusiveURI, signatureURI(method), s.references.Bytes())
	value, err := sign(s.c.Key, rand.Reader, method.hash, digestOf(method.hash, signedInfo))
	if err != nil {
		return nil, fmt.Errorf("wssec: signing: %w", err)
	}
	header := s.header(valueType, der, signedInfo, value, timestamp)
	return s.m.Edit(append(s.changes, s.m.PutHeaders(header))...)
}

func digestOf(h crypto.Hash, b []byte) []byte {
	d := h.New()
	d.Write(b)
	return d.Sum(nil)
}

// timestamp is written in canonical form: what is written is what is hashed.
func (s *signing) timestamp(created time.Time) (id string, b []byte) {
	lifetime := s.Lifetime
	if lifetime == 0 {
		lifetime = 5 * time.Minute
	}
	id = s.newID("id-")
	return id, fmt.Appendf(nil, `<wsu:Timestamp xmlns:wsu="%s" wsu:Id="%s"><wsu:Created>%s</wsu:Created><wsu:Expires>%s</wsu:Expires></wsu:Timestamp>`,
		soap.WSU, id, created.Format(time.RFC3339), created.Add(lifetime).Format(time.RFC3339))
}

// newID is an id that no element of the message has.
func (s *signing) newID(prefix string) string {
	for {
		var b [16]byte
		rand.Read(b[:]) // never fails (crypto/rand)
		if id := prefix + hex.EncodeToString(b[:]); s.m.CountID(id) == 0 {
			return id
		}
	}
}

// parts digests Body and the header blocks, giving them ids, and drops those that the route drops.
func (s *signing) parts() error {
	if err := s.part(&s.m.Body); err != nil {
		return err
	}
	for _, b := range s.m.Blocks {
		switch {
		case isSecurity(b):
		case slices.Contains(s.DropHeaders, b.Name):
			s.changes = append(s.changes, soap.Change{Span: b.Span})
		default:
			if err := s.part(&b.Element); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *signing) part(e *soap.Element) error {
	method := c14n.Method{Exclusive: true}
	id := e.ID
	if !e.WSUID {
		id = s.newID("id-")
		method.ApexID = &c14n.ID{Prefix: "wsu", Space: soap.WSU, Local: "Id", Value: id}
	} else if id == "" || strings.ContainsAny(id, "&<>\"' \t\r\n") || s.m.CountID(id) != 1 {
		return &xmlscan.Error{Class: xmlscan.Malformed, Offset: e.Span.Start, Msg: fmt.Sprintf("has on %s the wsu:Id %.80q, which is no id or not the only one of its value", e.Name, id)}
	}
	h := s.Digest.hash().New()
	if err := c14n.Write(h, s.m.Scan(e), method); err != nil {
		return err
	}
	if a := method.ApexID; a != nil {
		s.changes = append(s.changes, soap.Insert(e.NameEnd, idAttribute(a.Prefix, id, a.Declared)))
	}
	s.reference(id, h.Sum(nil))
	return nil
}

func idAttribute(prefix, id string, declared bool) []byte {
	if declared {
		return fmt.Appendf(nil, ` %s:Id="%s"`, prefix, id)
	}
	return fmt.Appendf(nil, ` xmlns:%s="%s" %[1]s:Id="%[3]s"`, prefix, soap.WSU, id)
}

func (s *signing) reference(id string, digest []byte) {
	fmt.Fprintf(&s.references, `<ds:Reference URI="#%s"><ds:Transforms><ds:Transform Algorithm="%s"></ds:Transform></ds:Transforms>`+
		`<ds:DigestMethod Algorithm="%s"></ds:DigestMethod><ds:DigestValue>%s</ds:DigestValue></ds:Reference>`,
		id, c14n.ExclusiveURI, digestURI(s.Digest.hash()), base64.StdEncoding.EncodeToString(digest))
}

// header writes the security header (WS-Security 1.0, section 5).
func (s *signing) header(valueType string, token, signedInfo, value, timestamp []byte) []byte {
	var b bytes.Buffer
	b.Grow(len(token)*4/3 + len(signedInfo) + len(timestamp) + 2<<10)
	b64 := base64.StdEncoding.EncodeToString
	tokenID := s.newID("CertId-")
	fmt.Fprintf(&b, `<wsse:Security xmlns:wsse="%s" xmlns:soapenv="%s" soapenv:mustUnderstand="1">`, soap.WSSE, s.m.Version.Space())
	fmt.Fprintf(&b, `<wsse:BinarySecurityToken xmlns:wsu="%s" EncodingType="%s" ValueType="%s" wsu:Id="%s">%s</wsse:BinarySecurityToken>`,
		soap.WSU, base64Binary, valueType, tokenID, b64(token))
	fmt.Fprintf(&b, `<ds:Signature xmlns:ds="%s">%s<ds:SignatureValue>%s</ds:SignatureValue><ds:KeyInfo Id="%s">`,
		dsig, signedInfo, b64(value), s.newID("KeyId-"))
	fmt.Fprintf(&b, `<wsse:SecurityTokenReference xmlns:wsu="%s" wsu:Id="%s"><wsse:Reference URI="#%s" ValueType="%s"></wsse:Reference></wsse:SecurityTokenReference>`,
		soap.WSU, s.newID("STRId-"), tokenID, valueType)
	fmt.Fprintf(&b, `</ds:KeyInfo></ds:Signature>%s</wsse:Security>`, timestamp)
	return b.Bytes()
}
