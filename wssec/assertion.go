package wssec

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"gsigw/soap"
	"gsigw/soap/xmlscan"
)

// assertion is a SAML assertion as given.
type assertion struct {
	raw  []byte // the root element, byte for byte
	m    *soap.Message
	tree *soap.Node
	id   string
	samlVersion
}

// samlVersion is what differs between the versions.
type samlVersion struct {
	space       string
	idAttr      string
	keyType     string // of a KeyIdentifier that names one (SAML token profile 1.1, section 3.3)
	tokenType   string
	holder      string // the confirmation methods
	bearer      string
	restriction string // the element around an Audience
}

var (
	samlVersion11 = samlVersion{
		saml11, "AssertionID", typeSAML11ID, "http://docs.oasis-open.org/wss/oasis-wss-saml-token-profile-1.1#SAMLV1.1",
		"urn:oasis:names:tc:SAML:1.0:cm:holder-of-key", "urn:oasis:names:tc:SAML:1.0:cm:bearer", "AudienceRestrictionCondition",
	}
	samlVersion20 = samlVersion{
		saml20, "ID", typeSAML20ID, "http://docs.oasis-open.org/wss/oasis-wss-saml-token-profile-1.1#SAMLV2.0",
		"urn:oasis:names:tc:SAML:2.0:cm:holder-of-key", "urn:oasis:names:tc:SAML:2.0:cm:bearer", "AudienceRestriction",
	}
)

func (s *samlVersion) method(c Confirmation) string {
	if c == Bearer {
		return s.bearer
	}
	return s.holder
}

// The limits of an assertion; the second is goxmldsig's own.
const (
	maxAssertion         = 256 << 10
	maxAssertionElements = 1000
)

// ErrAssertion means that an assertion is none that a service would take: what it wraps says why.
var ErrAssertion = errors.New("wssec: the SAML assertion is not sent")

func refuseAssertion(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrAssertion, fmt.Errorf(format, args...))
}

// parseAssertion reads an assertion. What parsers see differently is not in it: comments, processing instructions and
// CDATA are refused wherever they stand, with the XML that package xmlscan refuses.
func parseAssertion(doc []byte) (*assertion, error) {
	if len(doc) > maxAssertion {
		return nil, refuseAssertion("it is longer than %d bytes", maxAssertion)
	}
	span, err := rootOf(doc)
	if err != nil {
		return nil, err
	}
	a := &assertion{raw: slices.Clone(doc[span.Start:span.End])}
	// The only tree that there is here is that of a header block.
	envelope := slices.Concat([]byte(`<e:Envelope xmlns:e="`+soap.Envelope11+`"><e:Header>`), a.raw, []byte(`</e:Header><e:Body/></e:Envelope>`))
	if a.m, err = soap.Read(xmlscan.Memory(envelope), soap.Limits{HeaderElements: maxAssertionElements}); err != nil {
		return nil, refuseAssertion("%w", err)
	}
	if a.tree, err = a.m.Tree(&a.m.Blocks[0].Element); err != nil {
		return nil, refuseAssertion("%w", err)
	}
	return a, a.identify()
}

// rootOf finds the root element.
func rootOf(doc []byte) (root xmlscan.Span, err error) {
	s := xmlscan.New(xmlscan.Memory(doc), xmlscan.Limits{})
	for {
		kind, err := s.Next()
		switch {
		case err != nil:
			return root, refuseAssertion("%w", err)
		case kind == xmlscan.EOF:
			return root, nil
		case kind == xmlscan.StartElement && root.End == 0:
			root = s.Span
		case kind == xmlscan.StartElement, kind == xmlscan.EndElement:
			root.End = s.Span.End
		case kind != xmlscan.Text:
			return root, refuseAssertion("it holds a comment, a processing instruction or a CDATA section (byte %d), which readers take for different things", s.Span.Start)
		}
	}
}

