package wssec_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/big"
	"regexp"
	"strings"
	"testing"
	"time"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
	"gsigw/soap"
	. "gsigw/wssec"
	"gsigw/wssec/xmlenc"
)

var (
	keyValue  = regexp.MustCompile(`(?s)(<xenc:EncryptedKey.*?<xenc:CipherValue>)[^<]*`)
	bodyValue = regexp.MustCompile(`(?s)(<soapenv:Body.*?<xenc:CipherValue>)[^<]*`)
)

func putValue(at *regexp.Regexp, doc string, value []byte) string {
	return at.ReplaceAllString(doc, "${1}"+base64.StdEncoding.EncodeToString(value))
}

// oracle is a verifier that is asked about ciphertexts, and what it does is counted.
type oracle struct {
	*Verifier
	operations int // with the private key
	chains     int // that were verified
	read       int // bytes of the message
}

type countedKey struct {
	crypto.Decrypter
	*oracle
}

func (k countedKey) Decrypt(r io.Reader, b []byte, o crypto.DecrypterOpts) ([]byte, error) {
	k.operations++
	return k.Decrypter.Decrypt(r, b, o)
}

type countedTrust struct {
	Trust
	*oracle
}

func (c countedTrust) Verify(chain []*x509.Certificate, at time.Time) (*gsi.Identity, error) {
	c.chains++
	return c.Trust.Verify(chain, at)
}

type countedSource struct {
	b []byte
	*oracle
}

func (c countedSource) Size() int64 { return int64(len(c.b)) }

func (c countedSource) ReadAt(p []byte, off int64) (int, error) {
	n, err := bytes.NewReader(c.b).ReadAt(p, off)
	c.read += n
	return n, err
}

func (g *grid) oracle() *oracle {
	o := &oracle{Verifier: g.opener(g.Host)}
	o.Decrypt.Key, o.Trust = countedKey{o.Decrypt.Key, o}, countedTrust{o.Trust, o}
	return o
}

// answer is all that can be seen of an answer.
type answer struct {
	err                      string
	class                    Class
	operations, chains, read int
}

func (o *oracle) ask(t testing.TB, doc string) answer {
	t.Helper()
	o.operations, o.chains, o.read = 0, 0, 0
	m, err := soap.Read(countedSource{[]byte(doc), o}, soap.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = o.Verify(context.Background(), m, Expect{})
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("%v\n%s", err, doc)
	}
	return answer{e.Error(), e.Class, o.operations, o.chains, o.read}
}

// question is a message of ours with another key or another ciphertext in it, of the same size.
type question struct {
	wrapped []byte // nil: of the key
	size    int    // of the key; 0: the cipher's
	key     []byte // that the content is encrypted with; nil: the wrapped one
	text    string
	change  func([]byte) // of the ciphertext
}

const rightText = `<add xmlns="http://counter.com">5</add>`

