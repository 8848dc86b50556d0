package c14n

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"gsigw/soap/xmlscan"
)

// verbatim writes the token as it stands in the source: it may become one run with what stands before it.
func (c *writer) verbatim() {
	if !c.inMemory && c.plan == nil {
		c.raw(c.s.Raw()) // which the window forgets
		return
	}
	if at := c.s.Span; at.Start == c.run.End {
		c.run.End = at.End
	} else {
		c.endRun()
		c.run = at
	}
}

// endRun ends the run: something else is to be written.
func (c *writer) endRun() {
	if c.run.Start == c.run.End {
		return
	}
	if c.plan != nil {
		c.plan.add(c.out, c.run)
		c.out = c.out[:0]
	} else {
		c.raw(c.memory[c.run.Start:c.run.End])
	}
	c.run = xmlscan.Span{}
}

func (c *writer) byte(b byte) {
	c.room(1)
	c.out = append(c.out, b)
}

// str writes a string; one longer than the buffer makes the buffer grow.
func (c *writer) str(s string) {
	c.room(len(s))
	c.out = append(c.out, s...)
}

// raw writes bytes as they are; large runs go to the hash without a copy.
func (c *writer) raw(b []byte) {
	if c.plan != nil && len(b) > maxOwn {
		c.plan.void = true
		return
	}
	if len(b) > bufferSize/8 && c.plan == nil {
		c.flush()
		c.write(b)
		return
	}
	c.room(len(b))
	c.out = append(c.out, b...)
}

func (c *writer) room(n int) {
	if len(c.out)+n > cap(c.out) {
		c.drain()
	}
}

// drain empties the buffer, and takes one of the full size where the first was too small. It is kept out
// of line so that room goes in line.
//
//go:noinline
func (c *writer) drain() {
	c.flush()
	if cap(c.out) < bufferSize {
		if c.buffer == nil {
			c.buffer = new([bufferSize]byte)
		}
		c.out = c.buffer[:0]
	}
}

func (c *writer) flush() {
	if c.plan != nil {
		c.plan.add(c.out, xmlscan.Span{})
	} else {
		c.write(c.out)
	}
	c.out = c.out[:0]
}

func (c *writer) write(b []byte) {
	if c.err == nil && len(b) > 0 {
		_, c.err = c.w.Write(b)
		c.wrote += int64(len(b))
	}
}

// lines writes literal text with its line ends as one line feed each (XML 1.0, section 2.11).
func (c *writer) lines(b []byte) {
	for !c.done() {
		i := bytes.IndexByte(b, '\r')
		if i < 0 {
			c.raw(b)
			return
		}
		c.raw(b[:i])
		c.byte('\n')
		b = bytes.TrimPrefix(b[i+1:], []byte("\n"))
	}
}

// textRefs writes character data that has references, line ends or '>' in it.
func (c *writer) textRefs(b []byte) {
	for !c.done() {
		i := bytes.IndexByte(b, '&')
		if i < 0 {
			c.escape(b)
			return
		}
		c.escape(b[:i])
		end := i + bytes.IndexByte(b[i:], ';') + 1
		c.textChars(b[i:end])
		b = b[end:]
	}
}

// textChars writes the character that a reference stands for.
func (c *writer) textChars(ref []byte) {
	var buf [utf8.UTFMax]byte
	for _, ch := range xmlscan.AppendText(buf[:0], ref) {
		if ch == '\r' {
			c.str("&#xD;")
		} else {
			c.textByte(ch)
		}
	}
}

// textByte writes a byte of text, markup escaped.
func (c *writer) textByte(b byte) {
	switch b {
	case '&':
		c.str("&amp;")
	case '<':
		c.str("&lt;")
	case '>':
		c.str("&gt;")
	default:
		c.byte(b)
	}
}

// escape writes literal text, in which '&' and '<' can stand where it comes from CDATA.
func (c *writer) escape(b []byte) {
	for !c.done() {
		i := bytes.IndexAny(b, "&<>\r")
		if i < 0 {
			c.raw(b)
			return
		}
		c.raw(b[:i])
		if b[i] != '\r' {
			c.textByte(b[i])
		} else {
			c.byte('\n')
			if i+1 < len(b) && b[i+1] == '\n' {
				i++
			}
		}
		b = b[i+1:]
	}
}

// attrRefs writes an attribute value that has references, quotes or white space other than blanks in it.
func (c *writer) attrRefs(b []byte) {
	for len(b) > 0 && !c.done() {
		if b[0] == '&' {
			end := bytes.IndexByte(b, ';') + 1
			var buf [utf8.UTFMax]byte
			c.attrText(string(xmlscan.AppendAttr(buf[:0], b[:end])))
			b = b[end:]
			continue
		}
		end := bytes.IndexByte(b, '&')
		if end < 0 {
			end = len(b)
		}
		c.attrText(string(xmlscan.AppendAttr(nil, b[:end])))
		b = b[end:]
	}
}

// attrText writes a normalised attribute value (Canonical XML 1.0, section 2.3).
func (c *writer) attrText(v string) {
	if !strings.ContainsAny(v, "&<\"\t\n\r") {
		c.str(v)
		return
	}
	for i := range len(v) {
		switch v[i] {
		case '&':
			c.str("&amp;")
		case '<':
			c.str("&lt;")
		case '"':
			c.str("&quot;")
		case '\t':
			c.str("&#x9;")
		case '\n':
			c.str("&#xA;")
		case '\r':
			c.str("&#xD;")
		default:
			c.byte(v[i])
		}
	}
}
