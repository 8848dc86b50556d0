package interop

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"text/template"
	"time"
)

const (
	soapNS = "http://schemas.xmlsoap.org/soap/envelope/"
	wsseNS = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
	wsaNS  = "http://schemas.xmlsoap.org/ws/2004/03/addressing"
	addNS  = "http://counter.com"
)

// signedElements are the elements of the suite's messages that a signature covers.
var signedElements = []string{
	wsuNS + ":Timestamp", soapNS + ":Body", wsaNS + ":MessageID", wsaNS + ":To", wsaNS + ":Action", wsaNS + ":From",
	addNS + ":CounterKey",
}

// xmlsec1 runs a command of xmlsec1 on a message and returns what it wrote to the output and to the terminal.
func xmlsec1(t testing.TB, command, message string, options ...string) (output, report string, err error) {
	t.Helper()
	in, out := filepath.Join(t.TempDir(), "in.xml"), filepath.Join(t.TempDir(), "out.xml")
	writeFile(t, in, message)
	writeFile(t, out, "")
	args := append([]string{command, "--output", out}, options...)
	for _, e := range append(signedElements, wsseNS+":BinarySecurityToken") {
		args = append(args, "--id-attr:Id", e)
	}
	report, err = tryRun(exec.Command(need(t, "xmlsec1"), append(args, in)...))
	return string(readFile(t, out)), report, err
}

// xmlsec1Verify fails unless xmlsec1 finds the signature good under the first certificate of the credential file, with
// that many references.
func xmlsec1Verify(t testing.TB, message, credential string, references int, more ...string) error {
	t.Helper()
	leaf, _ := pem.Decode(readFile(t, credential))
	cert := filepath.Join(t.TempDir(), "leaf.pem")
	writeFile(t, cert, string(pem.EncodeToMemory(leaf)))
	_, report, err := xmlsec1(t, "--verify", message, append(more, "--print-debug", "--pubkey-cert-pem", cert)...)
	if err != nil {
		return err
	}
	if n := strings.Count(report, "= Status: succeeded"); n < references {
		return fmt.Errorf("xmlsec1 found %d good references, want %d:\n%s", n, references, report)
	}
	return nil
}

// A signingTemplate is a message that xmlsec1 is to fill in: digests and the signature value are empty.
type signingTemplate struct {
	Token, ValueType string
	Signature        string // algorithm URI
	Digest           string // algorithm URI
	C14N             string // algorithm URI
	Created, Expires string
	IDs              []string
}

var xmlsec1Message = template.Must(template.New("").Parse(`<soapenv:Envelope xml:lang="en" xmlns:soapenv="` + soapNS + `" xmlns:wsa="` + wsaNS + `"
  xmlns:wsu="` + wsuNS + `" xmlns:wsse="` + wsseNS + `"><soapenv:Header xml:space="default">
<wsse:Security soapenv:mustUnderstand="1"><wsse:BinarySecurityToken ValueType="{{.ValueType}}" wsu:Id="token"
  EncodingType="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#Base64Binary">{{.Token}}</wsse:BinarySecurityToken>
<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:SignedInfo>
<ds:CanonicalizationMethod Algorithm="{{.C14N}}"/>
<ds:SignatureMethod Algorithm="{{.Signature}}"/>
{{range .IDs}}<ds:Reference URI="#{{.}}"><ds:Transforms><ds:Transform Algorithm="{{$.C14N}}"/></ds:Transforms>
<ds:DigestMethod Algorithm="{{$.Digest}}"/><ds:DigestValue/></ds:Reference>
{{end}}</ds:SignedInfo><ds:SignatureValue/><ds:KeyInfo><wsse:SecurityTokenReference><wsse:Reference
  URI="#token" ValueType="{{.ValueType}}"/></wsse:SecurityTokenReference></ds:KeyInfo></ds:Signature>
<wsu:Timestamp wsu:Id="s0"><wsu:Created>{{.Created}}</wsu:Created><wsu:Expires>{{.Expires}}</wsu:Expires></wsu:Timestamp></wsse:Security>
<wsa:MessageID wsu:Id="s2">uuid:561e7b00-e5dc-11f1-88c5-88714967ae9a</wsa:MessageID>
<wsa:To wsu:Id="s3">http://localhost:8080/wsrf/services/Counter</wsa:To>
<wsa:Action wsu:Id="s4">http://counter.com/CounterPortType/addRequest</wsa:Action>
<wsa:From wsu:Id="s5"><wsa:Address>` + wsaNS + `/role/anonymous</wsa:Address></wsa:From>
<c:CounterKey xmlns:c="` + addNS + `" wsu:Id="s6">985424134</c:CounterKey></soapenv:Header>
<soapenv:Body wsu:Id="s1"><c:add xmlns:c="` + addNS + `">5</c:add></soapenv:Body></soapenv:Envelope>`))

const (
	x509Token    = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-x509-token-profile-1.0#X509v3"
	pkiPathToken = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-x509-token-profile-1.0#X509PKIPathv1"
)

// The algorithms by the suite's names.
var (
	digestURI = map[string]string{
		"sha1":   "http://www.w3.org/2000/09/xmldsig#sha1",
		"sha256": "http://www.w3.org/2001/04/xmlenc#sha256",
	}
	signatureURI = map[string]string{
		"rsa-sha1":     "http://www.w3.org/2000/09/xmldsig#rsa-sha1",
		"rsa-sha256":   "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
		"ecdsa-sha256": "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256",
	}
)

// xmlsec1Sign has xmlsec1 sign a message with a credential, everything in the canonical form of that algorithm.
func xmlsec1Sign(t testing.TB, c signingCase, c14n string) string {
	t.Helper()
	now := time.Now().UTC().Truncate(time.Second)
	fill := signingTemplate{
		Signature: signatureURI[c.algorithm+"-"+c.digest],
		Digest:    digestURI[c.digest],
		C14N:      c14n,
		Created:   now.Format(time.RFC3339),
		Expires:   now.Add(5 * time.Minute).Format(time.RFC3339),
		IDs:       []string{"s0", "s1", "s2", "s3", "s4", "s5", "s6"},
	}
	chain := certificates(t, c.credential)
	fill.ValueType, fill.Token = x509Token, base64.StdEncoding.EncodeToString(chain[0].Raw)
	if c.token == "pkipath" {
		fill.ValueType, fill.Token = pkiPathToken, base64.StdEncoding.EncodeToString(pkiPath(t, chain))
	}
	var message strings.Builder
	if err := xmlsec1Message.Execute(&message, fill); err != nil {
		t.Fatal(err)
	}
	signed, _, err := xmlsec1(t, "--sign", message.String(), "--privkey-pem", c.credential)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// certificates reads the chain of a credential file, leaf first.
func certificates(t testing.TB, credential string) []*x509.Certificate {
	t.Helper()
	var chain []*x509.Certificate
	for rest := readFile(t, credential); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return chain
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		chain = append(chain, cert)
	}
}

// pkiPath encodes a chain as X509PKIPathv1 has it: end entity first, leaf last.
func pkiPath(t testing.TB, chain []*x509.Certificate) []byte {
	t.Helper()
	var path []asn1.RawValue
	for _, cert := range chain {
		path = append([]asn1.RawValue{{FullBytes: cert.Raw}}, path...)
	}
	der, err := asn1.Marshal(path)
	if err != nil {
		t.Fatal(err)
	}
	return der
}
