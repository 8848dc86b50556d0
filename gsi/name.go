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
)

// Name is a distinguished name: RDNs in the order of the certificate, each
// usually with one attribute.
type Name []RDN

// RDN is a relative distinguished name, a set of attributes.
type RDN []Attribute

// Attribute is one type and value of a name.
type Attribute struct {
	oid  asn1.ObjectIdentifier
	tag  int    // of the value, 0 when read from text
	raw  []byte // the bytes of the value as they stand
	text string // the value in UTF-8; raw when its type is not a string
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
		v := pair.Value
		rdn = append(rdn, Attribute{pair.Type, v.Tag, v.Bytes, decodeString(v)})
	}
	if len(rdn) == 0 {
		return nil, errors.New("gsi: the name holds an empty set")
	}
	return rdn, nil
}

func decodeString(v asn1.RawValue) string {
	switch v.Tag {
	case tagT61String:
		runes := make([]rune, len(v.Bytes))
		for i, b := range v.Bytes {
			runes[i] = rune(b)
		}
		return string(runes)
	case asn1.TagBMPString:
		units := make([]uint16, len(v.Bytes)/2)
		for i := range units {
			units[i] = binary.BigEndian.Uint16(v.Bytes[2*i:])
		}
		return string(utf16.Decode(units))
	case tagUniversalString:
		runes := make([]rune, len(v.Bytes)/4)
		for i := range runes {
			runes[i] = rune(binary.BigEndian.Uint32(v.Bytes[4*i:]))
		}
		return string(runes)
	}
	return string(v.Bytes)
}

const (
	tagT61String       = 20
	tagVisibleString   = 26
	tagUniversalString = 28
)

// Equal compares two names attribute by attribute: types by what they mean
// (so that emailAddress is Email and UID is USERID), values letter by letter.
func (n Name) Equal(m Name) bool {
	return slices.EqualFunc(n, m, func(a, b RDN) bool {
		return slices.EqualFunc(a, b, func(x, y Attribute) bool {
			return x.oid.Equal(y.oid) && x.text == y.text
		})
	})
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
// ASCII as UTF-8 in hexadecimal, and values of types that have no name as the
// DER in hexadecimal, as `openssl -nameopt RFC2253` does.
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
	if label(a.oid) != a.oid.String() {
		return escape2253(a.text)
	}
	der, err := asn1.Marshal(asn1.RawValue{Tag: a.tagToWrite(), Bytes: a.raw})
	if err != nil {
		return escape2253(a.text)
	}
	return "#" + strings.ToUpper(hex.EncodeToString(der))
}

// tagToWrite is UTF8String for a value that was read from text.
func (a Attribute) tagToWrite() int {
	if a.tag == 0 {
		return asn1.TagUTF8String
	}
	return a.tag
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

// CommonName returns the last CN of the name, "" when it has none.
func (n Name) CommonName() string {
	for _, rdn := range slices.Backward(n) {
		for _, a := range rdn {
			if a.oid.Equal(oidCN) {
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
			der, err := attributeDER(a.oid, asn1.RawValue{Tag: a.tagToWrite(), Bytes: a.raw})
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
