package intercept

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/elazarl/goproxy"
)

func TestForward_HandsAbsoluteFormToGateway(t *testing.T) {
	g := &recorder{}
	s, _ := startForward(t, g)
	resp, err := client(t, s, nil, nil).Post("http://GT4.Example/wsrf/services/C%41?x=1", "text/xml", strings.NewReader("<e/>"))
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	c, r := g.last(t)
	if resp.StatusCode != 200 || string(body) != "ok" || g.bodies[0] != "<e/>" {
		t.Errorf("got %d %q, gateway read %q", resp.StatusCode, body, g.bodies)
	}
	if got := c.Target.String(); got != "http://gt4.example:80/wsrf/services/C%41?x=1" {
		t.Errorf("target %s", got)
	}
	if c.Form != Forward || c.Caller != (Caller{"self", "uid"}) || c.Route != "" {
		t.Errorf("call %+v", c)
	}
	if r.Host != "gt4.example:80" || r.URL.String() != c.Target.String() || r.RequestURI != "" {
		t.Errorf("request host %q url %s uri %q", r.Host, r.URL, r.RequestURI)
	}
}

// After the Gateway's answer goproxy writes one of its own, which must not come out.
func TestForward_GoproxyAddsNothing(t *testing.T) {
	var complaints strings.Builder
	g := &recorder{serve: func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusInternalServerError) }}
	s := start(t, Config{Gateway: g, Forward: true, ErrorLog: log.New(&complaints, "", 0)})
	status, body := raw(t, s, "GET http://gt4.example/a HTTP/1.1", "Host: gt4.example", "", "")
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if status != 500 || body != "" || complaints.Len() != 0 {
		t.Errorf("got %d %q; net/http says %q", status, body, complaints.String())
	}
}

// RFC 9112, section 3.2.2: what the Host header says beside an absolute target
// must not count.
func TestForward_IgnoresHostBesideAbsoluteTarget(t *testing.T) {
	g := &recorder{}
	s, _ := startForward(t, g)
	raw(t, s, "GET http://gt4.example/a HTTP/1.1", "Host: evil.example", "", "")
	c, r := g.last(t)
	if c.Target.Host != "gt4.example:80" || r.Host != "gt4.example:80" || r.Header.Get("Host") != "" {
		t.Errorf("target %s, host %q, header %q", c.Target, r.Host, r.Header)
	}
}

func TestForward_RefusesTargets(t *testing.T) {
	for _, tc := range []struct{ name, line, words string }{
		{"origin form", "GET /a HTTP/1.1", "this is an HTTP proxy"},
		{"network path", "GET //gt4.example/a HTTP/1.1", "this is an HTTP proxy"},
		{"https", "GET https://gt4.example/ HTTP/1.1", "comes in a CONNECT"},
		{"ftp", "GET ftp://gt4.example/ HTTP/1.1", "must be an http URL"},
		{"opaque", "GET http:gt4.example/a HTTP/1.1", "must be an http URL"},
		{"user info", "GET http://u:p@gt4.example/ HTTP/1.1", "user info"},
		{"fragment", "GET http://gt4.example/a#b HTTP/1.1", "fragment"},
		{"no host", "GET http:///a HTTP/1.1", "denied by rule address: "},
		{"port zero", "GET http://gt4.example:0/ HTTP/1.1", "port"},
		{"odd port", "GET http://gt4.example:080/ HTTP/1.1", "port"},
		{"trailing dot", "GET http://gt4.example./ HTTP/1.1", "denied by rule address: "},
		{"short address", "GET http://127.1/ HTTP/1.1", "denied by rule address: "},
		{"hex address", "GET http://0x7f000001/ HTTP/1.1", "denied by rule address: "},
		{"mapped address", "GET http://[::ffff:127.0.0.1]/ HTTP/1.1", "denied by rule address: "},
		{"zone", "GET http://[fe80::1%25eth0]/ HTTP/1.1", "denied by rule address: "},
		{"escaped host", "GET http://gt4%2eexample%2f/ HTTP/1.1", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := &recorder{}
			s, _ := startForward(t, g)
			status, body := raw(t, s, tc.line, "Host: gt4.example", "", "")
			wantStatus(t, status, body, 400, tc.words)
			if g.count() != 0 {
				t.Error("the request reached the gateway")
			}
		})
	}
}

func TestForward_ReverseOnlyListenerIsNoProxy(t *testing.T) {
	g := &recorder{opens: []string{"gt4.example:8443"}}
	s := start(t, Config{Gateway: g, Routes: []Route{{Name: "r", Path: "/c", Target: mustURL(t, "http://gt4.example/c")}}})
	for _, line := range []string{"GET http://gt4.example/ HTTP/1.1", "CONNECT gt4.example:8443 HTTP/1.1"} {
		status, body := raw(t, s, line, "Host: gt4.example:8443", "", "")
		wantStatus(t, status, body, 400, "reverse routes only")
	}
	if g.count() != 0 || len(s.tunnels.places) != 0 {
		t.Error("something was opened")
	}
}

// Nothing of goproxy may reach a service, whatever the environment says.
func TestForward_GoproxyCannotSend(t *testing.T) {
	reached := false
	service := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer service.Close()
	t.Setenv("HTTPS_PROXY", service.URL)
	t.Setenv("HTTP_PROXY", service.URL)
	p := newSorter(&Server{})
	ctx := &goproxy.ProxyCtx{Proxy: p}
	req := httptest.NewRequestWithContext(t.Context(), "GET", service.URL, nil)
	if _, err := ctx.RoundTrip(req); !errors.Is(err, errDial) {
		t.Errorf("RoundTrip: %v", err)
	}
	if _, err := p.ConnectDial("tcp", service.Listener.Addr().String()); !errors.Is(err, errDial) {
		t.Errorf("ConnectDial: %v", err)
	}
	if _, err := p.ConnectDialWithReq(req, "tcp", service.Listener.Addr().String()); !errors.Is(err, errDial) {
		t.Errorf("ConnectDialWithReq: %v", err)
	}
	if _, err := p.Tr.DialContext(context.Background(), "tcp", service.Listener.Addr().String()); !errors.Is(err, errDial) {
		t.Errorf("DialContext: %v", err)
	}
	if p.Tr.Proxy != nil || reached {
		t.Errorf("goproxy has a way out (reached: %v)", reached)
	}
}

// A CONNECT that nobody allowed is closed, not tunnelled.
func TestForward_GoproxyRejectsConnectNotAllowed(t *testing.T) {
	p := newSorter(&Server{})
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := &arrival{w: &sealedWriter{ResponseWriter: w}}
		p.ServeHTTP(a.w, r.WithContext(context.WithValue(r.Context(), arrivalKey{}, a)))
	}))
	defer front.Close()
	c := dial(t, front.Listener.Addr())
	io.WriteString(c, "CONNECT gt4.example:443 HTTP/1.1\r\nHost: gt4.example:443\r\n\r\n")
	if got, err := io.ReadAll(c); len(got) != 0 || err != nil {
		t.Errorf("answered %q, %v", got, err)
	}
}
