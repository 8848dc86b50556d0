package trust

import (
	"crypto/x509"
	"strings"

	"gsigw/gsi"
)

func selfIssued(cert *x509.Certificate) bool { return gsi.SameName(cert.RawIssuer, cert.RawSubject) }

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
