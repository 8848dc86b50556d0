package wssec_test

import (
	"bytes"
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"math/big"
	"strings"
	"testing"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
	"gsigw/soap"
	. "gsigw/wssec"
)

func (g *grid) verifySealed(t *testing.T, edit func(string) string) (*Verified, error) {
	t.Helper()
	signed := secure(t, &GSIMessage{}, plainRequest, g.User)
	return verifyBytes(g.verifier, []byte(sealer{key: g.User.Key}.seal(t, edit(signed))), Expect{})
}

func timestamp(created, expires string) func(string) string {
	return func(doc string) string {
		doc = strings.Replace(doc, cut(doc, "wsu:Created"), "<wsu:Created>"+created+"</wsu:Created>", 1)
		return strings.Replace(doc, cut(doc, "wsu:Expires"), "<wsu:Expires>"+expires+"</wsu:Expires>", 1)
	}
}

// For every ECDSA signature (r, s) there is (r, n-s): whoever knows a message by its signature sees two.
func TestVerify_RefusesReplayWithTheOtherECDSASignature(t *testing.T) {
	g := newGrid(t)
	g.verifier.Replay = NewReplayCache(0, nil)
	user, err := g.ProxyOf(g.ECUser, gsi.Limits{KeyType: gsi.P256})
	if err != nil {
		t.Fatal(err)
	}
	doc := secure(t, &GSIMessage{Unanswered: true}, `<e:Envelope xmlns:e="`+soap.Envelope11+`"><e:Body/></e:Envelope>`, user)
	if _, err := verifyBytes(g.verifier, []byte(doc), Expect{}); err != nil {
		t.Fatal(err)
	}
	m, sig := signatureOf(t, doc)
	value, _ := base64.StdEncoding.DecodeString(sig.Child(DSig, "SignatureValue").Text)
	s := new(big.Int).SetBytes(value[32:])
	s.Sub(elliptic.P256().Params().N, s).FillBytes(value[32:])
	other := edited(t, m, soap.Change{Span: sig.Child(DSig, "SignatureValue").Inner(), With: base64Of(value)})
	_, err = verifyBytes(g.verifier, []byte(other), Expect{})
	wantClass(t, err, ClassReplay)
}

func TestVerify_ECDSASignatureForms(t *testing.T) {
	g := newGrid(t)
	doc := secure(t, &GSIMessage{Unanswered: true}, `<e:Envelope xmlns:e="`+soap.Envelope11+`"><e:Body/></e:Envelope>`, g.ECUser)
	m, sig := signatureOf(t, doc)
	value, _ := base64.StdEncoding.DecodeString(sig.Child(DSig, "SignatureValue").Text)
	digest := make([]byte, 32)
	der, err := g.ECUser.Key.Sign(rand.Reader, digest, crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	n := elliptic.P256().Params().N.Bytes()
	for name, forged := range map[string][]byte{
		"zero r":       append(make([]byte, 32), value[32:]...),
		"zero s":       append(bytes.Clone(value[:32]), make([]byte, 32)...),
		"zero both":    make([]byte, 64),
		"r and s of n": append(bytes.Clone(n), n...),
		"DER":          der,
		"too long":     append([]byte{0}, value...),
		"too short":    value[:63],
		"s padded":     append(append(bytes.Clone(value[:32]), 0), value[32:]...),
		"padded":       append(append(make([]byte, 1), value[:32]...), append(make([]byte, 1), value[32:]...)...),
	} {
		_, err := verifyBytes(g.verifier, []byte(edited(t, m, soap.Change{Span: sig.Child(DSig, "SignatureValue").Inner(), With: base64Of(forged)})), Expect{})
		if wantClass(t, err, ClassSignature); t.Failed() {
			t.Fatal(name)
		}
	}
}

func TestVerify_DigestsNothingForStrangers(t *testing.T) {
	g := newGrid(t)
	stranger, err := g.Other.Issue(gridtest.Request{Name: gridtest.UserName})
	if err != nil {
		t.Fatal(err)
	}
	changed := put(">5 &amp;", ">6 &amp;")(secure(t, &GSIMessage{}, plainRequest, stranger))
	_, err = verifyBytes(g.verifier, []byte(changed), Expect{})
	wantClass(t, err, ClassUntrusted)
}

// What is required is required for the last receiver: another's header does not stand in for it.
func TestVerify_RequiresPartsForTheLastReceiver(t *testing.T) {
	g := newGrid(t)
	consent := soap.Name{Space: "urn:x", Local: "Consent"}
	for actor, want := range map[string]Class{"": "", ` soapenv:actor="urn:other"`: ClassUnsignedPart} {
		doc := put("</soapenv:Header>", `<c:Consent xmlns:c="urn:x"`+actor+`/></soapenv:Header>`)(plainRequest)
		_, err := verifyBytes(g.verifier, []byte(secure(t, &GSIMessage{}, doc, g.User)), Expect{Require: []soap.Name{consent}})
		if want == "" && err != nil {
			t.Error(err)
		}
		if want != "" {
			wantClass(t, err, want)
		}
	}
}

// A binding kept on the envelope does not reach content under an element that binds the prefix otherwise.
func TestMessage_RefusesKeptBindingThatASignedOneHides(t *testing.T) {
	g := newGrid(t)
	for body, ok := range map[string]bool{
		`<q:a xmlns:q="urn:q"><b xmlns:q="http://www.w3.org/2001/XMLSchema">q:int</b></q:a>`:                         false,
		`<q:a xmlns:q="urn:q"><b xmlns:q="http://www.w3.org/2001/XMLSchema"><q:c>q:int</q:c></b></q:a>`:              true,
		`<a xmlns:q="http://www.w3.org/2001/XMLSchema"><b>q:int</b><q:c xmlns:q="urn:q"><d>q:e</d></q:c></a>`:        true,
		`<q:a xmlns:q="urn:q"><b xmlns:q="http://www.w3.org/2001/XMLSchema"/></q:a>`:                                 true,
		`<a><b xmlns:e="` + soap.Envelope11 + `">e:Server</b></a>`:                                                   true,
		`<a><b xmlns:soapenv="` + soap.Envelope11 + `">soapenv:Server</b></a>`:                                       true,
		`<a><b xmlns:soapenv="http://www.w3.org/2001/XMLSchema">soapenv:int</b></a>`:                                 false,
		`<soapenv:a xmlns:soapenv="urn:x"><b xmlns:soapenv="` + soap.Envelope11 + `">soapenv:Server</b></soapenv:a>`: false,
	} {
		doc := strings.ReplaceAll(strings.Replace(plainRequest, cut(plainRequest, "soapenv:Body"), "<soapenv:Body>BODY</soapenv:Body>", 1), "soapenv", "S")
		doc = strings.Replace(doc, "BODY", body, 1)
		v, err := verifyBytes(g.verifier, []byte(secure(t, &GSIMessage{}, doc, g.User)), Expect{})
		if err != nil {
			t.Fatal(err)
		}
		m, err := v.Message(nil)
		if ok != (err == nil) {
			t.Errorf("%s: %v\n%s", body, err, m)
		}
	}
}
