package wssec_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
	"gsigw/soap"
	"gsigw/soap/xmlscan"
	. "gsigw/wssec"
	"gsigw/wssec/c14n"
)

// asserted is a time in the life of every assertion here.
var asserted = time.Now().UTC().Truncate(time.Second)

// issuer makes assertions. The zero value of what it is told makes a good one of SAML 2.0 for the holder of a key.
type issuer struct {
	*gsi.Credential
	saml11   bool
	bearer   bool
	holder   *gsi.Credential
	keyValue bool
	sha1     bool

	listed, listedInfo []string // the PrefixLists that it and SignedInfo are signed with; info puts them in

	edit   func(string) string // before it is signed
	info   func(string) string // SignedInfo, before it is signed
	tamper func(string) string // after
}

func (g *grid) issuer(holder *gsi.Credential) issuer {
	return issuer{Credential: g.Host, holder: holder}
}

const saml20 = `<saml:Assertion xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="_a1" IssueInstant="%[1]s" Version="2.0"><saml:Issuer>https://idp.example.org</saml:Issuer>@SIGNATURE@` +
	`<saml:Subject><saml:NameID>jane</saml:NameID><saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:%[3]s">%[4]s</saml:SubjectConfirmation></saml:Subject>` +
	`<saml:Conditions NotBefore="%[1]s" NotOnOrAfter="%[2]s"><saml:AudienceRestriction><saml:Audience>https://service.example.org</saml:Audience></saml:AudienceRestriction></saml:Conditions>` +
	`<saml:AttributeStatement><saml:Attribute Name="role"><saml:AttributeValue xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="xs:string">r&amp;d</saml:AttributeValue></saml:Attribute></saml:AttributeStatement></saml:Assertion>`

const saml11 = `<Assertion xmlns="urn:oasis:names:tc:SAML:1.0:assertion" AssertionID="_a1" IssueInstant="%[1]s" Issuer="idp" MajorVersion="1" MinorVersion="1">` +
	`<Conditions NotBefore="%[1]s" NotOnOrAfter="%[2]s"><AudienceRestrictionCondition><Audience>https://service.example.org</Audience></AudienceRestrictionCondition></Conditions>` +
	`<AttributeStatement><Subject><NameIdentifier>jane</NameIdentifier><SubjectConfirmation><ConfirmationMethod>urn:oasis:names:tc:SAML:1.0:cm:%[3]s</ConfirmationMethod>%[4]s</SubjectConfirmation></Subject>` +
	`<Attribute AttributeName="role" AttributeNamespace="urn:x"><AttributeValue>r&amp;d</AttributeValue></Attribute></AttributeStatement>@SIGNATURE@</Assertion>`

func (i issuer) assertion(t testing.TB) string {
	t.Helper()
	method, key := "holder-of-key", `<ds:KeyInfo xmlns:ds="`+DSig+`">`+i.subjectKey()+`</ds:KeyInfo>`
	if i.bearer {
		method, key = "bearer", ""
	}
	template := saml20
	if i.saml11 {
		template = saml11
	} else if key != "" {
		key = "<saml:SubjectConfirmationData>" + key + "</saml:SubjectConfirmationData>"
	}
	doc := fmt.Sprintf(template, asserted.Add(-time.Minute).Format(time.RFC3339), asserted.Add(time.Hour).Format(time.RFC3339), method, key)
	if i.edit != nil {
		doc = i.edit(doc)
	}
	signed := strings.Replace(doc, "@SIGNATURE@", i.sign(t, strings.Replace(doc, "@SIGNATURE@", "", 1)), 1)
	if i.tamper != nil {
		signed = i.tamper(signed)
	}
	return signed
}

func (i issuer) subjectKey() string {
	if i.holder == nil {
		return ""
	}
	b64 := base64.StdEncoding.EncodeToString
	if k, ok := i.holder.Key.Public().(*rsa.PublicKey); ok && i.keyValue {
		return `<ds:KeyValue><ds:RSAKeyValue><ds:Modulus>` + b64(k.N.Bytes()) + `</ds:Modulus><ds:Exponent>` + b64(big.NewInt(int64(k.E)).Bytes()) + `</ds:Exponent></ds:RSAKeyValue></ds:KeyValue>`
	}
	return `<ds:X509Data><ds:X509Certificate>` + b64(i.holder.Leaf().Raw) + `</ds:X509Certificate></ds:X509Data>`
}

