package gsi

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math"
	"math/big"
)

// The extensions that make a certificate a proxy, and the policy languages with
// a meaning to everybody.
var (
	OIDProxyCertInfo      = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 14}         // RFC 3820
	OIDDraftProxyCertInfo = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 3536, 1, 222}     // GT3
	OIDInheritAll         = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 21, 1}         // RFC 3820
	OIDIndependent        = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 21, 2}         // RFC 3820
	OIDLimited            = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 3536, 1, 1, 1, 9} // Globus
)

// Policy is what a restricted proxy says of the rights it passes on.
type Policy struct {
	Language asn1.ObjectIdentifier
	Body     []byte // nil when the language says it all
}

// ProxyCertInfo is the extension of RFC 3820, section 3.8, in the RFC's form or
// that of the draft which GT3 took.
type ProxyCertInfo struct {
	Draft   bool
	PathLen *int // how many proxies may follow; nil: any number
	Policy  Policy
}

// Type returns the kind of the proxy that carries this extension.
func (p *ProxyCertInfo) Type() ProxyType {
	family := RFC
	if p.Draft {
		family = Draft
	}
	switch {
	case p.Policy.Language.Equal(OIDInheritAll):
		return family
	case p.Policy.Language.Equal(OIDLimited):
		return family + "/limited"
	case p.Policy.Language.Equal(OIDIndependent):
		return family + "/independent"
	}
	return family + "/restricted"
}

// ProxyCertInfoOf returns the ProxyCertInfo of a certificate, nil when it has
// none. Two of them are an error.
func ProxyCertInfoOf(cert *x509.Certificate) (*ProxyCertInfo, error) {
	var found *ProxyCertInfo
	for _, e := range cert.Extensions {
		draft := e.Id.Equal(OIDDraftProxyCertInfo)
		if !draft && !e.Id.Equal(OIDProxyCertInfo) {
			continue
		}
		if found != nil {
			return nil, errors.New("two ProxyCertInfo extensions")
		}
		info, err := ParseProxyCertInfo(e.Value, draft)
		if err != nil {
			return nil, err
		}
		found = info
	}
	return found, nil
}

// The RFC puts the path length first, the draft last and tagged.
type rfcInfo struct {
	PathLen *big.Int `asn1:"optional"`
	Policy  policyInfo
}

type draftInfo struct {
	Policy  policyInfo
	PathLen *big.Int `asn1:"optional,explicit,tag:1"`
}

type policyInfo struct {
	Language asn1.ObjectIdentifier
	Body     []byte `asn1:"optional"`
}

// ParseProxyCertInfo reads the value of the extension. What it reads must be
// DER to the last byte: it is encoded again and compared. A draft's path length
// may stand where the RFC has it, and be negative, which leaves room for none:
// so do canl and LCMAPS.
func ParseProxyCertInfo(der []byte, draft bool) (*ProxyCertInfo, error) {
	var read rfcInfo
	err := strictly(der, &read)
	if draft && (err != nil || read.PathLen == nil) {
		var d draftInfo
		err = strictly(der, &d)
		read = rfcInfo{d.PathLen, d.Policy}
	}
	if err != nil {
		return nil, fmt.Errorf("the ProxyCertInfo extension %w", err)
	}
	info := &ProxyCertInfo{Draft: draft, Policy: Policy(read.Policy)}
	if read.PathLen != nil {
		if read.PathLen.Sign() < 0 && !draft {
			return nil, errors.New("the ProxyCertInfo extension has a negative path length")
		}
		n := clamp(read.PathLen)
		info.PathLen = &n
	}
	return info, nil
}

// strictly reads DER, no byte more or less.
func strictly[T any](der []byte, value *T) error {
	if _, err := asn1.Unmarshal(der, value); err != nil {
		return fmt.Errorf("is malformed: %w", err)
	}
	if again, err := asn1.Marshal(*value); err != nil || !bytes.Equal(again, der) {
		return errors.New("is not strict DER")
	}
	return nil
}

// clamp makes a path length of any INTEGER: no chain is as long as an int can count.
func clamp(n *big.Int) int {
	switch {
	case n.Sign() < 0:
		return 0
	case n.Cmp(big.NewInt(math.MaxInt)) > 0:
		return math.MaxInt
	}
	return int(n.Int64())
}

func (p *ProxyCertInfo) marshal() ([]byte, error) {
	var pathLen *big.Int
	if p.PathLen != nil {
		pathLen = big.NewInt(int64(*p.PathLen))
	}
	if p.Draft {
		return asn1.Marshal(draftInfo{policyInfo(p.Policy), pathLen})
	}
	return asn1.Marshal(rfcInfo{pathLen, policyInfo(p.Policy)})
}

// Extension returns the critical extension to put in a certificate.
func (p *ProxyCertInfo) Extension() (pkix.Extension, error) {
	if p.PathLen != nil && *p.PathLen < 0 {
		return pkix.Extension{}, errors.New("gsi: the path length of a proxy is 0 or more")
	}
	oid := OIDProxyCertInfo
	if p.Draft {
		oid = OIDDraftProxyCertInfo
	}
	der, err := p.marshal()
	if err != nil {
		return pkix.Extension{}, fmt.Errorf("gsi: ProxyCertInfo: %w", err)
	}
	return pkix.Extension{Id: oid, Critical: true, Value: der}, nil
}
