package wssec

import (
	"bytes"
	"slices"

	"gsigw/soap"
	"gsigw/soap/xmlscan"
	"gsigw/wssec/xmlenc"
)

// openedData is where the plaintext of an EncryptedData stands in the message that came of it.
type openedData struct {
	id    string
	place place
	start int64
}

// open gives the message with plaintext where it was encrypted. What does not open, or is not fit to stand there, gives
// way to white space of its length, and the message is read all the same: ok false is all that is known of it.
func (v *verification) open(m *soap.Message, data []*encryptedData) (out *soap.Message, at []openedData, ok bool) {
	texts, ok := v.decrypt(m, data)
	out, err := splice(m, data, texts)
	if err != nil || out.HasDuplicateIDs() {
		ok = false
		for i, d := range data {
			texts[i] = standIn(d)
		}
		if out, err = splice(m, data, texts); err != nil {
			return nil, nil, false
		}
	}
	return out, placesOf(data, texts), ok
}

func (v *verification) decrypt(m *soap.Message, data []*encryptedData) (texts [][]byte, ok bool) {
	ok = true
	for _, d := range data {
		text, opens := d.Cipher.Decrypt(d.key.unwrap(v.Decrypt, d.Cipher.KeySize()), d.Value)
		if text == nil {
			text = standIn(d)
		}
		isFit := fits(text, d, m.Limits().Limits)
		if !opens || !isFit {
			text, ok = standIn(d), false
		}
		texts = append(texts, text)
	}
	return texts, ok
}

// standIn is what stands where nothing was decrypted. It is not shorter than what could have been.
func standIn(d *encryptedData) []byte { return bytes.Repeat([]byte(" "), len(d.Value)) }

// fits reports whether a plaintext is what may stand in the place of its EncryptedData: balanced content or one element,
// in which nothing is encrypted again. All of it is looked at whatever it holds.
func fits(text []byte, d *encryptedData, l xmlscan.Limits) bool {
	doc := slices.Concat([]byte("<x>"), text, []byte("</x>"))
	end, ok := scanPlain(doc, d, l)
	if !ok {
		rest := slices.Concat([]byte("<x>"), bytes.Repeat([]byte(" "), len(doc)-int(end)), []byte("</x>"))
		scanPlain(rest, d, l)
	}
	return ok
}

// scanPlain looks at a plaintext in an element around it; it gives how far it came.
func scanPlain(doc []byte, d *encryptedData, l xmlscan.Limits) (end int64, ok bool) {
	size, isElement := int64(len(doc)), d.Type == xmlenc.TypeElement
	s := xmlscan.NewElement(xmlscan.Memory(doc), xmlscan.Span{End: size}, d.scope, l)
	for elements := 0; ; {
		kind, err := s.Next()
		if err != nil {
			return end, false
		}
		end = s.Span.End
		top := s.Depth() == 1
		switch kind {
		case xmlscan.StartElement:
			if isEncryption(s) {
				return end, false
			}
			if s.Depth() == 2 {
				elements++
			}
		case xmlscan.EndElement:
			if s.Depth() == 0 {
				return end, end == size && (!isElement || elements == 1) && (!d.bare || elements > 0)
			}
		case xmlscan.Text, xmlscan.CData, xmlscan.Comment:
			isSpace := kind == xmlscan.Text && len(bytes.Trim(s.Data, " \t\r\n")) == 0
			if top && (isElement || d.bare && !isSpace) {
				return end, false
			}
		default: // a processing instruction, which SOAP forbids
			return end, false
		}
	}
}

func isEncryption(s *xmlscan.Scanner) bool {
	name := nameOf(s)
	return name == encryptedDataName || name == encryptedKeyName
}

// splice puts the plaintexts into the bytes of the message, and reads it again under its limits.
func splice(m *soap.Message, data []*encryptedData, texts [][]byte) (*soap.Message, error) {
	var changes []soap.Change
	for i, d := range data {
		changes = append(changes, soap.Change{Span: d.whole, With: texts[i]})
	}
	edit, err := m.Edit(changes...)
	if err != nil {
		return nil, err
	}
	return readEdited(m, edit)
}

// readEdited reads an edited message under the limits of what it was. What lay in memory does so again: that is faster to
// read than an Edit.
func readEdited(m *soap.Message, edit *soap.Edit) (*soap.Message, error) {
	var src xmlscan.Source = edit
	if _, isMemory := m.Source.(xmlscan.Memory); isMemory {
		var b bytes.Buffer
		b.Grow(int(edit.Size()))
		if _, err := edit.WriteTo(&b); err != nil {
			return nil, err
		}
		src = xmlscan.Memory(b.Bytes())
	}
	out, err := soap.Read(src, grown(m.Limits(), src))
	if err != nil {
		return nil, err
	}
	out.SOAPAction = m.SOAPAction
	return out, nil
}

// grown are limits for a message that we made longer.
func grown(l soap.Limits, src xmlscan.Source) soap.Limits {
	l.MessageBytes = max(l.MessageBytes, src.Size())
	return l
}

// placesOf says where the plaintexts went; data is in the order of the message.
func placesOf(data []*encryptedData, texts [][]byte) (at []openedData) {
	var shift int64
	for i, d := range data {
		at = append(at, openedData{d.ID, d.place, d.whole.Start + shift})
		shift += int64(len(texts[i])) - d.whole.Len()
	}
	return at
}

// openFirst opens what was encrypted after it was signed: from here on the message is the decrypted one.
func (v *verification) openFirst() error {
	e := &v.encrypted
	if err := v.readEncryption(); err != nil || len(e.first) == 0 {
		return err
	}
	m, at, ok := v.open(v.m, e.first)
	if m == nil {
		return notDecrypted()
	}
	e.opened, e.failed = at, !ok
	v.m, v.out.m = m, m
	return v.findSecurity()
}

// disclose says what may be told of a failure. Until all that was decrypted is proven to be the signer's, a failure tells
// something of it.
func (v *verification) disclose(err error) error {
	if e := &v.encrypted; len(e.opened) == 0 || e.proven {
		return err
	}
	hidden := notDecrypted()
	if !v.encrypted.failed {
		hidden.Hidden = err
	}
	return hidden
}

// proveOpened demands that all that was decrypted is signed: otherwise whoever may sign could have a verifier read
// somebody else's ciphertext.
func (v *verification) proveOpened() error {
	e := &v.encrypted
	if e.failed {
		return notDecrypted()
	}
	for _, o := range e.opened {
		if !v.isProven(o) {
			return notDecrypted()
		}
	}
	e.proven = true
	return nil
}

func (v *verification) isProven(o openedData) bool {
	switch o.place {
	case inBody:
		return v.signed[&v.m.Body] != nil
	case inBlock:
		return slices.ContainsFunc(v.m.Blocks, func(b *soap.Block) bool { return b.Span.Start == o.start && v.signed[&b.Element] != nil })
	}
	return slices.ContainsFunc(v.security.Children, func(n *soap.Node) bool {
		isSignature := n.Name == soap.Name{Space: dsig, Local: "Signature"}
		return n.Span.Start == o.start && (isSignature || v.signed[&n.Element] != nil)
	})
}
