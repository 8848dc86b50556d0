package trust

import (
	"cmp"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"net"
	"net/url"
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

// A generalName is one name of any form, or the base of a subtree of names: the content of its DER, made ready to be
// compared byte by byte. See [nameOf] and [baseOf].
type generalName struct {
	form  int
	value []byte
}

var oidEmailAddress = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}

// maxComparisons bounds the work for one path: each name below a CA is compared with each of its subtrees.
const maxComparisons = 250_000

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
	left := maxComparisons / len(w.path[len(w.kinds)+1:]) // the share of this CA
	for j, cert := range w.path[:i] {
		if j > len(w.kinds) && selfIssued(cert) {
			continue
		}
		names, err := namesOf(cert, j == len(w.kinds))
		if left -= len(names) * (len(c.permitted) + len(c.excluded)); left < 0 {
			return refuse(TooLarge, cert, "have it issued with fewer names, or by a CA with fewer name constraints",
				"has more names than are compared with the name constraints of %s", gsi.OneLine(ca.RawSubject))
		}
		if err = cmp.Or(err, c.check(names)); err != nil {
			return refuse(NameConstraints, cert, "have it issued by a CA that may sign this name",
				"has a name that the name constraints of %s forbid: %v", gsi.OneLine(ca.RawSubject), err)
		}
	}
	return nil
}

func (c constraints) check(names []generalName) error {
	for _, n := range names {
		if err := c.admits(n); err != nil {
			return err
		}
	}
	return nil
}

// admits says whether a name is within a permitted subtree, if there is one of its form, and touches none excluded.
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
		if inside, err := n.touches(e); err != nil || inside {
			return errors.Join(err, errors.New("it is excluded"))
		}
	}
	return nil
}

func (n generalName) within(base generalName) (bool, error) {
	name, in := string(n.value), string(base.value)
	switch n.form {
	case formDirectory:
		return strings.HasPrefix(name, in), nil
	case formDNS:
		return hostWithin(name, in), nil
	case formMailbox:
		return mailboxWithin(name, in), nil
	case formURI:
		if name == "" {
			return false, errors.New("it has a URI without a host's name")
		}
		return hostMatches(name, in), nil
	case formIP:
		return addressWithin(n.value, base.value)
	}
	return false, errors.New("it is of a form that is not known here")
}

// touches says whether a name may stand for one within a subtree: a wildcard can, on either side of the base. A base
// that is empty holds all names of its form, which RFC 5280 leaves open: what is excluded is rather too much.
func (n generalName) touches(base generalName) (bool, error) {
	if len(base.value) == 0 || n.form == formDNS && wildcardReaches(string(n.value), string(base.value)) {
		return true, nil
	}
	return n.within(base)
}

func wildcardReaches(name, domain string) bool {
	star := strings.LastIndexByte(name, '*')
	_, parent, _ := strings.Cut(name[star+1:], ".")
	return star >= 0 && (hostWithin(parent, domain) || hostWithin(domain, parent))
}

// foldHost writes a host for comparison: in one case, without the dots of an absolute name.
func foldHost(s string) string { return strings.TrimRight(lowerASCII(s), ".") }

// hostWithin says whether a host is a domain or below it; all are below "".
func hostWithin(host, domain string) bool {
	parent, below := strings.CutSuffix(host, domain)
	return below && (domain == "" || parent == "" || strings.HasSuffix(parent, "."))
}

// hostMatches compares a host with that of a mailbox or URI constraint: one that starts with a dot means what is below.
func hostMatches(host, constraint string) bool {
	if strings.HasPrefix(constraint, ".") {
		return strings.HasSuffix(host, constraint)
	}
	return host == constraint
}

// mailboxWithin compares whole mailboxes, or else hosts.
func mailboxWithin(mailbox, constraint string) bool {
	if strings.Contains(constraint, "@") {
		return mailbox == constraint
	}
	return hostMatches(mailbox[strings.LastIndexByte(mailbox, '@')+1:], constraint)
}

// foldMailbox folds the host: the case of what stands before it may matter.
func foldMailbox(s string) string {
	at := strings.LastIndexByte(s, '@') + 1
	return s[:at] + foldHost(s[at:])
}

