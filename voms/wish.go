package voms

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// wish is a request as both protocols write it. All its words are letters, digits and a few signs that need no
// escaping: servers decode neither percent signs in a URL nor, in older ones, entities in XML.
type wish struct {
	fqans    []FQAN // empty: all
	order    []FQAN
	targets  []string
	lifetime int64 // s
}

func newWish(r Request, vo string) (*wish, error) {
	w := &wish{order: r.Order, targets: r.Targets, lifetime: int64(r.Lifetime / time.Second)}
	if r.Lifetime == 0 {
		w.lifetime = int64(DefaultACLifetime / time.Second)
	}
	if w.lifetime < 1 || w.lifetime > 1<<31-1 {
		return nil, fmt.Errorf("voms: a lifetime of %v: ask for a second to 68 years", r.Lifetime)
	}
	for _, f := range slices.Concat(r.FQANs, r.Order) {
		if err := checkFQAN(f, vo); err != nil {
			return nil, err
		}
	}
	for _, host := range r.Targets {
		if host == "" || !consistsOf(host, ".-") {
			return nil, fmt.Errorf("voms: the target %s is no host name", excerpt(host))
		}
	}
	if r.All && len(r.FQANs) > 0 {
		return nil, fmt.Errorf("voms: all attributes are asked for, and %s: ask for one or the other", r.FQANs[0])
	}
	if !r.All {
		w.fqans = inOrder(r.FQANs, r.Order, vo)
	}
	return w, nil
}

func checkFQAN(f FQAN, vo string) error {
	again, err := ParseFQAN(f.String())
	switch {
	case err != nil:
		return err
	case again != f || f.Capability != "":
		return fmt.Errorf("voms: %s cannot be asked for: servers know groups and roles, and no capabilities", f)
	case f.VO() != vo:
		return fmt.Errorf("voms: %s is not of the VO %s: ask its own VO for it", f, vo)
	}
	return nil
}

// inOrder moves what the order names to the front, and adds the groups that it names besides, as voms-proxy-init does:
// some servers know of no other order than the one of the request.
func inOrder(asked, order []FQAN, vo string) []FQAN {
	if len(asked) == 0 {
		asked = []FQAN{{Group: "/" + vo}}
	}
	var all []FQAN
	for _, f := range order {
		if f.Role == "" || slices.Contains(asked, f) {
			all = append(all, f)
		}
	}
	for _, f := range asked {
		if !slices.Contains(all, f) {
			all = append(all, f)
		}
	}
	return all
}

// missing lists what was asked for and is not there.
func (w *wish) missing(there []FQAN) []FQAN {
	var missing []FQAN
	for _, f := range w.fqans {
		if !slices.Contains(there, f) {
			missing = append(missing, f)
		}
	}
	return missing
}

func commas(fqans []FQAN, text func(FQAN) string) string {
	words := make([]string, len(fqans))
	for i, f := range fqans {
		words[i] = text(f)
	}
	return strings.Join(words, ",")
}
