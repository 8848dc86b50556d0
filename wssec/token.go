package wssec

import (
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"gsigw/gsi"
	"gsigw/soap"
)

// Token is the form in which the signer's certificates travel.
type Token uint8

// The forms. GT4 takes a PKIPath in every case, a single certificate for an end entity only (facts/gt4-wire.md).
const (
	TokenAuto    Token = iota // PKIPath for a proxy, X509v3 for an end-entity certificate
	TokenPKIPath              // the whole chain, end entity first
	TokenX509v3               // the end-entity certificate alone
)

// ParseToken reads "auto", "pkipath" or "x509v3".
func ParseToken(s string) (Token, error) {
	switch s {
	case "", "auto":
		return TokenAuto, nil
	case "pkipath":
		return TokenPKIPath, nil
	case "x509v3":
		return TokenX509v3, nil
	}
	return 0, fmt.Errorf("wssec: the token %q is none of auto, pkipath and x509v3", s)
}

// The identifiers of WS-Security 1.0, section 6.3, and its X.509 token profile, section 3.1.
const (
	base64Binary = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#Base64Binary"
	typePKIPath  = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-x509-token-profile-1.0#X509PKIPathv1"
	typeX509v3   = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-x509-token-profile-1.0#X509v3"
)

var tokenName = soap.Name{Space: soap.WSSE, Local: "BinarySecurityToken"}

// encode gives a credential's certificates in the token's form, with the form's identifier.
func (t Token) encode(c *gsi.Credential) (valueType string, der []byte, err error) {
	isProxy := c.Leaf() != c.EndEntity()
	if t == TokenPKIPath || t == TokenAuto && isProxy {
		return typePKIPath, gsi.MarshalPKIPath(c.Chain), nil
	}
	if isProxy {
		return "", nil, errors.New("wssec: an X509v3 token cannot carry a proxy certificate's chain: use pkipath")
	}
	return typeX509v3, c.Leaf().Raw, nil
}

// signerChain finds the certificates that the signature names, leaf first (WS-Security 1.0, section 7).
func (v *verification) signerChain(keyInfo *soap.Node) ([]*x509.Certificate, error) {
	if len(keyInfo.Children) != 1 {
		return nil, malformed("KeyInfo must hold one key reference, not %d", len(keyInfo.Children))
	}
	switch ref := keyInfo.Children[0]; ref.Name {
	case soap.Name{Space: soap.WSSE, Local: "SecurityTokenReference"}:
		return v.referencedKey(ref)
	case soap.Name{Space: dsig, Local: "X509Data"}:
		return v.x509Data(ref)
	default:
		return nil, malformed("the signer's key is named by %s, which is not understood", ref.Name)
	}
}

// referencedKey follows the one reference in a SecurityTokenReference.
func (v *verification) referencedKey(str *soap.Node) ([]*x509.Certificate, error) {
	if len(str.Children) == 1 {
		switch n := str.Children[0]; n.Name {
		case soap.Name{Space: dsig, Local: "X509Data"}:
			return v.x509Data(n)
		case soap.Name{Space: soap.WSSE, Local: "KeyIdentifier"}:
			return v.keyIdentifier(n)
		}
	}
	token, err := v.referencedToken(str)
	if err != nil {
		return nil, err
	}
	return v.decodeToken(token)
}

// referencedToken follows a direct reference to a token in this security header and nowhere else.
func (v *verification) referencedToken(str *soap.Node) (*soap.Node, error) {
	ref := str.Child(soap.WSSE, "Reference")
	if ref == nil || len(str.Children) != 1 || len(ref.Children) > 0 {
		return nil, malformed("the SecurityTokenReference holds no direct reference to a token")
	}
	id, ok := localID(ref.Attr("", "URI"))
	if !ok {
		return nil, malformed("the token reference %q does not point into the message", ref.Attr("", "URI"))
	}
	var token *soap.Node
	for _, n := range v.security.All(soap.WSSE, "BinarySecurityToken") {
		if n.ID == id {
			token = n
		}
	}
	if token == nil {
		return nil, malformed("the token reference #%s points to no token of this security header", id)
	}
	if n := v.m.CountID(id); n != 1 {
		return nil, &Error{Class: ClassDuplicateID, Msg: fmt.Sprintf("%d elements have the token's id %s", n, id)}
	}
	if want := ref.Attr("", "ValueType"); want != "" && want != token.Attr("", "ValueType") {
		return nil, malformed("the token's ValueType is not the one that its reference names")
	}
	return token, nil
}

