package trust

import (
	"crypto/x509"
	"fmt"

	"gsigw/gsi"
)

// Code is the reason for which a chain is refused, one word for a metric or a
// caller that branches: errors.Is(err, trust.Expired).
type Code string

// The reasons.
const (
	Malformed         Code = "malformed"          // the chain is empty, or a certificate contradicts itself
	TooLarge          Code = "limits"             // too many certificates, too large a key, or too many names under name constraints
	Algorithm         Code = "algorithm"          // a key or signature of a kind that is not taken
	NameChaining      Code = "name-chaining"      // the issuer's name is not the next subject
	UnknownCA         Code = "unknown-ca"         // the chain ends at no CA of the trust directory
	BadSignature      Code = "bad-signature"      // a certificate was not signed by its issuer
	Expired           Code = "expired"            // a certificate is no longer valid
	NotYetValid       Code = "not-yet-valid"      // a certificate is not valid yet
	NotCA             Code = "not-a-ca"           // an end entity issued something other than a proxy
	EndEntityIsCA     Code = "end-entity-is-ca"   // a CA poses as a proxy, or issued one
	PathLength        Code = "path-length"        // more certificates follow than the issuer allows
	KeyUsage          Code = "key-usage"          // the issuer's key usage does not cover what it signed
	CriticalExtension Code = "critical-extension" // a critical extension that we do not understand
	NameConstraints   Code = "name-constraints"   // a name that the name constraints of a CA forbid
	NoName            Code = "no-name"            // the subject is empty: the certificate speaks for nobody
	SigningPolicy     Code = "signing-policy"     // the CA may not sign this subject
	NoSigningPolicy   Code = "no-signing-policy"  // the CA has no signing policy and one is required
	CRLExpired        Code = "crl-expired"        // the CA's revocation list is out of date
	CRLMissing        Code = "crl-missing"        // the CA has no revocation list and one is required
	CRLInvalid        Code = "crl-invalid"        // the CA's revocation list cannot be used
	Revoked           Code = "revoked"            // the CA revoked the certificate
	ProxySubject      Code = "proxy-subject"      // the proxy's subject is not its issuer's and one CN
	ProxyExtension    Code = "proxy-extension"    // the proxy has an extension that no proxy may have
	MixedTypes        Code = "mixed-types"        // proxies of different families in one chain
	LimitedProxy      Code = "limited-proxy"      // a proxy under a limited one that is not limited itself
	PolicyUnknown     Code = "policy-unknown"     // a proxy policy in a language we do not know
)

// Error makes a Code something for errors.Is to look for.
func (c Code) Error() string { return "trust: " + string(c) }

// Error says why a chain is refused, of which certificate, and what to do.
type Error struct {
	Code   Code
	Cert   *x509.Certificate // nil when it is about the chain as a whole
	Reason string
	Remedy string
}

func (e *Error) Error() string {
	subject := ""
	if e.Cert != nil {
		subject = gsi.OneLine(e.Cert.RawSubject) + " "
	}
	return fmt.Sprintf("trust: %s%s: %s", subject, e.Reason, e.Remedy)
}

// Is makes errors.Is work with a Code, and with gsi.ErrExpired for a certificate that is outside its time.
func (e *Error) Is(target error) bool {
	outOfTime := e.Code == Expired || e.Code == NotYetValid
	return target == error(e.Code) || outOfTime && target == gsi.ErrExpired
}

func refuse(code Code, cert *x509.Certificate, remedy, reason string, args ...any) *Error {
	return &Error{Code: code, Cert: cert, Reason: fmt.Sprintf(reason, args...), Remedy: remedy}
}
