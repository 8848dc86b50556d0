// Package xmlenc is the algorithm layer of XML Encryption 1.1: ciphers of content, the transport of their keys over RSA,
// and the elements EncryptedData and EncryptedKey, written and read.
//
//	key := xmlenc.AES256GCM.NewKey()
//	data, err := xmlenc.AES256GCM.Encrypt(key, plaintext)
//	wrapped, err := xmlenc.RSAOAEP.Wrap(certificate.PublicKey.(*rsa.PublicKey), key)
//	...
//	plaintext, ok := cipher.Decrypt(method.Unwrap(privateKey, wrapped, cipher.KeySize()), data)
//
// What may be encrypted where, and by whom, is for package wssec to say. Reading keeps the secrets of the one who reads:
// a key that does not unwrap is a random one from then on, and a ciphertext that does not open says nothing but that it
// did not, after the same work.
package xmlenc

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
)

// The namespaces of XML Encryption 1.0 and 1.1, and the two Types that EncryptedData can have in a message.
const (
	Space       = "http://www.w3.org/2001/04/xmlenc#"
	Space11     = "http://www.w3.org/2009/xmlenc11#"
	TypeContent = Space + "Content"
	TypeElement = Space + "Element"
)

// Cipher is how content is encrypted (XML Encryption 1.1, section 5.2).
type Cipher uint8

// The ciphers. Those with GCM notice changes; CBC does not, and is for receivers that know nothing else.
const (
	AES256GCM Cipher = iota
	AES192GCM
	AES128GCM
	AES256CBC
	AES192CBC
	AES128CBC // GT4's
	TripleDESCBC
)

var ciphers = [...]struct {
	name, uri string
	keySize   int
	block     func([]byte) (cipher.Block, error)
}{
	AES256GCM:    {"aes256-gcm", Space11 + "aes256-gcm", 32, aes.NewCipher},
	AES192GCM:    {"aes192-gcm", Space11 + "aes192-gcm", 24, aes.NewCipher},
	AES128GCM:    {"aes128-gcm", Space11 + "aes128-gcm", 16, aes.NewCipher},
	AES256CBC:    {"aes256-cbc", Space + "aes256-cbc", 32, aes.NewCipher},
	AES192CBC:    {"aes192-cbc", Space + "aes192-cbc", 24, aes.NewCipher},
	AES128CBC:    {"aes128-cbc", Space + "aes128-cbc", 16, aes.NewCipher},
	TripleDESCBC: {"3des-cbc", Space + "tripledes-cbc", 24, des.NewTripleDESCipher},
}

// ParseCipher reads "aes256-gcm", "aes192-gcm", "aes128-gcm", "aes256-cbc", "aes192-cbc", "aes128-cbc" or "3des-cbc".
func ParseCipher(s string) (Cipher, error) {
	for i, c := range ciphers {
		if c.name == s {
			return Cipher(i), nil
		}
	}
	return 0, fmt.Errorf("xmlenc: the cipher %q is none of aes256-gcm, aes192-gcm, aes128-gcm, aes256-cbc, aes192-cbc, aes128-cbc and 3des-cbc", s)
}

// CipherByURI gives the cipher that an algorithm identifier names.
func CipherByURI(uri string) (Cipher, bool) {
	for i, c := range ciphers {
		if c.uri == uri {
			return Cipher(i), true
		}
	}
	return 0, false
}

func (c Cipher) String() string { return ciphers[c].name }

// URI is the algorithm identifier.
func (c Cipher) URI() string { return ciphers[c].uri }

// KeySize is the number of bytes of a key.
func (c Cipher) KeySize() int { return ciphers[c].keySize }

// CBC reports whether somebody who changes the ciphertext changes the content unnoticed by the cipher.
func (c Cipher) CBC() bool { return c >= AES256CBC }

// NewKey is a random key.
func (c Cipher) NewKey() []byte { return random(c.KeySize()) }

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails (crypto/rand)
	return b
}

// Encrypt gives what CipherValue holds: the IV or nonce, then the ciphertext (with GCM's tag). CBC is padded as XML
// Encryption 1.1, section 5.2.1, says: random bytes, the last one their number.
func (c Cipher) Encrypt(key, plaintext []byte) ([]byte, error) {
	if len(key) != c.KeySize() {
		return nil, errors.New("xmlenc: the key has not the cipher's size")
	}
	block, err := ciphers[c].block(key)
	if err != nil {
		return nil, err
	}
	if !c.CBC() {
		return c.seal(block, plaintext)
	}
	size := block.BlockSize()
	padding := size - len(plaintext)%size
	out := make([]byte, size+len(plaintext)+padding)
	iv, text := out[:size], out[size:]
	rand.Read(iv)
	copy(text, plaintext)
	rand.Read(text[len(plaintext):])
	text[len(text)-1] = byte(padding)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(text, text)
	return out, nil
}

const (
	nonceSize = 12 // XML Encryption 1.1, section 5.2.4
	tagSize   = 16
)

func (c Cipher) seal(block cipher.Block, plaintext []byte) ([]byte, error) {
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	out := make([]byte, nonceSize, nonceSize+len(plaintext)+tagSize)
	rand.Read(out)
	return gcm.Seal(out, out, plaintext, nil), nil
}

// Fits reports whether a ciphertext can have this size: that is known to everybody.
func (c Cipher) Fits(size int) bool {
	if !c.CBC() {
		return size >= nonceSize+tagSize
	}
	return size >= 2*c.BlockSize() && size%c.BlockSize() == 0
}

// BlockSize is the number of bytes of a block, and of the IV of CBC.
func (c Cipher) BlockSize() int {
	if c == TripleDESCBC {
		return des.BlockSize
	}
	return aes.BlockSize
}

// Decrypt opens a CipherValue, which it may overwrite. Whether it opened is all that it says; what comes with ok false
// is nothing to look at. CBC's padding may be anything with a number of 1 to a block's size in its last byte, and is
// judged in constant time.
func (c Cipher) Decrypt(key, data []byte) (plaintext []byte, ok bool) {
	block, err := ciphers[c].block(key)
	if err != nil || !c.Fits(len(data)) {
		return nil, false
	}
	if !c.CBC() {
		gcm, err := cipher.NewGCM(block)
		if err != nil {
			return nil, false
		}
		plaintext, err = gcm.Open(data[nonceSize:nonceSize], data[:nonceSize], data[nonceSize:], nil)
		return plaintext, err == nil
	}
	size := block.BlockSize()
	text := data[size:]
	cipher.NewCBCDecrypter(block, data[:size]).CryptBlocks(text, text)
	padding := int(text[len(text)-1])
	good := subtle.ConstantTimeLessOrEq(1, padding) & subtle.ConstantTimeLessOrEq(padding, size)
	return text[:len(text)-subtle.ConstantTimeSelect(good, padding, size)], good == 1
}
