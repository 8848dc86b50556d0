package trust

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"net"
	"net/url"
	"slices"
	"strings"

	"gsigw/gsi"
)

// The forms of a GeneralName, by tag (RFC 5280, section 4.2.1.6).
const (
	formMailbox   = 1
	formDNS       = 2
	formDirectory = 4
	formURI       = 6
	formIP        = 7
)

// A generalName is one name of any form: the content of its DER.
type generalName struct {
	form  int
	value []byte
}

// constraints are what a CA's name constraints say (RFC 5280, section 4.2.1.10).
type constraints struct {
	permitted, excluded []generalName
}

// checkConstraints holds every name below the CA path[i] against its name constraints. Self-issued CAs are free of them
// (section 6.1.3 (b)).
func (w *walk) checkConstraints(i int) error {
	ca := w.path[i]
	value, ok := extensionOf(ca, oidNameConstraints)
	if !ok {
		return nil
	}
	c, err := parseConstraints(value)
	if err != nil {
		return refuse(NameConstraints, ca, "use another CA, or have this one issued again",
			"has name constraints that cannot be read: %v", err)
	}
	for j, cert := range w.path[:i] {
		if j > len(w.kinds) && selfIssued(cert) {
			continue
		}
		if err := c.check(cert); err != nil {
			return refuse(NameConstraints, cert, "have it issued by a CA that may sign this name",
				"has a name that the name constraints of %s forbid: %v", gsi.OneLine(ca.RawSubject), err)
		}
	}
	return nil
}

func (c constraints) check(cert *x509.Certificate) error {
	names, err := namesOf(cert)
	if err != nil {
		return err
	}
	for _, n := range names {
		if err := c.admits(n); err != nil {
			return err
		}
	}
	return nil
}

// admits says whether a name is within a permitted subtree, if there is one of its form, and within none excluded.
func (c constraints) admits(n generalName) error {
	bound, within := false, false
	for _, p := range c.permitted {
		if p.form != n.form {
			continue
		}
		inside, err := n.within(p)
		if err != nil {
			return err
		}
		bound, within = true, within || inside
	}
	if bound && !within {
		return errors.New("it is not among the permitted")
	}
	for _, e := range c.excluded {
		if e.form != n.form {
			continue
		}
		if inside, err := n.within(e); err != nil || inside {
			return errors.Join(err, errors.New("it is excluded"))
		}
	}
	return nil
}

func (n generalName) within(base generalName) (bool, error) {
	name, in := string(n.value), string(base.value)
	switch n.form {
	case formDirectory:
		return directoryWithin(n.value, base.value)
	case formDNS:
		return in == "" || hostWithin(name, strings.TrimPrefix(in, ".")), nil
	case formMailbox:
		return mailboxWithin(name, in), nil
	case formURI:
		return uriWithin(name, in)
	case formIP:
		return addressWithin(n.value, base.value)
	}
	return false, errors.New("it is of a form that is not known here")
}

// directoryWithin says whether a directory name starts with the RDNs of another.
func directoryWithin(name, base []byte) (bool, error) {
	have, err := gsi.ParseName(name)
	want, baseErr := gsi.ParseName(base)
	if err = errors.Join(err, baseErr); err != nil {
		return false, err
	}
	return len(have) >= len(want) && have[:len(want)].Folded() == want.Folded(), nil
}

// hostWithin says whether a host is a domain or below it.
func hostWithin(host, domain string) bool {
	host, domain = strings.ToLower(host), strings.ToLower(domain)
	return host == domain || strings.HasSuffix(host, "."+domain)
}

// hostMatches compares a host with that of a mailbox or URI constraint: one that starts with a dot means what is below.
func hostMatches(host, constraint string) bool {
	if strings.HasPrefix(constraint, ".") {
		return strings.HasSuffix(strings.ToLower(host), strings.ToLower(constraint))
	}
	return strings.EqualFold(host, constraint)
}

