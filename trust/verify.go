package trust

import (
	"bytes"
	"crypto/x509"
	"slices"
	"time"

	"gsigw/gsi"
)

// Verify walks a chain from its CA down to the leaf and says in whose name it
// speaks. The chain comes leaf first, from anywhere; the CA may be there or
// not, and a CA between may come from the trust directory. An error is an
// *Error.
func (s *Store) Verify(chain []*x509.Certificate, at time.Time) (*gsi.Identity, error) {
	w := &walk{state: s.state.Load(), options: s.options, at: at}
	if err := w.checkSizes(chain); err != nil {
		return nil, err
	}
	if err := w.complete(chain); err != nil {
		return nil, err
	}
	if err := w.classify(); err != nil {
		return nil, err
	}
	for i := len(w.path) - 1; i >= 0; i-- {
		if err := w.checkCertificate(i); err != nil {
			return nil, err
		}
	}
	if err := w.checkAllConstraints(); err != nil {
		return nil, err
	}
	id, err := gsi.IdentityOf(w.path)
	if err != nil {
		return nil, refuse(Malformed, w.path[0], "have it issued again", "is not understood: %v", err)
	}
	id.DN = oneReading(id.EndEntity.RawSubject)
	return id, nil
}

// walk is one chain's verification.
type walk struct {
	state   *state
	options Options
	at      time.Time
	path    []*x509.Certificate // from the leaf to the self-signed CA
	kinds   []gsi.ProxyType     // of the proxies at the front of the path
}

// complete makes the path: the chain up to a self-signed CA of the directory. A
// CA that the chain brings along gives way to one of its name there, if that
// signed as well: the chain may bring an older one, or go on to others.
func (w *walk) complete(chain []*x509.Certificate) error {
	if err := checkNames(chain); err != nil {
		return err
	}
	path := slices.Clone(chain)
	for i, cert := range path[:len(path)-1] {
		if root := w.root(cert); root != nil {
			path = append(path[:i+1], root)
			break
		}
	}
	for !w.isRoot(path[len(path)-1]) {
		if len(path) >= w.options.maxCertificates() {
			return w.tooMany()
		}
		issuer := w.issuer(path[len(path)-1])
		if issuer == nil {
			return w.unknownCA(path[len(path)-1])
		}
		path = append(path, issuer)
	}
	w.path = path
	return nil
}

func checkNames(chain []*x509.Certificate) error {
	for i, cert := range chain[:len(chain)-1] {
		if !gsi.SameName(cert.RawIssuer, chain[i+1].RawSubject) {
			return refuse(NameChaining, cert, "send the chain leaf first and complete",
				"names the issuer %s, but is followed by %s", gsi.OneLine(cert.RawIssuer), gsi.OneLine(chain[i+1].RawSubject))
		}
		if bytes.Equal(cert.Raw, chain[i+1].Raw) {
			return refuse(NameChaining, cert, "send each certificate once", "is there twice")
		}
	}
	return nil
}

func (w *walk) isRoot(cert *x509.Certificate) bool {
	_, known := w.state.byRaw[string(cert.Raw)]
	return known && selfIssued(cert)
}

// root finds the root of the directory that signed a certificate; it passes over all that name none, as proxies do.
func (w *walk) root(cert *x509.Certificate) *x509.Certificate {
	key, known := w.state.nameKeys[string(cert.RawIssuer)]
	if !known {
		return nil
	}
	for _, a := range w.state.byName[key] {
		if selfIssued(a.cert) && w.checkValidity(a.cert) == nil && w.checkSignature(cert, a.cert) == nil {
			return a.cert
		}
	}
	return nil
}

// issuer finds the CA of the directory that issued a certificate. Of several
// with its name it is one whose key fits, and which is valid if there is such.
func (w *walk) issuer(cert *x509.Certificate) *x509.Certificate {
	candidates := w.state.byName[w.state.nameKey(cert.RawIssuer)]
	if len(candidates) == 0 {
		return nil
	}
	best := candidates[0].cert // its signature is checked with all others
	if len(candidates) == 1 {
		return best
	}
	for _, a := range candidates {
		if w.checkSignature(cert, a.cert) != nil {
			continue
		}
		if best = a.cert; w.checkValidity(best) == nil {
			return best
		}
	}
	return best
}

func (w *walk) unknownCA(cert *x509.Certificate) error {
	remedy, there := w.state.elsewhere[w.state.nameKey(cert.RawIssuer)]
	if !there {
		remedy = "put that CA into " + w.state.dir + ", if it is to be trusted"
	}
	return refuse(UnknownCA, cert, remedy, "was issued by %s, which is not in the trust directory", gsi.OneLine(cert.RawIssuer))
}

