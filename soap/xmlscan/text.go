package xmlscan

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"
)

// text reads character data up to the next '<', or as much of it as the window safely holds.
func (s *Scanner) text() error {
	end := bytes.IndexByte(s.buf[s.pos:], '<')
	whole := end >= 0
	if !whole {
		if end = len(s.buf) - s.pos; !s.atEnd() {
			if end = safeCut(s.buf[s.pos:]); end == 0 {
				return errShort
			}
		}
	}
	data := s.buf[s.pos : s.pos+end]
	if len(s.stack) == 0 {
		return s.outside(data)
	}
	canonical, err := s.charData(data, s.pos)
	if err != nil {
		return err
	}
	s.Data, s.Canonical = data, canonical
	s.set(Text, s.pos+end)
	return nil
}

// outside reads the white space around the root element.
func (s *Scanner) outside(data []byte) error {
	for i, c := range data {
		if !isSpace(c) {
			return s.fail(Malformed, s.pos+i, "has text outside its root element")
		}
	}
	s.Data, s.Canonical = data, false
	s.set(Text, s.pos+len(data))
	return nil
}

// safeCut is how much of an unfinished text can be read: it splits no character, reference, line end or "]]>".
func safeCut(b []byte) int {
	n := len(b)
	tail := max(0, n-maxReference)
	if amp := bytes.LastIndexByte(b[tail:], '&'); amp >= 0 && bytes.IndexByte(b[tail+amp:], ';') < 0 {
		n = tail + amp
	}
	for start := n - 1; start >= max(0, n-utf8.UTFMax); start-- {
		if utf8.RuneStart(b[start]) {
			if !utf8.FullRune(b[start:n]) {
				n = start
			}
			break
		}
	}
	switch {
	case bytes.HasSuffix(b[:n], []byte("]]")):
		n -= 2
	case n > 0 && (b[n-1] == '\r' || b[n-1] == ']'):
		n--
	}
	return n
}

// maxReference bounds a character or entity reference: leading zeros beyond it are nobody's honest writing.
const maxReference = 32

// charData checks character data and says whether canonical XML would write it as it stands.
func (s *Scanner) charData(b []byte, at int) (canonical bool, err error) {
	canonical = true
	for i := 0; ; {
		i += plainText(b[i:])
		if i >= len(b) {
			return canonical, nil
		}
		switch c := b[i]; {
		case c == '&':
			n, _, err := s.reference(b[i:], at+i)
			if err != nil {
				return false, err
			}
			canonical = canonical && canonicalTextRef(b[i:i+n])
			i += n
		case c == '>':
			if i >= 2 && b[i-1] == ']' && b[i-2] == ']' {
				return false, s.fail(Malformed, at+i, "has ]]> in text")
			}
			canonical = false
			i++
		case c == '\r':
			canonical = false
			i++
		case c == '\t' || c == '\n':
			i++
		default:
			n, err := s.char(b[i:], at+i)
			if err != nil {
				return false, err
			}
			i += n
		}
	}
}

func canonicalTextRef(r []byte) bool {
	switch string(r) {
	case "&amp;", "&lt;", "&gt;", "&#xD;":
		return true
	}
	return false
}

// attrValue checks an attribute value and says whether canonical XML would write it as it stands, decoded or not.
func (s *Scanner) attrValue(b []byte, at int) (plain bool, err error) {
	plain = true
	for i := 0; i < len(b); {
		i += plainText(b[i:])
		if i >= len(b) {
			break
		}
		switch c := b[i]; {
		case c == '<':
			return false, s.fail(Malformed, at+i, "has '<' in an attribute value")
		case c == '&':
			n, _, err := s.reference(b[i:], at+i)
			if err != nil {
				return false, err
			}
			plain = false
			i += n
		case isSpace(c):
			plain = false
			i++
		case c == '>':
			i++
		default:
			n, err := s.char(b[i:], at+i)
			if err != nil {
				return false, err
			}
			i += n
		}
	}
	return plain && bytes.IndexByte(b, '"') < 0, nil
}

// char checks one character that is not plain ASCII and gives its length.
func (s *Scanner) char(b []byte, at int) (int, error) {
	r, n := utf8.DecodeRune(b)
	if r == utf8.RuneError && n <= 1 {
		return 0, s.fail(Encoding, at, "is not UTF-8")
	}
	if !isChar(r) {
		return 0, s.fail(Malformed, at, "has the character U+%04X, which XML does not allow", r)
	}
	return n, nil
}

