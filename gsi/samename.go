package gsi

import (
	"bytes"
	"slices"
	"strings"
)

// SameName says whether the DER of two names means the same name (RFC 5280, section 7.1): whatever kind of string holds
// the values, in either case, with any number of blanks for one. It is the one comparison of names between certificates;
// [Name.Equal] is stricter, for names that somebody wrote into a configuration.
func SameName(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	x, err := rdns(a)
	if err != nil {
		return false
	}
	y, err := rdns(b)
	return err == nil && slices.EqualFunc(x, y, sameRDN)
}

// sameRDN compares the DER of two RDNs.
func sameRDN(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	x, err := parseRDN(a)
	if err != nil {
		return false
	}
	y, err := parseRDN(b)
	return err == nil && x.folded() == y.folded()
}

// NameKey folds the DER of a name, so that two names have one key when [SameName] says that they are the same. What is
// no name is its own key.
func NameKey(der []byte) string {
	name, err := ParseName(der)
	if err != nil {
		return string(der)
	}
	return name.Folded()
}

// Folded is the [NameKey] of a name.
func (n Name) Folded() string {
	var parts []string
	for _, rdn := range n {
		parts = append(parts, rdn.folded())
	}
	return strings.Join(parts, "\x00")
}

func (r RDN) folded() string {
	var attrs []string
	for _, a := range r {
		attrs = append(attrs, a.folded())
	}
	slices.Sort(attrs)
	return strings.Join(attrs, "\x01")
}

// folded lowers the case and takes blanks out. What is not ASCII stands there in hexadecimal.
func (a Attribute) folded() string {
	value := strings.ReplaceAll(a.value2253(), `\ `, " ") // the first and the last
	return strings.ToLower(label(a.oid) + "=" + strings.Join(strings.Fields(value), " "))
}