// classify notes the kinds of the proxies at the front of the path. None may
// stand behind the end entity.
func (w *walk) classify() error {
	for i, cert := range w.path {
		kind, err := gsi.Classify(cert)
		switch {
		case err != nil:
			return refuse(Malformed, cert, "have it issued again", "is not understood: %v", err)
		case kind == gsi.EEC:
			continue
		case len(w.kinds) < i:
			return refuse(NotCA, w.path[i-1], "have it issued by a CA", "was issued by a proxy without being one")
		}
		w.kinds = append(w.kinds, kind)
	}
	if n := len(w.kinds); n > 0 && n >= len(w.path)-1 {
		return refuse(EndEntityIsCA, w.path[len(w.path)-1], "send the end-entity certificate too",
			"is a CA where an end entity should be")
	}
	return nil
}

// checkCertificate checks one certificate of the path and its link to the next.
// The end entity follows the proxies, and CAs follow the end entity. What may
// take work comes after the signature: until then it is a stranger's word.
func (w *walk) checkCertificate(i int) error {
	cert, endEntity := w.path[i], len(w.kinds)
	if err := w.checkValidity(cert); err != nil {
		return err
	}
	if i < len(w.path)-1 {
		if err := w.checkSignature(cert, w.path[i+1]); err != nil {
			return err
		}
	}
	if err := checkExtensions(cert, i < endEntity); err != nil {
		return err
	}
	if i > endEntity {
		if err := w.checkCA(i); err != nil {
			return err
		}
	}
	if i == len(w.path)-1 {
		return w.checkAlone(i)
	}
	if err := checkTimeForm(cert); err != nil {
		return err
	}
	if i < endEntity {
		return w.checkProxy(i)
	}
	return w.checkIssued(cert, w.state.authority(w.path[i+1]), i == endEntity)
}

// checkAlone checks what no other CA issued: being in the directory makes it
// trusted, but only CAs belong there.
func (w *walk) checkAlone(i int) error {
	if !w.isCA(i) {
		return refuse(NotCA, w.path[i], "have it issued by a CA", "is in the trust directory, but no CA")
	}
	return nil
}

// checkIssued checks what a CA issued. RFC 5280 lets that be a CA even where an
// end entity is looked for; RFC 3820, section 3.1, lets no CA issue a proxy.
func (w *walk) checkIssued(cert *x509.Certificate, ca *authority, endEntity bool) error {
	if endEntity && cert.IsCA && len(w.kinds) > 0 {
		return refuse(EndEntityIsCA, cert, "make proxies of an end-entity certificate",
			"is a CA, which may issue no proxy")
	}
	if len(cert.RawSubject) <= emptyName {
		return refuse(NoName, cert, "have it issued under a name", "has no subject: it speaks for nobody")
	}
	if err := w.checkSigningPolicy(cert, ca); err != nil {
		return err
	}
	return w.checkRevocation(cert, ca)
}

const emptyName = 2 // the DER of a SEQUENCE that holds nothing

func (w *walk) checkCA(i int) error {
	ca := w.path[i]
	switch {
	case !w.isCA(i):
		return refuse(NotCA, ca, "have it issued by a CA", "is not a CA, but issued %s",
			gsi.OneLine(w.path[i-1].RawSubject))
	case !may(ca, x509.KeyUsageCertSign):
		return refuse(KeyUsage, ca, "ask the CA for one with keyCertSign", "may not sign certificates by its key usage")
	}
	return w.checkPathLength(i)
}

// checkAllConstraints holds the names of the path against every CA's name
// constraints, once all of it is known to be signed.
func (w *walk) checkAllConstraints() error {
	for i := len(w.path) - 1; i > len(w.kinds); i-- {
		if err := w.checkConstraints(i); err != nil {
			return err
		}
	}
	return nil
}

// isCA wants basicConstraints of every CA but a root: being in the directory
// says that it is one, unless it denies that itself. Roots of old have none.
func (w *walk) isCA(i int) bool {
	ca := w.path[i]
	if i == len(w.path)-1 && !hasExtension(ca, oidBasicConstraints) {
		return true
	}
	return ca.BasicConstraintsValid && ca.IsCA
}

func (w *walk) checkPathLength(i int) error {
	ca := w.path[i]
	below := 0 // CAs between this one and the end entity; self-issued ones are free
	for _, cert := range w.path[len(w.kinds)+1 : i] {
		if !selfIssued(cert) {
			below++
		}
	}
	if (ca.MaxPathLen > 0 || ca.MaxPathLenZero) && below > ca.MaxPathLen {
		return refuse(PathLength, ca, "have the certificate issued by another CA", "allows %d CAs below it; %d follow",
			ca.MaxPathLen, below)
	}
	return nil
}

func (w *walk) checkValidity(cert *x509.Certificate) error {
	switch {
	case !w.at.Before(cert.NotAfter.Add(w.options.Skew + time.Second)):
		return refuse(Expired, cert, "renew it", "expired at %s", cert.NotAfter.UTC().Format(time.RFC3339))
	case w.at.Add(w.options.Skew).Before(cert.NotBefore):
		return refuse(NotYetValid, cert, "wait, or set the clocks right", "is not valid before %s",
			cert.NotBefore.UTC().Format(time.RFC3339))
	}
	return nil
}
