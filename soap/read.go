package soap

import (
	"bytes"
	"fmt"
	"strings"

	"gsigw/soap/xmlscan"
	"gsigw/wssec/c14n"
)

// Read indexes a message. It refuses what is not a well-formed SOAP envelope in UTF-8, what has a document type
// declaration or a processing instruction (SOAP 1.1, section 3; SOAP 1.2 Part 1, section 5), and what exceeds the
// limits. Errors are *xmlscan.Error.
func Read(src xmlscan.Source, l Limits) (*Message, error) {
	l = l.withDefaults()
	if src.Size() > l.MessageBytes {
		return nil, &xmlscan.Error{Class: xmlscan.Limit, Limit: "message", Offset: l.MessageBytes, Msg: fmt.Sprintf("exceeds the limit message of %d", l.MessageBytes)}
	}
	r := &reader{m: &Message{Source: src, limits: l}, s: xmlscan.New(src, l.Limits)}
	defer r.s.Free()
	if err := r.read(); err != nil {
		return nil, err
	}
	r.m.xmlenc = r.s.Met(xmlEncryption)
	if err := r.m.readAddressing(); err != nil {
		return nil, err
	}
	return r.m, nil
}

// reader makes the index in one scan.
type reader struct {
	m      *Message
	s      *xmlscan.Scanner
	scope  *xmlscan.Scope // what Header and Body inherit
	header *xmlscan.Scope // what header blocks inherit
	open   *Element       // Header or Body, whichever came last
	body   bool           // Body was met
	plan   *c14n.Planner  // inside Body
}

func (r *reader) read() error {
	for {
		kind, err := r.s.Next()
		if err != nil {
			return err
		}
		if r.plan != nil {
			r.planned(kind)
		}
		switch kind {
		case xmlscan.EOF:
			if !r.body {
				return r.fail("has no Body")
			}
			return nil
		case xmlscan.StartElement:
			err = r.start()
		case xmlscan.EndElement:
			r.end()
		case xmlscan.ProcInst:
			err = r.fail("has a processing instruction, which SOAP forbids")
		case xmlscan.Text, xmlscan.CData:
			err = r.text()
		}
		if err != nil {
			return err
		}
	}
}

// planned takes the token into the plan of Body, which ends with it.
func (r *reader) planned(kind xmlscan.Kind) {
	if r.plan.Token(kind); kind == xmlscan.EndElement && r.s.Depth() == 1 {
		r.m.plan, r.plan = r.plan.Plan(), nil
	}
}

func (r *reader) fail(format string, args ...any) error {
	return &xmlscan.Error{Class: xmlscan.Malformed, Offset: r.s.Span.Start, Msg: fmt.Sprintf(format, args...)}
}

// inHeader reports whether the tokens are inside Header and outside its blocks.
func (r *reader) inHeader(depth int) bool { return depth == 3 && !r.body }

func (r *reader) start() error {
	depth := r.s.Depth()
	if err := r.m.ids.note(r.s, r.m.limits.IDs); err != nil {
		return err
	}
	switch {
	case depth == 1:
		return r.envelope()
	case depth == 2:
		return r.part()
	case r.inHeader(depth):
		return r.block()
	case depth == 3 && r.m.Operation.Local == "":
		r.m.Operation = r.name()
	}
	return nil
}

func (r *reader) name() Name { return Name{r.s.URI(r.s.Space), string(r.s.Local)} }

// element is the element just started; its end is not known yet unless it is empty.
func (r *reader) element(scope *xmlscan.Scope) Element {
	e := Element{
		Name: r.name(), Prefix: string(r.s.Prefix), Span: r.s.Span, NameEnd: r.s.NameEnd, TagEnd: r.s.Span.End,
		EndTag: r.s.Span.End, Empty: r.s.Empty, Scope: scope,
	}
	e.setID(r.s)
	return e
}

func (r *reader) envelope() error {
	e := r.element(nil)
	switch e.Name {
	case Name{Envelope11, "Envelope"}:
		r.m.Version = V11
	case Name{Envelope12, "Envelope"}:
		r.m.Version = V12
	default:
		return r.fail("is no SOAP envelope: its root element is %.200s", e.Name)
	}
	if e.Empty {
		return r.fail("has no Body")
	}
	r.m.Envelope = e
	r.scope = r.s.ScopeIn(nil)
	return nil
}

// part reads the start of Header or Body.
func (r *reader) part() error {
	e := r.element(r.scope)
	space := r.m.Version.Space()
	switch {
	case e.Name == Name{space, "Header"} && r.m.Header == nil && !r.body:
		r.m.Header = &e
		r.open, r.header = r.m.Header, r.s.ScopeIn(r.scope)
	case e.Name == Name{space, "Body"} && !r.body:
		r.m.Body, r.body = e, true
		r.open = &r.m.Body
		if !e.Empty {
			r.plan = c14n.NewPlanner(r.s)
		}
	default:
		return r.fail("has %.200s where Header or Body must stand, each once and in that order", e.Name)
	}
	return nil
}

func (r *reader) block() error {
	if len(r.m.Blocks) >= r.m.limits.Headers {
		return &xmlscan.Error{Class: xmlscan.Limit, Limit: "headers", Offset: r.s.Span.Start, Msg: fmt.Sprintf("exceeds the limit headers of %d", r.m.limits.Headers)}
	}
	b := &Block{Element: r.element(r.header)}
	r.attributes(b)
	r.m.Blocks = append(r.m.Blocks, b)
	return nil
}

func (r *reader) text() error {
	d := r.s.Depth()
	if inBody := r.body && d >= 2; d == 0 || inBody || d >= 3 {
		return nil
	}
	if r.s.Kind == xmlscan.CData || len(bytes.TrimSpace(r.s.Data)) > 0 {
		return r.fail("has text between the parts of its envelope")
	}
	return nil
}

func (r *reader) end() {
	e := r.open
	switch depth := r.s.Depth(); {
	case depth == 0:
		e = &r.m.Envelope
	case depth == 1:
	case depth == 2 && !r.body:
		e = &r.m.Blocks[len(r.m.Blocks)-1].Element
	default:
		return
	}
	e.EndTag, e.Span.End = r.s.Span.Start, r.s.Span.End
}

// attributes reads what SOAP and WS-Addressing say on a header block. An attribute of the other version of SOAP says
// nothing: its receiver does not know it. White space around a value is none of it (XML Schema Part 2, section 4.3.6).
func (r *reader) attributes(b *Block) {
	for i := range r.s.Attrs {
		a := &r.s.Attrs[i]
		value := func() string { return strings.Trim(a.Text(), " \t\r\n") }
		isTrue := func() bool { v := value(); return v == "1" || v == "true" }
		switch (Name{r.s.URI(a.Space), string(a.Local)}) {
		case r.m.Version.role():
			b.Role = value()
		case Name{r.m.Version.Space(), "mustUnderstand"}:
			b.MustUnderstand = isTrue()
		case Name{Addressing200508, "IsReferenceParameter"}:
			b.ReferenceParameter = isTrue()
		}
	}
}
