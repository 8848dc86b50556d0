package wssec_test

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"gsigw/soap"
	"gsigw/soap/xmlscan"
	. "gsigw/wssec"
	"gsigw/wssec/c14n"
)

// listing names prefixes in the PrefixLists of an assertion's signature.
func listing(reference, info string) func(string) string {
	list := func(prefixes string) string {
		if prefixes == "" {
			return ""
		}
		return fmt.Sprintf(`<ec:InclusiveNamespaces xmlns:ec="%s" PrefixList="%s"></ec:InclusiveNamespaces>`, c14n.ExclusiveURI, prefixes)
	}
	return func(s string) string {
		s = strings.Replace(s, `<ds:Transform Algorithm="`+c14n.ExclusiveURI+`">`, `<ds:Transform Algorithm="`+c14n.ExclusiveURI+`">`+list(reference), 1)
		return strings.Replace(s, `<ds:CanonicalizationMethod Algorithm="`+c14n.ExclusiveURI+`">`, `<ds:CanonicalizationMethod Algorithm="`+c14n.ExclusiveURI+`">`+list(info), 1)
	}
}

// holdsWhereItStands does what a service does with the assertion's own signature: it digests what is referred to, and
// SignedInfo, in the message.
func holdsWhereItStands(t *testing.T, g *grid, doc string) bool {
	t.Helper()
	a := securityOf(t, doc).Child("urn:oasis:names:tc:SAML:2.0:assertion", "Assertion")
	sig := a.Child(DSig, "Signature")
	info := sig.Child(DSig, "SignedInfo")
	sum := func(raw string, scope *xmlscan.Scope, prefixed *soap.Node) []byte {
		m := c14n.Method{Exclusive: true}
		if list := prefixed.Child(c14n.ExclusiveURI, "InclusiveNamespaces"); list != nil {
			m.Prefixes = strings.Fields(list.Attr("", "PrefixList"))
		}
		h := sha256.New()
		if err := c14n.Write(h, xmlscan.NewElement(xmlscan.Memory(raw), xmlscan.Span{End: int64(len(raw))}, scope, xmlscan.Limits{}), m); err != nil {
			t.Fatal(err)
		}
		return h.Sum(nil)
	}
	reference := info.Child(DSig, "Reference")
	digest := sum(doc[a.Span.Start:sig.Span.Start]+doc[sig.Span.End:a.Span.End], a.Scope, reference.Child(DSig, "Transforms").Children[1])
	if base64.StdEncoding.EncodeToString(digest) != reference.Child(DSig, "DigestValue").Text {
		return false
	}
	value, err := base64.StdEncoding.DecodeString(sig.Child(DSig, "SignatureValue").Text)
	if err != nil {
		t.Fatal(err)
	}
	signed := sum(doc[info.Span.Start:info.Span.End], info.Scope, info.Child(DSig, "CanonicalizationMethod"))
	return rsa.VerifyPKCS1v15(g.Host.Key.Public().(*rsa.PublicKey), crypto.SHA256, signed, value) == nil
}

