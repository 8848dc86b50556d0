package trust

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"slices"
	"strings"

	"gsigw/gsi"
)

// nameKey folds the DER of a name so that two names have one key when RFC 5280, section 7.1, says that they are the
// same: whatever kind of string holds them, in either case, with any number of blanks for one.
func nameKey(der []byte) string {
	name, err := gsi.ParseName(der)
	if err != nil {
		return string(der)
	}
	return strings.Join(foldedRDNs(name), "\x00")
}

// foldedRDNs folds a name RDN by RDN.
func foldedRDNs(name gsi.Name) (folded []string) {
	for _, rdn := range name {
		var attrs []string
		for _, a := range rdn {
			attrs = append(attrs, fold(gsi.Name{gsi.RDN{a}}.RFC2253()))
		}
		slices.Sort(attrs)
		folded = append(folded, strings.Join(attrs, "\x01"))
	}
	return folded
}

// fold lowers the case of one "type=value" and takes blanks out. What is not ASCII stands there in hexadecimal.
func fold(s string) string {
	label, value, _ := strings.Cut(s, "=")
	value = strings.ReplaceAll(value, `\ `, " ") // the first and the last
	return strings.ToLower(label + "=" + strings.Join(strings.Fields(value), " "))
}

// sameName compares two names, RDN by RDN, and byte by byte where that is enough.
func sameName(a, b []byte) bool {
	return bytes.Equal(a, b) || slices.EqualFunc(rdns(a), rdns(b), func(x, y []byte) bool {
		return bytes.Equal(x, y) || nameKey(nameOf(x)) == nameKey(nameOf(y))
	})
}

// rdns splits the DER of a name into that of its RDNs; what is no name is one.
func rdns(name []byte) (sets [][]byte) {
	var sequence, set asn1.RawValue
	if _, err := asn1.Unmarshal(name, &sequence); err != nil {
		return [][]byte{name}
	}
	for rest := sequence.Bytes; len(rest) > 0; {
		var err error
		if rest, err = asn1.Unmarshal(rest, &set); err != nil {
			return [][]byte{name}
		}
		sets = append(sets, set.FullBytes)
	}
	return sets
}

// nameOf makes a name of one RDN.
func nameOf(rdn []byte) []byte {
	der, err := asn1.Marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: rdn})
	if err != nil {
		return rdn
	}
	return der
}

func selfIssued(cert *x509.Certificate) bool { return sameName(cert.RawIssuer, cert.RawSubject) }

// extendsIssuer says whether a proxy's subject is its issuer's and one CN more (RFC 3820, section 3.4).
func extendsIssuer(cert *x509.Certificate) bool {
	if gsi.ExtendsIssuer(cert) {
		return true
	}
	subject, err := gsi.ParseName(cert.RawSubject)
	issuer, issuerErr := gsi.ParseName(cert.RawIssuer)
	if err != nil || issuerErr != nil || len(subject) != len(issuer)+1 {
		return false
	}
	last := gsi.Name{subject[len(subject)-1]}
	return len(last[0]) == 1 && strings.HasPrefix(last.RFC2253(), "CN=") &&
		slices.Equal(foldedRDNs(subject[:len(issuer)]), foldedRDNs(issuer))
}

// guarded writes a subject for the patterns of signing policies: in the one-line form, where that can have one meaning
// only, or else so that no '/' or '+' inside of a value passes for one between attributes.
func guarded(subject []byte) string {
	name, err := gsi.ParseName(subject)
	if err != nil || name.Unambiguous() {
		return gsi.OneLine(subject)
	}
	var b strings.Builder
	for _, rdn := range name {
		for i, a := range rdn {
			b.WriteByte("/+"[min(i, 1)])
			b.WriteString(strings.ReplaceAll(gsi.Name{gsi.RDN{a}}.RFC2253(), "/", `\2F`))
		}
	}
	return b.String()
}

// oneReading writes a subject in OpenSSL's one-line form, or in RFC 2253's where the first could mean another name:
// where a value looks like an attribute of its own, or an RDN has two.
func oneReading(subject []byte) string {
	name, err := gsi.ParseName(subject)
	if err != nil || name.Unambiguous() {
		return gsi.OneLine(subject)
	}
	return name.RFC2253()
}
