package gsi

import (
	"bytes"
	"encoding/asn1"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Name is a distinguished name: RDNs in the order of the certificate, each
// usually with one attribute.
type Name []RDN

// RDN is a relative distinguished name, a set of attributes.
type RDN []Attribute

// Attribute is one type and value of a name.
type Attribute struct {
	oid    asn1.ObjectIdentifier
	der    []byte // of the value; nil when read from text
	tag    int    // of the value, 0 when read from text
	raw    []byte // the bytes of the value as they stand
	text   string // the value in UTF-8
	opaque bool   // the value is no string, or one that is not well-formed: text is raw, and equals no text
}

// ParseName reads the DER of a name, such as Certificate.RawSubject.
func ParseName(der []byte) (Name, error) {
	sets, err := rdns(der)
	if err != nil {
		return nil, err
	}
	var name Name
	for _, set := range sets {
		rdn, err := parseRDN(set)
		if err != nil {
			return nil, err
		}
		name = append(name, rdn)
	}
	return name, nil
}

// rdns splits the DER of a name into the DER of its RDNs.
func rdns(der []byte) ([][]byte, error) {
	var name asn1.RawValue
	if rest, err := asn1.Unmarshal(der, &name); err != nil || len(rest) > 0 || !isUniversal(name, asn1.TagSequence) {
		return nil, errors.New("gsi: the name is not a sequence")
	}
	var sets [][]byte
	for rest := name.Bytes; len(rest) > 0; {
		var set asn1.RawValue
		var err error
		if rest, err = asn1.Unmarshal(rest, &set); err != nil || !isUniversal(set, asn1.TagSet) {
			return nil, errors.New("gsi: the name holds something other than sets")
		}
		sets = append(sets, set.FullBytes)
	}
	return sets, nil
}

func isUniversal(v asn1.RawValue, tag int) bool {
	return v.Class == asn1.ClassUniversal && v.Tag == tag && v.IsCompound
}

func parseRDN(der []byte) (RDN, error) {
	var set asn1.RawValue
	if _, err := asn1.Unmarshal(der, &set); err != nil {
		return nil, fmt.Errorf("gsi: name: %w", err)
	}
	var rdn RDN
	for rest := set.Bytes; len(rest) > 0; {
		var pair struct {
			Type  asn1.ObjectIdentifier
			Value asn1.RawValue
		}
		var err error
		if rest, err = asn1.Unmarshal(rest, &pair); err != nil {
			return nil, fmt.Errorf("gsi: name: %w", err)
		}
		rdn = append(rdn, attribute(pair.Type, pair.Value))
	}
	if len(rdn) == 0 {
		return nil, errors.New("gsi: the name holds an empty set")
	}
	return rdn, nil
}

func attribute(oid asn1.ObjectIdentifier, v asn1.RawValue) Attribute {
	text, ok := decodeString(v)
	if !ok {
		text = string(v.Bytes)
	}
	return Attribute{oid: oid, der: v.FullBytes, tag: v.Tag, raw: v.Bytes, text: text, opaque: !ok}
}

// decodeString returns a string in UTF-8, unless the value is none or not
// well-formed. Strings of one byte each hold whatever bytes CAs have put there.
func decodeString(v asn1.RawValue) (text string, ok bool) {
	if v.Class != asn1.ClassUniversal || v.IsCompound {
		return "", false
	}
	switch v.Tag {
	case asn1.TagUTF8String, asn1.TagPrintableString, asn1.TagIA5String, asn1.TagNumericString, tagVisibleString:
		return string(v.Bytes), true
	case tagT61String:
		return decodeRunes(v.Bytes, 1)
	case asn1.TagBMPString:
		return decodeUTF16(v.Bytes)
	case tagUniversalString:
		return decodeRunes(v.Bytes, 4)
	}
	return "", false
}

// decodeRunes reads runes of so many bytes each.
func decodeRunes(b []byte, size int) (text string, ok bool) {
	var runes []rune
	for char := range slices.Chunk(b, size) {
		var r uint32
		for _, octet := range char {
			r = r<<8 | uint32(octet)
		}
		if len(char) < size || !utf8.ValidRune(rune(r)) {
			return "", false
		}
		runes = append(runes, rune(r))
	}
	return string(runes), true
}

// decodeUTF16 reads what is written in pairs of bytes, surrogates in pairs of
// their own.
func decodeUTF16(b []byte) (text string, ok bool) {
	units := make([]uint16, 0, len(b)/2)
	for pair := range slices.Chunk(b, 2) {
		if len(pair) < 2 {
			return "", false
		}
		units = append(units, binary.BigEndian.Uint16(pair))
	}
	text = string(utf16.Decode(units))
	return text, slices.Equal(utf16.Encode([]rune(text)), units)
}

const (
	tagT61String       = 20
	tagVisibleString   = 26
	tagUniversalString = 28
)

// Equal compares two names attribute by attribute: types by what they mean
// (so that emailAddress is Email and UID is USERID), values letter by letter,
// and values that are no well-formed strings by their DER.
func (n Name) Equal(m Name) bool {
	return slices.EqualFunc(n, m, func(a, b RDN) bool { return slices.EqualFunc(a, b, Attribute.equal) })
}

func (a Attribute) equal(b Attribute) bool {
	if !a.oid.Equal(b.oid) || a.opaque != b.opaque {
		return false
	}
	if a.opaque {
		return bytes.Equal(a.der, b.der)
	}
	return a.text == b.text
}

// OneLine writes the name in OpenSSL's one-line form, "/O=Grid/CN=Jane Doe", as
// grid-mapfiles and all of the grid's services have it: unlike OpenSSL since
// version 3, it leaves a '/' or '+' inside of a value as it is.
func (n Name) OneLine() string {
	var b strings.Builder
	for _, rdn := range n {
		for _, a := range rdn {
			b.WriteString("/" + label(a.oid) + "=")
			for _, c := range a.raw {
				if c < ' ' || c > '~' {
					fmt.Fprintf(&b, `\x%02X`, c)
				} else {
					b.WriteByte(c)
				}
			}
		}
	}
	return b.String()
}

// RFC2253 writes the name as RFC 2253 has it, last RDN first, anything but
// ASCII as UTF-8 in hexadecimal, and values of types that have no name, or that
// are no strings, as the DER in hexadecimal, as `openssl -nameopt RFC2253` does.
func (n Name) RFC2253() string {
	var parts []string
	for _, rdn := range slices.Backward(n) {
		var attrs []string
		for _, a := range slices.Backward(rdn) {
			attrs = append(attrs, label(a.oid)+"="+a.value2253())
		}
		parts = append(parts, strings.Join(attrs, "+"))
	}
	return strings.Join(parts, ",")
}

func (a Attribute) value2253() string {
	if !a.opaque && label(a.oid) != a.oid.String() {
		return escape2253(a.text)
	}
	der, err := asn1.Marshal(a.value())
	if err != nil {
		return escape2253(a.text)
	}
	return "#" + strings.ToUpper(hex.EncodeToString(der))
}

// value is a UTF8String when it was read from text.
func (a Attribute) value() asn1.RawValue {
	if a.der == nil {
		return asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: a.raw}
	}
	return asn1.RawValue{FullBytes: a.der}
}

