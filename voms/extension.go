package voms

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"gsigw/gsi"
)

const maxACs = 32 // in one proxy: one for each VO, in practice two or three

// Extension returns the extension that puts attribute certificates, in DER and in this order, into a proxy: enter it
// into gsi.Limits.Extensions. The first is the VO in whose name services act that look no further.
func Extension(acs ...[]byte) (pkix.Extension, error) {
	if len(acs) == 0 || len(acs) > maxACs {
		return pkix.Extension{}, fmt.Errorf("voms: %d attribute certificates for a proxy; 1 to %d are taken", len(acs), maxACs)
	}
	for _, ac := range acs {
		if _, err := ParseAC(ac); err != nil {
			return pkix.Extension{}, err
		}
	}
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
			for _, ac := range acs {
				b.AddBytes(ac)
			}
		})
	})
	value, err := b.Bytes()
	if err != nil {
		return pkix.Extension{}, fmt.Errorf("voms: the extension for a proxy: %w", err)
	}
	return pkix.Extension{Id: OIDACs, Value: value}, nil
}

// ACs returns the attribute certificates that a chain carries, each in DER and not parsed: those of the proxy nearest
// to the leaf that has any, as VOMS's own libraries do. A proxy made from another thus keeps its attributes, and
// replaces them where it brings its own. A chain without any has none, which is no error.
func ACs(chain []*x509.Certificate) ([][]byte, error) {
	acs, err := splitACs(nearest(chain, OIDACs))
	if err != nil {
		return nil, fmt.Errorf("voms: %w: make the proxy again", err)
	}
	return acs, nil
}

// splitACs takes the sequence in a sequence apart. Every attribute certificate is one element: what is wrong inside of
// it harms no other.
func splitACs(value []byte) ([][]byte, error) {
	if value == nil {
		return nil, nil
	}
	input := cryptobyte.String(value)
	var outer, list cryptobyte.String
	if !input.ReadASN1(&outer, der.SEQUENCE) || !input.Empty() || !outer.ReadASN1(&list, der.SEQUENCE) || !outer.Empty() {
		return nil, errACList
	}
	var acs [][]byte
	for !list.Empty() {
		var ac cryptobyte.String
		if !list.ReadASN1Element(&ac, der.SEQUENCE) {
			return nil, errACList
		}
		if acs = append(acs, ac); len(acs) > maxACs {
			return nil, fmt.Errorf("the proxy carries more than %d attribute certificates", maxACs)
		}
	}
	return acs, nil
}

var errACList = errors.New("the VOMS extension of the proxy is not a list of attribute certificates")

// nearest returns the value of an extension in the proxy nearest to the leaf that has it.
func nearest(chain []*x509.Certificate, oid fmt.Stringer) []byte {
	for _, cert := range chain {
		if t, err := gsi.Classify(cert); err != nil || t == gsi.EEC {
			return nil // what a CA certifies is no proxy, and nothing follows that is one
		}
		for _, e := range cert.Extensions {
			if e.Id.String() == oid.String() {
				return e.Value
			}
		}
	}
	return nil
}

const maxIncluded = 1 << 20

// IncludedFile returns what `voms-proxy-init -include` put into the nearest proxy of the chain that has it, nil when
// none has. Nobody vouches for it but the user.
func IncludedFile(chain []*x509.Certificate) []byte { return nearest(chain, OIDIncludedFile) }

// IncludeFile returns the extension that puts any bytes into a proxy, as `voms-proxy-init -include` does.
func IncludeFile(content []byte) (pkix.Extension, error) {
	if len(content) == 0 || len(content) > maxIncluded {
		return pkix.Extension{}, fmt.Errorf("voms: a file of %d bytes to include in a proxy; 1 to %d are taken", len(content), maxIncluded)
	}
	return pkix.Extension{Id: OIDIncludedFile, Value: content}, nil
}
