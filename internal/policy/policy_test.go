package policy

import (
	"errors"
	"net/url"
	"strings"
	"testing"
)

func target(t *testing.T, raw string) Target {
	t.Helper()
	tg, err := ParseTarget(raw)
	if err != nil {
		t.Fatal(err)
	}
	return tg
}

// site is the policy of the tests: a grid route with exceptions below it, a route for each other rule.
func site(t *testing.T) *Policy {
	t.Helper()
	https := func(name, raw string) Route {
		return Route{Name: name, Target: target(t, raw), Message: MessageGSI, Transport: TransportHTTPS}
	}
	grid := https("grid", "https://grid.example.org:8443/wsrf/services/*")
	grid.Upgrade, grid.Gets = true, []string{"/wsrf/share/*", "/wsrf/share/same"}
	narrow := https("narrow", "https://grid.example.org:8443/wsrf/share/narrow/*")
	narrow.Callers = []string{"alice"}
	same := https("same", "https://grid.example.org:8443/wsrf/share/same")
	same.Callers = []string{"alice"}
	counter := https("counter", "https://grid.example.org:8443/wsrf/services/CounterService")
	counter.Actions = []string{"http://counter.com/CounterPortType/addRequest", "urn:odd"}
	counter.Operations = []Name{{"http://counter.com", "add"}, {"http://counter.com", "odd2"}}
	byAction := https("by-action", "https://grid.example.org:8443/wsrf/services/ByAction")
	byAction.Actions = []string{"http://counter.com/CounterPortType/addRequest", "urn:Request"}
	byOperation := https("by-operation", "https://grid.example.org:8443/wsrf/services/ByOperation")
	byOperation.Operations = []Name{{"http://counter.com", "add"}}
	private := https("private", "https://grid.example.org:8443/wsrf/services/private/*")
	private.Callers = []string{"alice"}
	mime := https("mime", "https://mime.example.org/s")
	mime.UnsignedAttachments, mime.Queries, mime.Upgrade = true, []string{"svc=1"}, true
	plain := Route{Name: "plain", Target: target(t, "http://plain.example.org/s")}
	p, err := New([]Route{grid, counter, byAction, byOperation, private, narrow, same, mime, plain},
		[]Mount{{"/grid/*", "grid"}, {"/grid/one/*", "private"}, {"/plain", "plain"}})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// call is a POST by alice through the proxy, edited.
func call(t *testing.T, raw string, edit func(*Call)) Call {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewCall(Forward, "POST", u)
	if err != nil {
		t.Fatal(err)
	}
	c.Caller, c.ContentType = "alice", "text/xml; charset=utf-8"
	c.Operation = Name{"http://counter.com", "add"}
	if edit != nil {
		edit(&c)
	}
	return c
}

const (
	gridURL = "https://grid.example.org:8443/wsrf/services/Other"
	add     = "http://counter.com/CounterPortType/addRequest"
)

func TestDecide_Allows(t *testing.T) {
	p := site(t)
	for _, tc := range []struct {
		name, url, route string
		edit             func(*Call)
	}{
		{"a path below a prefix", gridURL, "grid", nil},
		{"the exact path before the prefix", "https://grid.example.org:8443/wsrf/services/CounterService", "counter",
			func(c *Call) { c.SOAPAction = `"` + add + `"` }},
		{"the longer prefix before the shorter", "https://grid.example.org:8443/wsrf/services/private/x", "private", nil},
		{"another writing of the same address", "HTTPS://GRID.Example.org:8443/wsrf/%73ervices/Other", "grid", nil},
		{"http where the route upgrades", "http://grid.example.org:8443/wsrf/services/Other", "grid", nil},
		{"http on 80 for an upgrade to 443", "http://mime.example.org/s", "mime", nil},
		{"a tunnel", gridURL, "grid", func(c *Call) { c.Form = Connect }},
		{"a mount", gridURL, "grid", func(c *Call) { c.Form, c.Route = Reverse, "grid" }},
		{"?wsdl", gridURL + "?wsdl", "grid", func(c *Call) { c.Method, c.ContentType = "GET", "" }},
		{"?WSDL", gridURL + "?WSDL", "grid", func(c *Call) { c.Method, c.ContentType = "GET", "" }},
		{"?wsdl=part", gridURL + "?wsdl=types.wsdl", "grid", func(c *Call) { c.Method = "GET" }},
		{"?xsd", gridURL + "?xsd", "grid", func(c *Call) { c.Method = "GET" }},
		{"?xsd=part", gridURL + "?xsd=1", "grid", func(c *Call) { c.Method = "GET" }},
		{"a named GET", "https://grid.example.org:8443/wsrf/share/schema/x.wsdl", "grid", func(c *Call) { c.Method = "GET" }},
		{"a named GET, upgraded", "http://grid.example.org:8443/wsrf/share/x", "grid", func(c *Call) { c.Method = "GET" }},
		{"a named query", "https://mime.example.org/s?svc=1", "mime", nil},
		{"SOAP 1.2", gridURL, "grid", func(c *Call) { c.ContentType = `application/soap+xml; action="urn:a"` }},
		{"actions that agree, quotes or not", gridURL, "grid", func(c *Call) {
			c.SOAPAction, c.HasWSA, c.WSAAction = `"urn:a"`, true, "urn:a"
		}},
		{"an empty SOAPAction beside wsa:Action", gridURL, "grid", func(c *Call) {
			c.SOAPAction, c.HasWSA, c.WSAAction = `""`, true, "urn:a"
		}},
		{"an action and an operation that both lists name", "https://grid.example.org:8443/wsrf/services/CounterService", "counter",
			func(c *Call) { c.SOAPAction, c.Operation.Local = "urn:odd", "odd2" }},
		{"an action's operation by its name", "https://grid.example.org:8443/wsrf/services/ByAction", "by-action",
			func(c *Call) { c.SOAPAction = add }},
		{"an operation's action by its name", "https://grid.example.org:8443/wsrf/services/ByOperation", "by-operation",
			func(c *Call) { c.SOAPAction = "urn:x#add" }},
		{"an operation without any action", "https://grid.example.org:8443/wsrf/services/ByOperation", "by-operation", nil},
		{"attachments that the route accepts", "https://mime.example.org/s", "mime", func(c *Call) {
			c.ContentType, c.HasAttachments = `multipart/related; boundary=x`, true
		}},
		{"attachments where nothing is signed", "http://plain.example.org/s", "plain", func(c *Call) { c.HasAttachments = true }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := p.Decide(call(t, tc.url, tc.edit))
			if !d.Allow || d.Rule != tc.route || d.Route == nil || d.Route.Name != tc.route || d.Err() != nil {
				t.Errorf("%+v", d)
			}
		})
	}
}

