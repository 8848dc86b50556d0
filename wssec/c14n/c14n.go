// Package c14n writes canonical XML: Canonical XML 1.0 and Exclusive XML Canonicalization 1.0, with and without
// comments, streamed from the bytes as received into a hash.
//
//	s := xmlscan.NewElement(src, element, scope, limits)
//	err := c14n.Write(hash, s, c14n.Method{Exclusive: true})
//
// It builds no tree and allocates nothing per element. The oracles are libxml2 and Apache Santuario
// (interop/c14n_test.go).
package c14n

import (
	"fmt"
	"io"
	"sync"

	"gsigw/soap/xmlscan"
)

// The algorithm identifiers (Canonical XML 1.0, section 1; Exclusive XML Canonicalization 1.0, section 4).
const (
	InclusiveURI         = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
	InclusiveCommentsURI = InclusiveURI + "#WithComments"
	ExclusiveURI         = "http://www.w3.org/2001/10/xml-exc-c14n#"
	ExclusiveCommentsURI = ExclusiveURI + "WithComments"
)

// Method says which canonical form is written.
type Method struct {
	Exclusive bool
	Comments  bool
	Prefixes  []string // Exclusive: the InclusiveNamespaces PrefixList; "#default" names the default namespace
	ApexID    *ID      // an attribute to add to the first element

	// Unwritten, if set, is asked about every prefix in a value (text or attribute) that may be part of a qualified
	// name and that stands for a namespace by a declaration which the canonical form does not have. Its error ends
	// Write.
	Unwritten func(Prefix) error
}

// Prefix is a prefix in a value that means something else, or nothing, in the canonical form.
type Prefix struct {
	Prefix  string
	Space   string // what it stands for in the message; empty where nothing declares it
	Written string // what it stands for in the canonical form; empty for nothing
	Type    bool   // the value is an xsi:type, which is a name for certain
	Outer   bool   // it is declared around the element that is written
}

// ID is an attribute that is to be written into an element's start tag: its canonical form is wanted beforehand.
type ID struct {
	Prefix              string // wanted; Write puts here the one to write
	Declared            bool   // by Write: the element need not declare Prefix
	Space, Local, Value string
}

// ByURI gives the method that an algorithm identifier names.
func ByURI(uri string) (Method, bool) {
	switch uri {
	case InclusiveURI:
		return Method{}, true
	case InclusiveCommentsURI:
		return Method{Comments: true}, true
	case ExclusiveURI:
		return Method{Exclusive: true}, true
	case ExclusiveCommentsURI:
		return Method{Exclusive: true, Comments: true}, true
	}
	return Method{}, false
}

// Write reads s to its end and writes the canonical form of what it scans: an element (xmlscan.NewElement) or a
// whole document (xmlscan.New). What grows beyond MaxGrowth is refused. Errors are those of s and of w.
func Write(w io.Writer, s *xmlscan.Scanner, m Method) error {
	c := newWriter(w, s, m)
	defer c.free()
	kind, err := s.Next()
	if err != nil {
		return err
	}
	c.from = s.Span.Start
	c.token(kind)
	return c.rest()
}

// rest writes what follows the first token.
func (c *writer) rest() error {
	for c.err == nil {
		kind, err := c.s.Next()
		if err != nil {
			return err
		}
		if at := c.s.Span; c.wrote > freeGrowth+MaxGrowth*(at.End-c.from) {
			return &xmlscan.Error{
				Class: xmlscan.Limit, Limit: "canonical-form", Offset: at.Start,
				Msg: fmt.Sprintf("exceeds the limit canonical-form of %d times its own size", MaxGrowth),
			}
		}
		if kind == xmlscan.EOF {
			c.endRun()
			c.flush()
			break
		}
		c.token(kind)
	}
	return c.err
}

// done reports whether writing is over: it failed, or the plan became void.
func (c *writer) done() bool { return c.err != nil || c.plan != nil && c.plan.void }

// writers are those that nobody uses now: each keeps a buffer, and nothing else of what it wrote.
var writers = sync.Pool{New: func() any { return &writer{} }}

func newWriter(w io.Writer, s *xmlscan.Scanner, m Method) *writer {
	c := writers.Get().(*writer)
	c.w, c.s, c.Method, c.list = w, s, m, prefixList(m.Prefixes)
	c.memory, c.inMemory = s.Source().(xmlscan.Memory)
	c.makeRoom()
	return c
}

func (c *writer) free() {
	*c = writer{buffer: c.buffer}
	writers.Put(c)
}

// MaxGrowth is how many times as large as its source, and 32 KiB, a canonical form may be: namespace declarations are
// written anew on every sibling that uses them, and inclusively all of those in scope, so that a message could make its
// reader hash hundreds of times its own size.
const MaxGrowth = 16

const freeGrowth = 32 << 10

const bufferSize = 16 << 10

