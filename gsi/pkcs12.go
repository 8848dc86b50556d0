package gsi

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"software.sslmate.com/src/go-pkcs12"
)

// ErrPKCS12 says that a file is PKCS#12 where PEM was to be: [PKCS12File] reads it.
var ErrPKCS12 = errors.New("gsi: the file is PKCS#12, which is read with a passphrase")

// ParsePKCS12 reads a credential from PKCS#12; the first line of passphrase opens it.
func ParsePKCS12(data, passphrase []byte) (*Credential, error) {
	if n := iterationsOf(data, 32); n.Cmp(big.NewInt(maxIterations)) > 0 {
		return nil, fmt.Errorf("gsi: the PKCS#12 file asks for %d iterations, %d are the most: write it again with openssl pkcs12", n, maxIterations)
	}
	line, _, _ := strings.Cut(string(passphrase), "\n")
	key, leaf, more, err := pkcs12.DecodeChain(data, strings.TrimSuffix(line, "\r"))
	if errors.Is(err, pkcs12.ErrIncorrectPassword) {
		return nil, wrongPassphrase("the PKCS#12 file")
	}
	if err != nil {
		return nil, fmt.Errorf("gsi: the PKCS#12 file does not parse: %w", err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("gsi: the PKCS#12 file holds a key of a kind that cannot sign")
	}
	return assemble(append([]*x509.Certificate{leaf}, more...), signer)
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

// iterationsOf returns the largest iteration count that can be seen in DER. In
// every form of PKCS#5 and PKCS#12 it is the INTEGER that follows the salt, an
// OCTET STRING. What is still encrypted is not seen: whoever made that knows the
// passphrase.
func iterationsOf(der []byte, depth int) *big.Int {
	most := new(big.Int)
	for afterSalt := false; len(der) > 0 && depth > 0; {
		var v asn1.RawValue
		var err error
		if der, err = asn1.Unmarshal(der, &v); err != nil {
			break
		}
		octets := v.Class == asn1.ClassUniversal && v.Tag == asn1.TagOctetString
		n := new(big.Int)
		switch {
		case v.IsCompound || octets && bytes.HasPrefix(v.Bytes, []byte{0x30}):
			n = iterationsOf(v.Bytes, depth-1)
		case afterSalt && v.Class == asn1.ClassUniversal && v.Tag == asn1.TagInteger:
			n.SetBytes(v.Bytes)
		}
		if n.Cmp(most) > 0 {
			most = n
		}
		afterSalt = octets
	}
	return most
}
