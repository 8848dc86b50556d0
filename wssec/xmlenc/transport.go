package xmlenc

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha1" // the hashes register themselves with crypto
	_ "crypto/sha256"
	_ "crypto/sha512"
	"crypto/subtle"
	"fmt"
)

// KeyTransport is how the key of the content is encrypted for its receiver (XML Encryption 1.1, section 5.5).
type KeyTransport uint8

// The transports.
const (
	RSAOAEP       KeyTransport = iota // xmlenc#rsa-oaep-mgf1p: digest and MGF1 with SHA-1, which every stack knows
	RSAOAEPSHA256                     // xmlenc11#rsa-oaep: digest and MGF1 with SHA-256
	RSA15                             // xmlenc#rsa-1_5: PKCS#1 v1.5, GT4's
)

var transports = [...]struct {
	name string
	KeyMethod
}{
	RSAOAEP:       {"rsa-oaep", KeyMethod{Hash: crypto.SHA1, MGFHash: crypto.SHA1}},
	RSAOAEPSHA256: {"rsa-oaep-sha256", KeyMethod{Hash: crypto.SHA256, MGFHash: crypto.SHA256}},
	RSA15:         {"rsa-1_5", KeyMethod{PKCS1v15: true}},
}

// ParseKeyTransport reads "rsa-oaep", "rsa-oaep-sha256" or "rsa-1_5".
func ParseKeyTransport(s string) (KeyTransport, error) {
	for i, t := range transports {
		if t.name == s {
			return KeyTransport(i), nil
		}
	}
	return 0, fmt.Errorf("xmlenc: the key transport %q is none of rsa-oaep, rsa-oaep-sha256 and rsa-1_5", s)
}

func (k KeyTransport) String() string { return transports[k].name }

// Wrap encrypts a key for who has the private key of pub.
func (k KeyTransport) Wrap(pub *rsa.PublicKey, key []byte) ([]byte, error) {
	var b []byte
	var err error
	if m := transports[k]; m.PKCS1v15 {
		//lint:ignore SA1019 GT4 knows nothing else (facts/gt4-wire.md); a route must name it
		b, err = rsa.EncryptPKCS1v15(rand.Reader, pub, key)
	} else {
		b, err = rsa.EncryptOAEP(m.Hash.New(), rand.Reader, pub, key, nil)
	}
	if err != nil {
		return nil, fmt.Errorf("xmlenc: encrypting the key: %w", err)
	}
	return b, nil
}

// KeyMethod is what an EncryptionMethod says of a received key: more than is ever written.
type KeyMethod struct {
	PKCS1v15      bool
	Hash, MGFHash crypto.Hash // OAEP
	Label         []byte      // OAEPparams
}

// Unwrap opens a key of size bytes. A key that does not unwrap, or has another size, is a random one: whoever sent it
// learns nothing, since everything goes on and fails later as it does with a wrong key (RFC 3218, section 2.3.2).
func (m KeyMethod) Unwrap(key crypto.Decrypter, wrapped []byte, size int) []byte {
	out := random(size)
	//lint:ignore SA1019 GT4 knows nothing else; with SessionKeyLen a bad block is a random key
	var opts crypto.DecrypterOpts = &rsa.PKCS1v15DecryptOptions{SessionKeyLen: size}
	if !m.PKCS1v15 {
		opts = &rsa.OAEPOptions{Hash: m.Hash, MGFHash: m.MGFHash, Label: m.Label}
	}
	got, err := key.Decrypt(rand.Reader, wrapped, opts)
	// A decrypter that fails has no bytes to give: the copy is made all the same.
	same := make([]byte, size)
	copy(same, got)
	isKey := subtle.ConstantTimeEq(int32(len(got)), int32(size)) & isNil(err)
	subtle.ConstantTimeCopy(isKey, out, same)
	return out
}

func isNil(err error) int {
	if err == nil {
		return 1
	}
	return 0
}
