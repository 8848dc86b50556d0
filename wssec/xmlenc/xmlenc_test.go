package xmlenc_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"gsigw/soap"
	"gsigw/soap/xmlscan"
	. "gsigw/wssec/xmlenc"
)

var allCiphers = []Cipher{AES256GCM, AES192GCM, AES128GCM, AES256CBC, AES192CBC, AES128CBC, TripleDESCBC}

func TestCipher_Names(t *testing.T) {
	for _, c := range allCiphers {
		if got, err := ParseCipher(c.String()); err != nil || got != c {
			t.Errorf("%s: %s, %v", c, got, err)
		}
		if got, ok := CipherByURI(c.URI()); !ok || got != c {
			t.Errorf("%s: %s", c.URI(), got)
		}
	}
	if _, err := ParseCipher("rc4"); err == nil {
		t.Error("rc4 is a cipher")
	}
	if _, ok := CipherByURI(Space + "aes128"); ok {
		t.Error("aes128 is a cipher")
	}
	for _, k := range []KeyTransport{RSAOAEP, RSAOAEPSHA256, RSA15} {
		if got, err := ParseKeyTransport(k.String()); err != nil || got != k {
			t.Errorf("%s: %s, %v", k, got, err)
		}
	}
	if _, err := ParseKeyTransport("rsa"); err == nil {
		t.Error("rsa is a key transport")
	}
}

func TestCipher_RoundTrips(t *testing.T) {
	for _, c := range allCiphers {
		key := c.NewKey()
		for n := range 50 {
			want := bytes.Repeat([]byte("x"), n)
			data, err := c.Encrypt(key, want)
			if err != nil {
				t.Fatal(err)
			}
			if !c.Fits(len(data)) {
				t.Fatalf("%s: %d bytes do not fit", c, len(data))
			}
			if got, ok := c.Decrypt(key, bytes.Clone(data)); !ok || !bytes.Equal(got, want) {
				t.Fatalf("%s: %q, %v", c, got, ok)
			}
			if again, _ := c.Encrypt(key, want); bytes.Equal(again, data) {
				t.Fatalf("%s: twice the same ciphertext", c)
			}
		}
		if _, err := c.Encrypt(key[1:], nil); err == nil {
			t.Errorf("%s: took a short key", c)
		}
	}
}

// The values were made with other implementations: CBC by openssl enc (-nopad, with padding as ISO 10126 and as PKCS #7
// have it), GCM by pyca/cryptography.
var known = []struct {
	cipher         Cipher
	key, data, out string
}{
	{AES128CBC, "000102030405060708090a0b0c0d0e0f", "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff5b03058c167fb892eabea3dd68a11827", "<add>5</add>"},
	{AES128CBC, "000102030405060708090a0b0c0d0e0f", "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff9d582dab463e9967af3557c5da1b3d2c", "<add>5</add>"},
	{AES192CBC, "000102030405060708090a0b0c0d0e0f1011121314151617", "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeffca3314d733433d9aa7c08affc19cdb64", "<add>5</add>"},
	{AES192CBC, "000102030405060708090a0b0c0d0e0f1011121314151617", "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff649fe21cf8e7b61eba776337aa2ae78e", "<add>5</add>"},
	{AES256CBC, "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff41cf2da7ba0a7fb2ec55c119c1f03025", "<add>5</add>"},
	{AES256CBC, "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff4282fecca5037073407b5769e1ea2515", "<add>5</add>"},
	{TripleDESCBC, "000102030405060708090a0b0c0d0e0f1011121314151617", "f0f1f2f3f4f5f6f791357b32f540e4cceb2bfd2ae38072e8", "<add>5</add>"},
	{AES128GCM, "000102030405060708090a0b0c0d0e0f", "f0f1f2f3f4f5f6f7f8f9fafb2d7b821704ed595b52985b8e52d5f3323b47bcad07e52dc0bbb25a79", "<add>5</add>"},
	{AES192GCM, "000102030405060708090a0b0c0d0e0f1011121314151617", "f0f1f2f3f4f5f6f7f8f9fafbd0986959b25546352485a26f2d2ccdc628c8b811d84429449ed44bbf", "<add>5</add>"},
	{AES256GCM, "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", "f0f1f2f3f4f5f6f7f8f9fafb55672764420fee5bfe9393a4ff02a9f2472ca89768a1d4c918f70078", "<add>5</add>"},
}

