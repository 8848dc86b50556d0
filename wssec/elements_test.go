package wssec_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"gsigw/gsi"
	"gsigw/soap"
	. "gsigw/wssec"
	"gsigw/wssec/xmlenc"
)

// cardRequest is a request with a secret deep in Body.
const cardRequest = `<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:wsa="http://schemas.xmlsoap.org/ws/2004/03/addressing" xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
<soapenv:Header><wsa:MessageID>uuid:1</wsa:MessageID><wsa:RelatesTo>uuid:0</wsa:RelatesTo></soapenv:Header>
<soapenv:Body><pay xmlns="urn:shop" xmlns:s="urn:shop"><sum xsi:type="xsd:int">5</sum><s:by><card><number>4711</number><card>4712</card></card><s:card/><other xmlns="urn:other"><card>4713</card></other></s:by></pay><s:card xmlns:s="urn:shop">4714</s:card></soapenv:Body></soapenv:Envelope>`

var card = soap.Name{Space: "urn:shop", Local: "card"}

func elementsOf(g *grid) Encryption {
	return Encryption{To: g.Host.Leaf(), Elements: []soap.Name{card}}
}

func TestSecure_HidesElementsOfBody(t *testing.T) {
	g := newGrid(t)
	for order, p := range orders(elementsOf(g)) {
		t.Run(order, func(t *testing.T) {
			doc := secureBy(t, p, cardRequest, g.User)
			if n := strings.Count(bodyOf(t, doc), "<xenc:EncryptedData"); n != 3 {
				t.Errorf("%d elements are encrypted", n)
			}
			for text, isClear := range map[string]bool{">4711<": false, ">4712<": false, ">4713<": true, ">4714<": false, ">5<": true} {
				if strings.Contains(doc, text) != isClear {
					t.Errorf("%s in the clear: %t\n%s", text, !isClear, doc)
				}
			}
			got, err := verifyBytes(g.opener(g.Host), []byte(doc), Expect{Hidden: []soap.Name{card}})
			if err != nil {
				t.Fatal(err)
			}
			if text, err := got.Text(); err != nil || text != "54711471247134714" {
				t.Errorf("text %q, %v", text, err)
			}
			b, err := got.Message(nil)
			if err != nil {
				t.Fatal(err)
			}
			if m := parse(t, string(b)); m.Operation.Local != "pay" || !strings.Contains(string(b), "4712") {
				t.Errorf("given back\n%s", b)
			}
		})
	}
}

func bodyOf(t *testing.T, doc string) string {
	m := parse(t, doc)
	return doc[m.Body.Span.Start:m.Body.Span.End]
}

func TestSecure_RefusesABodyWithNothingToHide(t *testing.T) {
	g := newGrid(t)
	for order, p := range orders(elementsOf(g)) {
		if _, _, err := p.Secure(context.Background(), parse(t, plainRequest), g.User); err != ErrNothingToEncrypt {
			t.Errorf("%s: %v", order, err)
		}
	}
}

// A reply to elements that were hidden need hide no more than those, and them it must.
func TestPending_AsksHiddenElementsOfReplies(t *testing.T) {
	g := newGrid(t)
	proxy := g.proxy(t, gsi.Limits{})
	reply := strings.NewReplacer("uuid:0", "uuid:1", "uuid:1", "uuid:2").Replace(cardRequest)
	without := strings.NewReplacer("card>", "receipt>", "<s:card", "<s:receipt").Replace(reply)
	to := Encryption{To: proxy.Leaf(), Elements: []soap.Name{card}}
	for _, c := range []struct {
		name  string
		reply Profile
		doc   string
		want  Class
	}{
		{"elements hidden", &GSIMessage{Privacy: &to}, reply, ""},
		{"all hidden", &GSIMessage{Privacy: &Encryption{To: proxy.Leaf()}}, reply, ""},
		{"in the clear", &GSIMessage{}, reply, ClassDecrypt},
		{"another hidden", &GSIMessage{Privacy: &Encryption{To: proxy.Leaf(), Elements: []soap.Name{{Space: "urn:shop", Local: "sum"}}}}, reply, ClassDecrypt},
		{"without such elements", &GSIMessage{}, without, ""},
	} {
		for name, p := range map[string]Profile{
			"gsi-message": &GSIMessage{Verifier: g.verifier, Privacy: &Encryption{To: g.Host.Leaf(), Elements: []soap.Name{card}}},
			"wss-x509":    &X509Message{Verifier: g.verifier, Privacy: &Encryption{To: g.Host.Leaf(), Elements: []soap.Name{card}}},
		} {
			_, pending, err := p.Secure(context.Background(), parse(t, cardRequest), proxy)
			if err != nil {
				t.Fatal(err)
			}
			_, err = pending.Verify(context.Background(), parse(t, secureBy(t, c.reply, c.doc, g.Host)), Expect{})
			if c.want != "" {
				wantClass(t, err, c.want)
			} else if err != nil {
				t.Errorf("%s, %s: %v", name, c.name, err)
			}
		}
	}
}

