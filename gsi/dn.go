package gsi

import (
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

var (
	oidCN    = asn1.ObjectIdentifier{2, 5, 4, 3}
	oidEmail = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}
	oidUID   = asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}
)

// labels holds the attribute types that OpenSSL has short names for and that
// certificates of people and hosts use. An older spelling follows a newer one.
var labels = []struct {
	name string
	oid  asn1.ObjectIdentifier
}{
	{"CN", oidCN},
	{"SN", asn1.ObjectIdentifier{2, 5, 4, 4}},
	{"serialNumber", asn1.ObjectIdentifier{2, 5, 4, 5}},
	{"C", asn1.ObjectIdentifier{2, 5, 4, 6}},
	{"L", asn1.ObjectIdentifier{2, 5, 4, 7}},
	{"ST", asn1.ObjectIdentifier{2, 5, 4, 8}},
	{"S", asn1.ObjectIdentifier{2, 5, 4, 8}},
	{"street", asn1.ObjectIdentifier{2, 5, 4, 9}},
	{"O", asn1.ObjectIdentifier{2, 5, 4, 10}},
	{"OU", asn1.ObjectIdentifier{2, 5, 4, 11}},
	{"title", asn1.ObjectIdentifier{2, 5, 4, 12}},
	{"description", asn1.ObjectIdentifier{2, 5, 4, 13}},
	{"businessCategory", asn1.ObjectIdentifier{2, 5, 4, 15}},
	{"postalCode", asn1.ObjectIdentifier{2, 5, 4, 17}},
	{"name", asn1.ObjectIdentifier{2, 5, 4, 41}},
	{"GN", asn1.ObjectIdentifier{2, 5, 4, 42}},
	{"initials", asn1.ObjectIdentifier{2, 5, 4, 43}},
	{"generationQualifier", asn1.ObjectIdentifier{2, 5, 4, 44}},
	{"dnQualifier", asn1.ObjectIdentifier{2, 5, 4, 46}},
	{"pseudonym", asn1.ObjectIdentifier{2, 5, 4, 65}},
	{"organizationIdentifier", asn1.ObjectIdentifier{2, 5, 4, 97}},
	{"UID", oidUID},
	{"USERID", oidUID},
	{"DC", asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 25}},
	{"emailAddress", oidEmail},
	{"Email", oidEmail},
	{"E", oidEmail},
	{"unstructuredName", asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 2}},
}

func label(oid asn1.ObjectIdentifier) string {
	for _, l := range labels {
		if l.oid.Equal(oid) {
			return l.name
		}
	}
	return oid.String()
}

// oidOf reads an attribute type, a label in any case or dotted numbers.
func oidOf(s string) (asn1.ObjectIdentifier, bool) {
	for _, l := range labels {
		if strings.EqualFold(l.name, s) {
			return l.oid, true
		}
	}
	var oid asn1.ObjectIdentifier
	for part := range strings.SplitSeq(strings.TrimPrefix(s, "OID."), ".") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 {
			return nil, false
		}
		oid = append(oid, n)
	}
	return oid, len(oid) > 1
}

// EqualDN compares two names written in either form: OpenSSL's one-line form or
// RFC 2253's. What cannot be read equals nothing.
func EqualDN(a, b string) bool {
	x, err := ParseDN(a)
	if err != nil {
		return false
	}
	y, err := ParseDN(b)
	return err == nil && x.Equal(y)
}

// ParseDN reads a name as people write it: "/O=Grid/CN=Jane Doe" or, in RFC
// 2253's order and with its escapes, "CN=Jane Doe,O=Grid". In the first form a
// '/' starts an attribute only when a known type and '=' follow, so that
// "/CN=host/example.org" is one attribute; a value that itself looks like an
// attribute can be written in the second form only.
func ParseDN(s string) (Name, error) {
	if strings.HasPrefix(s, "/") {
		return parseOneLine(s)
	}
	return parse2253(s)
}

func parseOneLine(s string) (Name, error) {
	var name Name
	if s == "" {
		return nil, nil
	}
	// OpenSSL 3 escapes a '/' or '+' inside of a value, what came before does not.
	s = escapedSlash.Replace(s)
	value := 0 // where the last one starts
	for end := 0; end < len(s); {
		start := end + 1
		if end = strings.IndexByte(s[start:], '/') + start; end < start {
			end = len(s)
		}
		typ, _, ok := strings.Cut(s[start:end], "=")
		oid, known := oidOf(typ)
		switch {
		case ok && known:
			value = start + len(typ) + 1
			name = append(name, RDN{{oid: oid, text: s[value:end]}})
		case len(name) == 0:
			return nil, fmt.Errorf("gsi: %q does not start with a type and '=' as in /O=Grid/CN=Jane Doe", s)
		default: // a '/' inside of the value
			name[len(name)-1][0].text = s[value:end]
		}
	}
	for _, rdn := range name {
		rdn[0].text = unescapeOneLine(rdn[0].text)
		rdn[0].raw = []byte(rdn[0].text)
	}
	return name, nil
}

