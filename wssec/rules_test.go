package wssec_test

import (
	"crypto/x509"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"gsigw/gsi"
	"gsigw/soap"
	"gsigw/trust"
	. "gsigw/wssec"
	"gsigw/wssec/c14n"
)

// renamed changes the name of the first element of that name, start and end.
func renamed(name, to string) func(string) string {
	return func(doc string) string {
		el := cut(doc, name)
		return strings.Replace(doc, el, "<"+to+el[len(name)+1:len(el)-len(name)-1]+to+">", 1)
	}
}

// firstTransform changes the algorithm of the first Transform, and puts something into it.
func firstTransform(algorithm, inside string) func(string) string {
	return regex(`<ds:Transform Algorithm="[^"]*">`, `<ds:Transform Algorithm="`+algorithm+`">`+inside)
}

func listOf(space, local, inside string) string {
	return `<l:` + local + ` xmlns:l="` + space + `" PrefixList="a">` + inside + `</l:` + local + `>`
}

// What stands in a signature is what the schema and our rules name, and nothing else.
func TestVerify_RefusesOtherStructures(t *testing.T) {
	g := newGrid(t)
	signed := secure(t, &GSIMessage{}, plainRequest, g.User)
	noRefs := func(doc string) string {
		return regexp.MustCompile(`<ds:Reference .*</ds:Reference>`).ReplaceAllString(doc, "")
	}
	str := `<wsse:SecurityTokenReference><wsse:Reference URI="#` + idOf(signed, "wsse:BinarySecurityToken") + `"/></wsse:SecurityTokenReference>`
	certificate := "<ds:X509Certificate>" + string(base64Of(g.User.Leaf().Raw)) + "</ds:X509Certificate>"
	for _, a := range []attack{
		{"empty SignatureValue", ClassMalformed, regex(`<ds:SignatureValue>[^<]*`, "<ds:SignatureValue>")},
		{"SignatureValue by another name", ClassMalformed, renamed("ds:SignatureValue", "ds:Value")},
		{"SignedInfo without references", ClassMalformed, noRefs},
		{"CanonicalizationMethod by another name", ClassMalformed, renamed("ds:CanonicalizationMethod", "ds:Canon")},
		{"SignatureMethod by another name", ClassMalformed, renamed("ds:SignatureMethod", "ds:Method")},
		{"SignatureMethod with a parameter", ClassAlgorithm, put("</ds:SignatureMethod>", "<ds:HMACOutputLength>8</ds:HMACOutputLength></ds:SignatureMethod>")},
		{"two prefix lists", ClassAlgorithm, firstTransform(c14n.ExclusiveURI, strings.Repeat(listOf(c14n.ExclusiveURI, "InclusiveNamespaces", ""), 2))},
		{"prefix list for inclusive", ClassAlgorithm, firstTransform(c14n.InclusiveURI, listOf(c14n.ExclusiveURI, "InclusiveNamespaces", ""))},
		{"other parameter", ClassAlgorithm, firstTransform(c14n.ExclusiveURI, listOf(c14n.ExclusiveURI, "Other", ""))},
		{"prefix list with an element", ClassAlgorithm, firstTransform(c14n.ExclusiveURI, listOf(c14n.ExclusiveURI, "InclusiveNamespaces", "<x/>"))},
		{"Reference by another name", ClassMalformed, renamed("ds:Reference", "ds:Manifest")},
		{"Transforms by another name", ClassMalformed, renamed("ds:Transforms", "ds:Other")},
		{"DigestMethod by another name", ClassMalformed, renamed("ds:DigestMethod", "ds:Other")},
		{"DigestValue by another name", ClassMalformed, renamed("ds:DigestValue", "ds:Other")},
		{"more in Reference", ClassMalformed, put("</ds:Reference>", "<ds:Other/></ds:Reference>")},
		{"more in Reference without Transforms", ClassMalformed, func(d string) string {
			return strings.Replace(strings.Replace(d, cut(d, "ds:Transforms"), "", 1), "</ds:Reference>", "<ds:Other/><ds:Other/></ds:Reference>", 1)
		}},
		{"unknown digest", ClassAlgorithm, put("xmlenc#sha256", "xmlenc#ripemd160")},
		{"short digest", ClassMalformed, regex(`<ds:DigestValue>[^<]*`, "<ds:DigestValue>AAAA")},
		{"base64 with bits to spare", ClassMalformed, regex(`<ds:DigestValue>([^<]*).=`, "<ds:DigestValue>${1}B=")},
		{"reference without #", ClassWrapped, put(`URI="#id-`, `URI="id-`)},
		{"reference to nothing", ClassWrapped, regex(`URI="#id-[^"]*"`, `URI="#"`)},
		{"two keys", ClassMalformed, put("</ds:KeyInfo>", str+"</ds:KeyInfo>")},
		{"key by name", ClassMalformed, renamed("wsse:SecurityTokenReference", "ds:KeyName")},
		{"two token references", ClassMalformed, put("</wsse:SecurityTokenReference>", "<wsse:Reference/></wsse:SecurityTokenReference>")},
		{"token reference of another type", ClassMalformed, regex(`(<wsse:Reference URI="[^"]*" ValueType="[^"]*)X509v3`, "${1}X509PKIPathv1")},
		{"no X509Certificate", ClassMalformed, keyInfo(`<ds:X509Data/>`)},
		{"more in X509Data", ClassMalformed, keyInfo(`<ds:X509Data>` + certificate + `<ds:X509SubjectName/></ds:X509Data>`)},
		{"more beside X509Data", ClassMalformed, put("<wsse:Reference ", `<ds:X509Data>`+certificate+`</ds:X509Data><wsse:Reference `)},
		{"token without id, reference without", ClassMalformed, inOrder(regex(`( EncodingType="[^"]*" ValueType="[^"]*") wsu:Id="[^"]*"`, "$1"), regex(`<wsse:Reference URI="[^"]*"`, `<wsse:Reference URI=""`))},
		{"too many X509Certificates", ClassLimit, keyInfo(`<ds:X509Data>` + strings.Repeat("<ds:X509Certificate/>", 17) + `</ds:X509Data>`)},
		{"X509Certificate not base64", ClassMalformed, keyInfo(`<ds:X509Data><ds:X509Certificate>*</ds:X509Certificate></ds:X509Data>`)},
		{"token not base64", ClassMalformed, put("</wsse:BinarySecurityToken>", "*</wsse:BinarySecurityToken>")},
		{"SOAP in SOAP of another version", ClassMalformed, put("<soapenv:Header>", `<e:Header xmlns:e="`+soap.Envelope12+`"/><soapenv:Header>`)},
		{"mixed addressing dialects", ClassMalformed, put("</soapenv:Header>", `<a:To xmlns:a="`+soap.Addressing200508+`"/></soapenv:Header>`)},
		{"two To headers", ClassMalformed, put("</soapenv:Header>", `<wsa:To>urn:evil</wsa:To></soapenv:Header>`)},
	} {
		t.Run(a.name, func(t *testing.T) {
			_, err := verifyBytes(g.verifier, []byte(a.change(signed)), Expect{})
			wantClass(t, err, a.want)
		})
	}
}

