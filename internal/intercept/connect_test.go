package intercept

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"gsigw/internal/intercept/ca"
)

func TestConnect_HandsInnerRequestToGateway(t *testing.T) {
	g := &recorder{}
	s, authority := startForward(t, g)
	engine := client(t, s, nil, pool(authority.Certificate()))
	for _, target := range []string{"https://gt4.example:8443/wsrf/services/C%41?wsdl", "https://127.0.0.9/a"} {
		resp, err := engine.Get(target)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		want := strings.Replace(target, "127.0.0.9/", "127.0.0.9:443/", 1)
		if c, _ := g.last(t); c.Target.String() != want || c.Form != Connect || c.Caller.Name != "self" {
			t.Errorf("call %+v, target %s, want %s", c, c.Target, want)
		}
	}
}

func TestConnect_RefusesToOpen(t *testing.T) {
	for _, tc := range []struct {
		name, target string
		status       int
		words        string
	}{
		{"unrouted host", "evil.example:8443", 403, "no route names https://evil.example:8443"},
		{"unrouted port", "gt4.example:443", 403, "no route names https://gt4.example:443"},
		{"host beyond the CA's constraints", "unconstrained.example:443", 403, "may not speak for"},
		{"no port", "gt4.example", 400, "host:port"},
		{"odd port", "gt4.example:08443", 400, "host:port"},
		{"trailing dot", "gt4.example.:8443", 400, "host:port"},
		{"user info", "u@gt4.example:8443", 400, "host:port"},
		{"path", "/gt4.example:8443", 400, "host:port"},
		{"body", "gt4.example:8443 HTTP/1.0\r\nContent-Length: 3", 400, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, _ := startForward(t, &recorder{})
			line := "CONNECT " + tc.target
			if !strings.Contains(line, "HTTP/") {
				line += " HTTP/1.0"
			}
			status, body := raw(t, s, line, "", "")
			wantStatus(t, status, body, tc.status, tc.words)
			if len(s.tunnels.places) != 0 {
				t.Error("a tunnel is open")
			}
		})
	}
}

func TestConnect_NeedsCA(t *testing.T) {
	s := start(t, Config{Gateway: &recorder{opens: []string{"gt4.example:8443"}}, Forward: true})
	status, body := raw(t, s, "CONNECT gt4.example:8443 HTTP/1.1", "Host: gt4.example:8443", "", "")
	wantStatus(t, status, body, 403, "no local CA")
}

// open makes a CONNECT to target and a TLS session with serverName inside.
func open(t *testing.T, s *Server, authority *ca.Authority, target, serverName string) (*tls.Conn, *bufio.Reader) {
	t.Helper()
	c := dial(t, s.Addr())
	br := bufio.NewReader(c)
	io.WriteString(c, "CONNECT "+target+" HTTP/1.1\r\nHost: "+target+"\r\n\r\n")
	resp, err := http.ReadResponse(br, &http.Request{Method: "CONNECT"})
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("CONNECT: %v, %v", resp, err)
	}
	host, _, _ := net.SplitHostPort(target)
	inside := tls.Client(c, &tls.Config{
		ServerName: serverName, InsecureSkipVerify: true,
		VerifyConnection: func(cs tls.ConnectionState) error {
			_, err := cs.PeerCertificates[0].Verify(x509.VerifyOptions{DNSName: host, Roots: pool(authority.Certificate())})
			return err
		},
	})
	if err := inside.Handshake(); err != nil {
		t.Fatal(err)
	}
	return inside, bufio.NewReader(inside)
}

