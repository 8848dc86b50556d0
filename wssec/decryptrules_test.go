package wssec_test

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"gsigw/gsi"
	"gsigw/soap"
	. "gsigw/wssec"
	"gsigw/wssec/xmlenc"
)

// cutKey takes the EncryptedKey out of a message.
func cutKey(doc string) (rest, key string) {
	start := strings.Index(doc, "<xenc:EncryptedKey")
	end := strings.Index(doc, "</xenc:EncryptedKey>") + len("</xenc:EncryptedKey>")
	return doc[:start] + doc[end:], doc[start:end]
}

// between gives what stands behind before, up to after.
func between(doc, before, after string) string {
	_, rest, _ := strings.Cut(doc, before)
	inner, _, _ := strings.Cut(rest, after)
	return inner
}

// What everybody can see to be wrong is refused in its own words, before a key is used.
func TestVerify_RefusesEncryptionThatIsSeenToBeWrong(t *testing.T) {
	g := newGrid(t)
	sign := secureBy(t, &X509Message{Privacy: &Encryption{To: g.Host.Leaf()}}, plainRequest, g.User)
	weak := secureBy(t, &X509Message{Privacy: &Encryption{To: g.Host.Leaf(), Cipher: xmlenc.AES128CBC, KeyTransport: xmlenc.RSA15}}, plainRequest, g.User)
	hidden := secureBy(t, &X509Message{Privacy: &Encryption{To: g.Host.Leaf(), Headers: []soap.Name{counterKey}}}, plainRequest, g.User)
	gt4 := secureBy(t, &GSIMessage{Privacy: &Encryption{To: g.Host.Leaf()}}, plainRequest, g.User)
	put := func(doc, old, with string) string {
		if !strings.Contains(doc, old) {
			t.Fatalf("%s is not in\n%s", old, doc)
		}
		return strings.Replace(doc, old, with, 1)
	}
	id := between(sign, `<xenc:DataReference URI="#`, `"`)
	list := `<xenc:DataReference URI="#` + id + `"></xenc:DataReference>`
	data := sign[strings.Index(sign, "<xenc:EncryptedData"):strings.Index(sign, "</soapenv:Body>")]
	rest, key := cutKey(sign)
	gt4Rest, gt4Key := cutKey(gt4)
	elements := &X509Message{Privacy: &Encryption{To: g.Host.Leaf(), Elements: []soap.Name{{Local: "b"}}}, Unanswered: true}
	headless, headlessKey := cutKey(secureBy(t, elements, `<e:Envelope xmlns:e="`+soap.Envelope11+`"><e:Body><a></a><b></b></e:Body></e:Envelope>`, g.User))
	stranger := func(d *Decryption) { d.Certificates = []*x509.Certificate{g.User.Leaf()} }
	for _, c := range []struct {
		name, doc string
		want      Class
		change    func(*Decryption)
	}{
		{"no key", rest, ClassDecrypt, nil},
		{"for somebody else", sign, ClassDecrypt, stranger},
		{"nothing refers to the data", put(sign, list, ""), ClassDecrypt, nil},
		{"two references", put(sign, list, list+list), ClassMalformed, nil},
		{"two keys for one", inSecurityHeader(sign, key), ClassMalformed, nil},
		{"reference to nothing", put(sign, list, strings.Replace(list, id, "nothing", 1)), ClassWrapped, nil},
		{"reference out of the message", put(sign, `URI="#`+id, `URI="http://example.org/#`+id), ClassWrapped, nil},
		{"reference to Body", put(sign, list, strings.Replace(list, id, parse(t, sign).Body.ID, 1)), ClassWrapped, nil},
		{"two of one id", put(sign, "<soapenv:Header>", `<soapenv:Header><x Id="`+id+`"/>`), ClassDuplicateID, nil},
		{"two EncryptedData of one id", put(sign, "</soapenv:Body>", data+"</soapenv:Body>"), ClassDuplicateID, nil},
		{"another EncryptedData", put(sign, "</soapenv:Body>", strings.Replace(data, id, "other", 1)+"</soapenv:Body>"), ClassDecrypt, nil},
		{"no Id", put(sign, ` Id="`+id+`"`, ""), ClassMalformed, nil},
		{"data deep in a header", put(sign, "</ns1:CounterKey>", data+"</ns1:CounterKey>"), ClassWrapped, nil},
		{"data around Header", put(sign, "<soapenv:Header>", "<soapenv:Header><a><b>"+data+"</b></a>"), ClassWrapped, nil},
		{"key in a header block", put(rest, "<soapenv:Header>", "<soapenv:Header>"+key), ClassWrapped, nil},
		{"key inside a header block", put(rest, "<soapenv:Header>", "<soapenv:Header><a>"+key+"</a>"), ClassWrapped, nil},
		{"key in Body", put(rest, "</soapenv:Body>", key+"</soapenv:Body>"), ClassWrapped, nil},
		{"key deep in Body, behind the security header", put(headless, "<a></a>", "<a>"+headlessKey+"</a>"), ClassWrapped, nil},
		{"key deep in the security header", inSecurityHeader(rest, "<a>"+key+"</a>"), ClassWrapped, nil},
		{"key in the data", put(rest, "<xenc:CipherData>", `<ds:KeyInfo xmlns:ds="`+DSig+`">`+key+"</ds:KeyInfo><xenc:CipherData>"), ClassWrapped, nil},
		{"no Type", put(sign, ` Type="`+xmlenc.TypeContent+`"`, ""), ClassMalformed, nil},
		{"another Type", put(sign, xmlenc.TypeContent, "http://www.isi.edu/in-notes/iana/assignments/media-types/text/xml"), ClassMalformed, nil},
		{"content in a header", put(hidden, xmlenc.TypeElement, xmlenc.TypeContent), ClassMalformed, nil},
		{"two in an EncryptedHeader", put(hidden, "</wsse11:EncryptedHeader>", "<a/></wsse11:EncryptedHeader>"), ClassMalformed, nil},
		{"CipherReference", put(sign, data[strings.Index(data, "<xenc:CipherValue>"):strings.Index(data, "</xenc:CipherData>")], `<xenc:CipherReference URI="http://example.org/"/>`), ClassWrapped, nil},
		{"unknown cipher", put(sign, "aes256-gcm", "aes256-ocb"), ClassAlgorithm, nil},
		{"unknown key transport", put(sign, "rsa-oaep-mgf1p", "kw-aes128"), ClassAlgorithm, nil},
		{"CBC where none is allowed", weak, ClassAlgorithm, func(d *Decryption) { d.CBC = false }},
		{"rsa-1_5 where none is allowed", weak, ClassAlgorithm, func(d *Decryption) { d.RSA15 = false }},
		{"many keys", inSecurityHeader(sign, strings.Repeat(key, 4)), ClassLimit, nil},
		{"much data", put(sign, "</soapenv:Body>", strings.Repeat(data, 64)+"</soapenv:Body>"), ClassLimit, nil},
		{"large data", sign, ClassLimit, func(d *Decryption) { d.MaxBytes = 20 }},
		{"a key for nothing", inSecurityHeader(sign, strings.Replace(key, list, "", 1)), ClassMalformed, nil},
		{"a signature over what is not encrypted first", put(gt4Rest, "<ds:Signature", gt4Key+"<ds:Signature"), ClassDecrypt, nil},
		{"data in the security header behind the signature", put(put(gt4, "<wsu:Timestamp", strings.Replace(data, id, "late", 1)+"<wsu:Timestamp"), "<xenc:ReferenceList>", `<xenc:ReferenceList><xenc:DataReference URI="#late"/>`), ClassMalformed, nil},
		{"unsigned data behind the signature", put(put(gt4, "<wsa:To", strings.Replace(strings.Replace(data, id, "late", 1), xmlenc.TypeContent, xmlenc.TypeElement, 1)+"<wsa:To"), "<xenc:ReferenceList>", `<xenc:ReferenceList><xenc:DataReference URI="#late"/>`), ClassUnsignedPart, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := g.oracle()
			if c.change != nil {
				c.change(o.Decrypt)
			}
			got := o.ask(t, c.doc)
			if got.class != c.want {
				t.Errorf("%+v, want class %s", got, c.want)
			}
			isLate := strings.HasPrefix(c.name, "a signature over")
			if got.operations > 0 && !isLate {
				t.Errorf("the private key was used %d times", got.operations)
			}
			if strings.Contains(got.err, "does not decrypt to what was signed") != isLate {
				t.Errorf("the words are those of what must not be told: %s", got.err)
			}
		})
	}
}

