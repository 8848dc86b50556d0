package wssec

import "fmt"

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
