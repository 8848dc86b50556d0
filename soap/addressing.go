package soap

import (
	"fmt"

	"gsigw/soap/xmlscan"
)

// The dialects of WS-Addressing. GT 4.0 speaks 2004/03 only (facts/gt4-wire.md), GT 4.2 and everything modern 2005/08.
const (
	Addressing200303 = "http://schemas.xmlsoap.org/ws/2003/03/addressing"
	Addressing200403 = "http://schemas.xmlsoap.org/ws/2004/03/addressing"
	Addressing200408 = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
	Addressing200508 = "http://www.w3.org/2005/08/addressing"
)

// Addressing is what the addressing headers for the last receiver say.
type Addressing struct {
	Dialect   string // namespace name, empty where there are no such headers
	To        string
	Action    string
	MessageID string
	RelatesTo []string // the message ids of RelatesTo headers that stand for a reply
	From      string   // the Address in the endpoint reference
	ReplyTo   string
	FaultTo   string
}

// IsAddressing reports whether a namespace name is that of a dialect of WS-Addressing.
func IsAddressing(space string) bool {
	switch space {
	case Addressing200303, Addressing200403, Addressing200408, Addressing200508:
		return true
	}
	return false
}

// Anonymous is the address that stands for "back over this connection" in a dialect.
func Anonymous(dialect string) string {
	if dialect == Addressing200508 {
		return dialect + "/anonymous"
	}
	return dialect + "/role/anonymous"
}

func (m *Message) readAddressing() error {
	seen := map[string]bool{}
	for _, b := range m.Blocks {
		if !b.isAddressing() {
			continue
		}
		a := &m.Addressing
		if a.Dialect != "" && a.Dialect != b.Name.Space {
			return misplaced(b, "mixes the addressing dialects %s and %s", a.Dialect, b.Name.Space)
		}
		a.Dialect = b.Name.Space
		if seen[b.Name.Local] && b.Name.Local != "RelatesTo" {
			return misplaced(b, "has two %s headers", b.Name)
		}
		seen[b.Name.Local] = true
		if err := m.readAddress(b); err != nil {
			return err
		}
	}
	return nil
}

// isAddressing reports whether the block is an addressing header for the last receiver.
func (b *Block) isAddressing() bool {
	return IsAddressing(b.Name.Space) && b.ForUltimate() && !b.ReferenceParameter
}

func misplaced(b *Block, format string, args ...any) error {
	return &xmlscan.Error{Class: xmlscan.Malformed, Offset: b.Span.Start, Msg: fmt.Sprintf(format, args...)}
}

func (m *Message) readAddress(b *Block) error {
	a := &m.Addressing
	into := a.field(b.Name.Local)
	if into == nil && b.Name.Local != "RelatesTo" {
		return nil
	}
	n, err := m.Tree(&b.Element)
	if err != nil {
		return err
	}
	switch b.Name.Local {
	case "RelatesTo":
		if isReply(n) {
			a.RelatesTo = append(a.RelatesTo, n.TrimmedText())
		}
	case "From", "ReplyTo", "FaultTo":
		if addr := n.Child(b.Name.Space, "Address"); addr != nil {
			*into = addr.TrimmedText()
		}
	default:
		*into = n.TrimmedText()
	}
	return nil
}

// field is where a header's text or address goes, nil for a header that has no such.
func (a *Addressing) field(local string) *string {
	switch local {
	case "To":
		return &a.To
	case "Action":
		return &a.Action
	case "MessageID":
		return &a.MessageID
	case "From":
		return &a.From
	case "ReplyTo":
		return &a.ReplyTo
	case "FaultTo":
		return &a.FaultTo
	}
	return nil
}

// isReply reports whether a RelatesTo stands for a reply: no RelationshipType, the QName Reply of a dialect (written
// with any prefix), or its URI (WS-Addressing 1.0, Core, section 3.1).
func isReply(n *Node) bool {
	switch t := n.Attr("", "RelationshipType"); t {
	case "", "Reply", Addressing200508 + "/reply":
		return true
	default:
		return len(t) > 6 && t[len(t)-6:] == ":Reply"
	}
}
