package gsi

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
)

// Reasons for which a PKIPath is refused.
var (
	ErrPathOrder   = errors.New("gsi: the PKIPath does not run from the end entity to the leaf")
	ErrPathReverse = errors.New("gsi: the PKIPath is leaf first: the end-entity certificate has to come first")
	ErrPathLimit   = errors.New("gsi: the PKIPath has too many certificates")
)

// MarshalPKIPath writes a chain as X509PKIPathv1: a DER SEQUENCE of
// certificates, the end-entity certificate first and the leaf last, a
// self-signed CA left out (facts/gt4-wire.md). The chain comes leaf first.
func MarshalPKIPath(chain []*x509.Certificate) []byte {
	var body []byte
	for _, cert := range slices.Backward(chain) {
		if !selfIssued(cert) {
			body = append(body, cert.Raw...)
		}
	}
	der, err := asn1.Marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: body})
	if err != nil {
		panic(err) // a SEQUENCE around given bytes cannot fail
	}
	return der
}

// ParsePKIPath reads an X509PKIPathv1 and returns its certificates leaf first.
// It takes at most limit certificates and no byte after them; each must name
// the one before as its issuer. A CA in front is taken, as GT4 does.
func ParsePKIPath(der []byte, limit int) ([]*x509.Certificate, error) {
	var path asn1.RawValue
	rest, err := asn1.Unmarshal(der, &path)
	if err != nil || !isUniversal(path, asn1.TagSequence) {
		return nil, errors.New("gsi: the PKIPath is not a SEQUENCE")
	}
	if len(rest) > 0 {
		return nil, errors.New("gsi: bytes follow the PKIPath")
	}
	var chain []*x509.Certificate
	for rest := path.Bytes; len(rest) > 0; {
		if len(chain) == limit {
			return nil, fmt.Errorf("%w: more than %d", ErrPathLimit, limit)
		}
		var cert *x509.Certificate
		if cert, rest, err = cutCertificate(rest); err != nil {
			return nil, err
		}
		chain = append(chain, cert)
	}
	if len(chain) == 0 {
		return nil, errors.New("gsi: the PKIPath is empty")
	}
	slices.Reverse(chain)
	return chain, checkOrder(chain)
}

func cutCertificate(der []byte) (*x509.Certificate, []byte, error) {
	var raw asn1.RawValue
	rest, err := asn1.Unmarshal(der, &raw)
	if err != nil {
		return nil, nil, fmt.Errorf("gsi: PKIPath: %w", err)
	}
	cert, err := x509.ParseCertificate(raw.FullBytes)
	if err != nil {
		return nil, nil, fmt.Errorf("gsi: PKIPath: %w", err)
	}
	return cert, rest, nil
}

func checkOrder(leafFirst []*x509.Certificate) error {
	if chained(leafFirst) {
		return nil
	}
	reversed := slices.Clone(leafFirst)
	slices.Reverse(reversed)
	if chained(reversed) {
		return ErrPathReverse
	}
	return ErrPathOrder
}

func chained(leafFirst []*x509.Certificate) bool {
	for i, cert := range leafFirst[:len(leafFirst)-1] {
		if !SameName(cert.RawIssuer, leafFirst[i+1].RawSubject) {
			return false
		}
	}
	return true
}

func selfIssued(cert *x509.Certificate) bool { return SameName(cert.RawIssuer, cert.RawSubject) }
