package wssec

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"gsigw/gsi"
	"gsigw/soap"
	"gsigw/soap/xmlscan"
	"gsigw/wssec/c14n"
	"gsigw/wssec/xmlenc"
)

// Encryption hides a message from everybody but one receiver: the content of Body, or elements in it, and what else is
// named. The content lies in memory while it is encrypted.
//
// A header block is hidden as a whole, in an EncryptedHeader (WS-Security 1.1, section 9.3) and not in a bare
// EncryptedData: it keeps on the outside who must understand it. What is hidden declares all namespaces in scope itself,
// as GT4's does, since its receiver may read it anywhere.
type Encryption struct {
	To           *x509.Certificate // with an RSA key; who it belongs to is for the caller to make sure of
	Cipher       xmlenc.Cipher
	KeyTransport xmlenc.KeyTransport
	KeyReference KeyReference // how the encrypted key names To [IssuerSerial]
	Headers      []soap.Name  // header blocks for the last receiver that are hidden as whole elements
	Elements     []soap.Name  // elements in Body, at any depth, that are hidden as wholes instead of all its content
	Signature    bool         // where the signature comes first, hide it too
}

// ErrNoEncryptionKey means that a message cannot be encrypted for its receiver.
var ErrNoEncryptionKey = errors.New("wssec: the certificate to encrypt to has no RSA key; encrypt-to takes the service's RSA certificate")

// ErrNothingToEncrypt means that Body has nothing of what was to be hidden in it.
var ErrNothingToEncrypt = errors.New("wssec: Body has none of the elements to encrypt; encrypt-elements names them as they stand there, {namespace}local, and without it all of Body's content is encrypted")

// hiding makes one encrypted message.
type hiding struct {
	*Encryption
	m       *soap.Message
	gt4     bool // IssuerSerial in the form of GT4
	key     []byte
	ids     []string
	changes []soap.Change
	added   int64 // bytes, by and by
}

// bytesPerData is what an EncryptedData takes beside its value.
const bytesPerData = 512

// add bounds what hiding adds: every element that stands at the top declares all namespaces, and there may be millions.
func (h *hiding) add(n int) error {
	limit := h.m.Limits().MessageBytes
	if h.added += int64(n); h.added > limit {
		return &xmlscan.Error{
			Class: xmlscan.Limit, Limit: "message", Offset: xmlscan.NoPlace,
			Msg: fmt.Sprintf("exceeds the limit message of %d by what encrypting it adds", limit),
		}
	}
	return nil
}

func (e *Encryption) start(m *soap.Message) (*hiding, error) {
	if e.To == nil {
		return nil, ErrNoEncryptionKey
	}
	if _, ok := e.To.PublicKey.(*rsa.PublicKey); !ok {
		return nil, ErrNoEncryptionKey
	}
	return &hiding{Encryption: e, m: m, key: e.Cipher.NewKey()}, nil
}

// ownKey is an EncryptedKey of ours, in canonical form, and the token that it refers to, where there is one.
type ownKey struct {
	id             string // empty in the form of GT4
	token, element []byte
}

func (k *ownKey) bytes() []byte { return slices.Concat(k.token, k.element) }

// beforeSigning gives the message with its content hidden, and what goes into the security header behind the signature:
// the encrypted key. Header blocks in drop are left alone.
func (e *Encryption) beforeSigning(m *soap.Message, drop []soap.Name, gt4 bool) (hidden *soap.Message, key ownKey, err error) {
	h, err := e.start(m)
	if err != nil {
		return nil, key, err
	}
	h.gt4 = gt4
	if err := h.content(drop); err != nil {
		return nil, key, err
	}
	edit, err := m.Edit(h.changes...)
	if err != nil {
		return nil, key, err
	}
	if hidden, err = readEdited(m, edit); err != nil {
		return nil, key, err
	}
	if !gt4 {
		key.id = newID(m, "EncKeyId-")
	}
	err = h.encryptedKey(&key)
	return hidden, key, err
}