// decodedToken is what came of a token.
type decodedToken struct {
	chain []*x509.Certificate
	err   error
}

// decodeToken gives the certificates of a token, leaf first. Many may refer to one: it is decoded once.
func (v *verification) decodeToken(token *soap.Node) ([]*x509.Certificate, error) {
	d, ok := v.tokens[token]
	if !ok {
		d.chain, d.err = v.parseToken(token)
		v.tokens[token] = d
	}
	return d.chain, d.err
}

func (v *verification) parseToken(token *soap.Node) ([]*x509.Certificate, error) {
	if enc := token.Attr("", "EncodingType"); enc != base64Binary {
		return nil, malformed("the token's EncodingType is %q, not Base64Binary", enc)
	}
	der, err := decodeBase64(token)
	if err != nil {
		return nil, malformed("the token is not base64")
	}
	switch t := token.Attr("", "ValueType"); t {
	case typePKIPath:
		chain, err := gsi.ParsePKIPath(der, v.maxCertificates())
		if errors.Is(err, gsi.ErrPathLimit) {
			return nil, &Error{Class: ClassLimit, Msg: "the token exceeds the limit certificates", Err: err}
		}
		if errors.Is(err, gsi.ErrPathOrder) || errors.Is(err, gsi.ErrPathReverse) {
			return nil, untrusted(err)
		}
		if err != nil {
			return nil, &Error{Class: ClassMalformed, Msg: "the token is no PKIPath", Err: err}
		}
		return chain, nil
	case typeX509v3:
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, &Error{Class: ClassMalformed, Msg: "the token is no certificate", Err: err}
		}
		return []*x509.Certificate{cert}, nil
	default:
		return nil, malformed("the token's ValueType %q is neither X509PKIPathv1 nor X509v3", t)
	}
}

// x509Data reads certificates that stand in KeyInfo itself, in either order of a chain.
func (v *verification) x509Data(x *soap.Node) ([]*x509.Certificate, error) {
	if len(x.Children) == 1 && x.Children[0].Name == (soap.Name{Space: dsig, Local: "X509IssuerSerial"}) {
		return v.issuerSerial(x.Children[0])
	}
	certs := x.All(dsig, "X509Certificate")
	if len(certs) == 0 || len(certs) != len(x.Children) {
		return nil, malformed("X509Data must hold the signer's certificates, or its issuer and serial number, and nothing else")
	}
	if len(certs) > v.maxCertificates() {
		return nil, &Error{Class: ClassLimit, Msg: "X509Data exceeds the limit certificates"}
	}
	var chain []*x509.Certificate
	for _, n := range certs {
		der, err := decodeBase64(n)
		if err != nil {
			return nil, malformed("X509Certificate is not base64")
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, &Error{Class: ClassMalformed, Msg: "X509Certificate is no certificate", Err: err}
		}
		chain = append(chain, cert)
	}
	if n := len(chain); n > 1 && string(chain[1].RawIssuer) == string(chain[0].RawSubject) {
		for i := range n / 2 {
			chain[i], chain[n-1-i] = chain[n-1-i], chain[i]
		}
	}
	return chain, nil
}

// decodeBase64 reads an element's base64 with white space in it (XML Schema Part 2, section 3.2.16).
func decodeBase64(n *soap.Node) ([]byte, error) {
	s := n.Text
	if len(n.Children) > 0 {
		return nil, errors.New("an element stands in the value")
	}
	b := make([]byte, 0, len(s))
	for i := range len(s) {
		switch c := s[i]; c {
		case ' ', '\t', '\r', '\n':
		default:
			b = append(b, c)
		}
	}
	size, err := base64.StdEncoding.Strict().Decode(b, b)
	return b[:size], err
}

// localID takes the id from a reference to an element of the same document; XPointer schemes are not understood.
func localID(uri string) (string, bool) {
	if len(uri) < 2 || uri[0] != '#' || strings.ContainsAny(uri, "()") {
		return "", false
	}
	return uri[1:], true
}

func malformed(format string, args ...any) error {
	return &Error{Class: ClassMalformed, Msg: fmt.Sprintf(format, args...)}
}
