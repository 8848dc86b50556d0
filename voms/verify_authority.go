package voms

import (
	"bytes"
	"crypto/sha1"
	"crypto/x509"
	"net"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"gsigw/gsi"
)

// checkAuthority looks for a chain of the directory's, or that the directory describes, that signed the attributes. Of
// several that might have, the first one's refusal is told.
func (c *check) checkAuthority() *Error {
	chains, refused := c.authorities()
	for i, chain := range chains {
		err := c.checkSigner(chain)
		if err == nil {
			return nil
		}
		if i == 0 {
			refused = err
		}
	}
	return refused
}

// authorities returns the chains that may sign for the VO on that host: what the attribute certificate brings along,
// if the LSC file of the VO and host describes it, and certificates of the directory with the issuer's name. The error
// says why the former is not there.
func (c *check) authorities() (chains [][]*x509.Certificate, err *Error) {
	if err = c.checkLSC(); err == nil {
		chains = append(chains, c.Certificates)
	}
	for _, vo := range []string{c.VO, ""} {
		for _, f := range c.state.local[vo] {
			if sameName(c.RawIssuer, f.certs[0].RawSubject) {
				chains = append(chains, f.certs)
			}
		}
	}
	return chains, err
}

func (c *check) checkLSC() *Error {
	host, _, _ := net.SplitHostPort(c.Server)
	name := c.VO + "/" + host + ".lsc"
	f := c.state.files[name]
	toTrust := "if that authority is to be trusted, write into " + name + " of the vomsdir " + lscOf(c.Certificates)
	switch {
	case f == nil && !c.knowsVO():
		return refuse(UnknownVO, toTrust, "the vomsdir has nothing on this VO")
	case f == nil:
		return refuse(UnknownAuthority, toTrust, "the vomsdir has nothing on this VO's server %s", host)
	case f.empty():
		return refuse(BrokenLSC, "correct the file", "%s cannot be used: %v", name, f.err)
	case c.Certificates == nil:
		return refuse(UnknownAuthority, "put the authority's certificate into "+c.VO+" of the vomsdir, as PEM",
			"they come without the authority's certificates, which %s describes", name)
	case !f.lsc.matches(c.Certificates):
		return refuse(LSCMismatch, toTrust, "%s names other certificates than theirs", name)
	}
	return nil
}

func (c *check) knowsVO() bool {
	for _, f := range c.state.files {
		if f.vo == c.VO {
			return true
		}
	}
	return false
}

// checkSigner decides whether the first certificate of the chain signed the attributes, and might.
func (c *check) checkSigner(chain []*x509.Certificate) *Error {
	aa := chain[0]
	const report = "report it to the VO's administrators"
	if !sameName(c.RawIssuer, aa.RawSubject) {
		return refuse(IssuerMismatch, report, "they name that issuer, and were to be signed by %s", gsi.OneLine(aa.RawSubject))
	}
	if err := checkIsAuthority(aa); err != nil {
		return err
	}
	id, err := c.options.Trust.Verify(chain, c.at)
	if err != nil {
		return &Error{Code: Untrusted, Reason: "the authority is not trusted: " + err.Error(), Remedy: "mend that first", Err: err}
	}
	if err := c.checkSignature(aa); err != nil {
		return err
	}
	if !c.isKeyOf(aa) {
		return refuse(KeyMismatch, report, "their authority key identifier means another key than that of %s", gsi.OneLine(aa.RawSubject))
	}
	c.until = c.NotAfter
	if id.NotAfter.Before(c.until) {
		c.until = id.NotAfter
	}
	return nil
}

// checkIsAuthority refuses a certificate that no authority has: its holder's own proxies, a CA (RFC 5755, section 4.5),
// a key for other purposes.
func checkIsAuthority(aa *x509.Certificate) *Error {
	remedy := "have the authority sign with its own certificate"
	if t, err := gsi.Classify(aa); err != nil || t != gsi.EEC {
		return refuse(NotAnAuthority, remedy, "they are signed with a proxy")
	}
	if aa.IsCA {
		return refuse(NotAnAuthority, remedy, "they are signed by a CA")
	}
	if aa.KeyUsage != 0 && aa.KeyUsage&(x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment) == 0 {
		return refuse(NotAnAuthority, remedy, "they are signed with a key that may not sign, by its key usage")
	}
	return nil
}

func (c *check) checkSignature(aa *x509.Certificate) *Error {
	switch c.SignatureAlgorithm {
	case x509.SHA1WithRSA, x509.ECDSAWithSHA1:
		if c.options.RefuseSHA1 {
			return refuse(Algorithm, "have the server sign with SHA-256", "they are signed with SHA-1")
		}
	case x509.MD5WithRSA, x509.UnknownSignatureAlgorithm:
		return refuse(Algorithm, "have the server sign with RSA or ECDSA and SHA-256", "they are signed with %s", algorithmName(c.SignatureAlgorithm))
	}
	if aa.CheckSignature(c.SignatureAlgorithm, c.rawTBS, c.Signature) != nil {
		return refuse(BadSignature, "make the proxy again", "they were not signed by it, or have been changed since")
	}
	return nil
}

func algorithmName(a x509.SignatureAlgorithm) string {
	if a == x509.UnknownSignatureAlgorithm {
		return "an unknown algorithm"
	}
	return a.String()
}

// isKeyOf compares the authority key identifier, in each of the forms that it has, with the authority's certificate.
func (c *check) isKeyOf(aa *x509.Certificate) bool {
	byID := c.KeyID == nil || bytes.Equal(c.KeyID, aa.SubjectKeyId) || bytes.Equal(c.KeyID, keyHash(aa))
	byName := c.keyIssuer == nil || sameName(c.keyIssuer, aa.RawIssuer) && c.keySerial.Cmp(aa.SerialNumber) == 0
	return byID && byName
}

// keyHash is the identifier of a key by RFC 5280, section 4.2.1.2, method 1.
func keyHash(cert *x509.Certificate) []byte {
	var info, algorithm cryptobyte.String
	var key []byte
	raw := cryptobyte.String(cert.RawSubjectPublicKeyInfo)
	if !raw.ReadASN1(&info, der.SEQUENCE) || !info.ReadASN1(&algorithm, der.SEQUENCE) || !info.ReadASN1BitStringAsBytes(&key) {
		return nil
	}
	sum := sha1.Sum(key)
	return sum[:]
}
