package main

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"gsigw/gsi"
)

// issuerFlags name the credential that a proxy is made of.
type issuerFlags struct {
	cert, key, pkcs12 string
	noregen           bool
	pass              passphrases
}

func (f *issuerFlags) flags(c *cobra.Command) {
	fs := c.Flags()
	fs.StringVar(&f.cert, "cert", "", "`FILE` with the certificate, or a proxy, to make it of")
	fs.StringVar(&f.key, "key", "", "`FILE` with its key, where that is not in the same")
	fs.StringVar(&f.pkcs12, "pkcs12", "", "PKCS#12 `FILE` with both")
	f.pass.flag(c)
	c.MarkFlagsMutuallyExclusive("cert", "pkcs12")
	c.MarkFlagsMutuallyExclusive("key", "pkcs12")
}

// noregenFlag offers the present proxy as issuer.
func (f *issuerFlags) noregenFlag(c *cobra.Command) {
	c.Flags().BoolVar(&f.noregen, "noregen", false, "make it of the present proxy")
	for _, other := range []string{"cert", "key", "pkcs12"} {
		c.MarkFlagsMutuallyExclusive("noregen", other)
	}
}

// source returns where the credential is. Its keys may be locked: it may take a passphrase to use it.
func (f *issuerFlags) source() (*gsi.File, error) {
	o := gsi.FileOptions{Passphrase: f.pass.unlock}
	switch {
	case f.noregen:
		return gsi.ProxyFile(gsi.ProxyPath(), o), nil
	case f.pkcs12 != "":
		return gsi.PKCS12File(f.pkcs12, "", o), nil
	case f.cert != "":
		return gsi.PairFile(f.cert, cmp.Or(f.key, f.cert), o), nil
	case f.key != "":
		return nil, usagef("--key needs the certificate that goes with it: add --cert")
	}
	return gsi.UserCredential(o)
}

func (f *issuerFlags) credential(c *cobra.Command) (*gsi.Credential, error) {
	source, err := f.source()
	if err != nil {
		return nil, err
	}
	return f.open(c, source)
}

func (f *issuerFlags) open(c *cobra.Command, source *gsi.File) (*gsi.Credential, error) {
	cred, err := source.Credential(c.Context())
	if errors.Is(err, gsi.ErrPKCS12) {
		return nil, fmt.Errorf("%s is a PKCS#12 file: name it as --pkcs12", source)
	}
	return cred, err
}
