package wssec_test

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"gsigw/gsi"
	"gsigw/soap"
	"gsigw/trust"
	. "gsigw/wssec"
)

// cut gives the first element of that qualified name, markup included.
func cut(doc, name string) string {
	start := strings.Index(doc, "<"+name)
	tag := "</" + strings.TrimSpace(name) + ">"
	return doc[start : start+strings.Index(doc[start:], tag)+len(tag)]
}

func bodyID(doc string) string {
	return regexp.MustCompile(`<soapenv:Body[^>]* wsu:Id="([^"]*)"`).FindStringSubmatch(doc)[1]
}

// attack changes a signed message; the class is what must come of it.
type attack struct {
	name   string
	want   Class
	change func(doc string) string
}

// put replaces the first occurrence, and fails the test where there is none.
func put(old, new string) func(string) string {
	return func(doc string) string {
		if !strings.Contains(doc, old) {
			panic("not in the message: " + old)
		}
		return strings.Replace(doc, old, new, 1)
	}
}

// regex replaces the first match.
func regex(pattern, new string) func(string) string {
	return func(doc string) string {
		re := regexp.MustCompile(pattern)
		loc := re.FindStringIndex(doc)
		if loc == nil {
			panic("not in the message: " + pattern)
		}
		return doc[:loc[0]] + re.ReplaceAllString(doc[loc[0]:loc[1]], new) + doc[loc[1]:]
	}
}

const evilBody = `<soapenv:Body><add xmlns="http://counter.com">666</add></soapenv:Body>`

// inWrapper moves the signed element name into a header block of the attacker's, and puts other in its place.
func inWrapper(name, other string) func(string) string {
	return func(doc string) string {
		el := cut(doc, name)
		doc = strings.Replace(doc, el, other, 1)
		return strings.Replace(doc, "</soapenv:Header>", `<x:wrap xmlns:x="urn:x">`+el+`</x:wrap></soapenv:Header>`, 1)
	}
}

// inSecurity moves the signed element into the security header.
func inSecurity(name, other string) func(string) string {
	return func(doc string) string {
		el := cut(doc, name)
		doc = strings.Replace(doc, el, other, 1)
		return strings.Replace(doc, "</wsse:Security>", el+"</wsse:Security>", 1)
	}
}

