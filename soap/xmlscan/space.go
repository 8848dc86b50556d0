package xmlscan

import (
	"slices"
	"strconv"
)

// NS is a namespace name as the scanner that met it numbers it. Two names are equal where their numbers are.
type NS int32

// The namespaces that every scanner knows.
const (
	NoNamespace NS = iota
	XMLSpace
	xmlnsSpace
)

// The names that Namespaces in XML 1.0, section 3 reserves.
const (
	xmlName   = "http://www.w3.org/XML/1998/namespace"
	xmlnsName = "http://www.w3.org/2000/xmlns/"
)

// spaces knows the namespace names met so far and the bindings in force.
type spaces struct {
	uris     []string      // by NS
	numbers  map[string]NS // of uris, once they are many
	bindings []binding
	prefixes []byte // the prefixes of the bindings, end to end
	inherit  []XMLAttr
	pending  frame // what an empty element's end restores
	scratch  []byte
}

type binding struct {
	prefix, end uint32 // in prefixes
	space       NS
}

// Binding is one namespace declaration in force: Prefix (empty for the default) stands for Space.
type Binding struct{ Prefix, Space string }

// XMLAttr is an attribute of the xml: namespace that an enclosing element has, its value as written.
type XMLAttr struct{ Local, Value string }

// Scope is what an element inherits from those around it: the bindings in force, outermost first (a later one for
// the same prefix hides an earlier one), and the nearest xml: attributes.
type Scope struct {
	Bindings []Binding
	XML      []XMLAttr
}

// Lookup gives the namespace that prefix stands for.
func (sc *Scope) Lookup(prefix string) (space string, ok bool) {
	if sc == nil {
		return "", prefix == ""
	}
	for i := len(sc.Bindings) - 1; i >= 0; i-- {
		if sc.Bindings[i].Prefix == prefix {
			return sc.Bindings[i].Space, true
		}
	}
	return "", prefix == ""
}

func (sp *spaces) init(scope *Scope) {
	sp.uris = append(sp.uris, "", xmlName, xmlnsName)
	if scope == nil {
		return
	}
	for _, b := range scope.Bindings {
		bind(sp, b.Prefix, number(sp, b.Space))
	}
	sp.inherit = scope.XML
}

// ScopeIn is what a child of the element just started inherits, where the element itself inherits outer; that is
// outer again where the element adds nothing.
func (s *Scanner) ScopeIn(outer *Scope) *Scope {
	if outer == nil {
		outer = &Scope{}
	}
	in := *outer
	if len(s.Decls) > 0 {
		in.Bindings = slices.Grow(slices.Clip(outer.Bindings), len(s.Decls))
		for _, d := range s.Decls {
			in.Bindings = append(in.Bindings, Binding{string(d.Prefix), s.uris[d.Space]})
		}
	}
	own := s.xmlAttrs()
	if len(own) == 0 {
		if len(s.Decls) == 0 {
			return outer
		}
		return &in
	}
	in.XML = own
	for _, a := range outer.XML {
		if !hasXMLAttr(s.Attrs, a.Local) {
			in.XML = append(in.XML, a)
		}
	}
	return &in
}

func (s *Scanner) xmlAttrs() (own []XMLAttr) {
	for _, a := range s.Attrs {
		if a.Space == XMLSpace {
			own = append(own, XMLAttr{string(a.Local), string(a.Value)})
		}
	}
	return own
}

func hasXMLAttr(attrs []Attr, local string) bool {
	for i := range attrs {
		if attrs[i].Space == XMLSpace && string(attrs[i].Local) == local {
			return true
		}
	}
	return false
}

// Inherited are the xml: attributes that came with the scope of NewElement.
func (s *Scanner) Inherited() []XMLAttr { return s.inherit }

// URI is the namespace name behind n.
func (s *Scanner) URI(n NS) string { return s.uris[n] }

// Met reports whether a namespace name was declared so far, or came with the scope of NewElement.
func (s *Scanner) Met(uri string) bool {
	_, ok := s.find(uri)
	return ok
}

