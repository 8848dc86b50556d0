package wssec

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"gsigw/gsi"
	"gsigw/soap"
	"gsigw/soap/xmlscan"
	"gsigw/wssec/c14n"
)

// Verified is what a signature covers, and who signed it: read nothing else of the message.
type Verified struct {
	Signer           *gsi.Identity
	MessageID        string
	Addressing       soap.Addressing
	Created, Expires time.Time

	m       *soap.Message
	headers []part // in document order
	body    part
	keep    []string
	remade  bool // m is made of what was digested, and of what was decrypted in it
}

// Version is the message's version of SOAP.
func (v *Verified) Version() soap.Version { return v.m.Version }

// Operation is the first element in Body.
func (v *Verified) Operation() soap.Name { return v.m.Operation }

// IsFault reports whether the message carries a SOAP fault, which its signer vouches for.
func (v *Verified) IsFault() bool { return v.m.IsFault() }

// Parts are the names of the signed parts that are given back: header blocks in document order, then Body.
func (v *Verified) Parts() []soap.Name {
	var names []soap.Name
	for _, p := range v.headers {
		names = append(names, p.element.Name)
	}
	return append(names, v.body.element.Name)
}

// WriteBody writes Body as it was digested.
func (v *Verified) WriteBody(w io.Writer) error { return v.write(w, v.body, nil) }

// Text is the character data of Body.
func (v *Verified) Text() (string, error) {
	var text strings.Builder
	err := v.WriteText(&text)
	return text.String(), err
}

// WriteText writes the character data of Body.
func (v *Verified) WriteText(w io.Writer) error {
	s := v.scan(v.body)
	var text []byte
	for {
		kind, err := s.Next()
		if err != nil || kind == xmlscan.EOF {
			return err
		}
		switch kind {
		case xmlscan.Text:
			text = xmlscan.AppendText(text[:0], s.Data)
		case xmlscan.CData:
			text = append(text[:0], bytes.ReplaceAll(bytes.ReplaceAll(s.Data, []byte("\r\n"), []byte("\n")), []byte("\r"), []byte("\n"))...)
		default:
			continue
		}
		if _, err := w.Write(text); err != nil {
			return err
		}
	}
}

// Message rebuilds the message from what was digested: the signed header blocks, Body, and nothing else. Exclusive
// canonical XML does not cover namespace declarations that only content uses (xsi:type, names in text); such a binding
// is kept where it is for XML Schema, XML Schema instance, SOAP's envelope and encoding or a namespace in keep or in
// Expect.Keep, and content that needs another is refused.
func (v *Verified) Message(keep []string) ([]byte, error) {
	c := v.content(keep)
	return v.rebuild(c, c.unwritten)
}

// Digested is Message for a reader who takes text for text: what looks like a name there loses an unsigned binding
// that the signed element itself declares, as the names in GT4's own GetResourceProperty requests do. An xsi:type is
// judged as Message judges it, and a name that only a declaration outside the signed element explains is refused.
func (v *Verified) Digested() ([]byte, error) {
	c := v.content(nil)
	return v.rebuild(c, c.unwrittenType)
}

func (v *Verified) rebuild(c *content, unwritten func(c14n.Prefix) error) ([]byte, error) {
	var parts bytes.Buffer
	at := map[*soap.Element]xmlscan.Span{}
	for _, p := range v.parts() {
		start := parts.Len()
		if err := v.write(&parts, p, unwritten); err != nil {
			return nil, classed(err)
		}
		at[p.element] = xmlscan.Span{Start: int64(start), End: int64(parts.Len())}
	}
	var out bytes.Buffer
	out.Grow(parts.Len() + 512)
	err := v.envelope(&out, c.kept, func(w io.Writer, p part) error {
		_, err := w.Write(parts.Bytes()[at[p.element].Start:at[p.element].End])
		return err
	})
	return out.Bytes(), err
}

// parts are the signed parts in document order.
func (v *Verified) parts() []part { return append(slices.Clone(v.headers), v.body) }

