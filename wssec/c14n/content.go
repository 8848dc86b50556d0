package c14n

import (
	"bytes"

	"gsigw/soap/xmlscan"
)

const xsi = "http://www.w3.org/2001/XMLSchema-instance"

// content looks for names in values that depend on a namespace declaration which the canonical form does not have. A
// name may be spread over several tokens (CDATA, comments between): tail keeps its start.
type content struct {
	tail    []byte
	scratch []byte
}

// checkText looks at a piece of character data.
func (c *writer) checkText(raw []byte, literal bool) error {
	if c.Unwritten == nil {
		return nil
	}
	t := &c.content
	if (literal || c.s.Canonical) && bytes.IndexByte(raw, ':') < 0 { // nor does a reference stand for one
		if name := lastName(raw); len(name) < len(raw) {
			t.tail = append(t.tail[:0], name[max(0, len(name)-xmlscan.MaxPrefix):]...)
			return nil
		}
	}
	t.scratch = append(t.scratch[:0], t.tail...)
	if literal {
		t.scratch = append(t.scratch, raw...)
	} else {
		t.scratch = xmlscan.AppendText(t.scratch, raw)
	}
	end := len(t.scratch)
	start := max(end-xmlscan.MaxPrefix, end-len(lastName(t.scratch)))
	t.tail = append(t.tail[:0], t.scratch[start:end]...)
	return c.checkNames(t.scratch)
}

// checkAttrs looks at the attributes' values, and at xsi:type, whose value is a name even without a prefix.
func (c *writer) checkAttrs() error {
	if c.Unwritten == nil {
		return nil
	}
	c.content.tail = c.content.tail[:0]
	for i := range c.s.Attrs {
		a := &c.s.Attrs[i]
		isType := string(a.Local) == "type" && c.s.URI(a.Space) == xsi
		if a.Plain && !isType && bytes.IndexByte(a.Value, ':') < 0 {
			continue
		}
		value := xmlscan.AppendAttr(c.content.scratch[:0], a.Value)
		c.content.scratch = value
		var err error
		if isType {
			err = c.checkType(value)
		} else {
			err = c.checkNames(value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkType looks at a value that is a name for certain (XML Schema Part 1, section 2.6.1).
func (c *writer) checkType(value []byte) error {
	value = bytes.Trim(value, " ")
	var prefix []byte
	if colon := bytes.IndexByte(value, ':'); colon >= 0 {
		prefix = value[:colon]
	}
	return c.checkPrefix(prefix, true)
}

// checkNames takes whatever stands before a colon for a prefix.
func (c *writer) checkNames(value []byte) error {
	for {
		colon := bytes.IndexByte(value, ':')
		if colon < 0 {
			return nil
		}
		if prefix := lastName(value[:colon]); len(prefix) > 0 {
			if err := c.checkPrefix(prefix, false); err != nil {
				return err
			}
		}
		value = value[colon+1:]
	}
}

// checkPrefix reports a prefix that stands for a namespace here without the canonical form saying so, and a type's
// prefix that stands for nothing.
func (c *writer) checkPrefix(prefix []byte, isType bool) error {
	space, bound := c.s.Lookup(prefix)
	written := c.written(prefix)
	if space == xmlscan.XMLSpace || bound && written == space || !bound && !isType {
		return nil
	}
	return c.Unwritten(Prefix{
		Prefix: string(prefix), Space: c.s.URI(space), Written: c.s.URI(written), Type: isType, Outer: c.s.IsAmong(c.outer, prefix),
	})
}

// lastName is the longest run at the end of b that could be a name without a colon: none starts with a digit or minus.
func lastName(b []byte) []byte {
	i := len(b)
	for i > 0 && inName[b[i-1]] {
		i--
	}
	for i < len(b) && !startsName[b[i]] {
		i++
	}
	return b[i:]
}

// What can be part of a name, and its start; of characters beyond ASCII all are taken to be.
var inName, startsName [256]bool

func init() {
	for ch := range 256 {
		startsName[ch] = ch >= 0x80 || ch == '_' || 'a' <= ch|0x20 && ch|0x20 <= 'z'
		inName[ch] = startsName[ch] || ch == '-' || ch == '.' || '0' <= ch && ch <= '9'
	}
}
