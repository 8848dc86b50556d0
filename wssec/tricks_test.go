package wssec_test

import (
	"crypto/x509"
	"strings"
	"testing"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
	"gsigw/soap"
	. "gsigw/wssec"
)

// The token is not signed: whatever is put in its place, the message speaks for whoever the key was certified to.
func TestVerify_TokensInTheTokensPlace(t *testing.T) {
	g := newGrid(t)
	proxy := g.proxy(t, gsi.Limits{})
	signed := secure(t, &GSIMessage{}, plainRequest, proxy)
	issue := func(a *gridtest.Authority, r gridtest.Request) *gsi.Credential { return gridtest.Must(a.Issue(r)) }
	leaf, user, ca := proxy.Chain[0], g.User.Leaf(), g.CA.Cert
	namesake := issue(g.Other, gridtest.Request{Name: gridtest.UserName, Key: g.User.Key}).Leaf()
	fakeCA := gridtest.Must(gridtest.NewAuthority(gridtest.CAName, gridtest.PKIOptions{})).Cert
	other := issue(g.CA, gridtest.Request{Name: "/O=Grid/OU=gsigw test/CN=Mallory"})
	// Mallory has a proxy of hers made over Jane's proxy key, which she does not have.
	borrowed := gridtest.Must(gsi.Mint(other, proxy.Key.Public(), gsi.Limits{}))
	for _, c := range []struct {
		name   string
		path   []*x509.Certificate
		want   Class
		signer string
	}{
		{"as it was", []*x509.Certificate{user, leaf}, "", gridtest.UserName},
		{"with the CA", []*x509.Certificate{ca, user, leaf}, "", gridtest.UserName},
		{"with a CA of the same name", []*x509.Certificate{fakeCA, user, leaf}, "", gridtest.UserName},
		{"the CA twice", []*x509.Certificate{ca, ca, user, leaf}, ClassUntrusted, ""},
		{"end entity twice", []*x509.Certificate{user, user, leaf}, ClassMalformed, ""},
		{"two end entities", []*x509.Certificate{other.Leaf(), user, leaf}, ClassMalformed, ""},
		{"end entity in between", []*x509.Certificate{user, other.Leaf(), leaf}, ClassMalformed, ""},
		{"another end entity's key", []*x509.Certificate{other.Leaf()}, ClassSignature, ""},
		{"end entity for its proxy", []*x509.Certificate{user}, ClassSignature, ""},
		{"proxy alone", []*x509.Certificate{leaf}, ClassUntrusted, ""},
		{"the CA as signer", []*x509.Certificate{ca}, ClassSignature, ""},
		{"a namesake of another CA", []*x509.Certificate{namesake, leaf}, ClassUntrusted, ""},
		{"leaf first", []*x509.Certificate{leaf, user}, ClassMalformed, ""},
		{"empty", nil, ClassMalformed, ""},
		{"somebody else's proxy over the key", []*x509.Certificate{borrowed[1], borrowed[0]}, "", "/O=Grid/OU=gsigw test/CN=Mallory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := verifyBytes(g.verifier, []byte(token("X509PKIPathv1", path(c.path...))(signed)), Expect{})
			if c.want != "" {
				wantClass(t, err, c.want)
				return
			}
			if err != nil || got.Signer.DN != c.signer {
				t.Errorf("%v, %+v", err, got)
			}
		})
	}
}

