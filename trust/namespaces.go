package trust

import (
	"fmt"
	"regexp"
	"strings"
)

var namespaceRule = regexp.MustCompile(`^(?i:TO\s+Issuer\s+(SELF|"[^"]+")\s+(PERMIT|DENY)\s+Subject)\s+"([^"]+)"\s*(?:#.*)?$`)

// parseNamespaces reads EUGridPMA's format: `TO Issuer "DN" PERMIT Subject
// "expression"`, one rule in a line that a backslash at its end continues. DENY
// takes away what PERMIT gives, wherever it stands.
func parseNamespaces(data []byte) (policy, error) {
	p := policy{}
	started, text := 0, ""
	for n, line := range strings.Split(string(data), "\n") {
		if text == "" {
			started = n + 1
		}
		text += strings.TrimSpace(line)
		if before, more := strings.CutSuffix(text, `\`); more {
			text = before + " "
			continue
		}
		if text != "" && text[0] != '#' {
			r, err := parseNamespaceRule(text)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", started, err)
			}
			p = append(p, r)
		}
		text = ""
	}
	if text != "" {
		return nil, fmt.Errorf("line %d: the rule that it continues is not there", started)
	}
	return p, p.check()
}

func parseNamespaceRule(line string) (rule, error) {
	m := namespaceRule.FindStringSubmatch(line)
	if m == nil {
		return rule{}, fmt.Errorf(`not of the form TO Issuer "DN" PERMIT Subject "expression"`)
	}
	subject, err := subjectPattern(oldLabels.Replace(m[3]))
	r := rule{deny: strings.EqualFold(m[2], "DENY"), subject: subject}
	if m[1][0] == '"' {
		r.issuer = issuerKey(strings.Trim(m[1], `"`))
	}
	return r, err
}
