package main

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	"gsigw/gsi"
	"gsigw/soap"
	"gsigw/wssec"
	"gsigw/wssec/xmlenc"
)

// encryptedData is what stands in a Body that is encrypted (XML Encryption, section 3.4).
var encryptedData = soap.Name{Space: xmlenc.Space, Local: "EncryptedData"}

// decryption reads the key of --decrypt-key, nil where there is none. Certificates that are with it in the file, and
// are the key's, say which encrypted keys are meant for it; without them every one is tried. Weak algorithms are taken:
// here nobody waits for an answer from which to learn what was inside.
func (f *verifyFlags) decryption() (*wssec.Decryption, error) {
	if f.decryptKey == "" {
		return nil, nil
	}
	data, err := readBounded(f.decryptKey)
	if err != nil {
		return nil, err
	}
	key, err := gsi.ParseKeyWith(data, func() ([]byte, error) { return f.pass.ask("Enter pass phrase for " + f.decryptKey + ":") })
	if err != nil {
		return nil, fmt.Errorf("%s: %s", f.decryptKey, strings.TrimPrefix(err.Error(), "gsi: "))
	}
	decrypter, ok := key.(crypto.Decrypter)
	if _, isRSA := key.Public().(*rsa.PublicKey); !ok || !isRSA {
		return nil, fmt.Errorf("%s: nothing can be encrypted to this key, which is not RSA: give the RSA key of whoever the message is for", f.decryptKey)
	}
	certs, err := gsi.ParseCertificates(data)
	if err != nil { // the key is alone
		certs = nil
	}
	return &wssec.Decryption{Key: decrypter, Certificates: ofKey(certs, key.Public()), CBC: true, RSA15: true}, nil
}

// named are the certificates that a message may name without carrying them.
func (f *verifyFlags) named() ([]*x509.Certificate, error) {
	if f.certificates == "" {
		return nil, nil
	}
	return readCertificates(f.certificates)
}

// ofKey are the certificates of a key.
func ofKey(certs []*x509.Certificate, public crypto.PublicKey) []*x509.Certificate {
	k, ok := public.(interface{ Equal(crypto.PublicKey) bool })
	return slices.DeleteFunc(certs, func(c *x509.Certificate) bool { return !ok || !k.Equal(c.PublicKey) })
}