func TestCipher_OpensWhatOthersMade(t *testing.T) {
	for _, k := range known {
		key, _ := hex.DecodeString(k.key)
		data, _ := hex.DecodeString(k.data)
		if got, ok := k.cipher.Decrypt(key, data); !ok || string(got) != k.out {
			t.Errorf("%s: %q, %v", k.cipher, got, ok)
		}
	}
}

func TestCipher_TakesAnyPaddingWithAGoodNumber(t *testing.T) {
	for _, c := range []Cipher{AES256CBC, AES192CBC, AES128CBC, TripleDESCBC} {
		key := c.NewKey()
		size := 16
		if c == TripleDESCBC {
			size = 8
		}
		// Whole blocks are encrypted as they are, and the block of padding that is added is cut off.
		raw := func(last byte) []byte {
			text := bytes.Repeat([]byte("p"), 2*size)
			text[len(text)-1] = last
			data, err := c.Encrypt(key, text)
			if err != nil {
				t.Fatal(err)
			}
			return data[:len(data)-size]
		}
		for last := range 256 {
			got, ok := c.Decrypt(key, raw(byte(last)))
			if want := last >= 1 && last <= size; ok != want || ok && len(got) != 2*size-last {
				t.Fatalf("%s: padding of %d gives %d bytes, %v", c, last, len(got), ok)
			}
		}
	}
}

func TestCipher_GCMNoticesEveryChange(t *testing.T) {
	for _, c := range []Cipher{AES256GCM, AES192GCM, AES128GCM} {
		key := c.NewKey()
		data, err := c.Encrypt(key, []byte("<add>5</add>"))
		if err != nil {
			t.Fatal(err)
		}
		for i := range data {
			changed := bytes.Clone(data)
			changed[i] ^= 1
			if _, ok := c.Decrypt(key, changed); ok {
				t.Fatalf("%s: byte %d changed", c, i)
			}
		}
	}
}

func TestCipher_RefusesWhatIsNoCiphertext(t *testing.T) {
	for _, c := range allCiphers {
		for _, n := range []int{0, 1, 7, 8, 15, 16, 17, 27, 33} {
			if c == TripleDESCBC && n == 16 {
				continue
			}
			if _, ok := c.Decrypt(c.NewKey(), make([]byte, n)); ok {
				t.Errorf("%s: opened %d bytes", c, n)
			}
		}
	}
}

