package voms

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"gsigw/gsi"
)

// Attributes are what an authority says of a user, and is believed.
type Attributes struct {
	VO        string
	FQANs     []FQAN // in the authority's order: the first is the primary one, and the others count too
	Generic   []GenericAttribute
	Holder    string // DN of the user: whoever acts with these attributes acts in that name
	Issuer    string // DN of the authority
	Server    string // "host:port" of the VOMS server
	Serial    *big.Int
	NotBefore time.Time
	NotAfter  time.Time // of the attribute certificate
	Until     time.Time // when they stop being believed: with it or, when that is earlier, with the authority's chain
	Targets   []string  // nil: for every host
}

// Result is what a chain says of its user, and what of that is not believed.
type Result struct {
	Identity   *gsi.Identity // of the chain, as the trust store has it
	Attributes []*Attributes // in the order of the proxy; the first VO is the one in whose name the user acts
	Refused    []*Error      // one for each attribute certificate that is not believed
}

// NotAfter is until when all of it can be used: the chain and every VO's attributes.
func (r *Result) NotAfter() time.Time {
	end := r.Identity.NotAfter
	for _, a := range r.Attributes {
		if a.Until.Before(end) {
			end = a.Until
		}
	}
	return end
}

// Verify decides what to believe of a chain, leaf first: who speaks, by the trust store, and what attribute
// authorities of the directory say of him. An error is the trust store's, or says that there is none; an attribute
// certificate that is not believed is in the result, and the others stand.
//
// The attribute certificates are those of the nearest proxy that has any, as with VOMS's own libraries: a proxy that
// brings its own replaces those above.
func (d *Dir) Verify(chain []*x509.Certificate, at time.Time) (*Result, error) {
	if d.options.Trust == nil {
		return nil, errNoTrust
	}
	id, err := d.options.Trust.Verify(chain, at)
	if err != nil {
		return nil, err
	}
	result := &Result{Identity: id}
	acs, err := splitACs(nearest(chain, OIDACs))
	if err != nil {
		result.Refused = append(result.Refused, malformed(err))
	}
	for _, ac := range acs {
		attributes, err := d.VerifyAC(ac, id, at)
		if refused, ok := errors.AsType[*Error](err); ok {
			result.Refused = append(result.Refused, refused)
			continue
		}
		result.Attributes = append(result.Attributes, attributes)
	}
	return result, nil
}

var errNoTrust = errors.New("voms: nothing is believed without a trust store: give one in voms.Options")

func malformed(err error) *Error {
	return &Error{Code: Malformed, Reason: err.Error(), Remedy: "make the proxy again", Err: err}
}

// VerifyAC decides whether to believe an attribute certificate, in DER, about the holder, whom the trust store has
// verified. An error is an *Error, unless it is that there is no trust store.
//
// It is believed for no longer than the certificate of its authority, whatever its own dates say: authorities are known
// to issue beyond their own end (indigo-iam/iam#1214), and refusing those before it would only break what works.
func (d *Dir) VerifyAC(der []byte, holder *gsi.Identity, at time.Time) (*Attributes, error) {
	if d.options.Trust == nil {
		return nil, errNoTrust
	}
	ac, err := parseAC(der)
	if err != nil {
		return nil, malformed(err)
	}
	c := &check{AttributeCertificate: ac, options: d.options, state: d.state.Load(), holder: holder, at: at}
	for _, step := range []func() *Error{c.checkHolder, c.checkDates, c.checkFQANs, c.checkExtensions, c.checkTargets, c.checkAuthority} {
		if err := step(); err != nil {
			return nil, err.claimed(ac)
		}
	}
	return &Attributes{
		VO: ac.VO, FQANs: ac.FQANs, Generic: ac.Generic, Holder: holder.DN, Issuer: ac.Issuer(), Server: ac.Server,
		Serial: ac.Serial, NotBefore: ac.NotBefore, NotAfter: ac.NotAfter, Until: c.until, Targets: ac.Targets,
	}, nil
}

// check is one attribute certificate's verification.
type check struct {
	*AttributeCertificate
	options Options
	state   *state
	holder  *gsi.Identity
	at      time.Time
	until   time.Time // set by checkAuthority
}

