package gsi

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"hash"

	"golang.org/x/crypto/scrypt"
)

// What opening a locked file may cost: some seconds, and 64 MiB.
const (
	maxIterations   = 5_000_000
	maxScryptMemory = 64 << 20
	maxScryptLanes  = 16
)

const writeAgain = "write it again with openssl pkcs8 -topk8 -v2 aes-256-cbc"

var (
	oidPBES2  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	oidScrypt = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11591, 4, 11}
)

// encryptedKey is EncryptedPrivateKeyInfo (RFC 5958, section 3).
type encryptedKey struct {
	Algorithm pkix.AlgorithmIdentifier
	Data      []byte
}

// RFC 8018, appendices A.4 and A.2; RFC 7914, section 7.1.
type (
	pbes2Params  struct{ KDF, Cipher pkix.AlgorithmIdentifier }
	pbkdf2Params struct {
		Salt       []byte
		Iterations int
		KeyLength  int                      `asn1:"optional"`
		PRF        pkix.AlgorithmIdentifier `asn1:"optional"` // none: HMAC-SHA-1
	}
	scryptParams struct {
		Salt      []byte
		N, R, P   int
		KeyLength int `asn1:"optional"`
	}
)

type blockCipher struct {
	oid   asn1.ObjectIdentifier
	bytes int // of the key
	block func(key []byte) (cipher.Block, error)
	size  int // of a block
}

var blockCiphers = []blockCipher{
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}, 32, aes.NewCipher, aes.BlockSize}, // aes-256-cbc
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 22}, 24, aes.NewCipher, aes.BlockSize}, // aes-192-cbc
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 2}, 16, aes.NewCipher, aes.BlockSize},  // aes-128-cbc
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 3, 7}, 24, des.NewTripleDESCipher, des.BlockSize},
}

// prfs are the HMACs of PBKDF2 (RFC 8018, appendix B.1), the first the default.
var prfs = []struct {
	oid  asn1.ObjectIdentifier
	hash func() hash.Hash
}{
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 7}, sha1.New},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 8}, sha256.New224},
	{oidHMACWithSHA256, sha256.New},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 10}, sha512.New384},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 11}, sha512.New},
}

var oidHMACWithSHA256 = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 9}

// errLock says that a lock is malformed, of a kind that is not known, or would
// cost too much to open.
func errLock(format string, args ...any) error {
	return fmt.Errorf("gsi: the ENCRYPTED PRIVATE KEY "+format+": "+writeAgain, args...)
}

// unlockPKCS8 opens an EncryptedPrivateKeyInfo that is locked by PBES2.
func unlockPKCS8(der, passphrase []byte) ([]byte, error) {
	var info encryptedKey
	if !whole(der, &info) {
		return nil, errLock("does not parse")
	}
	if !info.Algorithm.Algorithm.Equal(oidPBES2) {
		return nil, errLock("is locked by %s, not by PBES2", info.Algorithm.Algorithm)
	}
	var params pbes2Params
	if !whole(info.Algorithm.Parameters.FullBytes, &params) {
		return nil, errLock("has parameters that do not parse")
	}
	c, iv, err := cipherOf(params.Cipher)
	if err != nil {
		return nil, err
	}
	if len(info.Data) == 0 || len(info.Data)%c.size != 0 {
		return nil, errLock("is cut off")
	}
	key, err := derive(params.KDF, passphrase, c.bytes)
	if err != nil {
		return nil, err
	}
	return c.decrypt(key, iv, info.Data)
}

// whole parses DER to its last byte.
func whole(der []byte, into any) bool {
	rest, err := asn1.Unmarshal(der, into)
	return err == nil && len(rest) == 0
}

func cipherOf(scheme pkix.AlgorithmIdentifier) (c blockCipher, iv []byte, err error) {
	for _, c := range blockCiphers {
		if !c.oid.Equal(scheme.Algorithm) {
			continue
		}
		if !whole(scheme.Parameters.FullBytes, &iv) || len(iv) != c.size {
			return c, nil, errLock("has no proper start vector")
		}
		return c, iv, nil
	}
	return c, nil, errLock("is locked with the cipher %s, not with AES or 3DES in CBC mode", scheme.Algorithm)
}

