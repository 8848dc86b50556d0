package wssec_test

import (
	"crypto/x509"
	"fmt"
	"strings"
	"testing"
	"time"

	"gsigw/gsi"
	"gsigw/soap"
	"gsigw/trust"
	. "gsigw/wssec"
)

func keyInfo(content string) func(string) string {
	return func(doc string) string {
		return strings.Replace(doc, cut(doc, "wsse:SecurityTokenReference"), content, 1)
	}
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
