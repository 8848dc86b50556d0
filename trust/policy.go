package trust

import (
	"bufio"
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"gsigw/gsi"
)

// policy is what a signing_policy or namespaces file says: which subjects a CA
// may sign. A file that does not speak of the CA permits it nothing.
type policy []permission

type permission struct {
	issuer  string         // the CA's name; "" means the CA that the file belongs to
	subject *regexp.Regexp // over the one-line form
}

func (p policy) permits(ca, cert *x509.Certificate) bool {
	issuer, err := gsi.ParseName(ca.RawSubject)
	if err != nil {
		return false
	}
	subject := gsi.OneLine(cert.RawSubject)
	for _, rule := range p {
		if rule.subject.MatchString(subject) && (rule.issuer == "" || issuer.EqualDN(rule.issuer)) {
			return true
		}
	}
	return false
}

// checkSigningPolicy asks every policy file of the CA; each that is there has
// to permit the subject.
func (w *walk) checkSigningPolicy(cert, ca *x509.Certificate) error {
	found := false
	for _, stem := range w.state.stems(ca) {
		for _, f := range w.state.policies[stem] {
			found = true
			if f.empty() {
				return refuse(SigningPolicy, cert, "mend the file "+f.name, "cannot be accepted: the signing policy of its CA cannot be read")
			}
			if !f.policy.permits(ca, cert) {
				return refuse(SigningPolicy, cert, "if it should be, the CA's entry in "+f.name+" has to name it",
					"is not a subject that %s may sign", gsi.OneLine(ca.RawSubject))
			}
		}
	}
	if !found && w.options.RequireSigningPolicy {
		return refuse(NoSigningPolicy, cert, "install the CA's signing_policy or namespaces file",
			"cannot be accepted: its CA %s has no signing policy", gsi.OneLine(ca.RawSubject))
	}
	return nil
}

// parseSigningPolicy reads Globus's EACL format: blocks of access_id_CA,
// pos_rights and cond_subjects.
func parseSigningPolicy(data []byte) (policy, error) {
	e := eacl{policy: policy{}}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for n := 1; lines.Scan(); n++ {
		words, err := splitQuoted(lines.Text())
		if err == nil && len(words) > 0 {
			err = e.add(words)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	return e.policy, lines.Err()
}

// eacl is a policy as its lines are read.
type eacl struct {
	policy  policy
	issuer  string // of the block
	maySign bool
}

func (e *eacl) add(words []string) error {
	if len(words) != 3 {
		return fmt.Errorf("%d words instead of 3", len(words))
	}
	switch keyword, authority, value := words[0], words[1], words[2]; {
	case keyword == "access_id_CA" && strings.EqualFold(authority, "x509") && strings.HasPrefix(value, "/"):
		e.issuer, e.maySign = value, false
		return nil
	case keyword == "pos_rights" && authority == "globus" && value == "CA:sign" && e.issuer != "":
		e.maySign = true
		return nil
	case keyword == "cond_subjects" && authority == "globus" && e.maySign:
		return e.permit(value)
	default:
		return fmt.Errorf("%q does not belong there", keyword+" "+authority)
	}
}

func (e *eacl) permit(globs string) error {
	patterns, err := splitQuoted(globs)
	if err != nil {
		return err
	}
	for _, glob := range patterns {
		subject, err := globToRegexp(glob)
		if err != nil {
			return err
		}
		e.policy = append(e.policy, permission{e.issuer, subject})
	}
	return nil
}

// splitQuoted splits at blanks outside of quotes, single or double, and drops
// the quotes and what follows a '#'.
func splitQuoted(s string) ([]string, error) {
	var words []string
	for {
		s = strings.TrimLeft(s, " \t\r")
		if s == "" || s[0] == '#' {
			return words, nil
		}
		word := s
		if quote := s[0]; quote == '\'' || quote == '"' {
			end := strings.IndexByte(s[1:], quote)
			if end < 0 {
				return nil, errors.New("a quote is not closed")
			}
			word, s = s[1:end+1], s[end+2:]
		} else {
			end := strings.IndexAny(s, " \t\r")
			if end < 0 {
				end = len(s)
			}
			word, s = s[:end], s[end:]
		}
		words = append(words, word)
	}
}

// oldLabels are spellings of attribute types that policies of old still use.
var oldLabels = strings.NewReplacer("/Email=", "/emailAddress=", "/E=", "/emailAddress=", "/USERID=", "/UID=")

func globToRegexp(glob string) (*regexp.Regexp, error) {
	quoted := regexp.QuoteMeta(oldLabels.Replace(glob))
	quoted = strings.NewReplacer(`\*`, `.*`, `\?`, `.`).Replace(quoted)
	return regexp.Compile(`^(?s:` + quoted + `)$`)
}

var namespaceRule = regexp.MustCompile(`^TO\s+Issuer\s+(SELF|"[^"]+")\s+PERMIT\s+Subject\s+"([^"]+)"$`)

// parseNamespaces reads EUGridPMA's format: `TO Issuer "DN" PERMIT Subject
// "expression"`, one rule in a line that a backslash at its end continues.
func parseNamespaces(data []byte) (policy, error) {
	p := policy{}
	text := regexp.MustCompile(`\\[ \t\r]*\n`).ReplaceAllString(string(data), " ")
	n := 0
	for line := range strings.SplitSeq(text, "\n") {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		m := namespaceRule.FindStringSubmatch(line)
		if m == nil {
			return nil, fmt.Errorf("rule %d: not of the form TO Issuer ... PERMIT Subject \"...\"", n)
		}
		subject, err := regexp.Compile(`^(?s:` + oldLabels.Replace(m[2]) + `)$`)
		if err != nil {
			return nil, fmt.Errorf("rule %d: %w", n, err)
		}
		issuer := strings.Trim(m[1], `"`)
		if m[1] == "SELF" {
			issuer = ""
		}
		p = append(p, permission{issuer, subject})
	}
	return p, nil
}