func questions(host *rsa.PrivateKey, k xmlenc.KeyTransport) map[string]question {
	flip := func(at int) func([]byte) { return func(b []byte) { b[(at+len(b))%len(b)] ^= 0x55 } }
	qs := map[string]question{
		"bytes that are no block of RSA": {wrapped: bytes.Repeat([]byte{1}, host.Size())},
		"more than the modulus":          {wrapped: bytes.Repeat([]byte{255}, host.Size())},
		"a key of another size":          {size: 17},
		"an empty key":                   {size: -1},
		"another key":                    {key: make([]byte, 16)},
		"the last byte changed":          {change: flip(-1)},
		"the first byte changed":         {change: flip(0)},
		"the middle changed":             {change: flip(20)},
		"an open element":                {text: `<add xmlns="http://counter.com"><b>5</add>`},
		"a closed element":               {text: `<add xmlns="http://counter.com">5</add></b>`},
		"out of Body":                    {text: `</soapenv:Body><soapenv:Body>`},
		"out of what is looked at":       {text: `<a/></x><x><a/>`},
		"an open comment":                {text: `<add xmlns="http://counter.com">5</add><!--`},
		"open CDATA":                     {text: `<add xmlns="http://counter.com">5</add><![CDATA[`},
		"an unknown prefix":              {text: `<c:add xmlns="http://counter.com">5</c:add>`},
		"a processing instruction":       {text: `<add xmlns="http://counter.com"><?x y?></add>`},
		"an entity":                      {text: `<add xmlns="http://counter.com">&x;</add>`},
		"a document type":                {text: `<!DOCTYPE add><add xmlns="http://counter.com"/>`},
		"no UTF-8":                       {text: "<add xmlns=\"http://counter.com\">\xff</add>          "},
		"no character":                   {text: "<add xmlns=\"http://counter.com\">\x00</add>          "},
		"an encrypted key":               {text: `<EncryptedKey xmlns="` + xmlenc.Space + `"/>`},
		"encrypted twice":                {text: `<EncryptedData xmlns="` + xmlenc.Space + `"/>`},
	}
	if k == xmlenc.RSA15 {
		zero := append([]byte{0, 2}, bytes.Repeat([]byte{7}, host.Size()-2)...) // no end of the padding
		qs["padding without an end"] = question{wrapped: rawRSA(host, zero)}
		qs["another block type"] = question{wrapped: rawRSA(host, append([]byte{0, 1}, zero[2:]...))}
	} else {
		qs["OAEP, first byte not zero"] = question{wrapped: rawRSA(host, append([]byte{1}, make([]byte, host.Size()-1)...))}
		qs["OAEP, all zero behind the first"] = question{wrapped: rawRSA(host, append([]byte{0}, bytes.Repeat([]byte{9}, host.Size()-1)...))}
	}
	return qs
}

// rawRSA is what the private key opens to this block.
func rawRSA(k *rsa.PrivateKey, block []byte) []byte {
	return modExp(block, int64(k.E), k)
}

func (q question) put(t testing.TB, doc string, host *rsa.PrivateKey, c xmlenc.Cipher, k xmlenc.KeyTransport) string {
	t.Helper()
	size := c.KeySize()
	if q.size != 0 {
		size = max(q.size, 0)
	}
	key := make([]byte, size)
	rand.Read(key)
	if q.wrapped == nil {
		var err error
		if q.wrapped, err = k.Wrap(&host.PublicKey, key); err != nil {
			t.Fatal(err)
		}
	}
	if q.text == "" {
		q.text = rightText
	}
	if q.key != nil || len(key) != c.KeySize() {
		key = c.NewKey()
	}
	value, err := c.Encrypt(key, fmt.Appendf(nil, "%-80s", q.text)) // all of one size
	if err != nil {
		t.Fatal(err)
	}
	if q.change != nil {
		q.change(value)
	}
	return putValue(bodyValue, putValue(keyValue, doc, q.wrapped), value)
}

// What a verifier says to a ciphertext, and how much it does, must not depend on what is wrong inside.
func TestVerify_EveryFailureToDecryptLooksTheSame(t *testing.T) {
	g := newGrid(t)
	host := hostKey(g)
	for _, alg := range []struct {
		xmlenc.Cipher
		xmlenc.KeyTransport
	}{{xmlenc.AES128CBC, xmlenc.RSA15}, {xmlenc.AES128GCM, xmlenc.RSAOAEP}, {xmlenc.AES128CBC, xmlenc.RSAOAEP}} {
		for order, p := range orders(Encryption{To: g.Host.Leaf(), Cipher: alg.Cipher, KeyTransport: alg.KeyTransport}) {
			t.Run(alg.Cipher.String()+", "+alg.KeyTransport.String()+", "+order, func(t *testing.T) {
				doc, o := secureBy(t, p, plainRequest, g.User), g.oracle()
				var first *answer
				for name, q := range questions(host, alg.KeyTransport) {
					asked := q.put(t, doc, host, alg.Cipher, alg.KeyTransport)
					if !strings.HasPrefix(order, "sign") {
						asked = sealer{key: g.User.Key}.seal(t, asked)
					}
					got := o.ask(t, asked)
					if first == nil {
						first = &got
					}
					if got.class != ClassDecrypt || got != *first {
						t.Errorf("%s: %+v\nothers: %+v", name, got, *first)
					}
				}
			})
		}
	}
}

