package interop

import (
	"context"
	"encoding/base64"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
	"gsigw/wssec"
)

// An assertionCase is an assertion about the user, and how it is confirmed that he sends it.
type assertionCase struct {
	name         string
	confirmation wssec.Confirmation
	token        string // where the signed parts have it
	xml          func(key string, now time.Time) string
}

func assertionCases() []assertionCase {
	return []assertionCase{
		{"SAML 2.0 holder of key", wssec.HolderOfKey, "_a20", func(key string, now time.Time) string { return saml20("holder-of-key", key, now) }},
		{"SAML 2.0 bearer", wssec.Bearer, "_a20", func(_ string, now time.Time) string { return saml20("bearer", "", now) }},
		{"SAML 1.1 holder of key", wssec.HolderOfKey, "_a11", func(key string, now time.Time) string { return saml11("holder-of-key", key, now) }},
		{"SAML 1.1 bearer", wssec.Bearer, "_a11", func(_ string, now time.Time) string { return saml11("bearer", "", now) }},
	}
}

const audience = "http://localhost:8080/services/Counter"

func saml20(method, key string, now time.Time) string {
	data := `<saml2:SubjectConfirmationData NotOnOrAfter="` + at(now, 5) + `" Recipient="` + audience + `"/>`
	if key != "" {
		data = `<saml2:SubjectConfirmationData xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="saml2:KeyInfoConfirmationDataType">` +
			key + `</saml2:SubjectConfirmationData>`
	}
	return `<saml2:Assertion xmlns:saml2="urn:oasis:names:tc:SAML:2.0:assertion" ID="_a20" IssueInstant="` + at(now, 0) + `" Version="2.0">` +
		`<saml2:Issuer>https://idp.example.org/</saml2:Issuer><saml2:Subject><saml2:NameID>jane</saml2:NameID>` +
		`<saml2:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:` + method + `">` + data + `</saml2:SubjectConfirmation></saml2:Subject>` +
		`<saml2:Conditions NotBefore="` + at(now, -1) + `" NotOnOrAfter="` + at(now, 5) + `"><saml2:AudienceRestriction><saml2:Audience>` +
		audience + `</saml2:Audience></saml2:AudienceRestriction></saml2:Conditions><saml2:AuthnStatement AuthnInstant="` + at(now, 0) + `">` +
		`<saml2:AuthnContext><saml2:AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:X509</saml2:AuthnContextClassRef>` +
		`</saml2:AuthnContext></saml2:AuthnStatement></saml2:Assertion>`
}

func saml11(method, key string, now time.Time) string {
	return `<saml:Assertion xmlns:saml="urn:oasis:names:tc:SAML:1.0:assertion" AssertionID="_a11" IssueInstant="` + at(now, 0) +
		`" Issuer="https://idp.example.org/" MajorVersion="1" MinorVersion="1"><saml:Conditions NotBefore="` + at(now, -1) +
		`" NotOnOrAfter="` + at(now, 5) + `"><saml:AudienceRestrictionCondition><saml:Audience>` + audience +
		`</saml:Audience></saml:AudienceRestrictionCondition></saml:Conditions><saml:AuthenticationStatement AuthenticationInstant="` +
		at(now, 0) + `" AuthenticationMethod="urn:ietf:rfc:3075"><saml:Subject><saml:NameIdentifier>jane</saml:NameIdentifier>` +
		`<saml:SubjectConfirmation><saml:ConfirmationMethod>urn:oasis:names:tc:SAML:1.0:cm:` + method + `</saml:ConfirmationMethod>` +
		key + `</saml:SubjectConfirmation></saml:Subject></saml:AuthenticationStatement></saml:Assertion>`
}

func at(now time.Time, minutes int) string {
	return now.Add(time.Duration(minutes) * time.Minute).UTC().Format(time.RFC3339)
}

// issuedAssertion has OpenSAML sign the assertion, as its issuer.
func (g *wssGrid) issuedAssertion(t *testing.T, c assertionCase) (assertion string, issuer *gsi.Credential) {
	t.Helper()
	issuer = gridtest.Must(g.CA.Issue(gridtest.Request{Name: "/O=Grid/OU=gsigw test/CN=Assertions"}))
	if err := g.WritePair("assertions", issuer); err != nil {
		t.Fatal(err)
	}
	key := fmt.Sprintf(`<ds:KeyInfo xmlns:ds="%s"><ds:X509Data><ds:X509Certificate>%s</ds:X509Certificate></ds:X509Data></ds:KeyInfo>`,
		dsigNS, base64.StdEncoding.EncodeToString(g.user.Leaf().Raw))
	unsigned := filepath.Join(t.TempDir(), "assertion.xml")
	writeFile(t, unsigned, c.xml(key, time.Now()))
	signed := g.samlsign(t, unsigned, "-s", "-k", filepath.Join(g.Dir, "assertionskey.pem"), "-alg", dsigMoreNS+"rsa-sha256", "-dig", xmlencNS+"sha256")
	return strings.TrimSpace(signed), issuer
}

func (g *wssGrid) samlsign(t *testing.T, file string, options ...string) string {
	t.Helper()
	args := append([]string{"-f", file, "-c", filepath.Join(g.Dir, "assertionscert.pem")}, options...)
	return run(t, exec.Command(need(t, "samlsign"), args...))
}

// Santuario finds the message's signature good over the message and over the assertion, which OpenSAML still finds to be
// its issuer's.
func TestSAMLToken_IsVerifiedBySantuarioAndOpenSAML(t *testing.T) {
	g := newWSSGrid(t)
	for _, c := range assertionCases() {
		for _, envelope := range []string{soapNS, soap12NS} {
			t.Run(c.name+" in "+map[string]string{soapNS: "SOAP 1.1", soap12NS: "SOAP 1.2"}[envelope], func(t *testing.T) {
				assertion, issuer := g.issuedAssertion(t, c)
				p := &wssec.SAMLToken{Confirmation: c.confirmation, Issuer: g.store, Issuers: issuer.Chain, Audience: []string{audience},
					Assertion: func(context.Context) ([]byte, error) { return []byte(assertion), nil }}
				message, _ := secured(t, p, g.user, modernMessage(envelope, ""))
				report, _ := g.peer.must(t, "assertion", options{"signer": "user"}, message)
				for _, want := range append(modernParts(envelope), "assertion "+c.token) {
					if !strings.Contains(report, want+"\n") {
						t.Errorf("the report lacks %q:\n%s", want, report)
					}
				}
				if _, _, err := g.peer.do("assertion", options{"signer": "user"}, changed(t, message, ">jane<", ">joan<")); err == nil {
					t.Error("the assertion can be changed under the message's signature")
				}
				sent := filepath.Join(t.TempDir(), "sent.xml")
				writeFile(t, sent, message[strings.Index(message, assertion[:20]):][:len(assertion)])
				g.samlsign(t, sent)
			})
		}
	}
}
