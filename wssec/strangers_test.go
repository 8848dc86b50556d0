package wssec_test

import (
	"crypto/x509"
	"fmt"
	"strings"
	"testing"

	"gsigw/internal/gridtest"
	"gsigw/soap"
	. "gsigw/wssec"
	"gsigw/wssec/xmlenc"
)

// Nobody who is not trusted has a verifier use its private key or read a ciphertext, and so none learns of it: what he is
// told is what he would be told without any encryption.
func TestVerify_OpensNothingForStrangers(t *testing.T) {
	g := newGrid(t)
	stranger := gridtest.Must(g.Other.Issue(gridtest.Request{Name: gridtest.UserName}))
	spoilt := func(doc string) string {
		return strings.Replace(doc, "<ds:SignatureValue>", "<ds:SignatureValue>AAAA", 1)
	}
	nobody := func(doc string) string {
		return strings.NewReplacer("<ds:Signature ", "<ds:Another ", "</ds:Signature>", "</ds:Another>").Replace(doc)
	}
	e := Encryption{To: g.Host.Leaf(), Cipher: xmlenc.AES128CBC, KeyTransport: xmlenc.RSA15}
	for order, p := range orders(e) {
		isHidden := strings.Contains(order, "the signature")
		for name, c := range map[string]struct {
			doc  string
			want Class
		}{
			"a stranger's":              {secureBy(t, p, plainRequest, stranger), ClassUntrusted},
			"with a spoilt signature":   {spoilt(secureBy(t, p, plainRequest, g.User)), ClassSignature},
			"with no signature":         {nobody(secureBy(t, p, plainRequest, g.User)), ClassNoSecurity},
			"a stranger's, to somebody": {secureBy(t, p, plainRequest, stranger), ClassUntrusted},
		} {
			if isHidden && name != "a stranger's" {
				continue
			}
			t.Run(order+", "+name, func(t *testing.T) {
				o := g.oracle()
				if strings.HasSuffix(name, "somebody") {
					o.Decrypt.Certificates = []*x509.Certificate{g.User.Leaf()}
				}
				var first *answer
				for what, doc := range map[string]string{"as sent": c.doc, "ciphertext changed": putValue(bodyValue, c.doc, make([]byte, 400)), "no ciphertext": bodyValue.ReplaceAllString(c.doc, "${1}?")} {
					if isHidden && what == "no ciphertext" {
						continue // that can be seen
					}
					got := o.ask(t, doc)
					got.read = 0 // they are not of one size
					if first == nil {
						first = &got
					}
					if got != *first {
						t.Errorf("%s: %+v\nothers: %+v", what, got, *first)
					}
					switch {
					case isHidden && got.class != ClassDecrypt:
						t.Errorf("%+v: who signed was hidden", got)
					case !isHidden && (got.class != c.want || got.operations > 0):
						t.Errorf("%+v, want class %s", got, c.want)
					}
				}
			})
		}
	}
}

// Every encrypted key for somebody else may refer to a token, which is decoded once; and there may not be many.
func TestVerify_BoundsKeysForOthers(t *testing.T) {
	g := newGrid(t)
	doc := secureBy(t, &X509Message{Privacy: &Encryption{To: g.Host.Leaf()}}, plainRequest, g.User)
	_, other := cutKey(secureBy(t, &X509Message{Privacy: &Encryption{To: g.User.Leaf()}}, plainRequest, g.User))
	list := "<xenc:ReferenceList>" + between(other, "<xenc:ReferenceList>", "</xenc:ReferenceList>") + "</xenc:ReferenceList>"
	other = strings.Replace(other, list, "", 1)
	for n, want := range map[int]Class{16: "", 17: ClassLimit} {
		_, err := verifyBytes(g.opener(g.Host), []byte(inSecurityHeader(doc, strings.Repeat(other, n))), Expect{Encrypted: true})
		if want != "" {
			wantClass(t, err, want)
		} else if err != nil {
			t.Error(err)
		}
	}
}