func TestVerify_HiddenNeedsAKey(t *testing.T) {
	g := newGrid(t)
	_, err := verifyBytes(g.verifier, []byte(secureBy(t, &GSIMessage{}, plainRequest, g.User)), Expect{Hidden: []soap.Name{card}})
	wantClass(t, err, ClassDecrypt)
}

// That elements deep in Body came encrypted does not make Body one that did.
func TestVerify_EncryptedElementsAreNoEncryptedBody(t *testing.T) {
	g := newGrid(t)
	doc := strings.NewReplacer(`<s:card/>`, "", `<s:card xmlns:s="urn:shop">4714</s:card>`, "").Replace(cardRequest) // one in all
	for order, p := range orders(elementsOf(g)) {
		secured := secureBy(t, p, doc, g.User)
		if _, err := verifyBytes(g.opener(g.Host), []byte(secured), Expect{}); err != nil {
			t.Errorf("%s: %v", order, err)
		}
		_, err := verifyBytes(g.opener(g.Host), []byte(secured), Expect{Encrypted: true})
		wantClass(t, err, ClassDecrypt)
	}
}

// hideText puts ciphertext of a text where it stands in Body, and gives the encrypted key.
func hideText(t *testing.T, g *grid, doc, clear, typ, plain string) (hidden, key string) {
	t.Helper()
	secret := xmlenc.AES256GCM.NewKey()
	wrapped, err := xmlenc.RSAOAEP.Wrap(&hostKey(g).PublicKey, secret)
	if err != nil {
		t.Fatal(err)
	}
	value, err := xmlenc.AES256GCM.Encrypt(secret, []byte(plain))
	if err != nil {
		t.Fatal(err)
	}
	at := strings.LastIndex(doc, clear)
	if at < 0 {
		t.Fatalf("%s is not in\n%s", clear, doc)
	}
	data := string(xmlenc.AppendData(nil, "deep", typ, xmlenc.AES256GCM, value))
	data = strings.Replace(data, "<xenc:EncryptedData ", `<xenc:EncryptedData xmlns:own="urn:own" `, 1)
	return doc[:at] + data + doc[at+len(clear):],
		string(xmlenc.AppendKey(nil, "", xmlenc.RSAOAEP, "<ds:KeyName>x</ds:KeyName>", wrapped, []string{"deep"}))
}

// behindSignature puts an encrypted key where it opens what was encrypted first.
func behindSignature(doc, key string) string {
	return strings.Replace(doc, "</wsse:Security>", key+"</wsse:Security>", 1)
}

func (g *grid) anyKeyOpener() *Verifier {
	v := g.opener(g.Host)
	v.Decrypt.Certificates = nil
	return v
}

