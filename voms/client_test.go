package voms

import (
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
)

var admin = FQAN{Group: "/testvo", Role: "admin"}

func TestRequest_AsksOverRESTFirst(t *testing.T) {
	g := newGrid(t)
	der := g.ac(func(_ *gridtest.AA, ac *gridtest.AC) { ac.FQANs = []string{"/testvo/Role=admin", "/testvo"} })
	s := g.serve(t, &fakeServer{rest: overHTTP("200 OK", restAnswer(der, "")), legacy: says(legacyAnswer(der, ""))})
	grant, err := g.client(s).Request(t.Context(), Request{VO: "tv", FQANs: []FQAN{admin}, Lifetime: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if grant.Protocol != REST || grant.Server != s.Server || len(grant.AC.FQANs) != 2 || grant.AC.FQANs[0] != admin || grant.Missing != nil {
		t.Errorf("got %+v", grant)
	}
	if want := "GET /generate-ac?fqans=/testvo/Role=admin&lifetime=3600 HTTP/1.1"; !slices.Equal(s.asked(), []string{want}) {
		t.Errorf("asked %q, not %q", s.asked(), want)
	}
	if s.chains[0] != 2 {
		t.Errorf("showed %d certificates, not the proxy and the user's", s.chains[0])
	}
}

// What stands in the way of REST, and says nothing about the user, leads to the legacy protocol.
func TestRequest_FallsBackToLegacy(t *testing.T) {
	g := newGrid(t)
	der := g.ac(nil)
	good := restAnswer(der, "")
	for name, rest := range map[string]func(net.Conn){
		"closed at once, as by Debian's server": nil,
		"not found":                             overHTTP("404 Not Found", "<html>no</html>"),
		"redirected, with an answer":            overHTTP("302 Found", good),
		"no HTTP":                               says(good),
		"broken off":                            says("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + good),
		"document type":                         overHTTP("200 OK", strings.Replace(good, "<voms>", "<!DOCTYPE voms><voms>", 1)),
		"another root":                          overHTTP("200 OK", strings.ReplaceAll(good, "voms>", "vomsans>")),
		"no certificate":                        overHTTP("200 OK", "<voms></voms>"),
		"two certificates":                      overHTTP("200 OK", "<voms>"+strings.Repeat("<ac>"+mime(der)+"</ac>", 2)+"</voms>"),
		"no HTTP, at length":                    says(strings.Repeat("x", 100_000) + "\r\n\r\n"),
		"no XML, at length":                     overHTTP("200 OK", "<voms><"+strings.Repeat("x", 100_000)+"></y></voms>"),
		"no base64":                             overHTTP("200 OK", "<voms><ac>!</ac></voms>"),
	} {
		t.Run(name, func(t *testing.T) {
			s := g.serve(t, &fakeServer{rest: rest, legacy: says(legacyAnswer(der, ""))})
			grant, err := g.client(s).Request(t.Context(), Request{VO: "testvo"})
			if err != nil || grant.Protocol != Legacy {
				t.Fatalf("got %+v, %v", grant, err)
			}
			if want := `<?xml version="1.0" encoding="US-ASCII"?><voms><command>G/testvo</command>` +
				`<base64>1</base64><version>4</version><lifetime>43200</lifetime></voms>`; s.asked()[1] != want || s.zeros != 1 {
				t.Errorf("asked %q, after %d zeros", s.asked()[1], s.zeros)
			}
			only := g.client(s)
			only.Protocol = REST
			if _, err := only.Request(t.Context(), Request{VO: "testvo"}); err == nil || !strings.Contains(err.Error(), "over rest: ") || len(err.Error()) > 700 {
				t.Errorf("REST alone: %.1000v", err)
			}
		})
	}
}

func TestRequest_LegacyAloneAsksNothingOverREST(t *testing.T) {
	g := newGrid(t)
	s := g.serve(t, &fakeServer{rest: overHTTP("200 OK", restAnswer(g.ac(nil), "")), legacy: says(legacyAnswer(g.ac(nil), ""))})
	c := g.client(s)
	c.Protocol = Legacy
	grant, err := c.Request(t.Context(), Request{VO: "testvo", Order: []FQAN{admin}, Targets: []string{"a.org"}})
	if err == nil {
		t.Fatalf("a certificate for all hosts is taken: %+v", grant)
	}
	if len(s.asked()) != 1 || !strings.Contains(s.asked()[0], "<order>/testvo:admin</order><targets>a.org</targets>") {
		t.Errorf("asked %q", s.asked())
	}
	c.Protocol = "carrier pigeon"
	if _, err := c.Request(t.Context(), Request{VO: "testvo"}); err == nil || !strings.Contains(err.Error(), `"carrier pigeon"`) {
		t.Errorf("an unknown protocol: %v", err)
	}
}

// A refusal is in the server's words, and is not asked for a second time.
func TestRequest_KeepsTheWordsOfARefusal(t *testing.T) {
	g := newGrid(t)
	item := func(number, text string) string {
		return "<item><number>" + number + "</number><message>" + text + "</message></item>"
	}
	for name, c := range map[string]struct {
		server *fakeServer
		want   []Message
	}{
		"legacy, with A in place of the certificate": {&fakeServer{legacy: says(legacyAnswer([]byte("A"), item("1001", "testvo: User unknown to this VO.")))},
			[]Message{{ErrNotMember, "testvo: User unknown to this VO."}}},
		"legacy, a warning too": {&fakeServer{legacy: says(legacyAnswer(g.ac(nil), item("2", "shortened")+item("1003", "no database")))},
			[]Message{{WarnShortened, "shortened"}, {ErrDatabase, "no database"}}},
		"legacy, the first error there is": {&fakeServer{legacy: says(legacyAnswer(g.ac(nil), item("1000", "x")))}, []Message{{1000, "x"}}},
		"legacy, no number":                {&fakeServer{legacy: says(legacyAnswer(g.ac(nil), item("", "x")))}, []Message{{ErrUnexpected, "x"}}},
		"legacy, a number below any":       {&fakeServer{legacy: says(legacyAnswer(g.ac(nil), item("-1", "x")))}, []Message{{ErrUnexpected, "x"}}},
		"legacy, control characters":       {&fakeServer{legacy: says(legacyAnswer(nil, item("1001", "a\x7f\nb")))}, []Message{{ErrNotMember, "a  b"}}},
		"REST": {&fakeServer{rest: overHTTP("403 Forbidden", "<voms><error><code>SuspendedUser</code><message>User is currently suspended!\nSuspension reason: membership expired</message></error></voms>")},
			[]Message{{ErrSuspended, "User is currently suspended! Suspension reason: membership expired"}}},
		"REST, two": {&fakeServer{rest: overHTTP("400 Bad Request", "<voms><error><code>NoSuchUser</code><message>a</message></error><error><code>Whatever</code><message>b</message></error></voms>")},
			[]Message{{ErrNotMember, "a"}, {ErrUnexpected, "b"}}},
		"REST, a warning and no certificate": {&fakeServer{rest: overHTTP("200 OK", "<voms><warning>a</warning></voms>")}, []Message{{0, "a"}}},
		"REST, beside a certificate": {&fakeServer{rest: overHTTP("200 OK", restAnswer(g.ac(nil), "<error><code>BadRequest</code><message>a</message></error>"))},
			[]Message{{ErrBadRequest, "a"}}},
	} {
		t.Run(name, func(t *testing.T) {
			s := g.serve(t, c.server)
			_, err := g.client(s).Request(t.Context(), Request{VO: "testvo"})
			refusal, ok := errors.AsType[*ServerError](err)
			if !ok || !slices.Equal(refusal.Messages, c.want) {
				t.Fatalf("got %v", err)
			}
			if !refusal.Has(c.want[0].Code) || refusal.Has(ErrNoAttribute) {
				t.Errorf("Has does not know %v", refusal.Messages)
			}
			if !strings.Contains(err.Error(), s.Address()+": it said: "+c.want[0].Text) {
				t.Errorf("got %v", err)
			}
			if c.server.rest != nil && len(s.asked()) != 1 {
				t.Errorf("asked %d times", len(s.asked()))
			}
		})
	}
}

// A warning comes with HTTP status 500 (vomsd.cc, makeRESTAnswer), and is none the less no error.
func TestRequest_TakesWarningsForWarnings(t *testing.T) {
	g := newGrid(t)
	const text = "localhost:15000: The validity of this VOMS AC in your proxy is shortened to 43200 seconds!"
	for name, c := range map[string]struct {
		server *fakeServer
		want   Message
	}{
		"REST":   {&fakeServer{rest: overHTTP("500 Internal Server Error", restAnswer(g.ac(nil), "<warning>"+text+"</warning>"))}, Message{0, text}},
		"legacy": {&fakeServer{legacy: says(legacyAnswer(g.ac(nil), "<item><number>2</number><message>"+text+"</message></item>"))}, Message{WarnShortened, text}},
	} {
		t.Run(name, func(t *testing.T) {
			grant, err := g.client(g.serve(t, c.server)).Request(t.Context(), Request{VO: "testvo"})
			if err != nil || !slices.Equal(grant.Warnings, []Message{c.want}) {
				t.Fatalf("got %+v, %v", grant, err)
			}
		})
	}
}

func TestRequest_NamesWhatTheServerLeftOut(t *testing.T) {
	g := newGrid(t)
	s := g.serve(t, &fakeServer{legacy: says(legacyAnswer(g.ac(nil), ""))})
	grant, err := g.client(s).Request(t.Context(), Request{VO: "testvo", FQANs: []FQAN{{Group: "/testvo"}, admin}})
	if err != nil || !slices.Equal(grant.Missing, []FQAN{admin}) {
		t.Errorf("got %+v, %v", grant, err)
	}
}

func TestRequest_TriesTheServersInTurn(t *testing.T) {
	g := newGrid(t)
	l := gridtest.Must(net.Listen("tcp", "127.0.0.1:0"))
	l.Close() // nobody listens there now
	dead := &fakeServer{Server: Server{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, VO: "testvo", DN: gridtest.HostName}}
	refusing := g.serve(t, &fakeServer{rest: overHTTP("403 Forbidden", "<voms><error><code>NoSuchUser</code><message>who?</message></error></voms>")})
	speechless := g.serve(t, &fakeServer{})
	live := g.serve(t, &fakeServer{legacy: says(legacyAnswer(g.ac(nil), ""))})

	grant, err := g.client(dead, refusing, speechless, live).Request(t.Context(), Request{VO: "testvo"})
	if err != nil || grant.Server != live.Server {
		t.Fatalf("got %+v, %v", grant, err)
	}
	_, err = g.client(dead, refusing, speechless).Request(t.Context(), Request{VO: "testvo"})
	for _, part := range []string{
		"voms: no attributes of the VO testvo: " + dead.Address() + ": dial tcp",
		"; " + refusing.Address() + ": it said: who? (1001)",
		"; " + speechless.Address() + ": over rest: it closed the connection without an answer; over legacy: it closed the connection without an answer",
	} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in %v", part, err)
		}
	}
	if strings.Count(err.Error(), dead.Address()) > 2 {
		t.Errorf("a server that is not there is dialled twice: %v", err)
	}
}

// A server reads one TLS record: crypto/tls would begin with small ones.
func TestRequest_GoesIntoOneRecord(t *testing.T) {
	g := newGrid(t)
	s := g.serve(t, &fakeServer{legacy: says(legacyAnswer(g.ac(nil), ""))})
	r := Request{VO: "testvo"}
	for i := range 300 {
		r.FQANs = append(r.FQANs, FQAN{Group: "/testvo/group" + strconv.Itoa(i)})
	}
	if _, err := g.client(s).Request(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if asked := s.asked(); len(asked) != 1 || !strings.HasSuffix(asked[0], "</voms>") || len(asked[0]) < 8000 {
		t.Errorf("asked %q", asked)
	}
	for i := range 500 {
		r.FQANs = append(r.FQANs, FQAN{Group: "/testvo/further" + strconv.Itoa(i)})
	}
	if _, err := g.client(s).Request(t.Context(), r); err == nil || !strings.Contains(err.Error(), "servers read 16384: ask for fewer") {
		t.Errorf("got %v", err)
	}
}

func TestRequest_RefusesACertificateThatIsNotTheUsers(t *testing.T) {
	g := newGrid(t)
	for name, c := range map[string]struct {
		change  func(*gridtest.AA, *gridtest.AC)
		targets []string
		want    string
	}{
		"another holder":   {func(_ *gridtest.AA, ac *gridtest.AC) { ac.Holder = g.ECUser.Leaf() }, nil, "the attributes are not the user's: they belong to"},
		"another VO":       {func(aa *gridtest.AA, _ *gridtest.AC) { aa.VO = "other" }, nil, `is of the VO "other"`},
		"targets left out": {nil, []string{"a.org"}, "is for all hosts"},
		"another target":   {func(_ *gridtest.AA, ac *gridtest.AC) { ac.Targets = []string{"b.org"} }, []string{"a.org"}, "for other hosts than were asked for, \"b.org\""},
		"one more target":  {func(_ *gridtest.AA, ac *gridtest.AC) { ac.Targets = []string{"a.org", "b.org"} }, []string{"a.org"}, "for other hosts"},
		"one target less":  {func(_ *gridtest.AA, ac *gridtest.AC) { ac.Targets = []string{"a.org"} }, []string{"a.org", "b.org"}, "for other hosts"},
		"no certificate": {func(_ *gridtest.AA, ac *gridtest.AC) {
			ac.Tamper = func([]byte) []byte { return []byte{0x30, 0} }
		}, nil, "attribute certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			s := g.serve(t, &fakeServer{legacy: says(legacyAnswer(g.ac(c.change), ""))})
			_, err := g.client(s).Request(t.Context(), Request{VO: "testvo", Targets: c.targets})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestRequest_RefusesBeforeItAsks(t *testing.T) {
	g := newGrid(t)
	s := g.serve(t, &fakeServer{})
	for name, c := range map[string]struct {
		r    Request
		want string
	}{
		"unknown VO":              {Request{VO: "nowhere"}, `no server of the VO "nowhere" is known (known: testvo)`},
		"another VO's group":      {Request{VO: "testvo", FQANs: []FQAN{{Group: "/other"}}}, "not of the VO testvo"},
		"another VO's order":      {Request{VO: "testvo", Order: []FQAN{{Group: "/other"}}}, "not of the VO testvo"},
		"no group":                {Request{VO: "testvo", FQANs: []FQAN{{Role: "admin"}}}, "does not begin with a group"},
		"a group that adds more":  {Request{VO: "testvo", FQANs: []FQAN{{Group: "/testvo&lifetime=1"}}}, "does not begin with a group"},
		"a role that adds more":   {Request{VO: "testvo", FQANs: []FQAN{{Group: "/testvo", Role: "a</command>"}}}, "the role of"},
		"a role within the group": {Request{VO: "testvo", FQANs: []FQAN{{Group: "/testvo/Role=admin"}}}, "cannot be asked for"},
		"a capability":            {Request{VO: "testvo", FQANs: []FQAN{{Group: "/testvo", Capability: "x"}}}, "no capabilities"},
		"all and one":             {Request{VO: "testvo", All: true, FQANs: []FQAN{admin}}, "one or the other"},
		"a target that adds more": {Request{VO: "testvo", Targets: []string{"a.org&order=/x"}}, "no host name"},
		"an empty target":         {Request{VO: "testvo", Targets: []string{""}}, "no host name"},
		"a negative lifetime":     {Request{VO: "testvo", Lifetime: -time.Hour}, "a lifetime of -1h0m0s"},
		"less than a second":      {Request{VO: "testvo", Lifetime: time.Millisecond}, "a lifetime of 1ms"},
		"a lifetime beyond int32": {Request{VO: "testvo", Lifetime: 1 << 62}, "a lifetime of"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := g.client(s).Request(t.Context(), c.r); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v", err)
			}
		})
	}
	c := g.client(s)
	c.Now = func() time.Time { return time.Now().AddDate(0, 0, 1) } // the proxy has gone by then
	if _, err := c.Request(t.Context(), Request{VO: "testvo"}); !errors.Is(err, gsi.ErrExpired) {
		t.Errorf("with an expired credential: %v", err)
	}
	for want, change := range map[string]func(*Client){
		"no servers are known": func(c *Client) { c.Servers = nil },
		"no credential":        func(c *Client) { c.Credential = nil },
		"no credential there":  func(c *Client) { c.Credential = gsi.Static(nil) },
		"independent proxy": func(c *Client) {
			c.Credential = gsi.Static(gridtest.Must(g.ProxyOf(g.User, gsi.Limits{Type: gsi.RFCIndependent})))
		},
	} {
		c := g.client(s)
		change(c)
		if _, err := c.Request(t.Context(), Request{VO: "testvo"}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if len(s.asked()) != 0 {
		t.Errorf("asked %q", s.asked())
	}
}
