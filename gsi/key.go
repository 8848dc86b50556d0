package gsi

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// ErrEncryptedKey says that a key is locked and no passphrase can be asked for.
var ErrEncryptedKey = errors.New("gsi: the key is encrypted with a passphrase, and nobody gives one: make a proxy with gsigw proxy init, or write the key in clear (mode 0600) with openssl pkey")

// ErrPassphrase is what every error of a passphrase is that opens nothing.
var ErrPassphrase = errors.New("gsi: the passphrase does not fit")

// wrongPassphrase names what a passphrase does not open.
type wrongPassphrase string

func (w wrongPassphrase) Error() string      { return "gsi: the passphrase does not open " + string(w) }
func (wrongPassphrase) Is(target error) bool { return target == ErrPassphrase }

func isKey(block *pem.Block) bool {
	switch block.Type {
	case "RSA PRIVATE KEY", "EC PRIVATE KEY", "PRIVATE KEY", "ENCRYPTED PRIVATE KEY":
		return true
	}
	return false
}

// parseKey reads the block of a key. Errors leave out what the parser says,
// since that may quote the key.
func parseKey(block *pem.Block, passphrase func() ([]byte, error)) (crypto.Signer, error) {
	locked := block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != ""
	der := block.Bytes
	if locked {
		pass, err := ask(passphrase)
		if err != nil {
			return nil, err
		}
		if der, err = unlock(block, pass); err != nil {
			return nil, err
		}
	}
	key, err := parseDER(block.Type, der)
	signer, ok := key.(crypto.Signer)
	switch {
	case err != nil && locked:
		return nil, wrongPassphrase("the key") // one of 256 wrong ones leaves a padding that seems right
	case err != nil || !ok:
		return nil, fmt.Errorf("gsi: the %s does not parse: write it again with openssl pkey", block.Type)
	}
	return signer, nil
}

func unlock(block *pem.Block, passphrase []byte) ([]byte, error) {
	if block.Type == "ENCRYPTED PRIVATE KEY" {
		return unlockPKCS8(block.Bytes, passphrase)
	}
	//lint:ignore SA1019 OpenSSL and GT4 lock keys so, and we only read them
	der, err := x509.DecryptPEMBlock(block, passphrase)
	if errors.Is(err, x509.IncorrectPasswordError) {
		return nil, wrongPassphrase("the key")
	}
	if err != nil {
		return nil, fmt.Errorf("gsi: the DEK-Info of the %s is not one of DES, 3DES and AES in CBC mode, or does not fit its data: %s", block.Type, writeAgain)
	}
	return der, nil
}

func parseDER(blockType string, der []byte) (any, error) {
	switch blockType {
	case "RSA PRIVATE KEY":
		return x509.ParsePKCS1PrivateKey(der)
	case "EC PRIVATE KEY":
		return x509.ParseECPrivateKey(der)
	}
	return x509.ParsePKCS8PrivateKey(der)
}

func ask(passphrase func() ([]byte, error)) ([]byte, error) {
	if passphrase == nil {
		return nil, ErrEncryptedKey
	}
	pass, err := passphrase()
	if err != nil {
		return nil, fmt.Errorf("gsi: no passphrase for the key: %w", err)
	}
	return pass, nil
}

// MarshalKey writes a key as PEM in clear: RSA in PKCS#1, since GT4 reads no
// other, ECDSA in PKCS#8, since the Globus tools read no SEC 1.
func MarshalKey(key crypto.Signer) ([]byte, error) {
	if k, ok := key.(*rsa.PrivateKey); ok {
		return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(k)}), nil
	}
	der, err := marshalPKCS8(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

func marshalPKCS8(key crypto.Signer) ([]byte, error) {
	switch key.(type) {
	case *rsa.PrivateKey, *ecdsa.PrivateKey:
	default:
		return nil, fmt.Errorf("gsi: a key of type %T cannot be written to a file", key)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, errors.New("gsi: the key cannot be written as PKCS#8: it is of a curve that has no name")
	}
	return der, nil
}

// MarshalEncryptedKey writes a key as PEM, locked with a passphrase: PKCS#8 with
// PBES2, AES-256-CBC under PBKDF2 with HMAC-SHA-256 (RFC 8018).
func MarshalEncryptedKey(key crypto.Signer, passphrase []byte) ([]byte, error) {
	if len(passphrase) == 0 {
		return nil, errors.New("gsi: an empty passphrase locks nothing: give one")
	}
	der, err := marshalPKCS8(key)
	if err != nil {
		return nil, err
	}
	if der, err = lockPKCS8(der, passphrase, 600_000); err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: der}), nil
}