type writer struct {
	Method
	w    io.Writer
	s    *xmlscan.Scanner
	out  []byte       // in first, and later in buffer
	run  xmlscan.Span // of the source: what follows out as it stands there
	plan *Plan        // where it all goes in place of w
	err  error

	from, wrote int64 // where the source starts, and what w got

	memory   xmlscan.Memory // the source, if
	inMemory bool

	begun    bool            // the first element was met
	outer    int             // how many bindings were in force around it
	list     map[string]bool // Prefixes as a set, without '#'
	rendered []rendering
	prefixes []byte // of rendered, end to end
	marks    []mark // one for each open element
	buffer   *[bufferSize]byte
	todo     []decl
	order    []int // the attributes' order
	content
	first first
}

// first is room for what a small element needs, so that writing one costs a single allocation.
type first struct {
	out      [512]byte
	rendered [8]rendering
	prefixes [64]byte
	marks    [16]mark
	todo     [4]decl
	order    [8]int
}

func (c *writer) makeRoom() {
	f := &c.first
	c.out, c.rendered, c.prefixes = f.out[:0], f.rendered[:0], f.prefixes[:0]
	c.marks, c.todo, c.order = f.marks[:0], f.todo[:0], f.order[:0]
}

// rendering is a namespace declaration that an open element's canonical form has.
type rendering struct {
	prefix, end uint32
	space       xmlscan.NS
}

type mark struct{ rendered, prefixes uint32 }

func (c *writer) token(kind xmlscan.Kind) {
	switch kind {
	case xmlscan.StartElement:
		c.start()
		if c.s.Empty {
			c.end()
		}
	case xmlscan.EndElement:
		c.end()
	case xmlscan.Text:
		c.fail(c.checkText(c.s.Data, false))
		c.text()
	case xmlscan.CData:
		c.fail(c.checkText(c.s.Data, true))
		c.endRun()
		c.escape(c.s.Data)
	case xmlscan.Comment:
		if c.Comments {
			c.endRun()
			c.aside("<!--", "-->", c.s.Data)
		}
	case xmlscan.ProcInst:
		c.endRun()
		c.procInst()
	}
}

func (c *writer) start() {
	apex := !c.begun
	if apex {
		c.begun, c.outer = true, c.s.InScope()-len(c.s.Decls)
		if id := c.ApexID; id != nil {
			id.Prefix, id.Declared = c.s.AddAttr(id.Prefix, id.Space, id.Local, id.Value)
		}
	}
	c.marks = append(c.marks, mark{uint32(len(c.rendered)), uint32(len(c.prefixes))})
	c.collect(apex)
	c.render()
	if c.s.Canonical && !apex && c.declaresTodo() && c.inOrder() {
		c.verbatim()
	} else {
		c.endRun()
		c.startTag(apex)
	}
	c.fail(c.checkAttrs())
}

func (c *writer) startTag(apex bool) {
	c.byte('<')
	c.name(c.s.Prefix, c.s.Local)
	c.declare()
	if apex && !c.Exclusive {
		c.inherit()
	}
	c.attributes()
	c.byte('>')
}

func (c *writer) fail(err error) {
	if c.err == nil {
		c.err = err
	}
}

func (c *writer) end() {
	c.content.tail = c.content.tail[:0]
	if c.s.Kind == xmlscan.EndElement && c.s.Canonical {
		c.verbatim()
	} else {
		c.endRun()
		c.str("</")
		c.name(c.s.Prefix, c.s.Local)
		c.byte('>')
	}
	last := c.marks[len(c.marks)-1]
	c.marks = c.marks[:len(c.marks)-1]
	c.rendered, c.prefixes = c.rendered[:last.rendered], c.prefixes[:last.prefixes]
}

// text writes character data; outside the root element there is only white space, which is left out.
func (c *writer) text() {
	switch {
	case len(c.marks) == 0:
	case c.s.Canonical:
		c.verbatim()
	default:
		c.endRun()
		c.textRefs(c.s.Data)
	}
}

// aside writes a comment or processing instruction. Outside the root element it stands on a line of its own
// (Canonical XML 1.0, section 2.3).
func (c *writer) aside(open, end string, data []byte) {
	outside := len(c.marks) == 0
	if outside && c.begun {
		c.byte('\n')
	}
	c.str(open)
	c.lines(data)
	c.str(end)
	if outside && !c.begun {
		c.byte('\n')
	}
}

func (c *writer) procInst() {
	target, data := splitPI(c.s.Data)
	if len(data) == 0 {
		c.aside("<?"+string(target), "?>", nil)
		return
	}
	c.aside("<?"+string(target)+" ", "?>", data)
}

func splitPI(b []byte) (target, data []byte) {
	i := 0
	for i < len(b) && !space(b[i]) {
		i++
	}
	j := i
	for j < len(b) && space(b[j]) {
		j++
	}
	return b[:i], b[j:]
}

func space(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

func (c *writer) name(prefix, local []byte) {
	if len(prefix) > 0 {
		c.raw(prefix)
		c.byte(':')
	}
	c.raw(local)
}