// afterSigning hides the content of a message that we signed, and the signature where that is wanted. The encrypted key
// goes in front of the signature: who reads the header decrypts before he verifies.
func (e *Encryption) afterSigning(signed xmlscan.Source, l soap.Limits) (*soap.Edit, error) {
	m, err := soap.Read(signed, grown(l, signed))
	if err != nil {
		return nil, err
	}
	h, err := e.start(m)
	if err != nil {
		return nil, err
	}
	if err := h.content(nil); err != nil {
		return nil, err
	}
	i := slices.IndexFunc(m.Blocks, func(b *soap.Block) bool { return isSecurity(b) && b.ForUltimate() })
	if i < 0 {
		return nil, errors.New("wssec: the message to encrypt is not signed")
	}
	security, err := m.Tree(&m.Blocks[i].Element)
	if err != nil {
		return nil, err
	}
	if s := security.Child(dsig, "Signature"); s != nil && e.Signature {
		if err := h.element(&s.Element, func(data []byte) []byte { return data }); err != nil {
			return nil, err
		}
	}
	var key ownKey
	if err := h.encryptedKey(&key); err != nil {
		return nil, err
	}
	return m.Edit(append(h.changes, soap.Insert(security.TagEnd, key.bytes()))...)
}

// content hides the content of Body or the elements in it, and the header blocks that are named.
func (h *hiding) content(drop []soap.Name) error {
	for _, b := range h.m.Blocks {
		if !slices.Contains(h.Headers, b.Name) || slices.Contains(drop, b.Name) || !b.ForUltimate() || isSecurity(b) {
			continue
		}
		if err := h.element(&b.Element, func(data []byte) []byte { return h.encryptedHeader(b, data) }); err != nil {
			return err
		}
	}
	if len(h.Elements) > 0 {
		return h.elements()
	}
	text, err := h.selfContained(&h.m.Body, 2)
	if err != nil {
		return err
	}
	data, err := h.encrypt(xmlenc.TypeContent, text)
	if err != nil {
		return err
	}
	h.changes = append(h.changes, putContent(&h.m.Body, data))
	return nil
}

// elements hides every element in Body that is named. What stands inside another is hidden with it.
func (h *hiding) elements() error {
	found, err := h.find()
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return ErrNothingToEncrypt
	}
	for i := range found {
		if err := h.element(&found[i], func(data []byte) []byte { return data }); err != nil {
			return err
		}
	}
	return nil
}

func (h *hiding) find() (found []soap.Element, err error) {
	s := h.m.Scan(&h.m.Body)
	within := 0 // the depth of the element that is open, 0 for none
	for {
		kind, err := s.Next()
		if err != nil {
			return nil, err
		}
		switch {
		case kind == xmlscan.EOF:
			return found, nil
		case kind == xmlscan.EndElement && s.Depth() < within:
			within = 0
			found[len(found)-1].Span.End = s.Span.End
		case kind == xmlscan.StartElement && within == 0 && s.Depth() > 1 && slices.Contains(h.Elements, nameOf(s)):
			if err := h.add(bytesPerData); err != nil {
				return nil, err
			}
			found = append(found, soap.Element{Span: s.Span, Scope: scopeAround(s)})
			if !s.Empty {
				within = s.Depth()
			}
		}
	}
}

// putContent replaces what stands between an element's tags.
func putContent(e *soap.Element, content []byte) soap.Change {
	if !e.Empty {
		return soap.Change{Span: e.Inner(), With: content}
	}
	name := e.Name.Local
	if e.Prefix != "" {
		name = e.Prefix + ":" + name
	}
	return soap.Change{Span: xmlscan.Span{Start: e.TagEnd - 2, End: e.TagEnd}, With: fmt.Appendf(nil, ">%s</%s>", content, name)}
}

