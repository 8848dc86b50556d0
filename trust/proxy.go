package trust

import (
	"crypto/x509"

	"gsigw/gsi"
)

// checkProxy checks the proxy path[i] against the certificate that issued it
// (RFC 3820, sections 3 and 4.1).
func (w *walk) checkProxy(i int) error {
	cert, issuer := w.path[i], w.path[i+1]
	switch {
	case cert.IsCA:
		return refuse(EndEntityIsCA, cert, "make the proxy again", "is a proxy that poses as a CA")
	case !gsi.ExtendsIssuer(cert):
		return refuse(ProxySubject, cert, "make the proxy again", "is not the subject of its issuer and one CN more")
	case !may(issuer, x509.KeyUsageDigitalSignature):
		return refuse(KeyUsage, issuer, "ask the CA for a certificate with digitalSignature", "may not sign proxies by its key usage")
	case hasExtension(cert, oidSubjectAltName), hasExtension(cert, oidIssuerAltName): // sections 3.5 and 3.2
		return refuse(ProxyExtension, cert, "make the proxy without alternative names", "is a proxy with an alternative name")
	}
	if err := w.checkKind(i); err != nil {
		return err
	}
	return checkProxyInfo(cert, i)
}

// checkKind refuses a proxy of a kind that does not go with its issuer's.
func (w *walk) checkKind(i int) error {
	cert, kind, above := w.path[i], w.kinds[i], gsi.EEC
	if i+1 < len(w.kinds) {
		above = w.kinds[i+1]
	}
	switch {
	case kind.Restricted():
		return refuse(PolicyUnknown, cert, "use a full, limited or independent proxy", "has a policy in a language that is not known here")
	case above == gsi.EEC:
		return nil
	case kind.Family() != above.Family():
		return refuse(MixedTypes, cert, "make all proxies of one kind", "is a proxy of type %s under one of type %s", kind, above)
	case above.Limited() && !kind.Limited():
		return refuse(LimitedProxy, cert, "make a limited proxy from a limited one", "is a proxy of type %s under a limited one", kind)
	}
	return nil
}

// checkProxyInfo checks the ProxyCertInfo of a proxy under which below others
// follow; a legacy proxy has none.
func checkProxyInfo(cert *x509.Certificate, below int) error {
	info, err := gsi.ProxyCertInfoOf(cert)
	switch {
	case err != nil:
		return refuse(Malformed, cert, "make the proxy again", "is not understood: %v", err)
	case info == nil:
		return nil
	case info.PathLen != nil && *info.PathLen < below:
		return refuse(PathLength, cert, "make the proxy with a longer path length", "allows %d proxies below it; %d follow", *info.PathLen, below)
	case info.Policy.Body != nil && !info.Type().Restricted() && !info.Type().Limited(): // section 3.8.2
		return refuse(PolicyUnknown, cert, "make the proxy without a policy text", "has a policy text that its language does not have")
	}
	for _, e := range cert.Extensions {
		if (e.Id.Equal(gsi.OIDProxyCertInfo) || e.Id.Equal(gsi.OIDDraftProxyCertInfo)) && !e.Critical { // section 3.8
			return refuse(ProxyExtension, cert, "make the proxy again", "has a ProxyCertInfo that is not critical")
		}
	}
	return nil
}
