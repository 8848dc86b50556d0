package xmlscan

import (
	"bytes"
	"cmp"
	"slices"
)

// startTag reads <name attributes> or <name attributes/>.
func (s *Scanner) startTag() error {
	if s.rooted && len(s.stack) == 0 {
		return s.fail(Malformed, s.pos, "has a second root element")
	}
	if s.Depth() >= s.limits.Depth {
		return s.limitErr("depth", s.limits.Depth, s.pos)
	}
	i, err := s.qname(s.pos+1, &s.Prefix, &s.Local)
	if err != nil {
		return err
	}
	nameEnd := i
	s.Attrs, s.Decls, s.Canonical = s.Attrs[:0], s.Decls[:0], true
	out := frame{uint32(len(s.names)), uint32(len(s.bindings)), uint32(len(s.prefixes)), 0}
	if len(s.Prefix) > 0 {
		out.prefix = uint32(len(s.Prefix)) + 1
	}
	end, empty, err := s.attributes(i)
	if err == nil {
		err = s.resolve()
	}
	if err != nil {
		s.leave(out)
		return err
	}
	s.NameEnd, s.Empty, s.rooted = s.offset(nameEnd), empty, true
	s.names = append(s.names, s.buf[s.pos+1:nameEnd]...)
	s.pending = out
	if !empty {
		s.stack = append(s.stack, out)
	}
	s.set(StartElement, end)
	if end-int(s.Span.Start-s.base) > s.limits.TagBytes {
		return s.limitErr("tag", s.limits.TagBytes, end)
	}
	return nil
}

// attributes reads from behind the name to behind '>', declaring namespaces as it meets them.
func (s *Scanner) attributes(i int) (end int, empty bool, err error) {
	for {
		space := i
		i = s.skipSpace(i)
		if i >= len(s.buf) {
			return 0, false, s.short("tag")
		}
		switch s.buf[i] {
		case '>':
			s.Canonical = s.Canonical && i == space
			return i + 1, false, nil
		case '/':
			if i+1 >= len(s.buf) {
				return 0, false, s.short("tag")
			}
			if s.buf[i+1] != '>' {
				return 0, false, s.fail(Malformed, i, "has '/' inside a tag")
			}
			s.Canonical = false
			return i + 2, true, nil
		}
		if space == i {
			return 0, false, s.fail(Malformed, i, "lacks white space before an attribute")
		}
		s.Canonical = s.Canonical && i == space+1 && s.buf[space] == ' '
		if i, err = s.attribute(i); err != nil {
			return 0, false, err
		}
		if len(s.Attrs)+len(s.Decls) > s.limits.Attributes {
			return 0, false, s.limitErr("attributes", s.limits.Attributes, i)
		}
	}
}

func (s *Scanner) attribute(i int) (int, error) {
	a := Attr{Start: s.offset(i)}
	start := i
	i, err := s.qname(i, &a.Prefix, &a.Local)
	if err != nil {
		return 0, err
	}
	nameEnd := i
	if i = s.skipSpace(i); i < len(s.buf) && s.buf[i] != '=' {
		return 0, s.fail(Malformed, i, "has an attribute %s without a value", clip(s.buf[start:i]))
	}
	i = s.skipSpace(i + 1)
	if i >= len(s.buf) {
		return 0, s.short("tag")
	}
	quote := s.buf[i]
	if quote != '"' && quote != '\'' {
		return 0, s.fail(Malformed, i, "has an attribute value without quotes")
	}
	at := i + 1
	if i, a.Plain, err = s.value(at, quote); err != nil {
		return 0, err
	}
	a.Value = s.buf[at : i-1]
	s.Canonical = s.Canonical && a.Plain && quote == '"' && at == nameEnd+len(`="`)
	switch {
	case len(a.Prefix) == 0 && string(a.Local) == "xmlns":
		return i, s.declare(nil, &a, start)
	case string(a.Prefix) == "xmlns":
		return i, s.declare(a.Local, &a, start)
	}
	s.Attrs = append(s.Attrs, a)
	return i, nil
}

// value reads an attribute value at i and gives the offset behind its closing quote.
func (s *Scanner) value(i int, quote byte) (end int, plain bool, err error) {
	end = i
	for end < len(s.buf) && valueByte[s.buf[end]] {
		end++
	}
	if end < len(s.buf) && s.buf[end] == quote {
		return end + 1, true, nil
	}
	n := bytes.IndexByte(s.buf[end:], quote)
	if n < 0 {
		return 0, false, s.short("attribute value")
	}
	end += n
	plain, err = s.attrValue(s.buf[i:end], i)
	return end + 1, plain, err
}

// declare puts a namespace declaration in force (Namespaces in XML 1.0, sections 3 and 5).
func (s *Scanner) declare(prefix []byte, a *Attr, at int) error {
	s.Canonical = s.Canonical && len(s.Attrs) == 0 // declarations go first
	uri := a.Value
	if !a.Plain {
		s.scratch = AppendAttr(s.scratch[:0], a.Value)
		uri = s.scratch
	}
	if len(uri) > s.limits.NamespaceBytes {
		return s.limitErr("namespace", s.limits.NamespaceBytes, at)
	}
	n := number(&s.spaces, uri)
	if err := s.mayDeclare(prefix, uri, n, at); err != nil {
		return err
	}
	for _, d := range s.Decls {
		if bytes.Equal(d.Prefix, prefix) {
			return s.fail(Malformed, at, "declares the prefix %s twice in one tag", prefix)
		}
	}
	s.Decls = append(s.Decls, Decl{prefix, n})
	bind(&s.spaces, prefix, n)
	if len(s.bindings) > s.limits.Namespaces || len(s.uris) > 8*s.limits.Namespaces {
		return s.limitErr("namespaces", s.limits.Namespaces, at)
	}
	return nil
}

