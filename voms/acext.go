package voms

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

var (
	oidTargets      = asn1.ObjectIdentifier{2, 5, 29, 55}
	oidKeyID        = asn1.ObjectIdentifier{2, 5, 29, 35}
	oidNoRevocation = asn1.ObjectIdentifier{2, 5, 29, 56}
)

// readExtensions reads those that VOMS knows and keeps them all. There is no unique identifier of the issuer before
// them: RFC 5755, section 4.2.8, forbids it.
func (ac *AttributeCertificate) readExtensions(s *cryptobyte.String) error {
	if s.Empty() {
		return nil
	}
	var list cryptobyte.String
	if !s.ReadASN1(&list, der.SEQUENCE) {
		return errDER
	}
	for !list.Empty() {
		var e pkix.Extension
		if !readExtension(&list, &e) {
			return errDER
		}
		if _, twice := ac.extension(e.Id); twice {
			return fmt.Errorf("%s is there twice", e.Id)
		}
		if ac.Extensions = append(ac.Extensions, e); len(ac.Extensions) > maxExtensions {
			return fmt.Errorf("more than %d", maxExtensions)
		}
		if err := ac.understand(e); err != nil {
			return fmt.Errorf("%s: %w", e.Id, err)
		}
	}
	return nil
}

// readExtension reads one; DER leaves out that it is not critical.
func readExtension(s *cryptobyte.String, e *pkix.Extension) bool {
	var fields, value cryptobyte.String
	if !s.ReadASN1(&fields, der.SEQUENCE) || !fields.ReadASN1ObjectIdentifier(&e.Id) {
		return false
	}
	if fields.PeekASN1Tag(der.BOOLEAN) && (!fields.ReadASN1Boolean(&e.Critical) || !e.Critical) {
		return false
	}
	ok := fields.ReadASN1(&value, der.OCTET_STRING) && fields.Empty()
	e.Value = value
	return ok
}

func (ac *AttributeCertificate) extension(oid asn1.ObjectIdentifier) (pkix.Extension, bool) {
	for _, e := range ac.Extensions {
		if e.Id.Equal(oid) {
			return e, true
		}
	}
	return pkix.Extension{}, false
}

// understood are the extensions that understand reads.
func (ac *AttributeCertificate) understood() map[string]func(*cryptobyte.String) error {
	return map[string]func(*cryptobyte.String) error{
		OIDCertificates.String(): ac.readCertificates,
		OIDGeneric.String():      ac.readGeneric,
		oidTargets.String():      ac.readTargets,
		oidKeyID.String():        ac.readKeyID,
		oidNoRevocation.String(): readNull,
	}
}

func (ac *AttributeCertificate) understand(e pkix.Extension) error {
	read, ok := ac.understood()[e.Id.String()]
	if !ok {
		return nil
	}
	value := cryptobyte.String(e.Value)
	return read(&value)
}

func readNull(s *cryptobyte.String) error {
	var nothing cryptobyte.String
	if !s.ReadASN1(&nothing, der.NULL) || !nothing.Empty() || !s.Empty() {
		return errDER
	}
	return nil
}

// readCertificates reads the authority's chain (OID .10).
func (ac *AttributeCertificate) readCertificates(s *cryptobyte.String) error {
	var outer, list cryptobyte.String
	if !s.ReadASN1(&outer, der.SEQUENCE) || !s.Empty() || !outer.ReadASN1(&list, der.SEQUENCE) || !outer.Empty() {
		return errDER
	}
	for !list.Empty() {
		var raw cryptobyte.String
		if !list.ReadASN1Element(&raw, der.SEQUENCE) {
			return errDER
		}
		cert, err := x509.ParseCertificate(raw)
		if err != nil {
			return fmt.Errorf("certificate %d of the authority's: %w", len(ac.Certificates)+1, err)
		}
		if ac.Certificates = append(ac.Certificates, cert); len(ac.Certificates) > maxCertificates {
			return fmt.Errorf("more than %d certificates", maxCertificates)
		}
	}
	return nil
}

// readTargets reads the hosts that may use the certificate (RFC 5755, section 4.3.2). VOMS puts every Target into a
// SEQUENCE of its own, where the RFC has none: both are taken. A target that is not a host's name is refused, for
// nobody here could say whether it is met.
func (ac *AttributeCertificate) readTargets(s *cryptobyte.String) error {
	var lists cryptobyte.String
	if !s.ReadASN1(&lists, der.SEQUENCE) || !s.Empty() {
		return errDER
	}
	for !lists.Empty() {
		var list cryptobyte.String
		if !lists.ReadASN1(&list, der.SEQUENCE) {
			return errDER
		}
		for !list.Empty() {
			var target string
			if !readTarget(&list, &target) {
				return errors.New("a target is not the name of a host, as URI or DNS name")
			}
			if ac.Targets = append(ac.Targets, target); len(ac.Targets) > maxTargets {
				return fmt.Errorf("more than %d targets", maxTargets)
			}
		}
	}
	if ac.Targets == nil {
		return errors.New("it names no target")
	}
	return nil
}

func readTarget(s *cryptobyte.String, target *string) bool {
	choice := s
	var wrapped, name cryptobyte.String
	if s.PeekASN1Tag(der.SEQUENCE) {
		if !s.ReadASN1(&wrapped, der.SEQUENCE) {
			return false
		}
		choice = &wrapped
	}
	ok := choice.ReadASN1(&name, contextTag(0)) && readHostName(&name, target) && name.Empty()
	return ok && wrapped.Empty()
}

// readHostName reads a URI, in which VOMS puts a bare name, or a DNS name.
func readHostName(s *cryptobyte.String, host *string) bool {
	if readURI(s, host) {
		return true
	}
	var text cryptobyte.String
	ok := s.ReadASN1(&text, der.Tag(2).ContextSpecific()) && isASCII(text)
	*host = string(text)
	return ok
}

// readKeyID reads which key the authority signed with (RFC 5280, section 4.2.1.1).
func (ac *AttributeCertificate) readKeyID(s *cryptobyte.String) error {
	var fields, keyID, issuer, serial cryptobyte.String
	var hasKeyID, hasIssuer, hasSerial bool
	if !s.ReadASN1(&fields, der.SEQUENCE) || !s.Empty() ||
		!fields.ReadOptionalASN1(&keyID, &hasKeyID, der.Tag(0).ContextSpecific()) ||
		!fields.ReadOptionalASN1(&issuer, &hasIssuer, contextTag(1)) ||
		!fields.ReadOptionalASN1(&serial, &hasSerial, der.Tag(2).ContextSpecific()) ||
		!fields.Empty() || hasIssuer != hasSerial || (hasKeyID && len(keyID) == 0) {
		return errDER
	}
	if hasKeyID {
		ac.KeyID = keyID
	}
	if hasIssuer {
		ac.keySerial = new(big.Int).SetBytes(serial)
		if !readDirectoryName(&issuer, &ac.keyIssuer) {
			return errDER
		}
	}
	return nil
}
