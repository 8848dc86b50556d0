package c14n

import (
	"bytes"
	"slices"
	"strings"

	"gsigw/soap/xmlscan"
)

type decl struct {
	prefix []byte
	space  xmlscan.NS
}

// collect gathers the namespace declarations that the element just started needs.
func (c *writer) collect(apex bool) {
	c.todo = c.todo[:0]
	switch {
	case c.Exclusive:
		c.utilised()
		if len(c.list) > 0 {
			c.listed(apex)
		}
	case apex:
		for i := range c.s.InScope() {
			prefix, _ := c.s.Binding(i)
			space, _ := c.s.Lookup(prefix) // the innermost binding of the prefix
			c.need(prefix, space)
		}
	default:
		for _, d := range c.s.Decls {
			c.need(d.Prefix, d.Space)
		}
	}
}

// utilised needs what the element's own name and its attributes' names use (Exclusive XML Canonicalization 1.0,
// section 3).
func (c *writer) utilised() {
	c.need(c.s.Prefix, c.s.Space)
	for i := range c.s.Attrs {
		if a := &c.s.Attrs[i]; len(a.Prefix) > 0 {
			c.need(a.Prefix, a.Space)
		}
	}
}

// listed needs the prefixes of the PrefixList, which are treated as Canonical XML would.
func (c *writer) listed(apex bool) {
	if apex {
		for prefix := range c.list {
			if space, ok := c.s.Lookup([]byte(prefix)); ok {
				c.need([]byte(prefix), space)
			}
		}
		return
	}
	for _, d := range c.s.Decls {
		if c.list[string(d.Prefix)] {
			c.need(d.Prefix, d.Space)
		}
	}
}

// prefixList is an InclusiveNamespaces PrefixList as a set; the default namespace's prefix is empty.
func prefixList(prefixes []string) map[string]bool {
	if len(prefixes) == 0 {
		return nil
	}
	list := make(map[string]bool, len(prefixes))
	for _, p := range prefixes {
		if p == "#default" {
			p = ""
		}
		list[p] = true
	}
	return list
}

// need adds a declaration unless an element around has written it. The first word on a prefix counts.
func (c *writer) need(prefix []byte, space xmlscan.NS) {
	if space == xmlscan.XMLSpace {
		return
	}
	for i := range c.todo {
		if bytes.Equal(c.todo[i].prefix, prefix) {
			return
		}
	}
	if c.written(prefix) != space {
		c.todo = append(c.todo, decl{prefix, space})
	}
}

// written is what the prefix stands for in the canonical form around; nothing at all counts as no namespace.
func (c *writer) written(prefix []byte) xmlscan.NS {
	for i := len(c.rendered) - 1; i >= 0; i-- {
		r := &c.rendered[i]
		if string(c.prefixes[r.prefix:r.end]) == string(prefix) {
			return r.space
		}
	}
	return xmlscan.NoNamespace
}

// render sorts the declarations by prefix, and puts them in force in the canonical form.
func (c *writer) render() {
	if len(c.todo) > 1 {
		slices.SortFunc(c.todo, func(a, b decl) int { return bytes.Compare(a.prefix, b.prefix) })
	}
	for _, d := range c.todo {
		at := uint32(len(c.prefixes))
		c.prefixes = append(c.prefixes, d.prefix...)
		c.rendered = append(c.rendered, rendering{at, uint32(len(c.prefixes)), d.space})
	}
}

// declaresTodo reports whether the start tag has just the declarations that are to be written, and in their order.
func (c *writer) declaresTodo() bool {
	return slices.EqualFunc(c.s.Decls, c.todo, func(have xmlscan.Decl, want decl) bool {
		return have.Space == want.space && bytes.Equal(have.Prefix, want.prefix)
	})
}

// declare writes the declarations.
func (c *writer) declare() {
	for _, d := range c.todo {
		c.str(" xmlns")
		if len(d.prefix) > 0 {
			c.byte(':')
			c.raw(d.prefix)
		}
		c.str(`="`)
		c.attrText(c.s.URI(d.space))
		c.byte('"')
	}
}

// attributes writes the attributes, by namespace name and local name, those without a namespace first.
func (c *writer) attributes() {
	c.order = c.order[:0]
	for i := range c.s.Attrs {
		c.order = append(c.order, i)
	}
	if !c.inOrder() {
		slices.SortFunc(c.order, func(i, j int) int { return c.compare(&c.s.Attrs[i], &c.s.Attrs[j]) })
	}
	for _, i := range c.order {
		a := &c.s.Attrs[i]
		c.byte(' ')
		c.name(a.Prefix, a.Local)
		c.str(`="`)
		if a.Plain {
			c.raw(a.Value)
		} else {
			c.attrRefs(a.Value)
		}
		c.byte('"')
	}
}

// inOrder reports whether the attributes stand in the order in which they are to be written.
func (c *writer) inOrder() bool {
	for i := 1; i < len(c.s.Attrs); i++ {
		if c.compare(&c.s.Attrs[i-1], &c.s.Attrs[i]) > 0 {
			return false
		}
	}
	return true
}

// inherit adds the xml: attributes of the elements around the apex (Canonical XML 1.0, section 2.4).
func (c *writer) inherit() {
	xml := c.s.Inherited()
	own := len(c.s.Attrs)
	for _, x := range xml {
		if !hasXML(c.s.Attrs[:own], x.Local) {
			c.s.Attrs = append(c.s.Attrs, xmlscan.Attr{Prefix: []byte("xml"), Local: []byte(x.Local), Space: xmlscan.XMLSpace, Value: []byte(x.Value)})
		}
	}
}

func hasXML(attrs []xmlscan.Attr, local string) bool {
	for i := range attrs {
		if attrs[i].Space == xmlscan.XMLSpace && string(attrs[i].Local) == local {
			return true
		}
	}
	return false
}

func (c *writer) compare(a, b *xmlscan.Attr) int {
	if a.Space == b.Space {
		return bytes.Compare(a.Local, b.Local)
	}
	return strings.Compare(c.s.URI(a.Space), c.s.URI(b.Space))
}
