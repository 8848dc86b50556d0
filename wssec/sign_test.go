package wssec_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
	"gsigw/soap"
	"gsigw/soap/xmlscan"
	"gsigw/trust"
	. "gsigw/wssec"
)

const plainRequest = `<?xml version="1.0" encoding="UTF-8"?>
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:wsa="http://schemas.xmlsoap.org/ws/2004/03/addressing" xmlns:xsd="http://www.w3.org/2001/XMLSchema">
<soapenv:Header><wsa:MessageID>uuid:1</wsa:MessageID><wsa:To>http://localhost/c</wsa:To><wsa:Action>http://counter.com/CounterPortType/addRequest</wsa:Action>
<wsa:From><wsa:Address>http://schemas.xmlsoap.org/ws/2004/03/addressing/role/anonymous</wsa:Address></wsa:From><ns1:CounterKey xmlns:ns1="http://counter.com">985424134</ns1:CounterKey></soapenv:Header>
<soapenv:Body><add xmlns="http://counter.com">5 &amp;<!-- c --><![CDATA[<]]></add></soapenv:Body></soapenv:Envelope>`

// grid is a test PKI with a verifier that trusts it.
type grid struct {
	*gridtest.PKI
	verifier *Verifier
}

func newGrid(t testing.TB) *grid {
	t.Helper()
	pki, err := gridtest.NewPKI(t.TempDir(), gridtest.PKIOptions{})
	if err != nil {
		t.Fatal(err)
	}
	store, err := trust.Open(pki.TrustDir, trust.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return &grid{pki, &Verifier{Trust: store, Algorithms: Algorithms{SHA1: true}}}
}

func (g *grid) proxy(t testing.TB, l gsi.Limits) *gsi.Credential {
	t.Helper()
	c, err := g.Proxy(l)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func parse(t testing.TB, doc string) *soap.Message {
	t.Helper()
	m, err := soap.Read(xmlscan.Memory(doc), soap.Limits{})
	if err != nil {
		t.Fatalf("%v\n%s", err, doc)
	}
	return m
}

func secure(t testing.TB, p *GSIMessage, doc string, c *gsi.Credential) string {
	t.Helper()
	edit, _, err := p.Secure(context.Background(), parse(t, doc), c)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := edit.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func wantClass(t testing.TB, err error, want Class) {
	t.Helper()
	if e, ok := errors.AsType[*Error](err); !ok || e.Class != want {
		t.Errorf("%v, want class %s", err, want)
	}
}

func TestSecure_IsVerified(t *testing.T) {
	g := newGrid(t)
	rsa, legacy := g.proxy(t, gsi.Limits{}), g.proxy(t, gsi.Limits{Type: "legacy"})
	ec, err := g.ProxyOf(g.ECUser, gsi.Limits{KeyType: gsi.P256})
	if err != nil {
		t.Fatal(err)
	}
	soap12 := strings.NewReplacer(soap.Envelope11, soap.Envelope12, soap.Addressing200403, soap.Addressing200508).Replace(plainRequest)
	for _, c := range []struct {
		name    string
		profile GSIMessage
		doc     string
		cred    *gsi.Credential
		signer  string
	}{
		{"rfc proxy, sha256", GSIMessage{}, plainRequest, rsa, gridtest.UserName},
		{"rfc proxy, sha1", GSIMessage{Digest: SHA1}, plainRequest, rsa, gridtest.UserName},
		{"legacy proxy", GSIMessage{Digest: SHA1}, plainRequest, legacy, gridtest.UserName},
		{"end entity, one certificate", GSIMessage{}, plainRequest, g.User, gridtest.UserName},
		{"end entity, path", GSIMessage{Token: TokenPKIPath}, plainRequest, g.User, gridtest.UserName},
		{"P-256", GSIMessage{}, plainRequest, ec, gridtest.ECUserName},
		{"SOAP 1.2", GSIMessage{}, soap12, rsa, gridtest.UserName},
		{"no header", GSIMessage{Unanswered: true}, `<Envelope xmlns="` + soap.Envelope11 + `"><Body/></Envelope>`, rsa, gridtest.UserName},
		{"wsu bound to another", GSIMessage{}, strings.Replace(plainRequest, "<soapenv:Body", `<soapenv:Body xmlns:wsu="urn:x" wsu:Id="y"`, 1), rsa, gridtest.UserName},
		{"ids of its own", GSIMessage{}, strings.Replace(plainRequest, "<soapenv:Body", `<soapenv:Body xmlns:u="`+soap.WSU+`" u:Id="mine"`, 1), rsa, gridtest.UserName},
		{"plain Id", GSIMessage{}, strings.Replace(plainRequest, "<soapenv:Body", `<soapenv:Body Id="mine"`, 1), rsa, gridtest.UserName},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := verifyBytes(g.verifier, []byte(secure(t, &c.profile, c.doc, c.cred)), Expect{})
			if err != nil {
				t.Fatal(err)
			}
			if got.Signer.DN != c.signer {
				t.Errorf("signed by %s", got.Signer.DN)
			}
		})
	}
}

func TestSecure_LeavesEveryOtherByte(t *testing.T) {
	g := newGrid(t)
	signed := secure(t, &GSIMessage{}, plainRequest, g.User)
	m := parse(t, signed)
	var cuts []soap.Change
	for _, b := range m.Blocks {
		if IsSecurity(b) {
			cuts = append(cuts, soap.Change{Span: b.Span})
		}
	}
	edit, err := m.Edit(cuts...)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	edit.WriteTo(&b)
	left := b.String()
	for _, e := range append([]*soap.Element{&m.Body}, &m.Blocks[1].Element, &m.Blocks[2].Element, &m.Blocks[3].Element, &m.Blocks[4].Element, &m.Blocks[5].Element) {
		left = strings.Replace(left, ` xmlns:wsu="`+soap.WSU+`" wsu:Id="`+e.ID+`"`, "", 1)
	}
	if left != plainRequest {
		t.Errorf("got\n%s\nwant\n%s", left, plainRequest)
	}
}

// outline is the element structure of a security header: names, attributes and their kinds of value.
func outline(n *soap.Node, depth int) string {
	line := strings.Repeat(" ", depth) + n.Name.String()
	for _, a := range n.Attrs {
		v := a.Value
		if i := strings.Index(v, "-"); i > 0 && (a.Name.Local == "Id" || strings.HasPrefix(v, "#")) {
			v = v[:i]
		}
		line += " " + a.Name.Local + "=" + v
	}
	line += "\n"
	for _, c := range n.Children {
		line += outline(c, depth+1)
	}
	return line
}

func securityOutline(t *testing.T, doc string) (string, []soap.Name) {
	m := parse(t, doc)
	if !IsSecurity(m.Blocks[0]) {
		t.Fatal("Security is not the first header block")
	}
	tree, err := m.Tree(&m.Blocks[0].Element)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]soap.Name{m.Body.ID: m.Body.Name}
	for _, b := range m.Blocks {
		names[b.ID] = b.Name
	}
	for _, c := range tree.Children {
		names[c.ID] = c.Name
	}
	var signed []soap.Name
	for _, r := range tree.Child(DSig, "Signature").Child(DSig, "SignedInfo").All(DSig, "Reference") {
		signed = append(signed, names[strings.TrimPrefix(r.Attr("", "URI"), "#")])
	}
	return outline(tree, 0), signed
}