func canonicalOf(t testing.TB, doc string, scope *xmlscan.Scope, prefixes ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	s := xmlscan.NewElement(xmlscan.Memory(doc), xmlscan.Span{End: int64(len(doc))}, scope, xmlscan.Limits{})
	if err := c14n.Write(&b, s, c14n.Method{Exclusive: true, Prefixes: prefixes}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func (i issuer) sign(t testing.TB, doc string) string {
	hash, digestURI, method := crypto.SHA256, "http://www.w3.org/2001/04/xmlenc#sha256", DSigMore+"rsa-sha256"
	sum := func(b []byte) []byte { s := sha256.Sum256(b); return s[:] }
	if _, ok := i.Key.Public().(*rsa.PublicKey); !ok {
		method = DSigMore + "ecdsa-sha256"
	}
	if i.sha1 {
		hash, digestURI, method = crypto.SHA1, DSig+"sha1", DSig+"rsa-sha1"
		sum = func(b []byte) []byte { s := sha1.Sum(b); return s[:] }
	}
	b64 := base64.StdEncoding.EncodeToString
	info := fmt.Sprintf(`<ds:SignedInfo xmlns:ds="%s"><ds:CanonicalizationMethod Algorithm="%s"></ds:CanonicalizationMethod><ds:SignatureMethod Algorithm="%s"></ds:SignatureMethod>`+
		`<ds:Reference URI="#_a1"><ds:Transforms><ds:Transform Algorithm="%[1]senveloped-signature"></ds:Transform><ds:Transform Algorithm="%[2]s"></ds:Transform></ds:Transforms>`+
		`<ds:DigestMethod Algorithm="%[4]s"></ds:DigestMethod><ds:DigestValue>%[5]s</ds:DigestValue></ds:Reference></ds:SignedInfo>`,
		DSig, c14n.ExclusiveURI, method, digestURI, b64(sum(canonicalOf(t, doc, &xmlscan.Scope{}, i.listed...))))
	if i.info != nil {
		info = i.info(info)
	}
	value, err := SignDigest(i.Key, hash, sum(canonicalOf(t, info, &xmlscan.Scope{}, i.listedInfo...)))
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`<ds:Signature xmlns:ds="%s">%s<ds:SignatureValue>%s</ds:SignatureValue><ds:KeyInfo><ds:X509Data><ds:X509Certificate>%s</ds:X509Certificate></ds:X509Data></ds:KeyInfo></ds:Signature>`,
		DSig, info, b64(value), b64(i.Leaf().Raw))
}

func (i issuer) source(t testing.TB) func(context.Context) ([]byte, error) {
	doc := i.assertion(t)
	return func(context.Context) ([]byte, error) { return []byte(doc), nil }
}

func TestSAMLToken_BearerIsVerified(t *testing.T) {
	g := newGrid(t)
	ec := gridtest.Must(g.CA.Issue(gridtest.Request{Name: "/O=Grid/OU=gsigw test/CN=idp", EC: true}))
	withDefault := strings.Replace(modernRequest, "<soapenv:Envelope", `<soapenv:Envelope xmlns="urn:d"`, 1)
	bearer := func(change func(*issuer)) issuer {
		i := g.issuer(nil)
		i.bearer = true
		if change != nil {
			change(&i)
		}
		return i
	}
	for _, c := range []struct {
		name   string
		issuer issuer
		doc    string
		cred   *gsi.Credential
	}{
		{"SAML 2.0", bearer(nil), modernRequest, g.User},
		{"SAML 1.1", bearer(func(i *issuer) { i.saml11 = true }), modernRequest, g.User},
		{"SOAP 1.1", bearer(nil), plainRequest, g.User},
		{"a default namespace around it", bearer(nil), withDefault, g.User},
		{"its own default namespace", bearer(func(i *issuer) { i.saml11 = true }), withDefault, g.User},
		{"elements without a namespace", bearer(func(i *issuer) { i.edit = put("r&amp;d", "<x/>") }), withDefault, g.User},
		{"an issuer with ECDSA", bearer(func(i *issuer) { i.Credential = ec }), modernRequest, g.User},
		{"a proxy", bearer(nil), modernRequest, g.proxy(t, gsi.Limits{})},
		{"a declaration and white space around it", bearer(func(i *issuer) {
			i.tamper = func(s string) string { return `<?xml version="1.0" encoding="UTF-8"?>` + "\n" + s + "\n" }
		}), modernRequest, g.User},
	} {
		t.Run(c.name, func(t *testing.T) {
			source := c.issuer.source(t)
			p := &SAMLToken{Assertion: source, Confirmation: Bearer, Issuer: g.verifier.Trust}
			doc, _ := secureWith(t, p, c.doc, c.cred)
			if _, err := verifyBytes(g.modernVerifier(t), []byte(doc), Expect{}); err != nil {
				t.Fatalf("%v\n%s", err, doc)
			}
			given, _ := source(t.Context())
			from, to := bytes.Index(given, []byte("<saml:Assertion")), len(bytes.TrimSpace(given))
			if !strings.Contains(doc, string(given[max(from, 0):to])) {
				t.Error("the assertion is not what was given, byte for byte")
			}
			if _, err := verifyBytes(g.modernVerifier(t), []byte(strings.Replace(doc, "jane", "john", 1)), Expect{}); err == nil {
				t.Error("the assertion is not covered by the signature")
			}
		})
	}
}

// An assertion without an id is not the one that no id names.
func TestVerify_FindsNoAssertionByNoID(t *testing.T) {
	g := newGrid(t)
	i := issuer{Credential: g.Host, bearer: true}
	doc, _ := secureWith(t, &SAMLToken{Assertion: i.source(t), Confirmation: Bearer, Issuer: g.verifier.Trust}, modernRequest, g.User)
	a := securityOf(t, doc).Child("urn:oasis:names:tc:SAML:2.0:assertion", "Assertion")
	given := doc[a.Span.Start:a.Span.End]
	digest := func(assertion string) string {
		form := strings.Replace(string(canonicalOf(t, assertion, a.Scope)), "<saml:Assertion ", `<saml:Assertion xmlns="" `, 1)
		sum := sha256.Sum256([]byte(form))
		return base64.StdEncoding.EncodeToString(sum[:])
	}
	named := func(id string) error {
		changed := strings.Replace(given, ` ID="_a1"`, id, 1)
		text, _, _ := strings.Cut(strings.TrimPrefix(id, ` ID="`), `"`)
		forged := strings.NewReplacer(given, changed, ">_a1</wsse:KeyIdentifier>", ">"+text+"</wsse:KeyIdentifier>", digest(given), digest(changed)).Replace(doc)
		_, err := verifyBytes(g.modernVerifier(t), []byte(signAgain(t, g, forged)), Expect{})
		return err
	}
	if err := named(` ID="_a2"`); err != nil {
		t.Error(err)
	}
	wantClass(t, named(""), ClassMalformed)
}

func TestVerify_BindsAnAssertionToItsReference(t *testing.T) {
	g := newGrid(t)
	for _, v11 := range []bool{false, true} {
		i := issuer{Credential: g.Host, bearer: true, saml11: v11}
		doc, _ := secureWith(t, &SAMLToken{Assertion: i.source(t), Confirmation: Bearer, Issuer: g.verifier.Trust}, modernRequest, g.User)
		for _, c := range []struct {
			name, old, new string
			want           Class
		}{
			{"another id", ">_a1</wsse:KeyIdentifier>", ">_a2</wsse:KeyIdentifier>", ClassMalformed},
			{"two names", "_a1</wsse:KeyIdentifier>", "_a1</wsse:KeyIdentifier><wsse:Reference/>", ClassMalformed},
			{"no id", ">_a1</wsse:KeyIdentifier>", "></wsse:KeyIdentifier>", ClassMalformed},
			{"an id twice", "</soapenv:Header>", `<x ID="_a1" soapenv:role="urn:other"/></soapenv:Header>`, ClassDuplicateID},
		} {
			_, err := verifyBytes(g.modernVerifier(t), []byte(strings.Replace(doc, c.old, c.new, 1)), Expect{})
			t.Log(c.name)
			wantClass(t, err, c.want)
		}
	}
}

// The key is in the assertion: a verifier of messages who knows it by a token sees the same signature.
func TestSAMLToken_HolderOfKeyIsVerified(t *testing.T) {
	g := newGrid(t)
	for _, c := range []struct {
		name   string
		issuer issuer
		cred   *gsi.Credential
	}{
		{"SAML 2.0", g.issuer(g.User), g.User},
		{"SAML 1.1", issuer{Credential: g.Host, holder: g.User, saml11: true}, g.User},
		{"RSA key value", issuer{Credential: g.Host, holder: g.User, keyValue: true}, g.User},
		{"ECDSA", g.issuer(g.ECUser), g.ECUser},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &SAMLToken{Assertion: c.issuer.source(t), Issuer: g.verifier.Trust, Verifier: g.verifier}
			doc, _ := secureWith(t, p, modernRequest, c.cred)
			str := keyReferenceOf(t, doc)
			want, typ := "#SAMLV2.0", "http://docs.oasis-open.org/wss/oasis-wss-saml-token-profile-1.1#SAMLID"
			if c.issuer.saml11 {
				want, typ = "#SAMLV1.1", "http://docs.oasis-open.org/wss/oasis-wss-saml-token-profile-1.0#SAMLAssertionID"
			}
			if got := str.Attr(security11, "TokenType"); !strings.HasSuffix(got, want) {
				t.Errorf("token type %s (R6611, R6617)", got)
			}
			if n := str.Children[0]; n.Attr("", "ValueType") != typ || n.Text != "_a1" || n.Attr("", "EncodingType") != "" {
				t.Errorf("got %s (R6603, R6604, R6616)", outline(n, 0))
			}
			element := doc[str.Span.Start:str.Span.End]
			token := fmt.Sprintf(`<wsse:BinarySecurityToken wsu:Id="tok" xmlns:wsu="%s" EncodingType="%s" ValueType="%s#X509v3">%s</wsse:BinarySecurityToken>`,
				soap.WSU, base64Type, x509Profile, base64.StdEncoding.EncodeToString(c.cred.Leaf().Raw))
			doc = strings.Replace(doc, element, `<wsse:SecurityTokenReference><wsse:Reference URI="#tok"/></wsse:SecurityTokenReference>`, 1)
			doc = strings.Replace(doc, "<ds:Signature xmlns:ds=\""+DSig+"\"><ds:SignedInfo xmlns:ds=\""+DSig+"\"><ds:CanonicalizationMethod Algorithm=\""+c14n.ExclusiveURI+"\"></ds:CanonicalizationMethod><ds:SignatureMethod", "@MESSAGE@", 2)
			// The assertion's own signature comes first.
			head, tail, _ := strings.Cut(doc, "</saml:Assertion>")
			closing := "</saml:Assertion>"
			if c.issuer.saml11 {
				head, tail, _ = strings.Cut(doc, "</Assertion>")
				closing = "</Assertion>"
			}
			start := "<ds:Signature xmlns:ds=\"" + DSig + "\"><ds:SignedInfo xmlns:ds=\"" + DSig + "\"><ds:CanonicalizationMethod Algorithm=\"" + c14n.ExclusiveURI + "\"></ds:CanonicalizationMethod><ds:SignatureMethod"
			doc = strings.Replace(head, "@MESSAGE@", start, 1) + closing + strings.Replace(tail, "@MESSAGE@", token+element+start, 1)
			if _, err := verifyBytes(g.modernVerifier(t), []byte(doc), Expect{}); err != nil {
				t.Fatalf("%v\n%s", err, doc)
			}
			if _, err := verifyBytes(g.modernVerifier(t), []byte(strings.Replace(doc, "jane", "john", 1)), Expect{}); err == nil {
				t.Error("the assertion is not covered by the signature")
			}
		})
	}
}