// checkHolder compares the holder with the end entity of the chain, never with a proxy. An independent proxy has nothing
// of its issuer's (RFC 3820, section 3.8.2), and nothing that could be its own: whoever made it chose its name and serial
// number, which are all that a holder is known by.
//
// RFC 5755, section 4.2.2, has the issuer's name beside the serial number; VOMS servers write the holder's own, and no
// entity name that would tell which it is. One form could pass for the other only where a CA gave a user the name of a
// CA, with the same serial number: both names are from CAs that are trusted, and the user is known by his in any case.
func (c *check) checkHolder() *Error {
	if c.holder.Independent {
		return refuse(IndependentProxy, "make a proxy that speaks for its user",
			"the proxy is independent, so it is not the user, and chose its own name and serial number")
	}
	end, h := c.holder.EndEntity, c.Holder
	byName := h.RawName == nil || sameName(h.RawName, end.RawSubject)
	bySerial := h.RawIssuer == nil || h.Serial.Cmp(end.SerialNumber) == 0 &&
		(sameName(h.RawIssuer, end.RawIssuer) || sameName(h.RawIssuer, end.RawSubject))
	if byName && bySerial {
		return nil
	}
	return refuse(HolderMismatch, "make the proxy again with the certificate for which the attributes were given",
		"they belong to %s, and not to %s with the serial number %s", h, c.holder.DN, end.SerialNumber)
}

func (h Holder) String() string {
	switch {
	case h.RawIssuer == nil:
		return gsi.OneLine(h.RawName)
	case h.RawName == nil:
		return fmt.Sprintf("the certificate %s of %s", h.Serial, gsi.OneLine(h.RawIssuer))
	}
	return fmt.Sprintf("%s, with the certificate %s of %s", gsi.OneLine(h.RawName), h.Serial, gsi.OneLine(h.RawIssuer))
}

func sameName(a, b []byte) bool {
	name, err := gsi.ParseName(a)
	return err == nil && isName(b, name)
}

func (c *check) checkDates() *Error {
	const stamp = time.RFC3339
	at := c.at.UTC().Format(stamp)
	if c.at.Before(c.NotBefore.Add(-c.options.Skew)) {
		return refuse(NotYetValid, "set the clock, or wait", "they are valid from %s, and it is %s", c.NotBefore.Format(stamp), at)
	}
	if c.at.After(c.NotAfter.Add(c.options.Skew)) {
		return refuse(Expired, "make the proxy again", "they were valid until %s, and it is %s", c.NotAfter.Format(stamp), at)
	}
	return nil
}

// checkFQANs keeps an authority to its own VO, in generic attributes too.
func (c *check) checkFQANs() *Error {
	if len(c.FQANs) == 0 {
		return refuse(NoFQAN, "ask the VO's administrators for a group", "there is none")
	}
	for _, f := range c.FQANs {
		if f.VO() != c.VO {
			return refuse(ForeignFQAN, "report it to the VO's administrators", "%s is of another VO", f)
		}
	}
	for _, g := range c.Generic {
		if !g.isOf(c.VO) {
			return refuse(ForeignFQAN, "report it to the VO's administrators", "the generic attribute %s is of %s, and not of this VO",
				excerpt(g.Name), excerpt(g.Qualifier))
		}
	}
	return nil
}

// checkExtensions holds them to RFC 5755, section 4.3: two are always there and never critical, and of those that are
// critical none may be unknown.
func (c *check) checkExtensions() *Error {
	const report = "report it to the VO's administrators"
	for _, e := range c.Extensions {
		_, known := c.understood()[e.Id.String()]
		if e.Critical && (!known || e.Id.Equal(oidNoRevocation) || e.Id.Equal(oidKeyID)) {
			return refuse(CriticalExtension, report, "the extension %s is critical, which is not taken", e.Id)
		}
	}
	if _, ok := c.extension(oidNoRevocation); !ok {
		return refuse(MissingExtension, report, "they may have been revoked: the extension that says they never are (%s) is missing", oidNoRevocation)
	}
	if c.KeyID == nil && c.keyIssuer == nil {
		return refuse(MissingExtension, report, "the extension that names the authority's key (%s) is missing or empty", oidKeyID)
	}
	return nil
}

func (c *check) checkTargets() *Error {
	isHere := func(target string) bool {
		return slices.ContainsFunc(c.options.Hosts, func(host string) bool { return strings.EqualFold(host, target) })
	}
	if c.Targets == nil || c.options.AnyTarget || slices.ContainsFunc(c.Targets, isHere) {
		return nil
	}
	return refuse(WrongTarget, "ask for attributes without targets, or with this host's name",
		"they are for %s, and this host is called %s", strings.Join(c.Targets, ", "), cmp.Or(strings.Join(c.options.Hosts, ", "), "nothing here"))
}