// plainText counts leading bytes that need no look: ASCII from space up, without & < >.
func plainText(b []byte) int {
	n := 0
	for len(b)-n >= 8 {
		v := binary.LittleEndian.Uint64(b[n:])
		if special(v) {
			break
		}
		n += 8
	}
	for n < len(b) && plainByte[b[n]] {
		n++
	}
	return n
}

// special reports whether one of eight bytes is not plain. It may err towards true (a borrow), never towards false.
func special(v uint64) bool {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	below := func(x uint64, n uint64) uint64 { return (x - ones*n) &^ x & high }
	zero := func(x uint64) uint64 { return (x - ones) &^ x & high }
	return (v&high)|below(v, 0x20)|zero(v^('&'*ones))|zero((v|0x0202020202020202)^('>'*ones)) != 0
}

func (s *Scanner) cdataStart() error { return s.cdata(s.pos + len("<![CDATA[")) }

// cdata reads a CDATA section from its content at i; a long one comes in pieces.
func (s *Scanner) cdata(i int) error {
	if len(s.stack) == 0 {
		return s.fail(Malformed, s.pos, "has CDATA outside its root element")
	}
	n := bytes.Index(s.buf[i:], []byte("]]>"))
	end := i + n + 3
	if n < 0 {
		if s.atEnd() {
			return s.fail(Malformed, s.pos, "ends inside CDATA")
		}
		if n = safeCut(s.buf[i:]); n == 0 {
			return errShort
		}
		end = i + n
	}
	if err := s.chars(s.buf[i:i+n], i); err != nil {
		return err
	}
	s.inCData = end == i+n
	s.Data = s.buf[i : i+n]
	s.set(CData, end)
	return nil
}

// comment reads <!-- ... -->.
func (s *Scanner) comment() error {
	i := s.pos + len("<!--")
	n := bytes.Index(s.buf[i:], []byte("--"))
	if n < 0 || i+n+2 >= len(s.buf) {
		return s.longOrShort("comment")
	}
	if s.buf[i+n+2] != '>' {
		return s.fail(Malformed, i+n, "has -- inside a comment")
	}
	if err := s.chars(s.buf[i:i+n], i); err != nil {
		return err
	}
	s.Data = s.buf[i : i+n]
	s.set(Comment, i+n+3)
	return s.tooLong()
}

// procInst reads <?target data?>.
func (s *Scanner) procInst() error {
	i := s.pos + 2
	n := bytes.Index(s.buf[i:], []byte("?>"))
	if n < 0 {
		return s.longOrShort("processing instruction")
	}
	var prefix, target []byte
	end, err := s.qname(i, &prefix, &target)
	switch {
	case err != nil:
		return err
	case len(prefix) > 0:
		return s.fail(Malformed, i, "has a processing instruction with a colon in its target")
	case bytes.EqualFold(target, []byte("xml")):
		return s.fail(Malformed, i, "has an XML declaration that is not at its start")
	case end != i+n && !isSpace(s.buf[end]):
		return s.fail(Malformed, end, "has a malformed processing instruction")
	}
	if err := s.chars(s.buf[i:i+n], i); err != nil {
		return err
	}
	s.Data = s.buf[i : i+n]
	s.set(ProcInst, i+n+2)
	return s.tooLong()
}

func (s *Scanner) longOrShort(what string) error {
	if len(s.buf)-s.pos > s.limits.TagBytes {
		return s.limitErr("tag", s.limits.TagBytes, s.pos)
	}
	return s.short(what)
}

func (s *Scanner) tooLong() error {
	if s.Span.Len() > int64(s.limits.TagBytes) {
		return s.limitErr("tag", s.limits.TagBytes, s.pos)
	}
	return nil
}

// chars checks that every character is one that XML allows.
func (s *Scanner) chars(b []byte, at int) error {
	for i := 0; i < len(b); {
		if i += plainText(b[i:]); i >= len(b) {
			break
		}
		if c := b[i]; c == '&' || c == '<' || c == '>' || isSpace(c) {
			i++
			continue
		}
		n, err := s.char(b[i:], at+i)
		if err != nil {
			return err
		}
		i += n
	}
	return nil
}