// Other writings of the same infoset are the same message, and give back the same.
func TestVerify_TakesOtherWritings(t *testing.T) {
	g := newGrid(t)
	signed := secure(t, &GSIMessage{}, plainRequest, g.User)
	want := givenBack(t, g, signed)
	id := bodyID(signed)
	for name, change := range map[string]func(string) string{
		"id with a reference":             put(`wsu:Id="`+id, `wsu:Id="`+strings.Replace(id, "-", "&#45;", 1)),
		"URI with a reference":            put(`URI="#`+id, `URI="&#x23;`+id),
		"comment in DigestValue":          regex(`(<ds:DigestValue>..)`, "$1<!-- x -->"),
		"CDATA in DigestValue":            regex(`<ds:DigestValue>(....)`, "<ds:DigestValue><![CDATA[$1]]>"),
		"reference in DigestValue":        regex(`=</ds:DigestValue>`, "&#61;</ds:DigestValue>"),
		"comment in SignatureValue":       regex(`(<ds:SignatureValue>..)`, "$1<!-- x -->"),
		"white space in SignatureValue":   regex(`(<ds:SignatureValue>..)`, "$1\r\n\t "),
		"comment in the token":            put("</wsse:BinarySecurityToken>", "<!-- x --></wsse:BinarySecurityToken>"),
		"comment in Created":              regex(`(<wsu:Created>....)`, "$1<!-- x -->"),
		"attributes on Envelope":          put("<soapenv:Envelope ", `<soapenv:Envelope xml:lang="de" soapenv:encodingStyle="urn:x" `),
		"attributes on Header":            put("<soapenv:Header", `<soapenv:Header xml:space="preserve" Id="h"`),
		"more declarations on Envelope":   put("<soapenv:Envelope ", `<soapenv:Envelope xmlns="urn:evil" xmlns:evil="urn:evil" `),
		"another prefix of Envelope":      func(d string) string { return otherEnvelopePrefix(d) },
		"unsigned header of ours to obey": put("</soapenv:Header>", `<x:y xmlns:x="urn:x" soapenv:mustUnderstand="1"/></soapenv:Header>`),
	} {
		t.Run(name, func(t *testing.T) {
			if got := givenBack(t, g, change(signed)); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// otherEnvelopePrefix renames the envelope's own tags, which nobody signs.
func otherEnvelopePrefix(doc string) string {
	return strings.NewReplacer("<soapenv:Envelope ", `<e:Envelope xmlns:e="`+soap.Envelope11+`" `, "</soapenv:Envelope>", "</e:Envelope>",
		"<soapenv:Header>", "<e:Header>", "</soapenv:Header>", "</e:Header>").Replace(doc)
}

// A changed name space is a changed message, whatever the prefix.
func TestVerify_RefusesNamespaceTricks(t *testing.T) {
	g := newGrid(t)
	signed := secure(t, &GSIMessage{}, plainRequest, g.User)
	for _, a := range []attack{
		{"prefix bound anew on Envelope", ClassDigest, put(`xmlns:wsa="`+soap.Addressing200403, `xmlns:wsa="`+soap.Addressing200408)},
		{"prefix bound anew on the operation", ClassDigest, put(`<add xmlns="http://counter.com"`, `<add xmlns="http://counter.org"`)},
		{"another prefix for a signed name", ClassDigest, renamed("wsa:To", "wsb:To")},
		{"undeclared prefix", ClassMalformed, put("<wsa:To ", "<nope:To ")},
		{"Id twice by two prefixes", ClassMalformed, put("<soapenv:Body ", `<soapenv:Body xmlns:u="`+soap.WSU+`" u:Id="evil" `)},
		{"attribute slipped into a signed part", ClassDigest, put("<add ", `<add href="#evil" `)},
		{"actor slipped onto a signed header", ClassDigest, put("<wsa:To ", `<wsa:To soapenv:actor="urn:other" `)},
		{"processing instruction", ClassMalformed, put("<add ", `<?evil?><add `)},
		{"entity", ClassDTD, put("5 &amp;", "5 &evil;")},
		{"DTD", ClassDTD, put("<soapenv:Envelope", "<!DOCTYPE x [<!ENTITY amp 'evil'>]><soapenv:Envelope")},
		{"id in another case", ClassWrapped, put(`wsu:Id="id-`, `wsu:id="id-`)},
	} {
		t.Run(a.name, func(t *testing.T) {
			doc := strings.Replace(signed, "<soapenv:Envelope ", `<soapenv:Envelope xmlns:wsb="`+soap.Addressing200403+`" `, 1)
			_, err := verifyBytes(g.verifier, []byte(a.change(doc)), Expect{})
			wantClass(t, err, a.want)
		})
	}
}
