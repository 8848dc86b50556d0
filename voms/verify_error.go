package voms

import (
	"fmt"
	"strings"

	"gsigw/gsi"
)

// Code is the reason for which an attribute certificate is refused, one word for a metric or a caller that branches:
// errors.Is(err, voms.Expired).
type Code string

// The reasons.
const (
	Malformed         Code = "malformed"          // it cannot be read
	HolderMismatch    Code = "holder-mismatch"    // it belongs to another than the chain's end entity
	IndependentProxy  Code = "independent-proxy"  // the chain speaks for nobody of whom an authority could have spoken
	Expired           Code = "expired"            // it is no longer valid
	NotYetValid       Code = "not-yet-valid"      // it is not valid yet
	NoFQAN            Code = "no-fqan"            // it gives no attribute at all
	ForeignFQAN       Code = "foreign-fqan"       // it speaks for another VO than its own, by an FQAN or a generic attribute
	WrongTarget       Code = "wrong-target"       // it is for other hosts than this
	CriticalExtension Code = "critical-extension" // a critical extension that we do not understand, or that may not be critical
	MissingExtension  Code = "missing-extension"  // one that every attribute certificate of VOMS has
	UnknownVO         Code = "unknown-vo"         // the vomsdir trusts no authority for the VO
	UnknownAuthority  Code = "unknown-authority"  // it trusts none on that host
	LSCMismatch       Code = "lsc-mismatch"       // the LSC file names another chain
	BrokenLSC         Code = "broken-lsc"         // the LSC file cannot be read
	IssuerMismatch    Code = "issuer-mismatch"    // it names another issuer than the authority
	NotAnAuthority    Code = "not-an-authority"   // a proxy, a CA, or a key that may not sign
	Untrusted         Code = "untrusted"          // the authority's certificate is not trusted; see Err
	Algorithm         Code = "algorithm"          // it is signed in a way that is not taken
	BadSignature      Code = "bad-signature"      // it was not signed by the authority
	KeyMismatch       Code = "key-mismatch"       // it names another key than the authority's
)

// Error makes a Code something for errors.Is to look for.
func (c Code) Error() string { return "voms: " + string(c) }

// Error says why an attribute certificate is refused, what it claimed, and what to do.
type Error struct {
	Code   Code
	VO     string // what it claims; empty when it could not be read
	FQANs  []FQAN
	Issuer string // DN of the authority that it names
	Reason string
	Remedy string
	Err    error // of the certificate chain of the authority; usually nil
}

func (e *Error) Error() string {
	if e.VO == "" {
		return fmt.Sprintf("voms: %s: %s", e.Reason, e.Remedy)
	}
	return fmt.Sprintf("voms: the attributes %s of the VO %s from %s: %s: %s", listFQANs(e.FQANs), e.VO, e.Issuer, e.Reason, e.Remedy)
}

// listFQANs names a few.
func listFQANs(fqans []FQAN) string {
	const few = 4
	var words []string
	for _, f := range fqans[:min(few, len(fqans))] {
		words = append(words, f.String())
	}
	if more := len(fqans) - few; more > 0 {
		words = append(words, fmt.Sprintf("and %d more", more))
	}
	if len(words) == 0 {
		return "(none)"
	}
	return strings.Join(words, ", ")
}

// Unwrap gives what the trust store said of the authority.
func (e *Error) Unwrap() error { return e.Err }

// Is makes errors.Is work with a Code, and with gsi.ErrExpired for one that is outside its time.
func (e *Error) Is(target error) bool {
	outOfTime := e.Code == Expired || e.Code == NotYetValid
	return target == error(e.Code) || outOfTime && target == gsi.ErrExpired
}

func refuse(code Code, remedy, reason string, args ...any) *Error {
	return &Error{Code: code, Reason: fmt.Sprintf(reason, args...), Remedy: remedy}
}

// claimed enters what the attribute certificate claims.
func (e *Error) claimed(ac *AttributeCertificate) *Error {
	e.VO, e.FQANs, e.Issuer = ac.VO, ac.FQANs, ac.Issuer()
	return e
}
