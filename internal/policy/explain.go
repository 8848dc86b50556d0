package policy

import (
	"fmt"
	"strings"
)

// Step is what one rule said of a call.
type Step struct {
	Rule string `json:"rule"`
	OK   bool   `json:"ok"`
	Text string `json:"text"`
}

// Explanation is a decision with what every rule said on the way to it, the rules after a denial included.
type Explanation struct {
	Decision
	Steps []Step
}

// Explain decides like Decide and tells why, in plain words.
func (p *Policy) Explain(c Call) Explanation {
	d, steps := p.judge(c, true)
	return Explanation{d, steps}
}

// String is the explanation, a line per rule and the outcome last.
func (e Explanation) String() string {
	var b strings.Builder
	for _, s := range e.Steps {
		mark := "no"
		if s.OK {
			mark = "ok"
		}
		fmt.Fprintf(&b, "%-2s  %-16s  %s\n", mark, s.Rule, s.Text)
	}
	word := "denied by rule"
	if e.Allow {
		word = "allowed by route"
	}
	fmt.Fprintf(&b, "%s %s: %s\n", word, e.Rule, e.Reason)
	return b.String()
}

func fineRoute(c Call, r *Route) string {
	if r == nil {
		return ""
	}
	text := fmt.Sprintf("route %s names %s", r.Name, r.Target)
	if r.Target.Scheme != c.Scheme {
		text += ", and upgrades http to https"
	}
	return text
}
