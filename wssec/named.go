package wssec

import (
	"bytes"
	"crypto/sha1"
	"crypto/x509"
	"fmt"
	"math/big"

	"gsigw/gsi"
	"gsigw/soap"
)

// named finds a certificate that the message names without bringing it (X.509 token profile 1.1, section 3.2).
func (v *verification) named(how string, is func(*x509.Certificate) bool) ([]*x509.Certificate, error) {
	var found *x509.Certificate
	for _, c := range v.Certificates {
		// Of several, as before and after a renewal, the one whose time it is.
		if is(c) && (found == nil || v.now().After(found.NotAfter)) {
			found = c
		}
	}
	if found == nil {
		return nil, &Error{Class: ClassUntrusted, Msg: fmt.Sprintf("the signer's certificate is named by %s, and none that is known here is it; give the verifier the peer's certificate", how)}
	}
	return []*x509.Certificate{found}, nil
}

// keyIdentifier reads a wsse:KeyIdentifier with a subject key identifier or a thumbprint.
func (v *verification) keyIdentifier(n *soap.Node) ([]*x509.Certificate, error) {
	if enc := n.Attr("", "EncodingType"); enc != "" && enc != base64Binary {
		return nil, malformed("the KeyIdentifier's EncodingType is %q, not Base64Binary", enc)
	}
	id, err := decodeBase64(n)
	if err != nil || len(id) == 0 {
		return nil, malformed("the KeyIdentifier is not base64")
	}
	switch t := n.Attr("", "ValueType"); t {
	case typeSKI:
		return v.named("its subject key identifier", func(c *x509.Certificate) bool { return bytes.Equal(c.SubjectKeyId, id) })
	case typeThumbprint:
		return v.named("its thumbprint", func(c *x509.Certificate) bool {
			sum := sha1.Sum(c.Raw)
			return bytes.Equal(sum[:], id)
		})
	default:
		return nil, malformed("the KeyIdentifier's ValueType %q is neither X509SubjectKeyIdentifier nor ThumbprintSHA1", t)
	}
}

// issuerSerial reads a ds:X509IssuerSerial (XML Signature 1.1, section 4.5.4.1).
func (v *verification) issuerSerial(n *soap.Node) ([]*x509.Certificate, error) {
	if err := expectChildren(n, "X509IssuerName", "X509SerialNumber"); err != nil {
		return nil, err
	}
	issuer, err := gsi.ParseDN(n.Children[0].TrimmedText())
	if err != nil {
		return nil, malformed("X509IssuerName is no distinguished name")
	}
	text := n.Children[1].TrimmedText()
	if len(text) > maxSerial {
		return nil, malformed("X509SerialNumber has more than %d digits", maxSerial)
	}
	serial, ok := new(big.Int).SetString(text, 10)
	if !ok {
		return nil, malformed("X509SerialNumber is no number")
	}
	return v.named("its issuer and serial number", func(c *x509.Certificate) bool {
		if c.SerialNumber.Cmp(serial) != 0 { // which costs less to say than to read the name
			return false
		}
		name, err := gsi.ParseName(c.RawIssuer)
		return err == nil && name.Equal(issuer)
	})
}

// maxSerial bounds the digits of a serial number: reading them takes more than linear time. RFC 5280 allows 20 octets.
const maxSerial = 128