func TestConnect_TargetServerNameAndHostMustAgree(t *testing.T) {
	for _, tc := range []struct {
		name, target, sni, request string
		status                     int
		words                      string
	}{
		{"all one", "gt4.example:8443", "gt4.example", "GET /a HTTP/1.1\r\nHost: GT4.example:8443", 200, "ok"},
		{"no server name", "gt4.example:8443", "", "GET /a HTTP/1.1\r\nHost: gt4.example:8443", 200, "ok"},
		{"default port left out", "127.0.0.9:443", "", "GET /a HTTP/1.1\r\nHost: 127.0.0.9", 200, "ok"},
		{"other Host", "gt4.example:8443", "gt4.example", "GET /a HTTP/1.1\r\nHost: evil.example:8443", 421, "is not the CONNECT target"},
		{"other port", "gt4.example:8443", "gt4.example", "GET /a HTTP/1.1\r\nHost: gt4.example:443", 421, "is not the CONNECT target"},
		{"port left out", "gt4.example:8443", "gt4.example", "GET /a HTTP/1.1\r\nHost: gt4.example", 421, "is not the CONNECT target"},
		{"unreadable Host", "gt4.example:8443", "gt4.example", "GET /a HTTP/1.1\r\nHost: gt4.example.:8443", 421, "is not the CONNECT target"},
		{"empty Host", "gt4.example:8443", "gt4.example", "GET /a HTTP/1.1\r\nHost:", 421, "is not the CONNECT target"},
		{"other server name", "gt4.example:8443", "evil.example", "GET /a HTTP/1.1\r\nHost: gt4.example:8443", 421, "TLS server name"},
		{"server name for an address", "127.0.0.9:443", "gt4.example", "GET /a HTTP/1.1\r\nHost: 127.0.0.9", 421, "TLS server name"},
		{"absolute form", "gt4.example:8443", "gt4.example", "GET https://gt4.example:8443/a HTTP/1.1\r\nHost: gt4.example:8443", 400, "must be a path"},
		{"absolute form elsewhere", "gt4.example:8443", "gt4.example", "GET http://evil.example/a HTTP/1.1\r\nHost: gt4.example:8443", 400, "must be a path"},
		{"nested CONNECT", "gt4.example:8443", "gt4.example", "CONNECT gt4.example:8443 HTTP/1.1\r\nHost: gt4.example:8443", 400, "must be a path"},
		{"dot segment", "gt4.example:8443", "gt4.example", "GET /a/../b HTTP/1.1\r\nHost: gt4.example:8443", 400, "dot segment"},
		{"web page", "gt4.example:8443", "gt4.example", "GET /a HTTP/1.1\r\nHost: gt4.example:8443\r\nOrigin: https://evil.example", 403, "web page"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := &recorder{}
			s, authority := startForward(t, g)
			c, br := open(t, s, authority, tc.target, tc.sni)
			status, body := send(t, c, br, tc.request+"\r\n\r\n")
			wantStatus(t, status, body, tc.status, tc.words)
			if reached := g.count() == 1; reached != (tc.status == 200) {
				t.Errorf("%d requests reached the gateway", g.count())
			}
		})
	}
}

func TestConnect_ChecksEveryInnerRequest(t *testing.T) {
	g := &recorder{}
	s, authority := startForward(t, g)
	c, br := open(t, s, authority, "gt4.example:8443", "gt4.example")
	for range 2 {
		status, body := send(t, c, br, "POST /a HTTP/1.1\r\nHost: gt4.example:8443\r\nProxy-Authorization: Basic eDp5\r\nGsigw-Secret: z\r\n"+
			"Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n")
		wantStatus(t, status, body, 200, "ok")
	}
	if _, r := g.last(t); r.Header.Get("Proxy-Authorization") != "" || r.Header.Get(SecretHeader) != "" {
		t.Error("the inner secret passed")
	}
	status, _ := send(t, c, br, "POST /a HTTP/1.1\r\nHost: gt4.example:8443\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
	if status != 100 {
		t.Fatalf("got %d before the body", status)
	}
	status, body := send(t, c, br, "abcd")
	wantStatus(t, status, body, 200, "ok")
	status, body = send(t, c, br, "GET /a HTTP/1.1\r\nHost: evil.example:8443\r\n\r\n")
	wantStatus(t, status, body, 421, "")
	if g.count() != 3 {
		t.Errorf("%d requests reached the gateway", g.count())
	}
}

func TestConnect_HangUpCancelsContext(t *testing.T) {
	begun, cancelled := make(chan struct{}), make(chan struct{})
	g := &recorder{serve: func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		<-r.Context().Done()
		close(cancelled)
	}}
	s, authority := startForward(t, g)
	c, _ := open(t, s, authority, "gt4.example:8443", "gt4.example")
	io.WriteString(c, "GET /a HTTP/1.1\r\nHost: gt4.example:8443\r\n\r\n")
	<-begun
	c.NetConn().Close()
	select {
	case <-cancelled:
	case <-time.After(10 * time.Second):
		t.Error("the context did not end")
	}
}