func (h *hiding) element(e *soap.Element, wrap func(data []byte) []byte) error {
	text, err := h.selfContained(e, 1)
	if err != nil {
		return err
	}
	data, err := h.encrypt(xmlenc.TypeElement, text)
	if err != nil {
		return err
	}
	h.changes = append(h.changes, soap.Change{Span: e.Span, With: wrap(data)})
	return nil
}

func (h *hiding) encrypt(typ string, text []byte) ([]byte, error) {
	value, err := h.Cipher.Encrypt(h.key, text)
	if err != nil {
		return nil, err
	}
	id := newID(h.m, "EncDataId-")
	h.ids = append(h.ids, id)
	return xmlenc.AppendData(nil, id, typ, h.Cipher, value), nil
}

var encryptedHeaderName = soap.Name{Space: wsse11, Local: "EncryptedHeader"}

func (h *hiding) encryptedHeader(b *soap.Block, data []byte) []byte {
	var attrs bytes.Buffer
	fmt.Fprintf(&attrs, ` xmlns:soapenv="%s"`, h.m.Version.Space())
	if b.MustUnderstand {
		attrs.WriteString(` soapenv:mustUnderstand="1"`)
	}
	if b.Role != "" {
		role := "actor"
		if h.m.Version == soap.V12 {
			role = "role"
		}
		fmt.Fprintf(&attrs, ` soapenv:%s="%s"`, role, b.Role) // one of the three that are for everybody
	}
	return fmt.Appendf(nil, `<wsse11:EncryptedHeader xmlns:wsse11="%s"%s>%s</wsse11:EncryptedHeader>`, wsse11, attrs.Bytes(), data)
}

// encryptedKey writes the EncryptedKey.
func (h *hiding) encryptedKey(k *ownKey) error {
	wrapped, err := h.KeyTransport.Wrap(h.To.PublicKey.(*rsa.PublicKey), h.key)
	if err != nil {
		return err
	}
	token, reference, err := h.recipient()
	if err != nil {
		return err
	}
	keyInfo := fmt.Sprintf(`<wsse:SecurityTokenReference xmlns:wsse="%s">%s</wsse:SecurityTokenReference>`, soap.WSSE, reference)
	element := xmlenc.AppendKey(nil, k.id, h.KeyTransport, keyInfo, wrapped, h.ids)
	var canonical bytes.Buffer
	if err := c14n.Write(&canonical, scanOwn(element, nil), c14n.Method{Exclusive: true}); err != nil {
		return err
	}
	k.token, k.element = token, canonical.Bytes()
	return nil
}

// recipient writes what names the certificate.
func (h *hiding) recipient() (token, reference []byte, err error) {
	switch {
	case h.KeyReference == BinarySecurityToken:
		id := newID(h.m, "EncCertId-")
		token = fmt.Appendf(nil, `<wsse:BinarySecurityToken xmlns:wsse="%s" xmlns:wsu="%s" EncodingType="%s" ValueType="%s" wsu:Id="%s">%s</wsse:BinarySecurityToken>`,
			soap.WSSE, soap.WSU, base64Binary, typeX509v3, id, base64.StdEncoding.EncodeToString(h.To.Raw))
		return token, fmt.Appendf(nil, `<wsse:Reference URI="#%s" ValueType="%s"></wsse:Reference>`, id, typeX509v3), nil
	case h.KeyReference != ReferenceDefault && h.KeyReference != IssuerSerial:
		reference, err = h.KeyReference.name(h.To)
	case h.gt4:
		reference, err = gt4IssuerSerial(h.To)
	default:
		reference, err = nameIssuerSerial(h.To)
	}
	return nil, reference, err
}

