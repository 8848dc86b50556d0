package gsi

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"unicode/utf8"
)

// ErrEncryptedKey says that a key is locked with a passphrase.
var ErrEncryptedKey = errors.New("gsi: the key is encrypted with a passphrase, which is not taken here: make a proxy with grid-proxy-init, or write the key in clear (mode 0600) with openssl pkey")

// ParsePEM reads a credential from PEM blocks in any order: the certificates
// and one key, PKCS#1, PKCS#8 or EC. The leaf is the certificate of the key.
func ParsePEM(data []byte) (*Credential, error) {
	certs, key, err := pemBlocks(data)
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

// ErrPKCS12 says that a file is PKCS#12 where PEM was to be: [PKCS12File] reads it.
var ErrPKCS12 = errors.New("gsi: the file is PKCS#12, which is read with a passphrase")

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

// isPKCS12 knows the start of a PFX (RFC 7292, section 4): a SEQUENCE, of definite length or not, whose first element
// is the version, INTEGER 3. Keys in DER begin with version 0 or 1, certificates with a SEQUENCE.
func isPKCS12(data []byte) bool {
	if len(data) < 2 || data[0] != 0x30 {
		return false
	}
	header := 2
	if data[1] > 0x80 {
		header += int(data[1] & 0x7f)
	}
	return len(data) > header && bytes.HasPrefix(data[header:], []byte{2, 1, 3})
}

func pemBlocks(data []byte) ([]*x509.Certificate, crypto.Signer, error) {
	certs, err := ParseCertificates(data)
	if err != nil {
		return nil, nil, err
	}
	var key crypto.Signer
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		found, err := parseKey(block)
		if err != nil {
			return nil, nil, err
		}
		if found != nil && key != nil {
			return nil, nil, errors.New("gsi: two private keys in the file")
		}
		if found != nil {
			key = found
		}
	}
	return certs, key, nil
}

// parseKey returns nil for a block that is not a key. Errors leave out what the
// parser says, since that may quote the key.
func parseKey(block *pem.Block) (crypto.Signer, error) {
	var key any
	var err error
	switch block.Type {
	case "RSA PRIVATE KEY", "EC PRIVATE KEY":
		if block.Headers["DEK-Info"] != "" {
			return nil, ErrEncryptedKey
		}
		if block.Type == "RSA PRIVATE KEY" {
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		} else {
			key, err = x509.ParseECPrivateKey(block.Bytes)
		}
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "ENCRYPTED PRIVATE KEY":
		return nil, ErrEncryptedKey
	default:
		return nil, nil
	}
	signer, ok := key.(crypto.Signer)
	if err != nil || !ok {
		return nil, fmt.Errorf("gsi: the %s does not parse: write it again with openssl pkey", block.Type)
	}
	return signer, nil
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

// MarshalProxy writes a credential as proxy files hold it: the leaf, its key in
// PKCS#1 (GT4 reads no other) or SEC 1, then the chain.
func MarshalProxy(c *Credential) ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	key := &pem.Block{}
	switch k := c.Key.(type) {
	case *rsa.PrivateKey:
		key.Type, key.Bytes = "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(k)
	case *ecdsa.PrivateKey:
		der, err := x509.MarshalECPrivateKey(k)
		if err != nil {
			return nil, errors.New("gsi: the EC key is of a curve that has no name")
		}
		key.Type, key.Bytes = "EC PRIVATE KEY", der
	default:
		return nil, fmt.Errorf("gsi: a key of type %T cannot be written to a file", c.Key)
	}
	var out bytes.Buffer
	for i, cert := range c.Chain {
		pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
		if i == 0 {
			pem.Encode(&out, key)
		}
	}
	return out.Bytes(), nil
}

// WriteProxyFile writes a credential to path with mode 0600, all of it or
// nothing: to a new file beside it that then takes its place.
func WriteProxyFile(path string, c *Credential) (err error) {
	data, err := MarshalProxy(c)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return fmt.Errorf("gsi: write proxy: %w", err)
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("gsi: write proxy: %w", err)
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("gsi: write proxy: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("gsi: write proxy: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("gsi: write proxy: %w", err)
	}
	return nil
}
