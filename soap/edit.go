package soap

import (
	"fmt"
	"io"
	"slices"

	"gsigw/soap/xmlscan"
)

// Change replaces a span of a message's bytes with bytes in memory, or with those of a Source; an empty span puts them
// in.
type Change struct {
	Span xmlscan.Span
	With []byte
	From xmlscan.Source // instead of With
}

// Insert is a Change that puts bytes in.
func Insert(at int64, b []byte) Change {
	return Change{Span: xmlscan.Span{Start: at, End: at}, With: b}
}

// Edit is a message's bytes with changes; every byte outside them is the one received, and none is copied. It is a
// Source itself.
type Edit struct {
	pieces []piece
	size   int64
}

// piece is a span of a source: the message, or what a change puts in.
type piece struct {
	at   int64 // where it starts in the result
	src  xmlscan.Source
	span xmlscan.Span
}

func (p *piece) len() int64 { return p.span.Len() }

// Edit applies changes, which must not overlap; those at one place apply in the order given.
func (m *Message) Edit(changes ...Change) (*Edit, error) {
	e := &Edit{}
	changes = slices.Clone(changes)
	slices.SortStableFunc(changes, func(a, b Change) int {
		return int(min(max(a.Span.Start-b.Span.Start, -1), 1))
	})
	var at int64
	for _, c := range changes {
		if c.Span.Start < at || c.Span.End < c.Span.Start || c.Span.End > m.Size() {
			return nil, fmt.Errorf("soap: changes overlap at byte %d", c.Span.Start)
		}
		e.add(m.Source, xmlscan.Span{Start: at, End: c.Span.Start})
		with := c.source()
		e.add(with, xmlscan.Span{End: with.Size()})
		at = c.Span.End
	}
	e.add(m.Source, xmlscan.Span{Start: at, End: m.Size()})
	return e, nil
}

func (c *Change) source() xmlscan.Source {
	if c.From != nil {
		return c.From
	}
	return xmlscan.Memory(c.With)
}

func (e *Edit) add(src xmlscan.Source, span xmlscan.Span) {
	if span.Len() == 0 {
		return
	}
	e.pieces = append(e.pieces, piece{e.size, src, span})
	e.size += span.Len()
}

// Size is the number of bytes.
func (e *Edit) Size() int64 { return e.size }

// ReadAt implements io.ReaderAt.
func (e *Edit) ReadAt(b []byte, off int64) (int, error) {
	i, _ := slices.BinarySearchFunc(e.pieces, off, func(p piece, off int64) int {
		if p.at+p.len() <= off {
			return -1
		}
		return 1
	})
	n := 0
	for ; i < len(e.pieces) && n < len(b); i++ {
		p := &e.pieces[i]
		within := off + int64(n) - p.at
		want := min(int64(len(b)-n), p.len()-within)
		k, err := p.src.ReadAt(b[n:n+int(want)], p.span.Start+within)
		if n += k; int64(k) < want {
			return n, err
		}
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// WriteTo writes all bytes; those in memory without a copy.
func (e *Edit) WriteTo(w io.Writer) (int64, error) {
	var total int64
	for i := range e.pieces {
		p := &e.pieces[i]
		n, err := p.writeTo(w)
		if total += n; err != nil {
			return total, err
		}
	}
	return total, nil
}

func (p *piece) writeTo(w io.Writer) (int64, error) {
	if m, ok := p.src.(xmlscan.Memory); ok {
		n, err := w.Write(m[p.span.Start:p.span.End])
		return int64(n), err
	}
	return io.Copy(w, io.NewSectionReader(p.src, p.span.Start, p.len()))
}

// Reader reads all bytes from the start.
func (e *Edit) Reader() io.Reader { return io.NewSectionReader(e, 0, e.size) }

// PutHeaders is the change that puts blocks in front of the message's header blocks, making Header where there is
// none.
func (m *Message) PutHeaders(blocks []byte) Change {
	prefix := m.Envelope.Prefix
	if prefix != "" {
		prefix += ":"
	}
	switch h := m.Header; {
	case h == nil:
		return Insert(m.Body.Span.Start, fmt.Appendf(nil, "<%sHeader>%s</%[1]sHeader>", prefix, blocks))
	case h.Empty:
		name := h.Name.Local
		if h.Prefix != "" {
			name = h.Prefix + ":" + name
		}
		return Change{Span: xmlscan.Span{Start: h.TagEnd - 2, End: h.TagEnd}, With: fmt.Appendf(nil, ">%s</%s>", blocks, name)}
	default:
		return Insert(h.TagEnd, blocks)
	}
}
