package trust

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"

	"gsigw/gsi"
)

var (
	oidKeyUsage            = asn1.ObjectIdentifier{2, 5, 29, 15}
	oidSubjectAltName      = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidIssuerAltName       = asn1.ObjectIdentifier{2, 5, 29, 18}
	oidBasicConstraints    = asn1.ObjectIdentifier{2, 5, 29, 19}
	oidNameConstraints     = asn1.ObjectIdentifier{2, 5, 29, 30}
	oidCertificatePolicies = asn1.ObjectIdentifier{2, 5, 29, 32}
	oidExtKeyUsage         = asn1.ObjectIdentifier{2, 5, 29, 37}
)

// understood are the extensions that may be critical: those the walk looks at,
// those that leave it no choice to make, and subjectAltName, which HostMatches
// reads.
var understood = []asn1.ObjectIdentifier{
	oidKeyUsage, oidBasicConstraints, oidSubjectAltName, oidCertificatePolicies, oidExtKeyUsage,
}

// checkExtensions refuses what is critical and not understood, and an extension
// that is there twice, since two readers could take one each. Name constraints are refused either way: the grid's names are DNs, and nothing
// here checks those.
func checkExtensions(cert *x509.Certificate, proxy bool) error {
	for i, e := range cert.Extensions {
		if slices.ContainsFunc(cert.Extensions[:i], func(before pkix.Extension) bool { return before.Id.Equal(e.Id) }) {
			return refuse(Malformed, cert, "have it issued again", "has the extension %s twice", e.Id)
		}
		if e.Id.Equal(oidNameConstraints) {
			return refuse(NameConstraints, cert, "trust a CA without them; bind this one by its signing_policy",
				"has name constraints, which are not checked here")
		}
		if !e.Critical || slices.ContainsFunc(understood, e.Id.Equal) {
			continue
		}
		if proxy && (e.Id.Equal(gsi.OIDProxyCertInfo) || e.Id.Equal(gsi.OIDDraftProxyCertInfo)) {
			continue
		}
		return refuse(CriticalExtension, cert, "use a certificate without it", "has the critical extension %s, which is not understood", e.Id)
	}
	return nil
}

func hasExtension(cert *x509.Certificate, oid asn1.ObjectIdentifier) bool {
	for _, e := range cert.Extensions {
		if e.Id.Equal(oid) {
			return true
		}
	}
	return false
}
