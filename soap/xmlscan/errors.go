package xmlscan

import (
	"fmt"
)

// Class says why a document was refused.
type Class string

// The classes of refusal.
const (
	Malformed  Class = "malformed"  // not well-formed, or not namespace-well-formed
	DTD        Class = "dtd"        // a document type declaration, or an entity that only one could declare
	Encoding   Class = "encoding"   // not UTF-8
	Limit      Class = "limit"      // larger, deeper or wider than allowed
	Unreadable Class = "unreadable" // the source failed
)

// Error is a refusal with its place.
type Error struct {
	Class  Class
	Limit  string // the limit's name, for class Limit
	Offset int64  // in bytes from the start of the Source, or NoPlace
	Msg    string // completes "the document ..."
	Err    error
}

// NoPlace is the offset of a refusal that concerns no place in the document.
const NoPlace = -1

func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("the document cannot be read at byte %d: %v", e.Offset, e.Err)
	}
	if e.Offset == NoPlace {
		return "the document " + e.Msg
	}
	return fmt.Sprintf("the document %s (byte %d)", e.Msg, e.Offset)
}

func (e *Error) Unwrap() error { return e.Err }

func (s *Scanner) fail(c Class, at int, format string, args ...any) error {
	return &Error{Class: c, Offset: s.offset(at), Msg: fmt.Sprintf(format, args...)}
}

func (s *Scanner) limitErr(name string, n int, at int) error {
	return &Error{Class: Limit, Limit: name, Offset: s.offset(at), Msg: fmt.Sprintf("exceeds the limit %s of %d", name, n)}
}

// Limits bound what a document may ask of the scanner. A zero field means the default in brackets.
type Limits struct {
	Depth      int // open elements [256]
	Attributes int // attributes and namespace declarations of one element [256]
	Namespaces int // namespace declarations in scope at one place [128], and eight times as many different names in all
	TagBytes   int // bytes of one tag, comment or processing instruction [1 MiB]

	// Bytes of one namespace name [512]. Exclusive c14n writes a name anew on every sibling that uses it: a long one
	// makes the canonical form many times as large as the document.
	NamespaceBytes int
}

func (l Limits) withDefaults() Limits {
	def := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&l.Depth, 256)
	def(&l.Attributes, 256)
	def(&l.Namespaces, 128)
	def(&l.TagBytes, 1<<20)
	def(&l.NamespaceBytes, 512)
	return l
}