func TestSAMLToken_UnsignedIsTheAssertionAlone(t *testing.T) {
	g := newGrid(t)
	i := issuer{Credential: g.Host, bearer: true}
	doc, pending := secureWith(t, &SAMLToken{Assertion: i.source(t), Confirmation: Bearer, Unsigned: true, Issuer: g.verifier.Trust}, modernRequest, nil)
	if _, ok := pending.(UnsignedReply); !ok {
		t.Errorf("the pending is %T", pending)
	}
	s := securityOf(t, doc)
	if len(s.Children) != 2 || s.Children[0].Name.Local != "Timestamp" || s.Children[1].Name.Local != "Assertion" {
		t.Error(outline(s, 0))
	}
}

func TestSAMLToken_HoldsTheReplyAgainstTheRequest(t *testing.T) {
	g := newGrid(t)
	p := &SAMLToken{Assertion: g.issuer(g.User).source(t), Issuer: g.verifier.Trust, Verifier: g.modernVerifier(t), SignatureConfirmation: true}
	_, pending := secureWith(t, p, modernRequest, g.User)
	reply, _ := secureWith(t, &X509Message{}, strings.Replace(modernRequest, "<wsa:To>", `<wsa:RelatesTo>uuid:1</wsa:RelatesTo><wsa:To>`, 1), g.Host)
	_, err := pending.Verify(t.Context(), parse(t, reply), Expect{})
	wantClass(t, err, ClassRelatesTo) // it confirms nothing
	p.SignatureConfirmation = false
	_, pending = secureWith(t, p, modernRequest, g.User)
	if _, err := pending.Verify(t.Context(), parse(t, reply), Expect{}); err != nil {
		t.Error(err)
	}
}

