package doctor

import (
	"maps"
	"os"
	"slices"

	"gsigw/gsi"
	"gsigw/internal/config"
)

// routes looks at the certificates that the config's routes name.
func (v *visit) routes() {
	if v.config == nil {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(v.config.Routes)) {
		r := v.config.Routes[name]
		v.routeCertificate("routes."+name+".encrypt-to", r.EncryptTo, true)
		v.routeCertificate("routes."+name+".peer-certificate", r.PeerCertificate, false)
		v.routeCertificate("routes."+name+".issuer-certificate", r.IssuerCertificate, false)
	}
}

// routeCertificate says until when a certificate can be used. What is encrypted to must hold: calls are refused
// otherwise.
func (v *visit) routeCertificate(where string, path config.Path, mustHold bool) {
	const check = "config.certificate"
	if path == "" {
		return
	}
	data, err := os.ReadFile(string(path))
	if err != nil {
		v.fail(check, "check the name and its permissions", "%s: %s: %s", where, path, why(err))
		return
	}
	certs, err := gsi.ParseCertificates(data)
	if err != nil {
		v.fail(check, "write the certificate there as PEM", "%s: %s: %s", where, path, plain(err))
		return
	}
	leaf := certs[0]
	dn, left := gsi.OneLine(leaf.RawSubject), leaf.NotAfter.Sub(v.Now)
	if mustHold && v.store != nil {
		if _, err := v.store.Verify(certs, v.Now); err != nil {
			v.fail(check, "get the service's present certificate; calls are refused until then", "%s: %s does not hold: %s", where, dn, plain(err))
			return
		}
	}
	switch {
	case left <= 0:
		v.fail(check, "get the present certificate", "%s: %s expired at %s", where, dn, day(leaf.NotAfter))
	case left < certSoon:
		v.warn(check, "get the next certificate when there is one", "%s: %s ends in %s, at %s", where, dn, span(left), day(leaf.NotAfter))
	default:
		v.ok(check, "%s: %s, until %s", where, dn, day(leaf.NotAfter))
	}
}
