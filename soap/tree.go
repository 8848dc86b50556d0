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

// Tree reads an element whole. More than the limits HeaderElements and HeaderBytes allow is refused.
func (m *Message) Tree(e *Element) (*Node, error) {
	if most := m.limits.HeaderBytes; e.Span.Len() > most {
		return nil, &xmlscan.Error{Class: xmlscan.Limit, Limit: "header-bytes", Offset: e.Span.Start, Msg: fmt.Sprintf("exceeds the limit header-bytes of %d in one header block", most)}
	}
	t := &treeReader{s: m.Scan(e), limit: m.limits.HeaderElements}
	defer t.s.Free()
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
			t.top().text = xmlscan.AppendText(t.top().text, t.s.Data)
		case xmlscan.CData:
			t.top().text = appendLines(t.top().text, t.s.Data)
		}
	}
}

// appendLines appends literal text with its line ends as one line feed each (XML 1.0, section 2.11).
func appendLines(dst, raw []byte) []byte {
	for i, c := range raw {
		switch {
		case c != '\r':
			dst = append(dst, c)
		case i+1 == len(raw) || raw[i+1] != '\n':
			dst = append(dst, '\n')
		}
	}
	return dst
}

type treeReader struct {
	s     *xmlscan.Scanner
	root  *Node
	open  []openNode
	count int
	limit int
}

type openNode struct {
	*Node
	scope *xmlscan.Scope // what its children inherit
	text  []byte
}

func (t *treeReader) top() *openNode { return &t.open[len(t.open)-1] }

func (t *treeReader) start(outer *xmlscan.Scope) error {
	if t.count++; t.count > t.limit {
		return &xmlscan.Error{Class: xmlscan.Limit, Limit: "header-elements", Offset: t.s.Span.Start, Msg: fmt.Sprintf("exceeds the limit header-elements of %d in one header block", t.limit)}
	}
	if len(t.open) > 0 {
		outer = t.top().scope
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
	t.open = append(t.open, openNode{Node: n, scope: t.s.ScopeIn(outer)})
	return nil
}

func (t *treeReader) node(scope *xmlscan.Scope) *Node {
	r := reader{s: t.s}
	n := &Node{Element: r.element(scope)}
	for i := range t.s.Attrs {
		a := &t.s.Attrs[i]
		n.Attrs = append(n.Attrs, Attr{Name{t.s.URI(a.Space), string(a.Local)}, a.Text()})
	}
	return n
}

func (t *treeReader) end() {
	n := t.top()
	n.EndTag, n.Span.End, n.Text = t.s.Span.Start, t.s.Span.End, string(n.text)
	t.open = t.open[:len(t.open)-1]
}
