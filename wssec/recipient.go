package wssec

import (
	"bytes"
	"crypto/sha1"
	"crypto/x509"
	"math/big"
	"slices"

	"gsigw/gsi"
	"gsigw/soap"
	"gsigw/wssec/xmlenc"
)

// isForUs reports whether an encrypted key names a certificate of ours. One that names none is tried, and so is every key
// where no certificate is known. A name that is not understood is somebody else's.
func (v *verification) isForUs(key *xmlenc.Key) (bool, error) {
	if key.KeyInfo == nil || len(v.Decrypt.Certificates) == 0 {
		return true, nil
	}
	if len(key.KeyInfo.Children) != 1 {
		return false, malformed("the KeyInfo of EncryptedKey must hold one reference, not %d", len(key.KeyInfo.Children))
	}
	n := key.KeyInfo.Children[0]
	if n.Name == (soap.Name{Space: soap.WSSE, Local: "SecurityTokenReference"}) {
		if len(n.Children) != 1 {
			return false, malformed("the SecurityTokenReference of EncryptedKey must hold one reference, not %d", len(n.Children))
		}
		n = n.Children[0]
	}
	return slices.ContainsFunc(v.Decrypt.Certificates, func(c *x509.Certificate) bool { return v.names(n, c) }), nil
}

// names reports whether a reference (X.509 token profile 1.1, section 3.2) is to a certificate.
func (v *verification) names(n *soap.Node, c *x509.Certificate) bool {
	switch n.Name {
	case soap.Name{Space: dsig, Local: "X509Data"}:
		return slices.ContainsFunc(n.Children, func(x *soap.Node) bool { return v.names(x, c) })
	case soap.Name{Space: dsig, Local: "X509IssuerSerial"}: // also where GT4 writes it, without X509Data
		return namesIssuerSerial(n, c)
	case soap.Name{Space: dsig, Local: "X509SKI"}:
		return isBase64Of(n, c.SubjectKeyId)
	case soap.Name{Space: dsig, Local: "X509Certificate"}:
		return isBase64Of(n, c.Raw)
	case soap.Name{Space: soap.WSSE, Local: "KeyIdentifier"}:
		return namesIdentifier(n, c)
	case soap.Name{Space: soap.WSSE, Local: "Reference"}:
		return v.namesToken(n, c)
	}
	return false
}

func isBase64Of(n *soap.Node, want []byte) bool {
	got, err := decodeBase64(n)
	return err == nil && len(want) > 0 && bytes.Equal(got, want)
}

func namesIdentifier(n *soap.Node, c *x509.Certificate) bool {
	switch n.Attr("", "ValueType") {
	case typeSKI:
		return isBase64Of(n, c.SubjectKeyId)
	case typeThumbprint:
		sum := sha1.Sum(c.Raw)
		return isBase64Of(n, sum[:])
	case typeX509v3:
		return isBase64Of(n, c.Raw)
	}
	return false
}

// namesIssuerSerial takes the issuer's name in RFC 2253's order, and in the certificate's, as GT4 writes it
// (facts/gt4-wire.md).
func namesIssuerSerial(n *soap.Node, c *x509.Certificate) bool {
	name, number := n.Child(dsig, "X509IssuerName"), n.Child(dsig, "X509SerialNumber")
	if name == nil || number == nil || len(number.TrimmedText()) > maxSerial {
		return false
	}
	serial, ok := new(big.Int).SetString(number.TrimmedText(), 10)
	if !ok || serial.Cmp(c.SerialNumber) != 0 {
		return false
	}
	issuer, err := gsi.ParseName(c.RawIssuer)
	if err != nil {
		return false
	}
	written, err := gsi.ParseDN(name.TrimmedText())
	if err != nil {
		return false
	}
	if issuer.Equal(written) {
		return true
	}
	slices.Reverse(written)
	return issuer.Equal(written)
}

// namesToken follows a direct reference to a token of this security header: a certificate, or a path that ends with it.
func (v *verification) namesToken(n *soap.Node, c *x509.Certificate) bool {
	id, ok := localID(n.Attr("", "URI"))
	if !ok || v.m.CountID(id) != 1 {
		return false
	}
	for _, token := range v.security.All(soap.WSSE, "BinarySecurityToken") {
		if token.ID == id {
			chain, err := v.decodeToken(token)
			return err == nil && chain[0].Equal(c)
		}
	}
	return false
}