func keyInfo(content string) func(string) string {
	return func(doc string) string {
		return strings.Replace(doc, cut(doc, "wsse:SecurityTokenReference"), content, 1)
	}
}

// reference is one more, to that id.
func reference(id string) func(string) string {
	return put("</ds:SignedInfo>", `<ds:Reference URI="#`+id+`"><ds:Transforms><ds:Transform Algorithm="`+c14n.ExclusiveURI+`"/></ds:Transforms>`+
		`<ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/><ds:DigestValue></ds:DigestValue></ds:Reference></ds:SignedInfo>`)
}

const foreignSecurity = `<s:Security xmlns:s="` + soap.WSSE + `" xmlns:u="` + soap.WSU + `" soapenv:actor="urn:other" u:Id="foreign"/>`

// What a signer writes of its own accord is held to the same rules.
func TestVerify_SignersVariants(t *testing.T) {
	g := newGrid(t)
	signed := secure(t, &GSIMessage{}, plainRequest, g.User)
	bodyID, tokenID := idOf(signed, "soapenv:Body"), idOf(signed, "wsse:BinarySecurityToken")
	for _, c := range []variant{
		{"as it is", "", inOrder()},
		{"without Transforms", "", func(d string) string { return strings.ReplaceAll(d, cut(d, "ds:Transforms"), "") }},
		{"token signed", "", reference(tokenID)},
		{"another's security header signed", "", inOrder(put("</soapenv:Header>", foreignSecurity+"</soapenv:Header>"), reference("foreign"))},
		{"two references to one element", ClassMalformed, reference(bodyID)},
		{"our security header itself", ClassWrapped, inOrder(put("<wsse:Security ", `<wsse:Security Id="own" `), reference("own"))},
		{"something else in Security", ClassWrapped, inOrder(put("</wsse:Security>", `<x:y xmlns:x="urn:x" Id="else"/></wsse:Security>`), reference("else"))},
		{"Body without an id", ClassWrapped, inOrder(put(` wsu:Id="`+bodyID+`"`, ""), put(`URI="#`+bodyID+`"`, `URI="#"`))},
		{"an id that reads as an XPointer", ClassWrapped, everywhere(bodyID, "xpointer(/)")},
		{"ECDSA named, RSA used", ClassSignature, put("rsa-sha256", "ecdsa-sha256")},
	} {
		t.Run(c.name, func(t *testing.T) {
			doc := sealer{key: g.User.Key}.seal(t, c.edit(signed))
			_, err := verifyBytes(g.verifier, []byte(doc), Expect{})
			if c.want == "" && err != nil {
				t.Fatal(err)
			}
			if c.want != "" {
				wantClass(t, err, c.want)
			}
		})
	}
	ec := secure(t, &GSIMessage{}, plainRequest, g.ECUser)
	_, err := verifyBytes(g.verifier, []byte(sealer{key: g.ECUser.Key}.seal(t, put("ecdsa-sha256", "rsa-sha256")(ec))), Expect{})
	wantClass(t, err, ClassSignature)
}

