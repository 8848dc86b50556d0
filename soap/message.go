// Package soap holds one SOAP message: the bytes as they were received, with an index over them.
//
// The bytes are the truth and are never re-serialised. The index says where Envelope, Header, each header block and
// Body start and end, what they are called, and which namespaces are in scope around them; whoever adds a header
// puts bytes between bytes (Edit). SOAP 1.1 and 1.2 are read, in UTF-8, with WS-Addressing in the four dialects that
// grid services have spoken.
//
//	m, err := soap.Read(xmlscan.Memory(body), soap.Limits{})
//	if err != nil {
//		return soap.Refusal(err) // a *Fault for the sender
//	}
//	fmt.Println(m.Operation, m.Addressing.Action)
package soap

import (
	"io"

	"gsigw/soap/xmlscan"
	"gsigw/wssec/c14n"
)

// Name is a namespace name and a local name.
type Name struct{ Space, Local string }

func (n Name) String() string {
	if n.Space == "" {
		return n.Local
	}
	return "{" + n.Space + "}" + n.Local
}

// The namespaces that a message is made of.
const (
	Envelope11 = "http://schemas.xmlsoap.org/soap/envelope/"
	Envelope12 = "http://www.w3.org/2003/05/soap-envelope"
	WSU        = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
	WSSE       = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
)

// Version is the version of SOAP.
type Version uint8

// xmlEncryption is the namespace of XML Encryption 1.0, which that of 1.1 has its elements from.
const xmlEncryption = "http://www.w3.org/2001/04/xmlenc#"

// The versions.
const (
	V11 Version = iota + 1
	V12
)

// Space is the namespace name of the version's envelope.
func (v Version) Space() string {
	if v == V12 {
		return Envelope12
	}
	return Envelope11
}

// role is the attribute that says who a header block is for.
func (v Version) role() Name {
	if v == V12 {
		return Name{Envelope12, "role"}
	}
	return Name{Envelope11, "actor"}
}

// ContentType is the media type, with its charset, that a message of the version has over HTTP.
func (v Version) ContentType() string {
	if v == V12 {
		return "application/soap+xml; charset=utf-8"
	}
	return "text/xml; charset=utf-8"
}

// Message is one envelope and the HTTP facts that travel with it.
type Message struct {
	xmlscan.Source // the bytes as received

	Version    Version
	Envelope   Element
	Header     *Element // nil where the message has none
	Blocks     []*Block // the header blocks, in order
	Body       Element
	Operation  Name // the first element in Body, zero where Body is empty
	Addressing Addressing

	SOAPAction string // the HTTP header of SOAP 1.1, or the action parameter of SOAP 1.2, without quotes

	limits Limits
	ids    ids
	xmlenc bool       // it declares the namespace of XML Encryption
	plan   *c14n.Plan // of Body
}

// Element is an element's place in the message.
type Element struct {
	Name    Name
	Prefix  string
	Span    xmlscan.Span   // from '<' of its start tag to behind '>' of its end tag
	NameEnd int64          // behind the name in the start tag: an attribute can be put in here
	TagEnd  int64          // behind the start tag
	EndTag  int64          // where the end tag starts; TagEnd where the element is written <a/>
	Empty   bool           // written <a/>
	Scope   *xmlscan.Scope // what it inherits from the elements around it
	ID      string         // the value of wsu:Id, or of Id where there is none
	WSUID   bool           // ID is from wsu:Id
}

// Inner is what stands between the tags.
func (e *Element) Inner() xmlscan.Span { return xmlscan.Span{Start: e.TagEnd, End: e.EndTag} }

// Block is a header block.
type Block struct {
	Element
	Role               string // actor (SOAP 1.1) or role (SOAP 1.2)
	MustUnderstand     bool
	ReferenceParameter bool // wsa:IsReferenceParameter (WS-Addressing 1.0, SOAP Binding, section 2.4)
}

// The roles that every receiver plays.
const (
	roleNext11     = "http://schemas.xmlsoap.org/soap/actor/next"
	roleNext12     = Envelope12 + "/role/next"
	roleUltimate12 = Envelope12 + "/role/ultimateReceiver"
)

// ForUltimate reports whether the block is for the message's last receiver (or for every receiver).
func (b *Block) ForUltimate() bool {
	switch b.Role {
	case "", roleNext11, roleNext12, roleUltimate12:
		return true
	}
	return false
}

// Limits bound what a message may ask of a receiver. A zero field means the default in brackets.
type Limits struct {
	xmlscan.Limits
	MessageBytes   int64 // [32 MiB]
	Headers        int   // header blocks [64]
	HeaderElements int   // elements in one wsse:Security or addressing header [512]
	HeaderBytes    int64 // bytes of one wsse:Security or addressing header, or of a fault: they are read into memory [1 MiB]
	IDs            int   // elements with an id [1,000,000]
	Parts          int   // parts of a multipart message, the root included [64]
}

func (l Limits) withDefaults() Limits {
	if l.MessageBytes <= 0 {
		l.MessageBytes = 32 << 20
	}
	if l.Headers <= 0 {
		l.Headers = 64
	}
	if l.HeaderElements <= 0 {
		l.HeaderElements = 512
	}
	if l.HeaderBytes <= 0 {
		l.HeaderBytes = 1 << 20
	}
	if l.IDs <= 0 {
		l.IDs = 1_000_000
	}
	if l.Parts <= 0 {
		l.Parts = 64
	}
	return l
}

// Limits are the limits that the message was read under.
func (m *Message) Limits() Limits { return m.limits }

// Scan reads the element's tokens again.
func (m *Message) Scan(e *Element) *xmlscan.Scanner {
	return xmlscan.NewElement(m.Source, e.Span, e.Scope, m.limits.Limits)
}

// WriteCanonical writes the element's canonical form. For Body that needs no scan where the method is exclusive canonical
// XML as everybody uses it: the form is known since the message was read.
func (m *Message) WriteCanonical(w io.Writer, e *Element, method c14n.Method) error {
	s := m.Scan(e)
	defer s.Free()
	if e.Span == m.Body.Span && m.plan.Suits(method) {
		return m.plan.Write(w, s, method)
	}
	return c14n.Write(w, s, method)
}

// MayBeEncrypted reports whether the message declares the namespace of XML Encryption anywhere: without it nothing in the
// message is encrypted.
func (m *Message) MayBeEncrypted() bool { return m.xmlenc }

// IsFault reports whether the message carries a SOAP fault.
func (m *Message) IsFault() bool { return m.Operation == Name{m.Version.Space(), "Fault"} }
