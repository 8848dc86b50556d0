package soap

import (
	"fmt"
	"iter"
	"net/url"
	"slices"
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

// Links gives the links of the message, which is read again where there are any; an error is the last that it gives.
func (m *Message) Links() iter.Seq2[Link, error] {
	return func(yield func(Link, error) bool) {
		if len(m.ids.links) == 0 {
			return
		}
		t := newTargets(m.ids.links)
		if err := m.findTargets(t); err != nil {
			yield(Link{}, err)
			return
		}
		for _, l := range m.ids.links {
			if !yield(Link{l.at, t.of(l.hash)}, nil) {
				return
			}
		}
	}
}

// targets are where the first two elements with an id begin, for each id that is linked to. There may be a million.
type targets struct {
	hashes []uint64   // of the ids, sorted
	at     [][2]int64 // -1 for none
}

func newTargets(links []link) *targets {
	hashes := make([]uint64, len(links))
	for i, l := range links {
		hashes[i] = l.hash
	}
	slices.Sort(hashes)
	hashes = slices.Compact(hashes)
	at := make([][2]int64, len(hashes))
	for i := range at {
		at[i] = [2]int64{-1, -1}
	}
	return &targets{hashes, at}
}

// of gives where the elements with an id begin.
func (t *targets) of(hash uint64) []int64 {
	i, _ := slices.BinarySearch(t.hashes, hash)
	found := &t.at[i]
	n := 0
	for n < len(found) && found[n] >= 0 {
		n++
	}
	return found[:n]
}

// note takes an element with an id, which may have it by several attributes.
func (t *targets) note(hash uint64, at int64) {
	i, wanted := slices.BinarySearch(t.hashes, hash)
	if !wanted {
		return
	}
	switch found := &t.at[i]; {
	case found[0] < 0:
		found[0] = at
	case found[0] != at && found[1] < 0:
		found[1] = at
	}
}

// findTargets looks for elements that some reader would find by an id.
func (m *Message) findTargets(t *targets) error {
	s := xmlscan.New(m.Source, m.limits.Limits)
	defer s.Free()
	for {
		switch kind, err := s.Next(); {
		case err != nil || kind == xmlscan.EOF:
			return err
		case kind == xmlscan.StartElement:
			m.ids.noteTarget(s, t)
		}
	}
}

func (d *ids) noteTarget(s *xmlscan.Scanner, t *targets) {
	for i := range s.Attrs {
		a := &s.Attrs[i]
		if strings.EqualFold(string(a.Local), "id") || string(a.Local) == "AssertionID" {
			t.note(d.hashText(strings.Trim(a.Text(), " \t\r\n")), s.Span.Start)
		}
	}
}
