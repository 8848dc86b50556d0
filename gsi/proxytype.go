package gsi

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
)

// ProxyType is the kind of a certificate: the family of proxy certificates it
// belongs to and, after a slash, what its policy grants.
type ProxyType string

// The kinds there are. A restricted proxy carries a policy in a language of its
// own; the others pass on all rights, all but those to start jobs (limited), or
// none of the issuer's (independent).
const (
	EEC              ProxyType = "eec"
	RFC              ProxyType = "rfc"
	RFCLimited       ProxyType = "rfc/limited"
	RFCIndependent   ProxyType = "rfc/independent"
	RFCRestricted    ProxyType = "rfc/restricted"
	Draft            ProxyType = "draft"
	DraftLimited     ProxyType = "draft/limited"
	DraftIndependent ProxyType = "draft/independent"
	DraftRestricted  ProxyType = "draft/restricted"
	Legacy           ProxyType = "legacy"
	LegacyLimited    ProxyType = "legacy/limited"
)

// Family returns "eec", "rfc", "draft" or "legacy". A chain never mixes them.
func (t ProxyType) Family() string {
	family, _, _ := strings.Cut(string(t), "/")
	return family
}

// Limited says whether the proxy is a limited one.
func (t ProxyType) Limited() bool { return t.kind() == "limited" }

// Independent says whether the proxy has an identity of its own.
func (t ProxyType) Independent() bool { return t.kind() == "independent" }

// Restricted says whether the proxy carries a policy of its own.
func (t ProxyType) Restricted() bool { return t.kind() == "restricted" }

func (t ProxyType) kind() string {
	_, kind, _ := strings.Cut(string(t), "/")
	return kind
}

func (t ProxyType) valid() bool {
	switch t {
	case EEC, RFC, RFCLimited, RFCIndependent, RFCRestricted,
		Draft, DraftLimited, DraftIndependent, DraftRestricted, Legacy, LegacyLimited:
		return true
	}
	return false
}

// Classify says of what kind a certificate is: a proxy by its ProxyCertInfo
// extension, or, in GT2's way, by a subject that is the issuer's and one CN of
// "proxy" or "limited proxy" more, in either case. A certificate that contradicts itself is an
// error.
func Classify(cert *x509.Certificate) (ProxyType, error) {
	info, err := ProxyCertInfoOf(cert)
	if err != nil {
		return "", fmt.Errorf("gsi: %s: %w", OneLine(cert.RawSubject), err)
	}
	if info != nil {
		return info.Type(), nil
	}
	switch cn, ok := addedCN(cert.RawIssuer, cert.RawSubject); {
	case ok && strings.EqualFold(cn, "proxy") && !cert.IsCA:
		return Legacy, nil
	case ok && strings.EqualFold(cn, "limited proxy") && !cert.IsCA:
		return LegacyLimited, nil
	}
	return EEC, nil
}

// ExtendsIssuer says whether the subject of the certificate is its issuer's and
// exactly one CN more (RFC 3820, section 3.4), as [SameName] compares.
func ExtendsIssuer(cert *x509.Certificate) bool {
	_, ok := addedCN(cert.RawIssuer, cert.RawSubject)
	return ok
}

// addedCN returns the one CN by which subject is longer than issuer.
func addedCN(issuer, subject []byte) (string, bool) {
	have, err := rdns(subject)
	if err != nil || len(have) == 0 {
		return "", false
	}
	want, err := rdns(issuer)
	if err != nil || len(have) != len(want)+1 {
		return "", false
	}
	if !slices.EqualFunc(have[:len(want)], want, sameRDN) {
		return "", false
	}
	last, err := parseRDN(have[len(have)-1])
	if err != nil || len(last) != 1 || !last[0].oid.Equal(oidCN) {
		return "", false
	}
	return last[0].text, true
}
