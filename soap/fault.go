package soap

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"

	"gsigw/soap/xmlscan"
)

// Fault is a SOAP fault of ours, written in either version (SOAP 1.1, section 4.4; SOAP 1.2 Part 1, section 5.4).
type Fault struct {
	Sender  bool   // the fault lies in the message received: Client (1.1), Sender (1.2); else Server, Receiver
	Code    Name   // says more: the faultcode in 1.1, the Subcode in 1.2; may be zero
	Reason  string // for people
	Quoted  string // somebody else's words, given as text in the detail
	Message string // the exchange's id in the detail, for the operator's log
}

// FaultSpace is the namespace of the fault codes that are ours.
const FaultSpace = "urn:gsigw:fault"

func (f *Fault) Error() string { return f.Reason }

// Marshal writes the envelope.
func (f *Fault) Marshal(v Version) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="%s"><soapenv:Body><soapenv:Fault>`, v.Space())
	reason := escaped(f.Reason)
	if v == V12 {
		fmt.Fprintf(&b, `<soapenv:Code><soapenv:Value>soapenv:%s</soapenv:Value>`, f.side("Sender", "Receiver"))
		if f.Code.Local != "" {
			fmt.Fprintf(&b, `<soapenv:Subcode><soapenv:Value xmlns:c="%s">c:%s</soapenv:Value></soapenv:Subcode>`, f.Code.Space, f.Code.Local)
		}
		fmt.Fprintf(&b, `</soapenv:Code><soapenv:Reason><soapenv:Text xml:lang="en">%s</soapenv:Text></soapenv:Reason>`, reason)
		f.detail(&b, "soapenv:Detail")
	} else {
		if f.Code.Local != "" {
			fmt.Fprintf(&b, `<faultcode xmlns:c="%s">c:%s</faultcode>`, f.Code.Space, f.Code.Local)
		} else {
			fmt.Fprintf(&b, `<faultcode>soapenv:%s</faultcode>`, f.side("Client", "Server"))
		}
		fmt.Fprintf(&b, `<faultstring>%s</faultstring>`, reason)
		f.detail(&b, "detail")
	}
	b.WriteString(`</soapenv:Fault></soapenv:Body></soapenv:Envelope>`)
	return b.Bytes()
}

func (f *Fault) side(sender, receiver string) string {
	if f.Sender {
		return sender
	}
	return receiver
}

func (f *Fault) detail(b *bytes.Buffer, name string) {
	if f.Quoted == "" && f.Message == "" {
		return
	}
	fmt.Fprintf(b, `<%s>`, name)
	if f.Message != "" {
		fmt.Fprintf(b, `<g:exchange xmlns:g="%s">%s</g:exchange>`, FaultSpace, escaped(f.Message))
	}
	if f.Quoted != "" {
		fmt.Fprintf(b, `<g:quoted xmlns:g="%s">%s</g:quoted>`, FaultSpace, escaped(f.Quoted))
	}
	fmt.Fprintf(b, `</%s>`, name)
}

func escaped(s string) string {
	var b bytes.Buffer
	xml.EscapeText(&b, []byte(s)) // writes U+FFFD for what XML does not allow; a Buffer does not fail
	return b.String()
}

// Refusal is the fault for a message that Read refused: it names the reason and the place.
func Refusal(src xmlscan.Source, err error) *Fault {
	e, ok := errors.AsType[*xmlscan.Error](err)
	if !ok {
		return &Fault{Reason: "the message could not be read"}
	}
	if e.Offset == xmlscan.NoPlace {
		return &Fault{Sender: true, Reason: "the message " + e.Msg}
	}
	line, column := Place(src, e.Offset)
	return &Fault{Sender: true, Reason: fmt.Sprintf("the message %s (line %d, column %d)", e.Msg, line, column)}
}

// Place gives the line and the column (in bytes, both from 1) of an offset.
func Place(src io.ReaderAt, offset int64) (line, column int) {
	line, column = 1, 1
	buf := make([]byte, 32<<10)
	r := io.NewSectionReader(src, 0, offset)
	for {
		n, err := r.Read(buf)
		line += bytes.Count(buf[:n], []byte{'\n'})
		if i := bytes.LastIndexByte(buf[:n], '\n'); i >= 0 {
			column = n - i
		} else {
			column += n
		}
		if err != nil {
			return line, column
		}
	}
}

// FaultText is what a received fault says, code and reason, as plain text for people; empty where the message is none.
func (m *Message) FaultText() string {
	if !m.IsFault() {
		return ""
	}
	body, err := m.Tree(&m.Body)
	if err != nil || len(body.Children) == 0 {
		return "a fault that could not be read"
	}
	f := body.Children[0]
	text := func(path ...Name) string {
		n := f
		for _, p := range path {
			if n = n.Child(p.Space, p.Local); n == nil {
				return ""
			}
		}
		return n.TrimmedText()
	}
	if m.Version == V12 {
		return text(Name{Envelope12, "Code"}, Name{Envelope12, "Value"}) + ": " + text(Name{Envelope12, "Reason"}, Name{Envelope12, "Text"})
	}
	return text(Name{"", "faultcode"}) + ": " + text(Name{"", "faultstring"})
}