func TestConnect_RefusesPlainHTTPInside(t *testing.T) {
	g := &recorder{}
	s, _ := startForward(t, g)
	c := dial(t, s.Addr())
	br := bufio.NewReader(c)
	io.WriteString(c, "CONNECT gt4.example:8443 HTTP/1.1\r\nHost: gt4.example:8443\r\n\r\n")
	http.ReadResponse(br, &http.Request{Method: "CONNECT"})
	io.WriteString(c, "GET /a HTTP/1.1\r\nHost: gt4.example:8443\r\n\r\n")
	resp, err := http.ReadResponse(br, nil)
	if err != nil || resp.StatusCode != 400 || g.count() != 0 {
		t.Errorf("got %v, %v; %d requests", resp, err, g.count())
	}
}

// An engine may send its hello together with the CONNECT.
func TestConnect_KeepsBytesSentAhead(t *testing.T) {
	g := &recorder{}
	s, authority := startForward(t, g)
	c := dial(t, s.Addr())
	ahead := &aheadOfConnect{Conn: c, connect: "CONNECT gt4.example:8443 HTTP/1.1\r\nHost: gt4.example:8443\r\n\r\n"}
	inside := tls.Client(ahead, &tls.Config{ServerName: "gt4.example", RootCAs: pool(authority.Certificate())})
	if err := inside.Handshake(); err != nil {
		t.Fatal(err)
	}
	status, body := send(t, inside, bufio.NewReader(inside), "GET /a HTTP/1.1\r\nHost: gt4.example:8443\r\n\r\n")
	wantStatus(t, status, body, 200, "ok")
}

// aheadOfConnect sends connect with the first bytes, and drops its answer.
type aheadOfConnect struct {
	net.Conn
	connect string
	br      *bufio.Reader
}

func (c *aheadOfConnect) Write(p []byte) (int, error) {
	if c.connect == "" {
		return c.Conn.Write(p)
	}
	_, err := c.Conn.Write(append([]byte(c.connect), p...))
	c.connect = ""
	return len(p), err
}

func (c *aheadOfConnect) Read(p []byte) (int, error) {
	if c.br == nil {
		c.br = bufio.NewReader(c.Conn)
		if _, err := http.ReadResponse(c.br, &http.Request{Method: "CONNECT"}); err != nil {
			return 0, err
		}
	}
	return c.br.Read(p)
}

func TestConnect_BoundsTunnels(t *testing.T) {
	g := &recorder{}
	authority, err := ca.New(ca.Options{Hosts: []string{"gt4.example"}})
	if err != nil {
		t.Fatal(err)
	}
	g.opens = []string{"gt4.example:8443"}
	s := start(t, Config{Gateway: g, Forward: true, CA: authority, Limits: Limits{Tunnels: 1, Grace: time.Second}})
	c, _ := open(t, s, authority, "gt4.example:8443", "gt4.example")
	status, body := raw(t, s, "CONNECT gt4.example:8443 HTTP/1.1", "Host: gt4.example:8443", "", "")
	wantStatus(t, status, body, 503, "too many CONNECT tunnels")
	c.Close()
	s.tunnels.places <- struct{}{} // waits until the first one's place is back
	<-s.tunnels.places
	open(t, s, authority, "gt4.example:8443", "gt4.example")
}
