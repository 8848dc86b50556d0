package wssec_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"fmt"
	"strings"
	"testing"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
	"gsigw/soap"
	"gsigw/soap/xmlscan"
	. "gsigw/wssec"
	"gsigw/wssec/xmlenc"
)

// opener is a verifier with the key of a credential, which takes every algorithm.
func (g *grid) opener(c *gsi.Credential) *Verifier {
	v := *g.verifier
	v.Decrypt = &Decryption{Key: c.Key.(crypto.Decrypter), Certificates: []*x509.Certificate{c.Leaf()}, CBC: true, RSA15: true}
	return &v
}

func secureBy(t testing.TB, p Profile, doc string, c *gsi.Credential) string {
	t.Helper()
	secured, _ := secureWith(t, p, doc, c)
	return secured
}

var (
	allCiphers    = []xmlenc.Cipher{xmlenc.AES256GCM, xmlenc.AES192GCM, xmlenc.AES128GCM, xmlenc.AES256CBC, xmlenc.AES192CBC, xmlenc.AES128CBC, xmlenc.TripleDESCBC}
	allTransports = []xmlenc.KeyTransport{xmlenc.RSAOAEP, xmlenc.RSAOAEPSHA256, xmlenc.RSA15}
	wsaAction     = soap.Name{Space: soap.Addressing200403, Local: "Action"}
	counterKey    = soap.Name{Space: "http://counter.com", Local: "CounterKey"}
)

// orders are the ways to combine encryption and signature.
func orders(e Encryption) map[string]Profile {
	hidden := e
	hidden.Signature = true
	return map[string]Profile{
		"gsi-message":                      &GSIMessage{Privacy: &e},
		"sign, then encrypt":               &X509Message{Privacy: &e},
		"sign, then encrypt the signature": &X509Message{Privacy: &hidden},
		"encrypt, then sign":               &X509Message{Privacy: &e, EncryptFirst: true},
	}
}

func TestSecure_EncryptedIsVerified(t *testing.T) {
	g := newGrid(t)
	host, err := g.CA.Issue(gridtest.Request{Name: "/O=Grid/CN=host/localhost", Change: func(c *x509.Certificate) { c.SubjectKeyId = []byte("key 1") }})
	if err != nil {
		t.Fatal(err)
	}
	soap12 := strings.NewReplacer(soap.Envelope11, soap.Envelope12, soap.Addressing200403, soap.Addressing200508).Replace(plainRequest)
	type variant struct {
		name, doc string
		e         Encryption
	}
	var variants []variant
	for i, c := range allCiphers {
		variants = append(variants, variant{c.String(), plainRequest, Encryption{Cipher: c, KeyTransport: allTransports[i%3]}})
	}
	for _, k := range allTransports {
		variants = append(variants, variant{k.String(), plainRequest, Encryption{KeyTransport: k}})
	}
	for _, r := range []KeyReference{BinarySecurityToken, IssuerSerial, SubjectKeyIdentifier, Thumbprint} {
		variants = append(variants, variant{r.String(), plainRequest, Encryption{KeyReference: r}})
	}
	variants = append(variants,
		variant{"headers", plainRequest, Encryption{Headers: []soap.Name{wsaAction, counterKey}}},
		variant{"SOAP 1.2", soap12, Encryption{Headers: []soap.Name{counterKey}}})
	for _, c := range variants {
		c.e.To = host.Leaf()
		for order, p := range orders(c.e) {
			t.Run(c.name+", "+order, func(t *testing.T) {
				secured := secureBy(t, p, c.doc, g.User)
				for _, secret := range []string{"<add", "CDATA"} {
					if strings.Contains(secured, secret) {
						t.Errorf("%s is in the clear in\n%s", secret, secured)
					}
				}
				if len(c.e.Headers) > 0 && strings.Contains(secured, "985424134") {
					t.Errorf("the header is in the clear in\n%s", secured)
				}
				got, err := verifyBytes(g.opener(host), []byte(secured), Expect{Encrypted: true})
				if err != nil {
					t.Fatalf("%v\n%s", err, secured)
				}
				checkPlain(t, got, c.doc)
			})
		}
	}
}