func testKey(t *testing.T) *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// read gives the method that our own element names.
func read(t *testing.T, doc string) (*Key, error) {
	t.Helper()
	env := fmt.Sprintf(`<e:Envelope xmlns:e="%s"><e:Header>%s</e:Header><e:Body/></e:Envelope>`, soap.Envelope11, doc)
	m, err := soap.Read(xmlscan.Memory(env), soap.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	n, err := m.Tree(&m.Blocks[0].Element)
	if err != nil {
		t.Fatal(err)
	}
	return ReadKey(n)
}

func TestKey_RoundTrips(t *testing.T) {
	key := testKey(t)
	for _, k := range []KeyTransport{RSAOAEP, RSAOAEPSHA256, RSA15} {
		want := AES256GCM.NewKey()
		wrapped, err := k.Wrap(&key.PublicKey, want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := read(t, string(AppendKey(nil, "", k, `<ds:KeyName>x</ds:KeyName>`, wrapped, []string{"a", "b"})))
		if err != nil {
			t.Fatal(err)
		}
		if len(got.References) != 2 || got.References[1] != "#b" || got.KeyInfo == nil || got.KeyInfo.Child("http://www.w3.org/2000/09/xmldsig#", "KeyName") == nil {
			t.Errorf("%+v", got)
		}
		if !bytes.Equal(got.Method.Unwrap(key, got.Value, len(want)), want) {
			t.Errorf("%s: another key", k)
		}
	}
}

const ds = "http://www.w3.org/2000/09/xmldsig#"

func encryptedKey(algorithm, parameters string, value []byte) string {
	return fmt.Sprintf(`<x:EncryptedKey xmlns:x="%s" xmlns:y="%s" xmlns:d="%s"><x:EncryptionMethod Algorithm="%s">%s</x:EncryptionMethod>`+
		`<x:CipherData><x:CipherValue>%s</x:CipherValue></x:CipherData></x:EncryptedKey>`,
		Space, Space11, ds, algorithm, parameters, base64.StdEncoding.EncodeToString(value))
}

func TestReadKey_ReadsTheParametersOfOAEP(t *testing.T) {
	key := testKey(t)
	want := AES128GCM.NewKey()
	for _, c := range []struct {
		name, algorithm, parameters string
		opts                        rsa.OAEPOptions
	}{
		{"mgf1p", Space + "rsa-oaep-mgf1p", "", rsa.OAEPOptions{Hash: crypto.SHA1, MGFHash: crypto.SHA1}},
		{"mgf1p, SHA-256, as Santuario", Space + "rsa-oaep-mgf1p", `<d:DigestMethod Algorithm="` + Space + `sha256"/>`, rsa.OAEPOptions{Hash: crypto.SHA256, MGFHash: crypto.SHA1}},
		{"label", Space + "rsa-oaep-mgf1p", `<x:OAEPparams>bGFiZWw=</x:OAEPparams>`, rsa.OAEPOptions{Hash: crypto.SHA1, MGFHash: crypto.SHA1, Label: []byte("label")}},
		{"1.1, defaults", Space11 + "rsa-oaep", "", rsa.OAEPOptions{Hash: crypto.SHA1, MGFHash: crypto.SHA1}},
		{"1.1, digest alone", Space11 + "rsa-oaep", `<d:DigestMethod Algorithm="` + Space + `sha256"/>`, rsa.OAEPOptions{Hash: crypto.SHA256, MGFHash: crypto.SHA1}},
		{"1.1, both", Space11 + "rsa-oaep", `<d:DigestMethod Algorithm="` + Space + `sha512"/><y:MGF Algorithm="` + Space11 + `mgf1sha384"/>`, rsa.OAEPOptions{Hash: crypto.SHA512, MGFHash: crypto.SHA384}},
	} {
		wrapped, err := rsa.EncryptOAEPWithOptions(rand.Reader, &key.PublicKey, want, &c.opts)
		if err != nil {
			t.Fatal(err)
		}
		k, err := read(t, encryptedKey(c.algorithm, c.parameters, wrapped))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if !bytes.Equal(k.Method.Unwrap(key, k.Value, len(want)), want) {
			t.Errorf("%s: another key", c.name)
		}
	}
}

func TestReadKey_Refuses(t *testing.T) {
	good := encryptedKey(Space+"rsa-1_5", "", []byte("x"))
	put := func(old, with string) string { return strings.Replace(good, old, with, 1) }
	for _, c := range []struct {
		name, doc string
		want      error // nil: any
	}{
		{"unknown algorithm", put("rsa-1_5", "rsa"), ErrAlgorithm},
		{"key wrap", put("rsa-1_5", "kw-aes128"), ErrAlgorithm},
		{"CipherReference", put("<x:CipherValue>eA==</x:CipherValue>", `<x:CipherReference URI="http://example.org/"/>`), ErrReference},
		{"unknown digest", encryptedKey(Space+"rsa-oaep-mgf1p", `<d:DigestMethod Algorithm="urn:x"/>`, nil), ErrAlgorithm},
		{"MD5", encryptedKey(Space+"rsa-oaep-mgf1p", `<d:DigestMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#md5"/>`, nil), ErrAlgorithm},
		{"unknown mask", encryptedKey(Space11+"rsa-oaep", `<y:MGF Algorithm="urn:x"/>`, nil), ErrAlgorithm},
		{"mask where there is none", encryptedKey(Space+"rsa-oaep-mgf1p", `<y:MGF Algorithm="`+Space11+`mgf1sha1"/>`, nil), nil},
		{"digest twice", encryptedKey(Space+"rsa-oaep-mgf1p", strings.Repeat(`<d:DigestMethod Algorithm="`+ds+`sha1"/>`, 2), nil), nil},
		{"label no base64", encryptedKey(Space+"rsa-oaep-mgf1p", `<x:OAEPparams>!</x:OAEPparams>`, nil), nil},
		{"parameters of rsa-1_5", encryptedKey(Space+"rsa-1_5", `<x:OAEPparams/>`, nil), nil},
		{"no method", put(`<x:EncryptionMethod Algorithm="`+Space+`rsa-1_5"></x:EncryptionMethod>`, ""), nil},
		{"no value", put("<x:CipherValue>eA==</x:CipherValue>", ""), nil},
		{"two values", put("</x:CipherValue>", "</x:CipherValue><x:CipherValue/>"), nil},
		{"no base64", put("eA==", "eA="), nil},
		{"element in the value", put("eA==", "eA==<x:a/>"), nil},
		{"KeyReference", put("</x:CipherData>", `</x:CipherData><x:ReferenceList><x:KeyReference URI="#a"/></x:ReferenceList>`), nil},
		{"transform in a reference", put("</x:CipherData>", `</x:CipherData><x:ReferenceList><x:DataReference URI="#a"><d:Transforms/></x:DataReference></x:ReferenceList>`), nil},
		{"unknown element", put("</x:CipherData>", `</x:CipherData><x:EncryptionProperties/>`), nil},
	} {
		if _, err := read(t, c.doc); err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if _, err := read(t, good); err != nil {
		t.Error(err)
	}
}

// failing is a key that lives elsewhere and fails in its own words, or gives something else.
type failing struct {
	*rsa.PrivateKey
	gives []byte
	calls int
}

func (f *failing) Decrypt(io.Reader, []byte, crypto.DecrypterOpts) ([]byte, error) {
	f.calls++
	if f.gives == nil {
		return nil, errors.New("the padding is wrong")
	}
	return f.gives, nil
}

func TestUnwrap_GivesARandomKeyForABadOne(t *testing.T) {
	key := testKey(t)
	wrapped, err := RSA15.Wrap(&key.PublicKey, AES128CBC.NewKey())
	if err != nil {
		t.Fatal(err)
	}
	bad := bytes.Clone(wrapped)
	bad[100] ^= 1
	oaep := KeyMethod{Hash: crypto.SHA1, MGFHash: crypto.SHA1}
	for name, unwrap := range map[string]func() []byte{
		"padding":           func() []byte { return KeyMethod{PKCS1v15: true}.Unwrap(key, bad, 16) },
		"another size":      func() []byte { return KeyMethod{PKCS1v15: true}.Unwrap(key, wrapped, 32) },
		"no RSA ciphertext": func() []byte { return KeyMethod{PKCS1v15: true}.Unwrap(key, []byte("x"), 16) },
		"too large":         func() []byte { return KeyMethod{PKCS1v15: true}.Unwrap(key, bytes.Repeat([]byte{255}, 256), 16) },
		"OAEP":              func() []byte { return oaep.Unwrap(key, bad, 16) },
		"elsewhere":         func() []byte { return oaep.Unwrap(&failing{PrivateKey: key}, wrapped, 16) },
		"elsewhere, short":  func() []byte { return oaep.Unwrap(&failing{PrivateKey: key, gives: []byte("x")}, wrapped, 16) },
		"elsewhere, long":   func() []byte { return oaep.Unwrap(&failing{PrivateKey: key, gives: make([]byte, 17)}, wrapped, 16) },
	} {
		a, b := unwrap(), unwrap()
		if want := map[bool]int{true: 32, false: 16}[name == "another size"]; len(a) != want {
			t.Errorf("%s: %d bytes", name, len(a))
		}
		if bytes.Equal(a, b) {
			t.Errorf("%s: twice the same key", name)
		}
	}
}

func data(doc string, limit int64) (*Data, error) {
	s := xmlscan.New(xmlscan.Memory(doc), xmlscan.Limits{})
	if _, err := s.Next(); err != nil {
		return nil, err
	}
	return ReadData(s, limit)
}

func TestData_RoundTrips(t *testing.T) {
	want := bytes.Repeat([]byte("0123456789abcdef"), 1000)
	doc := string(AppendData(nil, "id-1", TypeContent, AES128CBC, want))
	for name, doc := range map[string]string{
		"plain":              doc,
		"lines":              strings.ReplaceAll(doc, "MDEy", "\r\nMDEy"),
		"line ends escaped":  strings.ReplaceAll(doc, "MDEy", "&#13;\nMDEy"),
		"odd places":         strings.ReplaceAll(doc, "NDU2", "N D\tU 2"),
		"comments and CDATA": strings.Replace(doc, "MDEy", "<!-- c -->M<![CDATA[DE]]>y", 1),
	} {
		d, err := data(doc, 1<<20)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if d.ID != "id-1" || d.Type != TypeContent || d.Cipher != AES128CBC || !bytes.Equal(d.Value, want) || d.Span != (xmlscan.Span{End: int64(len(doc))}) {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

func TestReadData_Refuses(t *testing.T) {
	good := string(AppendData(nil, "a", TypeContent, AES128CBC, make([]byte, 32)))
	value := base64.StdEncoding.EncodeToString(make([]byte, 32))
	put := func(old, with string) string { return strings.Replace(good, old, with, 1) }
	keyInfo := func(s string) string {
		return put("<xenc:CipherData>", `<d:KeyInfo xmlns:d="`+ds+`">`+s+`</d:KeyInfo><xenc:CipherData>`)
	}
	for _, c := range []struct {
		name, doc string
		want      error
	}{
		{"unknown algorithm", put("aes128-cbc", "aes128-ctr"), ErrAlgorithm},
		{"no algorithm", put(`<xenc:EncryptionMethod Algorithm="`+Space+`aes128-cbc"></xenc:EncryptionMethod>`, ""), nil},
		{"two algorithms", put(`<xenc:CipherData>`, `<xenc:EncryptionMethod Algorithm="`+Space+`aes256-cbc"/><xenc:CipherData>`), nil},
		{"CipherReference", put("<xenc:CipherValue>"+value+"</xenc:CipherValue>", `<xenc:CipherReference URI="http://example.org/"/>`), ErrReference},
		{"two values", put("</xenc:CipherValue>", "</xenc:CipherValue><xenc:CipherValue/>"), nil},
		{"no value", put("<xenc:CipherValue>"+value+"</xenc:CipherValue>", ""), nil},
		{"value elsewhere", put("<xenc:CipherData>", "<xenc:CipherValue/><xenc:CipherData>"), nil},
		{"element in the value", put(value, value+"<a/>"), nil},
		{"no base64", put(value, "A"+value), nil},
		{"padding inside", put(value, "AAAA=="+value), nil},
		{"behind the padding", put(value, value+"AAAA"), nil},
		{"no blocks", put(value, "AAAA"), nil},
		{"empty", put(value, ""), nil},
		{"an encrypted key", keyInfo(`<x:EncryptedKey xmlns:x="` + Space + `"/>`), ErrPlace},
		{"many elements", keyInfo(strings.Repeat("<a/>", 40)), ErrLimit},
		{"unknown element", put("</xenc:CipherData>", "</xenc:CipherData><xenc:EncryptionProperties/>"), nil},
		{"nothing", `<a/>`, nil},
	} {
		if _, err := data(c.doc, 1<<20); err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if _, err := data(good, 31); !errors.Is(err, ErrLimit) {
		t.Errorf("31 bytes: %v", err)
	}
	if _, err := data(good, 32); err != nil {
		t.Error(err)
	}
	if d, err := data(keyInfo(`<s:SecurityTokenReference xmlns:s="`+soap.WSSE+`"><s:Reference URI="#k"/></s:SecurityTokenReference>`), 32); err != nil || len(d.Keys) != 1 || d.Keys[0] != "#k" {
		t.Errorf("%+v, %v", d, err)
	}
}