func TestSecure_HasTheFormOfGT4(t *testing.T) {
	capture, err := os.ReadFile("testdata/gt4/02-msg-sig.02-addRequest.request.xml")
	if err != nil {
		t.Fatal(err)
	}
	want, wantSigned := securityOutline(t, string(capture))
	g := newGrid(t)
	got, gotSigned := securityOutline(t, secure(t, &GSIMessage{Digest: SHA1}, plainRequest, g.proxy(t, gsi.Limits{})))
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for _, n := range wantSigned {
		found := 0
		for _, have := range gotSigned {
			if have == n {
				found++
			}
		}
		if found != 1 {
			t.Errorf("%s is signed %d times", n, found)
		}
	}
	if len(gotSigned) != len(wantSigned) {
		t.Errorf("signed %v, want %v", gotSigned, wantSigned)
	}
}

func TestSecure_Refuses(t *testing.T) {
	g := newGrid(t)
	security := func(attrs string) string {
		return strings.Replace(plainRequest, "<soapenv:Header>", `<soapenv:Header><s:Security xmlns:s="`+soap.WSSE+`"`+attrs+`/>`, 1)
	}
	for _, c := range []struct {
		name, doc string
		profile   GSIMessage
		want      error
	}{
		{"the engine's own security header", security(""), GSIMessage{}, ErrEngineSecurity},
		{"one for the next receiver", security(` soapenv:actor="http://schemas.xmlsoap.org/soap/actor/next"`), GSIMessage{}, ErrEngineSecurity},
		{"no MessageID", strings.Replace(plainRequest, "MessageID>", "Other>", 2), GSIMessage{}, ErrNoMessageID},
		{"an expired credential", plainRequest, GSIMessage{Now: func() time.Time { return time.Now().AddDate(50, 0, 0) }}, ErrCredentialExpired},
	} {
		_, _, err := c.profile.Secure(context.Background(), parse(t, c.doc), g.User)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	for name, doc := range map[string]string{
		"id twice": strings.NewReplacer("<soapenv:Body", `<soapenv:Body xmlns:u="`+soap.WSU+`" u:Id="m"`, "<add", `<add Id="m"`).Replace(plainRequest),
		"id empty": strings.Replace(plainRequest, "<soapenv:Body", `<soapenv:Body xmlns:u="`+soap.WSU+`" u:Id=""`, 1),
	} {
		if _, _, err := (&GSIMessage{}).Secure(context.Background(), parse(t, doc), g.User); err == nil {
			t.Errorf("%s: signed", name)
		}
	}
	if _, _, err := (&GSIMessage{Token: TokenX509v3}).Secure(context.Background(), parse(t, plainRequest), g.proxy(t, gsi.Limits{})); err == nil {
		t.Error("a proxy signed with a single certificate")
	}
	foreign := secure(t, &GSIMessage{}, security(` soapenv:actor="urn:other"`), g.User)
	if !strings.Contains(foreign, `<s:Security xmlns:s="`+soap.WSSE+`" soapenv:actor="urn:other"/>`) {
		t.Error("the security header for another actor did not stay as it was")
	}
}

func TestSecure_DropsNamedHeaders(t *testing.T) {
	g := newGrid(t)
	p := &GSIMessage{DropHeaders: []soap.Name{{Space: "http://counter.com", Local: "CounterKey"}}}
	got := secure(t, p, plainRequest, g.User)
	if strings.Contains(got, "CounterKey") {
		t.Error("the header is still there")
	}
	if _, err := verifyBytes(g.verifier, []byte(got), Expect{}); err != nil {
		t.Error(err)
	}
}

func TestPending_HoldsTheReplyAgainstTheRequest(t *testing.T) {
	g := newGrid(t)
	reply := func(relatesTo string) string {
		return strings.Replace(plainRequest, "<wsa:To>", `<wsa:RelatesTo RelationshipType="wsa:Reply">`+relatesTo+`</wsa:RelatesTo><wsa:To>`, 1)
	}
	p := &GSIMessage{Verifier: g.verifier}
	_, pending, err := p.Secure(context.Background(), parse(t, plainRequest), g.User)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, reply string
		peer        func(*gsi.Identity) error
		want        Class
	}{
		{"answer", reply("uuid:1"), nil, ""},
		{"answer to another", reply("uuid:2"), nil, ClassRelatesTo},
		{"no RelatesTo", plainRequest, nil, ClassRelatesTo},
		{"another signer", reply("uuid:1"), func(id *gsi.Identity) error { return errors.New("not the host") }, ClassIdentity},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := parse(t, secure(t, p, c.reply, g.Host))
			_, err := pending.Verify(context.Background(), m, Expect{Peer: c.peer})
			if c.want == "" && err != nil {
				t.Fatal(err)
			}
			if c.want != "" {
				wantClass(t, err, c.want)
			}
		})
	}
}
