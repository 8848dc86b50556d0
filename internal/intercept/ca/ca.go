// Package ca is the local CA with which CONNECTs are opened: engines trust it,
// so it can speak for nothing but the hosts that routes name. Its certificate
// says so in critical name constraints, and its leaves live a day.
//
//	a, err := ca.New(ca.Options{Hosts: []string{"gt4.example.org"}})
//	err = a.Save("/var/lib/gsigw/ca")
//	a, err = ca.Load("/var/lib/gsigw/ca", time.Now)
//	if !a.Covers(hosts) {
//		a, err = a.Reissue(hosts) // same key and name; engines import it anew
//	}
//	leaf, err := a.Leaf("gt4.example.org")
package ca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// KeyType is the kind of key of the CA and its leaves.
type KeyType string

const (
	ECDSA KeyType = "ecdsa" // P-256
	RSA   KeyType = "rsa"   // 2048 bit, for Java stacks without elliptic curves
)

// Options describe a new CA.
type Options struct {
	Hosts []string // DNS names and IP addresses; at least one
	Key   KeyType  // default ECDSA
	Years int      // validity, 1 to 5; default 2
	Now   func() time.Time
}

// Authority is a CA with its key. It is safe for concurrent use.
type Authority struct {
	cert    *x509.Certificate
	key     crypto.Signer
	leafKey crypto.Signer // one for all leaves: they differ in name only
	now     func() time.Time

	mu     sync.Mutex
	leaves map[string]*tls.Certificate
}

// New makes a CA that may speak for o.Hosts and no others.
func New(o Options) (*Authority, error) {
	if o.Years == 0 {
		o.Years = 2
	}
	if o.Years < 1 || o.Years > 5 {
		return nil, fmt.Errorf("ca: a validity of %d years is outside 1 to 5", o.Years)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	key, err := newKey(o.Key)
	if err != nil {
		return nil, err
	}
	start := o.Now().Add(-time.Hour) // for engines whose clock is behind
	cert, err := issue(key, o.Hosts, start, o.Now().AddDate(o.Years, 0, 0))
	if err != nil {
		return nil, err
	}
	return newAuthority(cert, key, o.Now)
}

func newAuthority(cert *x509.Certificate, key crypto.Signer, now func() time.Time) (*Authority, error) {
	kind := ECDSA
	if _, ok := key.(*rsa.PrivateKey); ok {
		kind = RSA
	}
	leafKey, err := newKey(kind)
	if err != nil {
		return nil, err
	}
	return &Authority{cert: cert, key: key, leafKey: leafKey, now: now, leaves: map[string]*tls.Certificate{}}, nil
}

func newKey(kind KeyType) (crypto.Signer, error) {
	switch kind {
	case "", ECDSA:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case RSA:
		return rsa.GenerateKey(rand.Reader, 2048)
	}
	return nil, fmt.Errorf("ca: key type %q: use ecdsa or rsa", kind)
}

// issue signs the CA certificate. The name holds a piece of the key's hash, so
// that the CAs of two gateways do not pass for one another in a truststore.
func issue(key crypto.Signer, hosts []string, start, end time.Time) (*x509.Certificate, error) {
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber:          newSerial(),
		Subject:               pkix.Name{CommonName: fmt.Sprintf("gsigw local CA %x", sha256.Sum256(spki))[:len("gsigw local CA ")+8]},
		NotBefore:             start,
		NotAfter:              end,
		KeyUsage:              x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
	}
	if err := constrain(t, hosts); err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	return x509.ParseCertificate(der)
}

// constrain permits hosts only (RFC 5280, section 4.2.1.10). A kind of name
// without any permitted entry would be wholly free: addresses are then
// excluded, and DNS names permitted beneath "invalid", which nobody has.
func constrain(t *x509.Certificate, hosts []string) error {
	if len(hosts) == 0 {
		return errors.New("ca: no hosts: name at least one https route before making a CA")
	}
	t.PermittedDNSDomainsCritical = true
	for _, host := range hosts {
		host, ip, err := parseHost(host)
		switch {
		case err != nil:
			return err
		case ip != nil:
			t.PermittedIPRanges = append(t.PermittedIPRanges, ip)
		default:
			t.PermittedDNSDomains = append(t.PermittedDNSDomains, host)
		}
	}
	if t.PermittedDNSDomains == nil {
		t.PermittedDNSDomains = []string{"invalid"}
	}
	if t.PermittedIPRanges == nil {
		t.ExcludedIPRanges = []*net.IPNet{
			{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)},
			{IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)},
		}
	}
	return nil
}

// parseHost gives a lower-case DNS name, or an address as a range of one.
func parseHost(host string) (string, *net.IPNet, error) {
	bare := strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if ip, err := netip.ParseAddr(bare); err == nil && ip.Zone() == "" {
		bits := ip.Unmap().BitLen()
		return "", &net.IPNet{IP: ip.Unmap().AsSlice(), Mask: net.CIDRMask(bits, bits)}, nil
	}
	if host == "" || strings.ContainsAny(host, "*:/[] ") || strings.Trim(host, ".") != host {
		return "", nil, fmt.Errorf("ca: %q is neither a DNS name nor an IP address", host)
	}
	return strings.ToLower(host), nil, nil
}

// Covers reports whether the CA may speak for all of hosts.
func (a *Authority) Covers(hosts []string) bool {
	return !slices.ContainsFunc(hosts, func(host string) bool { return !a.covers(host) })
}

func (a *Authority) covers(host string) bool {
	name, ip, err := parseHost(host)
	switch {
	case err != nil:
		return false
	case ip != nil:
		return slices.ContainsFunc(a.cert.PermittedIPRanges, func(p *net.IPNet) bool { return p.String() == ip.String() })
	}
	return slices.Contains(a.cert.PermittedDNSDomains, name)
}

// Reissue makes a certificate for hosts over the same key and name, valid as
// long as the old one. Save it, and have the engines import it: those that
// heed constraints on a trust anchor refuse the new hosts until they do.
func (a *Authority) Reissue(hosts []string) (*Authority, error) {
	cert, err := issue(a.key, hosts, a.cert.NotBefore, a.cert.NotAfter)
	if err != nil {
		return nil, err
	}
	return newAuthority(cert, a.key, a.now)
}

// Certificate is the CA's own.
func (a *Authority) Certificate() *x509.Certificate { return a.cert }
