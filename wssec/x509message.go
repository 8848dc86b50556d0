package wssec

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"gsigw/gsi"
	"gsigw/soap"
	"gsigw/soap/xmlscan"
)

// X509Message is WS-Security with an X.509 signature as services of today want it (WS-Security 1.1, X.509 token profile
// 1.1, within the Basic Security Profile 1.1): Timestamp, token, Signature, in this order, over Body, Timestamp and
// every header block outside wsse:Security.
type X509Message struct {
	Digest       Digest           // SHA-1 is refused
	KeyReference KeyReference     // how the signature names its key [BinarySecurityToken]
	Token        Token            // the form of that token
	DropHeaders  []soap.Name      // header blocks that are left out instead of signed
	Lifetime     time.Duration    // from Created to Expires [5m]
	Now          func() time.Time // [time.Now]
	Verifier     *Verifier        // of the reply

	// Privacy hides Body, and what else it names, from everybody but the service; the reply must be hidden, too, with the
	// credential's own key, which must be RSA. EncryptFirst signs what is encrypted, instead of encrypting what is signed.
	Privacy      *Encryption
	EncryptFirst bool

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

// ErrWeakDigest means that a profile of today was to sign with SHA-1, which only GT4 needs.
var ErrWeakDigest = errors.New("wssec: SHA-1 is for gsi-message alone; sign with sha256, sha384 or sha512")

// Secure signs the message.
func (p *X509Message) Secure(_ context.Context, m *soap.Message, c *gsi.Credential) (*soap.Edit, Pending, error) {
	now := instantOf(p.Now)
	if p.Digest == SHA1 {
		return nil, nil, ErrWeakDigest
	}
	if err := refuse(m, c, now, p.Unanswered || p.SignatureConfirmation); err != nil {
		return nil, nil, err
	}
	edit, value, err := p.protect(m, c, now)
	if err != nil {
		return nil, nil, err
	}
	pending := &pendingReply{verifier: withoutQuirk(p.Verifier), messageID: m.Addressing.MessageID, privacy: p.Privacy}
	if p.SignatureConfirmation {
		pending.confirms = value
	}
	if p.Privacy != nil {
		pending.verifier, err = p.Privacy.ofReplies(pending.verifier, c)
	}
	return edit, pending, err
}

// protect signs, and encrypts before or after; value is that of the signature.
func (p *X509Message) protect(m *soap.Message, c *gsi.Credential, now time.Time) (edit *soap.Edit, value []byte, err error) {
	var key ownKey
	if p.Privacy != nil && p.EncryptFirst {
		if m, key, err = p.Privacy.beforeSigning(m, p.DropHeaders, false); err != nil {
			return nil, nil, err
		}
	}
	s := &signing{m: m, key: c.Key, digest: p.Digest, drop: p.DropHeaders}
	if p.InclusiveNamespaces {
		outer, err := headerScope(m)
		if err != nil {
			return nil, nil, err
		}
		s.within = declare(outer, securityBindings(m.Version)...)
	}
	if edit, err = p.sign(s, c, now, key); err != nil {
		return nil, nil, err
	}
	if p.Privacy != nil && !p.EncryptFirst {
		edit, err = p.Privacy.afterSigning(edit, m.Limits())
	}
	return edit, s.value, err
}

func (p *X509Message) sign(s *signing, c *gsi.Credential, now time.Time, key ownKey) (*soap.Edit, error) {
	token, reference, err := p.reference(s, c)
	if err != nil {
		return nil, err
	}
	timestampID, timestamp := s.timestamp(now, p.Lifetime)
	if err := s.own(timestampID, timestamp); err != nil {
		return nil, err
	}
	if p.SignToken {
		if err := s.own(token.id, token.element); err != nil {
			return nil, err
		}
	}
	if key.id != "" { // whoever carries the message must not put another in its place
		if err := s.own(key.id, key.element); err != nil {
			return nil, err
		}
	}
	if err := s.parts(); err != nil {
		return nil, err
	}
	signature, err := s.signature(func() []byte { return fmt.Appendf(nil, `<ds:KeyInfo>%s</ds:KeyInfo>`, reference) })
	if err != nil {
		return nil, err
	}
	// Who reads the header from its start undoes what was done last first.
	header := securityHeader(s.m.Version, timestamp, token.element, signature, key.bytes())
	return s.m.Edit(append(s.changes, s.m.PutHeaders(header))...)
}

// reference writes the token, where one goes along, and the SecurityTokenReference that names the signer.
func (p *X509Message) reference(s *signing, c *gsi.Credential) (t binaryToken, str []byte, err error) {
	if p.KeyReference == ReferenceDefault || p.KeyReference == BinarySecurityToken {
		t, err = newBinaryToken(s.m, p.Token, c)
		return t, t.reference(), err
	}
	switch {
	case p.SignToken:
		return t, nil, fmt.Errorf("wssec: there is no token to sign where the key is named by %s", p.KeyReference)
	case c.Leaf() != c.EndEntity():
		return t, nil, fmt.Errorf("wssec: a proxy certificate cannot be named by %s, since no service has it: name the key by token", p.KeyReference)
	}
	name, err := p.KeyReference.name(c.Leaf())
	return t, fmt.Appendf(nil, `<wsse:SecurityTokenReference>%s</wsse:SecurityTokenReference>`, name), err
}

// binaryToken is a BinarySecurityToken of ours, in canonical form.
type binaryToken struct {
	id, valueType string
	element       []byte
}

func newBinaryToken(m *soap.Message, form Token, c *gsi.Credential) (binaryToken, error) {
	valueType, der, err := form.encode(c)
	if err != nil {
		return binaryToken{}, err
	}
	t := binaryToken{id: newID(m, "X509-"), valueType: valueType}
	t.element = fmt.Appendf(nil, `<wsse:BinarySecurityToken xmlns:wsse="%s" xmlns:wsu="%s" EncodingType="%s" ValueType="%s" wsu:Id="%s">%s</wsse:BinarySecurityToken>`,
		soap.WSSE, soap.WSU, base64Binary, valueType, t.id, base64.StdEncoding.EncodeToString(der))
	return t, nil
}

// reference is a direct one; a path must be named as such twice (Basic Security Profile 1.1, R5215 and R5216).
func (t binaryToken) reference() []byte {
	var tokenType []byte
	if t.valueType == typePKIPath {
		tokenType = fmt.Appendf(nil, ` xmlns:wsse11="%s" wsse11:TokenType="%s"`, wsse11, t.valueType)
	}
	return fmt.Appendf(nil, `<wsse:SecurityTokenReference%s><wsse:Reference URI="#%s" ValueType="%s"></wsse:Reference></wsse:SecurityTokenReference>`,
		tokenType, t.id, t.valueType)
}

// securityHeader is one for the last receiver, who must understand it.
func securityHeader(v soap.Version, children ...[]byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `<wsse:Security xmlns:wsse="%s" xmlns:soapenv="%s" soapenv:mustUnderstand="1">`, soap.WSSE, v.Space())
	for _, c := range children {
		b.Write(c)
	}
	b.WriteString(`</wsse:Security>`)
	return b.Bytes()
}

// securityBindings are what securityHeader declares.
func securityBindings(v soap.Version) []xmlscan.Binding {
	return []xmlscan.Binding{{Prefix: "wsse", Space: soap.WSSE}, {Prefix: "soapenv", Space: v.Space()}}
}

// withoutQuirk is the verifier without the quirk of GT4, which is none of those who speak these profiles.
func withoutQuirk(v *Verifier) *Verifier {
	if v == nil {
		return nil
	}
	own := *v
	own.IgnoreSignedInfoPrefixes = false
	return &own
}
