// Package voms speaks of the members of virtual organisations: it asks a VOMS server what the user may say of himself,
// puts the answer into a proxy, and decides whether to believe what a proxy says.
//
// The answer is an attribute certificate with names of groups and roles, [FQAN]s:
//
//	extension, err := voms.Extension(ac)
//	proxy, err := gsi.NewProxy(user, gsi.Limits{Extensions: []pkix.Extension{extension}})
//
// A [Dir] holds the authorities that are trusted, as /etc/grid-security/vomsdir lists them. It reads the attribute
// certificates of a chain and checks each on its own:
//
//	dir, err := voms.Open("/etc/grid-security/vomsdir", voms.Options{Trust: store})
//	for _, p := range dir.Problems() { ... }          // files that could not be read
//	result, err := dir.Verify(chain, time.Now())      // err: the chain itself is not trusted
//	for _, a := range result.Attributes { ... }       // a.VO, a.FQANs: believed
//	for _, refused := range result.Refused { ... }    // and what is not, each with its reason
//
// What an attribute certificate looks like is RFC 5755's and GFD.182's matter; where VOMS's own libraries differ from
// those, we do as they do, and say so.
package voms

import "encoding/asn1"

// The object identifiers of VOMS. The first four stand in proxies, the others in attribute certificates.
var (
	OIDPseudo       = arc(1)  // the pseudo-certificate of before 2004
	OIDIncludedFile = arc(2)  // a file of the user's
	OIDVO           = arc(3)  // the VO, as text
	OIDACs          = arc(5)  // attribute certificates
	OIDFQANs        = arc(4)  // the attribute that holds the FQANs
	OIDCertificates = arc(10) // the authority's certificates
	OIDGeneric      = arc(11) // generic attributes
)

func arc(last int) asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 8005, 100, 100, last}
}
