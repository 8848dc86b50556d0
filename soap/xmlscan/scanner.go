// Package xmlscan reads XML 1.0 with namespaces, one token at a time, over the bytes as they were received.
//
// It is the only parser on the path of a message: the index that package soap makes, the canonical form that
// package c14n hashes and the bytes that leave the gateway all come from the same scanner, so that no two views
// of one message can differ. It keeps raw bytes (nothing is decoded unless asked), checks well-formedness and
// namespace constraints in full, and allocates nothing per element.
//
//	s := xmlscan.New(xmlscan.Memory(doc), xmlscan.Limits{})
//	for {
//		kind, err := s.Next()
//		if err != nil || kind == xmlscan.EOF {
//			return err
//		}
//		...
//	}
//
// What it refuses, although XML allows it: DTDs (and so entities other than the five predefined ones), every
// encoding but UTF-8, XML 1.1, and namespace names without a scheme (which have no canonical form: Canonical XML
// 1.0, section 1.3).
package xmlscan

import (
	"bytes"
	"errors"
	"io"
	"sync"
)

// Source is where the bytes of a document lie: in memory, or in a file when they are many.
type Source interface {
	io.ReaderAt
	Size() int64
}

// Memory is a Source over bytes in memory. The scanner's tokens then point into it: no copies.
type Memory []byte

// Size is the number of bytes.
func (m Memory) Size() int64 { return int64(len(m)) }

