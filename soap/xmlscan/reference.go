package xmlscan

import (
	"bytes"
	"slices"
	"unicode/utf8"
)

// reference reads &name; or &#n; and gives its length and the character it stands for.
func (s *Scanner) reference(b []byte, at int) (int, rune, error) {
	end := bytes.IndexByte(b[:min(len(b), maxReference)], ';')
	if end < 0 {
		return 0, 0, s.fail(Malformed, at, "has an '&' that starts no reference")
	}
	r, ok := decodeRef(b[1:end])
	if !ok {
		if b[1] != '#' && isNameStart(rune(b[1])) {
			return 0, 0, s.fail(DTD, at, "uses the entity &%s;, which only a document type declaration could define", b[1:end])
		}
		return 0, 0, s.fail(Malformed, at, "has the reference %s, which stands for no character", b[:end+1])
	}
	return end + 1, r, nil
}

// decodeRef decodes what stands between '&' and ';'.
func decodeRef(b []byte) (rune, bool) {
	switch string(b) {
	case "amp":
		return '&', true
	case "lt":
		return '<', true
	case "gt":
		return '>', true
	case "quot":
		return '"', true
	case "apos":
		return '\'', true
	}
	if len(b) < 2 || b[0] != '#' {
		return 0, false
	}
	digits, base := b[1:], rune(10)
	if digits[0] == 'x' {
		digits, base = digits[1:], 16
	}
	r, ok := codePoint(digits, base)
	return r, ok && isChar(r)
}

func codePoint(digits []byte, base rune) (rune, bool) {
	var r rune
	for _, c := range digits {
		var d rune
		switch {
		case '0' <= c && c <= '9':
			d = rune(c - '0')
		case base == 16 && 'a' <= c|0x20 && c|0x20 <= 'f':
			d = rune(c|0x20-'a') + 10
		default:
			return 0, false
		}
		if r = r*base + d; r > utf8.MaxRune {
			return 0, false
		}
	}
	return r, len(digits) > 0
}

// AppendText appends the characters that checked character data stands for (XML 1.0, sections 2.11 and 4.6).
func AppendText(dst, raw []byte) []byte {
	return appendDecoded(dst, raw, func(c, next byte) (byte, bool) {
		if c == '\r' {
			return '\n', next == '\n'
		}
		return c, false
	})
}

// AppendAttr appends the normalised value of a checked attribute value (XML 1.0, section 3.3.3, CDATA).
func AppendAttr(dst, raw []byte) []byte {
	return appendDecoded(dst, raw, func(c, next byte) (byte, bool) {
		if isSpace(c) {
			return ' ', c == '\r' && next == '\n'
		}
		return c, false
	})
}

// appendDecoded resolves references and passes every literal byte through norm, which may drop the one behind it.
func appendDecoded(dst, raw []byte, norm func(c, next byte) (byte, bool)) []byte {
	dst = slices.Grow(dst, len(raw))
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c == '&' {
			end := bytes.IndexByte(raw[i:], ';')
			r, _ := decodeRef(raw[i+1 : i+end])
			dst = utf8.AppendRune(dst, r)
			i += end
			continue
		}
		var next byte
		if i+1 < len(raw) {
			next = raw[i+1]
		}
		out, skip := norm(c, next)
		dst = append(dst, out)
		if skip {
			i++
		}
	}
	return dst
}