func mailboxWithin(mailbox, constraint string) bool {
	at := strings.LastIndexByte(mailbox, '@')
	local, host := mailbox[:max(at, 0)], mailbox[at+1:]
	if wantLocal, wantHost, whole := strings.Cut(constraint, "@"); whole {
		return local == wantLocal && strings.EqualFold(host, wantHost)
	}
	return hostMatches(host, constraint)
}

func uriWithin(uri, constraint string) (bool, error) {
	u, err := url.Parse(uri)
	if err != nil || u.Hostname() == "" || net.ParseIP(u.Hostname()) != nil {
		return false, errors.New("it has a URI without a host's name")
	}
	return hostMatches(u.Hostname(), constraint), nil
}

// addressWithin reads a constraint as address and mask.
func addressWithin(address, network []byte) (bool, error) {
	if len(network) != 2*net.IPv4len && len(network) != 2*net.IPv6len {
		return false, errors.New("an address range is of no known length")
	}
	half := len(network) / 2
	n := net.IPNet{IP: network[:half], Mask: network[half:]}
	return len(address) == half && n.Contains(address), nil
}

// namesOf lists the names of a certificate: its subject, what its alternative names hold, and where these have no
// mailbox, the e-mail addresses in the subject.
func namesOf(cert *x509.Certificate) (names []generalName, err error) {
	if value, ok := extensionOf(cert, oidSubjectAltName); ok {
		if names, err = parseGeneralNames(value); err != nil {
			return nil, err
		}
	}
	if !slices.ContainsFunc(names, func(n generalName) bool { return n.form == formMailbox }) {
		names = append(names, mailboxes(cert.RawSubject)...)
	}
	return append(names, generalName{formDirectory, cert.RawSubject}), nil
}

func mailboxes(subject []byte) (names []generalName) {
	name, err := gsi.ParseName(subject)
	if err != nil {
		return nil
	}
	for _, rdn := range name {
		for _, a := range rdn {
			label, value, _ := strings.Cut(gsi.Name{gsi.RDN{a}}.RFC2253(), "=")
			if label == "emailAddress" {
				names = append(names, generalName{formMailbox, []byte(value)})
			}
		}
	}
	return names
}

var errNameConstraints = errors.New("they are not as RFC 5280, section 4.2.1.10, has them")

// parseConstraints reads the extension. A minimum or maximum must not be there.
func parseConstraints(der []byte) (c constraints, err error) {
	var value struct {
		Permitted asn1.RawValue `asn1:"optional,tag:0"`
		Excluded  asn1.RawValue `asn1:"optional,tag:1"`
	}
	if rest, err := asn1.Unmarshal(der, &value); err != nil || len(rest) > 0 {
		return c, errNameConstraints
	}
	if c.permitted, err = parseSubtrees(value.Permitted.Bytes); err != nil {
		return c, err
	}
	c.excluded, err = parseSubtrees(value.Excluded.Bytes)
	return c, err
}

func parseSubtrees(der []byte) (names []generalName, err error) {
	for len(der) > 0 {
		var tree struct{ Base asn1.RawValue }
		var whole asn1.RawValue
		if der, err = asn1.Unmarshal(der, &whole); err != nil {
			return nil, errNameConstraints
		}
		if _, err := asn1.Unmarshal(whole.FullBytes,
			&tree); err != nil || len(tree.Base.FullBytes) != len(whole.Bytes) {
			return nil, errNameConstraints
		}
		names = append(names, generalNameOf(tree.Base))
	}
	return names, nil
}

func parseGeneralNames(der []byte) (names []generalName, err error) {
	var list []asn1.RawValue
	if rest, err := asn1.Unmarshal(der, &list); err != nil || len(rest) > 0 {
		return nil, errors.New("its alternative names cannot be read")
	}
	for _, v := range list {
		names = append(names, generalNameOf(v))
	}
	return names, nil
}

func generalNameOf(v asn1.RawValue) generalName { return generalName{v.Tag, v.Bytes} }
