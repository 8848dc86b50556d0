package gridtest

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/beevik/etree"
	dsigxml "github.com/russellhaering/goxmldsig"

	"gsigw/gsi"
)

// Assertion is what a SAML 2.0 assertion says.
type Assertion struct {
	Subject   string            // its NameID
	Holder    *x509.Certificate // who may use it; nil: every bearer
	Audience  string            // whom it is for; empty: everyone
	NotBefore time.Time         // zero: a minute ago
	NotAfter  time.Time         // zero: in an hour
}

// Sign gives the assertion, signed by its issuer.
func (a Assertion) Sign(issuer *gsi.Credential) ([]byte, error) {
	if a.NotBefore.IsZero() {
		a.NotBefore = time.Now().Add(-time.Minute)
	}
	if a.NotAfter.IsZero() {
		a.NotAfter = time.Now().Add(time.Hour)
	}
	doc := etree.NewDocument()
	if err := doc.ReadFromString(a.text()); err != nil {
		return nil, err
	}
	key := dsigxml.TLSCertKeyStore(tls.Certificate{PrivateKey: issuer.Key, Certificate: [][]byte{issuer.Leaf().Raw}})
	signing := dsigxml.NewDefaultSigningContext(key)
	signing.Canonicalizer = dsigxml.MakeC14N10ExclusiveCanonicalizerWithPrefixList("")
	signed, err := signing.SignEnveloped(doc.Root())
	if err != nil {
		return nil, err
	}
	doc.SetRoot(signed)
	return doc.WriteToBytes()
}

func (a Assertion) text() string {
	stamp := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	method, key, audience := "bearer", "", ""
	if a.Holder != nil {
		method = "holder-of-key"
		key = fmt.Sprintf(`<saml:SubjectConfirmationData><ds:KeyInfo xmlns:ds="%s"><ds:X509Data><ds:X509Certificate>%s</ds:X509Certificate></ds:X509Data></ds:KeyInfo></saml:SubjectConfirmationData>`,
			dsig, base64.StdEncoding.EncodeToString(a.Holder.Raw))
	}
	if a.Audience != "" {
		audience = "<saml:AudienceRestriction><saml:Audience>" + text(a.Audience) + "</saml:Audience></saml:AudienceRestriction>"
	}
	return fmt.Sprintf(`<saml:Assertion xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="_%s" IssueInstant="%s" Version="2.0"><saml:Issuer>https://idp.example.org</saml:Issuer>`+
		`<saml:Subject><saml:NameID>%s</saml:NameID><saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:%s">%s</saml:SubjectConfirmation></saml:Subject>`+
		`<saml:Conditions NotBefore="%s" NotOnOrAfter="%s">%s</saml:Conditions></saml:Assertion>`,
		rand.Text(), stamp(a.NotBefore), text(a.Subject), method, key, stamp(a.NotBefore), stamp(a.NotAfter), audience)
}
