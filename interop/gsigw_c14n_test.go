package interop

import (
	"bytes"
	"fmt"
	"strings"

	"gsigw/soap/xmlscan"
	"gsigw/wssec/c14n"
)

// ours canonicalises as gsigw does: it finds the apex, then streams that element with the scope around it.
type ours struct {
	spooled bool // the document is read in pieces, as from a spool file, and not from memory
}

func (o ours) canonicalize(r c14nRequest) ([]byte, error) {
	method, ok := c14n.ByURI(r.algorithm)
	if !ok {
		return nil, fmt.Errorf("no such algorithm: %s", r.algorithm)
	}
	method.Prefixes = strings.FieldsFunc(r.prefixes, func(c rune) bool { return strings.ContainsRune(" \t\r\n", c) })
	var src xmlscan.Source = xmlscan.Memory(r.doc)
	if o.spooled {
		src = bytes.NewReader(r.doc)
	}
	s := xmlscan.New(src, xmlscan.Limits{})
	if r.apex != "" {
		apex, around, err := findApex(src, r.apex)
		if err != nil {
			return nil, err
		}
		s = xmlscan.NewElement(src, apex, around, xmlscan.Limits{})
	}
	var out bytes.Buffer
	err := c14n.Write(&out, s, method)
	return out.Bytes(), err
}

// findApex scans the whole document, so that what is wrong with it anywhere is an error, and returns the first element
// with that wsu:Id and what is in scope around it.
func findApex(src xmlscan.Source, id string) (apex xmlscan.Span, around *xmlscan.Scope, err error) {
	s := xmlscan.New(src, xmlscan.Limits{})
	scopes := []*xmlscan.Scope{{}} // of the open elements, outermost first
	open := -1                     // how many were open around the apex, until its end is met
	for {
		kind, err := s.Next()
		switch {
		case err != nil:
			return apex, nil, err
		case kind == xmlscan.EOF && around == nil:
			return apex, nil, fmt.Errorf("no element with wsu:Id %s", id)
		case kind == xmlscan.EOF:
			return apex, around, nil
		case kind == xmlscan.StartElement:
			outer := scopes[len(scopes)-1]
			if around == nil && hasID(s, id) {
				apex, around = s.Span, outer
				if !s.Empty {
					open = len(scopes)
				}
			}
			if !s.Empty {
				scopes = append(scopes, s.ScopeIn(outer))
			}
		case kind == xmlscan.EndElement:
			scopes = scopes[:len(scopes)-1]
			if len(scopes) == open {
				apex.End, open = s.Span.End, -1
			}
		}
	}
}

func hasID(s *xmlscan.Scanner, id string) bool {
	for _, a := range s.Attrs {
		if string(a.Local) == "Id" && s.URI(a.Space) == wsuNS {
			return string(xmlscan.AppendAttr(nil, a.Value)) == id
		}
	}
	return false
}