// SHA-1 and MD5 are judged in both places where they can stand.
func TestVerify_RefusesWeakHashesInEitherPlace(t *testing.T) {
	g := newGrid(t)
	g.verifier.Algorithms = Algorithms{}
	signed := secure(t, &GSIMessage{}, plainRequest, g.User)
	for _, edit := range []func(string) string{
		put("http://www.w3.org/2001/04/xmlenc#sha256", DSig+"sha1"), put("http://www.w3.org/2001/04/xmlenc#sha256", DSigMore+"md5"),
		put(DSigMore+"rsa-sha256", DSig+"rsa-sha1"), put("rsa-sha256", "rsa-md5"),
	} {
		doc := sealer{key: g.User.Key}.seal(t, edit(signed))
		_, err := verifyBytes(g.verifier, []byte(doc), Expect{})
		wantClass(t, err, ClassAlgorithm)
		v := *g.verifier
		v.Algorithms = Algorithms{SHA1: true, MD5: true}
		if _, err := verifyBytes(&v, []byte(doc), Expect{}); err != nil {
			t.Error(err)
		}
	}
}

func TestVerify_TakesWeakKeysOnlyWhereNamed(t *testing.T) {
	doc := []byte((&probe{}).make(t, gt4Credential(t, "proxy-x-sha1-512")))
	store, err := trust.Open("testdata/gt4/certificates", trust.Options{AllowRSA512: true})
	if err != nil {
		t.Fatal(err)
	}
	v := &Verifier{Trust: store, Now: func() time.Time { return probeTime }, Algorithms: Algorithms{SHA1: true}}
	_, err = verifyBytes(v, doc, Expect{})
	wantClass(t, err, ClassAlgorithm)
	v.Algorithms.MinRSABits = 512
	if _, err := verifyBytes(v, doc, Expect{}); err != nil {
		t.Error(err)
	}
}