// Who signed is hidden with the signature. That nobody trusts him is for the operator's log; others hear what they hear of
// a ciphertext that does not open.
func TestVerify_WhyAHiddenSignerIsRefusedIsHidden(t *testing.T) {
	g := newGrid(t)
	p := &X509Message{Privacy: &Encryption{To: g.Host.Leaf(), Signature: true}}
	stranger := gridtest.Must(g.Other.Issue(gridtest.Request{Name: gridtest.UserName}))
	o := g.oracle()
	words := func(doc string) (string, error) {
		m := parse(t, doc)
		_, err := o.Verify(t.Context(), m, Expect{})
		wantClass(t, err, ClassDecrypt)
		e, _ := errors.AsType[*Error](err)
		return err.Error(), e.Hidden
	}
	doc := secureBy(t, p, plainRequest, stranger)
	said, hidden := words(doc)
	if e, ok := errors.AsType[*Error](hidden); !ok || e.Class != ClassUntrusted {
		t.Errorf("hidden: %v", hidden)
	}
	at := strings.LastIndex(doc, "CipherValue>") - 20
	changed, nothing := words(doc[:at] + strings.Map(otherLetter, doc[at:at+1]) + doc[at+1:])
	if changed != said || nothing != nil {
		t.Errorf("%q, hidden %v; an untrusted signer: %q", changed, nothing, said)
	}
}

func otherLetter(c rune) rune { return 'A' + c%2 }

