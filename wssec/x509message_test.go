package wssec_test

import (
	"bytes"
	"crypto/sha1"
	"crypto/x509"
	"encoding/base64"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
	"gsigw/soap"
	. "gsigw/wssec"
)

// modernRequest is a request as services of today get it.
var modernRequest = strings.NewReplacer(soap.Envelope11, soap.Envelope12, soap.Addressing200403, soap.Addressing200508).Replace(plainRequest)

func secureWith(t testing.TB, p Profile, doc string, c *gsi.Credential) (string, Pending) {
	t.Helper()
	edit, pending, err := p.Secure(t.Context(), parse(t, doc), c)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := edit.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.String(), pending
}

// securityOf reads the security header of a secured message.
func securityOf(t testing.TB, doc string) *soap.Node {
	t.Helper()
	m := parse(t, doc)
	for _, b := range m.Blocks {
		if IsSecurity(b) && b.ForUltimate() {
			tree, err := m.Tree(&b.Element)
			if err != nil {
				t.Fatal(err)
			}
			return tree
		}
	}
	t.Fatal("no security header")
	return nil
}

// modernVerifier knows the user's certificates without being sent them, and takes no SHA-1.
func (g *grid) modernVerifier(t testing.TB) *Verifier {
	v := *g.verifier
	v.Algorithms = Algorithms{}
	v.Certificates = append(slices.Clone(g.Host.Chain[:1]), g.User.Leaf(), g.ECUser.Leaf())
	return &v
}