// gt4IssuerSerial writes the reference as GT4 does: without X509Data, and the name in the certificate's own order
// (facts/gt4-wire.md).
func gt4IssuerSerial(c *x509.Certificate) ([]byte, error) {
	issuer, err := gsi.ParseName(c.RawIssuer)
	if err != nil {
		return nil, fmt.Errorf("wssec: the certificate's issuer: %w", err)
	}
	slices.Reverse(issuer)
	var text strings.Builder
	xml.EscapeText(&text, []byte(issuer.RFC2253())) // a Builder does not fail
	return fmt.Appendf(nil, `<ds:X509IssuerSerial><ds:X509IssuerName>%s</ds:X509IssuerName><ds:X509SerialNumber>%d</ds:X509SerialNumber></ds:X509IssuerSerial>`,
		text.String(), c.SerialNumber), nil
}

// selfContained gives an element (depth 1) or its content (depth 2) with every namespace that is in scope declared on the
// topmost elements.
func (h *hiding) selfContained(e *soap.Element, depth int) ([]byte, error) {
	m := h.m
	span := e.Span
	if depth == 2 {
		span = e.Inner()
	}
	var out bytes.Buffer
	scope, at, s := e.Scope, span.Start, m.Scan(e)
	for {
		kind, err := s.Next()
		if err != nil {
			return nil, err
		}
		switch {
		case kind == xmlscan.EOF:
			err := copySpan(&out, m, xmlscan.Span{Start: at, End: max(at, span.End)})
			return out.Bytes(), err
		case kind == xmlscan.StartElement && s.Depth() == depth:
			if err := copySpan(&out, m, xmlscan.Span{Start: at, End: s.NameEnd}); err != nil {
				return nil, err
			}
			at = s.NameEnd
			before := out.Len()
			declareScope(&out, scope, s)
			if err := h.add(out.Len() - before); err != nil {
				return nil, err
			}
		case kind == xmlscan.StartElement && s.Depth() == 1:
			scope = s.ScopeIn(e.Scope)
		}
	}
}

func copySpan(w io.Writer, m *soap.Message, s xmlscan.Span) error {
	_, err := io.Copy(w, io.NewSectionReader(m, s.Start, s.Len()))
	return err
}

// declareScope writes the declarations of a scope that the element just started does not make itself.
func declareScope(out *bytes.Buffer, scope *xmlscan.Scope, s *xmlscan.Scanner) {
	for _, b := range inForce(scope) {
		own := slices.ContainsFunc(s.Decls, func(d xmlscan.Decl) bool { return string(d.Prefix) == b.Prefix })
		if !own {
			writeDeclaration(out, b)
		}
	}
}

func writeDeclaration(out *bytes.Buffer, b xmlscan.Binding) {
	if out.WriteString(" xmlns"); b.Prefix != "" {
		out.WriteString(":" + b.Prefix)
	}
	out.WriteString(`="`)
	xml.EscapeText(out, []byte(b.Space)) // a Buffer does not fail
	out.WriteByte('"')
}

// inForce are the bindings of a scope that nothing in it hides or takes back.
func inForce(scope *xmlscan.Scope) (out []xmlscan.Binding) {
	if scope == nil {
		return nil
	}
	for i, b := range scope.Bindings {
		hidden := slices.ContainsFunc(scope.Bindings[i+1:], func(c xmlscan.Binding) bool { return c.Prefix == b.Prefix })
		if !hidden && b.Space != "" {
			out = append(out, b)
		}
	}
	return out
}

// ofReplies is the verifier of the replies to a message that we encrypted: they come encrypted to the key that signed it,
// and may use the weak algorithms that the message used.
func (e *Encryption) ofReplies(v *Verifier, c *gsi.Credential) (*Verifier, error) {
	key, ok := c.Key.(crypto.Decrypter)
	if _, isRSA := c.Key.Public().(*rsa.PublicKey); !ok || !isRSA {
		return nil, errors.New("wssec: the credential's key cannot decrypt the reply: privacy needs a credential with an RSA key")
	}
	if v == nil {
		return nil, nil
	}
	own := *v
	own.Decrypt = &Decryption{Key: key, Certificates: []*x509.Certificate{c.Leaf()}, CBC: e.Cipher.CBC(), RSA15: e.KeyTransport == xmlenc.RSA15}
	return &own, nil
}
