package gridtest

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/beevik/etree"

	"gsigw/gsi"
	"gsigw/soap"
	"gsigw/wssec"
)

// gt4Fault is a fault with the container's code and words.
type gt4Fault struct{ code, text string }

func (f *gt4Fault) Error() string { return f.text }

func generalFault(format string, args ...any) error {
	return &gt4Fault{"wsse:General", fmt.Sprintf(format, args...)}
}

func hasSecurity(m *soap.Message) bool {
	return slices.ContainsFunc(m.Blocks, func(b *soap.Block) bool {
		return b.Name == soap.Name{Space: soap.WSSE, Local: "Security"} && b.ForUltimate()
	})
}

// authenticate finds out who signed, and refuses what the container refuses.
func (s *StandIn) authenticate(ctx context.Context, m *soap.Message, request []byte) (*caller, error) {
	if s.options.Modern {
		return s.authenticateModern(ctx, m, request)
	}
	operation := "{" + m.Operation.Space + "}" + m.Operation.Local
	if !hasSecurity(m) {
		return nil, &gt4Fault{"soapenv:Server.generalException", fmt.Sprintf("GSI Secure Conversation or GSI Secure Message or GSI Transport authentication required for %q operation.", operation)}
	}
	if m.Version != soap.V11 || m.Addressing.Dialect != soap.Addressing200403 {
		return nil, &gt4Fault{"soapenv:Server.userException", "Target service is null"}
	}
	if err := s.checkForm(request); err != nil {
		return nil, err
	}
	v, err := s.verifier.Verify(ctx, m, wssec.Expect{Role: wssec.Request, Encrypted: s.options.Privacy, Require: dispatched(m)})
	if err != nil {
		return nil, asContainer(err)
	}
	if len(s.options.Authorized) > 0 && !slices.ContainsFunc(s.options.Authorized, v.Signer.Matches) {
		return nil, &gt4Fault{"soapenv:Server.userException", fmt.Sprintf("org.globus.wsrf.impl.security.authorization.exceptions.AuthorizationException: %q is not authorized to use operation: %s on this service", v.Signer.DN, operation)}
	}
	return s.opened(v, m, request)
}

// dispatched are the headers that decide where a message goes.
func dispatched(m *soap.Message) []soap.Name {
	names := []soap.Name{{Space: soap.Addressing200403, Local: "To"}, {Space: soap.Addressing200403, Local: "Action"}}
	for _, b := range m.Blocks {
		if b.Name == (soap.Name{Space: counterSpace, Local: "CounterKey"}) {
			names = append(names, b.Name)
		}
	}
	return names
}

// asContainer words a refusal as the container does.
func asContainer(err error) error {
	e, ok := errors.AsType[*wssec.Error](err)
	if !ok {
		return err
	}
	switch e.Class {
	case wssec.ClassDigest, wssec.ClassSignature, wssec.ClassDecrypt:
		return &gt4Fault{"wsse:FailedCheck", "The signature or decryption was invalid"}
	case wssec.ClassUnsignedPart, wssec.ClassWrapped:
		return generalFault("At least one of the headers used in dispatch was not secured: %v", err)
	case wssec.ClassReplay:
		return generalFault("Duplicate message")
	}
	return generalFault("%v", err)
}

const (
	oasis       = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-"
	pkiPathType = oasis + "x509-token-profile-1.0#X509PKIPathv1"
	x509Type    = oasis + "x509-token-profile-1.0#X509v3"
	encoding    = oasis + "soap-message-security-1.0#Base64Binary"
)

// The algorithms that the container's WSS4J knows and was seen to take.
var (
	containerDigests    = []string{"http://www.w3.org/2000/09/xmldsig#sha1", "http://www.w3.org/2001/04/xmlenc#sha256"}
	containerSignatures = []string{"http://www.w3.org/2000/09/xmldsig#rsa-sha1", "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"}
	containerC14N       = []string{"http://www.w3.org/2001/10/xml-exc-c14n#", "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"}
)

// checkForm looks at the security header with another parser than package wssec's, for what the container wants.
func (s *StandIn) checkForm(request []byte) error {
	doc := etree.NewDocument()
	if err := doc.ReadFromBytes(request); err != nil {
		return err
	}
	sec := doc.FindElement("/Envelope/Header/Security")
	if sec == nil {
		return generalFault("no wsse:Security")
	}
	token := sec.SelectElement("BinarySecurityToken")
	if token == nil || token.SelectAttrValue("EncodingType", "") != encoding {
		return generalFault("the token's EncodingType is not Base64Binary")
	}
	if err := s.checkToken(token); err != nil {
		return err
	}
	if key := sec.SelectElement("EncryptedKey"); key != nil && sec.SelectElement("Signature") != nil && key.Index() < sec.SelectElement("Signature").Index() {
		return generalFault("the EncryptedKey stands before the Signature")
	}
	if sec.FindElement("Timestamp/Created") == nil || sec.FindElement("Timestamp/Expires") == nil {
		return generalFault("Timestamp lacks Created or Expires")
	}
	for _, rule := range []struct {
		path string
		take []string
	}{
		{"Signature/SignedInfo/CanonicalizationMethod", containerC14N},
		{"Signature/SignedInfo/SignatureMethod", containerSignatures},
		{"Signature/SignedInfo/Reference/DigestMethod", containerDigests},
		{"Signature/SignedInfo/Reference/Transforms/Transform", containerC14N},
	} {
		for _, e := range sec.FindElements(rule.path) {
			if a := e.SelectAttrValue("Algorithm", ""); !slices.Contains(rule.take, a) {
				return generalFault("unsupported algorithm %s", a)
			}
		}
	}
	return nil
}

// checkToken reads the certificates: end entity first in a PKIPath, and of algorithms that the container knows.
func (s *StandIn) checkToken(token *etree.Element) error {
	chain, err := tokenChain(token)
	if err != nil {
		return err
	}
	for _, cert := range chain {
		if s.options.Stock && cert.SignatureAlgorithm != x509.SHA1WithRSA && cert.SignatureAlgorithm != x509.MD5WithRSA {
			return generalFault("java.lang.NullPointerException") // its puretls knows nothing newer
		}
	}
	return nil
}

// tokenChain reads the certificates of a token, leaf first.
func tokenChain(token *etree.Element) (chain []*x509.Certificate, err error) {
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(token.Text()), ""))
	if err != nil {
		return nil, generalFault("the token is not base64")
	}
	switch token.SelectAttrValue("ValueType", "") {
	case pkiPathType:
		chain, err = gsi.ParsePKIPath(der, 16)
	case x509Type:
		chain, err = x509.ParseCertificates(der)
	default:
		return nil, generalFault("unsupported token type %s", token.SelectAttrValue("ValueType", ""))
	}
	if err != nil {
		return nil, generalFault("the token cannot be read: %v", err)
	}
	return chain, nil
}
