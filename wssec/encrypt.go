package wssec

import (
	"crypto/x509"

	"gsigw/soap"
	"gsigw/wssec/xmlenc"
)

// Encryption hides a message from everybody but one receiver: the content of Body, and what else is named.
type Encryption struct {
	To           *x509.Certificate // with an RSA key; who it belongs to is for the caller to make sure of
	Cipher       xmlenc.Cipher
	KeyTransport xmlenc.KeyTransport
	KeyReference KeyReference // how the encrypted key names To [IssuerSerial]
	Headers      []soap.Name  // header blocks that are hidden as whole elements
	Signature    bool         // where the signature comes first, hide it too
}