func escape2253(s string) string {
	var b strings.Builder
	for i, c := range []byte(s) {
		edge := (c == ' ' && (i == 0 || i == len(s)-1)) || (c == '#' && i == 0)
		switch {
		case c < ' ' || c > '~':
			fmt.Fprintf(&b, `\%02X`, c)
		case edge || strings.IndexByte(`,+"\<>;`, c) >= 0:
			b.WriteByte('\\')
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// OneLine writes the DER of a name in OpenSSL's one-line form. What is not a
// name comes out in hexadecimal, so that a message can always name a certificate.
func OneLine(der []byte) string {
	n, err := ParseName(der)
	if err != nil {
		return fmt.Sprintf("(not a name: %x)", der[:min(len(der), 32)])
	}
	return n.OneLine()
}

// CommonName returns the last CN of the name, "" when it has none or one that is
// no string.
func (n Name) CommonName() string {
	for _, rdn := range slices.Backward(n) {
		for _, a := range rdn {
			switch {
			case !a.oid.Equal(oidCN):
			case a.opaque:
				return ""
			default:
				return a.text
			}
		}
	}
	return ""
}

// DER encodes the name, values that were read from text as UTF8String.
func (n Name) DER() ([]byte, error) {
	var body []byte
	for _, rdn := range n {
		var attrs [][]byte
		for _, a := range rdn {
			der, err := attributeDER(a.oid, a.value())
			if err != nil {
				return nil, err
			}
			attrs = append(attrs, der)
		}
		set, err := setDER(attrs)
		if err != nil {
			return nil, err
		}
		body = append(body, set...)
	}
	return asn1.Marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: body})
}

func attributeDER(oid asn1.ObjectIdentifier, value asn1.RawValue) ([]byte, error) {
	der, err := asn1.Marshal(struct {
		Type  asn1.ObjectIdentifier
		Value asn1.RawValue
	}{oid, value})
	if err != nil {
		return nil, fmt.Errorf("gsi: name: %w", err)
	}
	return der, nil
}

func setDER(attrs [][]byte) ([]byte, error) {
	slices.SortFunc(attrs, bytes.Compare)
	return asn1.Marshal(asn1.RawValue{Tag: asn1.TagSet, IsCompound: true, Bytes: bytes.Join(attrs, nil)})
}
