package trust_test

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net"
	"testing"

	"gsigw/internal/gridtest"
	"gsigw/trust"
)

type change = func(*x509.Certificate)

func excludedHosts(names ...string) change {
	return func(c *x509.Certificate) { c.PermittedDNSDomainsCritical, c.ExcludedDNSDomains = true, names }
}

func permittedHosts(names ...string) change {
	return func(c *x509.Certificate) { c.PermittedDNSDomainsCritical, c.PermittedDNSDomains = true, names }
}

func excludedMailboxes(names ...string) change {
	return func(c *x509.Certificate) { c.PermittedDNSDomainsCritical, c.ExcludedEmailAddresses = true, names }
}

func hosts(names ...string) change { return func(c *x509.Certificate) { c.DNSNames = names } }

func alternativeNames(der ...[]byte) change {
	return func(c *x509.Certificate) {
		value, _ := asn1.Marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: bytes.Join(der, nil)})
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: value})
	}
}

func ipName(ip net.IP) []byte { return append([]byte{0x87, byte(len(ip))}, ip...) }

// constrained verifies an end entity of a CA with name constraints.
func constrained(t *testing.T, constraint change, name string, user change) error {
	t.Helper()
	pki := newPKI(t)
	sub := subordinate(t, pki.CA, subName, constraint)
	c := issue(t, sub, gridtest.Request{Name: "/O=Grid/OU=gsigw test" + name, NotBefore: now,
		NotAfter: now.AddDate(1, 0, 0), Change: user})
	_, err := open(t, pki.TrustDir, trust.Options{}).Verify([]*x509.Certificate{c.Leaf(), sub.Cert}, now)
	return err
}

func TestNameConstraints(t *testing.T) {
	_, ten, _ := net.ParseCIDR("10.0.0.0/8")
	excludedTen := func(c *x509.Certificate) {
		c.PermittedDNSDomainsCritical, c.ExcludedIPRanges = true, []*net.IPNet{ten}
	}
	mailbox := func(c *x509.Certificate) { c.EmailAddresses = []string{"jane@example.org"} }
	uri := func(c *x509.Certificate) {
		c.PermittedDNSDomainsCritical, c.ExcludedURIDomains = true, []string{"bank.org"}
	}
	for what, test := range map[string]struct {
		constraint change
		name       string
		user       change
		refused    bool
	}{
		"CN of an excluded host":                {excludedHosts("bank.org"), "/CN=h.bank.org", nil, true},
		"CN of an excluded host, as a service":  {excludedHosts("bank.org"), "/CN=host/h.bank.org", nil, true},
		"CN of an excluded host, any service":   {excludedHosts("bank.org"), "/CN=myproxy/h.bank.org", nil, true},
		"CN of an excluded host, in capitals":   {excludedHosts("bank.org"), "/CN=host/H.Bank.ORG.", nil, true},
		"CN of an excluded host, a wildcard":    {excludedHosts("h.bank.org"), "/CN=*.bank.org", nil, true},
		"CN of an excluded host, underscore":    {excludedHosts("bank.org"), "/CN=my_h.bank.org", nil, true},
		"CN of localhost, excluded":             {excludedHosts("localhost"), "/CN=localhost", nil, true},
		"CN of a host not permitted":            {permittedHosts("mine.org"), "/CN=host/h.bank.org", nil, true},
		"CN of a host permitted":                {permittedHosts("bank.org"), "/CN=host/h.bank.org", nil, false},
		"CN of a person":                        {permittedHosts("mine.org"), "/CN=Jane D. Doe", nil, false},
		"CN of a person, one word":              {permittedHosts("mine.org"), "/CN=jane", nil, false},
		"CN that is not the last":               {permittedHosts("mine.org"), "/CN=h.bank.org/CN=jane", nil, false},
		"CN beside a DNS name":                  {permittedHosts("mine.org"), "/CN=h.bank.org", hosts("h.mine.org"), false},
		"wildcard over an excluded host":        {excludedHosts("h.bank.org"), "/CN=x", hosts("*.bank.org"), true},
		"wildcard in a label":                   {excludedHosts("h.bank.org"), "/CN=x", hosts("h*.bank.org"), true},
		"wildcard below an excluded host":       {excludedHosts("bank.org"), "/CN=x", hosts("*.h.bank.org"), true},
		"wildcard beside an excluded host":      {excludedHosts("h.bank.org"), "/CN=x", hosts("*.g.bank.org"), false},
		"wildcard wider than what is permitted": {permittedHosts("h.bank.org"), "/CN=x", hosts("*.bank.org"), true},
		"wildcard within what is permitted":     {permittedHosts("bank.org"), "/CN=x", hosts("*.bank.org"), false},
		"dot behind an excluded host":           {excludedHosts("bank.org"), "/CN=x", hosts("h.bank.org."), true},
		"dot behind a permitted host":           {permittedHosts("bank.org"), "/CN=x", hosts("h.bank.org."), false},
		"label that only ends as excluded":      {excludedHosts("bank.org"), "/CN=x", hosts("h.mybank.org"), false},
		"all hosts excluded":                    {excludedHosts(""), "/CN=x", hosts("h.bank.org"), true},
		"IPv4 in IPv6, excluded": {excludedTen, "/CN=x",
			alternativeNames(ipName(net.IPv4(10, 0, 0, 1).To16())), true},
		"IPv4 in IPv6, elsewhere": {excludedTen, "/CN=x",
			alternativeNames(ipName(net.IPv4(11, 0, 0, 1).To16())), false},
		"IPv4, excluded":          {excludedTen, "/CN=x", alternativeNames(ipName(net.IPv4(10, 0, 0, 1).To4())), true},
		"emailAddress, excluded":  {excludedMailboxes("bank.org"), "/CN=d/emailAddress=d@bank.org", nil, true},
		"emailAddress, a mailbox": {excludedMailboxes("bank.org"), "/CN=d/emailAddress=d@bank.org", mailbox, true},
		"emailAddress, elsewhere": {excludedMailboxes("bank.org"), "/CN=d/emailAddress=d@example.org", mailbox, false},
		"emailAddress, with what RFC 2253 escapes": {excludedMailboxes("a+b@bank.org"),
			"/CN=d/emailAddress=a+b@BANK.org", nil, true},
		"all mailboxes excluded":            {excludedMailboxes(""), "/CN=x", mailbox, true},
		"all mailboxes excluded, none here": {excludedMailboxes(""), "/CN=x", nil, false},
		"URI of an excluded host": {uri, "/CN=x",
			alternativeNames([]byte("\x86\x12https://BANK.org/x")), true},
	} {
		err := constrained(t, test.constraint, test.name, test.user)
		switch {
		case !test.refused && err != nil:
			t.Errorf("%s: %v", what, err)
		case test.refused && err == nil:
			t.Errorf("%s is accepted", what)
		case test.refused:
			refused(t, err, trust.NameConstraints)
		}
	}
}

func TestNameConstraints_BoundTheirWork(t *testing.T) {
	many := func(n int, name string) (names []string) {
		for range n {
			names = append(names, name)
		}
		return names
	}
	err := constrained(t, excludedHosts(many(300, "a.example.org")...), "/CN=x", hosts(many(300, "b.example.org")...))
	if err != nil {
		t.Error(err)
	}
	err = constrained(t, excludedHosts(many(3000, "a.example.org")...), "/CN=x", hosts(many(3000, "b.example.org")...))
	refused(t, err, trust.TooLarge)
}