func (v *Verified) write(w io.Writer, p part, unwritten func(c14n.Prefix) error) error {
	if p.opened {
		return v.writeOpened(w, p.element, unwritten)
	}
	method := p.method
	method.Unwritten = unwritten
	m := v.m
	if p.of != nil {
		m = p.of
	}
	return m.WriteCanonical(w, p.element, method)
}

func (v *Verified) scan(p part) *xmlscan.Scanner {
	if p.of != nil {
		return p.of.Scan(p.element)
	}
	return v.m.Scan(p.element)
}

// envelope writes an envelope around the parts; its own tags are ours, since no signature covers the sender's.
func (v *Verified) envelope(w io.Writer, kept []xmlscan.Binding, write func(io.Writer, part) error) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, `<%s:Envelope xmlns:%[1]s="%s"`, ownPrefix, v.m.Version.Space())
	for _, k := range kept {
		fmt.Fprintf(&b, ` xmlns:%s="`, k.Prefix)
		xml.EscapeText(&b, []byte(k.Space)) // a Buffer does not fail
		b.WriteByte('"')
	}
	b.WriteString(">")
	if len(v.headers) > 0 {
		fmt.Fprintf(&b, "<%s:Header>", ownPrefix)
	}
	if _, err := b.WriteTo(w); err != nil {
		return err
	}
	for _, p := range v.headers {
		if err := write(w, p); err != nil {
			return err
		}
	}
	if len(v.headers) > 0 {
		if _, err := fmt.Fprintf(w, "</%s:Header>", ownPrefix); err != nil {
			return err
		}
	}
	if err := write(w, v.body); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "</%s:Envelope>", ownPrefix)
	return err
}

// ownPrefix is the prefix of an envelope of ours.
const ownPrefix = "soapenv"

// content judges names in content that depend on unsigned namespace declarations.
type content struct {
	keep     []string
	envelope string // what ownPrefix stands for
	kept     []xmlscan.Binding
}

func (v *Verified) content(keep []string) *content {
	return &content{keep: slices.Concat(v.keep, keep), envelope: v.m.Version.Space()}
}

// The namespaces whose unsigned bindings are kept: they name types and attributes that every engine knows.
var wellKnown = []string{
	"http://www.w3.org/2001/XMLSchema",
	"http://www.w3.org/2001/XMLSchema-instance",
	"http://schemas.xmlsoap.org/soap/encoding/",
	"http://www.w3.org/2003/05/soap-encoding",
	soap.Envelope11, // fault codes are qualified names
	soap.Envelope12,
}

// unwritten keeps a binding on the envelope, which reaches content only where no signed declaration hides it.
func (c *content) unwritten(p c14n.Prefix) error {
	if p.Prefix == ownPrefix && p.Space == c.envelope && p.Written == "" {
		return nil
	}
	if p.Prefix == "" && p.Type && p.Outer { // declared anew, it would reach elements that are in no namespace
		return &Error{Class: ClassUnsignedPart, Msg: fmt.Sprintf("the content depends on a default namespace, %q, that no signature covers; the sender can declare it in the content", p.Space)}
	}
	if p.Prefix == "" || p.Prefix == ownPrefix || p.Written != "" || !c.known(p.Space) {
		return &Error{Class: ClassUnsignedPart, Msg: fmt.Sprintf("the content uses the prefix %q for %q, which no signature covers; the route can name the namespace to keep", p.Prefix, p.Space)}
	}
	for _, k := range c.kept {
		if k.Prefix == p.Prefix {
			if k.Space != p.Space {
				return &Error{Class: ClassUnsignedPart, Msg: fmt.Sprintf("the content uses the prefix %q, which no signature covers, for two namespaces", p.Prefix)}
			}
			return nil
		}
	}
	c.kept = append(c.kept, xmlscan.Binding{Prefix: p.Prefix, Space: p.Space})
	return nil
}

// unwrittenType judges types, and what content takes from outside the signed element.
func (c *content) unwrittenType(p c14n.Prefix) error {
	if p.Type || p.Outer && !c.known(p.Space) {
		return c.unwritten(p)
	}
	return nil
}

func (c *content) known(space string) bool {
	return slices.Contains(wellKnown, space) || slices.Contains(c.keep, space)
}
