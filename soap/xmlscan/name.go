package xmlscan

import (
	"unicode/utf8"
)

// qname reads a qualified name at i (Namespaces in XML 1.0, production 7) and gives the offset behind it.
func (s *Scanner) qname(i int, prefix, local *[]byte) (int, error) {
	end, err := s.ncname(i)
	if err != nil {
		return 0, err
	}
	if s.buf[end] != ':' {
		*prefix, *local = nil, s.buf[i:end]
		return end, nil
	}
	last, err := s.ncname(end + 1)
	if err != nil {
		return 0, err
	}
	if s.buf[last] == ':' {
		return 0, s.fail(Malformed, last, "has a name with two colons")
	}
	*prefix, *local = s.buf[i:end], s.buf[end+1:last]
	return last, nil
}

// ncname reads a name without a colon at i and gives the offset of the byte behind it, which is in the window.
func (s *Scanner) ncname(i int) (int, error) {
	start := i
	for i < len(s.buf) && nameByte[s.buf[i]] {
		i++
	}
	if i < len(s.buf) && s.buf[i] >= utf8.RuneSelf {
		var err error
		if i, err = s.wideName(start); err != nil {
			return 0, err
		}
	}
	if i >= len(s.buf) {
		return 0, s.short("name")
	}
	if i == start || !nameStart[s.buf[start]] && !isNameStart(firstRune(s.buf[start:i])) {
		return 0, s.fail(Malformed, start, "has no name where one must stand")
	}
	return i, nil
}

// wideName reads a name with characters beyond ASCII.
func (s *Scanner) wideName(i int) (int, error) {
	for i < len(s.buf) {
		c := s.buf[i]
		if c < utf8.RuneSelf {
			if !nameByte[c] {
				return i, nil
			}
			i++
			continue
		}
		if !utf8.FullRune(s.buf[i:]) && !s.atEnd() {
			return 0, errShort
		}
		r, n := utf8.DecodeRune(s.buf[i:])
		if r == utf8.RuneError && n <= 1 {
			return 0, s.fail(Encoding, i, "is not UTF-8")
		}
		if !isNameRune(r) {
			return 0, s.fail(Malformed, i, "has the character U+%04X in a name", r)
		}
		i += n
	}
	return i, nil
}

func firstRune(b []byte) rune {
	r, _ := utf8.DecodeRune(b)
	return r
}

var (
	nameByte  [256]bool // ASCII name characters, colon left out
	nameStart [256]bool // those that can be the first
	valueByte [256]bool // ASCII that canonical XML writes in attribute values as it stands, without quotes
	plainByte [256]bool // ASCII from space up, without & < >
)

func init() {
	for c := range utf8.RuneSelf {
		nameByte[c] = c != ':' && isNameRune(rune(c))
		nameStart[c] = isNameStart(rune(c))
		valueByte[c] = c >= 0x20 && c != '&' && c != '<' && c != '"' && c != '\''
		plainByte[c] = c >= 0x20 && c != '&' && c != '<' && c != '>'
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

// isChar is XML 1.0, production 2.
func isChar(r rune) bool {
	return r >= 0x20 && r <= 0xD7FF || r == '\t' || r == '\n' || r == '\r' || r >= 0xE000 && r <= 0xFFFD || r >= 0x10000 && r <= utf8.MaxRune
}

// isNameStart is XML 1.0 (fifth edition), production 4, without the colon.
func isNameStart(r rune) bool {
	switch {
	case r < 0x80:
		return 'a' <= r|0x20 && r|0x20 <= 'z' || r == '_'
	case r < 0x300:
		return r >= 0xC0 && r != 0xD7 && r != 0xF7
	case r < 0x2000:
		return r >= 0x370 && r != 0x37E
	}
	return r == 0x200C || r == 0x200D || r >= 0x2070 && r <= 0x218F || r >= 0x2C00 && r <= 0x2FEF ||
		r >= 0x3001 && r <= 0xD7FF || r >= 0xF900 && r <= 0xFDCF || r >= 0xFDF0 && r <= 0xFFFD || r >= 0x10000 && r <= 0xEFFFF
}

// isNameRune is XML 1.0 (fifth edition), production 4a, without the colon.
func isNameRune(r rune) bool {
	return isNameStart(r) || '0' <= r && r <= '9' || r == '-' || r == '.' || r == 0xB7 || r >= 0x300 && r <= 0x36F || r == 0x203F || r == 0x2040
}
