package wssec

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"gsigw/gsi"
	"gsigw/soap"
	"gsigw/soap/xmlscan"
	"gsigw/wssec/c14n"
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

func (c Confirmation) String() string {
	if c == Bearer {
		return "bearer"
	}
	return "holder-of-key"
}

// SAMLToken puts an assertion, SAML 1.1 or 2.0, byte for byte into the security header and signs it with the message
// (SAML token profile 1.1). A holder of key signs with the key that the assertion names, and is named by it; a bearer
// signs with a certificate that goes along. The assertion is checked before it is sent, since a service that refuses one
// seldom says why: its issuer's signature, its times, its audience, and whose key it names.
type SAMLToken struct {
	Assertion    func(context.Context) ([]byte, error) // asked for each message
	Confirmation Confirmation

	// Issuer judges the chain of the assertion's signer, and Issuers are those that may be it; there must be one of the
	// two. Where every user has a certificate that holds in Issuer, name the Issuers.
	Issuer  Trust
	Issuers []*x509.Certificate
	SHA1    bool // take an assertion that was signed with SHA-1

	Audience    []string         // one of these must be among the assertion's audiences, where it has any; none: not looked at
	Digest      Digest           // of the message's signature; SHA-1 is refused
	Token       Token            // of the credential, for a bearer
	DropHeaders []soap.Name      // header blocks that are left out instead of signed
	Lifetime    time.Duration    // from Created to Expires [5m]
	Skew        time.Duration    // how far the issuer's clock may be ahead of ours [1m]
	Now         func() time.Time // [time.Now]
	Verifier    *Verifier        // of the reply

	// SignatureConfirmation demands a reply that repeats our signature value, signed (WS-Security 1.1, section 8.5).
	SignatureConfirmation bool
	// Unsigned sends a bearer's assertion without a signature over the message: only TLS protects it. The credential is
	// not used, and may be nil; the Pending is UnsignedReply.
	Unsigned bool
	// Unanswered signs a message whose reply could not be told from another's: one without a MessageID and without
	// SignatureConfirmation.
	Unanswered bool
}

// ErrUnsignedHolder means that a holder of key was to send an assertion without showing that he holds the key.
var ErrUnsignedHolder = errors.New("wssec: holder-of-key is shown by a signature, which takes the credential; only a bearer needs none")

// Secure checks the assertion and puts it in.
func (p *SAMLToken) Secure(ctx context.Context, m *soap.Message, c *gsi.Credential) (*soap.Edit, Pending, error) {
	now := instantOf(p.Now)
	if err := p.refuse(m, c, now); err != nil {
		return nil, nil, err
	}
	a, err := p.assertion(ctx, m, c, now)
	if err != nil {
		return nil, nil, err
	}
	if p.Unsigned {
		header, err := samlHeader(m, timestamp(newID(m, "TS-"), now, p.Lifetime), a.raw)
		if err != nil {
			return nil, nil, err
		}
		edit, err := m.Edit(m.PutHeaders(header))
		return edit, UnsignedReply{}, err
	}
	s := &signing{m: m, key: c.Key, digest: p.Digest, drop: p.DropHeaders}
	edit, err := p.sign(s, a, c, now)
	if err != nil {
		return nil, nil, err
	}
	pending := &pendingReply{verifier: withoutQuirk(p.Verifier), messageID: m.Addressing.MessageID}
	if p.SignatureConfirmation {
		pending.confirms = s.value
	}
	return edit, pending, nil
}

func (p *SAMLToken) refuse(m *soap.Message, c *gsi.Credential, now time.Time) error {
	switch {
	case p.Unsigned && p.Confirmation != Bearer, !p.Unsigned && c == nil:
		return ErrUnsignedHolder
	case p.Unsigned:
		return refuseEngineSecurity(m)
	case p.Digest == SHA1:
		return ErrWeakDigest
	}
	return refuse(m, c, now, p.Unanswered || p.SignatureConfirmation)
}

// assertion is the one to send now, checked.
func (p *SAMLToken) assertion(ctx context.Context, m *soap.Message, c *gsi.Credential, now time.Time) (*assertion, error) {
	doc, err := p.Assertion(ctx)
	if err != nil {
		return nil, fmt.Errorf("wssec: the SAML assertion: %w", err)
	}
	a, err := parseAssertion(doc)
	if err != nil {
		return nil, err
	}
	if err := checkIDs(m, a.tree); err != nil {
		return nil, err
	}
	if err := a.checkIssuer(p, m, now); err != nil {
		return nil, err
	}
	if err := a.checkConditions(now, p.skew(), p.Audience); err != nil {
		return nil, err
	}
	if c == nil {
		return a, a.checkSubjects(p.Confirmation, now, p.skew(), nil)
	}
	return a, a.checkSubjects(p.Confirmation, now, p.skew(), c.Key.Public())
}

