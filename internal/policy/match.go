package policy

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Mount puts a route at a listen path of the reverse listener: exact for a route with an exact target, ending in /*
// for one with a prefix (what follows is appended to the target's path).
type Mount struct{ Path, Route string }

// RouteError is a mistake in one route or mount, found by New. Field is the config key it concerns.
type RouteError struct{ Route, Field, Text string }

func (e *RouteError) Error() string {
	return fmt.Sprintf("policy: route %s: %s: %s", e.Route, e.Field, e.Text)
}

type entry struct {
	scheme, host string
	port         int
	path         string
	prefix       bool
	route        *Route
}

type mount struct {
	path   string
	prefix bool
	route  *Route
}

// New checks the routes and mounts against each other. The error joins one *RouteError per mistake.
func New(routes []Route, mounts []Mount) (*Policy, error) {
	p := &Policy{routes: map[string]*Route{}}
	var errs []error
	for i := range routes {
		r := &routes[i]
		if p.routes[r.Name] != nil || r.Name == "" {
			errs = append(errs, &RouteError{r.Name, "name", "route names must be unique and not empty"})
			continue
		}
		p.routes[r.Name] = r
		errs = append(errs, check(r)...)
		errs = append(errs, p.addCalls(r)...)
		errs = append(errs, p.addGets(r)...)
	}
	for _, m := range mounts {
		if err := p.addMount(m); err != nil {
			errs = append(errs, err)
		}
	}
	p.fetches = slices.Concat(p.calls, p.gets) // the stable sort leaves a target before another route's gets
	slices.SortStableFunc(p.calls, entry.compare)
	slices.SortStableFunc(p.fetches, entry.compare)
	slices.SortStableFunc(p.mounts, func(a, b mount) int { return moreSpecific(a.path, a.prefix, b.path, b.prefix) })
	return p, errors.Join(errs...)
}

// check refuses a route whose parts contradict each other.
func check(r *Route) (errs []error) {
	no := func(field, text string) { errs = append(errs, &RouteError{r.Name, field, text}) }
	if r.Target.Scheme == "https" && r.Transport == TransportNone {
		no("transport", "the target is https: say https or gsi-transport")
	}
	if r.Target.Scheme == "http" && r.Transport != TransportNone {
		no("transport", r.Transport.String()+" needs an https target")
	}
	if r.Upgrade && r.Target.Scheme != "https" {
		no("upgrade", "only a route with an https target can be upgraded to")
	}
	if r.UnsignedAttachments && !r.Signed() {
		no("unsigned-attachments", "nothing is signed on this route (message: "+r.Message.String()+"): leave it out")
	}
	return append(errs, checkProfile(r)...)
}

func (p *Policy) addCalls(r *Route) (errs []error) {
	for _, e := range r.entries(r.Target.Path, r.Target.Prefix) {
		if other := twin(p.calls, e); other != nil {
			errs = append(errs, &RouteError{r.Name, "target", "route " + other.Name + " already takes " + e.String()})
			continue
		}
		p.calls = append(p.calls, e)
	}
	return errs
}

func (p *Policy) addGets(r *Route) (errs []error) {
	for _, get := range r.Gets {
		path, prefix, err := parsePattern(get)
		if err != nil {
			errs = append(errs, &RouteError{r.Name, "gets", Reason(err)})
			continue
		}
		for _, e := range r.entries(path, prefix) {
			if other := twin(p.gets, e); other != nil {
				errs = append(errs, &RouteError{r.Name, "gets", "route " + other.Name + " already names " + e.String()})
				continue
			}
			p.gets = append(p.gets, e)
		}
	}
	return errs
}

// entries are the places at which a path of the route's host can be called: the target's scheme and port, and for a
// route that upgrades, http at the same port and in place of 443 at 80.
func (r *Route) entries(path string, prefix bool) []entry {
	t := r.Target
	list := []entry{{t.Scheme, t.Host, t.Port, path, prefix, r}}
	if !r.Upgrade || t.Scheme != "https" {
		return list
	}
	list = append(list, entry{"http", t.Host, t.Port, path, prefix, r})
	if t.Port == 443 {
		list = append(list, entry{"http", t.Host, 80, path, prefix, r})
	}
	return list
}

func (p *Policy) addMount(m Mount) error {
	r := p.routes[m.Route]
	if r == nil {
		return &RouteError{m.Route, "paths", "listen path " + m.Path + " names a route that does not exist"}
	}
	path, prefix, err := parsePattern(m.Path)
	switch {
	case err != nil:
		return &RouteError{m.Route, "paths", Reason(err)}
	case prefix != r.Target.Prefix:
		return &RouteError{m.Route, "paths", "listen path " + m.Path + " and target " + r.Target.String() +
			" must both end in /* or neither"}
	case slices.ContainsFunc(p.mounts, func(o mount) bool { return o.path == path && o.prefix == prefix }):
		return &RouteError{m.Route, "paths", "listen path " + m.Path + " is named twice"}
	}
	p.mounts = append(p.mounts, mount{path, prefix, r})
	return nil
}

// find gives the route for a call, or the reason why there is none. Whatever way a call comes, the route is the one
// that is most specific for the address at which it will arrive: a wider route that upgrades, or is mounted, opens no
// way around a narrower one.
func (p *Policy) find(c Call) (*Route, string) {
	e, ok := p.lookup(c)
	if !ok {
		return nil, p.whyNot(c)
	}
	if t := e.route.Target; t.Scheme != c.Scheme {
		c.Scheme, c.Port = t.Scheme, t.Port
		if there, _ := p.lookup(c); there.route != e.route {
			return nil, fmt.Sprintf("the path belongs to route %s, which does not say upgrade: true", there.route.Name)
		}
	}
	if c.Form == Reverse && e.route.Name != c.Route {
		return nil, fmt.Sprintf("the path belongs to route %s, and the listen path to route %q", e.route.Name, c.Route)
	}
	return e.route, ""
}

// lookup finds the most specific entry for a call's address.
func (p *Policy) lookup(c Call) (entry, bool) {
	table := p.calls
	if c.Method == "GET" && !describes(c.RawQuery) {
		table = p.fetches
	}
	i := slices.IndexFunc(table, func(e entry) bool { return e.takes(c) })
	if i < 0 {
		return entry{}, false
	}
	return table[i], true
}

func (e entry) takes(c Call) bool {
	return e.scheme == c.Scheme && e.host == c.Host && e.port == c.Port && matches(e.path, e.prefix, c.Path)
}

func matches(fixed string, prefix bool, path string) bool {
	if prefix {
		return strings.HasPrefix(path, fixed)
	}
	return path == fixed
}

// whyNot names the nearest miss, so that the reader knows which line of the config to look at.
func (p *Policy) whyNot(c Call) string {
	at := c.Scheme + "://" + hostPort(c.Host, c.Port)
	for _, e := range p.calls {
		if e.host != c.Host {
			continue
		}
		switch {
		case e.port == c.Port && e.scheme == c.Scheme:
			return fmt.Sprintf("routes name %s, but none its path %s", at, c.Path)
		case c.Scheme == "http" && e.scheme == "https" && matches(e.path, e.prefix, c.Path):
			return fmt.Sprintf("route %s is https and the call is http: call https, or set upgrade: true on the route", e.route.Name)
		}
	}
	return "no route names " + at
}

func twin(list []entry, e entry) *Route {
	for _, o := range list {
		if o.scheme == e.scheme && o.host == e.host && o.port == e.port && o.path == e.path && o.prefix == e.prefix {
			return o.route
		}
	}
	return nil
}

func (e entry) compare(o entry) int { return moreSpecific(e.path, e.prefix, o.path, o.prefix) }

// moreSpecific orders exact paths before prefixes, and longer ones before shorter.
func moreSpecific(a string, aPrefix bool, b string, bPrefix bool) int {
	if aPrefix != bPrefix {
		if bPrefix {
			return -1
		}
		return 1
	}
	return cmp.Compare(len(b), len(a))
}

func (e entry) String() string { return Target{e.scheme, e.host, e.port, e.path, e.prefix}.String() }
