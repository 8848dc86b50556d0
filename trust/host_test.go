package trust_test

import (
	"crypto/x509"
	"net"
	"testing"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
	"gsigw/trust"
)

func TestHostMatches(t *testing.T) {
	pki := newPKI(t)
	host := func(name string, dns ...string) *x509.Certificate {
		return issue(t, pki.CA, gridtest.Request{Name: name, Change: func(c *x509.Certificate) { c.DNSNames = dns }}).Leaf()
	}
	onlyIP := issue(t, pki.CA, gridtest.Request{Name: "/CN=a.example.org", Change: func(c *x509.Certificate) {
		c.IPAddresses = []net.IP{net.IPv4(192, 0, 2, 1)}
	}}).Leaf()
	for _, test := range []struct {
		cert *x509.Certificate
		host string
		want bool
	}{
		{host("/O=Grid/CN=a.example.org"), "a.example.org", true},
		{host("/O=Grid/CN=a.example.org"), "A.Example.org.", true},
		{host("/O=Grid/CN=host/a.example.org"), "a.example.org", true},
		{host("/O=Grid/CN=ldap/a.example.org"), "a.example.org", false},
		{host("/O=Grid/CN=HOST/A.example.org"), "a.example.org", true},
		{host("/O=Grid/CN=host/\u212Aelvin.example.org"), "kelvin.example.org", false},
		{host("/O=Grid/CN=host/kelvin.example.org"), "\u212Aelvin.example.org", false},
		{host("/O=Grid/CN=b.example.org"), "a.example.org", false},
		{host("/O=Grid/CN=a.example.org/CN=other"), "a.example.org", false},
		{host("/O=Grid/CN=*.example.org"), "a.example.org", false},
		{host("/O=Grid/CN=a.example.org"), "", false},
		{host("/O=Grid"), "", false},
		{host("/O=Grid/CN=a.example.org", "b.example.org"), "a.example.org", false},
		{host("/O=Grid/CN=a.example.org", "b.example.org", "c.example.org"), "c.example.org", true},
		{host("/CN=x", "*.example.org"), "a.example.org", true},
		{host("/CN=x", "*.example.org"), "a.b.example.org", false},
		{host("/CN=x", "*.example.org"), "example.org", false},
		{host("/CN=x", "*.example.org"), ".example.org", false},
		{host("/CN=x", "a*.example.org"), "ab.example.org", false},
		{host("/CN=x", "*a.example.org"), "ba.example.org", false},
		{host("/CN=x", "a.*.org"), "a.example.org", false},
		{host("/CN=x", "*.org"), "example.org", false},
		{host("/CN=x", "*.example.org"), "*.example.org", false},
		{onlyIP, "192.0.2.1", true},
		{onlyIP, "192.0.2.2", false},
		{onlyIP, "a.example.org", true},
		{host("/CN=192.0.2.1"), "192.0.2.1", false},
		{pki.Host.Leaf(), "127.0.0.1", true},
		{pki.Host.Leaf(), "[::1]", true},
		{pki.Host.Leaf(), "localhost", true},
	} {
		if got := trust.HostMatches(test.cert, test.host); got != test.want {
			t.Errorf("%s %v for %q: %v", gsi.OneLine(test.cert.RawSubject), test.cert.DNSNames, test.host, got)
		}
	}
}

func TestHostMatches_AProxySpeaksForNoHostWhateverItsName(t *testing.T) {
	pki := newPKI(t)
	forged := forge(t, pki.User, func(c *x509.Certificate) { c.RawSubject = extend(t, pki.User.Leaf().RawSubject, "a.example.org") })
	if trust.HostMatches(forged.Leaf(), "a.example.org") {
		t.Error("a user made himself a host")
	}
}

func TestServiceMatches_TakesTheNameOfTheServiceForHost(t *testing.T) {
	pki := newPKI(t)
	named := func(name string, dns ...string) *x509.Certificate {
		return issue(t, pki.CA, gridtest.Request{Name: name, Change: func(c *x509.Certificate) { c.DNSNames = dns }}).Leaf()
	}
	for _, test := range []struct {
		cert *x509.Certificate
		host string
		want bool
	}{
		{named("/CN=myproxy/a.example.org"), "a.example.org", true},
		{named("/CN=MyProxy/A.Example.org"), "a.example.org.", true},
		{named("/CN=a.example.org"), "a.example.org", true},
		{named("/CN=host/a.example.org"), "a.example.org", false},
		{named("/CN=myproxy/b.example.org"), "a.example.org", false},
		{named("/CN=myproxy/192.0.2.1"), "192.0.2.1", false},
		{named("/CN=myproxy/\u212Aelvin.example.org"), "kelvin.example.org", false},
		{named("/CN=myproxy/a.example.org", "b.example.org"), "a.example.org", false},
	} {
		if got := trust.ServiceMatches(test.cert, "myproxy", test.host); got != test.want {
			t.Errorf("%s for %q: %v", gsi.OneLine(test.cert.RawSubject), test.host, got)
		}
	}
}
