package trust

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"slices"
	"time"

	"gsigw/gsi"
)

var (
	oidKeyUsage            = asn1.ObjectIdentifier{2, 5, 29, 15}
	oidSubjectAltName      = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidIssuerAltName       = asn1.ObjectIdentifier{2, 5, 29, 18}
	oidBasicConstraints    = asn1.ObjectIdentifier{2, 5, 29, 19}
	oidNameConstraints     = asn1.ObjectIdentifier{2, 5, 29, 30}
	oidCertificatePolicies = asn1.ObjectIdentifier{2, 5, 29, 32}
	oidPolicyMappings      = asn1.ObjectIdentifier{2, 5, 29, 33}
	oidPolicyConstraints   = asn1.ObjectIdentifier{2, 5, 29, 36}
	oidExtKeyUsage         = asn1.ObjectIdentifier{2, 5, 29, 37}
	oidInhibitAnyPolicy    = asn1.ObjectIdentifier{2, 5, 29, 54}
)

// understood are the extensions that may be critical: those the walk looks at,
// those that leave it no choice to make, and subjectAltName, which HostMatches
// reads. Certificate policies decide nothing until somebody requires one.
var understood = []asn1.ObjectIdentifier{
	oidKeyUsage, oidBasicConstraints, oidSubjectAltName, oidNameConstraints, oidExtKeyUsage,
	oidCertificatePolicies, oidPolicyMappings, oidInhibitAnyPolicy,
}

// checkExtensions refuses what is critical and not understood, and an extension
// that is there twice, since two readers could take one each.
func checkExtensions(cert *x509.Certificate, proxy bool) error {
	seen := map[string]bool{}
	for _, e := range cert.Extensions {
		id := e.Id.String()
		if seen[id] {
			return refuse(Malformed, cert, "have it issued again", "has the extension %s twice", e.Id)
		}
		seen[id] = true
		switch {
		case e.Id.Equal(oidPolicyConstraints) && !requiresPolicy(e.Value):
		case e.Id.Equal(oidPolicyConstraints):
			return refuse(CriticalExtension, cert, "use a CA without policy constraints",
				"requires a certificate policy, which is not checked here")
		case !e.Critical || slices.ContainsFunc(understood, e.Id.Equal):
		case proxy && (e.Id.Equal(gsi.OIDProxyCertInfo) || e.Id.Equal(gsi.OIDDraftProxyCertInfo)):
		default:
			return refuse(CriticalExtension, cert, "use a certificate without it",
				"has the critical extension %s, which is not understood", e.Id)
		}
	}
	return nil
}

// requiresPolicy says whether policy constraints may require a policy of the certificates below (RFC 5280, section
// 4.2.1.11); what cannot be read may.
func requiresPolicy(der []byte) bool {
	var value struct {
		Require asn1.RawValue `asn1:"optional,tag:0"`
		Inhibit asn1.RawValue `asn1:"optional,tag:1"`
	}
	rest, err := asn1.Unmarshal(der, &value)
	return err != nil || len(rest) > 0 || len(value.Require.FullBytes) > 0
}

func extensionOf(cert *x509.Certificate, oid asn1.ObjectIdentifier) (value []byte, ok bool) {
	for _, e := range cert.Extensions {
		if e.Id.Equal(oid) {
			return e.Value, true
		}
	}
	return nil, false
}

func hasExtension(cert *x509.Certificate, oid asn1.ObjectIdentifier) bool {
	_, ok := extensionOf(cert, oid)
	return ok
}

// may says whether the key usage of a certificate, if it has one, covers a use.
func may(cert *x509.Certificate, use x509.KeyUsage) bool {
	return cert.KeyUsage&use != 0 || cert.KeyUsage == 0 && !hasExtension(cert, oidKeyUsage)
}

// checkTimeForm refuses dates without seconds or with an offset from UTC, which crypto/x509 reads and RFC 5280, section
// 4.1.2.5, forbids: others read another date there, or none.
func checkTimeForm(cert *x509.Certificate) error {
	for _, t := range []time.Time{cert.NotBefore, cert.NotAfter} {
		utc, general := t.UTC().Format("\x17\x0d060102150405Z"), t.UTC().Format("\x18\x0f20060102150405Z")
		if !bytes.Contains(cert.RawTBSCertificate, []byte(utc)) && !bytes.Contains(cert.RawTBSCertificate,
			[]byte(general)) {
			return refuse(Malformed, cert, "have it issued again",
				"has a date that is not written in UTC to the second")
		}
	}
	return nil
}
