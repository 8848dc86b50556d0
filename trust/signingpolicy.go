package trust

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// parseSigningPolicy reads Globus's EACL format: blocks of access_id_CA,
// pos_rights and cond_subjects. Rights and subjects that follow in a block are passed over, as canl and JGlobus do,
// unless they take the right to sign away.
func parseSigningPolicy(data []byte) (policy, error) {
	e := eacl{policy: policy{}}
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, maxFile)
	for n := 1; lines.Scan(); n++ {
		words, err := splitQuoted(lines.Text())
		if err == nil && len(words) > 0 {
			err = e.add(words)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	return e.policy, e.policy.check()
}

// eacl is a policy as its lines are read.
type eacl struct {
	policy  policy
	issuer  string // of the block
	maySign bool
	ended   bool // the block has its subjects
}

func (e *eacl) add(words []string) error {
	if len(words) != 3 {
		return fmt.Errorf("%d words instead of 3", len(words))
	}
	switch keyword, authority, value := words[0], words[1], words[2]; {
	case e.ended && keyword == "neg_rights" && value == "CA:sign":
		return errors.New("neg_rights takes the right to sign away: leave out the CA's block instead")
	case e.ended && (keyword == "pos_rights" || keyword == "neg_rights" || keyword == "cond_subjects"):
		return nil
	case keyword == "access_id_CA" && strings.EqualFold(authority, "x509") && strings.HasPrefix(value, "/"):
		e.issuer, e.maySign, e.ended = issuerKey(value), false, false
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
	e.ended = true
	patterns, err := splitQuoted(globs)
	if err != nil {
		return err
	}
	for _, glob := range patterns {
		subject, err := globToRegexp(glob)
		if err != nil {
			return err
		}
		e.policy = append(e.policy, rule{issuer: e.issuer, subject: subject})
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

func globToRegexp(glob string) (*regexp.Regexp, error) {
	quoted := regexp.QuoteMeta(oldLabels.Replace(glob))
	return subjectPattern(strings.NewReplacer(`\*`, `.*`, `\?`, `.`).Replace(quoted))
}
