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
	"slices"
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
	Digest   crypto.Hash   // SHA-256, SHA-384, SHA-512, or SHA-1 for stock GT4; 0 means SHA-256
	Now      time.Time     // zero: the time of day

	// Extensions go into the certificate as they are: VOMS attribute
	// certificates, say. Critical ones are refused, and those that Mint writes.
	Extensions []pkix.Extension

	// What key NewProxy takes: Key if there is one, from a [KeyPool] for
	// instance, or a new one of KeyType and, for RSA, of Bits.
	Key     crypto.Signer
	KeyType KeyType
	Bits    int // 1024 to 8192; 0 means 2048
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
	if err := checkExtensions(l.Extensions); err != nil {
		return nil, err
	}
	t.ExtraExtensions = append(t.ExtraExtensions, l.Extensions...)
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

// written are the extensions that Mint decides on, and those that RFC 3820, section 3.7, keeps out of a proxy.
var written = []asn1.ObjectIdentifier{
	OIDProxyCertInfo, OIDDraftProxyCertInfo,
	{2, 5, 29, 15}, {2, 5, 29, 37}, // key usage, extended key usage
	{2, 5, 29, 17}, {2, 5, 29, 18}, // subject and issuer alternative name
	{2, 5, 29, 19}, // basic constraints
}

func checkExtensions(extensions []pkix.Extension) error {
	var seen []asn1.ObjectIdentifier
	for _, e := range extensions {
		is := e.Id.Equal
		switch {
		case len(e.Id) == 0:
			return errors.New("gsi: mint: an extension without an OID")
		case e.Critical:
			return fmt.Errorf("gsi: mint: the extension %s is critical: whoever does not know it would refuse the proxy", e.Id)
		case slices.ContainsFunc(written, is):
			return fmt.Errorf("gsi: mint: the extension %s is not to be given: the other limits decide on it", e.Id)
		case slices.ContainsFunc(seen, is):
			return fmt.Errorf("gsi: mint: the extension %s is given twice: put both values into one", e.Id)
		}
		seen = append(seen, e.Id)
	}
	return nil
}

type signing struct {
	ec     bool
	digest crypto.Hash
}

var signatureAlgorithms = map[signing]x509.SignatureAlgorithm{
	{false, crypto.SHA1}:   x509.SHA1WithRSA,
	{false, crypto.SHA256}: x509.SHA256WithRSA,
	{false, crypto.SHA384}: x509.SHA384WithRSA,
	{false, crypto.SHA512}: x509.SHA512WithRSA,
	{true, crypto.SHA1}:    x509.ECDSAWithSHA1,
	{true, crypto.SHA256}:  x509.ECDSAWithSHA256,
	{true, crypto.SHA384}:  x509.ECDSAWithSHA384,
	{true, crypto.SHA512}:  x509.ECDSAWithSHA512,
}

func signatureAlgorithm(key crypto.PublicKey, digest crypto.Hash) (x509.SignatureAlgorithm, error) {
	if digest == 0 {
		digest = crypto.SHA256
	}
	_, ec := key.(*ecdsa.PublicKey)
	if _, ok := key.(*rsa.PublicKey); !ok && !ec {
		return 0, fmt.Errorf("gsi: mint: the issuer's key is of type %T; proxies signed with RSA or ECDSA are believed", key)
	}
	algorithm, ok := signatureAlgorithms[signing{ec, digest}]
	if !ok {
		return 0, fmt.Errorf("gsi: mint: no proxies are signed with %v: take SHA-256, SHA-384, SHA-512, or SHA-1 for stock GT4", digest)
	}
	return algorithm, nil
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
