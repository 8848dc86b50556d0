package wssec

import (
	"crypto/sha1"
	"crypto/x509"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"strings"

	"gsigw/gsi"
)

// KeyReference is how a key is named: whose signature it is, or whom a key is encrypted to (X.509 token profile 1.1,
// section 3.2). The zero value is a BinarySecurityToken for a signature and IssuerSerial for an encrypted key.
type KeyReference uint8

// The references.
const (
	ReferenceDefault     KeyReference = iota
	BinarySecurityToken               // a direct reference to the certificate, which is in the message
	IssuerSerial                      // ds:X509IssuerSerial
	SubjectKeyIdentifier              // the certificate's own extension; one without cannot be named so
	Thumbprint                        // SHA-1 of the certificate (WS-Security 1.1)
)

var keyReferences = [...]string{"", "token", "issuer-serial", "ski", "thumbprint"}

// ParseKeyReference reads "token", "issuer-serial", "ski" or "thumbprint"; "" is the default.
func ParseKeyReference(s string) (KeyReference, error) {
	for i, name := range keyReferences {
		if s == name {
			return KeyReference(i), nil
		}
	}
	return 0, fmt.Errorf("wssec: the key reference %q is none of token, issuer-serial, ski and thumbprint", s)
}

func (k KeyReference) String() string {
	if int(k) < len(keyReferences) {
		return keyReferences[k]
	}
	return fmt.Sprintf("KeyReference(%d)", k)
}

// The identifiers of the X.509 token profile 1.1, section 3.2, and of WS-Security 1.1, sections 7.2 and 7.3.
const (
	wsse11         = "http://docs.oasis-open.org/wss/oasis-wss-wssecurity-secext-1.1.xsd"
	typeSKI        = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-x509-token-profile-1.0#X509SubjectKeyIdentifier"
	typeThumbprint = "http://docs.oasis-open.org/wss/oasis-wss-soap-message-security-1.1#ThumbprintSHA1"
)

// name writes what a SecurityTokenReference holds to name a certificate that is not in the message. The prefixes wsse
// and ds are the caller's to declare.
func (k KeyReference) name(c *x509.Certificate) ([]byte, error) {
	switch k {
	case IssuerSerial:
		return nameIssuerSerial(c)
	case SubjectKeyIdentifier:
		if len(c.SubjectKeyId) == 0 {
			return nil, errors.New("wssec: the certificate has no subject key identifier: name it by thumbprint or issuer-serial")
		}
		return keyIdentifier(typeSKI, c.SubjectKeyId), nil
	case Thumbprint:
		sum := sha1.Sum(c.Raw)
		return keyIdentifier(typeThumbprint, sum[:]), nil
	}
	return nil, fmt.Errorf("wssec: %s is no name for a certificate", k)
}

// nameIssuerSerial writes the issuer as RFC 2253 has it, as XML Signature wants (section 4.5.4.1).
func nameIssuerSerial(c *x509.Certificate) ([]byte, error) {
	issuer, err := gsi.ParseName(c.RawIssuer)
	if err != nil {
		return nil, fmt.Errorf("wssec: the certificate's issuer: %w", err)
	}
	var text strings.Builder
	xml.EscapeText(&text, []byte(issuer.RFC2253())) // a Builder does not fail
	return fmt.Appendf(nil, `<ds:X509Data><ds:X509IssuerSerial><ds:X509IssuerName>%s</ds:X509IssuerName>`+
		`<ds:X509SerialNumber>%d</ds:X509SerialNumber></ds:X509IssuerSerial></ds:X509Data>`, text.String(), c.SerialNumber), nil
}

func keyIdentifier(valueType string, id []byte) []byte {
	return fmt.Appendf(nil, `<wsse:KeyIdentifier EncodingType="%s" ValueType="%s">%s</wsse:KeyIdentifier>`,
		base64Binary, valueType, base64.StdEncoding.EncodeToString(id))
}