var attacks = []attack{
	{"body changed", ClassDigest, put(">5 &amp;", ">6 &amp;")},
	{"header changed", ClassDigest, put("http://localhost/c", "http://localhost/d")},
	{"timestamp changed", ClassDigest, regex(`<wsu:Expires>\d`, "<wsu:Expires>3")},
	{"signature value changed", ClassSignature, regex(`(<ds:SignatureValue>)....`, "${1}AAAA")},
	{"digest value changed", ClassSignature, regex(`(<ds:DigestValue>)....`, "${1}AAAA")},
	{"reference dropped", ClassSignature, func(d string) string { return strings.Replace(d, cut(d, "ds:Reference"), "", 1) }},

	{"body wrapped in a header", ClassWrapped, inWrapper("soapenv:Body", evilBody)},
	{"body wrapped in Security", ClassWrapped, inSecurity("soapenv:Body", evilBody)},
	{"body wrapped in the new body", ClassWrapped, func(d string) string {
		b := cut(d, "soapenv:Body")
		return strings.Replace(d, b, `<soapenv:Body><x xmlns="urn:x">`+b+`</x></soapenv:Body>`, 1)
	}},
	{"timestamp wrapped", ClassWrapped, inWrapper("wsu:Timestamp", `<wsu:Timestamp xmlns:wsu="`+soap.WSU+`"><wsu:Created>2026-01-01T00:00:00Z</wsu:Created><wsu:Expires>2036-01-01T00:00:00Z</wsu:Expires></wsu:Timestamp>`)},
	{"To wrapped", ClassWrapped, inWrapper("wsa:To", `<wsa:To>urn:evil</wsa:To>`)},
	{"To wrapped and gone", ClassWrapped, inWrapper("wsa:To", ``)},
	{"resource key wrapped", ClassWrapped, inWrapper("ns1:CounterKey", `<ns1:CounterKey xmlns:ns1="http://counter.com">1</ns1:CounterKey>`)},
	{"signed element deleted", ClassWrapped, func(d string) string { return strings.Replace(d, cut(d, "ns1:CounterKey"), "", 1) }},
	{"body's id given to another", ClassDuplicateID, func(d string) string {
		id := bodyID(d)
		return strings.Replace(d, "</soapenv:Header>", `<x:e xmlns:x="urn:x" Id="`+id+`"/></soapenv:Header>`, 1)
	}},
	{"body's id given to another inside", ClassDuplicateID, func(d string) string {
		id := bodyID(d)
		return strings.Replace(d, "<add ", `<add ID="`+id+`" `, 1)
	}},
	{"two wsu:Ids that nobody refers to", ClassDuplicateID, put("<add ", `<add xmlns:u="`+soap.WSU+`" u:Id="q"><u:x u:Id="q"/></add><add `)},

	{"no security header", ClassNoSecurity, func(d string) string { return strings.Replace(d, cut(d, "wsse:Security"), "", 1) }},
	{"no signature", ClassNoSecurity, func(d string) string { return strings.Replace(d, cut(d, "ds:Signature "), "", 1) }},
	{"security header for another actor", ClassNoSecurity, put(`soapenv:mustUnderstand="1"`, `soapenv:actor="urn:other"`)},
	{"two security headers", ClassMalformed, put("<soapenv:Header>", `<soapenv:Header><s:Security xmlns:s="`+soap.WSSE+`"/>`)},
	{"two security headers, one for next", ClassMalformed, put("<soapenv:Header>", `<soapenv:Header><s:Security xmlns:s="`+soap.WSSE+`" soapenv:actor="http://schemas.xmlsoap.org/soap/actor/next"/>`)},
	{"two signatures", ClassMalformed, func(d string) string {
		s := cut(d, "ds:Signature ")
		return strings.Replace(d, s, s+strings.Replace(s, "STRId-", "STRId-2", 1), 1)
	}},
	{"ds:Object in the signature", ClassMalformed, put("</ds:KeyInfo>", `</ds:KeyInfo><ds:Object xmlns:ds="http://www.w3.org/2000/09/xmldsig#"></ds:Object>`)},
	{"two timestamps", ClassMalformed, func(d string) string {
		return strings.Replace(d, "</wsse:Security>", `<wsu:Timestamp xmlns:wsu="`+soap.WSU+`"/></wsse:Security>`, 1)
	}},
	{"unsigned From", ClassUnsignedPart, put("</soapenv:Header>", `<wsa:FaultTo><wsa:Address>urn:evil</wsa:Address></wsa:FaultTo></soapenv:Header>`)},
	{"unsigned RelatesTo", ClassUnsignedPart, put("</soapenv:Header>", `<wsa:RelatesTo>uuid:9</wsa:RelatesTo></soapenv:Header>`)},
	{"unsigned resource key", ClassUnsignedPart, put("</soapenv:Header>", `<k:DelegationKey xmlns:k="urn:k">1</k:DelegationKey></soapenv:Header>`)},
	{"unsigned reference parameter", ClassUnsignedPart, put("</soapenv:Header>", `<k:x xmlns:k="urn:k" a:IsReferenceParameter="true" xmlns:a="`+soap.Addressing200508+`"/></soapenv:Header>`)},

	{"canonicalization with comments", ClassAlgorithm, put(`xml-exc-c14n#"></ds:CanonicalizationMethod>`, `xml-exc-c14n#WithComments"></ds:CanonicalizationMethod>`)},
	{"XSLT transform", ClassAlgorithm, put(`xml-exc-c14n#"></ds:Transform>`, `http://www.w3.org/TR/1999/REC-xslt-19991116"></ds:Transform>`)},
	{"two transforms", ClassAlgorithm, put(`<ds:Transform `, `<ds:Transform Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"></ds:Transform><ds:Transform `)},
	{"unknown signature method", ClassAlgorithm, put("rsa-sha256", "hmac-sha256")},
	{"MD5 digest", ClassAlgorithm, regex(`xmlenc#sha256`, DSigMore+"md5")},
	{"reference to the whole document", ClassWrapped, regex(`URI="#id-[0-9a-f]*"`, `URI=""`)},
	{"reference outside", ClassWrapped, regex(`URI="#id-[0-9a-f]*"`, `URI="http://localhost/x"`)},
	{"reference by XPointer", ClassWrapped, regex(`URI="#id-[0-9a-f]*"`, `URI="#xpointer(/)"`)},
	{"no EncodingType", ClassMalformed, regex(` EncodingType="[^"]*"`, "")},
	{"unknown ValueType", ClassMalformed, put("#X509PKIPathv1", "#X509v9")},
	{"token is no path", ClassMalformed, regex(`(X509PKIPathv1" wsu:Id="[^"]*">)....`, "${1}AAAA")},
	{"token reference outside", ClassMalformed, regex(`(<wsse:Reference URI=")#`, "${1}http://localhost/")},
	{"token elsewhere", ClassMalformed, func(d string) string {
		el := cut(d, "wsse:BinarySecurityToken")
		return strings.Replace(strings.Replace(d, el, "", 1), "</soapenv:Header>", `<x:wrap xmlns:x="urn:x" xmlns:wsse="`+soap.WSSE+`">`+el+`</x:wrap></soapenv:Header>`, 1)
	}},
	{"token id twice", ClassDuplicateID, func(d string) string {
		id := regexp.MustCompile(`CertId-[0-9a-f]+`).FindString(d)
		return strings.Replace(d, "<add ", `<add Id="`+id+`" `, 1)
	}},
}

