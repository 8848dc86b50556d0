package wssec

import (
	"bytes"
	"fmt"
	"io"
	"slices"

	"gsigw/soap"
	"gsigw/soap/xmlscan"
	"gsigw/wssec/c14n"
)

// openDigested opens what was encrypted before it was signed, in the octets that were digested: the message from here on
// is made of them alone. Its header blocks that were never encrypted are still those of the message received.
func (v *verification) openDigested() error {
	e := &v.encrypted
	if len(e.later) == 0 {
		return nil
	}
	signed, err := v.digestedMessage()
	if err != nil {
		return err
	}
	data, err := v.findEncrypted(signed, nil)
	if err != nil {
		return err
	}
	if err := v.take(data); err != nil {
		return err
	}
	m, at, ok := v.open(signed, data)
	if m == nil || !ok {
		return notDecrypted()
	}
	if err := v.continueWith(m, at); err != nil {
		return err
	}
	return v.judgeNames()
}

// judgeNames judges the names of all that was opened, before anybody reads one.
func (v *verification) judgeNames() error {
	c := v.out.content(nil)
	for _, b := range v.m.Blocks {
		if v.signed[&b.Element].opened {
			if err := v.out.judgeOpened(&b.Element, c.unwritten); err != nil {
				return err
			}
		}
	}
	if v.signed[&v.m.Body].opened {
		return v.out.judgeOpened(&v.m.Body, c.unwritten)
	}
	return nil
}

// take gives the EncryptedData elements that were digested their keys. All that the references name must be among them.
func (v *verification) take(data []*encryptedData) error {
	for _, want := range v.encrypted.later {
		i := slices.IndexFunc(data, func(d *encryptedData) bool { return d.ID == want.ID })
		if i < 0 {
			return &Error{Class: ClassUnsignedPart, Msg: fmt.Sprintf("the EncryptedData #%.80s is not signed", want.ID)}
		}
		if err := checkSameScope(want, data[i]); err != nil {
			return err
		}
		data[i].key, data[i].bare = want.key, want.Cipher.CBC() && !v.isSigned(want.key)
		if data[i].bare && len(want.Value) < (1+leastBlocks)*want.Cipher.BlockSize() {
			return &Error{Class: ClassDecrypt, Msg: fmt.Sprintf("the EncryptedData #%.80s has fewer than %d blocks of %s, and its EncryptedKey is not signed: whoever carried the message could have put another key there; the sender can sign the key, use a cipher with GCM, or sign first", want.ID, leastBlocks, want.Cipher)}
		}
	}
	for _, d := range data {
		if d.key == nil {
			return malformed("the EncryptedData #%.80s is not the one that a reference names", d.ID)
		}
	}
	return nil
}

// leastBlocks is how much a key that is not signed must open. Each of its bytes must fit: with less, and with text that
// may be anything, somebody would find a key for his own content by trying (CBC opens under every key).
const leastBlocks = 3

// isSigned reports whether the signature covers an encrypted key.
func (v *verification) isSigned(k *encryptedKey) bool {
	return v.signed[&v.security.Children[k.at].Element] != nil
}

// digestedMessage is an envelope around the octets that were digested. What the elements around them declare, which
// nothing signed, is declared there: it is judged where a name turns out to depend on it (Verified.Message).
func (v *verification) digestedMessage() (*soap.Message, error) {
	if v.signed[&v.m.Body] == nil {
		return nil, unsigned(v.m.Body.Name)
	}
	inBody, err := innerScope(v.m, &v.m.Body)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	own := newID(v.m, "e") // a prefix that nobody has
	fmt.Fprintf(&b, `<%s:Envelope xmlns:%[1]s="%s"`, own, v.m.Version.Space())
	for _, n := range v.aroundEncrypted(inBody) {
		writeDeclaration(&b, n)
	}
	b.WriteString("><" + own + ":Header")
	if v.m.Header != nil {
		header, err := innerScope(v.m, v.m.Header)
		if err != nil {
			return nil, err
		}
		for _, n := range inForce(header) {
			writeDeclaration(&b, n)
		}
	}
	b.WriteString(">")
	for _, block := range v.m.Blocks {
		if err := v.writeDigested(&b, &block.Element); err != nil {
			return nil, err
		}
	}
	b.WriteString("</" + own + ":Header>")
	if err := v.writeDigested(&b, &v.m.Body); err != nil {
		return nil, err
	}
	b.WriteString("</" + own + ":Envelope>")
	src := xmlscan.Memory(b.Bytes())
	m, err := soap.Read(src, grown(v.m.Limits(), src)) // canonical form may be longer
	if err != nil {
		return nil, err
	}
	m.SOAPAction = v.m.SOAPAction
	return m, nil
}

// aroundEncrypted are the bindings around what is encrypted in Body: those that reach it, and those that elements in it
// have for the plaintext alone, which canonical form leaves out.
func (v *verification) aroundEncrypted(body *xmlscan.Scope) []xmlscan.Binding {
	out := inForce(body)
	for _, d := range v.encrypted.later {
		if d.place != inBody {
			continue
		}
		for _, b := range inForce(d.scope) {
			known := slices.ContainsFunc(out, func(c xmlscan.Binding) bool { return c.Prefix == b.Prefix })
			if !known && b.Prefix != "" {
				out = append(out, b)
			}
		}
	}
	return out
}

