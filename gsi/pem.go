package gsi

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
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
	blocks, err := pemBlocks(data)
	if err != nil {
		return nil, err
	}
	certs, err := certificatesOf(blocks)
	if err != nil {
		return nil, err
	}
	key, err := keyOf(blocks, passphrase)
	if err != nil {
		return nil, err
	}
	return assemble(certs, key)
}

// ParseKeyWith reads the one private key of a PEM file, whatever certificates are with it; the passphrase is asked for
// as by [ParsePEMWith].
func ParseKeyWith(data []byte, passphrase func() ([]byte, error)) (crypto.Signer, error) {
	blocks, err := pemBlocks(data)
	if err != nil {
		return nil, err
	}
	return keyOf(blocks, passphrase)
}

// ParseCertificates reads the certificates of PEM blocks, and leaves keys alone.
func ParseCertificates(data []byte) ([]*x509.Certificate, error) {
	blocks, err := pemBlocks(data)
	if err != nil {
		return nil, err
	}
	return certificatesOf(blocks)
}

var beginning = regexp.MustCompile("(?m)^-----BEGIN ")

// pemBlocks reads the PEM blocks of a file, with any text between them. A block
// that is damaged is an error: encoding/pem passes over it in silence.
func pemBlocks(data []byte) ([]*pem.Block, error) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")) // with which Windows' editors mark UTF-8
	var blocks []*pem.Block
	starts := beginning.FindAllIndex(data, -1)
	for i, start := range starts {
		end := len(data)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		block, _ := pem.Decode(data[start[0]:end])
		if block == nil {
			line := bytes.Count(data[:start[0]], []byte("\n")) + 1
			return nil, fmt.Errorf("gsi: the PEM block that begins in line %d of the file is cut off or damaged: copy it again, whole", line)
		}
		blocks = append(blocks, block)
	}
	if len(blocks) == 0 {
		return nil, noPEM(data)
	}
	return blocks, nil
}

// noPEM says what a file is that has no PEM in it.
func noPEM(data []byte) error {
	switch {
	case isPKCS12(data):
		return ErrPKCS12
	case len(bytes.TrimSpace(data)) == 0:
		return errors.New("gsi: the file is empty")
	case bytes.IndexByte(data, 0) >= 0 || !utf8.Valid(data):
		return errors.New("gsi: the file is binary, and neither PEM nor PKCS#12: write what it holds as PEM, for instance with openssl x509 -inform DER")
	}
	return errors.New("gsi: no certificate in the file: it holds no PEM")
}

func certificatesOf(blocks []*pem.Block) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for _, block := range blocks {
		if block.Type != "CERTIFICATE" && block.Type != "X509 CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("gsi: certificate %d of the file does not parse: %w", len(certs)+1, err)
		}
		certs = append(certs, cert)
	}
	if len(certs) == 0 {
		return nil, fmt.Errorf("gsi: no certificate in the file: only %s", typesOf(blocks))
	}
	return certs, nil
}

func keyOf(blocks []*pem.Block, passphrase func() ([]byte, error)) (crypto.Signer, error) {
	keys := slices.DeleteFunc(slices.Clone(blocks), func(b *pem.Block) bool { return !isKey(b) })
	switch len(keys) {
	case 0:
		return nil, fmt.Errorf("gsi: no private key in the file: only %s", typesOf(blocks))
	case 1:
		return parseKey(keys[0], passphrase)
	}
	return nil, errors.New("gsi: two private keys in the file: leave the one that goes with the certificate")
}

func typesOf(blocks []*pem.Block) string {
	var types []string
	for _, b := range blocks {
		types = append(types, b.Type)
	}
	return strings.Join(slices.Compact(types), ", ")
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
		return nil, fmt.Errorf("gsi: the private key belongs to none of the certificates: neither to %s nor to another", OneLine(certs[0].RawSubject))
	}
	chain := []*x509.Certificate{leaf}
	for next := issuerOf(leaf, certs); next != nil && !SameName(next.RawIssuer, next.RawSubject) && len(chain) < len(certs); {
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

// issuerOf finds the certificate that has the issuer's name: byte by byte, or as [SameName] compares if none has it so.
func issuerOf(cert *x509.Certificate, among []*x509.Certificate) *x509.Certificate {
	for _, same := range []func(a, b []byte) bool{bytes.Equal, SameName} {
		for _, c := range among {
			if same(c.RawSubject, cert.RawIssuer) && c != cert {
				return c
			}
		}
	}
	return nil
}
