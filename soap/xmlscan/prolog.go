package xmlscan

import (
	"bytes"
	"regexp"
	"strings"
)

// xmlDecl is XML 1.0, production 23.
var xmlDecl = regexp.MustCompile(`^<\?xml[ \t\r\n]+version[ \t\r\n]*=[ \t\r\n]*(?:'([^']*)'|"([^"]*)")` +
	`(?:[ \t\r\n]+encoding[ \t\r\n]*=[ \t\r\n]*(?:'([^']*)'|"([^"]*)"))?` +
	`(?:[ \t\r\n]+standalone[ \t\r\n]*=[ \t\r\n]*(?:'(?:yes|no)'|"(?:yes|no)"))?[ \t\r\n]*\?>$`)

// maxXMLDecl bounds the XML declaration in bytes: white space beyond it is nobody's honest writing.
const maxXMLDecl = 1 << 10

// prolog passes a byte order mark and an XML declaration.
func (s *Scanner) prolog() error {
	if s.fragment {
		return nil
	}
	b := s.buf[s.pos:]
	if len(b) < len("\xef\xbb\xbf<?xml ") && !s.atEnd() {
		return errShort
	}
	for _, bom := range []string{"\xfe\xff", "\xff\xfe", "\x00<", "<\x00", "\x00\x00"} {
		if bytes.HasPrefix(b, []byte(bom)) {
			return s.fail(Encoding, s.pos, "is in UTF-16 or UTF-32; send UTF-8")
		}
	}
	start := s.pos
	if bytes.HasPrefix(b, []byte("\xef\xbb\xbf")) {
		start += 3
		b = b[3:]
	}
	if !bytes.HasPrefix(b, []byte("<?xml")) || len(b) > 5 && !isSpace(b[5]) {
		s.pos = start
		return nil
	}
	end := bytes.Index(b[:min(len(b), maxXMLDecl)], []byte("?>"))
	if end < 0 && len(b) < maxXMLDecl {
		return s.short("XML declaration")
	}
	if end < 0 {
		return s.fail(Malformed, start, "has an XML declaration longer than %d bytes", maxXMLDecl)
	}
	m := xmlDecl.FindSubmatch(b[:end+2])
	if m == nil {
		return s.fail(Malformed, start, "has a malformed XML declaration")
	}
	if v := string(m[1]) + string(m[2]); v != "1.0" {
		return s.fail(Malformed, start, "is XML %s; only 1.0 is read", clip([]byte(v)))
	}
	if enc := string(m[3]) + string(m[4]); enc != "" && !strings.EqualFold(enc, "utf-8") {
		return s.fail(Encoding, start, "declares the encoding %s; send UTF-8", clip([]byte(enc)))
	}
	s.pos = start + end + 2
	return nil
}
