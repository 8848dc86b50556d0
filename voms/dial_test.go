package voms

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
)

func TestRequest_BelievesTheServerOfTheLineOnly(t *testing.T) {
	g := newGrid(t)
	good := legacyAnswer(g.ac(nil), "")
	other := gridtest.Must(g.CA.Issue(gridtest.Request{Name: gridtest.HostName + "/CN=other", Host: true}))
	stranger := gridtest.Must(g.Other.Issue(gridtest.Request{Name: gridtest.HostName, Host: true}))
	independent := gridtest.Must(g.ProxyOf(g.Host, gsi.Limits{Type: gsi.RFCIndependent}))
	expired := gridtest.Must(g.CA.Issue(gridtest.Request{Name: gridtest.HostName, Host: true, NotAfter: time.Now().Add(-time.Minute)}))
	for name, c := range map[string]struct {
		host *gsi.Credential
		auth tls.ClientAuthType
		want string
	}{
		"another name":                      {other, tls.RequireAnyClientCert, "the server is " + gridtest.HostName + "/CN=other, but vomses:1 expects " + gridtest.HostName},
		"another CA":                        {stranger, tls.RequireAnyClientCert, "trust: "},
		"an independent proxy of the right": {independent, tls.RequireAnyClientCert, "an independent proxy, " + gridtest.HostName + "/CN="},
		"expired":                           {expired, tls.RequireAnyClientCert, "expired"},
		"asks for no certificate":           {g.Host, tls.NoClientCert, "no client certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			s := g.serveAs(t, &fakeServer{legacy: says(good)}, c.host, c.auth)
			s.DN = gridtest.HostName
			_, err := g.client(s).Request(t.Context(), Request{VO: "testvo"})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v", err)
			}
			if len(s.asked()) != 0 {
				t.Errorf("the server was asked %q", s.asked())
			}
		})
	}
	s := g.serve(t, &fakeServer{legacy: says(good)})
	c := g.client(s)
	c.Trust = nil
	if _, err := c.Request(t.Context(), Request{VO: "testvo"}); err == nil || !strings.Contains(err.Error(), "no CAs are trusted") {
		t.Errorf("without trust: %v", err)
	}
	// The host's name is no matter: only the DN is.
	if _, err := g.client(g.serve(t, &fakeServer{legacy: says(good)})).Request(t.Context(), Request{VO: "testvo"}); err != nil {
		t.Error(err)
	}
}

// Any user could name an independent proxy as the line names the server, where that is his DN and a CN.
func TestRequest_RefusesAServerThatIsAnIndependentProxyWhateverItsName(t *testing.T) {
	g := newGrid(t)
	independent := gridtest.Must(g.ProxyOf(g.Host, gsi.Limits{Type: gsi.RFCIndependent}))
	s := g.serveAs(t, &fakeServer{legacy: says(legacyAnswer(g.ac(nil), ""))}, independent, tls.RequireAnyClientCert)
	s.DN = gsi.OneLine(independent.Leaf().RawSubject)
	_, err := g.client(s).Request(t.Context(), Request{VO: "testvo"})
	if err == nil || !strings.Contains(err.Error(), "the server shows an independent proxy") || len(s.asked()) != 0 {
		t.Errorf("got %v, asked %q", err, s.asked())
	}
}