// checkPlain compares what is given back with what a signature alone gives back.
func checkPlain(t *testing.T, got *Verified, doc string) {
	t.Helper()
	want := parse(t, doc)
	if got.Operation() != want.Operation || got.Addressing.Action != want.Addressing.Action || got.MessageID != want.Addressing.MessageID {
		t.Errorf("operation %s, addressing %+v", got.Operation(), got.Addressing)
	}
	if text, err := got.Text(); err != nil || text != "5 &<" {
		t.Errorf("text %q, %v", text, err)
	}
	b, err := got.Message(nil)
	if err != nil {
		t.Fatal(err)
	}
	m := parse(t, string(b))
	if m.Operation != want.Operation || len(m.Blocks) != len(want.Blocks) || m.Addressing.To != want.Addressing.To {
		t.Errorf("given back:\n%s", b)
	}
	for i, n := range got.Parts()[:len(want.Blocks)] {
		if n != want.Blocks[i].Name {
			t.Errorf("part %d is %s", i, n)
		}
	}
	var body bytes.Buffer
	if err := got.WriteBody(&body); err != nil || !bytes.Contains(b, body.Bytes()) {
		t.Errorf("WriteBody gives %v\n%s", err, &body)
	}
}

func TestSecure_EncryptsAnEmptyBody(t *testing.T) {
	g := newGrid(t)
	for _, body := range []string{"<Body/>", "<Body></Body>", "<Body> text </Body>"} {
		doc := fmt.Sprintf(`<Envelope xmlns="%s">%s</Envelope>`, soap.Envelope11, body)
		for order, p := range map[string]Profile{
			"gsi-message": &GSIMessage{Unanswered: true, Privacy: &Encryption{To: g.Host.Leaf()}},
			"sign first":  &X509Message{Unanswered: true, Privacy: &Encryption{To: g.Host.Leaf(), Signature: true}},
		} {
			got, err := verifyBytes(g.opener(g.Host), []byte(secureBy(t, p, doc, g.User)), Expect{Encrypted: true})
			if err != nil {
				t.Errorf("%s, %s: %v", body, order, err)
				continue
			}
			if text, _ := got.Text(); strings.TrimSpace(text) != strings.TrimSpace(strings.TrimSuffix(strings.TrimPrefix(body, "<Body>"), "</Body>")) && body != "<Body/>" {
				t.Errorf("%s, %s: text %q", body, order, text)
			}
		}
	}
}

func TestSecure_EncryptionRefuses(t *testing.T) {
	g := newGrid(t)
	for name, p := range map[string]Profile{
		"no certificate":           &GSIMessage{Privacy: &Encryption{}},
		"a certificate of a P-256": &GSIMessage{Privacy: &Encryption{To: g.ECUser.Leaf()}},
	} {
		if _, _, err := p.Secure(context.Background(), parse(t, plainRequest), g.User); err != ErrNoEncryptionKey {
			t.Errorf("%s: %v", name, err)
		}
	}
	p := &GSIMessage{Privacy: &Encryption{To: g.Host.Leaf()}}
	if _, _, err := p.Secure(context.Background(), parse(t, plainRequest), g.ECUser); err == nil {
		t.Error("a credential that cannot decrypt the reply signed the request")
	}
}

func TestSecure_LeavesDroppedAndForeignHeadersAlone(t *testing.T) {
	g := newGrid(t)
	doc := strings.Replace(plainRequest, "</soapenv:Header>", `<ns2:CounterKey xmlns:ns2="http://counter.com" soapenv:actor="urn:other">7</ns2:CounterKey></soapenv:Header>`, 1)
	got := secure(t, &GSIMessage{Privacy: &Encryption{To: g.Host.Leaf(), Headers: []soap.Name{counterKey}}}, doc, g.User)
	if strings.Contains(got, "985424134") || !strings.Contains(got, ">7</ns2:CounterKey>") {
		t.Errorf("got\n%s", got)
	}
	dropping := &GSIMessage{DropHeaders: []soap.Name{wsaAction}, Privacy: &Encryption{To: g.Host.Leaf(), Headers: []soap.Name{wsaAction}}}
	if got := secure(t, dropping, doc, g.User); strings.Contains(got, "EncryptedHeader") {
		t.Errorf("a dropped header is hidden, not dropped:\n%s", got)
	}
}