// ReadAt implements io.ReaderAt.
func (m Memory) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= int64(len(m)) {
		return 0, io.EOF
	}
	n := copy(p, m[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Span is the range of bytes [Start, End) of a Source.
type Span struct{ Start, End int64 }

// Len is the number of bytes in the span.
func (s Span) Len() int64 { return s.End - s.Start }

// Contains reports whether t lies within s.
func (s Span) Contains(t Span) bool { return s.Start <= t.Start && t.End <= s.End }

// Kind says what a token is.
type Kind uint8

// The kinds of token. An element written <a/> gives a StartElement with Empty set and no EndElement. Text and CData
// may come in several pieces, cut where no character and no reference is split.
const (
	EOF Kind = iota
	StartElement
	EndElement
	Text
	CData
	Comment
	ProcInst
)

// Scanner reads tokens. Its fields describe the current one and hold until the following Next.
type Scanner struct {
	Kind Kind
	Span Span // the token's bytes, markup included

	Prefix, Local []byte // StartElement and EndElement: the name as written
	Space         NS     // StartElement: its namespace
	NameEnd       int64  // StartElement: the offset behind the name, where an attribute can be put in
	Empty         bool   // StartElement: <a/>
	Attrs         []Attr // StartElement: attributes without namespace declarations, in document order
	Decls         []Decl // StartElement: namespace declarations, in document order

	Data      []byte // Text, CData, Comment: content as written; ProcInst: target, white space and data
	Canonical bool   // Text: Data is what canonical XML writes for it; tags: so is Raw, but for which declarations it has, and the order of those and of attributes

	limits Limits
	spaces
	stack []frame
	names []byte // the open elements' names, end to end
	order []int  // of Attrs, while duplicates are looked for

	src      Source
	window   int    // the least size of buf
	buf      []byte // a window of src
	base     int64  // the offset of buf[0]
	end      int64  // where the scan ends in src
	pos      int    // the cursor in buf
	memory   bool   // buf is all there is
	started  bool
	fragment bool // the scan covers one element inside a document
	rooted   bool // the root element was seen
	inCData  bool
	first    first
}

// first is room for what a small document needs, so that a scan of one costs a single allocation.
type first struct {
	attrs    [4]Attr
	decls    [4]Decl
	stack    [16]frame
	names    [256]byte
	uris     [8]string
	bindings [12]binding
	prefixes [64]byte
}

func (s *Scanner) makeRoom() {
	f := &s.first
	s.Attrs, s.Decls, s.stack, s.names = f.attrs[:0], f.decls[:0], f.stack[:0], f.names[:0]
	s.uris, s.bindings, s.prefixes = f.uris[:0], f.bindings[:0], f.prefixes[:0]
}

// Attr is one attribute; Value is as written between the quotes.
type Attr struct {
	Prefix, Local []byte
	Space         NS
	Value         []byte
	Plain         bool // Value is what canonical XML writes for it, and needs no decoding
	Start         int64
}

// Is reports whether the attribute has no namespace and this local name.
func (a *Attr) Is(local string) bool { return a.Space == NoNamespace && string(a.Local) == local }

// Text is the normalised value.
func (a *Attr) Text() string {
	if a.Plain {
		return string(a.Value)
	}
	return string(AppendAttr(nil, a.Value))
}

// Decl is one namespace declaration; Prefix is empty for the default namespace.
type Decl struct {
	Prefix []byte
	Space  NS
}

type frame struct {
	name     uint32 // where its name starts in names
	bindings uint32 // how many bindings were in force outside it
	prefixes uint32
	prefix   uint32 // how much of its name is prefix, colon included
}

// Raw is the token's bytes, markup included. It holds until the following Next.
func (s *Scanner) Raw() []byte { return s.buf[s.Span.Start-s.base : s.Span.End-s.base] }

// Source is what is scanned.
func (s *Scanner) Source() Source { return s.src }

// errShort asks Next for a larger window.
var errShort = errors.New("xmlscan: token not whole in the window")

// New scans a whole document.
func New(src Source, l Limits) *Scanner {
	return newScanner(src, Span{0, src.Size()}, nil, l)
}

// NewElement scans the one element that fills span, with the namespaces that are in scope around it.
func NewElement(src Source, span Span, scope *Scope, l Limits) *Scanner {
	s := newScanner(src, span, scope, l)
	s.fragment = true
	return s
}

// scanners are those that were given back.
var scanners = sync.Pool{New: func() any { return &Scanner{} }}

// Free gives the scanner back for another scan: neither it nor its Attrs and Decls may be used any more. Who keeps a
// scanner need not call it.
func (s *Scanner) Free() {
	*s = Scanner{}
	scanners.Put(s)
}

func newScanner(src Source, span Span, scope *Scope, l Limits) *Scanner {
	s := scanners.Get().(*Scanner)
	s.limits, s.src, s.window, s.base, s.end = l.withDefaults(), src, 64<<10, span.Start, span.End
	s.makeRoom()
	s.spaces.init(scope)
	if m, ok := src.(Memory); ok {
		s.buf, s.memory = m[span.Start:span.End], true
	}
	return s
}

// Depth is the number of open elements, the one just started included (also an empty one).
func (s *Scanner) Depth() int {
	if s.Kind == StartElement && s.Empty {
		return len(s.stack) + 1
	}
	return len(s.stack)
}

// Next reads one token. After an error or EOF it must not be called again.
func (s *Scanner) Next() (Kind, error) {
	if s.Kind == StartElement && s.Empty {
		s.Empty = false
		s.leave(s.pending)
	}
	for {
		err := s.scan()
		if err == nil {
			return s.Kind, nil
		}
		if err != errShort {
			return EOF, err
		}
		if err := s.fill(); err != nil {
			return EOF, err
		}
	}
}

// scan reads a token from the window, or fails with errShort and no effect.
func (s *Scanner) scan() error {
	if !s.started {
		if err := s.prolog(); err != nil {
			return err
		}
		s.started = true
	}
	if s.inCData {
		return s.cdata(s.pos)
	}
	rest := s.buf[s.pos:]
	if len(rest) == 0 {
		return s.eof()
	}
	if rest[0] != '<' {
		return s.text()
	}
	if len(rest) < 2 {
		return s.short("tag")
	}
	switch rest[1] {
	case '/':
		return s.endTag()
	case '!':
		return s.bang()
	case '?':
		return s.procInst()
	}
	return s.startTag()
}

func (s *Scanner) eof() error {
	if !s.atEnd() {
		return errShort
	}
	if len(s.stack) > 0 {
		return s.fail(Malformed, s.pos, "ends inside <%s>", clip(s.topName()))
	}
	if !s.rooted {
		return s.fail(Malformed, s.pos, "has no root element")
	}
	s.Kind, s.Span = EOF, Span{s.end, s.end}
	return nil
}

// bang reads what starts with "<!".
func (s *Scanner) bang() error {
	rest := s.buf[s.pos:]
	for _, m := range []struct {
		start string
		read  func() error
	}{{"<!--", s.comment}, {"<![CDATA[", s.cdataStart}, {"<!DOCTYPE", s.doctype}} {
		if len(rest) < len(m.start) && !s.atEnd() && bytes.HasPrefix([]byte(m.start), rest) {
			return errShort
		}
		if bytes.HasPrefix(rest, []byte(m.start)) {
			return m.read()
		}
	}
	return s.fail(Malformed, s.pos, "has a declaration that is neither a comment nor CDATA")
}

func (s *Scanner) doctype() error {
	return s.fail(DTD, s.pos, "has a document type declaration, which SOAP forbids")
}

// set ends a token that runs from s.pos to end in the window.
func (s *Scanner) set(k Kind, end int) {
	s.Kind, s.Span = k, Span{s.offset(s.pos), s.offset(end)}
	s.pos = end
}

func (s *Scanner) offset(i int) int64 { return s.base + int64(i) }

func (s *Scanner) atEnd() bool { return s.memory || s.base+int64(len(s.buf)) >= s.end }

// short is called where the window ends inside a token.
func (s *Scanner) short(what string) error {
	if !s.atEnd() {
		return errShort
	}
	return s.fail(Malformed, len(s.buf), "ends inside a %s", what)
}

// fill moves the window on so that it starts at the cursor and holds more than it did.
func (s *Scanner) fill() error {
	kept := len(s.buf) - s.pos
	if kept > s.limits.TagBytes {
		return s.limitErr("tag", s.limits.TagBytes, s.pos)
	}
	size := min(int64(max(s.window, 2*kept)), s.end-s.offset(s.pos))
	next := s.buf[:0]
	if size > int64(cap(next)) {
		next = make([]byte, 0, size)
	}
	next = next[:size]
	copy(next, s.buf[s.pos:])
	s.base, s.pos = s.offset(s.pos), 0
	s.buf = next
	n, err := s.src.ReadAt(next[kept:], s.base+int64(kept))
	if n < len(next)-kept {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF // Size said more
		}
		return &Error{Class: Unreadable, Offset: s.base, Err: err}
	}
	return nil
}
