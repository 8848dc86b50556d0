package upstream

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gsigw/gsi"
)

const keepAlive = "HTTP/1.1 200 OK\r\nX: keep\r\nContent-Length: 5\r\n\r\nhello"

// sayConnection answers with the connection's remote address and the user on it.
func sayConnection(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	fmt.Fprintf(w, "%s %s", r.RemoteAddr, gsi.OneLine(r.TLS.PeerCertificates[0].RawSubject))
}

// connectionOf makes a call and says on which connection.
func connectionOf(t *testing.T, c *Client, target *Target) string {
	t.Helper()
	_, body, err := doCall(c, t.Context(), target, post("x"))
	if err != nil {
		t.Fatal(err)
	}
	addr, _, _ := strings.Cut(body, " ")
	return addr
}

func TestPool_ReusesAConnectionForTheSameCall(t *testing.T) {
	g := newGrid(t, sayConnection, nil)
	c := g.client(t)
	first := connectionOf(t, c, g.target(t))
	for range 3 {
		if again := connectionOf(t, c, g.target(t)); again != first {
			t.Errorf("a second connection, %s after %s", again, first)
		}
	}
}

func TestPool_NeverSharesAConnection(t *testing.T) {
	g := newGrid(t, sayConnection, nil)
	user := g.ca.issue(t, "Alice", nil)
	g.alice = newProxy(t, user, gsi.Limits{})
	for name, edit := range map[string]func(*Target){
		"with another user":             func(t2 *Target) { t2.Credential = newProxy(t, g.ca.issue(t, "Bob", nil), gsi.Limits{}) },
		"with a renewed credential":     func(t2 *Target) { t2.Credential = newProxy(t, user, gsi.Limits{}) },
		"with a deeper proxy":           func(t2 *Target) { t2.Credential = newProxy(t, g.alice, gsi.Limits{}) },
		"with another peer rule":        func(t2 *Target) { t2.PeerDN = []string{"/O=Grid/CN=host/service.example.org"} },
		"with another host name":        func(t2 *Target) { t2.URL.Host = "service.example.org:" + t2.URL.Port() },
		"with another address rule":     func(t2 *Target) { t2.Allow.LinkLocal = true },
		"with a call after a reload":    nil,
		"with a call past the age":      nil,
		"with a call after it is idle ": nil,
	} {
		t.Run(name, func(t *testing.T) {
			var ahead atomic.Int64
			c := newClient(t, Config{Trust: g.ca, Resolver: names{"service.example.org": {"127.0.0.1"}},
				Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }})
			first := connectionOf(t, c, g.target(t))
			target := g.target(t)
			switch {
			case edit != nil:
				edit(target)
			case strings.Contains(name, "age"):
				ahead.Store(int64(10*time.Minute + time.Second))
			case strings.Contains(name, "idle"):
				c.pool.drop(c.pool.idle[0])
			default:
				c.Reset()
			}
			if second := connectionOf(t, c, target); second == first {
				t.Error("the connection was shared")
			}
		})
	}
}

// A credential that runs out takes its connections with it, though the handshake was in time.
func TestPool_DropsAConnectionWhenACertificateRunsOut(t *testing.T) {
	for _, who := range []string{"user", "server"} {
		g := newGrid(t, sayConnection, nil)
		trust := &shortLived{Verifier: g.ca}
		if who == "user" {
			g.alice = newProxy(t, g.alice, gsi.Limits{Lifetime: 2 * time.Minute})
		} else {
			trust.end = time.Now().Add(2 * time.Minute)
		}
		var ahead atomic.Int64
		c := newClient(t, Config{Trust: trust, Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }})
		connectionOf(t, c, g.target(t))
		ahead.Store(int64(3 * time.Minute))
		if cn := c.pool.take(g.target(t).key(), c.config.Now()); cn != nil {
			t.Errorf("%s: the connection outlived the certificate", who)
		}
	}
}

type shortLived struct {
	Verifier
	end time.Time
}

func (s *shortLived) Verify(chain []*x509.Certificate, at time.Time) (*gsi.Identity, error) {
	id, err := s.Verifier.Verify(chain, at)
	if err == nil && !s.end.IsZero() {
		id.NotAfter = s.end
	}
	return id, err
}

