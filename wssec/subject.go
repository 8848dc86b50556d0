package wssec

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"math/big"
	"slices"
	"time"

	"gsigw/soap"
)

// checkSubjects demands that whoever the assertion speaks of is confirmed by the method, in every statement, and, for a
// holder of key, with our key.
func (a *assertion) checkSubjects(method Confirmation, now time.Time, skew time.Duration, key crypto.PublicKey) error {
	subjects := a.subjects()
	if len(subjects) == 0 {
		return refuseAssertion("it says nothing of a subject")
	}
	for _, s := range subjects {
		if err := a.checkSubject(s, method, now, skew, key); err != nil {
			return err
		}
	}
	return nil
}

// subjects are one of the assertion (SAML 2.0, section 2.3.3), or one of each statement (SAML 1.1, section 2.4.2).
func (a *assertion) subjects() []*soap.Node {
	subjects := a.tree.All(a.space, "Subject")
	if a.space == saml11 {
		for _, statement := range a.tree.Children {
			subjects = append(subjects, statement.All(a.space, "Subject")...)
		}
	}
	return subjects
}

// checkSubject looks for one confirmation that will do; the last problem is told. A holder of key has no other: with a
// bearer's beside it, whoever reads the message could use the assertion without the key, and the way to the service need
// not hide it.
func (a *assertion) checkSubject(s *soap.Node, method Confirmation, now time.Time, skew time.Duration, key crypto.PublicKey) error {
	problem := refuseAssertion("its subject is not confirmed as %s: the route's confirmation must be the assertion's", method)
	confirmations := s.All(a.space, "SubjectConfirmation")
	for _, c := range confirmations {
		for _, other := range a.methods(c) {
			if method == HolderOfKey && other != a.holder {
				return refuseAssertion("its subject is confirmed by %.80q, where holder-of-key alone will do: the route's confirmation must be the assertion's, and its only one", other)
			}
		}
	}
	for _, c := range confirmations {
		if !slices.Contains(a.methods(c), a.method(method)) {
			continue
		}
		if problem = a.checkConfirmed(c, method, now, skew, key); problem == nil {
			return nil
		}
	}
	return problem
}

// methods are those of a SubjectConfirmation.
func (a *assertion) methods(c *soap.Node) (methods []string) {
	if a.space == saml20 {
		return []string{c.Attr("", "Method")}
	}
	for _, n := range c.All(a.space, "ConfirmationMethod") {
		methods = append(methods, n.TrimmedText())
	}
	return methods
}

func (a *assertion) checkConfirmed(c *soap.Node, method Confirmation, now time.Time, skew time.Duration, key crypto.PublicKey) error {
	at := c // where KeyInfo stands
	if a.space == saml20 {
		if at = c.Child(a.space, "SubjectConfirmationData"); at == nil {
			at = &soap.Node{}
		}
		if err := checkWindow(at, now, skew); err != nil {
			return err
		}
	}
	if method == Bearer {
		return nil
	}
	for _, info := range at.All(dsig, "KeyInfo") {
		named, err := subjectKey(info)
		if err != nil {
			return err
		}
		if k, ok := named.(interface{ Equal(crypto.PublicKey) bool }); ok && k.Equal(key) {
			return nil
		}
	}
	return refuseAssertion("it is for the holder of another key than the credential's: have it issued for this credential")
}

// subjectKey reads the key that a KeyInfo names: by its certificate, or an RSA key by its value.
func subjectKey(info *soap.Node) (crypto.PublicKey, error) {
	if x := info.Child(dsig, "X509Data"); x != nil {
		if c := x.Child(dsig, "X509Certificate"); c != nil {
			cert, err := certificateOf(c)
			if err != nil {
				return nil, refuseAssertion("the certificate of its subject: %w", err)
			}
			return cert.PublicKey, nil
		}
	}
	if value := info.Child(dsig, "KeyValue"); value != nil {
		if k := value.Child(dsig, "RSAKeyValue"); k != nil {
			return rsaKeyValue(k)
		}
	}
	return nil, refuseAssertion("it names its subject's key neither by a certificate nor by an RSA key's value")
}

func certificateOf(n *soap.Node) (*x509.Certificate, error) {
	der, err := decodeBase64(n)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// rsaKeyValue reads an RSA key (XML Signature 1.1, section 4.5.2.2).
func rsaKeyValue(n *soap.Node) (crypto.PublicKey, error) {
	if err := expectChildren(n, "Modulus", "Exponent"); err != nil {
		return nil, refuseAssertion("its subject's key: %w", err)
	}
	modulus, err := decodeBase64(n.Children[0])
	if err != nil {
		return nil, refuseAssertion("its subject's key: %w", err)
	}
	exponent, err := decodeBase64(n.Children[1])
	if err != nil || len(exponent) > 4 {
		return nil, refuseAssertion("its subject's key has an exponent that is none")
	}
	e := new(big.Int).SetBytes(exponent).Int64()
	return &rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: int(e)}, nil
}
