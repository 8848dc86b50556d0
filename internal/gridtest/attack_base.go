package gridtest

import (
	"context"
	"crypto/x509"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"gsigw/gsi"
	"gsigw/soap"
	"gsigw/soap/xmlscan"
	"gsigw/wssec"
	"gsigw/wssec/xmlenc"
)

// Base is a signed message that holds, from which attacks are made.
type Base struct {
	Name       string
	Message    string
	Credential *gsi.Credential // that signed it
	Signer     string
	At         time.Time
	Reply      bool
	RelatesTo  string // of a reply
	DecryptKey string // the file of the key that opens it; empty where nothing is encrypted

	credentials  map[string]*gsi.Credential
	certificates map[string]*x509.Certificate
	names        map[string]string // subjects by the words that scripts have for people
}

// plainMessage is what the engine sent. Its pieces are told apart by their order.
const plainMessage = `<?xml version="1.0" encoding="UTF-8"?>
<soapenv:Envelope xmlns:soapenv="` + soap.Envelope11 + `" xmlns:wsa="` + soap.Addressing200403 + `" xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
<soapenv:Header><wsa:MessageID>uuid:1</wsa:MessageID><wsa:To>http://localhost/c</wsa:To><wsa:Action>http://counter.com/CounterPortType/addRequest</wsa:Action>
<wsa:From><wsa:Address>http://schemas.xmlsoap.org/ws/2004/03/addressing/role/anonymous</wsa:Address></wsa:From><ns1:CounterKey xmlns:ns1="http://counter.com">985424134</ns1:CounterKey></soapenv:Header>
<soapenv:Body><add xmlns="http://counter.com">5 &amp;<!-- c --><![CDATA[<]]></add></soapenv:Body></soapenv:Envelope>`

// encodedBody is a call in SOAP's encoding, whose argument stands beside it.
const encodedBody = `<soapenv:Body><ns1:add xmlns:ns1="http://counter.com"><value href="#arg0"/></ns1:add>` +
	`<multiRef id="arg0" soapenv:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/" xsi:type="xsd:int">5</multiRef></soapenv:Body>`

// AttackBases signs the messages that attacks are made from.
func AttackBases(p *PKI) (map[string]*Base, error) {
	people, err := p.people()
	if err != nil {
		return nil, err
	}
	reply := strings.Replace(plainMessage, "<ns1:CounterKey xmlns:ns1=\"http://counter.com\">985424134</ns1:CounterKey>",
		`<wsa:RelatesTo RelationshipType="wsa:Reply">uuid:asked</wsa:RelatesTo>`, 1)
	soap12 := strings.NewReplacer(soap.Envelope11, soap.Envelope12, soap.Addressing200403, soap.Addressing200508,
		"<ns1:CounterKey ", `<wsa:ReplyTo><wsa:Address>`+soap.Addressing200508+`/anonymous</wsa:Address></wsa:ReplyTo><ns1:CounterKey wsa:IsReferenceParameter="true" `).Replace(plainMessage)
	encoded := plainMessage[:strings.Index(plainMessage, "<soapenv:Body>")] + encodedBody + `</soapenv:Envelope>`
	bases := map[string]*Base{}
	at := p.options.Now.UTC().Truncate(time.Second)
	now := func() time.Time { return at }
	gt4Privacy := &wssec.Encryption{To: p.Host.Leaf(), Cipher: xmlenc.AES128CBC, KeyTransport: xmlenc.RSA15}
	privacy := &wssec.Encryption{To: p.Host.Leaf(), Cipher: xmlenc.AES128GCM}
	hiding := &wssec.Encryption{To: p.Host.Leaf(), Signature: true}
	for _, b := range []struct {
		name, plain string
		profile     wssec.Profile
		who         string
	}{
		{"gt4", plainMessage, &wssec.GSIMessage{Now: now, Digest: wssec.SHA1, Token: wssec.TokenPKIPath}, "proxy"},
		{"reply", reply, &wssec.GSIMessage{Now: now, Digest: wssec.SHA1}, "host"},
		{"soap12", soap12, &wssec.GSIMessage{Now: now}, "user"},
		{"ec", plainMessage, &wssec.GSIMessage{Now: now}, "ecproxy"},
		{"x509", plainMessage, &wssec.GSIMessage{Now: now}, "user"},
		{"encoded", encoded, &wssec.GSIMessage{Now: now}, "user"},
		{"modern", soap12, &wssec.X509Message{Now: now, Digest: wssec.SHA512, SignToken: true, InclusiveNamespaces: true}, "user"},
		{"private", plainMessage, &wssec.GSIMessage{Now: now, Digest: wssec.SHA1, Privacy: gt4Privacy}, "proxy"},
		{"secret", soap12, &wssec.X509Message{Now: now, Privacy: privacy}, "user"},
		{"hidden", soap12, &wssec.X509Message{Now: now, Privacy: hiding}, "user"},
	} {
		base := &Base{Name: b.name, Credential: people[b.who], At: at, credentials: people}
		base.Reply = b.name == "reply"
		if base.Reply {
			base.RelatesTo = "uuid:asked"
		}
		if base.Message, err = Secure(b.profile, b.plain, base.Credential); err != nil {
			return nil, fmt.Errorf("gridtest: base %s: %w", b.name, err)
		}
		base.describe(p)
		if strings.Contains(base.Message, "EncryptedKey") {
			base.DecryptKey = filepath.Join(p.Dir, "hostkey.pem")
		}
		bases[b.name] = base
	}
	return bases, nil
}