// What stands in the place of encrypted data inherits what its parent has, not what the EncryptedData declares.
func TestVerify_OpensDeepDataInTheScopeOfItsParent(t *testing.T) {
	const doc = `<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsd="http://www.w3.org/2001/XMLSchema">
<soapenv:Body><pay xmlns="urn:shop" xmlns:m="urn:mid"><a><b><c>1</c></b></a></pay></soapenv:Body></soapenv:Envelope>`
	g := newGrid(t)
	const b = "<b><c>1</c></b>"
	signFirst := func(t *testing.T, clear, signed, typ, plain string) string {
		secured := secureBy(t, &X509Message{Unanswered: true}, strings.Replace(doc, clear, signed, 1), g.User)
		hidden, key := hideText(t, g, secured, signed, typ, plain)
		return inSecurityHeader(hidden, key)
	}
	encryptFirst := func(t *testing.T, clear, _, typ, plain string) string {
		hidden, key := hideText(t, g, doc, clear, typ, plain)
		return behindSignature(secureBy(t, &X509Message{Unanswered: true}, hidden, g.User), key)
	}
	for _, c := range []struct {
		name, clear, signed, typ, plain string
		make                            func(t *testing.T, clear, signed, typ, plain string) string
		want                            Class
	}{
		{"element", b, b, xmlenc.TypeElement, b, signFirst, ""},
		{"content", "<c>1</c>", "<c>1</c>", xmlenc.TypeContent, "<c>1</c>", signFirst, ""},
		{"prefix of the parent", b, `<m:b><c>1</c></m:b>`, xmlenc.TypeElement, `<m:b><c>1</c></m:b>`, signFirst, ""},
		{"prefix of the EncryptedData", b, b, xmlenc.TypeElement, `<own:b><c>1</c></own:b>`, signFirst, ClassDecrypt},
		{"two elements", b, b, xmlenc.TypeElement, `<b/><c>1</c>`, signFirst, ClassDecrypt},
		{"element, encrypted first", b, "", xmlenc.TypeElement, b, encryptFirst, ""},
		{"content, encrypted first", "<c>1</c>", "", xmlenc.TypeContent, "<c>1</c>", encryptFirst, ""},
		{"prefix of the parent that nothing signs", b, "", xmlenc.TypeElement, `<m:b><c>1</c></m:b>`, encryptFirst, ClassUnsignedPart},
		{"prefix of the envelope", b, "", xmlenc.TypeElement, `<b xsd:x="1"><c>1</c></b>`, encryptFirst, ""},
		{"prefix of the EncryptedData, encrypted first", b, "", xmlenc.TypeElement, `<own:b><c>1</c></own:b>`, encryptFirst, ClassDecrypt},
		{"two elements, encrypted first", b, "", xmlenc.TypeElement, `<b/><c>1</c>`, encryptFirst, ClassDecrypt},
	} {
		t.Run(c.name, func(t *testing.T) {
			secured := c.make(t, c.clear, c.signed, c.typ, c.plain)
			got, err := verifyBytes(g.anyKeyOpener(), []byte(secured), Expect{})
			if c.want != "" {
				wantClass(t, err, c.want)
				return
			}
			if err != nil {
				t.Fatalf("%v\n%s", err, secured)
			}
			if text, _ := got.Text(); text != "1" {
				t.Errorf("text %q", text)
			}
			b, err := got.Message(nil)
			if err != nil || got.Operation() != (soap.Name{Space: "urn:shop", Local: "pay"}) {
				t.Errorf("%v, %s\n%s", err, got.Operation(), b)
			}
		})
	}
}

