package doctor

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	"gsigw/gsi"
	"gsigw/trust"
)

// What is about to end, by how long people need to do something about it.
const (
	proxySoon = time.Hour
	certSoon  = 30 * 24 * time.Hour
	crlSoon   = 24 * time.Hour
)

// lifetime says until when a credential can be used, and what bounds that.
func (v *visit) lifetime(c found) {
	const check = "credential.lifetime"
	first := c.Chain[0]
	for _, cert := range c.Chain[1:] {
		if cert.NotAfter.Before(first.NotAfter) {
			first = cert
		}
	}
	left := first.NotAfter.Sub(v.Now)
	bound := ""
	if first != c.Leaf() {
		bound = "; that is the end of " + gsi.OneLine(first.RawSubject) + ", and its proxy says " + day(c.Leaf().NotAfter)
	}
	switch kind, _ := gsi.Classify(first); {
	case kind == gsi.EEC && left < certSoon:
		v.warn(check, "ask the CA for a new certificate", "%s: the certificate ends in %s, at %s%s", c.where, span(left), day(first.NotAfter), bound)
	case left < proxySoon:
		v.warn(check, "gsigw proxy init, or gsigw proxy renew", "%s: lasts for %s only, until %s%s", c.where, span(left), day(first.NotAfter), bound)
	default:
		v.ok(check, "%s: lasts for %s, until %s%s", c.where, span(left), day(first.NotAfter), bound)
	}
}

// chain says whether the services that trust what this machine trusts will believe a credential.
func (v *visit) chain(c found) {
	const check = "credential.chain"
	if v.store == nil {
		v.warn(check, "mend the trust directory first", "%s: the chain cannot be verified without a trust directory", c.where)
		return
	}
	id, err := v.store.Verify(c.Chain, v.Now)
	if refusal, ok := errors.AsType[*trust.Error](err); ok {
		v.fail(check, v.chainRemedy(refusal), "%s: the chain does not hold (%s): %s", c.where, string(refusal.Code), reasonOf(refusal))
		return
	}
	if err != nil {
		v.fail(check, "", "%s: the chain does not hold: %s", c.where, plain(err))
		return
	}
	v.ok(check, "%s: the chain holds: %s by %s", c.where, id.DN, gsi.OneLine(id.EndEntity.RawIssuer))
}

func reasonOf(e *trust.Error) string {
	if e.Cert == nil {
		return e.Reason
	}
	return gsi.OneLine(e.Cert.RawSubject) + " " + e.Reason
}

// chainRemedy is a command where there is one.
func (v *visit) chainRemedy(e *trust.Error) string {
	switch e.Code {
	case trust.CRLExpired, trust.CRLMissing, trust.CRLInvalid:
		return v.fetchCRL()
	case trust.Expired:
		return "gsigw proxy init"
	}
	return e.Remedy
}

func (v *visit) fetchCRL() string { return "fetch-crl -l " + quoted(v.trustDir) }

// userKey looks at what proxies are made from.
func (v *visit) userKey() {
	const check = "credential.key"
	if v.Home == "" {
		return
	}
	dir := filepath.Join(v.Home, ".globus")
	for _, name := range []string{"userkey.pem", "usercred.p12"} {
		path := filepath.Join(dir, name)
		if !lexists(path) {
			continue
		}
		if t := v.file(path, true, false); t != nil {
			v.fail(check, t.remedy, "%s", t.what)
			continue
		}
		v.ok(check, "%s is the user's own, and nobody else can read it", path)
	}
	v.userCertificate(filepath.Join(dir, "usercert.pem"))
}

// userCertificate warns of the end of what proxies are made from, long before.
func (v *visit) userCertificate(path string) {
	const check, remedy = "credential.key", "ask the CA for a new certificate"
	data, err := os.ReadFile(path)
	if err != nil {
		return
	}
	certs, err := gsi.ParseCertificates(data)
	if err != nil {
		v.fail(check, "put the certificate there that the CA sent: "+quoted(path), "%s: %s", path, plain(err))
		return
	}
	switch left := certs[0].NotAfter.Sub(v.Now); {
	case left <= 0:
		v.fail(check, remedy, "%s expired at %s", path, day(certs[0].NotAfter))
	case left < certSoon:
		v.warn(check, remedy, "%s ends in %s, at %s", path, span(left), day(certs[0].NotAfter))
	default:
		v.ok(check, "%s ends in %s, at %s", path, span(left), day(certs[0].NotAfter))
	}
}