var escapedSlash = strings.NewReplacer(`\/`, `\x2F`, `\+`, `\x2B`)

// unescapeOneLine turns \xHH into its byte, for those bytes only that the form
// escapes.
func unescapeOneLine(s string) string {
	var b []byte
	for i := 0; i < len(s); i++ {
		if strings.HasPrefix(s[i:], `\x`) && i+4 <= len(s) {
			if c, err := hex.DecodeString(s[i+2 : i+4]); err == nil && escapedInOneLine(c[0]) {
				b = append(b, c[0])
				i += 3
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}

func escapedInOneLine(c byte) bool { return c < ' ' || c > '~' || c == '/' || c == '+' }

func parse2253(s string) (Name, error) {
	var name Name
	rdn := RDN{}
	for rest := s; ; {
		typ, after, ok := strings.Cut(rest, "=")
		oid, known := oidOf(strings.TrimSpace(typ))
		if !ok || !known {
			return nil, fmt.Errorf("gsi: %q is not a name: write /O=Grid/CN=Jane Doe or CN=Jane Doe,O=Grid", s)
		}
		attribute, sep, tail, err := attribute2253(oid, strings.TrimLeft(after, " "))
		if err != nil {
			return nil, fmt.Errorf("gsi: the name %q: %w", s, err)
		}
		rdn = append(rdn, attribute)
		if sep != '+' {
			slices.Reverse(rdn)
			name = append(name, rdn)
			rdn = nil
		}
		if sep == 0 {
			slices.Reverse(name)
			return name, nil
		}
		rest = tail
	}
}

func attribute2253(oid asn1.ObjectIdentifier, s string) (a Attribute, sep byte, rest string, err error) {
	if strings.HasPrefix(s, "#") {
		return hexValue(oid, s[1:])
	}
	value, sep, rest, err := value2253(s)
	return Attribute{oid: oid, raw: []byte(value), text: value}, sep, rest, err
}

// hexValue reads a value that is written as its DER in hexadecimal.
func hexValue(oid asn1.ObjectIdentifier, s string) (a Attribute, sep byte, rest string, err error) {
	digits := s
	if end := strings.IndexAny(s, ",+;"); end >= 0 {
		digits, sep, rest = s[:end], s[end], s[end+1:]
	}
	var v asn1.RawValue
	der, err := hex.DecodeString(strings.TrimRight(digits, " "))
	if err != nil || !whole(der, &v) || v.Class != asn1.ClassUniversal || v.IsCompound {
		return a, 0, "", errors.New("what follows '#' is not a string's DER in hexadecimal: escape a '#' with a backslash")
	}
	return attribute(oid, v), sep, rest, nil
}

// value2253 reads one value up to its separator, 0 at the end of the name.
func value2253(s string) (value string, sep byte, rest string, err error) {
	var b []byte
	keep := 0 // trailing spaces go, unless escaped
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == ',' || c == '+' || c == ';':
			return string(b[:keep]), c, s[i+1:], nil
		case c == '"':
			return "", 0, "", errors.New("quoted values are not taken: escape with a backslash")
		case c == '\\':
			n, char, err := escaped2253(s[i+1:])
			if err != nil {
				return "", 0, "", err
			}
			b = append(b, char)
			i += n
			keep = len(b)
		default:
			b = append(b, c)
			if c != ' ' {
				keep = len(b)
			}
		}
	}
	return string(b[:keep]), 0, "", nil
}

func escaped2253(s string) (n int, c byte, err error) {
	if len(s) >= 2 {
		if b, err := hex.DecodeString(s[:2]); err == nil {
			return 2, b[0], nil
		}
	}
	if len(s) == 0 {
		return 0, 0, errors.New("a backslash at its end")
	}
	return 1, s[0], nil
}

// Unambiguous says whether the one-line form of the name can mean no other
// name: a value that looks like an attribute of its own or is no string, two
// bytes a character that read as one each, or two attributes in one RDN, make it
// ambiguous.
func (n Name) Unambiguous() bool {
	again, err := parseOneLine(n.OneLine())
	return err == nil && slices.EqualFunc(n, again, func(a, b RDN) bool {
		disguised := a[0].text != b[0].text && !strings.ContainsFunc(b[0].text, func(r rune) bool { return r > '~' })
		return len(a) == 1 && !a[0].opaque && a[0].oid.Equal(b[0].oid) && string(a[0].raw) == string(b[0].raw) && !disguised
	})
}

// EqualDN compares the name of a certificate with one that is written in either
// form.
func (n Name) EqualDN(s string) bool {
	m, err := ParseDN(s)
	return err == nil && n.Equal(m)
}