// checkSameScope refuses encrypted data in Body around which the octets that were digested bind a prefix in another way
// than the message does: what the plaintext's names mean is not signed then.
func checkSameScope(was, is *encryptedData) error {
	if was.place != inBody {
		return nil
	}
	for _, b := range append(inForce(was.scope), xmlscan.Binding{}) {
		want, _ := was.scope.Lookup(b.Prefix)
		if got, _ := is.scope.Lookup(b.Prefix); got != want {
			return &Error{Class: ClassUnsignedPart, Msg: fmt.Sprintf("around the EncryptedData #%.80s the prefix %q means %q, which no signature covers", was.ID, b.Prefix, want)}
		}
	}
	return nil
}

// innerScope is what the children of an element inherit.
func innerScope(m *soap.Message, e *soap.Element) (*xmlscan.Scope, error) {
	s := m.Scan(e)
	if _, err := s.Next(); err != nil {
		return nil, err
	}
	return s.ScopeIn(e.Scope), nil
}

// writeDigested writes an element as it was digested, if it was. Where it holds something encrypted, its clear content
// may not depend on declarations in it that are not written; on those around it, it is judged as the plaintext is.
//
// One that holds nothing encrypted is as it was signed: where canonical form writes no default namespace there is none in
// it, whatever is declared around it.
func (v *verification) writeDigested(w *bytes.Buffer, e *soap.Element) error {
	p := v.signed[e]
	if p == nil {
		return nil
	}
	method := p.method
	if !v.holdsEncrypted(e) {
		var b bytes.Buffer
		err := c14n.Write(&b, v.m.Scan(e), method)
		w.Write(emptyDefault(b.Bytes()))
		return err
	}
	method.Unwritten = func(p c14n.Prefix) error {
		if p.Outer {
			return nil
		}
		return &Error{Class: ClassUnsignedPart, Msg: fmt.Sprintf("the content beside the encrypted data uses the prefix %q, which no signature covers", p.Prefix)}
	}
	return c14n.Write(w, v.m.Scan(e), method)
}

func (v *verification) holdsEncrypted(e *soap.Element) bool {
	if e == &v.m.Body {
		return slices.ContainsFunc(v.encrypted.later, func(d *encryptedData) bool { return d.place == inBody })
	}
	return e.Name == encryptedHeaderName || e.Name == encryptedDataName
}

// continueWith goes on with the opened message: its blocks are the signed ones, in their order.
func (v *verification) continueWith(m *soap.Message, at []openedData) error {
	old := v.m
	isOpened := func(e *soap.Element) bool {
		return slices.ContainsFunc(at, func(o openedData) bool { return e.Span.Start <= o.start && o.start < e.Span.End })
	}
	carry := func(was, is *soap.Element) {
		p := &part{element: was, method: v.signed[was].method, of: old}
		if isOpened(is) {
			p = &part{element: is, opened: true}
		}
		v.signed[is] = p
	}
	var left []*soap.Block
	n := 0
	for _, b := range old.Blocks {
		if v.signed[&b.Element] == nil {
			left = append(left, b)
			continue
		}
		if n >= len(m.Blocks) {
			return notDecrypted()
		}
		carry(&b.Element, &m.Blocks[n].Element)
		n++
	}
	if n != len(m.Blocks) {
		return notDecrypted()
	}
	carry(&old.Body, &m.Body)
	v.m, v.out.m, v.out.remade = m, m, true
	for _, b := range left {
		if v.mustBeSigned(b) {
			return unsigned(b.Name)
		}
	}
	return nil
}

// writeOpened writes an element that holds what was decrypted: its bytes, all of which are the signer's. Names that
// depend on declarations around it are judged first.
func (v *Verified) writeOpened(w io.Writer, e *soap.Element, unwritten func(c14n.Prefix) error) error {
	if unwritten != nil {
		if err := v.judgeOpened(e, unwritten); err != nil {
			return err
		}
	}
	return copySpan(w, v.m, e.Span)
}

func (v *Verified) judgeOpened(e *soap.Element, unwritten func(c14n.Prefix) error) error {
	s := v.m.Scan(e)
	outer := s.InScope()
	for {
		kind, err := s.Next()
		if err != nil {
			return err
		}
		if kind == xmlscan.EOF {
			break
		}
		if kind != xmlscan.StartElement {
			continue
		}
		if err := judgeNames(s, outer, unwritten); err != nil {
			return err
		}
	}
	return c14n.Write(io.Discard, v.m.Scan(e), c14n.Method{Exclusive: true, Unwritten: func(p c14n.Prefix) error {
		if !p.Outer {
			return nil // it is declared in the bytes
		}
		return unwritten(p)
	}})
}

// judgeNames judges the names of an element and its attributes, which are names for certain. The first bindings are those
// that came from outside: of SOAP's own names none may depend on those, whoever reads them, or an element would turn
// into a fault.
func judgeNames(s *xmlscan.Scanner, outer int, unwritten func(c14n.Prefix) error) error {
	judge := func(prefix []byte) error {
		if !s.IsAmong(outer, prefix) {
			return nil
		}
		at, _ := s.Lookup(prefix)
		space := s.URI(at)
		if space == soap.Envelope11 || space == soap.Envelope12 {
			return &Error{Class: ClassUnsignedPart, Msg: fmt.Sprintf("the decrypted content has a name of SOAP's own by the prefix %q, which no signature covers", prefix)}
		}
		return unwritten(c14n.Prefix{Prefix: string(prefix), Space: space, Type: true, Outer: true})
	}
	if err := judge(s.Prefix); err != nil {
		return err
	}
	for i := range s.Attrs {
		if len(s.Attrs[i].Prefix) > 0 {
			if err := judge(s.Attrs[i].Prefix); err != nil {
				return err
			}
		}
	}
	return nil
}