func TestPool_KeepsUsersApartUnderLoad(t *testing.T) {
	g := newGrid(t, sayConnection, nil)
	c := newClient(t, Config{Trust: g.ca, MaxIdlePerPeer: 2, MaxIdle: 5})
	var wg sync.WaitGroup
	for i := range 4 {
		user := fmt.Sprintf("User %d", i)
		cred := newProxy(t, g.ca.issue(t, user, nil), gsi.Limits{})
		for range 3 {
			wg.Go(func() {
				for range 20 {
					target := g.target(t)
					target.Credential = cred
					_, body, err := doCall(c, t.Context(), target, post(user))
					if err != nil || !strings.Contains(body, "/O=Grid/CN="+user+"/CN=") {
						t.Errorf("%s was seen as %q, error %v", user, body, err)
					}
				}
			})
		}
	}
	wg.Wait()
	if n := len(c.pool.idle); n > 5 {
		t.Errorf("%d idle connections, want 5 at most", n)
	}
}

// A call that is under way at a reload ends in peace, and takes its connection with it.
func TestPool_KeepsNoConnectionFromBeforeAReload(t *testing.T) {
	c := newClient(t, Config{})
	target := answering(t, keepAlive)
	reply, err := c.Do(t.Context(), target, post("x"))
	if err != nil {
		t.Fatal(err)
	}
	c.Reset()
	if body, err := io.ReadAll(reply.Body); err != nil || string(body) != "hello" || len(c.pool.idle) > 0 {
		t.Errorf("got %q, error %v, %d idle connections", body, err, len(c.pool.idle))
	}
	if _, _, err := doCall(c, t.Context(), target, post("x")); err != nil || len(c.pool.idle) != 1 {
		t.Errorf("error %v, %d idle connections, want 1", err, len(c.pool.idle))
	}
	c.Reset()
	if len(c.pool.idle) > 0 {
		t.Error("an idle connection outlived the reload")
	}
}

func TestPool_BoundsIdleConnections(t *testing.T) {
	p := &pool{max: 3, perKey: 2, timeout: time.Hour}
	for i := range 5 {
		for range 3 {
			client, server := net.Pipe()
			defer server.Close()
			p.put(&conn{Conn: client, raw: &wire{Conn: client}, r: bufio.NewReader(client), key: key{port: uint16(i)}})
		}
		if n := p.count(func(cn *conn) bool { return cn.key.port == uint16(i) }); n > 2 {
			t.Errorf("%d idle connections for one key, want 2", n)
		}
	}
	if len(p.idle) != 3 || p.idle[2].key.port != 4 {
		t.Errorf("%d idle connections, want the 3 newest", len(p.idle))
	}
	p.reset()
}

// What a service sends ahead of the next request would be taken for its answer (response queue poisoning).
func TestPool_DropsAConnectionThatSpokeUnasked(t *testing.T) {
	for name, tail := range map[string]string{"with the reply": "HTTP/1.1 200 OK\r\nX: keep\r\nContent-Length: 5\r\n\r\nfalse", "at its end": "x"} {
		t.Run(name, func(t *testing.T) {
			var connections atomic.Int32
			target := rawServer(t, func(c net.Conn, r *bufio.Reader) {
				connections.Add(1)
				for readRequest(r) != nil {
					io.WriteString(c, keepAlive+tail)
				}
			})
			c := newClient(t, Config{})
			for range 3 {
				if _, body, err := doCall(c, t.Context(), target, post("x")); err != nil || body != "hello" {
					t.Fatalf("got %q, error %v", body, err)
				}
			}
			if connections.Load() != 3 {
				t.Errorf("3 calls on %d connections", connections.Load())
			}
		})
	}
}

// The unasked bytes arrive later, or lie unread inside of TLS.
func TestPool_LooksForUnaskedBytesBeforeReuse(t *testing.T) {
	spoke := make(chan struct{})
	target := rawServer(t, func(c net.Conn, r *bufio.Reader) {
		readRequest(r)
		io.WriteString(c, keepAlive)
		<-spoke
		io.WriteString(c, keepAlive)
		spoke <- struct{}{}
		io.Copy(io.Discard, r)
	})
	c := newClient(t, Config{})
	if _, _, err := doCall(c, t.Context(), target, post("x")); err != nil {
		t.Fatal(err)
	}
	spoke <- struct{}{}
	<-spoke
	if cn := c.pool.take(target.key(), time.Now()); cn != nil {
		t.Error("a connection with unasked bytes was taken")
	}
}