// uriHost is the name of the host in a URI, "" when there is none.
func uriHost(uri string) string {
	u, err := url.Parse(uri)
	if err != nil || net.ParseIP(u.Hostname()) != nil {
		return ""
	}
	return foldHost(u.Hostname())
}

// addressWithin reads a constraint as address and mask.
func addressWithin(address, network []byte) (bool, error) {
	if len(network) != 2*net.IPv4len && len(network) != 2*net.IPv6len {
		return false, errors.New("an address range is of no known length")
	}
	half := len(network) / 2
	for i, mask := range network[half:] {
		if len(address) != half || (address[i]^network[i])&mask != 0 {
			return false, nil
		}
	}
	return true, nil
}

// foldDirectory folds the DER of a name, each RDN with an end of its own, so that a subtree is what its base begins.
func foldDirectory(der []byte) (folded []byte, err error) {
	name, err := gsi.ParseName(der)
	for i := range name {
		folded = append(append(folded, name[i:i+1].Folded()...), 0)
	}
	return folded, err
}

// namesOf lists the names of a certificate: its subject, what its alternative names hold, the e-mail addresses in the
// subject, wherever else there are some, and of an end entity the host for which [HostMatches] takes its CN.
func namesOf(cert *x509.Certificate, endEntity bool) (names []generalName, err error) {
	if value, ok := extensionOf(cert, oidSubjectAltName); ok {
		if names, err = parseGeneralNames(value); err != nil {
			return nil, err
		}
	}
	for _, a := range cert.Subject.Names {
		if value, _ := a.Value.(string); a.Type.Equal(oidEmailAddress) {
			names = append(names, generalName{formMailbox, []byte(foldMailbox(value))})
		}
	}
	if host, ok := commonHost(cert); ok && endEntity {
		names = append(names, generalName{formDNS, []byte(host)})
	}
	subject, err := foldDirectory(cert.RawSubject)
	return append(names, generalName{formDirectory, subject}), err
}

// commonHost finds the host in the last CN of a certificate without DNS names, alone or behind the name of a service.
// What has no dot is taken for the name of a person, unless it is localhost.
func commonHost(cert *x509.Certificate) (host string, ok bool) {
	name, err := gsi.ParseName(cert.RawSubject)
	if err != nil || cert.IsCA || len(cert.DNSNames) > 0 {
		return "", false
	}
	host = foldHost(name.CommonName())
	if _, after, service := strings.Cut(host, "/"); service {
		host = after
	}
	beyond := strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789-_.*")
	return host, beyond == "" && (strings.Contains(host, ".") || host == "localhost")
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
		base, err := baseOf(tree.Base)
		if err != nil {
			return nil, err
		}
		names = append(names, base)
	}
	return names, nil
}

func parseGeneralNames(der []byte) (names []generalName, err error) {
	var list []asn1.RawValue
	if rest, err := asn1.Unmarshal(der, &list); err != nil || len(rest) > 0 {
		return nil, errors.New("its alternative names cannot be read")
	}
	for _, v := range list {
		name, err := nameOf(v)
		if err != nil {
			return nil, err
		}
		names = append(names, name)
		if ip := net.IP(name.value).To4(); name.form == formIP && len(name.value) == net.IPv6len && ip != nil {
			names = append(names, generalName{formIP, ip}) // it is that host too, for who compares
		}
	}
	return names, nil
}

// nameOf reads an alternative name.
func nameOf(v asn1.RawValue) (generalName, error) {
	switch text := string(v.Bytes); v.Tag {
	case formDNS:
		return generalName{v.Tag, []byte(foldHost(text))}, nil
	case formURI:
		return generalName{v.Tag, []byte(uriHost(text))}, nil
	}
	return baseOf(v)
}

// baseOf reads the base of a subtree.
func baseOf(v asn1.RawValue) (n generalName, err error) {
	n = generalName{v.Tag, v.Bytes}
	switch text := string(v.Bytes); v.Tag {
	case formDirectory:
		n.value, err = foldDirectory(v.Bytes)
	case formDNS:
		n.value = []byte(strings.TrimPrefix(foldHost(text), "."))
	case formMailbox:
		n.value = []byte(foldMailbox(text))
	case formURI:
		n.value = []byte(foldHost(text))
	}
	return n, err
}