func TestVerify_RefusesAttacks(t *testing.T) {
	g := newGrid(t)
	signed := secure(t, &GSIMessage{}, plainRequest, g.proxy(t, gsi.Limits{}))
	if _, err := verifyBytes(g.verifier, []byte(signed), Expect{}); err != nil {
		t.Fatal(err)
	}
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			_, err := verifyBytes(g.verifier, []byte(a.change(signed)), Expect{})
			wantClass(t, err, a.want)
		})
	}
}

// What is put outside the signed parts, or in them without changing what was signed, does no harm and is not given
// back.
func TestVerify_GivesBackOnlyWhatWasSigned(t *testing.T) {
	g := newGrid(t)
	signed := secure(t, &GSIMessage{}, plainRequest, g.User)
	want := givenBack(t, g, signed)
	for name, change := range map[string]func(string) string{
		"unsigned header":          put("</soapenv:Header>", `<x:Trace xmlns:x="urn:x">1</x:Trace></soapenv:Header>`),
		"comment in text":          put("5 &amp;", "5<!-- 6 --> &amp;"),
		"comment between headers":  put("<wsa:To", "<!-- x --><wsa:To"),
		"white space in a tag":     put("<add xmlns", "<add\n  xmlns"),
		"other quotes":             put(`xmlns="http://counter.com"`, `xmlns='http://counter.com'`),
		"reference for character":  put("5 &amp;", "&#53; &amp;"),
		"unused declaration":       put("<add ", `<add xmlns:evil="urn:evil" `),
		"XML declaration gone":     put(`<?xml version="1.0" encoding="UTF-8"?>`, ""),
		"actor next":               put(`soapenv:mustUnderstand="1"`, `soapenv:actor="http://schemas.xmlsoap.org/soap/actor/next"`),
		"no mustUnderstand":        put(` soapenv:mustUnderstand="1"`, ""),
		"space around the Id list": put("</wsse:Security>", "\n</wsse:Security>"),
	} {
		t.Run(name, func(t *testing.T) {
			if got := givenBack(t, g, change(signed)); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
	for _, gone := range []string{"Security", "Trace", "<!--"} {
		if strings.Contains(want, gone) {
			t.Errorf("%s is given back: %s", gone, want)
		}
	}
}

func givenBack(t *testing.T, g *grid, doc string) string {
	t.Helper()
	v, err := verifyBytes(g.verifier, []byte(doc), Expect{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := v.Message(nil)
	if err != nil {
		t.Fatal(err)
	}
	parse(t, string(m))
	return string(m)
}

func TestVerify_Times(t *testing.T) {
	g := newGrid(t)
	now := time.Now()
	for _, c := range []struct {
		name     string
		created  time.Duration
		lifetime time.Duration
		want     Class
	}{
		{"now", 0, 0, ""},
		{"4 minutes old", -4 * time.Minute, 0, ""},
		{"6 minutes old", -6 * time.Minute, time.Hour, ClassExpired},
		{"4 minutes early", 4 * time.Minute, 0, ""},
		{"6 minutes early", 6 * time.Minute, 0, ClassExpired},
		{"expired before it was made", 0, -time.Minute, ClassExpired},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &GSIMessage{Lifetime: c.lifetime, Now: func() time.Time { return now.Add(c.created) }}
			v := *g.verifier
			v.Now = func() time.Time { return now }
			_, err := verifyBytes(&v, []byte(secure(t, p, plainRequest, g.User)), Expect{})
			if c.want == "" && err != nil {
				t.Fatal(err)
			}
			if c.want != "" {
				wantClass(t, err, c.want)
			}
		})
	}
	t.Run("over by its own Expires", func(t *testing.T) {
		p := &GSIMessage{Lifetime: time.Second, Now: func() time.Time { return now.Add(-4 * time.Second) }}
		v := *g.verifier
		v.Now, v.Skew = func() time.Time { return now }, 2*time.Second
		v.Skew = 2 * time.Second
		_, err := verifyBytes(&v, []byte(secure(t, p, plainRequest, g.User)), Expect{})
		wantClass(t, err, ClassExpired)
	})
}

func TestVerify_Algorithms(t *testing.T) {
	g := newGrid(t)
	sha1 := secure(t, &GSIMessage{Digest: SHA1}, plainRequest, g.User)
	for _, c := range []struct {
		name string
		a    Algorithms
		doc  string
		want Class
	}{
		{"SHA-1 where it is not allowed", Algorithms{}, sha1, ClassAlgorithm},
		{"key shorter than allowed", Algorithms{SHA1: true, MinRSABits: 3072}, sha1, ClassAlgorithm},
		{"key longer than allowed", Algorithms{SHA1: true, MaxRSABits: 1024}, sha1, ClassLimit},
	} {
		v := *g.verifier
		v.Algorithms = c.a
		_, err := verifyBytes(&v, []byte(c.doc), Expect{})
		wantClass(t, err, c.want)
	}
	v := *g.verifier
	v.MaxReferences = 3
	_, err := verifyBytes(&v, []byte(sha1), Expect{})
	wantClass(t, err, ClassLimit)
	v = *g.verifier
	v.MaxCertificates = 1
	_, err = verifyBytes(&v, []byte(secure(t, &GSIMessage{}, plainRequest, g.proxy(t, gsi.Limits{}))), Expect{})
	wantClass(t, err, ClassLimit)
}

func TestVerify_RefusesStrangers(t *testing.T) {
	g := newGrid(t)
	doc := secure(t, &GSIMessage{}, plainRequest, g.User)
	empty, err := trust.Open(t.TempDir(), trust.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = verifyBytes(&Verifier{Trust: empty}, []byte(doc), Expect{})
	wantClass(t, err, ClassUntrusted)
	_, err = verifyBytes(g.verifier, []byte(doc), Expect{Require: []soap.Name{{Space: "urn:x", Local: "Consent"}}})
	wantClass(t, err, ClassUnsignedPart)
}

func TestVerify_RefusesReplay(t *testing.T) {
	g := newGrid(t)
	v := *g.verifier
	v.Replay = NewReplayCache(2, nil)
	doc := func(id string) []byte {
		return []byte(secure(t, &GSIMessage{}, strings.Replace(plainRequest, "uuid:1", id, 1), g.User))
	}
	first := doc("uuid:1")
	if _, err := verifyBytes(&v, first, Expect{}); err != nil {
		t.Fatal(err)
	}
	_, err := verifyBytes(&v, first, Expect{})
	wantClass(t, err, ClassReplay)
	_, err = verifyBytes(&v, doc("uuid:1"), Expect{})
	wantClass(t, err, ClassReplay)
	broken := strings.Replace(string(doc("uuid:2")), ">5 &amp;", ">6 &amp;", 1)
	if _, err := verifyBytes(&v, []byte(broken), Expect{}); err == nil || v.Replay.(*ReplayCache).Len() != 1 {
		t.Error("a message that fails is remembered")
	}
	if _, err := verifyBytes(&v, doc("uuid:2"), Expect{}); err != nil {
		t.Fatal(err)
	}
	_, err = verifyBytes(&v, doc("uuid:3"), Expect{})
	wantClass(t, err, ClassReplay)
}

func TestVerify_RefusesReplayWithoutMessageID(t *testing.T) {
	g := newGrid(t)
	v := *g.verifier
	v.Replay = NewReplayCache(0, nil)
	doc := []byte(secure(t, &GSIMessage{Unanswered: true}, `<e:Envelope xmlns:e="`+soap.Envelope11+`"><e:Body/></e:Envelope>`, g.User))
	if _, err := verifyBytes(&v, doc, Expect{}); err != nil {
		t.Fatal(err)
	}
	_, err := verifyBytes(&v, doc, Expect{})
	wantClass(t, err, ClassReplay)
}

func TestReplayCache_ForgetsNothingBeforeItsTime(t *testing.T) {
	clock := time.Unix(1000, 0)
	r := NewReplayCache(1000, func() time.Time { return clock })
	ctx := context.Background()
	for i := range 500 {
		if err := r.Seen(ctx, fmt.Sprint(i), clock.Add(10*time.Minute)); err != nil {
			t.Fatal(err)
		}
		clock = clock.Add(time.Second)
	}
	for i := range 500 {
		if err := r.Seen(ctx, fmt.Sprint(i), clock.Add(10*time.Minute)); err != ErrReplay {
			t.Fatalf("%d: %v", i, err)
		}
	}
	clock = clock.Add(11 * time.Minute)
	if err := r.Seen(ctx, "new", clock.Add(time.Minute)); err != nil || r.Len() != 1 {
		t.Errorf("%v; %d remembered after their time", err, r.Len())
	}
	clock = clock.Add(-time.Hour)
	if err := r.Seen(ctx, "0", clock.Add(10*time.Minute)); err != ErrReplay {
		t.Errorf("the clock was set back, and what was forgotten is taken again: %v", err)
	}
}