// A signer who is trusted may not have somebody else's ciphertext read: nothing says of unsigned content what it is.
func TestVerify_TellsNothingOfUnsignedCiphertext(t *testing.T) {
	g := newGrid(t)
	host := hostKey(g)
	sign := &X509Message{Privacy: &Encryption{To: g.Host.Leaf(), Cipher: xmlenc.AES128CBC, KeyTransport: xmlenc.RSA15}}
	doc := secureBy(t, sign, plainRequest, g.User)
	key := xmlenc.AES128CBC.NewKey()
	wrapped, err := xmlenc.RSA15.Wrap(&host.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret := func(text string) (data, encryptedKey string) {
		value, err := xmlenc.AES128CBC.Encrypt(key, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return string(xmlenc.AppendData(nil, "stolen", xmlenc.TypeElement, xmlenc.AES128CBC, value)),
			string(xmlenc.AppendKey(nil, "", xmlenc.RSA15, "<ds:KeyName>x</ds:KeyName>", wrapped, []string{"stolen"}))
	}
	o := g.oracle()
	o.Decrypt.Certificates = nil
	for place, put := range map[string]func(data, key string) string{
		"header block": func(d, k string) string {
			return inSecurityHeader(strings.Replace(doc, "</soapenv:Header>", d+"</soapenv:Header>", 1), k)
		},
		"security":       func(d, k string) string { return inSecurityHeader(doc, k+d) },
		"before another": func(d, k string) string { return inSecurityHeader(strings.Replace(doc, "<wsa:To", d+"<wsa:To", 1), k) },
	} {
		var first *answer
		for _, text := range []string{
			"<a/>", "<a>", "<a/><b/>", " ", `<s:Security xmlns:s="` + soap.WSSE + `"/>`, `<t:Timestamp xmlns:t="` + soap.WSU + `"/>`,
			`<w:To xmlns:w="` + soap.Addressing200403 + `">x</w:To>`, `<d:Signature xmlns:d="` + DSig + `"/>`,
		} {
			got := o.ask(t, put(secret(text)))
			if first == nil {
				first = &got
			}
			if got.class != ClassDecrypt || got.err != first.err {
				t.Errorf("%s: %s: %+v", place, text, got)
			}
		}
	}
}

// inSecurityHeader puts elements at the start of the security header.
func inSecurityHeader(doc, elements string) string {
	at := strings.Index(doc, "<wsse:Security ")
	at += strings.Index(doc[at:], ">") + 1
	return doc[:at] + elements + doc[at:]
}

// Bytes all over what is hidden are changed in turn, every one of a short CipherValue: the message is refused, or gives
// back what was signed (CBC's padding is anything).
func TestVerify_NoChangedCiphertextGetsThrough(t *testing.T) {
	g := newGrid(t)
	for _, c := range []xmlenc.Cipher{xmlenc.AES128CBC, xmlenc.AES256GCM} {
		for order, p := range orders(Encryption{To: g.Host.Leaf(), Cipher: c, KeyTransport: xmlenc.RSAOAEP}) {
			doc, v := secureBy(t, p, plainRequest, g.User), g.opener(g.Host)
			want, err := verifyBytes(v, []byte(doc), Expect{})
			if err != nil {
				t.Fatal(err)
			}
			plain := givenBackOf(want)
			for _, span := range regexp.MustCompile(`<xenc:CipherValue>[^<]*`).FindAllStringIndex(doc, -1) {
				step := 1 + (span[1]-span[0])/400
				for at := span[0] + len("<xenc:CipherValue>"); at < span[1]; at += step {
					changed := []byte(doc)
					if changed[at] ^= 1; changed[at] == '@' || changed[at] == '`' {
						changed[at] = 'B'
					}
					got, err := verifyBytes(v, changed, Expect{})
					if err == nil && (c == xmlenc.AES256GCM || givenBackOf(got) != plain) {
						t.Fatalf("%s, %s: byte %d changed: accepted", c, order, at)
					}
				}
			}
		}
	}
}

func hostKey(g *grid) *rsa.PrivateKey { return g.Host.Key.(*rsa.PrivateKey) }

func modExp(block []byte, e int64, k *rsa.PrivateKey) []byte {
	return new(big.Int).Exp(new(big.Int).SetBytes(block), big.NewInt(e), k.N).FillBytes(make([]byte, k.Size()))
}

// A signer may foresee what stands where nothing was decrypted, and sign that.
func TestVerify_RefusesASignatureOverTheStandIn(t *testing.T) {
	g := newGrid(t)
	const size = 64
	blank := regexp.MustCompile(`(?s)(<soapenv:Body>).*(</soapenv:Body>)`).ReplaceAllString(plainRequest, "${1}"+strings.Repeat(" ", size)+"${2}")
	doc := secureBy(t, &X509Message{}, blank, g.User)
	wrapped, err := xmlenc.RSA15.Wrap(&hostKey(g).PublicKey, make([]byte, 16))
	if err != nil {
		t.Fatal(err)
	}
	garbage := bytes.Repeat([]byte{1}, size)
	doc = strings.Replace(doc, strings.Repeat(" ", size), string(xmlenc.AppendData(nil, "d", xmlenc.TypeContent, xmlenc.AES128CBC, garbage)), 1)
	doc = inSecurityHeader(doc, string(xmlenc.AppendKey(nil, "", xmlenc.RSA15, "<ds:KeyName>x</ds:KeyName>", wrapped, []string{"d"})))
	o := g.oracle()
	o.Decrypt.Certificates = nil
	if got := o.ask(t, doc); got.class != ClassDecrypt || got.operations != 1 {
		t.Errorf("%+v", got)
	}
}

// An id that somebody else's plaintext has can be guessed by giving it to the token, which no signature covers.
func TestVerify_TellsNothingOfIDsInPlaintext(t *testing.T) {
	g := newGrid(t)
	doc := secureBy(t, &X509Message{Privacy: &Encryption{To: g.Host.Leaf()}}, strings.Replace(plainRequest, "<add ", `<add Id="guess" `, 1), g.User)
	id := between(doc, `<wsse:Reference URI="#`, `"`)
	if got := g.oracle().ask(t, strings.ReplaceAll(doc, id, "guess")); got.class != ClassDecrypt {
		t.Errorf("%+v", got)
	}
	if _, err := verifyBytes(g.opener(g.Host), []byte(strings.ReplaceAll(doc, id, "other")), Expect{}); err != nil {
		t.Error(err)
	}
}