// checkIDs refuses an element that would bring an id which the message has, whatever kind of id a reader takes it for.
func checkIDs(m *soap.Message, n *soap.Node) error {
	for _, attr := range n.Attrs {
		if isID := strings.EqualFold(attr.Name.Local, "id") || attr.Name.Local == "AssertionID"; isID && m.CountID(attr.Value) > 0 {
			return refuseAssertion("an element of the message has the id %.80s, which is one of its own", attr.Value)
		}
	}
	for _, child := range n.Children {
		if err := checkIDs(m, child); err != nil {
			return err
		}
	}
	return nil
}

func (p *SAMLToken) skew() time.Duration {
	if p.Skew > 0 {
		return p.Skew
	}
	return time.Minute
}

// sign covers the assertion by way of a reference to it: the signer's own (holder of key), or one beside the signature.
func (p *SAMLToken) sign(s *signing, a *assertion, c *gsi.Credential, now time.Time) (*soap.Edit, error) {
	id := s.newID("STR-")
	toAssertion := a.reference(id)
	timestampID, timestamp := s.timestamp(now, p.Lifetime)
	if err := s.own(timestampID, timestamp); err != nil {
		return nil, err
	}
	if err := s.assertion(a, id); err != nil {
		return nil, err
	}
	if err := s.parts(); err != nil {
		return nil, err
	}
	var token, beside []byte
	signer := toAssertion
	if p.Confirmation == Bearer {
		t, err := newBinaryToken(s.m, p.Token, c)
		if err != nil {
			return nil, err
		}
		token, beside, signer = t.element, toAssertion, t.reference()
	}
	signature, err := s.signature(func() []byte { return fmt.Appendf(nil, `<ds:KeyInfo>%s</ds:KeyInfo>`, signer) })
	if err != nil {
		return nil, err
	}
	header, err := samlHeader(s.m, timestamp, token, a.raw, beside, signature)
	if err != nil {
		return nil, err
	}
	return s.m.Edit(append(s.changes, s.m.PutHeaders(header))...)
}

// reference names the assertion (SAML token profile 1.1, section 3.4).
func (a *assertion) reference(id string) []byte {
	return fmt.Appendf(nil, `<wsse:SecurityTokenReference xmlns:wsu="%s" xmlns:wsse11="%s" wsse11:TokenType="%s" wsu:Id="%s">`+
		`<wsse:KeyIdentifier ValueType="%s">%s</wsse:KeyIdentifier></wsse:SecurityTokenReference>`,
		soap.WSU, wsse11, a.tokenType, id, a.keyType, a.id)
}

// assertion digests the assertion in the place of the reference to it. No default namespace is in scope around it
// (samlHeader), so that its digest is the same wherever it stands.
func (s *signing) assertion(a *assertion, id string) error {
	var b bytes.Buffer
	if err := c14n.Write(&b, scanOwn(a.raw, &xmlscan.Scope{}), c14n.Method{Exclusive: true, Prefixes: []string{"#default"}}); err != nil {
		return err
	}
	s.referenceThrough(id, fmt.Appendf(nil, `<ds:Transform Algorithm="%s"><wsse:TransformationParameters xmlns:wsse="%s">`+
		`<ds:CanonicalizationMethod Algorithm="%s"></ds:CanonicalizationMethod></wsse:TransformationParameters></ds:Transform>`,
		strTransform, soap.WSSE, c14n.ExclusiveURI), digestOf(s.digest.hash(), emptyDefault(b.Bytes())))
	return nil
}

// samlHeader is a security header around an assertion, which brings all its namespaces but may count on having no default
// one.
func samlHeader(m *soap.Message, children ...[]byte) ([]byte, error) {
	header := securityHeader(m.Version, children...)
	scope, err := headerScope(m)
	if err != nil {
		return nil, err
	}
	if space, _ := scope.Lookup(""); space == "" {
		return header, nil
	}
	return bytes.Replace(header, []byte("<wsse:Security "), []byte(`<wsse:Security xmlns="" `), 1), nil
}