func TestVerify_RefusesKeysBeyondTheLimit(t *testing.T) {
	g := newGrid(t)
	for bits, want := range map[int]Class{8192: ClassSignature, 8256: ClassLimit} {
		_, err := verifyBytes(g.verifier, []byte(token("X509v3", selfSigned(t, g, bits))(secure(t, &GSIMessage{}, plainRequest, g.User))), Expect{})
		wantClass(t, err, want)
	}
}

// X509Data may hold a chain in either order.
func TestVerify_TakesX509DataInEitherOrder(t *testing.T) {
	g := newGrid(t)
	proxy := g.proxy(t, gsi.Limits{})
	signed := secure(t, &GSIMessage{}, plainRequest, proxy)
	for _, chain := range [][]*x509.Certificate{proxy.Chain, {proxy.Chain[1], proxy.Chain[0]}} {
		data := ""
		for _, c := range chain {
			data += fmt.Sprintf("<ds:X509Certificate>%s</ds:X509Certificate>", base64Of(c.Raw))
		}
		for _, format := range []string{"<ds:X509Data>%s</ds:X509Data>", "<wsse:SecurityTokenReference><ds:X509Data>%s</ds:X509Data></wsse:SecurityTokenReference>"} {
			if _, err := verifyBytes(g.verifier, []byte(keyInfo(fmt.Sprintf(format, data))(signed)), Expect{}); err != nil {
				t.Error(err)
			}
		}
	}
}

// A header that nothing but its name shows to be a resource key counts in requests.
func TestVerify_KnowsResourceKeys(t *testing.T) {
	g := newGrid(t)
	for _, c := range []struct {
		block string
		role  Role
		want  Class
	}{
		{`<k:Any xmlns:k="http://counter.com"/>`, Request, ClassUnsignedPart},
		{`<k:Any xmlns:k="http://counter.com"/>`, Reply, ""},
		{`<k:Any xmlns:k="http://counter.com/Counter"/>`, Request, ClassUnsignedPart}, // the action starts so
		{`<k:SomeKey xmlns:k="urn:k"/>`, Request, ClassUnsignedPart},
		{`<k:ResourceID xmlns:k="urn:k"/>`, Request, ClassUnsignedPart},
		{`<k:Trace xmlns:k="urn:k"/>`, Request, ""},
		{`<Trace/>`, Request, ""},
	} {
		plain := strings.Replace(plainRequest, "<wsa:To>", `<wsa:RelatesTo>uuid:0</wsa:RelatesTo><wsa:To>`, 1)
		doc := put("</soapenv:Header>", c.block+"</soapenv:Header>")(secure(t, &GSIMessage{}, plain, g.User))
		_, err := verifyBytes(g.verifier, []byte(doc), Expect{Role: c.role})
		if c.want == "" && err != nil {
			t.Errorf("%s: %v", c.block, err)
		}
		if c.want != "" {
			wantClass(t, err, c.want)
		}
	}
	plain := strings.NewReplacer(`xmlns="http://counter.com"`, `xmlns="urn:op"`).Replace(plainRequest)
	doc := put("</soapenv:Header>", `<k:Any xmlns:k="urn:op"/></soapenv:Header>`)(secure(t, &GSIMessage{}, plain, g.User))
	_, err := verifyBytes(g.verifier, []byte(doc), Expect{})
	wantClass(t, err, ClassUnsignedPart)
}

// A message that comes early is remembered for as long as it would be taken again.
func TestVerify_RemembersEarlyMessagesLongEnough(t *testing.T) {
	g := newGrid(t)
	now := time.Now()
	clock := now
	g.verifier.Now = func() time.Time { return clock }
	g.verifier.Replay = NewReplayCache(0, g.verifier.Now)
	early := &GSIMessage{Now: func() time.Time { return now.Add(4 * time.Minute) }, Lifetime: time.Hour}
	doc := []byte(secure(t, early, plainRequest, g.User))
	if _, err := verifyBytes(g.verifier, doc, Expect{}); err != nil {
		t.Fatal(err)
	}
	clock = now.Add(8 * time.Minute)
	_, err := verifyBytes(g.verifier, doc, Expect{})
	wantClass(t, err, ClassReplay)
	early.Unanswered = true
	other := []byte(secure(t, early, without("wsa:MessageID")(plainRequest), g.User))
	if _, err := verifyBytes(g.verifier, other, Expect{}); err != nil {
		t.Error("a message of four minutes ago that was never seen is refused:", err)
	}
}