func TestVerify_DemandsAnEncryptedBody(t *testing.T) {
	g := newGrid(t)
	clear := secureBy(t, &X509Message{}, plainRequest, g.User)
	header := secureBy(t, &GSIMessage{Privacy: &Encryption{To: g.Host.Leaf()}}, plainRequest, g.User)
	beside := sealer{key: g.User.Key}.seal(t, strings.Replace(header, "</soapenv:Body>", "<a/></soapenv:Body>", 1))
	for name, doc := range map[string]string{"in the clear": clear, "clear content beside": beside} {
		if _, err := verifyBytes(g.opener(g.Host), []byte(doc), Expect{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		_, err := verifyBytes(g.opener(g.Host), []byte(doc), Expect{Encrypted: true})
		wantClass(t, err, ClassDecrypt)
	}
	_, err := verifyBytes(g.verifier, []byte(header), Expect{Encrypted: true})
	wantClass(t, err, ClassDecrypt)
}

// Without a key, the content of Body stays what it is: ciphertext that somebody signed.
func TestVerify_WithoutAKeyCiphertextStays(t *testing.T) {
	g := newGrid(t)
	doc := secureBy(t, &GSIMessage{Privacy: &Encryption{To: g.Host.Leaf()}}, plainRequest, g.User)
	got, err := verifyBytes(g.verifier, []byte(doc), Expect{})
	if err != nil || got.Operation().Space != xmlenc.Space {
		t.Errorf("%v", err)
	}
}

// What stands in a header block for somebody else is theirs.
func TestVerify_LeavesDataForOthersAlone(t *testing.T) {
	g := newGrid(t)
	doc := secureBy(t, &X509Message{Privacy: &Encryption{To: g.Host.Leaf(), Headers: []soap.Name{counterKey}}}, plainRequest, g.User)
	data := string(xmlenc.AppendData(nil, "theirs", xmlenc.TypeElement, xmlenc.AES256GCM, make([]byte, 40)))
	for name, block := range map[string]string{
		"data": "<o:x xmlns:o='urn:o' soapenv:actor='urn:o'>" + data + "</o:x>", "empty": "<o:x xmlns:o='urn:o' soapenv:actor='urn:o'/>",
	} {
		got, err := verifyBytes(g.opener(g.Host), []byte(strings.Replace(doc, "<soapenv:Header>", "<soapenv:Header>"+block, 1)), Expect{Encrypted: true})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !slices.Contains(got.Parts(), counterKey) {
			t.Errorf("%s: the header is not open: %v", name, got.Parts())
		}
	}
}

// A message that is plainly not encrypted is not looked through for what is.
func TestVerify_AKeyCostsNothingWhereNothingIsEncrypted(t *testing.T) {
	g := newGrid(t)
	doc := secureBy(t, &GSIMessage{}, plainRequest, g.User)
	read := func(change func(*Verifier)) int {
		o := g.oracle()
		change(o.Verifier)
		m, err := soap.Read(countedSource{[]byte(doc), o}, soap.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := o.Verify(t.Context(), m, Expect{}); err != nil {
			t.Fatal(err)
		}
		return o.read
	}
	with, without := read(func(*Verifier) {}), read(func(v *Verifier) { v.Decrypt = nil })
	if with != without {
		t.Errorf("%d bytes are read with a key, %d without", with, without)
	}
}

// A message for several receivers has a key for each; those of others are left alone.
func TestVerify_OpensTheKeyThatIsOurs(t *testing.T) {
	g := newGrid(t)
	doc := secureBy(t, &X509Message{Privacy: &Encryption{To: g.Host.Leaf()}}, plainRequest, g.User)
	_, other := cutKey(secureBy(t, &X509Message{Privacy: &Encryption{To: g.User.Leaf()}}, plainRequest, g.User))
	other = strings.Replace(other, between(other, `<xenc:DataReference URI="#`, `"`), between(doc, `<xenc:DataReference URI="#`, `"`), 1)
	o := g.oracle()
	if _, err := verifyBytes(o.Verifier, []byte(inSecurityHeader(doc, other)), Expect{Encrypted: true}); err != nil {
		t.Error(err)
	}
	if o.operations != 1 {
		t.Errorf("%d keys were tried", o.operations)
	}
}

// A ReferenceList may stand beside the key, where the data itself names the key (WS-Security 1.0, section 9.1).
func TestVerify_TakesAReferenceListOfItsOwn(t *testing.T) {
	g := newGrid(t)
	doc := secureBy(t, &X509Message{Privacy: &Encryption{To: g.Host.Leaf()}}, plainRequest, g.User)
	list := "<xenc:ReferenceList>" + between(doc, "<xenc:ReferenceList>", "</xenc:ReferenceList>") + "</xenc:ReferenceList>"
	doc = strings.Replace(doc, list, "", 1)
	doc = strings.Replace(doc, "<xenc:EncryptedKey ", `<xenc:EncryptedKey Id="EK" `, 1)
	doc = strings.Replace(doc, "</xenc:EncryptedKey>", "</xenc:EncryptedKey>"+strings.Replace(list, "<xenc:ReferenceList", `<xenc:ReferenceList xmlns:xenc="`+xmlenc.Space+`"`, 1), 1)
	at := strings.LastIndex(doc, "<xenc:CipherData>")
	named := func(id string) string {
		return doc[:at] + `<ds:KeyInfo xmlns:ds="` + DSig + `"><s:SecurityTokenReference xmlns:s="` + soap.WSSE + `"><s:Reference URI="#` + id + `"/></s:SecurityTokenReference></ds:KeyInfo>` + doc[at:]
	}
	if _, err := verifyBytes(g.opener(g.Host), []byte(named("EK")), Expect{Encrypted: true}); err != nil {
		t.Error(err)
	}
	_, err := verifyBytes(g.opener(g.Host), []byte(named("other")), Expect{Encrypted: true})
	wantClass(t, err, ClassDecrypt)
	_, err = verifyBytes(g.opener(g.Host), []byte(doc), Expect{Encrypted: true})
	wantClass(t, err, ClassDecrypt)
}

func TestVerify_RecipientIsNamedInManyWays(t *testing.T) {
	g := newGrid(t)
	doc := secureBy(t, &X509Message{Privacy: &Encryption{To: g.Host.Leaf()}}, plainRequest, g.User)
	name := between(doc, "<ds:X509IssuerName>", "<")
	parts := strings.Split(name, ",")
	for i, j := 0, len(parts)-1; i < j; i, j = i+1, j-1 {
		parts[i], parts[j] = parts[j], parts[i]
	}
	keyInfo := `<ds:KeyInfo xmlns:ds="` + DSig + `">` + between(doc[strings.Index(doc, "<xenc:EncryptedKey"):], `<ds:KeyInfo xmlns:ds="`+DSig+`">`, "</ds:KeyInfo>") + "</ds:KeyInfo>"
	serial := between(doc, "<ds:X509SerialNumber>", "<")
	for _, c := range []struct {
		name, doc string
		ok        bool
	}{
		{"the certificate's order", strings.Replace(doc, name, strings.Join(parts, ","), 1), true},
		{"spaces", strings.Replace(doc, name, strings.Join(strings.Split(name, ","), ", "), 1), true},
		{"no name at all", strings.Replace(doc, keyInfo, "", 1), true},
		{"another name", strings.Replace(doc, name, "CN=x,"+name, 1), false},
		{"another number", strings.Replace(doc, "<ds:X509SerialNumber>"+serial, "<ds:X509SerialNumber>9"+serial, 1), false},
		{"a long number", strings.Replace(doc, "<ds:X509SerialNumber>"+serial, "<ds:X509SerialNumber>"+strings.Repeat("9", 1000), 1), false},
		{"a name of a key", strings.Replace(doc, keyInfo, `<ds:KeyInfo xmlns:ds="`+DSig+`"><ds:KeyName>host</ds:KeyName></ds:KeyInfo>`, 1), false},
	} {
		if c.doc == doc {
			t.Fatal(c.name, "changes nothing")
		}
		_, err := verifyBytes(g.opener(g.Host), []byte(c.doc), Expect{Encrypted: true})
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// Decrypted content may depend on declarations around it that nobody signed: they are judged before anybody reads it.
func TestVerified_JudgesNamesThatUnsignedDeclarationsExplain(t *testing.T) {
	g := newGrid(t)
	const text = `<c:add xmlns:d="urn:d">%s</c:add>`
	for _, c := range []struct {
		name, content string
		keep          []string
		want          Class
	}{
		{"unknown", fmt.Sprintf(text, "5"), nil, ClassUnsignedPart},
		{"kept", fmt.Sprintf(text, "5"), []string{"http://counter.com"}, ""},
		{"known", `<add xmlns="http://counter.com" xsd:a="x">5</add>`, nil, ""},
		{"name in text", `<add xmlns="http://counter.com">c:x</add>`, nil, ClassUnsignedPart},
		{"name in text, declared within", `<add xmlns="http://counter.com" xmlns:c="urn:c">c:x</add>`, nil, ""},
		{"attribute", `<add xmlns="http://counter.com" c:a="x">5</add>`, nil, ClassUnsignedPart},
		{"default namespace", `<add>5</add>`, nil, ClassUnsignedPart},
		{"a name of SOAP's own", `<s2:Fault/>`, nil, ClassUnsignedPart},
		{"an attribute of SOAP's own", `<add xmlns="http://counter.com" s2:mustUnderstand="1">5</add>`, []string{soap.Envelope11}, ClassUnsignedPart},
		{"all declared", `<c:add xmlns:c="http://counter.com">5</c:add>`, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			doc := strings.Replace(plainRequest, "<soapenv:Envelope ", `<soapenv:Envelope xmlns="urn:default" xmlns:c="http://counter.com" xmlns:s2="`+soap.Envelope11+`" `, 1)
			doc = secureBy(t, &GSIMessage{Privacy: &Encryption{To: g.Host.Leaf()}}, doc, g.User)
			key := xmlenc.AES256GCM.NewKey()
			wrapped, err := xmlenc.RSAOAEP.Wrap(&hostKey(g).PublicKey, key)
			if err != nil {
				t.Fatal(err)
			}
			value, err := xmlenc.AES256GCM.Encrypt(key, []byte(c.content))
			if err != nil {
				t.Fatal(err)
			}
			doc = sealer{key: g.User.Key}.seal(t, putValue(bodyValue, putValue(keyValue, doc, wrapped), value))
			got, err := verifyBytes(g.opener(g.Host), []byte(doc), Expect{Encrypted: true, Keep: c.keep})
			if c.want != "" {
				wantClass(t, err, c.want)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := got.Digested(); err != nil {
				t.Error(err)
			}
			b, err := got.Message(nil)
			if err != nil {
				t.Fatal(err)
			}
			if m := parse(t, string(b)); m.Operation != (soap.Name{Space: "http://counter.com", Local: "add"}) {
				t.Errorf("%s\n%s", m.Operation, b)
			}
		})
	}
}

// What was decrypted before the signature is no less subject to it: precise classes come back once it is proven.
func TestVerify_ClassesArePreciseOnceContentIsProven(t *testing.T) {
	g := newGrid(t)
	reply := strings.Replace(plainRequest, "<wsa:To>", `<wsa:RelatesTo RelationshipType="wsa:Reply">uuid:1</wsa:RelatesTo><wsa:To>`, 1)
	for order, p := range orders(Encryption{To: g.Host.Leaf()}) {
		doc := secureBy(t, p, reply, g.User)
		for _, c := range []struct {
			expect Expect
			want   Class
		}{
			{Expect{Role: Reply, RelatesTo: "uuid:2"}, ClassRelatesTo},
			{Expect{Require: []soap.Name{{Space: "urn:x", Local: "x"}}}, ClassUnsignedPart},
		} {
			_, err := verifyBytes(g.opener(g.Host), []byte(doc), c.expect)
			if e, ok := errors.AsType[*Error](err); !ok || e.Class != c.want {
				t.Errorf("%s: %v, want %s", order, err, c.want)
			}
		}
		stranger := Expect{Peer: func(*gsi.Identity) error { return errors.New("another") }}
		_, err := verifyBytes(g.opener(g.Host), []byte(doc), stranger)
		want := ClassIdentity
		if strings.Contains(order, "the signature") {
			want = ClassDecrypt // who signed was hidden as well
		}
		wantClass(t, err, want)
	}
}

func FuzzDecrypt(f *testing.F) {
	g := newGrid(f)
	v, key := g.opener(g.Host), xmlenc.AES128CBC.NewKey()
	v.Decrypt.Key = sameKey{v.Decrypt.Key, key}
	for _, c := range []xmlenc.Cipher{xmlenc.AES128CBC, xmlenc.AES256GCM} {
		for _, p := range orders(Encryption{To: g.Host.Leaf(), Cipher: c, KeyTransport: xmlenc.RSA15, Headers: []soap.Name{counterKey}}) {
			f.Add([]byte(secureBy(f, p, plainRequest, g.User)), []byte("<a/>"))
		}
	}
	f.Fuzz(func(t *testing.T, doc, text []byte) {
		openAny(t, v, doc)
		// The text stands in for the content, which mutation of ciphertext never reaches.
		if value, err := xmlenc.AES128CBC.Encrypt(key, text); err == nil {
			openAny(t, v, []byte(putValue(bodyValue, string(doc), value)))
		}
	})
}

// sameKey opens every encrypted key to the same one.
type sameKey struct {
	crypto.Decrypter
	key []byte
}

func (k sameKey) Decrypt(io.Reader, []byte, crypto.DecrypterOpts) ([]byte, error) { return k.key, nil }

// openAny verifies, and reads all that comes of it: what is given back is a message.
func openAny(t *testing.T, v *Verifier, doc []byte) {
	got, err := verifyBytes(v, doc, Expect{})
	if err != nil {
		if _, ok := errors.AsType[*Error](err); !ok {
			t.Fatalf("%T: %v", err, err)
		}
		return
	}
	if b, err := got.Message(nil); err == nil {
		parse(t, string(b))
	}
}

// Which header is a resource key depends on the operation: that is known once Body is open.
func TestVerify_RefusesAnUnsignedKeyOfAHiddenOperation(t *testing.T) {
	g := newGrid(t)
	for order, p := range orders(Encryption{To: g.Host.Leaf()}) {
		doc := secureBy(t, p, strings.Replace(plainRequest, `<add xmlns="http://counter.com"`, `<add xmlns="urn:op"`, 1), g.User)
		put := func(space string) []byte {
			return []byte(strings.Replace(doc, "<wsa:To", `<o:Which xmlns:o="`+space+`">1</o:Which><wsa:To`, 1))
		}
		if _, err := verifyBytes(g.opener(g.Host), put("urn:other"), Expect{}); err != nil {
			t.Errorf("%s: %v", order, err)
		}
		_, err := verifyBytes(g.opener(g.Host), put("urn:op"), Expect{})
		wantClass(t, err, ClassUnsignedPart)
	}
}
