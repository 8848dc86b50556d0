// Package policy decides whether one call may pass, and over which route.
//
// It is pure: no files, no clock, no network. The daemon builds a Policy from its config once, computes one Call per
// exchange, and asks:
//
//	p, err := policy.New(routes, mounts)
//	call, err := policy.NewCall(policy.Forward, "POST", req.URL)
//	call.Caller, call.ContentType = "engine", req.Header.Get("Content-Type")
//	d := p.Decide(call)
//	if err := d.Err(); err != nil {
//		return err // *Denied, with the name of the rule and the reason in plain words
//	}
//	send(d.Route, d.Route.Upstream(call))
//
// Everything is denied that no route names: another scheme, host, port or path, another caller, another method, an
// action that contradicts the body. Among the routes that match, the more specific path wins: an exact one before a
// prefix, a longer prefix before a shorter. Two routes that match alike are an error of New.
package policy

import (
	"errors"
	"fmt"
	"net/url"
)

// The forms in which a call can arrive.
const (
	Forward = "forward" // absolute-form request to the HTTP proxy
	Connect = "connect" // a request read inside an opened CONNECT tunnel
	Reverse = "reverse" // a request to a listen path that a mount names
)

// Name is a qualified XML name.
type Name struct{ Space, Local string }

// String gives the name in the form {namespace}local.
func (n Name) String() string {
	if n.Space == "" {
		return n.Local
	}
	return "{" + n.Space + "}" + n.Local
}

// Call is what is known of one exchange before anything is sent. It is computed once (NewCall does the address) and
// never changed. For the form Reverse the address is the target's, as the listen path stands for it.
type Call struct {
	Form     string // Forward, Connect or Reverse
	Method   string
	Scheme   string // http or https, lower case
	Host     string // normalised: lower case, IPv6 without brackets
	Port     int    // never 0: the scheme's default where the address names none
	Path     string // normalised and decoded
	RawQuery string

	ContentType    string // the header as received
	SOAPAction     string // the header as received, quotes and all
	WSAAction      string // text of wsa:Action
	HasWSA         bool   // any WS-Addressing header block is present
	Operation      Name   // first child of Body
	HasAttachments bool   // MIME parts besides the envelope (XOP already inlined is none)

	Caller string // who was authenticated on the listener; empty is nobody
	Route  string // the route that the mount names; for the form Reverse only
}

// NewCall starts a call at the address u, normalised; an address that could be read in two ways is *Denied.
func NewCall(form, method string, u *url.URL) (Call, error) {
	t, err := Normalise(u)
	if err != nil {
		return Call{}, err
	}
	return Call{
		Form: form, Method: method,
		Scheme: t.Scheme, Host: t.Host, Port: t.Port, Path: t.Path, RawQuery: u.RawQuery,
	}, nil
}

// Decision is the answer to one call. Rule is the route's name when the call is allowed, else the rule that denied.
type Decision struct {
	Allow  bool
	Rule   string
	Reason string
	Route  *Route // nil when denied before a route was found
}

// Denied is a decision against a call, as an error.
type Denied struct{ Rule, Reason string }

func (d *Denied) Error() string { return fmt.Sprintf("policy: %s: %s", d.Rule, d.Reason) }

// Explain is the denial of a call that had no address to decide on.
func (d *Denied) Explain() Explanation {
	return Explanation{Decision{Rule: d.Rule, Reason: d.Reason}, []Step{{Rule: d.Rule, Text: d.Reason}}}
}

// Reason is the text of an error of this package without its prefix, for use inside another.
func Reason(err error) string {
	if d, ok := errors.AsType[*Denied](err); ok {
		return d.Reason
	}
	return err.Error()
}

// Err is nil for an allowed call and *Denied otherwise.
func (d Decision) Err() error {
	if d.Allow {
		return nil
	}
	return &Denied{Rule: d.Rule, Reason: d.Reason}
}

// Policy is an immutable set of routes; it may be used by many goroutines.
type Policy struct {
	routes  map[string]*Route
	calls   []entry // where messages go, most specific first
	gets    []entry // paths that routes name for GET
	fetches []entry // calls and gets together, most specific first
	mounts  []mount // listen paths, most specific first
}

// Route gives the route of that name, or nil.
func (p *Policy) Route(name string) *Route { return p.routes[name] }

// Decide says whether c may pass, by the first rule that it breaks.
func (p *Policy) Decide(c Call) Decision {
	d, _ := p.judge(c, false)
	return d
}

// Opens says whether a CONNECT to host and port may be opened for this caller: only where an https route would take
// some request on it. What is then asked inside is a call of its own.
func (p *Policy) Opens(caller, host string, port int) Decision {
	if caller == "" {
		return Decision{Rule: ruleCaller, Reason: "nobody was authenticated on this connection"}
	}
	host, err := NormaliseHost(host)
	if err != nil {
		return Decision{Rule: ruleRoute, Reason: Reason(err)}
	}
	for _, e := range p.calls {
		if e.scheme == "https" && e.host == host && e.port == port && e.route.permits(caller) {
			return Decision{Allow: true, Rule: e.route.Name, Reason: "an https route names this host and port", Route: e.route}
		}
	}
	return Decision{Rule: ruleRoute, Reason: fmt.Sprintf("no https route names %s for %s", hostPort(host, port), caller)}
}

// judge walks the rules in their order; with all it goes on after the first denial, to tell the rest too.
func (p *Policy) judge(c Call, all bool) (Decision, []Step) {
	var steps []Step
	d := Decision{}
	note := func(rule, denial, fine string) (stop bool) {
		if denial == "" {
			steps = append(steps, Step{Rule: rule, OK: true, Text: fine})
			return false
		}
		steps = append(steps, Step{Rule: rule, Text: denial})
		if d.Rule == "" {
			d.Rule, d.Reason = rule, denial
		}
		return !all
	}
	for _, r := range beforeRoute {
		if note(r.name, r.check(c, nil), r.fine) {
			return d, steps
		}
	}
	route, denial := p.find(c)
	d.Route = route
	if note(ruleRoute, denial, fineRoute(c, route)); route == nil {
		return d, steps
	}
	for _, r := range onRoute {
		if note(r.name, r.check(c, route), r.fine) {
			return d, steps
		}
	}
	if d.Rule == "" {
		d.Allow, d.Rule, d.Reason = true, route.Name, "route "+route.Name+" takes it: "+route.treatment(c.Method)
	}
	return d, steps
}