// identify tells the version and the id.
func (a *assertion) identify() error {
	version := func(attrs ...string) string {
		var v string
		for _, name := range attrs {
			v += a.tree.Attr("", name) + "."
		}
		return v
	}
	switch {
	case a.tree.Name == soap.Name{Space: saml11, Local: "Assertion"} && version("MajorVersion", "MinorVersion") == "1.1.":
		a.samlVersion = samlVersion11
	case a.tree.Name == soap.Name{Space: saml20, Local: "Assertion"} && version("Version") == "2.0.":
		a.samlVersion = samlVersion20
	case a.tree.Name == soap.Name{Space: saml20, Local: "EncryptedAssertion"}:
		return refuseAssertion("it is encrypted, so nothing can be checked: give the assertion itself")
	default:
		return refuseAssertion("%s is no assertion of SAML 1.1 or 2.0", a.tree.Name)
	}
	a.id = a.tree.Attr("", a.idAttr)
	if !ncName.MatchString(a.id) {
		return refuseAssertion("its %s %.80q is no id", a.idAttr, a.id)
	}
	if a.m.CountID(a.id) != 1 {
		return refuseAssertion("two of its elements have the id %.80s", a.id)
	}
	return nil
}

// checkConditions looks at the times and the audiences (SAML 1.1, section 2.3.2; SAML 2.0, section 2.5), and refuses
// conditions that cannot be kept: an assertion goes out with many messages. A ProxyRestriction is for its receiver.
func (a *assertion) checkConditions(now time.Time, skew time.Duration, audience []string) error {
	all := a.tree.All(a.space, "Conditions")
	if len(all) > 1 {
		return refuseAssertion("it has %d Conditions", len(all))
	}
	for _, c := range all {
		if err := checkWindow(c, now, skew); err != nil {
			return err
		}
		for _, condition := range c.Children {
			if err := a.checkCondition(condition, audience); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *assertion) checkCondition(n *soap.Node, audience []string) error {
	switch n.Name {
	case soap.Name{Space: a.space, Local: a.restriction}:
		return a.checkAudience(n, audience)
	case soap.Name{Space: saml20, Local: "ProxyRestriction"}:
		return nil
	case soap.Name{Space: saml20, Local: "OneTimeUse"}, soap.Name{Space: saml11, Local: "DoNotCacheCondition"}:
		return refuseAssertion("it is for one use (%s), and is sent with every message: ask its issuer for one without that condition", n.Name.Local)
	}
	return refuseAssertion("its condition %s is not known, so that nobody can say whether it is kept", n.Name)
}

func (a *assertion) checkAudience(restriction *soap.Node, audience []string) error {
	if len(audience) == 0 {
		return nil
	}
	var names []string
	for _, n := range restriction.All(a.space, "Audience") {
		names = append(names, n.TrimmedText())
	}
	if !slices.ContainsFunc(names, func(n string) bool { return slices.Contains(audience, n) }) {
		return refuseAssertion("it is for %.200q, not for %q: ask its issuer for one for this service", names, audience)
	}
	return nil
}

// checkWindow holds an element's NotBefore and NotOnOrAfter against the time. Skew is for the start alone: what is over
// by our clock is over before it arrives.
func checkWindow(n *soap.Node, now time.Time, skew time.Duration) error {
	start, err := limitOf(n, "NotBefore")
	if err != nil {
		return err
	}
	end, err := limitOf(n, "NotOnOrAfter")
	if err != nil {
		return err
	}
	if !start.IsZero() && now.Before(start.Add(-skew)) {
		return refuseAssertion("it is not valid before %s; check the clocks", start.Format(time.RFC3339))
	}
	if !end.IsZero() && !now.Before(end) {
		return refuseAssertion("it expired at %s; get a new one", end.Format(time.RFC3339))
	}
	return nil
}

// limitOf reads a time in UTC (SAML 2.0, section 1.3.3), zero where there is none.
func limitOf(n *soap.Node, name string) (time.Time, error) {
	if !slices.ContainsFunc(n.Attrs, func(a soap.Attr) bool { return a.Name == soap.Name{Local: name} }) {
		return time.Time{}, nil
	}
	text := n.Attr("", name)
	t, err := time.Parse("2006-01-02T15:04:05Z", text) // takes fractions of a second too
	if err != nil || !utc.MatchString(text) {
		return time.Time{}, refuseAssertion("its %s is %.40q, not a time in UTC", name, text)
	}
	return t, nil
}
