package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
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
	c.Flags().StringVar(&f.passphrase, "passphrase-file", "", "the file is PKCS#12, and the first line of this one (mode 0600) opens it")
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
	parse := gsi.ParsePEM
	if f.passphrase != "" {
		parse = func(data []byte) (*gsi.Credential, error) { return gsi.ParsePKCS12(data, passphrase) }
	}
	cred, err := parse(data)
	switch {
	case err == nil:
		return cred.Chain, nil // in order, whatever that of the file is
	case f.passphrase != "":
		return nil, err
	}
	return gsi.ParseCertificates(data)
}

// explain says of a PKCS#12 file how it is read here.
func (f credentialFile) explain(err error) error {
	if errors.Is(err, gsi.ErrPKCS12) {
		return fmt.Errorf("%s is a PKCS#12 file: give the file with its passphrase as --passphrase-file", f.path)
	}
	return err
}