func TestVerify_RefusesRepliesToSeveralRequests(t *testing.T) {
	g := newGrid(t)
	relates := func(ids ...string) string {
		headers := ""
		for _, id := range ids {
			headers += "<wsa:RelatesTo>" + id + "</wsa:RelatesTo>"
		}
		return secure(t, &GSIMessage{}, strings.Replace(plainRequest, "<wsa:To>", headers+"<wsa:To>", 1), g.Host)
	}
	for _, c := range []struct {
		ids  []string
		want Class
	}{
		{[]string{"uuid:1"}, ""},
		{[]string{" uuid:1\n"}, ""},
		{[]string{"uuid:1", "uuid:2"}, ClassRelatesTo},
		{[]string{"uuid:2", "uuid:1"}, ClassRelatesTo},
		{[]string{"uuid:1", "uuid:1"}, ClassRelatesTo},
		{[]string{"UUID:1"}, ClassRelatesTo},
		{[]string{""}, ClassRelatesTo},
	} {
		_, err := verifyBytes(g.verifier, []byte(relates(c.ids...)), Expect{Role: Reply, RelatesTo: "uuid:1"})
		if c.want == "" && err != nil {
			t.Errorf("%q: %v", c.ids, err)
		}
		if c.want != "" {
			wantClass(t, err, c.want)
		}
	}
}

func TestVerify_RefusesChainOutOfItsTimeByOurClock(t *testing.T) {
	g := newGrid(t)
	later := time.Now().AddDate(2, 0, 0).UTC()
	g.verifier.Now = func() time.Time { return later }
	_, err := g.verifySealed(t, timestamp(later.Format(time.RFC3339), later.Add(time.Minute).Format(time.RFC3339)))
	wantClass(t, err, ClassExpired)
}

func TestVerify_RefusesReplyThatAnswersNothing(t *testing.T) {
	g := newGrid(t)
	_, err := verifyBytes(g.verifier, []byte(secure(t, &GSIMessage{}, plainRequest, g.Host)), Expect{Role: Reply})
	wantClass(t, err, ClassRelatesTo)
}

func TestSecure_RefusesIDsThatWouldNeedEscapes(t *testing.T) {
	g := newGrid(t)
	for _, id := range []string{"a&amp;b", "a&lt;b", "a&quot;b", "a b"} {
		doc := put("<soapenv:Body", `<soapenv:Body xmlns:u="`+soap.WSU+`" u:Id="`+id+`"`)(plainRequest)
		if _, _, err := (&GSIMessage{}).Secure(t.Context(), parse(t, doc), g.User); err == nil {
			t.Errorf("%s: signed", id)
		}
	}
}

func TestVerify_RequiresSignedParts(t *testing.T) {
	g := newGrid(t)
	signed := secure(t, &GSIMessage{}, plainRequest, g.User)
	always := []soap.Name{{Space: soap.Envelope11, Local: "Body"}, {Space: soap.WSU, Local: "Timestamp"}, {Space: soap.Addressing200403, Local: "To"}}
	if _, err := verifyBytes(g.verifier, []byte(signed), Expect{Require: always}); err != nil {
		t.Error(err)
	}
	unsigned := put("</soapenv:Header>", `<c:Consent xmlns:c="urn:x"/></soapenv:Header>`)(signed)
	_, err := verifyBytes(g.verifier, []byte(unsigned), Expect{Require: []soap.Name{{Space: "urn:x", Local: "Consent"}}})
	wantClass(t, err, ClassUnsignedPart)
}
