package soap

import (
	"fmt"
	"strings"

	"gsigw/soap/xmlscan"
)

// Node is an element of a small subtree that is read as a whole: a security or an addressing header.
type Node struct {
	Element
	Attrs    []Attr
	Children []*Node
	Text     string // the character data directly in the element
}

// Attr is an attribute with its normalised value; Prefix is as written, for values that are QNames.
type Attr struct {
	Name  Name
	Value string
}

// Attr gives the value of an attribute, empty where there is none.
func (n *Node) Attr(space, local string) string {
	for _, a := range n.Attrs {
		if a.Name == (Name{space, local}) {
			return a.Value
		}
	}
	return ""
}

// HasAttr reports whether the attribute is there.
func (n *Node) HasAttr(space, local string) bool {
	for _, a := range n.Attrs {
		if a.Name == (Name{space, local}) {
			return true
		}
	}
	return false
}

// Child gives the first child of that name, nil where there is none.
func (n *Node) Child(space, local string) *Node {
	for _, c := range n.Children {
		if c.Name == (Name{space, local}) {
			return c
		}
	}
	return nil
}

// All gives the children of that name.
func (n *Node) All(space, local string) []*Node {
	var out []*Node
	for _, c := range n.Children {
		if c.Name == (Name{space, local}) {
			out = append(out, c)
		}
	}
	return out
}

// TrimmedText is the element's own text without white space around it.
func (n *Node) TrimmedText() string { return strings.Trim(n.Text, " \t\r\n") }

// Tree reads an element whole. More than the limit HeaderElements of elements is refused.
func (m *Message) Tree(e *Element) (*Node, error) {
	t := &treeReader{s: m.Scan(e), limit: m.limits.HeaderElements}
	for {
		kind, err := t.s.Next()
		if err != nil {
			return nil, err
		}
		switch kind {
		case xmlscan.EOF:
			return t.root, nil
		case xmlscan.StartElement:
			if err := t.start(e.Scope); err != nil {
				return nil, err
			}
		case xmlscan.EndElement:
			t.end()
		case xmlscan.Text:
			t.text = xmlscan.AppendText(t.text[:0], t.s.Data)
			t.top().Text += string(t.text)
		case xmlscan.CData:
			t.top().Text += strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(t.s.Data))
		}
	}
}

type treeReader struct {
	s     *xmlscan.Scanner
	root  *Node
	open  []*Node
	scope []*xmlscan.Scope // what children of the open elements inherit
	count int
	limit int
	text  []byte
}

func (t *treeReader) top() *Node { return t.open[len(t.open)-1] }

func (t *treeReader) start(outer *xmlscan.Scope) error {
	if t.count++; t.count > t.limit {
		return &xmlscan.Error{Class: xmlscan.Limit, Limit: "header-elements", Offset: t.s.Span.Start, Msg: fmt.Sprintf("exceeds the limit header-elements of %d in one header block", t.limit)}
	}
	if len(t.scope) > 0 {
		outer = t.scope[len(t.scope)-1]
	}
	n := t.node(outer)
	if t.root == nil {
		t.root = n
	} else {
		t.top().Children = append(t.top().Children, n)
	}
	if n.Empty {
		return nil
	}
	if len(t.s.Decls) > 0 || hasXMLAttr(t.s) {
		outer = t.s.Scope()
	}
	t.open, t.scope = append(t.open, n), append(t.scope, outer)
	return nil
}

func (t *treeReader) node(scope *xmlscan.Scope) *Node {
	r := reader{s: t.s}
	n := &Node{Element: r.element(scope)}
	for i := range t.s.Attrs {
		a := &t.s.Attrs[i]
		n.Attrs = append(n.Attrs, Attr{Name{t.s.URI(a.Space), string(a.Local)}, string(xmlscan.AppendAttr(nil, a.Value))})
	}
	return n
}

func (t *treeReader) end() {
	n := t.top()
	n.EndTag, n.Span.End = t.s.Span.Start, t.s.Span.End
	t.open, t.scope = t.open[:len(t.open)-1], t.scope[:len(t.scope)-1]
}
