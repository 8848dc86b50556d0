package soap

import (
	"net/url"
	"strings"

	"gsigw/soap/xmlscan"
)

const xopInclude = "http://www.w3.org/2004/08/xop/include"

// InlineXOP makes a plain message of an XOP package (XOP 1.0, section 3.2): every xop:Include gives way to the base64
// of the part that it names, and the message is read anew, under the same limits. What no Include names is given back
// as rest, for the caller to decide on. An Include that is not its parent's only content, that names no part, or that
// names a part for a second time, is an error.
func InlineXOP(root *Message, attachments []*Part) (m *Message, rest []*Part, err error) {
	x := &xopReader{s: xmlscan.New(root.Source, root.limits.Limits), parts: map[string]*Part{}}
	for _, p := range attachments {
		if p.ID != "" {
			x.parts[p.ID] = p
		}
	}
	if err := x.read(); err != nil {
		return nil, nil, err
	}
	for _, p := range attachments {
		if p.ID == "" || x.parts[p.ID] != nil {
			rest = append(rest, p)
		}
	}
	m, err = root.reread(x.changes...)
	return m, rest, err
}

type xopReader struct {
	s       *xmlscan.Scanner
	parts   map[string]*Part // those not yet included, by Content-ID
	changes []Change
}

func (x *xopReader) read() error {
	opened := false // the token before started an element
	for {
		kind, err := x.s.Next()
		if err != nil || kind == xmlscan.EOF {
			return err
		}
		start := kind == xmlscan.StartElement
		if start && x.s.URI(x.s.Space) == xopInclude && string(x.s.Local) == "Include" {
			if !opened {
				return x.misplaced()
			}
			if err := x.include(); err != nil {
				return err
			}
			start = false
		}
		opened = start && !x.s.Empty
	}
}

// include replaces the Include just started, and reads its parent to its end.
func (x *xopReader) include() error {
	p, err := x.part()
	if err != nil {
		return err
	}
	at := x.s.Span
	ends := 1
	if !x.s.Empty {
		ends = 2
	}
	for ; ends > 0; ends-- {
		at.End = x.s.Span.End
		kind, err := x.s.Next()
		if err != nil {
			return err
		}
		if kind != xmlscan.EndElement {
			return x.misplaced()
		}
	}
	x.changes = append(x.changes, Change{Span: at, From: encoded{p.Content}})
	return nil
}

// part takes the part that the Include's href names (RFC 2392).
func (x *xopReader) part() (*Part, error) {
	href := ""
	for i := range x.s.Attrs {
		if a := &x.s.Attrs[i]; a.Is("href") {
			href = a.Text()
		}
	}
	if len(href) < 4 || !strings.EqualFold(href[:4], "cid:") {
		return nil, x.fail("has an xop:Include whose href is no cid: URL")
	}
	id, err := url.PathUnescape(href[4:])
	if err != nil {
		return nil, x.fail("has an xop:Include whose href is no cid: URL")
	}
	p := x.parts[id]
	if p == nil {
		return nil, x.fail("has an xop:Include of a part that is not there, or is included already")
	}
	delete(x.parts, id)
	return p, nil
}

func (x *xopReader) misplaced() error {
	return x.fail("has an xop:Include that is not the only content of its parent")
}

func (x *xopReader) fail(msg string) error {
	return &xmlscan.Error{Class: xmlscan.Malformed, Offset: x.s.Span.Start, Msg: msg}
}
