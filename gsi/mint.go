package gsi

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// DefaultLifetime is how long a minted proxy lives when nobody says, as with
// grid-proxy-init.
const DefaultLifetime = 12 * time.Hour

// backdate allows for clocks that are behind, as the Globus tools do.
const backdate = 5 * time.Minute

// Limits say what a minted proxy may do, and how it is made. The zero value
// makes a proxy of the issuer's kind, RFC 3820 below an end entity, for
// [DefaultLifetime].
type Limits struct {
	Type     ProxyType     // empty: as the issuer's, "rfc" below an end entity
	Lifetime time.Duration // from Now; cut to the issuer's own
	PathLen  *int          // how many proxies may follow; nil: any number
	Policy   *Policy       // for the restricted types, and only for them
	Digest   crypto.Hash   // SHA-256, or SHA-1 for stock GT4; 0 means SHA-256
	Now      time.Time     // zero: the time of day
	KeyType  KeyType       // of the key that NewProxy makes
}

// KeyType is a kind of key to make.
type KeyType int

// The keys that NewProxy makes. Stock GT4 takes RSA only.
const (
	RSA2048 KeyType = iota
	P256
)

// NewProxy makes a key and a proxy certificate over it.
func NewProxy(issuer *Credential, l Limits) (*Credential, error) {
	key, err := newKey(l.KeyType)
	if err != nil {
		return nil, err
	}
	chain, err := Mint(issuer, key.Public(), l)
	if err != nil {
		return nil, err
	}
	return &Credential{Chain: chain, Key: key}, nil
}

func newKey(t KeyType) (crypto.Signer, error) {
	switch t {
	case RSA2048:
		return rsa.GenerateKey(rand.Reader, 2048)
	case P256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	return nil, fmt.Errorf("gsi: no key type %d", t)
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
	der, err := x509.CreateCertificate(rand.Reader, template, parent, subject, issuer.Key)
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
		if bits := k.N.BitLen(); bits < 1024 || bits > 8192 {
			return fmt.Errorf("gsi: mint: an RSA key of %d bits; 1024 to 8192 are taken", bits)
		}
		return nil
	case *ecdsa.PublicKey:
		return nil
	}
	return fmt.Errorf("gsi: mint: a key of type %T; RSA and ECDSA are taken", key)
}

// proxyKind decides the type of the proxy, and refuses what its issuer may not
// issue.
func proxyKind(issuer *Credential, l Limits) (ProxyType, error) {
	above, err := Classify(issuer.Leaf())
	if err != nil {
		return "", err
	}
	kind := l.Type
	if kind == "" {
		kind = above
		if above == EEC {
			kind = RFC
		}
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
	case above.Limited() && !kind.Limited():
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

func proxyTemplate(issuer *Credential, kind ProxyType, l Limits) (*x509.Certificate, error) {
	algorithm, err := signatureAlgorithm(issuer.Key.Public(), l.Digest)
	if err != nil {
		return nil, err
	}
	notBefore, notAfter, err := validity(issuer, l)
	if err != nil {
		return nil, err
	}
	leaf := issuer.Leaf()
	t := &x509.Certificate{
		SignatureAlgorithm: algorithm,
		NotBefore:          notBefore,
		NotAfter:           notAfter,
		// What grid-proxy-init takes over from the issuer, and what it leaves out.
		KeyUsage:           leaf.KeyUsage &^ (x509.KeyUsageContentCommitment | x509.KeyUsageCertSign | x509.KeyUsageCRLSign),
		ExtKeyUsage:        leaf.ExtKeyUsage,
		UnknownExtKeyUsage: leaf.UnknownExtKeyUsage,
	}
	cn, err := serialAndCN(t, leaf, kind)
	if err != nil {
		return nil, err
	}
	if t.RawSubject, err = appendCN(leaf.RawSubject, cn); err != nil {
		return nil, err
	}
	if kind.Family() != "legacy" {
		e, err := proxyCertInfo(kind, l).Extension()
		if err != nil {
			return nil, err
		}
		t.ExtraExtensions = []pkix.Extension{e}
	}
	return t, nil
}

// serialAndCN sets the serial number and returns the CN: the same random number
// for both, or for a legacy proxy the issuer's serial and a word.
func serialAndCN(t, issuer *x509.Certificate, kind ProxyType) (string, error) {
	switch kind {
	case Legacy:
		t.SerialNumber = issuer.SerialNumber
		return "proxy", nil
	case LegacyLimited:
		t.SerialNumber = issuer.SerialNumber
		return "limited proxy", nil
	}
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 62))
	if err != nil {
		return "", fmt.Errorf("gsi: mint: %w", err)
	}
	t.SerialNumber = n.Add(n, big.NewInt(1))
	return n.String(), nil
}

func proxyCertInfo(kind ProxyType, l Limits) *ProxyCertInfo {
	info := &ProxyCertInfo{Draft: kind.Family() == "draft", PathLen: l.PathLen}
	switch {
	case kind.Restricted():
		info.Policy = *l.Policy
	case kind.Limited():
		info.Policy.Language = OIDLimited
	case kind.Independent():
		info.Policy.Language = OIDIndependent
	default:
		info.Policy.Language = OIDInheritAll
	}
	return info
}

func validity(issuer *Credential, l Limits) (from, to time.Time, err error) {
	now, lifetime := l.Now, l.Lifetime
	if now.IsZero() {
		now = time.Now()
	}
	if lifetime == 0 {
		lifetime = DefaultLifetime
	}
	now = now.Truncate(time.Second)
	from, to = now.Add(-backdate), now.Add(lifetime)
	if first := issuer.NotBefore(); from.Before(first) {
		from = first
	}
	if last := issuer.NotAfter(); to.After(last) {
		to = last
	}
	switch {
	case lifetime < time.Second:
		return from, to, errors.New("gsi: mint: the lifetime is less than a second")
	case !to.After(now):
		return from, to, fmt.Errorf("gsi: mint: the issuer %s expired at %s: renew it first", issuer, to.UTC().Format(time.RFC3339))
	}
	return from, to, nil
}

func signatureAlgorithm(key crypto.PublicKey, digest crypto.Hash) (x509.SignatureAlgorithm, error) {
	_, ec := key.(*ecdsa.PublicKey)
	switch {
	case digest == crypto.SHA1 && ec:
		return x509.ECDSAWithSHA1, nil
	case digest == crypto.SHA1:
		return x509.SHA1WithRSA, nil
	case (digest == crypto.SHA256 || digest == 0) && ec:
		return x509.ECDSAWithSHA256, nil
	case digest == crypto.SHA256 || digest == 0:
		return x509.SHA256WithRSA, nil
	}
	return 0, fmt.Errorf("gsi: mint: no proxies are signed with %v: take SHA-256, or SHA-1 for stock GT4", digest)
}

// appendCN adds one RDN to the DER of a name and leaves its bytes as they are,
// string types included: chaining compares bytes.
func appendCN(name []byte, cn string) ([]byte, error) {
	var sequence asn1.RawValue
	if _, err := asn1.Unmarshal(name, &sequence); err != nil {
		return nil, fmt.Errorf("gsi: mint: %w", err)
	}
	rdn, err := asn1.Marshal([]pkix.AttributeTypeAndValue{{Type: oidCN, Value: cn}})
	if err != nil {
		return nil, fmt.Errorf("gsi: mint: %w", err)
	}
	rdn[0] = asn1.TagSet | 0x20
	body := append(sequence.Bytes[:len(sequence.Bytes):len(sequence.Bytes)], rdn...)
	return asn1.Marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: body})
}