// costlyEncryption are messages of 100 KB whose encryption tries to cost more than they are worth.
func costlyEncryption(t testing.TB, g *grid) map[string]string {
	base := secure(t, &GSIMessage{}, plainRequest, g.User)
	rich := gridtest.Must(g.CA.Issue(gridtest.Request{Name: "/O=Grid/CN=rich", Change: func(c *x509.Certificate) {
		for i := range 6000 {
			c.DNSNames = append(c.DNSNames, fmt.Sprintf("a%d", i))
		}
	}})).Leaf()
	id := between(base, `<wsse:Reference URI="#`, `"`)
	big := inSecurityHeader(base, strings.NewReplacer(id, "T", "#X509PKIPathv1", "#X509v3").Replace(cut(token("X509v3", rich.Raw)(base), "wsse:BinarySecurityToken")))
	if !strings.Contains(big, `"T"`) {
		t.Fatal(big)
	}
	theirs := func() string {
		return string(xmlenc.AppendKey(nil, "", xmlenc.RSAOAEP, `<w:Reference xmlns:w="`+soap.WSSE+`" URI="#T"/>`, []byte("k"), nil))
	}
	key := xmlenc.AES128GCM.NewKey()
	wrapped := gridtest.Must(xmlenc.RSAOAEP.Wrap(&hostKey(g).PublicKey, key))
	ours := func(refs ...string) string {
		k := string(xmlenc.AppendKey(nil, "", xmlenc.RSAOAEP, "", wrapped, refs))
		return strings.Replace(k, `<ds:KeyInfo xmlns:ds="`+DSig+`"></ds:KeyInfo>`, "", 1)
	}
	value := gridtest.Must(xmlenc.AES128GCM.Encrypt(key, []byte("<a/>")))
	data := func(i int) string {
		return string(xmlenc.AppendData(nil, fmt.Sprint("d", i), xmlenc.TypeElement, xmlenc.AES128GCM, value))
	}
	var ids []string
	var sixty strings.Builder
	large := gridtest.Must(xmlenc.AES128GCM.Encrypt(key, []byte("<a>"+strings.Repeat("<a/>", 200)+"</a>")))
	for i := range 60 {
		ids = append(ids, fmt.Sprint("d", i))
		sixty.Write(xmlenc.AppendData(nil, ids[i], xmlenc.TypeElement, xmlenc.AES128GCM, large))
	}
	var four strings.Builder
	for i := range 4 {
		four.WriteString(ours(ids[i]))
	}
	inBody := func(doc, what string) string {
		return strings.Replace(doc, "</soapenv:Body>", what+"</soapenv:Body>", 1)
	}
	return map[string]string{
		"keys for others, one large token":       inSecurityHeader(big, strings.Repeat(theirs(), 45)),
		"keys for others, few and a large token": inSecurityHeader(big, strings.Repeat(theirs(), 16)),
		"keys for us":                            inSecurityHeader(base, strings.Repeat(ours("d"), 45)),
		"encrypted data":                         inSecurityHeader(filled(base, "</soapenv:Body>", data), ours("d0")),
		"as much encrypted data as may be":       inSecurityHeader(inBody(base, sixty.String()), ours(ids...)),
		"four keys":                              inSecurityHeader(inBody(base, data(0)+data(1)+data(2)+data(3)), four.String()),
		"references to data":                     inSecurityHeader(inBody(base, data(0)), ours(strings.Fields(strings.Repeat("d0 ", 400))...)),
		"large content, signed first":            secureBy(t, &X509Message{Privacy: &Encryption{To: g.Host.Leaf(), Cipher: xmlenc.AES128CBC}}, requestWith("<a>"+strings.Repeat("<a b='1'/>", 7000)+"</a>"), g.User),
		"large content, encrypted first":         secureBy(t, &X509Message{EncryptFirst: true, Privacy: &Encryption{To: g.Host.Leaf(), Cipher: xmlenc.AES128CBC}}, requestWith("<a>"+strings.Repeat("<a b='1'/>", 7000)+"</a>"), g.User),
		"names, encrypted first":                 secureBy(t, &X509Message{EncryptFirst: true, Privacy: &Encryption{To: g.Host.Leaf()}}, requestWith("<a xmlns:p='urn:p'>"+strings.Repeat("<p:a b='p:a'/>", 5000)+"</a>"), g.User),
	}
}
