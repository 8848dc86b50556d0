package wssec_test

import (
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"gsigw/soap"
	. "gsigw/wssec"
	"gsigw/wssec/c14n"
)

const strTransform = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#STR-Transform"

const strParameters = `<wsse:TransformationParameters xmlns:wsse="` + soap.WSSE + `"><ds:CanonicalizationMethod Algorithm="` + c14n.ExclusiveURI + `"></ds:CanonicalizationMethod></wsse:TransformationParameters>`

// signedToken is a message whose token is signed, rewritten so that it is so by a STR-Transform: the reference is to
// the SecurityTokenReference, and its digest is that of form, the token's canonical form with xmlns="".
func signedToken(t *testing.T, g *grid, doc string, form func(canonical string) string) string {
	t.Helper()
	doc, _ = secureWith(t, &X509Message{SignToken: true}, doc, g.User)
	token := securityOf(t, doc).Child(soap.WSSE, "BinarySecurityToken")
	canonical := doc[token.Span.Start:token.Span.End] // ours are written so
	digest := sha256.Sum256([]byte(form(canonical)))
	doc = strings.Replace(doc, "<wsse:SecurityTokenReference>", `<wsse:SecurityTokenReference xmlns:wsu="`+soap.WSU+`" wsu:Id="str">`, 1)
	reference := regexp.MustCompile(`<ds:Reference URI="#` + token.ID + `">.*?</ds:Reference>`).FindString(doc)
	if reference == "" {
		t.Fatal("the token is not signed")
	}
	doc = strings.Replace(doc, reference, fmt.Sprintf(`<ds:Reference URI="#str"><ds:Transforms><ds:Transform Algorithm="%s">%s</ds:Transform></ds:Transforms>`+
		`<ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"></ds:DigestMethod><ds:DigestValue>%s</ds:DigestValue></ds:Reference>`,
		strTransform, strParameters, base64.StdEncoding.EncodeToString(digest[:])), 1)
	return signAgain(t, g, doc)
}

// signAgain makes the signature value anew, over SignedInfo as it is written.
func signAgain(t *testing.T, g *grid, doc string) string {
	t.Helper()
	m := parse(t, doc)
	info := securityOf(t, doc).Child(DSig, "Signature").Child(DSig, "SignedInfo")
	h := sha256.New()
	if err := c14n.Write(h, m.Scan(&info.Element), c14n.Method{Exclusive: true}); err != nil {
		t.Fatal(err)
	}
	value, err := SignDigest(g.User.Key, crypto.SHA256, h.Sum(nil))
	if err != nil {
		t.Fatal(err)
	}
	old := securityOf(t, doc).Child(DSig, "Signature").Child(DSig, "SignatureValue").Span
	return doc[:old.Start] + "<ds:SignatureValue>" + base64.StdEncoding.EncodeToString(value) + "</ds:SignatureValue>" + doc[old.End:]
}

// apex puts a default namespace into the first tag, in front of the other declarations.
func apex(space string) func(string) string {
	return func(s string) string {
		return strings.Replace(s, "<wsse:BinarySecurityToken ", `<wsse:BinarySecurityToken xmlns="`+space+`" `, 1)
	}
}

func TestVerify_DereferencesATokensReference(t *testing.T) {
	g := newGrid(t)
	withDefault := strings.Replace(modernRequest, "<soapenv:Envelope", `<soapenv:Envelope xmlns="urn:d"`, 1)
	same := func(s string) string { return s }
	for _, c := range []struct {
		name, doc string
		form      func(string) string
		want      Class
	}{
		{"with an empty default namespace", modernRequest, apex(""), ""},
		{"without", modernRequest, same, ClassDigest},
		{"a default namespace in scope, as WSS4J writes it", withDefault, apex("urn:d"), ""},
		{"a default namespace in scope, as the words have it", withDefault, same, ""},
		{"a default namespace in scope, another written", withDefault, apex("urn:e"), ClassDigest},
		{"another token's digest", modernRequest, func(s string) string { return apex("")(s) + " " }, ClassDigest},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := verifyBytes(g.verifier, []byte(signedToken(t, g, c.doc, c.form)), Expect{})
			if c.want == "" && err != nil {
				t.Fatal(err)
			}
			if c.want != "" {
				wantClass(t, err, c.want)
			}
		})
	}
}

// cutSTR takes the signature's own token reference out of a message, and gives both.
func cutSTR(doc string) (rest, str string) {
	str = regexp.MustCompile(`<wsse:SecurityTokenReference .*?</wsse:SecurityTokenReference>`).FindString(doc)
	return strings.Replace(doc, str, "@STR@", 1), str
}