// crypto/tls would take 5 s more to say good-bye to a peer that does not read.
func TestRequest_LeavesAServerThatReadsNoMoreInTime(t *testing.T) {
	g := newGrid(t)
	c := g.client(&fakeServer{Server: Server{Host: "voms.example.org", Port: 15000, DN: gridtest.HostName, VO: "testvo", Source: "vomses:1"}})
	at := time.Now()
	c.Protocol, c.Timeout, c.Now = Legacy, time.Second, func() time.Time { return at }
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		c.Dial = func(context.Context, string, string) (net.Conn, error) { return near, nil }
		go tls.Server(far, g.tls(g.Host, tls.RequireAnyClientCert)).Handshake()
		start := time.Now()
		if _, err := c.Request(t.Context(), Request{VO: "testvo"}); err == nil || !strings.HasSuffix(err.Error(), ": no answer within 1s") {
			t.Errorf("got %v", err)
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// A server that does not take our certificate says so with TLS 1.3 after the handshake only.
func TestRequest_SaysWhenTheServerRefusesTheChain(t *testing.T) {
	g := newGrid(t)
	s := g.serveAs(t, &fakeServer{}, g.Host, tls.RequireAndVerifyClientCert) // which knows no CA of ours
	if _, err := g.client(s).Request(t.Context(), Request{VO: "testvo"}); err == nil || !strings.Contains(err.Error(), "refused our certificate chain") || strings.Contains(err.Error(), "over legacy") {
		t.Errorf("got %v", err)
	}
}

func TestRequest_CutsOffAServerThatGoesOn(t *testing.T) {
	g := newGrid(t)
	flood := func(start string) func(net.Conn) {
		return func(conn net.Conn) {
			chunk := []byte(strings.Repeat(" ", 16<<10))
			_, err := conn.Write([]byte(start))
			for range 100 << 20 / len(chunk) {
				if err == nil {
					_, err = conn.Write(chunk)
				}
			}
		}
	}
	for protocol, answer := range map[Protocol]func(net.Conn){
		REST:   flood("HTTP/1.1 200 OK\r\n\r\n<voms>"),
		Legacy: flood("<vomsans>"),
	} {
		s := g.serve(t, &fakeServer{rest: answer, legacy: answer})
		c := g.client(s)
		c.Protocol = protocol
		if _, err := c.Request(t.Context(), Request{VO: "testvo"}); err == nil || !strings.Contains(err.Error(), "more than 1048576 bytes, and was cut off") {
			t.Errorf("%s: %v", protocol, err)
		}
	}
	headers := g.serve(t, &fakeServer{rest: flood("HTTP/1.1 200 OK\r\nX: ")})
	c := g.client(headers)
	c.Protocol = REST
	if _, err := c.Request(t.Context(), Request{VO: "testvo"}); err == nil {
		t.Error("a header without end is read")
	}
}

// A server that stalls is waited for once, whatever protocols are left; then comes the next.
func TestRequest_LeavesAServerThatStalls(t *testing.T) {
	g := newGrid(t)
	hang := func(conn net.Conn) { conn.Read(make([]byte, 1)) } // until the client has gone
	for name, s := range map[string]*fakeServer{
		"REST":             {rest: hang, legacy: hang},
		"legacy":           {legacy: hang},
		"within an answer": {legacy: func(conn net.Conn) { says("<vomsans>")(conn); hang(conn) }},
	} {
		t.Run(name, func(t *testing.T) {
			live := g.serve(t, &fakeServer{legacy: says(legacyAnswer(g.ac(nil), ""))})
			stalled := g.serve(t, s)
			c := g.client(stalled)
			c.Timeout = 200 * time.Millisecond
			_, err := c.Request(t.Context(), Request{VO: "testvo"})
			if err == nil || !strings.HasSuffix(err.Error(), ": no answer within 200ms") {
				t.Fatalf("got %v", err)
			}
			c.Servers = g.client(stalled, live).Servers
			if grant, err := c.Request(t.Context(), Request{VO: "testvo"}); err != nil || grant.Server != live.Server {
				t.Errorf("the next server: %+v, %v", grant, err)
			}
		})
	}
}

func TestRequest_EndsWithItsContext(t *testing.T) {
	g := newGrid(t)
	ctx, cancel := context.WithCancel(t.Context())
	stalled := g.serve(t, &fakeServer{rest: func(conn net.Conn) { cancel(); conn.Read(make([]byte, 1)) }})
	next := g.serve(t, &fakeServer{legacy: says(legacyAnswer(g.ac(nil), ""))})
	_, err := g.client(stalled, next).Request(ctx, Request{VO: "testvo"})
	failed, ok := errors.AsType[*RequestError](err)
	if !ok || !errors.Is(err, context.Canceled) || len(failed.Tried) != 1 {
		t.Errorf("got %v", err)
	}
}

func TestRequest_UsesNoProxyOfTheEnvironment(t *testing.T) {
	g := newGrid(t)
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "ALL_PROXY", "HTTP_PROXY"} {
		t.Setenv(name, "http://127.0.0.1:1")
	}
	s := g.serve(t, &fakeServer{rest: overHTTP("200 OK", restAnswer(g.ac(nil), ""))})
	c := g.client(s)
	if _, err := c.Request(t.Context(), Request{VO: "testvo"}); err != nil {
		t.Error(err)
	}
	var dialled string
	c.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		dialled = address
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	if _, err := c.Request(t.Context(), Request{VO: "testvo"}); err != nil || dialled != s.Address() {
		t.Errorf("through Dial: %q, %v", dialled, err)
	}
}
