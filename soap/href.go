package soap

import (
	"fmt"
	"net/url"
	"strings"

	"gsigw/soap/xmlscan"
)

// Encoding12 is the namespace of SOAP 1.2's encoding (SOAP 1.2 Part 2, section 3).
const Encoding12 = "http://www.w3.org/2003/05/soap-encoding"

// Link is a reference of SOAP encoding, by which one element stands for another of the message: href="#id" (SOAP 1.1,
// section 5.4.1) or enc:ref="id" (SOAP 1.2 Part 2, section 3.1.5.2).
type Link struct {
	At      int64   // where the start tag of the element that refers begins
	Targets []int64 // where those of the first two elements with the id begin; empty where the message has none
}

// link is a Link by the hash of what it points to.
type link struct {
	at   int64
	hash uint64
}

// noteLink remembers a link. What the id is written like in a URI, percent signs and all, depends on the reader.
func (d *ids) noteLink(s *xmlscan.Scanner, a *xmlscan.Attr, limit int) error {
	id, ok := linked(s, a)
	if !ok {
		return nil
	}
	if len(d.links) >= limit {
		return &xmlscan.Error{Class: xmlscan.Limit, Limit: "ids", Offset: a.Start, Msg: fmt.Sprintf("exceeds the limit ids of %d with its links", limit)}
	}
	d.links = append(d.links, link{s.Span.Start, d.hashText(id)})
	if plain, err := url.PathUnescape(id); err == nil && plain != id {
		d.links = append(d.links, link{s.Span.Start, d.hashText(plain)})
	}
	return nil
}

// linked gives the id that an attribute points to. Axis reads SOAP 1.2's ref without a prefix, with its number sign.
func linked(s *xmlscan.Scanner, a *xmlscan.Attr) (id string, ok bool) {
	value := strings.Trim(a.Text(), " \t\r\n")
	id, local := strings.CutPrefix(value, "#")
	encoded := string(a.Local) == "ref" && s.URI(a.Space) == Encoding12
	return id, id != "" && (encoded || local && a.Space == xmlscan.NoNamespace)
}

// Links gives the links of the message, reading it again where there are any.
func (m *Message) Links() ([]Link, error) {
	if len(m.ids.links) == 0 {
		return nil, nil
	}
	targets := map[uint64][]int64{}
	for _, l := range m.ids.links {
		targets[l.hash] = nil
	}
	if err := m.findTargets(targets); err != nil {
		return nil, err
	}
	links := make([]Link, len(m.ids.links))
	for i, l := range m.ids.links {
		links[i] = Link{l.at, targets[l.hash]}
	}
	return links, nil
}

// findTargets looks for elements that some reader would find by an id that is a key of targets.
func (m *Message) findTargets(targets map[uint64][]int64) error {
	s := xmlscan.New(m.Source, m.limits.Limits)
	for {
		switch kind, err := s.Next(); {
		case err != nil || kind == xmlscan.EOF:
			return err
		case kind == xmlscan.StartElement:
			m.ids.noteTarget(s, targets)
		}
	}
}

func (d *ids) noteTarget(s *xmlscan.Scanner, targets map[uint64][]int64) {
	at := s.Span.Start
	for i := range s.Attrs {
		a := &s.Attrs[i]
		if !strings.EqualFold(string(a.Local), "id") && string(a.Local) != "AssertionID" {
			continue
		}
		h := d.hashText(strings.Trim(a.Text(), " \t\r\n"))
		found, wanted := targets[h]
		if wanted && len(found) < 2 && (len(found) == 0 || found[0] != at) {
			targets[h] = append(found, at)
		}
	}
}