func TestVerify_BindsATokensReferenceToItsPlace(t *testing.T) {
	g := newGrid(t)
	good := signedToken(t, g, modernRequest, apex(""))
	doc, str := cutSTR(good)
	plain := strings.Replace(str, ` xmlns:wsu="`+soap.WSU+`" wsu:Id="str"`, "", 1)
	at := func(place, put string) func() string {
		return func() string {
			return strings.Replace(strings.Replace(doc, "@STR@", plain, 1), place, put+place, 1)
		}
	}
	parameters := func(old, new string) func() string {
		return func() string { return signAgain(t, g, strings.Replace(good, old, new, 1)) }
	}
	reference := regexp.MustCompile(`<ds:Reference URI="#str">.*?</ds:Reference>`).FindString(good)
	declared := strings.Replace(str, " xmlns:wsu", ` xmlns:wsse="`+soap.WSSE+`" xmlns:wsu`, 1)
	twice := strings.Replace(str, `"str"`, `"str2"`, 1)
	for _, c := range []struct {
		name string
		doc  func() string
		want Class
	}{
		{"the signature's own", func() string { return good }, ""},
		{"beside the signature", at("<ds:Signature ", str), ""},
		{"in the Header", at("</soapenv:Header>", declared), ClassWrapped},
		{"in the Body", at("</add>", declared), ClassWrapped},
		{"below another element", at("<ds:Signature ", "<x>"+str+"</x>"), ClassWrapped},
		{"nowhere", at("<ds:Signature ", ""), ClassWrapped},
		{"twice", at("<ds:Signature ", str+str), ClassDuplicateID},
		{"an element of another name", at("<ds:Signature ", strings.ReplaceAll(str, ":SecurityTokenReference", ":Other")), ClassWrapped},
		{"two references to one token", func() string {
			return signAgain(t, g, strings.NewReplacer(reference, reference+strings.Replace(reference, "#str", "#str2", 1), "<ds:Signature ", twice+"<ds:Signature ").Replace(good))
		}, ClassMalformed},
		{"no parameters", parameters(strParameters, ""), ClassMalformed},
		{"no canonicalization", parameters(strParameters, `<wsse:TransformationParameters></wsse:TransformationParameters>`), ClassMalformed},
		{"comments", parameters(`<ds:CanonicalizationMethod Algorithm="`+c14n.ExclusiveURI+`"></ds:CanonicalizationMethod></wsse`, `<ds:CanonicalizationMethod Algorithm="`+c14n.ExclusiveCommentsURI+`"></ds:CanonicalizationMethod></wsse`), ClassAlgorithm},
		{"two canonicalizations", parameters(`</wsse:TransformationParameters>`, `<ds:CanonicalizationMethod Algorithm="`+c14n.ExclusiveURI+`"></ds:CanonicalizationMethod></wsse:TransformationParameters>`), ClassMalformed},
		{"parameters twice", parameters(strParameters, strParameters+strParameters), ClassMalformed},
		{"parameters of another name", parameters(strParameters, strings.ReplaceAll(strParameters, "TransformationParameters", "Parameters")), ClassMalformed},
		{"another in the place of canonicalization", parameters(strParameters, strings.ReplaceAll(strParameters, "CanonicalizationMethod", "Transform")), ClassMalformed},
		{"twice, the other elsewhere", at("</soapenv:Header>", `<x Id="str" soapenv:role="urn:other"/>`), ClassWrapped},
		{"its own and another elsewhere", func() string {
			return strings.Replace(good, "</soapenv:Header>", `<x Id="str" soapenv:role="urn:other"/></soapenv:Header>`, 1)
		}, ClassDuplicateID},
		{"without the transform", parameters(`<ds:Transform Algorithm="`+strTransform+`">`+strParameters, `<ds:Transform Algorithm="`+c14n.ExclusiveURI+`">`), ClassWrapped},
		{"to a token elsewhere", at("<ds:Signature ", regexp.MustCompile(`URI="[^"]*"`).ReplaceAllString(str, `URI="urn:elsewhere"`)), ClassMalformed},
		{"to no token", at("<ds:Signature ", regexp.MustCompile(`URI="[^"]*"`).ReplaceAllString(str, `URI="#nothing"`)), ClassMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := verifyBytes(g.verifier, []byte(c.doc()), Expect{})
			if c.want == "" && err != nil {
				t.Fatal(err)
			}
			if c.want != "" {
				wantClass(t, err, c.want)
			}
		})
	}
}
