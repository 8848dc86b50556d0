package voms

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gsigw/gsi"
)

// clockSkew is how far a server's clock may be ahead of ours.
const clockSkew = 5 * time.Minute

// grant looks at the certificate: it has to be the user's, of this VO, and for the hosts that were asked for. Where it
// says more than was asked for otherwise, that is a warning.
func (a *answer) grant(s Server, p Protocol, cred *gsi.Credential, w *wish, at time.Time) (*Grant, error) {
	ac, err := ParseAC(a.ac)
	if err != nil {
		return nil, err
	}
	user, err := cred.Identity()
	if err != nil {
		return nil, err
	}
	if wrong := (&check{AttributeCertificate: ac, holder: user}).checkHolder(); wrong != nil {
		return nil, fmt.Errorf("the attributes are not the user's: %s: %s", wrong.Reason, wrong.Remedy)
	}
	switch {
	case ac.VO != s.VO:
		return nil, fmt.Errorf("the attribute certificate is of the VO %s: correct the vomses line %s", excerpt(ac.VO), s.Source)
	case len(w.targets) > 0 && len(ac.Targets) == 0:
		return nil, errors.New("the attribute certificate is for all hosts, against what was asked: do not use this server")
	case len(w.targets) > 0 && !sameHosts(w.targets, ac.Targets):
		return nil, fmt.Errorf("the attribute certificate is for other hosts than were asked for, %s: do not use this server",
			excerpt(strings.Join(ac.Targets, ", ")))
	}
	return &Grant{AC: ac, Server: s, Protocol: p, Warnings: append(a.messages, w.unasked(ac, at)...), Missing: w.missing(ac.FQANs)}, nil
}

// sameHosts compares two lists of hosts, whatever their order.
func sameHosts(a, b []string) bool {
	set := func(hosts []string) []string {
		names := make([]string, len(hosts))
		for i, host := range hosts {
			names[i] = strings.ToLower(host)
		}
		slices.Sort(names)
		return slices.Compact(names)
	}
	return slices.Equal(set(a), set(b))
}

// unasked warns of what nobody asked for. Groups are none of it: servers add all that the user is in.
func (w *wish) unasked(ac *AttributeCertificate, at time.Time) (warnings []Message) {
	warn := func(code int, format string, args ...any) {
		warnings = append(warnings, Message{code, fmt.Sprintf(format, args...)})
	}
	if len(w.targets) == 0 && len(ac.Targets) > 0 {
		warn(WarnTargets, "the attributes are for certain hosts only, which nobody asked for: %s", excerpt(strings.Join(ac.Targets, ", ")))
	}
	asked := time.Duration(w.lifetime) * time.Second
	if ac.NotAfter.After(at.Add(asked + clockSkew)) {
		warn(WarnLonger, "the attributes are valid until %s, for longer than the %v that were asked for", ac.NotAfter.Format(time.RFC3339), asked)
	}
	if roles := w.unaskedRoles(ac.FQANs); roles != nil {
		warn(WarnRoles, "the attributes have roles that nobody asked for: %s", listFQANs(roles))
	}
	return warnings
}

func (w *wish) unaskedRoles(there []FQAN) (roles []FQAN) {
	for _, f := range there {
		if f.Role != "" && len(w.fqans) > 0 && !slices.Contains(w.fqans, f) {
			roles = append(roles, f)
		}
	}
	return roles
}