func TestDecide_Denies(t *testing.T) {
	p := site(t)
	counter := "https://grid.example.org:8443/wsrf/services/CounterService"
	for _, tc := range []struct {
		name, url, rule string
		edit            func(*Call)
	}{
		{"a form we do not serve", gridURL, "form", func(c *Call) { c.Form = "" }},
		{"nobody", gridURL, "caller", func(c *Call) { c.Caller = "" }},
		{"PUT", gridURL, "method", func(c *Call) { c.Method = "PUT" }},
		{"HEAD", gridURL + "?wsdl", "method", func(c *Call) { c.Method = "HEAD" }},
		{"a method in lower case", gridURL, "method", func(c *Call) { c.Method = "post" }},
		{"another host", "https://grid.example.com:8443/wsrf/services/Other", "route", nil},
		{"a host below", "https://x.grid.example.org:8443/wsrf/services/Other", "route", nil},
		{"another port", "https://grid.example.org/wsrf/services/Other", "route", nil},
		{"another path", "https://grid.example.org:8443/wsrf/admin", "route", nil},
		{"the prefix without its slash", "https://grid.example.org:8443/wsrf/services", "route", nil},
		{"a path in another case", "https://grid.example.org:8443/WSRF/services/Other", "route", nil},
		{"below an exact path", "https://mime.example.org/s/x", "route", nil},
		{"http without upgrade", "http://grid.example.com/s", "route", nil},
		{"https to an http route", "https://plain.example.org:80/s", "route", nil},
		{"a POST to a path for GETs", "https://grid.example.org:8443/wsrf/share/x", "route", nil},
		{"a mount of no route", gridURL, "route", func(c *Call) { c.Form, c.Route = Reverse, "ghost" }},
		{"a mount of another route", gridURL, "route", func(c *Call) { c.Form, c.Route = Reverse, "plain" }},
		{"a mount without its route's name", gridURL, "route", func(c *Call) { c.Form = Reverse }},
		{"a narrower route by the upgrade of a wider", "http://grid.example.org:8443/wsrf/services/private/x", "route", nil},
		{"a narrower route by the mount of a wider", "https://grid.example.org:8443/wsrf/services/private/x", "route",
			func(c *Call) { c.Form, c.Route = Reverse, "grid" }},
		{"a narrower route by the gets of a wider", "https://grid.example.org:8443/wsrf/share/narrow/x", "callers",
			func(c *Call) { c.Method, c.Caller = "GET", "bob" }},
		{"another route's target by gets of the same path", "https://grid.example.org:8443/wsrf/share/same", "callers",
			func(c *Call) { c.Method, c.Caller = "GET", "bob" }},
		{"http inside a tunnel", "http://grid.example.org:8443/wsrf/services/Other", "scheme", func(c *Call) { c.Form = Connect }},
		{"a caller that the route does not name", "https://grid.example.org:8443/wsrf/services/private/x", "callers",
			func(c *Call) { c.Caller = "bob" }},
		{"a GET", gridURL, "get", func(c *Call) { c.Method = "GET" }},
		{"a GET with another query", gridURL + "?method=destroy", "get", func(c *Call) { c.Method = "GET" }},
		{"a GET with more than ?wsdl", gridURL + "?wsdl&method=destroy", "get", func(c *Call) { c.Method = "GET" }},
		{"a GET with more than ?wsdl=part", gridURL + "?wsdl=1&method=destroy", "get", func(c *Call) { c.Method = "GET" }},
		{"a GET that begins like ?wsdl", gridURL + "?wsdlx", "get", func(c *Call) { c.Method = "GET" }},
		{"a query", gridURL + "?x=1", "query", nil},
		{"a POST to ?wsdl", gridURL + "?wsdl", "query", nil},
		{"a query on a named GET", "https://grid.example.org:8443/wsrf/share/x?y", "query", func(c *Call) { c.Method = "GET" }},
		{"a form's content type", gridURL, "content-type", func(c *Call) { c.ContentType = "text/plain" }},
		{"no content type", gridURL, "content-type", func(c *Call) { c.ContentType = "" }},
		{"SOAPAction against wsa:Action", gridURL, "action-agreement", func(c *Call) {
			c.SOAPAction, c.HasWSA, c.WSAAction = `"urn:a"`, true, "urn:b"
		}},
		{"SOAPAction against the content type", gridURL, "action-agreement", func(c *Call) {
			c.SOAPAction, c.ContentType = "urn:a", `application/soap+xml; action="urn:b"`
		}},
		{"the content type against wsa:Action", gridURL, "action-agreement", func(c *Call) {
			c.ContentType, c.HasWSA, c.WSAAction = `application/soap+xml; action="urn:a"`, true, "urn:b"
		}},
		{"addressing without an action", gridURL, "action-agreement", func(c *Call) { c.HasWSA = true }},
		{"half a quote", gridURL, "action-agreement", func(c *Call) { c.SOAPAction = `"urn:a` }},
		{"a quote within", gridURL, "action-agreement", func(c *Call) { c.SOAPAction = `urn:a", "urn:b` }},
		{"an action not named", counter, "actions", func(c *Call) { c.SOAPAction = "urn:other" }},
		{"no action where some are named", counter, "actions", nil},
		{"an operation not named", counter, "operations", func(c *Call) {
			c.SOAPAction, c.Operation = add, Name{"http://counter.com", "destroy"}
		}},
		{"an operation in another namespace", counter, "operations", func(c *Call) {
			c.SOAPAction, c.Operation = add, Name{"http://counter.org", "add"}
		}},
		{"an empty body where operations are named", counter, "operations", func(c *Call) {
			c.SOAPAction, c.Operation = add, Name{}
		}},
		{"another body under a named action", "https://grid.example.org:8443/wsrf/services/ByAction", "operations",
			func(c *Call) { c.SOAPAction, c.Operation.Local = add, "destroy" }},
		{"an empty body under a named action", "https://grid.example.org:8443/wsrf/services/ByAction", "operations",
			func(c *Call) { c.SOAPAction, c.Operation = "urn:Request", Name{} }},
		{"another action over a named body", "https://grid.example.org:8443/wsrf/services/ByOperation", "actions",
			func(c *Call) { c.SOAPAction = "http://counter.com/CounterPortType/destroyRequest" }},
		{"attachments", gridURL, "attachments", func(c *Call) {
			c.ContentType, c.HasAttachments = `multipart/related; boundary=x`, true
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := p.Decide(call(t, tc.url, tc.edit))
			if d.Allow || d.Rule != tc.rule || d.Reason == "" {
				t.Errorf("%+v, want rule %s", d, tc.rule)
			}
			var denied *Denied
			if err := d.Err(); !errors.As(err, &denied) || denied.Rule != tc.rule {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestDecide_EmptyPolicyDeniesEveryForm(t *testing.T) {
	p, err := New(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range []string{Forward, Connect, Reverse} {
		if d := p.Decide(call(t, gridURL, func(c *Call) { c.Form = form })); d.Allow || d.Rule != "route" {
			t.Errorf("%s: %+v", form, d)
		}
	}
	if d := p.Opens("alice", "grid.example.org", 8443); d.Allow {
		t.Errorf("CONNECT: %+v", d)
	}
}

func TestDecide_SaysWhatIsNearlyRight(t *testing.T) {
	p := site(t)
	for url, want := range map[string]string{
		"https://grid.example.org:8443/other":            "routes name https://grid.example.org:8443, but none its path /other",
		"https://other.example.org/x":                    "no route names https://other.example.org:443",
		"http://grid.example.org/wsrf/services/ByAction": "route by-action is https and the call is http: call https, or set upgrade: true on the route",
	} {
		if d := p.Decide(call(t, url, nil)); d.Reason != want {
			t.Errorf("%s: %q, want %q", url, d.Reason, want)
		}
	}
}

func TestOpens_OnlyWhereAnHTTPSRouteLeads(t *testing.T) {
	p := site(t)
	for _, tc := range []struct {
		caller, host string
		port         int
		rule         string
		allow        bool
	}{
		{"alice", "GRID.example.org", 8443, "counter", true},
		{"", "grid.example.org", 8443, "caller", false},
		{"alice", "grid.example.org", 443, "route", false},
		{"alice", "plain.example.org", 80, "route", false},
		{"alice", "mime.example.org", 80, "route", false},
		{"alice", "127.1", 443, "route", false},
	} {
		d := p.Opens(tc.caller, tc.host, tc.port)
		if d.Allow != tc.allow || !tc.allow && d.Rule != tc.rule {
			t.Errorf("%s %s:%d: %+v", tc.caller, tc.host, tc.port, d)
		}
	}
	only, err := New([]Route{{Name: "r", Target: target(t, "https://h/s"), Transport: TransportHTTPS, Callers: []string{"alice"}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if d := only.Opens("bob", "h", 443); d.Allow {
		t.Errorf("bob: %+v", d)
	}
}

func TestUpstream_SendsWhatWasChecked(t *testing.T) {
	p := site(t)
	c := call(t, "http://GRID.example.org:8443/wsrf/%73ervices/a%20b%C3%A9", nil)
	d := p.Decide(c)
	if !d.Allow {
		t.Fatal(d.Reason)
	}
	if got, want := d.Route.Upstream(c).String(), "https://grid.example.org:8443/wsrf/services/a%20b%C3%A9"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestExplain_TellsEveryRule(t *testing.T) {
	p := site(t)
	e := p.Explain(call(t, "http://grid.example.org:8443/wsrf/services/private/x", func(c *Call) {
		c.Caller, c.Form, c.SOAPAction = "bob", Connect, `"x`
	}))
	if e.Allow || e.Rule != "route" {
		t.Errorf("%+v", e.Decision)
	}
	e = p.Explain(call(t, gridURL, func(c *Call) { c.ContentType, c.SOAPAction = "text/plain", `"x` }))
	var broken []string
	for _, s := range e.Steps {
		if !s.OK {
			broken = append(broken, s.Rule)
		}
	}
	if got := strings.Join(broken, " "); got != "content-type action-agreement" || e.Rule != "content-type" {
		t.Errorf("broken rules %s, decision %s", got, e.Rule)
	}
	text := p.Explain(call(t, "http://grid.example.org:8443/wsrf/services/Other", nil)).String()
	if !strings.Contains(text, "upgrades http to https") || !strings.HasSuffix(text, "allowed by route grid: route grid takes it: message gsi-message, transport https\n") {
		t.Error(text)
	}
}

func TestNew_RefusesRoutesThatContradict(t *testing.T) {
	https := target(t, "https://h/s")
	base := Route{Name: "r", Target: https, Transport: TransportHTTPS}
	with := func(edit func(*Route)) Route { r := base; edit(&r); return r }
	for _, tc := range []struct {
		name, field string
		routes      []Route
		mounts      []Mount
	}{
		{"one name twice", "name", []Route{base, with(func(r *Route) { r.Target.Host = "i" })}, nil},
		{"no name", "name", []Route{with(func(r *Route) { r.Name = "" })}, nil},
		{"one target twice", "target", []Route{base, with(func(r *Route) { r.Name = "q" })}, nil},
		{"an upgrade into another route's place", "target", []Route{
			{Name: "a", Target: target(t, "http://h/s")}, with(func(r *Route) { r.Upgrade = true })}, nil},
		{"one GET twice", "gets", []Route{with(func(r *Route) { r.Gets = []string{"/a", "/%61"} })}, nil},
		{"a GET that is no path", "gets", []Route{with(func(r *Route) { r.Gets = []string{"a"} })}, nil},
		{"https without TLS", "transport", []Route{with(func(r *Route) { r.Transport = TransportNone })}, nil},
		{"http with TLS", "transport", []Route{{Name: "r", Target: target(t, "http://h/s"), Transport: TransportGSI}}, nil},
		{"an upgrade to http", "upgrade", []Route{{Name: "r", Target: target(t, "http://h/s"), Upgrade: true}}, nil},
		{"attachments where nothing is signed", "unsigned-attachments", []Route{with(func(r *Route) { r.UnsignedAttachments = true })}, nil},
		{"a mount of no route", "paths", []Route{base}, []Mount{{"/a", "ghost"}}},
		{"a mount wider than its target", "paths", []Route{base}, []Mount{{"/a/*", "r"}}},
		{"a mount twice", "paths", []Route{base}, []Mount{{"/a", "r"}, {"//a", "r"}}},
		{"a mount that is no path", "paths", []Route{base}, []Mount{{"a", "r"}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := New(tc.routes, tc.mounts)
			var re *RouteError
			if !errors.As(err, &re) || re.Field != tc.field {
				t.Errorf("error %v, want one at %s", err, tc.field)
			}
		})
	}
}

func TestEnums_HaveTheirNames(t *testing.T) {
	for got, want := range map[string]string{
		StackGT4.String(): "gt4", MessageGSI.String(): "gsi-message", TransportGSI.String(): "gsi-transport",
		SHA1.String(): "sha1", TokenX509v3.String(): "x509v3", Addressing200508.String(): "2005/08",
		RefuseUnsigned.String(): "refuse", Message(99).String(): "invalid",
		Addressing200403.Namespace(): "http://schemas.xmlsoap.org/ws/2004/03/addressing",
		Addressing200508.Namespace(): "http://www.w3.org/2005/08/addressing", AddressingKeep.Namespace(): "",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