// InScope is the number of bindings in force, hidden ones included.
func (s *Scanner) InScope() int { return len(s.bindings) }

// Binding is the i-th binding in force, outermost first.
func (s *Scanner) Binding(i int) (prefix []byte, space NS) {
	return s.prefixAt(i), s.bindings[i].space
}

// Lookup gives the namespace that prefix stands for at this place.
func (s *Scanner) Lookup(prefix []byte) (NS, bool) { return s.lookup(prefix) }

// IsAmong reports whether the binding in force for prefix is one of the outermost so many.
func (s *Scanner) IsAmong(outermost int, prefix []byte) bool {
	for i := len(s.bindings) - 1; i >= 0; i-- {
		if string(s.prefixAt(i)) == string(prefix) {
			return i < outermost
		}
	}
	return false
}

// AddAttr puts an attribute into the start tag just read, as if it stood there: what c14n of an element yields before
// the attribute is written into the message. Its prefix is the one given or, where that stands for another namespace
// here, the first of prefix1, prefix2, ... that does not; it gives the one taken, and whether it was declared already.
// The value must need no escapes.
func (s *Scanner) AddAttr(prefix, space, local, value string) (taken string, declared bool) {
	n := number(&s.spaces, space)
	taken = prefix
	for i := 1; ; i++ {
		in, bound := s.lookup([]byte(taken))
		if declared = bound && in == n; declared || !bound {
			break
		}
		taken = prefix + strconv.Itoa(i)
	}
	if !declared {
		bind(&s.spaces, taken, n)
		s.Decls = append(s.Decls, Decl{[]byte(taken), n})
	}
	s.Attrs = append(s.Attrs, Attr{Prefix: []byte(taken), Local: []byte(local), Space: n, Value: []byte(value), Plain: true})
	return taken, declared
}

func (sp *spaces) prefixAt(i int) []byte {
	b := sp.bindings[i]
	return sp.prefixes[b.prefix:b.end]
}

func (sp *spaces) lookup(prefix []byte) (NS, bool) {
	for i := len(sp.bindings) - 1; i >= 0; i-- {
		b := sp.bindings[i]
		if int(b.end-b.prefix) == len(prefix) && string(sp.prefixes[b.prefix:b.end]) == string(prefix) {
			return b.space, true
		}
	}
	if len(prefix) == 0 {
		return NoNamespace, true
	}
	if string(prefix) == "xml" {
		return XMLSpace, true
	}
	return NoNamespace, false
}

func bind[T string | []byte](sp *spaces, prefix T, n NS) {
	start := uint32(len(sp.prefixes))
	sp.prefixes = append(sp.prefixes, prefix...)
	sp.bindings = append(sp.bindings, binding{start, uint32(len(sp.prefixes)), n})
}

// number gives the NS of a name, known or new.
func number[T string | []byte](sp *spaces, uri T) NS {
	if n, ok := sp.find(string(uri)); ok {
		return n
	}
	n := NS(len(sp.uris))
	sp.uris = append(sp.uris, string(uri))
	if sp.numbers != nil {
		sp.numbers[string(uri)] = n
	}
	return n
}

// find looks through a few names one by one, and through many by their hash.
func (sp *spaces) find(uri string) (NS, bool) {
	if len(sp.uris) > 16 {
		if sp.numbers == nil {
			sp.numbers = map[string]NS{}
			for i, u := range sp.uris {
				sp.numbers[u] = NS(i)
			}
		}
		n, ok := sp.numbers[uri]
		return n, ok
	}
	i := slices.Index(sp.uris, uri)
	return NS(i), i >= 0
}

// absolute reports whether a namespace name starts with a scheme (RFC 3986, section 3.1).
func absolute(uri []byte) bool {
	for i, c := range uri {
		switch {
		case 'a' <= c|0x20 && c|0x20 <= 'z':
		case i > 0 && ('0' <= c && c <= '9' || c == '+' || c == '-' || c == '.'):
		default:
			return i > 0 && c == ':'
		}
	}
	return false
}
