package soap

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"strings"
)

// AddAddressing gives the message with the addressing headers that it lacks, of one dialect, in front of its header
// blocks and in the order of GT4's own clients (facts/gt4-wire.md): MessageID, To, Action, and From with the anonymous
// address; WS-Addressing 1.0 has ReplyTo there. Every other byte stays, and so does every addressing header that the
// sender wrote: one of another dialect is an error, and From and ReplyTo each stand for the other. Headers for other
// roles and reference parameters do not count.
//
// newID makes a UUID without a scheme; nil means a random one. The MessageID is urn:uuid:... in WS-Addressing 1.0 and
// uuid:... in the older dialects. A missing header whose value is empty, or is no XML text, is an error.
func (m *Message) AddAddressing(dialect, to, action string, newID func() string) (*Message, error) {
	if !IsAddressing(dialect) {
		return nil, fmt.Errorf("soap: %q is no dialect of WS-Addressing that is spoken here", dialect)
	}
	if d := m.Addressing.Dialect; d != "" && d != dialect {
		return nil, fmt.Errorf("soap: the message has addressing headers of %s, where %s is wanted: have the sender use that, or none", d, dialect)
	}
	if newID == nil {
		newID = randomUUID
	}
	w := addressingWriter{dialect: dialect, prefix: m.freePrefix(dialect), has: m.addressingNames()}
	w.add("MessageID", uuidScheme(dialect)+newID())
	w.add("To", to)
	w.add("Action", action)
	w.addAnonymous()
	if w.err != nil {
		return nil, w.err
	}
	return m.reread(m.PutHeaders(w.out.Bytes()))
}

// Readdress gives the message with another address in its To header for the last receiver; where it has none, it is
// left as it is.
func (m *Message) Readdress(to string) (*Message, error) {
	for _, b := range m.Blocks {
		if !b.isAddressing() || b.Name.Local != "To" {
			continue
		}
		text := escaped(to)
		if b.Empty {
			return nil, fmt.Errorf("soap: the message has an empty To header")
		}
		return m.reread(Change{Span: b.Inner(), With: []byte(text)})
	}
	return m, nil
}

// reread gives the message with changes, read anew.
func (m *Message) reread(changes ...Change) (*Message, error) {
	e, err := m.Edit(changes...)
	if err != nil {
		return nil, err
	}
	out, err := Read(e, m.limits)
	if err != nil {
		return nil, err
	}
	out.SOAPAction = m.SOAPAction
	return out, nil
}

// addressingNames are the local names of the addressing headers for the last receiver.
func (m *Message) addressingNames() map[string]bool {
	has := map[string]bool{}
	for _, b := range m.Blocks {
		if b.isAddressing() {
			has[b.Name.Local] = true
		}
	}
	return has
}

// freePrefix is a prefix that around the header blocks stands for the namespace or for nothing.
func (m *Message) freePrefix(space string) string {
	scope := m.Body.Scope // what Envelope declares
	if len(m.Blocks) > 0 {
		scope = m.Blocks[0].Scope
	}
	prefix := "wsa"
	for i := 1; ; i++ {
		if bound, ok := scope.Lookup(prefix); !ok || bound == space {
			return prefix
		}
		prefix = fmt.Sprintf("wsa%d", i)
	}
}

func uuidScheme(dialect string) string {
	if dialect == Addressing200508 {
		return "urn:uuid:"
	}
	return "uuid:"
}

// randomUUID is RFC 9562, section 5.4 (version 4).
func randomUUID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

type addressingWriter struct {
	dialect, prefix string
	has             map[string]bool
	out             bytes.Buffer
	err             error
}

// add writes a header with a text.
func (w *addressingWriter) add(local, value string) {
	if w.has[local] || w.err != nil {
		return
	}
	if value == "" {
		w.err = fmt.Errorf("soap: the message has no %s header, and no value is known for one", local)
		return
	}
	text := escaped(value)
	if strings.Count(text, "\uFFFD") != strings.Count(value, "\uFFFD") {
		w.err = fmt.Errorf("soap: the value for the %s header, %q, is no XML text", local, value)
		return
	}
	w.block(local, text)
}

func (w *addressingWriter) addAnonymous() {
	if w.has["From"] || w.has["ReplyTo"] {
		return
	}
	local := "From"
	if w.dialect == Addressing200508 {
		local = "ReplyTo"
	}
	w.block(local, fmt.Sprintf("<%s:Address>%s</%[1]s:Address>", w.prefix, Anonymous(w.dialect)))
}

func (w *addressingWriter) block(local, content string) {
	fmt.Fprintf(&w.out, `<%[1]s:%[2]s xmlns:%[1]s="%[3]s">%[4]s</%[1]s:%[2]s>`, w.prefix, local, w.dialect, content)
}