func TestPool_LooksForUnaskedBytesInsideOfTLS(t *testing.T) {
	ca := newCA(t)
	host := tlsCertificate(ca.issue(t, "host/service.example.org", loopbackHost))
	target := rawServer(t, func(raw net.Conn, _ *bufio.Reader) {
		both := &coalescing{Conn: raw}
		c := tls.Server(both, &tls.Config{Certificates: []tls.Certificate{host}, MaxVersion: tls.VersionTLS12})
		readRequest(bufio.NewReader(c))
		both.hold = true
		io.WriteString(c, keepAlive)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfalse")
		raw.Write(both.held)
		io.Copy(io.Discard, raw)
	})
	target.URL.Scheme, target.Transport = "https", TLS
	c := newClient(t, Config{Trust: ca})
	_, body, err := doCall(c, t.Context(), target, post("x"))
	if err != nil || body != "hello" {
		t.Fatalf("got %q, error %v", body, err)
	}
	if cn := c.pool.take(target.key(), time.Now()); cn != nil {
		t.Error("a connection with an unread TLS record was taken")
	}
}

// coalescing keeps what is written, so that two records go out in one segment.
type coalescing struct {
	net.Conn
	hold bool
	held []byte
}

func (c *coalescing) Write(p []byte) (int, error) {
	if !c.hold {
		return c.Conn.Write(p)
	}
	c.held = append(c.held, p...)
	return len(p), nil
}

func TestPool_DropsAConnectionThatTheServiceClosed(t *testing.T) {
	closed := make(chan struct{}, 2)
	target := rawServer(t, func(c net.Conn, r *bufio.Reader) {
		readRequest(r)
		io.WriteString(c, keepAlive)
		c.Close()
		closed <- struct{}{}
	})
	c := newClient(t, Config{})
	for range 2 {
		if _, body, err := doCall(c, t.Context(), target, post("x")); err != nil || body != "hello" {
			t.Fatalf("got %q, error %v", body, err)
		}
		<-closed
	}
}

func TestPool_KeepsNoConnectionThatMayNotLast(t *testing.T) {
	for name, response := range map[string]string{
		"HTTP/1.0":              "HTTP/1.0 200 OK\r\nX: keep\r\nContent-Length: 5\r\n\r\nhello",
		"Connection: close":     "HTTP/1.1 200 OK\r\nX: keep\r\nConnection: x, Close\r\nContent-Length: 5\r\n\r\nhello",
		"a refused reply":       "HTTP/1.1 200 OK\r\nX: keep\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
		"a redirect":            "HTTP/1.1 302 Found\r\nX: keep\r\nContent-Length: 0\r\n\r\n",
		"a body that was left":  keepAlive,
		"a body beyond a limit": "HTTP/1.1 200 OK\r\nX: keep\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n" + strings.Repeat("x", 2000) + "\r\n0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			target := answering(t, response)
			target.Limits.Body = 1000
			c := newClient(t, Config{})
			reply, err := c.Do(t.Context(), target, post("x"))
			if err == nil && name != "a body that was left" {
				io.Copy(io.Discard, reply.Body)
			}
			if err == nil {
				reply.Body.Close()
			}
			if len(c.pool.idle) > 0 {
				t.Error("the connection was kept")
			}
		})
	}
}

// A peer that goes away while it is asked may have acted: the caller hears of it, and nothing is sent again.
func TestDo_NeverSendsARequestTwice(t *testing.T) {
	var requests atomic.Int32
	target := rawServer(t, func(c net.Conn, r *bufio.Reader) {
		for i := 0; readRequest(r) != nil; i++ {
			requests.Add(1)
			if i == 1 {
				return
			}
			io.WriteString(c, keepAlive)
		}
	})
	c := newClient(t, Config{})
	if _, _, err := doCall(c, t.Context(), target, post("x")); err != nil {
		t.Fatal(err)
	}
	_, _, err := doCall(c, t.Context(), target, post("x"))
	wantError(t, err, OpRead, "not sent again")
	if !errors.Is(err, ErrNoAnswer) || requests.Load() != 2 {
		t.Errorf("%v after %d requests", err, requests.Load())
	}
}