// Where the digested octets bind a prefix to something else than the message does, nobody signed what the plaintext means.
func TestVerify_RefusesPlaintextWhosePrefixesNobodySigned(t *testing.T) {
	g := newGrid(t)
	const doc = `<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"%s><soapenv:Body><x:pay xmlns:x="urn:shop"%s><b/></x:pay></soapenv:Body></soapenv:Envelope>`
	for _, c := range []struct {
		name, outside, inside string
		want                  Class
	}{
		{"the same", ` xmlns:m="urn:mid"`, ` xmlns:m="urn:mid"`, ""},
		{"inside alone", ``, ` xmlns:m="urn:mid"`, ""},
		{"another", ` xmlns:m="urn:a"`, ` xmlns:m="urn:b"`, ClassUnsignedPart},
		{"no default", ` xmlns="urn:a"`, ` xmlns=""`, ClassUnsignedPart},
		{"default inside alone", ``, ` xmlns="urn:a"`, ClassUnsignedPart},
	} {
		hidden, key := hideText(t, g, fmt.Sprintf(doc, c.outside, c.inside), "<b/>", xmlenc.TypeElement, `<b xmlns="urn:shop"/>`)
		secured := secureBy(t, &X509Message{Unanswered: true}, hidden, g.User)
		_, err := verifyBytes(g.anyKeyOpener(), []byte(behindSignature(secured, key)), Expect{})
		if c.want != "" {
			wantClass(t, err, c.want)
		} else if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// Clear content beside encrypted data, as Axis writes it: what its values mean is judged as it is without encryption.
func TestVerified_JudgesClearContentBesideEncryptedData(t *testing.T) {
	g := newGrid(t)
	for name, c := range map[string]struct {
		change string
		want   Class
	}{
		"known namespace":               {`<sum xsi:type="xsd:int">`, ""},
		"unknown namespace":             {`<sum xsi:type="soapenv2:int">`, ClassUnsignedPart},
		"declared inside, not written":  {`<sum xmlns:in="urn:in" xsi:type="in:int">`, ClassUnsignedPart},
		"declared inside, and in force": {`<in:sum xmlns:in="urn:in" xsi:type="in:int"/><sum>`, ""},
	} {
		doc := strings.Replace(cardRequest, `<sum xsi:type="xsd:int">`, c.change, 1)
		doc = strings.Replace(doc, "<soapenv:Envelope ", `<soapenv:Envelope xmlns:soapenv2="urn:x" `, 1)
		e := elementsOf(g)
		got, err := verifyBytes(g.opener(g.Host), []byte(secureBy(t, &X509Message{Privacy: &e, EncryptFirst: true}, doc, g.User)), Expect{})
		if c.want != "" {
			wantClass(t, err, c.want)
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, err = got.Message(nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Ciphertext of somebody else's that is put deep into Body is never opened to whoever put it there.
func TestVerify_RefusesDeepDataThatIsNotTheSigners(t *testing.T) {
	g := newGrid(t)
	for order, p := range orders(elementsOf(g)) {
		doc := secureBy(t, p, cardRequest, g.User)
		stolen, key := hideText(t, g, "CLEAR", "CLEAR", xmlenc.TypeElement, "<secret/>")
		data := bodyOf(t, doc)
		first := data[strings.Index(data, "<xenc:EncryptedData"):]
		first = first[:strings.Index(first, "</xenc:EncryptedData>")+len("</xenc:EncryptedData>")]
		isLate := strings.HasPrefix(order, "gsi") || strings.HasPrefix(order, "encrypt")
		for name, c := range map[string]struct {
			doc  string
			want []Class
		}{
			"beside, opened first":    {inSecurityHeader(strings.Replace(doc, "<sum ", stolen+"<sum ", 1), key), []Class{ClassDecrypt}},
			"beside, opened last":     {behindSignature(strings.Replace(doc, "<sum ", stolen+"<sum ", 1), key), []Class{ClassDigest, ClassDecrypt}},
			"inside the data":         {inSecurityHeader(strings.Replace(doc, first, strings.Replace(first, "<xenc:CipherData>", stolen+"<xenc:CipherData>", 1), 1), key), []Class{ClassMalformed}},
			"around the data":         {strings.Replace(doc, first, "<w>"+first+"</w>", 1), []Class{ClassDigest, ClassDecrypt}},
			"the same id twice":       {strings.Replace(doc, first, first+first, 1), []Class{ClassDuplicateID}},
			"the same id on another":  {strings.Replace(doc, "<sum ", `<sum Id="`+between(first, ` Id="`, `"`)+`" `, 1), []Class{ClassDuplicateID}},
			"in CDATA":                {inSecurityHeader(strings.Replace(doc, "<sum ", "<![CDATA["+stolen+"]]><sum ", 1), key), []Class{ClassWrapped}},
			"in a comment":            {inSecurityHeader(strings.Replace(doc, "<sum ", "<!--"+stolen+"--><sum ", 1), key), []Class{ClassWrapped}},
			"moved within Body":       {strings.Replace(strings.Replace(doc, first, "", 1), "<sum ", first+"<sum ", 1), []Class{ClassDigest, ClassDecrypt}},
			"out of Body":             {strings.Replace(strings.Replace(doc, first, "", 1), "</soapenv:Header>", "<o:w xmlns:o='urn:o'>"+first+"</o:w></soapenv:Header>", 1), []Class{ClassWrapped}},
			"key in an element":       {strings.Replace(doc, "<sum ", key+"<sum ", 1), []Class{ClassWrapped}},
			"content for the element": {strings.Replace(doc, xmlenc.TypeElement, xmlenc.TypeContent, 1), []Class{ClassDigest, ClassMalformed}},
		} {
			t.Run(order+", "+name, func(t *testing.T) {
				_, err := verifyBytes(g.anyKeyOpener(), []byte(c.doc), Expect{})
				want := c.want[0]
				if len(c.want) > 1 && !isLate {
					want = c.want[1]
				}
				if name == "content for the element" && !isLate {
					return // it opens to the same message
				}
				wantClass(t, err, want)
			})
		}
	}
}
