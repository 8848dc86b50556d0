package ca

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"time"
)

const (
	leafLife    = 24 * time.Hour
	leafRenewal = 6 * time.Hour // left over when a new one is made
)

// Leaf is the server certificate for a host that the CA covers (a DNS name, or
// an IP address with or without brackets). It is made once and kept for most
// of its day.
func (a *Authority) Leaf(host string) (*tls.Certificate, error) {
	if !a.covers(host) {
		return nil, fmt.Errorf("ca: the local CA may not speak for %s; re-issue it for the routes of today with: gsigw ca reissue", host)
	}
	now := a.now()
	if now.After(a.cert.NotAfter) {
		return nil, fmt.Errorf("ca: the local CA expired on %s; make a new one with: gsigw ca init", a.cert.NotAfter.UTC().Format(time.DateOnly))
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if leaf := a.leaves[host]; leaf != nil && leaf.Leaf.NotAfter.Sub(now) > leafRenewal && !now.Before(leaf.Leaf.NotBefore) {
		return leaf, nil
	}
	leaf, err := a.sign(host, now)
	if err != nil {
		return nil, err
	}
	a.leaves[host] = leaf
	return leaf, nil
}

func (a *Authority) sign(host string, now time.Time) (*tls.Certificate, error) {
	name, ip, err := parseHost(host)
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber:          newSerial(),
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.Add(leafLife),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		Subject:               pkix.Name{CommonName: "gsigw leaf"},
	}
	if ip != nil {
		t.IPAddresses = []net.IP{ip.IP}
	} else {
		t.DNSNames = []string{name}
	}
	// Old clients look at the common name; X.520 allows it 64 characters. An
	// address there would be a DNS name to OpenSSL, and no permitted one.
	if name != "" && len(name) <= 64 {
		t.Subject.CommonName = name
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, a.leafKey.Public(), a.key)
	if err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: a.leafKey, Leaf: leaf}, nil
}

func newSerial() *big.Int {
	// 20 octets at most, positive (RFC 5280, section 4.1.2.2).
	b := make([]byte, 16)
	rand.Read(b)
	b[0] = b[0]&0x7f | 0x40
	return new(big.Int).SetBytes(b)
}
