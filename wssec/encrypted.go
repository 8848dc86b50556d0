package wssec

import (
	"fmt"
	"slices"

	"gsigw/soap"
	"gsigw/soap/xmlscan"
	"gsigw/wssec/xmlenc"
)

// place is where an EncryptedData stands: in Body, at any depth; as a header block (alone or in an EncryptedHeader); as a
// child of our security header. It counts nowhere else.
type place uint8

const (
	nowhere place = iota
	inBody
	inBlock
	inSecurity
)

// encryptedData is an EncryptedData that is for us to open.
type encryptedData struct {
	*xmlenc.Data
	place place
	atTop bool           // inBody: it is a child of Body
	whole xmlscan.Span   // what gives way to the plaintext: the EncryptedData, or the EncryptedHeader around it
	scope *xmlscan.Scope // what the plaintext inherits
	key   *encryptedKey
	bare  bool // nothing vouches for the key: what it opens may be what whoever carried the message wishes
	at    int  // of the reference to it, among the children of the security header
}

// finder looks through a message for what is encrypted.
type finder struct {
	*verification
	m        *soap.Message
	security int64 // where our security header starts
	s        *xmlscan.Scanner
	part     int64 // where Envelope's child that is open starts: Header or Body
	block    soap.Name
	blockAt  int64 // where the header block that is open starts
	foreign  bool  // it is for somebody else: its content is none of ours
	budget   int64
	data     []*encryptedData
	inBody   int // child elements of Body
}

// findEncrypted finds every EncryptedData. One in a place where it cannot stand is refused, and so is an EncryptedKey
// outside of the security header. A message that nowhere declares the namespace of either is not looked through.
func (v *verification) findEncrypted(m *soap.Message, security *soap.Node) ([]*encryptedData, error) {
	if !m.MayBeEncrypted() && len(v.expect.Hidden) == 0 {
		return nil, nil
	}
	f := &finder{verification: v, m: m, security: -1, s: m.Scan(&m.Envelope), budget: v.Decrypt.maxBytes()}
	if security != nil {
		f.security = security.Span.Start
	}
	for {
		kind, err := f.s.Next()
		if err != nil {
			return nil, err
		}
		switch kind {
		case xmlscan.EOF:
			v.encrypted.bodyElements = f.inBody
			return f.data, nil
		case xmlscan.StartElement:
			if err := f.start(); err != nil {
				return nil, err
			}
		}
	}
}

func (f *finder) start() error {
	depth := f.s.Depth()
	switch {
	case depth == 2:
		f.part, f.block, f.blockAt, f.foreign = f.s.Span.Start, soap.Name{}, 0, false
	case depth == 3 && f.isBody():
		f.inBody++
	case depth == 3:
		f.block, f.blockAt, f.foreign = nameOf(f.s), f.s.Span.Start, f.isForeign()
	}
	if f.foreign {
		return nil
	}
	switch name := nameOf(f.s); {
	case name == encryptedDataName:
		return f.found(depth)
	case name == encryptedKeyName && (depth != 4 || f.blockAt != f.security):
		return &Error{Class: ClassWrapped, Msg: fmt.Sprintf("an EncryptedKey stands at byte %d, outside of the security header", f.s.Span.Start)}
	case depth > 2 && f.isBody() && slices.Contains(f.expect.Hidden, name):
		return &Error{Class: ClassDecrypt, Msg: fmt.Sprintf("%s did not come encrypted, and it must here", nameOf(f.s))}
	}
	return nil
}

var (
	encryptedDataName = soap.Name{Space: xmlenc.Space, Local: "EncryptedData"}
	encryptedKeyName  = soap.Name{Space: xmlenc.Space, Local: "EncryptedKey"}
)

// nameOf is the name of the element just started.
func nameOf(s *xmlscan.Scanner) soap.Name {
	return soap.Name{Space: s.URI(s.Space), Local: string(s.Local)}
}

// isBody reports whether the tokens are in Body; below depth 2 that is so once Body was entered.
func (f *finder) isBody() bool { return f.part == f.m.Body.Span.Start }

// isForeign reports whether the header block just started is for somebody else.
func (f *finder) isForeign() bool {
	for _, b := range f.m.Blocks {
		if b.Span.Start == f.s.Span.Start {
			return !b.ForUltimate()
		}
	}
	return false
}

// scopeAround is what the element just started inherits from those around it, but for xml: attributes.
func scopeAround(s *xmlscan.Scanner) *xmlscan.Scope {
	around := &xmlscan.Scope{}
	for i := range s.InScope() - len(s.Decls) {
		prefix, space := s.Binding(i)
		around.Bindings = append(around.Bindings, xmlscan.Binding{Prefix: string(prefix), Space: s.URI(space)})
	}
	return around
}

// found reads an EncryptedData and says where it stands.
func (f *finder) found(depth int) error {
	start := f.s.Span.Start
	d := &encryptedData{place: f.place(depth), atTop: depth == 3, scope: scopeAround(f.s)}
	if d.place == nowhere {
		return &Error{Class: ClassWrapped, Msg: fmt.Sprintf("an EncryptedData stands at byte %d, where none can", start)}
	}
	if len(f.data) >= f.Decrypt.maxData() {
		return &Error{Class: ClassLimit, Msg: fmt.Sprintf("the message exceeds the limit of %d EncryptedData elements", f.Decrypt.maxData())}
	}
	var err error
	if d.Data, err = xmlenc.ReadData(f.s, f.budget); err != nil {
		return refused("EncryptedData", err)
	}
	f.budget -= int64(len(d.Value))
	d.whole = d.Span
	if depth == 4 && d.place == inBlock {
		if d.whole, d.scope, err = f.encryptedHeader(d.Span); err != nil {
			return err
		}
	}
	isContent := d.Type == xmlenc.TypeContent
	switch {
	case d.ID == "":
		return malformed("an EncryptedData has no Id that a reference could name")
	case !isContent && d.Type != xmlenc.TypeElement, isContent && d.place != inBody:
		return malformed("the EncryptedData #%.80s has the Type %.100q, which it cannot have there", d.ID, d.Type)
	}
	f.data = append(f.data, d)
	return nil
}

func (f *finder) place(depth int) place {
	switch {
	case depth >= 3 && f.isBody():
		return inBody
	case depth == 3:
		return inBlock
	case depth == 4 && f.blockAt == f.security:
		return inSecurity
	case depth == 4 && f.block == encryptedHeaderName:
		return inBlock
	}
	return nowhere
}

// encryptedHeader is the header block around an EncryptedData, which must hold nothing else.
func (f *finder) encryptedHeader(data xmlscan.Span) (xmlscan.Span, *xmlscan.Scope, error) {
	for _, b := range f.m.Blocks {
		if b.Span.Start != f.blockAt {
			continue
		}
		n, err := f.m.Tree(&b.Element)
		if err != nil {
			return data, nil, err
		}
		if len(n.Children) != 1 || n.Children[0].Span != data {
			return data, nil, malformed("an EncryptedHeader must hold one EncryptedData and nothing else")
		}
		return b.Span, b.Scope, nil
	}
	return data, nil, malformed("an EncryptedHeader is no header block")
}