// Secure secures a message in memory.
func Secure(p wssec.Profile, plain string, c *gsi.Credential) (string, error) {
	m, err := soap.Read(xmlscan.Memory(plain), soap.Limits{})
	if err != nil {
		return "", err
	}
	edit, _, err := p.Secure(context.Background(), m, c)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	_, err = edit.WriteTo(&b)
	return b.String(), err
}

func (b *Base) describe(p *PKI) {
	b.certificates = map[string]*x509.Certificate{"ca": p.CA.Cert, "otherca": p.Other.Cert}
	b.names = map[string]string{}
	for name, c := range b.credentials {
		b.certificates[name] = c.Leaf()
		b.names[name] = gsi.OneLine(c.EndEntity().RawSubject)
		if c == b.Credential {
			b.Signer = b.names[name]
		}
	}
}

// people are those who have a part in the attacks.
func (p *PKI) people() (map[string]*gsi.Credential, error) {
	proxy, err := p.Proxy(gsi.Limits{})
	if err != nil {
		return nil, err
	}
	ecproxy, err := p.ProxyOf(p.ECUser, gsi.Limits{KeyType: gsi.P256})
	if err != nil {
		return nil, err
	}
	mallory, err := p.CA.Issue(Request{Name: "/O=Grid/OU=gsigw test/CN=Mallory"})
	if err != nil {
		return nil, err
	}
	falseCA, err := p.falseCA(mallory)
	if err != nil {
		return nil, err
	}
	people := map[string]*gsi.Credential{"user": p.User, "proxy": proxy, "host": p.Host, "ecuser": p.ECUser, "ecproxy": ecproxy, "mallory": mallory}
	for name, make := range map[string]func() (*gsi.Credential, error){
		// A stranger is called as the user is, by a CA that nobody trusts, and has a key of its own; a namesake has the
		// user's key. A false CA is called as the true one.
		"stranger": func() (*gsi.Credential, error) { return p.Other.Issue(Request{Name: UserName, Key: mallory.Key}) },
		"namesake": func() (*gsi.Credential, error) { return p.Other.Issue(Request{Name: UserName, Key: p.User.Key}) },
		"falseca": func() (*gsi.Credential, error) {
			return &gsi.Credential{Chain: []*x509.Certificate{falseCA.Cert}, Key: falseCA.Key}, nil
		},
		"forged": func() (*gsi.Credential, error) { return falseCA.Issue(Request{Name: UserName, Key: mallory.Key}) },
		// Mallory has certified a proxy of hers over the key of the user's proxy, which she does not have.
		"borrowed": func() (*gsi.Credential, error) {
			chain, err := gsi.Mint(mallory, proxy.Key.Public(), gsi.Limits{Now: p.options.Now})
			return &gsi.Credential{Chain: chain, Key: proxy.Key}, err
		},
		"expired": func() (*gsi.Credential, error) {
			return p.CA.Issue(Request{Name: UserName, Key: p.User.Key, NotAfter: p.options.Now.Add(-time.Minute)})
		},
		"second": func() (*gsi.Credential, error) { return p.ProxyOf(proxy, gsi.Limits{}) },
	} {
		if people[name], err = make(); err != nil {
			return nil, err
		}
	}
	return people, nil
}

// falseCA is called as the true one is, and has another key.
func (p *PKI) falseCA(keyOf *gsi.Credential) (*Authority, error) {
	c, err := (&Authority{options: p.options}).Issue(Request{Name: CAName, CA: true, Key: keyOf.Key})
	if err != nil {
		return nil, err
	}
	return &Authority{Cert: c.Leaf(), Key: c.Key, options: p.options}, nil
}
