package trust

import (
	"crypto/x509"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"gsigw/gsi"
)

// policy is what a signing_policy or namespaces file says: which subjects a CA
// may sign. A file that does not speak of the CA permits it nothing.
type policy []rule

type rule struct {
	issuer  string // gsi.NameKey of the CA; "" means the CA that the file belongs to
	deny    bool   // what it denies no other rule permits
	subject *regexp.Regexp
}

// check refuses a file without a rule: it may be one that is being written.
func (p policy) check() error {
	if len(p) == 0 {
		return errors.New("no rule in it says whom the CA may sign")
	}
	return nil
}

func (p policy) permits(ca, subject string) bool {
	permitted := false
	for _, r := range p {
		if (r.issuer != "" && r.issuer != ca) || !r.subject.MatchString(subject) {
			continue
		}
		if r.deny {
			return false
		}
		permitted = true
	}
	return permitted
}

// checkSigningPolicy asks every policy file of the CA; each that is there has
// to permit the subject.
func (w *walk) checkSigningPolicy(cert *x509.Certificate, ca *authority) error {
	if len(ca.policies) == 0 {
		if w.options.RequireSigningPolicy {
			return refuse(NoSigningPolicy, cert, "install the CA's signing_policy or namespaces file",
				"cannot be accepted: its CA %s has no signing policy", gsi.OneLine(ca.cert.RawSubject))
		}
		return nil
	}
	subject := guarded(cert.RawSubject)
	for _, f := range ca.policies {
		if f.empty() {
			return refuse(SigningPolicy, cert, "mend the file "+f.name,
				"cannot be accepted: the signing policy of its CA cannot be read (%v)", f.err)
		}
		if !f.policy.permits(ca.name, subject) {
			return refuse(SigningPolicy, cert, "if it should be, the CA's entry in "+f.name+" has to name it",
				"is not a subject that %s may sign", gsi.OneLine(ca.cert.RawSubject))
		}
	}
	return nil
}

// issuerKey folds a CA's name as a policy file writes it. One that is no name is no CA's.
func issuerKey(dn string) string {
	if name, err := gsi.ParseDN(dn); err == nil {
		return name.Folded()
	}
	return dn
}

// oldLabels are spellings of attribute types that policies of old still use.
var oldLabels = strings.NewReplacer("/Email=", "/emailAddress=", "/E=", "/emailAddress=", "/USERID=", "/UID=")

// subjectPattern compiles an expression over the whole one-line form of a subject. Case does not count, as it does not
// for canl and JGlobus.
func subjectPattern(expression string) (*regexp.Regexp, error) {
	compiled, err := regexp.Compile(`^(?is:` + expression + `)$`)
	if err != nil {
		return nil, fmt.Errorf("the expression of a subject: %w", err)
	}
	return compiled, nil
}