func TestSAMLToken_Refuses(t *testing.T) {
	g := newGrid(t)
	gone := errors.New("no such file")
	source := g.issuer(g.User).source(t)
	engine := strings.Replace(modernRequest, "<soapenv:Header>", `<soapenv:Header><s:Security xmlns:s="`+soap.WSSE+`"/>`, 1)
	for _, c := range []struct {
		name, doc string
		profile   SAMLToken
		cred      *gsi.Credential
		want      error
	}{
		{"an unsigned holder of key", modernRequest, SAMLToken{Unsigned: true}, g.User, ErrUnsignedHolder},
		{"no credential", modernRequest, SAMLToken{}, nil, ErrUnsignedHolder},
		{"a bearer without a credential who is to sign", modernRequest, SAMLToken{Confirmation: Bearer}, nil, ErrUnsignedHolder},
		{"SHA-1", modernRequest, SAMLToken{Digest: SHA1}, g.User, ErrWeakDigest},
		{"the engine's own header", engine, SAMLToken{}, g.User, ErrEngineSecurity},
		{"the engine's own header, unsigned", engine, SAMLToken{Confirmation: Bearer, Unsigned: true}, nil, ErrEngineSecurity},
		{"nothing to answer", strings.ReplaceAll(modernRequest, "MessageID>", "Other>"), SAMLToken{}, g.User, ErrNoMessageID},
		{"a source that fails", modernRequest, SAMLToken{Assertion: func(context.Context) ([]byte, error) { return nil, gone }}, g.User, gone},
		{"an id that the message has", strings.Replace(modernRequest, "<add", `<add ID="_a1"`, 1), SAMLToken{}, g.User, ErrAssertion},
	} {
		if c.profile.Assertion == nil {
			c.profile.Assertion = source
		}
		c.profile.Issuer = g.verifier.Trust
		if _, _, err := c.profile.Secure(t.Context(), parse(t, c.doc), c.cred); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestParseConfirmation(t *testing.T) {
	for _, c := range []Confirmation{HolderOfKey, Bearer} {
		if got, err := ParseConfirmation(c.String()); got != c || err != nil {
			t.Errorf("%s: %v, %v", c, got, err)
		}
	}
	if _, err := ParseConfirmation("sender-vouches"); err == nil {
		t.Error("sender-vouches was read")
	}
}
