package gsi

import (
	"crypto"
	"crypto/ecdsa"
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
		KeyUsage: leaf.KeyUsage &^ (x509.KeyUsageContentCommitment | x509.KeyUsageCertSign | x509.KeyUsageCRLSign),
	}
	for _, e := range leaf.Extensions {
		if e.Id.Equal(oidExtKeyUsage) {
			t.ExtraExtensions = append(t.ExtraExtensions, e) // critical or not, as it is
		}
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
		t.ExtraExtensions = append(t.ExtraExtensions, e)
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
	case from.After(now):
		return from, to, fmt.Errorf("gsi: mint: the issuer is valid from %s only: check the clock", from.UTC().Format(time.RFC3339))
	case !to.After(now):
		return from, to, fmt.Errorf("gsi: mint: the issuer %s expired at %s: renew it first", issuer, to.UTC().Format(time.RFC3339))
	}
	return from, to, nil
}

var oidExtKeyUsage = asn1.ObjectIdentifier{2, 5, 29, 37}

// written are the extensions that Mint decides on, and those that RFC 3820, section 3.7, keeps out of a proxy.
var written = []asn1.ObjectIdentifier{
	OIDProxyCertInfo, OIDDraftProxyCertInfo,
	{2, 5, 29, 15}, oidExtKeyUsage, // key usage
	{2, 5, 29, 17}, {2, 5, 29, 18}, // alternative names of subject and issuer
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
