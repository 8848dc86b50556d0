package intercept

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestNew_RefusesUnsafeListeners(t *testing.T) {
	server := selfSigned(t, "server")
	withTLS := &tls.Config{Certificates: []tls.Certificate{server}, ClientCAs: pool(server.Leaf)}
	secret := []CallerRule{{Name: "a", Secret: mustSecret(t, odeSecret)}}
	cert := []CallerRule{{Name: "a", CertSubject: "CN=a"}}
	uid := []CallerRule{{Name: "a", UID: new(uint32(1))}}
	both := []CallerRule{{Name: "a", UID: new(uint32(1)), Secret: mustSecret(t, odeSecret)}}
	for _, tc := range []struct {
		name, listen string
		tls          *tls.Config
		callers      []CallerRule
		words        string // "" for allowed
	}{
		{"loopback, default", "127.0.0.1:0", nil, nil, ""},
		{"IPv6 loopback, default", "[::1]:0", nil, nil, ""},
		{"loopback, secret", "127.0.0.1:0", nil, secret, ""},
		{"any, default", "0.0.0.0:0", nil, nil, "listen on 127.0.0.1"},
		{"any IPv6, default", "[::]:0", nil, nil, "listen on 127.0.0.1"},
		{"any, secret without TLS", "0.0.0.0:0", nil, secret, "listen on 127.0.0.1"},
		{"any, TLS alone", "0.0.0.0:0", withTLS, nil, "needs a secret or a client certificate"},
		{"any, TLS and uid", "0.0.0.0:0", withTLS, uid, "needs a secret or a client certificate"},
		{"any, TLS, one weak rule", "0.0.0.0:0", withTLS, append(uid, secret...), "needs a secret or a client certificate"},
		{"any, TLS, uid and secret", "0.0.0.0:0", withTLS, both, "drop the uid"},
		{"any, TLS and secret", "0.0.0.0:0", withTLS, secret, ""},
		{"any, TLS and certificate", "0.0.0.0:0", withTLS, cert, ""},
		{"certificate without TLS", "127.0.0.1:0", nil, cert, "TLS listener"},
		{"certificate without CA", "127.0.0.1:0", &tls.Config{Certificates: withTLS.Certificates}, cert, "TLS listener"},
		{"TLS without certificate", "127.0.0.1:0", &tls.Config{}, secret, "needs a certificate"},
	} {
		if strings.HasPrefix(tc.listen, "[") && !hasIPv6() {
			continue
		}
		t.Run(tc.name, func(t *testing.T) {
			ln, err := Listen(tc.listen, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			_, err = New(ln, Config{Gateway: &recorder{}, Forward: true, TLS: tc.tls, Callers: tc.callers})
			if tc.words == "" && err != nil || tc.words != "" && (err == nil || !strings.Contains(err.Error(), tc.words)) {
				t.Errorf("got %v, want %q", err, tc.words)
			}
		})
	}
}

func TestNew_RefusesEmptyConfigs(t *testing.T) {
	ln, err := Listen("127.0.0.1:0", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for words, cfg := range map[string]Config{
		"Gateway is missing": {Forward: true},
		"nothing to do":      {Gateway: &recorder{}},
		"listener name":      {Gateway: &recorder{}, Forward: true, Names: []string{"a b"}},
	} {
		if _, err := New(ln, cfg); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("got %v, want %q", err, words)
		}
	}
}

func TestListen_UnixSocketHasMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	if _, err := Listen("unix:"+path, 0o666); err == nil {
		t.Fatal("mode 0666 passed")
	}
	ln, err := Listen("unix:"+path, 0o660)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if _, err := Listen("unix:"+path, 0o600); err == nil || !strings.Contains(err.Error(), "already listens") {
		t.Errorf("a live socket was replaced: %v", err)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	ln.Close()
	again, err := Listen("unix:"+path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen("unix:"+path, 0o600); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("a file was replaced: %v", err)
	}
}

func TestServer_BoundsConnections(t *testing.T) {
	g := &recorder{}
	s := start(t, Config{Gateway: g, Forward: true, Limits: Limits{Connections: 1}})
	first, second := dial(t, s.Addr()), dial(t, s.Addr())
	br := bufio.NewReader(first)
	send(t, first, br, getThroughIt+"\r\n")
	io.WriteString(second, getThroughIt+"\r\n")
	send(t, first, br, getThroughIt+"\r\n")
	if got := g.count(); got != 2 {
		t.Errorf("%d requests: the second connection was served beside the first", got)
	}
	first.Close()
	if resp, err := http.ReadResponse(bufio.NewReader(second), nil); err != nil || resp.StatusCode != 200 {
		t.Errorf("the second connection never came: %v", err)
	}
}

// Another user of the machine must not be able to keep the engine out.
func TestServer_StrangersTakeNoPlaces(t *testing.T) {
	g := &recorder{}
	me := uint32(os.Geteuid())
	s := start(t, Config{
		Gateway: g, Forward: true, Callers: []CallerRule{{Name: "other", UID: new(me + 1)}},
		Limits: Limits{Connections: 1, HeaderTime: time.Hour, Grace: time.Millisecond},
	})
	var last net.Conn
	for range maxStrangers + 1 {
		last = dial(t, s.Addr())
	}
	if _, err := io.ReadAll(last); err != nil {
		t.Errorf("one stranger too many: %v", err)
	}
	if err := s.SetCallers([]CallerRule{{Name: "me", UID: new(me)}}); err != nil {
		t.Fatal(err)
	}
	status, body := raw(t, s, strings.TrimSuffix(getThroughIt, "\r\n"), "", "")
	wantStatus(t, status, body, 200, "ok")
}

func TestServer_EndsSlowHeadAndIdleConnection(t *testing.T) {
	s := start(t, Config{Gateway: &recorder{}, Forward: true, Limits: Limits{HeaderTime: 50 * time.Millisecond, Idle: 50 * time.Millisecond}})
	slow := dial(t, s.Addr())
	io.WriteString(slow, "GET http://gt4.ex")
	if _, err := io.ReadAll(slow); err != nil {
		t.Errorf("a slow head: %v", err)
	}
	idle := dial(t, s.Addr())
	br := bufio.NewReader(idle)
	send(t, idle, br, getThroughIt+"\r\n")
	if _, err := br.ReadByte(); err != io.EOF {
		t.Errorf("an idle connection: %v", err)
	}
}

func TestServer_ShutdownFinishesOpenExchanges(t *testing.T) {
	begun, finish := make(chan struct{}, 2), make(chan struct{})
	g := &recorder{serve: func(w http.ResponseWriter, r *http.Request) {
		begun <- struct{}{}
		<-finish
		io.WriteString(w, "finished")
	}}
	s, authority := startForward(t, g)
	plain := dial(t, s.Addr())
	inside, insideReader := open(t, s, authority, "gt4.example:8443", "")
	io.WriteString(plain, getThroughIt+"\r\n")
	io.WriteString(inside, "GET /a HTTP/1.1\r\nHost: gt4.example:8443\r\n\r\n")
	<-begun
	<-begun
	ended := make(chan error)
	go func() { ended <- s.Shutdown(context.Background()) }()
	for { // until the listener is gone
		c, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			break
		}
		c.Close()
	}
	close(finish)
	for _, br := range []*bufio.Reader{bufio.NewReader(plain), insideReader} {
		resp, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, _ := io.ReadAll(resp.Body); string(body) != "finished" {
			t.Errorf("got %q", body)
		}
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// serving runs Serve and gives the end of its context and its result.
func serving(t *testing.T, g *recorder, grace time.Duration) (s *Server, cancel func(), ended chan error) {
	t.Helper()
	ln, err := Listen("127.0.0.1:0", 0)
	if err != nil {
		t.Fatal(err)
	}
	if s, err = New(ln, Config{Gateway: g, Forward: true, Limits: Limits{Grace: grace}}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended = make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }()
	return s, cancel, ended
}

func TestServer_ServeReturnsAfterOpenExchanges(t *testing.T) {
	begun, finish := make(chan struct{}), make(chan struct{})
	g := &recorder{serve: func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		<-finish
		io.WriteString(w, "finished")
	}}
	s, cancel, ended := serving(t, g, time.Minute)
	c := dial(t, s.Addr())
	io.WriteString(c, getThroughIt+"\r\n")
	<-begun
	cancel()
	select {
	case <-ended:
		t.Error("Serve returned before the exchange ended")
	case <-time.After(50 * time.Millisecond):
	}
	close(finish)
	if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || resp.StatusCode != 200 {
		t.Errorf("got %v, %v", resp, err)
	}
	if err := <-ended; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

func TestServer_GraceEndsWithHangingExchange(t *testing.T) {
	begun := make(chan struct{})
	g := &recorder{serve: func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		<-r.Context().Done()
	}}
	s, cancel, ended := serving(t, g, 50*time.Millisecond)
	c := dial(t, s.Addr())
	io.WriteString(c, getThroughIt+"\r\n")
	<-begun
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

func TestServer_TellsOfRefusals(t *testing.T) {
	told := make(chan *Refusal, 1)
	s := start(t, Config{
		Gateway: &recorder{}, Forward: true,
		Refused: func(_ *http.Request, why *Refusal) { told <- why },
	})
	raw(t, s, "GET /a HTTP/1.1", "Host: a", "", "")
	if why := <-told; why.Status != 400 || !strings.Contains(why.Error(), "HTTP proxy") {
		t.Errorf("told %v", why)
	}
}