// TestSecure_HiddenHeaderKeepsWhoMustUnderstandIt holds for what its receiver must see before he decrypts.
func TestSecure_HiddenHeaderKeepsWhoMustUnderstandIt(t *testing.T) {
	g := newGrid(t)
	doc := strings.Replace(plainRequest, `<ns1:CounterKey `, `<ns1:CounterKey soapenv:mustUnderstand="1" soapenv:actor="http://schemas.xmlsoap.org/soap/actor/next" `, 1)
	m := parse(t, secure(t, &GSIMessage{Privacy: &Encryption{To: g.Host.Leaf(), Headers: []soap.Name{counterKey}}}, doc, g.User))
	for _, b := range m.Blocks {
		if b.Name.Local == "EncryptedHeader" && (!b.MustUnderstand || b.Role != "http://schemas.xmlsoap.org/soap/actor/next") {
			t.Errorf("%+v", b)
		}
	}
}

func TestPending_OpensTheReplyWithTheCredentialsKey(t *testing.T) {
	g := newGrid(t)
	proxy := g.proxy(t, gsi.Limits{})
	reply := strings.Replace(plainRequest, "<wsa:To>", `<wsa:RelatesTo RelationshipType="wsa:Reply">uuid:1</wsa:RelatesTo><wsa:To>`, 1)
	for _, c := range []struct {
		name  string
		reply Encryption
		want  Class
	}{
		{"to the proxy", Encryption{To: proxy.Leaf(), Cipher: xmlenc.AES128CBC, KeyTransport: xmlenc.RSA15}, ""},
		{"to somebody else", Encryption{To: g.Host.Leaf(), Cipher: xmlenc.AES128CBC}, ClassDecrypt},
	} {
		p := &GSIMessage{Verifier: g.verifier, Privacy: &Encryption{To: g.Host.Leaf(), Cipher: xmlenc.AES128CBC, KeyTransport: xmlenc.RSA15}}
		_, pending, err := p.Secure(context.Background(), parse(t, plainRequest), proxy)
		if err != nil {
			t.Fatal(err)
		}
		m := parse(t, secure(t, &GSIMessage{Privacy: &c.reply}, reply, g.Host))
		got, err := pending.Verify(context.Background(), m, Expect{Encrypted: true})
		if c.want != "" {
			wantClass(t, err, c.want)
		} else if err != nil || got.Operation().Local != "add" {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	// What the route does not name is not believed.
	for _, weak := range []Encryption{{Cipher: xmlenc.AES128CBC}, {KeyTransport: xmlenc.RSA15}} {
		p := &GSIMessage{Verifier: g.verifier, Privacy: &Encryption{To: g.Host.Leaf()}}
		_, pending, err := p.Secure(context.Background(), parse(t, plainRequest), proxy)
		if err != nil {
			t.Fatal(err)
		}
		weak.To = proxy.Leaf()
		_, err = pending.Verify(context.Background(), parse(t, secure(t, &GSIMessage{Privacy: &weak}, reply, g.Host)), Expect{})
		wantClass(t, err, ClassAlgorithm)
	}
}

// A message that just fits its limit is longer once it is encrypted, which is no reason to refuse it.
func TestSecure_EncryptsAMessageAtItsLimit(t *testing.T) {
	g := newGrid(t)
	doc := strings.Replace(plainRequest, "5 &amp;", strings.Repeat("x", 100_000), 1)
	m, err := soap.Read(xmlscan.Memory(doc), soap.Limits{MessageBytes: int64(len(doc))})
	if err != nil {
		t.Fatal(err)
	}
	for order, p := range orders(Encryption{To: g.Host.Leaf()}) {
		edit, _, err := p.Secure(context.Background(), m, g.User)
		if err != nil {
			t.Errorf("%s: %v", order, err)
			continue
		}
		got, err := soap.Read(edit, soap.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := g.opener(g.Host).Verify(context.Background(), got, Expect{Encrypted: true}); err != nil {
			t.Errorf("%s: %v", order, err)
		}
	}
}
