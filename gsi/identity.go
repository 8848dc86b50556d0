package gsi

import (
	"crypto/x509"
	"errors"
	"time"
)

// Identity says in whose name a certificate chain speaks.
type Identity struct {
	// DN is the subject of EndEntity in OpenSSL's one-line form. Compare it
	// with a configured name by [Identity.Matches], which sees the structure.
	DN string
	// EndEntity is the certificate that DN names: the one a CA issued, or the
	// last independent proxy, since that one never speaks for its issuer (RFC
	// 3820, section 3.8.2).
	EndEntity   *x509.Certificate
	Leaf        *x509.Certificate
	Type        ProxyType // of the leaf
	Limited     bool      // a proxy of the chain is limited; no proxy below it can undo that
	Independent bool      // a proxy of the chain is independent
	Depth       int       // number of proxy certificates
	NotAfter    time.Time // when the first certificate of the chain expires
}

// IdentityOf reads the identity off a chain, leaf first. It checks no signature
// and no date: package trust does, and calls it.
func IdentityOf(chain []*x509.Certificate) (*Identity, error) {
	if len(chain) == 0 {
		return nil, errors.New("gsi: the chain is empty")
	}
	types, err := proxyTypes(chain)
	if err != nil {
		return nil, err
	}
	if len(types) == len(chain) {
		return nil, errors.New("gsi: the chain has proxies only: the end-entity certificate is missing")
	}
	id := &Identity{Leaf: chain[0], EndEntity: chain[len(types)], Type: EEC, Depth: len(types), NotAfter: notAfter(chain)}
	for i, t := range types {
		if t.Limited() {
			id.Limited = true
		}
		if t.Independent() && !id.Independent {
			id.Independent, id.EndEntity = true, chain[i]
		}
	}
	if len(types) > 0 {
		id.Type = types[0]
	}
	id.DN = OneLine(id.EndEntity.RawSubject)
	return id, nil
}

// Matches says whether dn, in OpenSSL's one-line form or RFC 2253's, names this
// identity. It compares attribute by attribute, so that a '/' inside of a value
// never passes for another attribute.
func (id *Identity) Matches(dn string) bool {
	want, err := ParseDN(dn)
	if err != nil {
		return false
	}
	have, err := ParseName(id.EndEntity.RawSubject)
	return err == nil && have.Equal(want)
}

// proxyTypes returns the types of the proxies at the front of the chain.
func proxyTypes(chain []*x509.Certificate) ([]ProxyType, error) {
	var types []ProxyType
	for _, cert := range chain {
		t, err := Classify(cert)
		if err != nil {
			return nil, err
		}
		if t == EEC {
			break
		}
		types = append(types, t)
	}
	return types, nil
}

func endEntityIndex(chain []*x509.Certificate) int {
	for i, cert := range chain {
		if t, err := Classify(cert); err == nil && t == EEC {
			return i
		}
	}
	return -1
}