func (c blockCipher) decrypt(key, iv, data []byte) ([]byte, error) {
	block, err := c.block(key)
	if err != nil {
		return nil, errLock("cannot be opened")
	}
	plain := make([]byte, len(data))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, data)
	n := int(plain[len(plain)-1])
	if n == 0 || n > c.size || !bytes.HasSuffix(plain, bytes.Repeat([]byte{byte(n)}, n)) {
		return nil, wrongPassphrase("the key")
	}
	return plain[:len(plain)-n], nil
}

// derive makes the key of a passphrase, at a bounded cost.
func derive(kdf pkix.AlgorithmIdentifier, passphrase []byte, size int) ([]byte, error) {
	switch {
	case kdf.Algorithm.Equal(oidPBKDF2):
		return derivePBKDF2(kdf, passphrase, size)
	case kdf.Algorithm.Equal(oidScrypt):
		return deriveScrypt(kdf, passphrase, size)
	}
	return nil, errLock("makes its key by %s, not by PBKDF2 or scrypt", kdf.Algorithm)
}

func derivePBKDF2(kdf pkix.AlgorithmIdentifier, passphrase []byte, size int) ([]byte, error) {
	var p pbkdf2Params
	if !whole(kdf.Parameters.FullBytes, &p) || p.Iterations < 1 || (p.KeyLength != 0 && p.KeyLength != size) {
		return nil, errLock("has PBKDF2 parameters that are not proper")
	}
	if p.Iterations > maxIterations {
		return nil, errLock("asks for %d iterations, %d are the most", p.Iterations, maxIterations)
	}
	for i, prf := range prfs {
		if prf.oid.Equal(p.PRF.Algorithm) || (i == 0 && len(p.PRF.Algorithm) == 0) {
			key, err := pbkdf2.Key(prf.hash, string(passphrase), p.Salt, p.Iterations, size)
			if err != nil {
				return nil, errLock("cannot be opened")
			}
			return key, nil
		}
	}
	return nil, errLock("makes its key with %s, not with an HMAC of SHA-1 or SHA-2", p.PRF.Algorithm)
}

func deriveScrypt(kdf pkix.AlgorithmIdentifier, passphrase []byte, size int) ([]byte, error) {
	var p scryptParams
	if !whole(kdf.Parameters.FullBytes, &p) || p.N < 2 || p.R < 1 || p.P < 1 || (p.KeyLength != 0 && p.KeyLength != size) {
		return nil, errLock("has scrypt parameters that are not proper")
	}
	if p.R > maxScryptMemory/128/p.N || p.P > maxScryptLanes {
		return nil, errLock("asks scrypt for more than %d MiB or %d lanes", maxScryptMemory>>20, maxScryptLanes)
	}
	key, err := scrypt.Key(passphrase, p.Salt, p.N, p.R, p.P, size)
	if err != nil {
		return nil, errLock("has scrypt parameters that are not proper")
	}
	return key, nil
}

// lockPKCS8 locks a PrivateKeyInfo.
func lockPKCS8(der, passphrase []byte, iterations int) ([]byte, error) {
	c, kdf := blockCiphers[0], pbkdf2Params{
		Salt:       make([]byte, 16),
		Iterations: iterations,
		PRF:        pkix.AlgorithmIdentifier{Algorithm: oidHMACWithSHA256, Parameters: asn1.NullRawValue},
	}
	iv := make([]byte, c.size)
	rand.Read(kdf.Salt)
	rand.Read(iv)
	kdfDER, kdfErr := identifier(oidPBKDF2, kdf)
	cipherDER, cipherErr := identifier(c.oid, iv)
	lock, lockErr := identifier(oidPBES2, pbes2Params{kdfDER, cipherDER})
	key, keyErr := derive(kdfDER, passphrase, c.bytes)
	if err := errors.Join(kdfErr, cipherErr, lockErr, keyErr); err != nil {
		return nil, fmt.Errorf("gsi: lock the key: %w", err)
	}
	block, err := c.block(key)
	if err != nil {
		return nil, fmt.Errorf("gsi: lock the key: %w", err)
	}
	n := c.size - len(der)%c.size
	data := append(bytes.Clone(der), bytes.Repeat([]byte{byte(n)}, n)...)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(data, data)
	return asn1.Marshal(encryptedKey{lock, data})
}

func identifier(oid asn1.ObjectIdentifier, params any) (pkix.AlgorithmIdentifier, error) {
	der, err := asn1.Marshal(params)
	return pkix.AlgorithmIdentifier{Algorithm: oid, Parameters: asn1.RawValue{FullBytes: der}}, err
}
