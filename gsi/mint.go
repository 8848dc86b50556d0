package gsi

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"slices"
	"time"
)

// DefaultLifetime is how long a minted proxy lives when nobody says, as with
// grid-proxy-init.
const DefaultLifetime = 12 * time.Hour

// backdate allows for clocks that are behind, as the Globus tools do.
const backdate = 5 * time.Minute

// Limits say what a minted proxy may do, and how it is made. The zero value
// makes a proxy with all rights of its issuer, of RFC 3820 below an end entity,
// for [DefaultLifetime].
type Limits struct {
	Type     ProxyType     // empty: of the issuer's family, limited if that is; "rfc" below an end entity
	Lifetime time.Duration // from Now; cut to the issuer's own
	PathLen  *int          // how many proxies may follow; nil: any number
	Policy   *Policy       // for the restricted types, and only for them
	Digest   crypto.Hash   // SHA-256, SHA-384, SHA-512, or SHA-1 for stock GT4; 0 means SHA-256
	Now      time.Time     // zero: the time of day

	// Extensions go into the certificate as they are: VOMS attribute
	// certificates, say. Critical ones are refused, and those that Mint writes.
	Extensions []pkix.Extension

	// What key NewProxy takes: Key if there is one, from a [KeyPool] for
	// instance, or a new one of KeyType and, for RSA, of Bits.
	Key     crypto.Signer `json:"-" xml:"-"`
	KeyType KeyType
	Bits    int // 1024 to 8192; 0 means 2048
}

// Format leaves the key out of every kind of print.
func (l Limits) Format(f fmt.State, verb rune) {
	type limits Limits
	l.Key = nil
	fmt.Fprintf(f, fmt.FormatString(f, verb), limits(l))
}

// NewProxy makes a proxy certificate, and a key for it unless the limits hold one.
func NewProxy(issuer *Credential, l Limits) (*Credential, error) {
	key := l.Key
	if key == nil {
		var err error
		if key, err = newKey(l.KeyType, l.Bits); err != nil {
			return nil, err
		}
	}
	chain, err := Mint(issuer, key.Public(), l)
	if err != nil {
		return nil, err
	}
	return &Credential{Chain: chain, Key: key}, nil
}

// Mint signs a proxy certificate over a public key and returns the chain, leaf
// first, with the issuer's after it. The proxy never outlives its issuer.
func Mint(issuer *Credential, subject crypto.PublicKey, l Limits) ([]*x509.Certificate, error) {
	if err := issuer.check(); err != nil {
		return nil, err
	}
	if err := checkSubjectKey(subject); err != nil {
		return nil, err
	}
	kind, err := proxyKind(issuer, l)
	if err != nil {
		return nil, err
	}
	template, err := proxyTemplate(issuer, kind, l)
	if err != nil {
		return nil, err
	}
	leaf := issuer.Leaf()
	// Only what names and keys the issuer: its key identifier would add an
	// extension that the Globus tools do not write.
	parent := &x509.Certificate{RawSubject: leaf.RawSubject, PublicKey: leaf.PublicKey}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, subject, Accelerated(issuer.Key))
	if err != nil {
		return nil, fmt.Errorf("gsi: mint: %w", err)
	}
	proxy, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("gsi: mint: %w", err)
	}
	return append([]*x509.Certificate{proxy}, issuer.Chain...), nil
}

func checkSubjectKey(key crypto.PublicKey) error {
	switch k := key.(type) {
	case *rsa.PublicKey:
		if err := checkBits(k.N.BitLen()); err != nil {
			return fmt.Errorf("gsi: mint: %w", err)
		}
		return nil
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256(), elliptic.P384(), elliptic.P521():
			return nil
		}
	}
	return fmt.Errorf("gsi: mint: a key of type %T; RSA and ECDSA on P-256, P-384 or P-521 are believed", key)
}

// proxyKind decides the type of the proxy, and refuses what its issuer may not
// issue.
func proxyKind(issuer *Credential, l Limits) (ProxyType, error) {
	above, limited, err := kindOf(issuer)
	if err != nil {
		return "", err
	}
	kind := l.Type
	if kind == "" {
		kind = inherited(above, limited)
	}
	switch {
	case !kind.valid() || kind == EEC:
		return "", fmt.Errorf("gsi: mint: no proxy type %q", kind)
	case issuer.Leaf().IsCA:
		return "", errors.New("gsi: mint: a CA issues no proxies")
	case issuer.Leaf().KeyUsage != 0 && issuer.Leaf().KeyUsage&x509.KeyUsageDigitalSignature == 0:
		return "", errors.New("gsi: mint: the issuer's key usage lacks digitalSignature: nobody would believe its proxies")
	case above != EEC && above.Family() != kind.Family():
		return "", fmt.Errorf("gsi: mint: a proxy of type %q cannot follow one of type %q", kind, above)
	case limited && !kind.Limited():
		return "", fmt.Errorf("gsi: mint: a proxy of type %q cannot follow a limited one", kind)
	case kind.Restricted() != (l.Policy != nil):
		return "", errors.New("gsi: mint: a policy goes with the restricted types, and only with them")
	case kind.Family() == "legacy" && l.PathLen != nil:
		return "", errors.New("gsi: mint: a legacy proxy has no path length")
	case l.Policy != nil && !(&ProxyCertInfo{Policy: *l.Policy}).Type().Restricted():
		return "", errors.New("gsi: mint: the language of a restricted proxy's policy is one of those with a type of their own")
	}
	return kind, checkPathLen(issuer.Chain)
}

// kindOf returns the kind of the leaf, and whether a proxy of the chain is
// limited: none below it can undo that.
func kindOf(c *Credential) (leaf ProxyType, limited bool, err error) {
	types, err := proxyTypes(c.Chain)
	if err != nil || len(types) == 0 {
		return EEC, false, err
	}
	return types[0], slices.ContainsFunc(types, ProxyType.Limited), nil
}

// inherited is the kind of a proxy when nobody names one. Rights that a policy
// above keeps back stay so: every proxy of the chain is looked at.
func inherited(above ProxyType, limited bool) ProxyType {
	family := RFC
	if above != EEC {
		family = ProxyType(above.Family())
	}
	if limited {
		return family + "/limited"
	}
	return family
}

// checkPathLen refuses a proxy for which an issuer leaves no room.
func checkPathLen(chain []*x509.Certificate) error {
	for depth, cert := range chain {
		info, err := ProxyCertInfoOf(cert)
		if err != nil {
			return err
		}
		if info != nil && info.PathLen != nil && *info.PathLen <= depth {
			return fmt.Errorf("gsi: mint: the path length %d of %s leaves no room for another proxy", *info.PathLen, OneLine(cert.RawSubject))
		}
	}
	return nil
}
