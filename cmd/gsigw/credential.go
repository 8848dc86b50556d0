package main

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"gsigw/gsi"
)

// credentialFile is a credential as the command line names it.
type credentialFile struct {
	path       string
	key        string // "": the key is in the same file
	passphrase string // the file with it, for PKCS#12 alone
}

func (f *credentialFile) passphraseFlag(c *cobra.Command) {
	c.Flags().StringVar(&f.passphrase, "passphrase-file", "", "the file is PKCS#12, and the first line of this `FILE` (mode 0600) opens it")
}

func (f credentialFile) source() *gsi.File {
	switch {
	case f.passphrase != "":
		return gsi.PKCS12File(f.path, f.passphrase, gsi.FileOptions{})
	case f.key != "":
		return gsi.PairFile(f.path, f.key, gsi.FileOptions{})
	}
	return gsi.ProxyFile(f.path, gsi.FileOptions{})
}

// chain reads the certificates alone: who looks at a credential needs no key, and may look at one that has expired.
func (f credentialFile) chain() ([]*x509.Certificate, error) {
	data, err := readBounded(f.path)
	if err != nil {
		return nil, err
	}
	var passphrase []byte
	if f.passphrase != "" {
		if passphrase, err = readBounded(f.passphrase); err != nil {
			return nil, err
		}
	}
	chain, err := f.parse(data, passphrase)
	if err != nil && !errors.Is(err, gsi.ErrPKCS12) {
		return nil, fmt.Errorf("%s: %s", f.path, strings.TrimPrefix(err.Error(), "gsi: "))
	}
	return chain, f.explain(err)
}

// maxCredential bounds what is read of a file, in bytes.
const maxCredential = 1 << 20

// unreadableError says that a file could not be read: what it holds is not known.
type unreadableError struct{ error }

func (e *unreadableError) Unwrap() error { return e.error }

func readBounded(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, &unreadableError{err}
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxCredential+1))
	if err != nil {
		return nil, &unreadableError{err}
	}
	if len(data) > maxCredential {
		return nil, fmt.Errorf("%s has more than %d bytes: that is no credential", path, maxCredential)
	}
	return data, nil
}

func (f credentialFile) parse(data, passphrase []byte) ([]*x509.Certificate, error) {
	if f.passphrase != "" {
		cred, err := gsi.ParsePKCS12(data, passphrase)
		if err != nil {
			return nil, err
		}
		return cred.Chain, nil
	}
	cred, err := gsi.ParsePEM(data)
	if err == nil {
		return cred.Chain, nil // in order, whatever that of the file is
	}
	chain, chainErr := gsi.ParseCertificates(data)
	if chainErr == nil && hasForeignKey(data, chain) {
		return nil, err
	}
	return chain, chainErr
}

// hasForeignKey finds a key that belongs to none of the certificates: no tool could use such a file, and whose it was
// to be is not known.
func hasForeignKey(data []byte, certs []*x509.Certificate) bool {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		key := parsePlainKey(block)
		if key == nil {
			continue
		}
		public, _ := key.Public().(interface{ Equal(crypto.PublicKey) bool })
		if !slices.ContainsFunc(certs, func(c *x509.Certificate) bool { return public != nil && public.Equal(c.PublicKey) }) {
			return true
		}
	}
	return false
}

// parsePlainKey reads a key that is not locked, nil for anything else.
func parsePlainKey(block *pem.Block) crypto.Signer {
	var key any
	err := errors.ErrUnsupported
	switch block.Type {
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	}
	if signer, ok := key.(crypto.Signer); ok && err == nil {
		return signer
	}
	return nil
}

// explain says of a PKCS#12 file how it is read here.
func (f credentialFile) explain(err error) error {
	if errors.Is(err, gsi.ErrPKCS12) {
		return fmt.Errorf("%s is a PKCS#12 file: give the file with its passphrase as --passphrase-file", f.path)
	}
	return err
}