// MaxPrefix bounds the bytes of a prefix: who looks for prefixes in text that comes in pieces must keep no more.
const MaxPrefix = 256

func (s *Scanner) mayDeclare(prefix, uri []byte, n NS, at int) error {
	switch {
	case len(prefix) > MaxPrefix:
		return s.fail(Malformed, at, "declares a prefix longer than %d bytes", MaxPrefix)
	case string(prefix) == "xmlns" || n == xmlnsSpace:
		return s.fail(Malformed, at, "declares the reserved prefix or namespace xmlns")
	case (string(prefix) == "xml") != (n == XMLSpace):
		return s.fail(Malformed, at, "binds the reserved prefix or namespace xml to another")
	case n == NoNamespace && len(prefix) > 0:
		return s.fail(Malformed, at, "binds the prefix %s to no namespace", prefix)
	case n != NoNamespace && !absolute(uri):
		return s.fail(Malformed, at, "has the namespace name %q, which has no scheme", clip(uri))
	}
	return nil
}

// resolve finds the namespaces of a start tag's names and refuses attributes that stand twice.
func (s *Scanner) resolve() error {
	n, ok := s.lookup(s.Prefix)
	if !ok {
		return s.fail(Malformed, s.pos, "uses the prefix %s, which is not declared", clip(s.Prefix))
	}
	s.Space = n
	for i := range s.Attrs {
		a := &s.Attrs[i]
		if len(a.Prefix) > 0 {
			if a.Space, ok = s.lookup(a.Prefix); !ok {
				return s.fail(Malformed, s.pos, "uses the prefix %s, which is not declared", clip(a.Prefix))
			}
		}
	}
	if a := s.duplicate(); a != nil {
		return s.fail(Malformed, s.pos, "has the attribute %s twice in one tag", clip(a.Local))
	}
	return nil
}

// duplicate finds an attribute with the expanded name of another.
func (s *Scanner) duplicate() *Attr {
	if len(s.Attrs) > 16 {
		return s.duplicateOfMany()
	}
	for i := range s.Attrs {
		for j := range i {
			if a, b := &s.Attrs[i], &s.Attrs[j]; b.Space == a.Space && bytes.Equal(b.Local, a.Local) {
				return a
			}
		}
	}
	return nil
}

func (s *Scanner) duplicateOfMany() *Attr {
	compare := func(i, j int) int {
		a, b := &s.Attrs[i], &s.Attrs[j]
		return cmp.Or(cmp.Compare(a.Space, b.Space), bytes.Compare(a.Local, b.Local))
	}
	s.order = s.order[:0]
	for i := range s.Attrs {
		s.order = append(s.order, i)
	}
	slices.SortFunc(s.order, compare)
	for i := 1; i < len(s.order); i++ {
		if compare(s.order[i-1], s.order[i]) == 0 {
			return &s.Attrs[s.order[i]]
		}
	}
	return nil
}

// endTag reads </name>.
func (s *Scanner) endTag() error {
	if s.endsTop() {
		return nil
	}
	gt := bytes.IndexByte(s.buf[s.pos:], '>')
	if gt < 0 {
		if len(s.buf)-s.pos > s.limits.TagBytes {
			return s.limitErr("tag", s.limits.TagBytes, s.pos)
		}
		return s.short("tag")
	}
	name := s.buf[s.pos+2 : s.pos+gt]
	for len(name) > 0 && isSpace(name[len(name)-1]) {
		name = name[:len(name)-1]
	}
	if len(s.stack) == 0 {
		return s.fail(Malformed, s.pos, "ends </%s>, which is not open", clip(name))
	}
	open := s.topName()
	if !bytes.Equal(open, name) {
		return s.fail(Malformed, s.pos, "ends </%s> where <%s> is open", clip(name), clip(open))
	}
	s.Prefix, s.Local = nil, name
	if c := bytes.IndexByte(name, ':'); c >= 0 {
		s.Prefix, s.Local = name[:c], name[c+1:]
	}
	s.Canonical = false
	s.close(s.pos + gt + 1)
	return s.tooLong()
}

// endsTop reads an end tag that is written without white space and ends the element that is open.
func (s *Scanner) endsTop() bool {
	if len(s.stack) == 0 {
		return false
	}
	top := s.stack[len(s.stack)-1]
	open := s.names[top.name:]
	end := s.pos + len("</") + len(open)
	if end >= len(s.buf) || s.buf[end] != '>' || string(s.buf[s.pos+len("</"):end]) != string(open) {
		return false
	}
	name := s.buf[s.pos+len("</") : end]
	s.Prefix, s.Local = nil, name
	if top.prefix > 0 {
		s.Prefix, s.Local = name[:top.prefix-1], name[top.prefix:]
	}
	s.Canonical = true
	s.close(end + 1)
	return true
}

// close ends an end tag, and the element.
func (s *Scanner) close(end int) {
	s.set(EndElement, end)
	s.leave(s.stack[len(s.stack)-1])
	s.stack = s.stack[:len(s.stack)-1]
}

func (s *Scanner) topName() []byte {
	return s.names[s.stack[len(s.stack)-1].name:]
}

// leave takes back what an element put in force.
func (s *Scanner) leave(f frame) {
	s.names = s.names[:f.name]
	s.bindings = s.bindings[:f.bindings]
	s.prefixes = s.prefixes[:f.prefixes]
}

func (s *Scanner) skipSpace(i int) int {
	for i < len(s.buf) && isSpace(s.buf[i]) {
		i++
	}
	return i
}

// clip keeps a quoted name short in an error.
func clip(b []byte) []byte { return b[:min(len(b), 80)] }
