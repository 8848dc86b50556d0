package gss_test

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"gsigw/gsi"
	"gsigw/gsi/gss"
	"gsigw/internal/gridtest"
	"gsigw/trust"
)

var versions = []uint16{tls.VersionTLS12, tls.VersionTLS13}

// grid is a PKI with what both sides need to meet.
type grid struct {
	pki   *gridtest.PKI
	store *trust.Store
	alice *gsi.Credential // a proxy of the user's
}

// example is the grid of all tests: nothing in it changes.
var example = func() *grid {
	dir := gridtest.Must(os.MkdirTemp("", "gss"))
	defer os.RemoveAll(dir) // the store has read it
	pki := gridtest.Must(gridtest.NewPKI(dir, gridtest.PKIOptions{}))
	return &grid{pki, gridtest.Must(trust.Open(pki.TrustDir, trust.Options{})), gridtest.Must(pki.Proxy(gsi.Limits{}))}
}()

func anyone(*gsi.Identity) error { return nil }

// initiator and acceptor are the sides that like each other.
func (g *grid) initiator() gss.Config {
	return gss.Config{Credential: g.alice, Trust: g.store, Authorize: anyone}
}

func (g *grid) acceptor() gss.Config { return gss.Config{Credential: g.pki.Host, Trust: g.store} }

func withVersion(c gss.Config, version uint16) gss.Config {
	c.MinVersion, c.MaxVersion = version, version
	return c
}

// later is a clock that is ahead.
func later(d time.Duration) func() time.Time {
	return func() time.Time { return time.Now().Add(d) }
}

func contexts(t testing.TB, initiator, acceptor gss.Config) (i, a *gss.Context) {
	t.Helper()
	i, err := gss.Initiate(initiator)
	if err != nil {
		t.Fatal(err)
	}
	a, err = gss.Accept(acceptor)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { i.Close(); a.Close() })
	return i, a
}

// meet carries tokens between the two until neither has any more to say.
func meet(i, a *gss.Context) (initiating, accepting error) {
	token, initiating := i.Step(nil)
	for len(token) > 0 && initiating == nil && accepting == nil {
		var reply []byte
		reply, accepting = a.Step(token)
		token = nil
		if len(reply) > 0 && !i.Established() {
			token, initiating = i.Step(reply)
		} else if len(reply) > 0 {
			_, initiating = i.Unwrap(reply) // an alert of TLS 1.3, after the handshake
		}
	}
	if len(token) > 0 && accepting == nil {
		_, accepting = a.Step(token) // the alert that goes with an error
	}
	return initiating, accepting
}

// established makes contexts that have met.
func established(t testing.TB, initiator, acceptor gss.Config) (i, a *gss.Context) {
	t.Helper()
	i, a = contexts(t, initiator, acceptor)
	if initiating, accepting := meet(i, a); initiating != nil || accepting != nil {
		t.Fatalf("initiator: %v; acceptor: %v", initiating, accepting)
	}
	return i, a
}

func wrap(t testing.TB, c *gss.Context, message string) []byte {
	t.Helper()
	token, err := c.Wrap([]byte(message))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// loopback connects two ends over TCP.
func loopback(t testing.TB) (client, server net.Conn) {
	t.Helper()
	l := gridtest.Must(net.Listen("tcp", "127.0.0.1:0"))
	defer l.Close()
	client = gridtest.Must(net.Dial("tcp", l.Addr().String()))
	server = gridtest.Must(l.Accept())
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

// aside runs one end of a connection while the test goes on, and to its end before the test ends.
func aside(t testing.TB, end net.Conn, run func()) {
	done := make(chan struct{})
	t.Cleanup(func() { end.Close(); <-done })
	go func() {
		defer close(done)
		run()
	}()
}

type result struct {
	conn *gss.Conn
	err  error
}

// dial runs a client against a server.
func dial(t testing.TB, initiator, acceptor gss.Config) (client, server result) {
	t.Helper()
	near, far := loopback(t)
	done := make(chan result)
	go func() {
		conn, err := gss.Server(t.Context(), far, acceptor)
		done <- result{conn, err}
	}()
	conn, err := gss.Client(t.Context(), near, initiator)
	return result{conn, err}, <-done
}

func connect(t testing.TB, initiator, acceptor gss.Config) (client, server *gss.Conn) {
	t.Helper()
	c, s := dial(t, initiator, acceptor)
	if c.err != nil || s.err != nil {
		t.Fatalf("client: %v; server: %v", c.err, s.err)
	}
	t.Cleanup(func() { c.conn.Close(); s.conn.Close() })
	return c.conn, s.conn
}

// peer makes a server that has shaken hands and nothing else, to misbehave by hand.
func peer(t testing.TB, version uint16) (client *gss.Conn, server *gss.Context, far net.Conn) {
	t.Helper()
	near, far := loopback(t)
	acceptor := gridtest.Must(gss.Accept(example.acceptor()))
	done := make(chan error)
	go func() {
		_, err := gss.Handshake(t.Context(), far, acceptor)
		done <- err
	}()
	client, err := gss.Client(t.Context(), near, withVersion(example.initiator(), version))
	if err := errors.Join(err, <-done); err != nil {
		t.Fatal(err)
	}
	return client, acceptor, far
}
