package gsi

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"unicode/utf8"
)

// ParsePEM reads a credential from PEM blocks in any order: the certificates
// and one key, PKCS#1, PKCS#8 or SEC 1. The leaf is the certificate of the key.
// A locked key is [ErrEncryptedKey].
func ParsePEM(data []byte) (*Credential, error) { return ParsePEMWith(data, nil) }

// ParsePEMWith is ParsePEM for a key that may be locked: in OpenSSL's old form
// (DEK-Info) or as encrypted PKCS#8. It asks for the passphrase when, and only
// when, there is one to give; one that does not fit is [ErrPassphrase].
func ParsePEMWith(data []byte, passphrase func() ([]byte, error)) (*Credential, error) {
	certs, key, err := pemBlocks(data, passphrase)
	if err != nil {
		return nil, err
	}
	if key == nil {
		return nil, errors.New("gsi: no private key in the file")
	}
	return assemble(certs, key)
}

// ParseCertificates reads the certificates of PEM blocks, and leaves keys alone.
func ParseCertificates(data []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" && block.Type != "X509 CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("gsi: certificate %d of the file: %w", len(certs)+1, err)
		}
		certs = append(certs, cert)
	}
	if len(certs) == 0 {
		return nil, noCertificate(data)
	}
	return certs, nil
}

// noCertificate says what a file is that has no certificate in PEM.
func noCertificate(data []byte) error {
	switch {
	case isPKCS12(data):
		return ErrPKCS12
	case bytes.IndexByte(data, 0) >= 0 || !utf8.Valid(data):
		return errors.New("gsi: the file is binary, and neither PEM nor PKCS#12: write what it holds as PEM, for instance with openssl x509 -inform DER")
	}
	return errors.New("gsi: no certificate in the file")
}

func pemBlocks(data []byte, passphrase func() ([]byte, error)) ([]*x509.Certificate, crypto.Signer, error) {
	certs, err := ParseCertificates(data)
	if err != nil {
		return nil, nil, err
	}
	var found *pem.Block
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if !isKey(block) {
			continue
		}
		if found != nil {
			return nil, nil, errors.New("gsi: two private keys in the file")
		}
		found = block
	}
	if found == nil {
		return certs, nil, nil
	}
	key, err := parseKey(found, passphrase)
	return certs, key, err
}

// assemble puts the certificates in order, from the key's up to the one below
// the self-signed CA.
func assemble(certs []*x509.Certificate, key crypto.Signer) (*Credential, error) {
	var leaf *x509.Certificate
	for _, cert := range certs {
		if samePublicKey(cert.PublicKey, key.Public()) {
			leaf = cert
			break
		}
	}
	if leaf == nil {
		return nil, errors.New("gsi: the private key belongs to none of the certificates")
	}
	chain := []*x509.Certificate{leaf}
	for next := issuerOf(leaf, certs); next != nil && !selfIssued(next) && len(chain) < len(certs); {
		chain = append(chain, next)
		next = issuerOf(next, certs)
	}
	if t, err := Classify(chain[len(chain)-1]); err != nil {
		return nil, err
	} else if t != EEC {
		return nil, errors.New("gsi: the certificate that issued the proxy " + OneLine(chain[len(chain)-1].RawSubject) + " is not in the file")
	}
	return &Credential{Chain: chain, Key: key}, nil
}

func issuerOf(cert *x509.Certificate, among []*x509.Certificate) *x509.Certificate {
	for _, c := range among {
		if bytes.Equal(c.RawSubject, cert.RawIssuer) && c != cert {
			return c
		}
	}
	return nil
}