// What the issuer signed must hold in the message too, whose declarations its PrefixLists can draw in.
func TestSAMLToken_SendsWhatHoldsWhereItStands(t *testing.T) {
	g := newGrid(t)
	engine := strings.Replace(modernRequest, "<soapenv:Envelope", `<soapenv:Envelope xmlns="urn:default"`, 1)
	engine = strings.Replace(engine, "<soapenv:Header", `<soapenv:Header xmlns:inner="urn:inner"`, 1)
	headless := `<soapenv:Envelope xmlns:soapenv="` + soap.Envelope12 + `" xmlns:xsd="urn:xsd"><soapenv:Body/></soapenv:Envelope>`
	for _, c := range []struct {
		name, doc       string
		reference, info string
		declares        string
		refused         string // the prefix
	}{
		{"no lists", engine, "", "", "", ""},
		{"its own prefixes", engine, "saml", "ds", "", ""},
		{"prefixes that nobody declares", engine, "nobody e", "nobody", "", ""},
		{"one that its root declares as well", engine, "xsd", "", ` xmlns:xsd="urn:other"`, ""},
		{"one that its root declares as the message does", engine, "xsd", "", ` xmlns:xsd="http://www.w3.org/2001/XMLSchema"`, ""},
		{"the default namespace", engine, "#default", "#default", "", ""},
		{"xml", engine, "xml", "xml", "", ""},
		{"the Envelope's", engine, "xsd", "", "", "xsd"},
		{"the Envelope's, which an element in it declares", engine, "xs xsi xsd", "", "", "xsd"},
		{"the Envelope's, without a Header", headless, "xsd", "", "", "xsd"},
		{"the Header's", engine, "inner", "", "", "inner"},
		{"the security header's", headless, "wsse", "", "", "wsse"},
		{"the security header's and the Envelope's", headless, "soapenv", "", "", "soapenv"},
		{"the Envelope's, of SignedInfo", engine, "", "xsd", "", "xsd"},
		{"the security header's, of SignedInfo", engine, "", "wsse", "", "wsse"},
		{"the Signature's own, which the root does not declare", strings.Replace(engine, " xmlns=", ` xmlns:ds="urn:ds" xmlns=`, 1), "", "ds", "", ""},
		{"the Signature's, of the assertion", strings.Replace(engine, " xmlns=", ` xmlns:ds="urn:ds" xmlns=`, 1), "ds", "", "", "ds"},
		{"one that the reader's envelope has", strings.Replace(engine, " xmlns=", ` xmlns:e="urn:e" xmlns=`, 1), "e", "", "", "e"},
	} {
		t.Run(c.name, func(t *testing.T) {
			i := g.issuer(g.User)
			i.edit = func(s string) string {
				return strings.Replace(s, "<saml:Assertion ", "<saml:Assertion"+c.declares+" ", 1)
			}
			i.listed, i.listedInfo = strings.Fields(c.reference), strings.Fields(c.info)
			i.info = listing(c.reference, c.info)
			p := &SAMLToken{Assertion: i.source(t), Issuer: g.verifier.Trust, Unanswered: true}
			edit, _, err := p.Secure(t.Context(), parse(t, c.doc), g.User)
			if c.refused != "" {
				if !errors.Is(err, ErrAssertion) || !strings.Contains(err.Error(), fmt.Sprintf("names the prefix %q", c.refused)) {
					t.Fatalf("error %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			if _, err := edit.WriteTo(&out); err != nil || !holdsWhereItStands(t, g, out.String()) {
				t.Errorf("%v, the issuer's signature does not hold in\n%s", err, out.String())
			}
		})
	}
}

// A service that looks for the element of an id, whichever attribute it takes for one, must not find two.
func TestSAMLToken_RefusesIDsThatTheMessageHas(t *testing.T) {
	g := newGrid(t)
	for _, c := range []struct{ attr, body string }{
		{`Id="mine"`, `u:Id="mine"`}, {`xmlns:u="` + soap.WSU + `" u:Id="mine"`, `Id="mine"`}, {`ID="mine"`, `u:Id="mine"`},
		{`xml:id="mine"`, `ID="mine"`}, {`AssertionID="mine"`, `AssertionID="mine"`}, {`id="mine"`, `u:Id="mine"`},
	} {
		i := g.issuer(g.User)
		i.edit = func(s string) string {
			return strings.Replace(s, "<saml:AttributeValue ", "<saml:AttributeValue "+c.attr+" ", 1)
		}
		p := &SAMLToken{Assertion: i.source(t), Issuer: g.verifier.Trust}
		for _, id := range []string{c.body, strings.Replace(c.body, "mine", "yours", 1)} {
			doc := strings.Replace(modernRequest, "<soapenv:Body>", `<soapenv:Body xmlns:u="`+soap.WSU+`" `+id+`>`, 1)
			_, _, err := p.Secure(t.Context(), parse(t, doc), g.User)
			if same := id == c.body; same != (err != nil && strings.Contains(err.Error(), "has the id mine")) || !same && err != nil && !strings.Contains(c.attr, "xml:") {
				t.Errorf("%s in the assertion, %s in the message: %v", c.attr, id, err)
			}
		}
	}
}
