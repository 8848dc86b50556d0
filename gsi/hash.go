package gsi

import (
	"crypto/md5"
	"crypto/sha1"
	"encoding/asn1"
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf8"
)

// SubjectHash returns the hash that names a CA's files since OpenSSL 1.0: eight
// hexadecimal digits over the SHA-1 of the name in canonical form.
func SubjectHash(der []byte) (string, error) {
	name, err := ParseName(der)
	if err != nil {
		return "", err
	}
	var canonical []byte
	for _, rdn := range name {
		set, err := rdn.canonical()
		if err != nil {
			return "", err
		}
		canonical = append(canonical, set...)
	}
	sum := sha1.Sum(canonical)
	return fmt.Sprintf("%08x", binary.LittleEndian.Uint32(sum[:])), nil
}

// SubjectHashOld returns the hash that named a CA's files before OpenSSL 1.0
// and still does for GT4: over the MD5 of the name's DER.
func SubjectHashOld(der []byte) string {
	sum := md5.Sum(der)
	return fmt.Sprintf("%08x", binary.LittleEndian.Uint32(sum[:]))
}

// canonical encodes the RDN as OpenSSL's x509_name_canon does: strings as UTF-8,
// lower case, with single spaces.
func (r RDN) canonical() ([]byte, error) {
	var attrs [][]byte
	for _, a := range r {
		value := a.value()
		if isText(a.tag) {
			folded := strings.Join(strings.FieldsFunc(lowerASCII(a.text), isSpaceASCII), " ")
			value = asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte(folded)}
		}
		der, err := attributeDER(a.oid, value)
		if err != nil {
			return nil, err
		}
		attrs = append(attrs, der)
	}
	return setDER(attrs)
}

func isText(tag int) bool {
	switch tag {
	case asn1.TagUTF8String, asn1.TagPrintableString, asn1.TagIA5String, asn1.TagBMPString,
		tagT61String, tagVisibleString, tagUniversalString:
		return true
	}
	return false
}

func lowerASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

func isSpaceASCII(r rune) bool { return r < utf8.RuneSelf && strings.ContainsRune(" \t\n\v\f\r", r) }
