package wssec_test

import (
	"crypto/aes"
	"encoding/binary"
	"strings"
	"testing"

	"gsigw/internal/gridtest"
	. "gsigw/wssec"
	"gsigw/wssec/xmlenc"
)

// withContent is a message that was encrypted first, with other content under a key of ours, signed again.
func (g *grid) withContent(t testing.TB, doc, text string, k xmlenc.KeyTransport) (sealed string, value []byte) {
	t.Helper()
	key := xmlenc.AES128CBC.NewKey()
	value = gridtest.Must(xmlenc.AES128CBC.Encrypt(key, []byte(text)))
	doc = putValue(bodyValue, putValue(keyValue, doc, gridtest.Must(k.Wrap(&hostKey(g).PublicKey, key))), value)
	return sealer{key: g.User.Key}.seal(t, doc), value
}

// keyFor finds a key under which the one block of a CBC ciphertext is what somebody wishes.
func keyFor(value []byte, want string) []byte {
	key, out := make([]byte, 16), make([]byte, 16)
	for n := uint64(0); ; n++ {
		binary.BigEndian.PutUint64(key, n)
		block, _ := aes.NewCipher(key) // the size is right
		block.Decrypt(out, value[16:])
		ok := out[15]^value[15] == byte(16-len(want))
		for i := range want {
			ok = ok && out[i]^value[i] == want[i]
		}
		if ok {
			return key
		}
	}
}

// CBC opens under every key: where none is signed, whoever carries the message tries keys until a short ciphertext that
// somebody signed opens as he wishes.
func TestVerify_RefusesAKeyThatTheCarrierChose(t *testing.T) {
	g := newGrid(t)
	e := &Encryption{To: g.Host.Leaf(), Cipher: xmlenc.AES128CBC, KeyTransport: xmlenc.RSA15}
	for name, c := range map[string]struct {
		Profile
		open    bool // the message as it was signed is taken
		swapped Class
	}{
		"the key is signed": {&X509Message{EncryptFirst: true, Privacy: e}, true, ClassDigest},
		"the key is not":    {&GSIMessage{Privacy: e}, false, ClassDecrypt},
	} {
		t.Run(name, func(t *testing.T) {
			doc, value := g.withContent(t, secureBy(t, c.Profile, plainRequest, g.User), "5", xmlenc.RSA15)
			o := g.oracle()
			got, err := verifyBytes(o.Verifier, []byte(doc), Expect{Encrypted: true})
			if (err == nil) != c.open {
				t.Fatal(err)
			}
			if err == nil {
				if text, err := got.Text(); text != "5" {
					t.Errorf("%q, %v", text, err)
				}
			} else if wantClass(t, err, ClassDecrypt); !strings.Contains(err.Error(), "3 blocks") || o.operations > 0 {
				t.Errorf("%v, after %d uses of the private key", err, o.operations)
			}
			evil := putValue(keyValue, doc, gridtest.Must(xmlenc.RSA15.Wrap(&hostKey(g).PublicKey, keyFor(value, "9"))))
			_, err = verifyBytes(g.opener(g.Host), []byte(evil), Expect{Encrypted: true})
			wantClass(t, err, c.swapped)
		})
	}
}

// What a key that is not signed opens must be elements: text is soon found for it.
func TestVerify_TakesElementsAloneFromAKeyThatIsNotSigned(t *testing.T) {
	g := newGrid(t)
	const blank = "                                                "
	for _, c := range []struct {
		text         string
		bare, signed bool
	}{
		{rightText + blank, true, true},
		{"\r\n\t " + rightText + blank + rightText, true, true},
		{"5" + blank, false, true},
		{blank, false, true},
		{rightText + "5" + blank, false, true},
		{rightText + "<!-- 5 -->" + blank, false, true},
		{rightText + "<![CDATA[ ]]>" + blank, false, true},
		{rightText + "&#32;" + blank, false, true},
	} {
		for name, p := range map[string]Profile{
			"bare":   &GSIMessage{Privacy: &Encryption{To: g.Host.Leaf(), Cipher: xmlenc.AES128CBC, KeyTransport: xmlenc.RSA15}},
			"signed": &X509Message{EncryptFirst: true, Privacy: &Encryption{To: g.Host.Leaf(), Cipher: xmlenc.AES128CBC, KeyTransport: xmlenc.RSA15}},
		} {

			doc, _ := g.withContent(t, secureBy(t, p, plainRequest, g.User), c.text, xmlenc.RSA15)
			got, err := verifyBytes(g.opener(g.Host), []byte(doc), Expect{Encrypted: true})
			if err == nil {
				_, err = got.Message(nil)
			}
			if want := name == "bare" && c.bare || name == "signed" && c.signed; (err == nil) != want {
				t.Errorf("%s: %q: %v", name, c.text, err)
			}
		}
	}
}
