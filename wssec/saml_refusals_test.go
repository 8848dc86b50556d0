package wssec_test

import (
	"crypto/x509"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
	. "gsigw/wssec"
	"gsigw/wssec/c14n"
)

var signatureElement = regexp.MustCompile(`<ds:Signature .*</ds:Signature>`)

func TestSAMLToken_RefusesAssertions(t *testing.T) {
	g := newGrid(t)
	other := gridtest.Must(g.CA.Issue(gridtest.Request{Name: "/O=Grid/OU=gsigw test/CN=Other"}))
	nobody := gridtest.Must(gridtest.NewAuthority("/O=Grid/OU=gsigw test/CN=Nobody CA", gridtest.PKIOptions{Now: time.Now()}))
	stranger := gridtest.Must(nobody.Issue(gridtest.Request{Name: gridtest.HostName}))
	stamp := func(d time.Duration) string { return asserted.Add(d).Format(time.RFC3339) }
	replace := func(old, new string) func(string) string {
		return func(s string) string {
			if !strings.Contains(s, old) {
				t.Errorf("%q is not in the assertion", old)
			}
			return strings.Replace(s, old, new, 1)
		}
	}
	edit := func(old, new string) func(*issuer) { return func(i *issuer) { i.edit = replace(old, new) } }
	info := func(old, new string) func(*issuer) { return func(i *issuer) { i.info = replace(old, new) } }
	tamper := func(old, new string) func(*issuer) { return func(i *issuer) { i.tamper = replace(old, new) } }
	keyInfo := func(old, new string) func(*issuer) { // the issuer's, not the subject's
		return func(i *issuer) {
			i.tamper = func(s string) string {
				at := strings.Index(s, "</ds:SignatureValue>")
				return s[:at] + strings.ReplaceAll(s[at:], old, new)
			}
		}
	}
	for _, c := range []struct {
		name   string
		change func(*issuer)
		want   string
	}{
		{"no XML", tamper("<saml:Assertion", "<saml:Assertion <"), "the document"},
		{"two roots", func(i *issuer) { i.tamper = func(s string) string { return s + "<x/>" } }, "the document"},
		{"a DTD", func(i *issuer) { i.tamper = func(s string) string { return "<!DOCTYPE x>" + s } }, "document type"},
		{"a comment", edit("jane", "ja<!-- -->ne"), "a comment"},
		{"a comment around it", func(i *issuer) { i.tamper = func(s string) string { return s + "<!-- -->" } }, "a comment"},
		{"CDATA", edit("jane", "<![CDATA[jane]]>"), "a comment"},
		{"a processing instruction", edit("jane", "<?x y?>jane"), "a comment"},
		{"too long", edit("jane", strings.Repeat("j", 300<<10)), "longer than"},
		{"too many elements", edit("r&amp;d", strings.Repeat("<x/>", 1001)), "header-elements"},
		{"another element", func(i *issuer) { i.tamper = func(string) string { return `<x/>` } }, "no assertion of SAML"},
		{"encrypted", func(i *issuer) {
			i.tamper = func(string) string { return `<EncryptedAssertion xmlns="urn:oasis:names:tc:SAML:2.0:assertion"/>` }
		}, "it is encrypted"},
		{"another version", edit(`Version="2.0"`, `Version="2.1"`), "no assertion of SAML"},
		{"SAML 1.0", func(i *issuer) { i.saml11 = true; i.edit = replace(`MinorVersion="1"`, `MinorVersion="0"`) }, "no assertion of SAML"},
		{"no id", edit(` ID="_a1"`, ""), "is no id"},
		{"an id that is none", edit(`ID="_a1"`, `ID="a 1"`), "is no id"},
		{"an id twice", edit("<saml:NameID>", `<saml:NameID ID="_a1">`), "two of its elements"},
		{"no signature", func(i *issuer) { i.tamper = func(s string) string { return signatureElement.ReplaceAllString(s, "") } }, "did not sign"},
		{"two signatures", func(i *issuer) {
			i.tamper = func(s string) string { return signatureElement.ReplaceAllString(s, "$0$0") }
		}, "one signature"},
		{"a signature deeper", func(i *issuer) {
			i.tamper = func(s string) string {
				return strings.Replace(signatureElement.ReplaceAllString(s, ""), "<saml:NameID>", signatureElement.FindString(s)+"<saml:NameID>", 1)
			}
		}, "one signature"},
		{"a signature without a key", tamper("<ds:KeyInfo><ds:X509Data>", "<ds:KeyInfo><ds:X509Other>"), "the document"},
		{"no certificate", func(i *issuer) {
			i.tamper = func(s string) string {
				return regexp.MustCompile(`</ds:SignatureValue><ds:KeyInfo>.*?</ds:KeyInfo>`).ReplaceAllString(s, "</ds:SignatureValue><ds:KeyInfo/>")
			}
		}, "does not bring the certificate"},
		{"an assertion beside the issuer's certificate", keyInfo("<ds:KeyInfo>", `<ds:KeyInfo><saml:Assertion ID="_a2" Version="2.0"></saml:Assertion>`), "which no signature covers"},
		{"another element beside the issuer's certificate", keyInfo("<ds:X509Data>", `<ds:X509Data><saml:Subject></saml:Subject>`), "which no signature covers"},
		{"a certificate in another's name", keyInfo("ds:X509Certificate>", `ds:Certificate>`), "which no signature covers"},
		{"an assertion in a key's name", keyInfo("<ds:KeyInfo>", `<ds:KeyInfo><ds:KeyName><saml:Assertion ID="_a2" Version="2.0"></saml:Assertion></ds:KeyName>`), "which no signature covers"},
		{"a key that is elsewhere", keyInfo("<ds:KeyInfo>", `<ds:KeyInfo><ds:RetrievalMethod URI="http://example.org/"></ds:RetrievalMethod>`), "which no signature covers"},
		{"an element in the issuer's certificate", keyInfo("<ds:X509Certificate>", `<ds:X509Certificate><saml:Subject></saml:Subject>`), "which no signature covers"},
		{"no certificate in X509Data", func(i *issuer) {
			i.tamper = func(s string) string {
				return regexp.MustCompile(`(</ds:SignatureValue><ds:KeyInfo>).*?(</ds:KeyInfo>)`).ReplaceAllString(s, "${1}<ds:X509Data/>$2")
			}
		}, "does not bring the certificate"},
		{"changed", tamper("jane", "john"), "not what its issuer signed"},
		{"signed info changed", tamper("#_a1", "#_a1\u00a0"), "not the assertion"},
		{"a value changed", func(i *issuer) {
			i.tamper = func(s string) string {
				return regexp.MustCompile(`(<ds:SignatureValue>)....`).ReplaceAllString(s, "${1}AAAA")
			}
		}, "over SignedInfo does not hold"},
		{"a reference to another", info("#_a1", "#_a2"), "not the assertion"},
		{"a reference to the document", info(`URI="#_a1"`, `URI=""`), "not to an element"},
		{"two references", func(i *issuer) {
			i.info = func(s string) string {
				return regexp.MustCompile(`<ds:Reference.*</ds:Reference>`).ReplaceAllString(s, "$0$0")
			}
		}, "one reference"},
		{"not enveloped", info("enveloped-signature", "other"), "two transforms"},
		{"inclusive canonical XML", info(`<ds:Transform Algorithm="`+c14n.ExclusiveURI, `<ds:Transform Algorithm="`+c14n.InclusiveURI), "inclusive canonical XML"},
		{"inclusive canonical XML of SignedInfo", info(`Method Algorithm="`+c14n.ExclusiveURI, `Method Algorithm="`+c14n.InclusiveURI), "inclusive canonical XML"},
		{"three transforms", info(`</ds:Transforms>`, `<ds:Transform Algorithm="`+c14n.ExclusiveURI+`"></ds:Transform></ds:Transforms>`), "two transforms"},
		{"what goxmldsig takes for something else", edit("<saml:AttributeValue ", `<saml:AttributeValue xml:lang="en" `), "to goxmldsig"},
		{"SHA-1", func(i *issuer) { i.sha1 = true }, "SHA-1"},
		{"an issuer whose chain does not hold", func(i *issuer) { i.Credential = stranger }, "does not hold"},
		{"a proxy as issuer", func(i *issuer) { i.Credential = g.proxy(t, gsi.Limits{}) }, "issuer"},
		{"expired", edit(stamp(time.Hour), stamp(0)), "it expired"},
		{"not yet valid", edit(`NotBefore="`+stamp(-time.Minute), `NotBefore="`+stamp(2*time.Minute)), "not valid before"},
		{"a time of one digit", edit(stamp(time.Hour), "2999-01-02T3:04:05Z"), "not a time"},
		{"a time that is none", edit(stamp(time.Hour), "tomorrow"), "not a time"},
		{"a time in another zone", edit(stamp(time.Hour), asserted.Add(time.Hour).Format("2006-01-02T15:04:05+01:00")), "not a time"},
		{"two Conditions", edit("<saml:AttributeStatement>", "<saml:Conditions/><saml:AttributeStatement>"), "2 Conditions"},
		{"another audience", edit("service.example.org", "other.example.org"), "ask its issuer"},
		{"one audience of two", edit("</saml:AudienceRestriction>", "</saml:AudienceRestriction><saml:AudienceRestriction><saml:Audience>urn:x</saml:Audience></saml:AudienceRestriction>"), "ask its issuer"},
		{"SAML 1.1, another audience", func(i *issuer) { i.saml11 = true; i.edit = replace("service.example.org", "other.example.org") }, "ask its issuer"},
		{"a bearer's", func(i *issuer) { i.bearer = true }, "where holder-of-key alone"},
		{"a bearer's beside it", edit("<saml:SubjectConfirmation ", `<saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer"></saml:SubjectConfirmation><saml:SubjectConfirmation `), "where holder-of-key alone"},
		{"a bearer's after it", edit("</saml:Subject>", `<saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer"></saml:SubjectConfirmation></saml:Subject>`), "where holder-of-key alone"},
		{"a voucher's beside it", edit("</saml:Subject>", `<saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:sender-vouches"></saml:SubjectConfirmation></saml:Subject>`), "where holder-of-key alone"},
		{"SAML 1.1, a bearer's beside it", func(i *issuer) {
			i.saml11 = true
			i.edit = replace("</ConfirmationMethod>", "</ConfirmationMethod><ConfirmationMethod>urn:oasis:names:tc:SAML:1.0:cm:bearer</ConfirmationMethod>")
		}, "where holder-of-key alone"},
		{"SAML 1.1, a bearer's before it", func(i *issuer) {
			i.saml11 = true
			i.edit = replace("<ConfirmationMethod>", "<ConfirmationMethod>urn:oasis:names:tc:SAML:1.0:cm:bearer</ConfirmationMethod><ConfirmationMethod>")
		}, "where holder-of-key alone"},
		{"not confirmed", func(i *issuer) {
			i.edit = func(s string) string {
				return regexp.MustCompile(`<saml:SubjectConfirmation .*</saml:SubjectConfirmation>`).ReplaceAllString(s, "")
			}
		}, "not confirmed as holder-of-key"},
		{"for one use", edit("</saml:Conditions>", "<saml:OneTimeUse></saml:OneTimeUse></saml:Conditions>"), "for one use"},
		{"SAML 1.1, for one use", func(i *issuer) {
			i.saml11 = true
			i.edit = replace("</Conditions>", "<DoNotCacheCondition></DoNotCacheCondition></Conditions>")
		}, "for one use"},
		{"a condition that is not known", edit("</saml:Conditions>", "<saml:Condition></saml:Condition></saml:Conditions>"), "is not known"},
		{"another's condition of a name that is known", edit("</saml:Conditions>", `<x:AudienceRestriction xmlns:x="urn:x"></x:AudienceRestriction></saml:Conditions>`), "is not known"},
		{"SAML 1.1, a bearer's", func(i *issuer) { i.saml11, i.bearer = true, true }, "where holder-of-key alone"},
		{"SAML 1.1, one statement a bearer's", func(i *issuer) {
			i.saml11 = true
			i.edit = replace("@SIGNATURE@", "<AuthenticationStatement><Subject><SubjectConfirmation><ConfirmationMethod>urn:oasis:names:tc:SAML:1.0:cm:bearer</ConfirmationMethod></SubjectConfirmation></Subject></AuthenticationStatement>@SIGNATURE@")
		}, "where holder-of-key alone"},
		{"no subject", func(i *issuer) {
			i.edit = func(s string) string {
				return regexp.MustCompile(`<saml:Subject>.*</saml:Subject>`).ReplaceAllString(s, "")
			}
		}, "nothing of a subject"},
		{"another's key", func(i *issuer) { i.holder = other }, "another key"},
		{"another's key by value", func(i *issuer) { i.holder, i.keyValue = other, true }, "another key"},
		{"no key", func(i *issuer) { i.holder = nil }, "names its subject's key neither"},
		{"a confirmation that expired", edit("<saml:SubjectConfirmationData>", `<saml:SubjectConfirmationData NotOnOrAfter="`+stamp(0)+`">`), "it expired"},
		{"a certificate that is none", edit("<ds:X509Certificate>", "<ds:X509Certificate>AAAA"), "certificate of its subject"},
	} {
		t.Run(c.name, func(t *testing.T) {
			i := g.issuer(g.User)
			c.change(&i)
			p := &SAMLToken{Assertion: i.source(t), Issuer: g.verifier.Trust, Audience: []string{"https://service.example.org"}, Now: func() time.Time { return asserted }}
			_, _, err := p.Secure(t.Context(), parse(t, modernRequest), g.User)
			if !errors.Is(err, ErrAssertion) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
}

func TestSAMLToken_TakesWhatIsNamed(t *testing.T) {
	g := newGrid(t)
	nobody := gridtest.Must(gridtest.NewAuthority("/O=Grid/OU=gsigw test/CN=Nobody CA", gridtest.PKIOptions{Now: time.Now()}))
	stranger := gridtest.Must(nobody.Issue(gridtest.Request{Name: "/O=Grid/OU=gsigw test/CN=idp"}))
	late := func() time.Time { return time.Now().AddDate(2, 0, 0) }
	i, weak, foreign := g.issuer(g.User), g.issuer(g.User), g.issuer(g.User)
	weak.sha1, foreign.Credential = true, stranger
	certs := func(c *gsi.Credential) []*x509.Certificate { return c.Chain[:1] }
	for _, c := range []struct {
		name    string
		issuer  issuer
		profile SAMLToken
		want    string
	}{
		{"an issuer by its chain", i, SAMLToken{Issuer: g.verifier.Trust}, ""},
		{"an issuer by its certificate", foreign, SAMLToken{Issuers: certs(stranger)}, ""},
		{"another than the one named", i, SAMLToken{Issuer: g.verifier.Trust, Issuers: certs(stranger)}, "none of the issuers"},
		{"one named whose chain does not hold", foreign, SAMLToken{Issuer: g.verifier.Trust, Issuers: certs(stranger)}, "does not hold"},
		{"one named whose certificate has expired", foreign, SAMLToken{Issuers: certs(stranger), Now: late}, "expired"},
		{"nobody to trust", i, SAMLToken{}, "which issuers to trust"},
		{"SHA-1", weak, SAMLToken{Issuer: g.verifier.Trust, SHA1: true}, ""},
		{"any audience", i, SAMLToken{Issuer: g.verifier.Trust}, ""},
		{"an audience", i, SAMLToken{Issuer: g.verifier.Trust, Audience: []string{"urn:y", "https://service.example.org"}}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.profile.Assertion = c.issuer.source(t)
			_, _, err := c.profile.Secure(t.Context(), parse(t, modernRequest), g.User)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}
