package soap

import (
	"fmt"
	"hash/maphash"
	"slices"

	"gsigw/soap/xmlscan"
)

// ids remembers every id in the message as a hash: it must be possible to say of a value whether it stands once,
// without holding the values of a body of millions of elements.
type ids struct {
	seed    maphash.Seed
	seeded  bool
	typed   []uint64 // wsu:Id and xml:id, which are of type ID wherever they stand
	untyped []uint64 // Id, ID, AssertionID, which are ids in the schemas of WS-Security, XML Signature and SAML only
	links   []link   // in document order
}

func (d *ids) note(s *xmlscan.Scanner, limit int) error {
	for i := range s.Attrs {
		a := &s.Attrs[i]
		if name := string(a.Local); name == "href" || name == "ref" {
			if err := d.noteLink(s, a, limit); err != nil {
				return err
			}
		}
		typed, untyped := idKind(s, a)
		if !typed && !untyped {
			continue
		}
		if len(d.typed)+len(d.untyped) >= limit {
			return &xmlscan.Error{Class: xmlscan.Limit, Limit: "ids", Offset: a.Start, Msg: fmt.Sprintf("exceeds the limit ids of %d", limit)}
		}
		if typed {
			d.typed = append(d.typed, d.hash(a))
		} else {
			d.untyped = append(d.untyped, d.hash(a))
		}
	}
	return nil
}

func idKind(s *xmlscan.Scanner, a *xmlscan.Attr) (typed, untyped bool) {
	switch string(a.Local) {
	case "Id":
		return s.URI(a.Space) == WSU, a.Space == xmlscan.NoNamespace
	case "id":
		return a.Space == xmlscan.XMLSpace, false
	case "ID", "AssertionID":
		return false, a.Space == xmlscan.NoNamespace
	}
	return false, false
}

func (d *ids) hash(a *xmlscan.Attr) uint64 {
	d.seedOnce()
	if a.Plain {
		return maphash.Bytes(d.seed, a.Value)
	}
	return maphash.Bytes(d.seed, xmlscan.AppendAttr(nil, a.Value))
}

func (d *ids) hashText(id string) uint64 {
	d.seedOnce()
	return maphash.String(d.seed, id)
}

func (d *ids) seedOnce() {
	if !d.seeded {
		d.seed, d.seeded = maphash.MakeSeed(), true
	}
}

// CountID is how many id attributes of the message have this value.
func (m *Message) CountID(value string) int {
	if !m.ids.seeded {
		return 0
	}
	h, n := maphash.String(m.ids.seed, value), 0
	for _, list := range [][]uint64{m.ids.typed, m.ids.untyped} {
		for _, v := range list {
			if v == h {
				n++
			}
		}
	}
	return n
}

// HasDuplicateIDs reports whether two elements have the same wsu:Id or xml:id.
func (m *Message) HasDuplicateIDs() bool {
	sorted := slices.Sorted(slices.Values(m.ids.typed))
	return len(slices.Compact(sorted)) < len(m.ids.typed)
}

// setID takes the element's id from its start tag.
func (e *Element) setID(s *xmlscan.Scanner) {
	for i := range s.Attrs {
		a := &s.Attrs[i]
		switch typed, untyped := idKind(s, a); {
		case typed && string(a.Local) == "Id":
			e.ID, e.WSUID = a.Text(), true
			return
		case untyped && string(a.Local) == "Id":
			e.ID = a.Text()
		}
	}
}