// identified is a user whose certificate has a subject key identifier.
func (g *grid) identified(t testing.TB) *gsi.Credential {
	t.Helper()
	c, err := g.CA.Issue(gridtest.Request{Name: gridtest.UserName, Change: func(c *x509.Certificate) { c.SubjectKeyId = []byte{1, 2, 3, 250} }})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestX509Message_IsVerified(t *testing.T) {
	g := newGrid(t)
	v := g.modernVerifier(t)
	proxy, identified := g.proxy(t, gsi.Limits{}), g.identified(t)
	v.Certificates = append(v.Certificates, identified.Leaf())
	manyNames := strings.NewReplacer("<soapenv:Envelope", `<soapenv:Envelope xmlns="urn:d" xmlns:q="urn:q?a=1&amp;b" xmlns:ec="urn:e" xmlns:ds="urn:ds" xmlns:wsse="urn:wsse" xmlns:wsu="urn:wsu"`,
		"<soapenv:Header>", `<soapenv:Header xmlns:h="urn:h" xmlns:q="urn:q2">`).Replace(modernRequest)
	for _, c := range []struct {
		name    string
		profile X509Message
		doc     string
		cred    *gsi.Credential
	}{
		{"token", X509Message{}, modernRequest, g.User},
		{"SOAP 1.1", X509Message{}, plainRequest, g.User},
		{"path", X509Message{Token: TokenPKIPath}, modernRequest, g.User},
		{"proxy", X509Message{}, modernRequest, proxy},
		{"sha384", X509Message{Digest: SHA384}, modernRequest, g.User},
		{"sha512", X509Message{Digest: SHA512}, modernRequest, g.User},
		{"ECDSA", X509Message{}, modernRequest, g.ECUser},
		{"ECDSA, sha512", X509Message{Digest: SHA512}, modernRequest, g.ECUser},
		{"issuer and serial number", X509Message{KeyReference: IssuerSerial}, modernRequest, g.User},
		{"key identifier", X509Message{KeyReference: SubjectKeyIdentifier}, modernRequest, identified},
		{"thumbprint", X509Message{KeyReference: Thumbprint}, modernRequest, g.User},
		{"thumbprint, ECDSA", X509Message{KeyReference: Thumbprint}, modernRequest, g.ECUser},
		{"signed token", X509Message{SignToken: true}, modernRequest, g.User},
		{"prefix lists", X509Message{InclusiveNamespaces: true}, modernRequest, g.User},
		{"prefix lists, signed token", X509Message{InclusiveNamespaces: true, SignToken: true}, manyNames, g.User},
		{"prefix lists, no header", X509Message{InclusiveNamespaces: true, Unanswered: true}, `<Envelope xmlns="` + soap.Envelope12 + `" xmlns:x="urn:x"><Body/></Envelope>`, g.User},
		{"many names", X509Message{SignToken: true}, manyNames, g.User},
	} {
		t.Run(c.name, func(t *testing.T) {
			doc, _ := secureWith(t, &c.profile, c.doc, c.cred)
			got, err := verifyBytes(v, []byte(doc), Expect{})
			if err != nil {
				t.Fatalf("%v\n%s", err, doc)
			}
			if want := gsi.OneLine(c.cred.EndEntity().RawSubject); got.Signer.DN != want {
				t.Errorf("signed by %s", got.Signer.DN)
			}
		})
	}
}

// Strict layout (WS-SecurityPolicy 1.2, section 6.7, and Basic Security Profile 1.1, R5205): what is referred to comes
// before what refers to it.
func TestX509Message_PutsTokensBeforeTheirUse(t *testing.T) {
	g := newGrid(t)
	for _, ref := range []KeyReference{BinarySecurityToken, Thumbprint} {
		doc, _ := secureWith(t, &X509Message{KeyReference: ref}, modernRequest, g.User)
		var got []string
		for _, n := range securityOf(t, doc).Children {
			got = append(got, n.Name.Local)
		}
		want := []string{"Timestamp", "BinarySecurityToken", "Signature"}
		if ref == Thumbprint {
			want = slices.Delete(want, 1, 2)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v", ref, got)
		}
	}
}

const (
	x509Profile = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-x509-token-profile-1.0"
	security11  = "http://docs.oasis-open.org/wss/oasis-wss-wssecurity-secext-1.1.xsd"
	base64Type  = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#Base64Binary"
)

func keyReferenceOf(t testing.TB, doc string) *soap.Node {
	t.Helper()
	info := securityOf(t, doc).Child(DSig, "Signature").Child(DSig, "KeyInfo")
	if len(info.Children) != 1 || info.Children[0].Name != (soap.Name{Space: soap.WSSE, Local: "SecurityTokenReference"}) || len(info.Children[0].Children) != 1 {
		t.Fatal("KeyInfo is not one SecurityTokenReference with one child (R5402, R5417, R3061)")
	}
	return info.Children[0]
}

func TestX509Message_NamesItsKeyAsTheProfileSays(t *testing.T) {
	g := newGrid(t)
	user := g.identified(t)
	reference := func(p X509Message) *soap.Node {
		doc, _ := secureWith(t, &p, modernRequest, user)
		return keyReferenceOf(t, doc)
	}
	leaf := user.Leaf()
	for _, c := range []struct {
		ref             KeyReference
		valueType, text string
	}{
		{SubjectKeyIdentifier, x509Profile + "#X509SubjectKeyIdentifier", base64.StdEncoding.EncodeToString(leaf.SubjectKeyId)},
		{Thumbprint, "http://docs.oasis-open.org/wss/oasis-wss-soap-message-security-1.1#ThumbprintSHA1", thumbprint(leaf.Raw)},
	} {
		n := reference(X509Message{KeyReference: c.ref}).Children[0]
		if n.Name.Local != "KeyIdentifier" || n.Attr("", "ValueType") != c.valueType || n.Attr("", "EncodingType") != base64Type || n.Text != c.text {
			t.Errorf("%s: %s", c.ref, outline(n, 0))
		}
	}
	serial := reference(X509Message{KeyReference: IssuerSerial}).Children[0].Children[0]
	if got := serial.Children[0].Text; got != "CN=Test CA,OU=gsigw test,O=Grid" {
		t.Errorf("issuer %s", got)
	}
	if got := serial.Children[1].Text; got != leaf.SerialNumber.String() {
		t.Errorf("serial number %s", got)
	}
	path := reference(X509Message{Token: TokenPKIPath})
	if path.Attr(security11, "TokenType") != x509Profile+"#X509PKIPathv1" || path.Children[0].Attr("", "ValueType") != x509Profile+"#X509PKIPathv1" {
		t.Error("a path without its TokenType and ValueType (R5215, R5216)")
	}
	if token := reference(X509Message{}); token.Children[0].Attr("", "ValueType") != x509Profile+"#X509v3" {
		t.Error("a token without its ValueType (R5218)")
	}
}

var prefixLists = regexp.MustCompile(`PrefixList="([^"]*)"`)

// In order: SignedInfo, Timestamp, Body, MessageID (whose tag uses wsa), ..., the key.
func TestX509Message_ListsThePrefixesThatAreNotSeen(t *testing.T) {
	g := newGrid(t)
	doc, _ := secureWith(t, &X509Message{InclusiveNamespaces: true}, strings.Replace(modernRequest, "<soapenv:Envelope", `<soapenv:Envelope xmlns="urn:d"`, 1), g.User)
	var got []string
	for _, m := range prefixLists.FindAllStringSubmatch(doc, -1) {
		got = append(got, m[1])
	}
	want := []string{
		"#default soapenv wsa wsse xsd", // SignedInfo
		"#default soapenv wsa wsse xsd", // Timestamp
		"#default wsa xsd",              // Body
		"#default soapenv xsd", "#default soapenv xsd", "#default soapenv xsd", "#default soapenv xsd",
		"#default soapenv wsa xsd", // CounterKey
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if doc, _ := secureWith(t, &X509Message{}, modernRequest, g.User); strings.Contains(doc, "InclusiveNamespaces") {
		t.Error("PrefixLists that nobody asked for")
	}
}

// What GT4 ignores is part of the signature elsewhere.
func TestX509Message_DoesNotTakeGT4sQuirk(t *testing.T) {
	g := newGrid(t)
	v := g.modernVerifier(t)
	v.IgnoreSignedInfoPrefixes = true
	p := &X509Message{InclusiveNamespaces: true, Verifier: v}
	request, pending := secureWith(t, p, modernRequest, g.User)
	if _, err := verifyBytes(v, []byte(request), Expect{}); err == nil {
		t.Fatal("the quirk makes no difference here: the test proves nothing")
	}
	reply, _ := secureWith(t, p, strings.Replace(modernRequest, "<wsa:To>", `<wsa:RelatesTo>uuid:1</wsa:RelatesTo><wsa:To>`, 1), g.Host)
	if _, err := pending.Verify(t.Context(), parse(t, reply), Expect{}); err != nil {
		t.Error(err)
	}
	if !v.IgnoreSignedInfoPrefixes {
		t.Error("the caller's verifier was changed")
	}
}

func TestX509Message_SignsItsTokenWhereAsked(t *testing.T) {
	g := newGrid(t)
	references := func(p X509Message) (token string, uris []string) {
		doc, _ := secureWith(t, &p, modernRequest, g.User)
		s := securityOf(t, doc)
		for _, r := range s.Child(DSig, "Signature").Child(DSig, "SignedInfo").All(DSig, "Reference") {
			uris = append(uris, r.Attr("", "URI"))
		}
		return "#" + s.Child(soap.WSSE, "BinarySecurityToken").ID, uris
	}
	if token, uris := references(X509Message{SignToken: true}); !slices.Contains(uris, token) {
		t.Error("the token is not signed")
	}
	if token, uris := references(X509Message{}); slices.Contains(uris, token) {
		t.Error("the token is signed unasked")
	}
}

func TestX509Message_Refuses(t *testing.T) {
	g := newGrid(t)
	proxy := g.proxy(t, gsi.Limits{})
	engine := strings.Replace(modernRequest, "<soapenv:Header>", `<soapenv:Header><s:Security xmlns:s="`+soap.WSSE+`"/>`, 1)
	noID := strings.ReplaceAll(modernRequest, "MessageID>", "Other>")
	for _, c := range []struct {
		name    string
		profile X509Message
		doc     string
		cred    *gsi.Credential
		want    string
	}{
		{"SHA-1", X509Message{Digest: SHA1}, modernRequest, g.User, ErrWeakDigest.Error()},
		{"the engine's own header", X509Message{}, engine, g.User, ErrEngineSecurity.Error()},
		{"nothing to answer", X509Message{}, noID, g.User, ErrNoMessageID.Error()},
		{"an expired credential", X509Message{Now: func() time.Time { return time.Now().AddDate(50, 0, 0) }}, modernRequest, g.User, ErrCredentialExpired.Error()},
		{"a token to sign that is none", X509Message{SignToken: true, KeyReference: Thumbprint}, modernRequest, g.User, "no token to sign"},
		{"a proxy that nobody knows", X509Message{KeyReference: Thumbprint}, modernRequest, proxy, "name the key by token"},
		{"no key identifier", X509Message{KeyReference: SubjectKeyIdentifier}, modernRequest, g.User, "name it by thumbprint or issuer-serial"},
		{"a reference that is none", X509Message{KeyReference: 99}, modernRequest, g.User, "no name for a certificate"},
	} {
		_, _, err := c.profile.Secure(t.Context(), parse(t, c.doc), c.cred)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestParseKeyReference(t *testing.T) {
	for _, k := range []KeyReference{ReferenceDefault, BinarySecurityToken, IssuerSerial, SubjectKeyIdentifier, Thumbprint} {
		if got, err := ParseKeyReference(k.String()); got != k || err != nil {
			t.Errorf("%s: %v, %v", k, got, err)
		}
	}
	if _, err := ParseKeyReference("KeyReference(9)"); err == nil {
		t.Error("a reference that is none was read")
	}
}

func TestParseDigest(t *testing.T) {
	for _, d := range []Digest{SHA1, SHA256, SHA384, SHA512} {
		if got, err := ParseDigest(d.String()); got != d || err != nil {
			t.Errorf("%s: %v, %v", d, got, err)
		}
	}
	if _, err := ParseDigest("md5"); err == nil {
		t.Error("md5 was read")
	}
}

func TestVerify_RefusesKeysItDoesNotKnow(t *testing.T) {
	g := newGrid(t)
	v := g.modernVerifier(t)
	v.Certificates = g.Host.Chain[:1]
	for _, ref := range []KeyReference{IssuerSerial, SubjectKeyIdentifier, Thumbprint} {
		doc, _ := secureWith(t, &X509Message{KeyReference: ref}, modernRequest, g.identified(t))
		_, err := verifyBytes(v, []byte(doc), Expect{})
		wantClass(t, err, ClassUntrusted)
	}
}

// A certificate that is known is trusted no more than one that is sent.
func TestVerify_HoldsKnownCertificatesAgainstTrust(t *testing.T) {
	g := newGrid(t)
	v := g.modernVerifier(t)
	nobody := gridtest.Must(gridtest.NewAuthority("/O=Grid/OU=gsigw test/CN=Nobody CA", gridtest.PKIOptions{Now: time.Now()}))
	stranger := gridtest.Must(nobody.Issue(gridtest.Request{Name: gridtest.UserName}))
	v.Certificates = stranger.Chain[:1]
	doc, _ := secureWith(t, &X509Message{KeyReference: Thumbprint}, modernRequest, stranger)
	_, err := verifyBytes(v, []byte(doc), Expect{})
	wantClass(t, err, ClassUntrusted)
}

func thumbprint(der []byte) string {
	sum := sha1.Sum(der)
	return base64.StdEncoding.EncodeToString(sum[:])
}

func TestVerify_RefusesKeyNamesThatAreNone(t *testing.T) {
	g := newGrid(t)
	v := g.modernVerifier(t)
	named := func(ref KeyReference) string {
		doc, _ := secureWith(t, &X509Message{KeyReference: ref}, modernRequest, g.User)
		return doc
	}
	serial := "<ds:X509SerialNumber>" + g.User.Leaf().SerialNumber.String() + "<"
	for _, c := range []struct {
		name string
		ref  KeyReference
		old  string
		new  string
		want Class
	}{
		{"no base64", Thumbprint, "=</wsse:KeyId", "</wsse:KeyId", ClassMalformed},
		{"another encoding", Thumbprint, `<wsse:KeyIdentifier EncodingType="`, `<wsse:KeyIdentifier EncodingType="urn:hex`, ClassMalformed},
		{"another kind", Thumbprint, "#ThumbprintSHA1", "#EncryptedKeySHA1", ClassMalformed},
		{"two names", Thumbprint, "<wsse:KeyIdentifier", "<wsse:KeyName/><wsse:KeyIdentifier", ClassMalformed},
		{"no DN", IssuerSerial, "CN=Test CA,OU=gsigw test,O=Grid", "Test CA", ClassMalformed},
		{"another issuer", IssuerSerial, "CN=Test CA,OU=", "CN=Test CB,OU=", ClassUntrusted},
		{"no number", IssuerSerial, serial, "<ds:X509SerialNumber>x<", ClassMalformed},
		{"too long a number", IssuerSerial, serial, "<ds:X509SerialNumber>" + strings.Repeat("1", 200) + "<", ClassMalformed},
		{"another number", IssuerSerial, serial, serial[:len(serial)-1] + "0<", ClassUntrusted},
		{"no serial number", IssuerSerial, "ds:X509SerialNumber>", "ds:X509Other>", ClassMalformed},
		{"as Java writes it", IssuerSerial, "CN=Test CA,OU=gsigw test,O=Grid", "CN=Test CA, OU=gsigw test, O=Grid", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			doc := named(c.ref)
			if !strings.Contains(doc, c.old) {
				t.Fatal("not in the message:", c.old)
			}
			_, err := verifyBytes(v, []byte(strings.ReplaceAll(doc, c.old, c.new)), Expect{})
			if c.want == "" && err != nil {
				t.Fatal(err)
			}
			if c.want != "" {
				wantClass(t, err, c.want)
			}
		})
	}
}

// A name is read for the certificate of the serial number alone: there may be thousands.
func TestVerify_ReadsTheNameOfTheCertificateOfThatNumberAlone(t *testing.T) {
	g := newGrid(t)
	doc, _ := secureWith(t, &X509Message{KeyReference: IssuerSerial}, modernRequest, g.User)
	m := parse(t, doc)
	allocations := func(others int) float64 {
		v := g.modernVerifier(t)
		v.Certificates = append(slices.Repeat(g.Host.Chain[:1], others), g.User.Leaf())
		return testing.AllocsPerRun(3, func() {
			if _, err := v.Verify(t.Context(), m, Expect{}); err != nil {
				t.Fatal(err)
			}
		})
	}
	if few, many := allocations(1), allocations(1000); many > few+500 {
		t.Errorf("%v allocations with one other certificate, %v with a thousand", few, many)
	}
}

// A certificate without an identifier is not the one that nothing names.
func TestVerify_FindsNoCertificateByNoName(t *testing.T) {
	g := newGrid(t)
	v := g.modernVerifier(t)
	bare := *g.User.Leaf()
	bare.SubjectKeyId = nil
	v.Certificates = []*x509.Certificate{&bare}
	doc, _ := secureWith(t, &X509Message{KeyReference: SubjectKeyIdentifier}, modernRequest, g.identified(t))
	for _, id := range []string{"", " "} {
		nothing := regexp.MustCompile(`(<wsse:KeyIdentifier [^>]*>)[^<]*`).ReplaceAllString(doc, "${1}"+id)
		_, err := verifyBytes(v, []byte(nothing), Expect{})
		wantClass(t, err, ClassMalformed)
	}
}

func TestVerify_OfSeveralCertificatesTakesTheOneWhoseTimeItIs(t *testing.T) {
	g := newGrid(t)
	v := g.modernVerifier(t)
	ski := func(c *x509.Certificate) { c.SubjectKeyId = []byte{7} }
	issue := func(r gridtest.Request) *gsi.Credential {
		r.Name, r.Key, r.Change = gridtest.UserName, g.User.Key, ski
		return gridtest.Must(g.CA.Issue(r))
	}
	old := issue(gridtest.Request{NotBefore: time.Now().Add(-3 * time.Hour), NotAfter: time.Now().Add(-time.Hour)})
	new := issue(gridtest.Request{})
	doc, _ := secureWith(t, &X509Message{KeyReference: SubjectKeyIdentifier}, modernRequest, new)
	for _, known := range [][]*x509.Certificate{{old.Leaf(), new.Leaf()}, {new.Leaf(), old.Leaf()}} {
		v.Certificates = known
		if _, err := verifyBytes(v, []byte(doc), Expect{}); err != nil {
			t.Error(err)
		}
	}
}
