// Package upstream is the gateway's one dialler: every byte that leaves for a service leaves here.
//
// A [Target] says where a call goes and as whom, a [Request] says what is sent, and [Client.Do] makes one
// HTTP/1.1 exchange of it:
//
//	c := upstream.New(upstream.Config{Trust: store, Own: listeners})
//	reply, err := c.Do(ctx, &upstream.Target{
//		URL:        serviceURL,
//		Transport:  upstream.GSI,
//		Credential: alice,
//	}, &upstream.Request{Method: "POST", Header: header, Body: body, Length: size})
//	if err != nil {
//		return err // an *upstream.Error: which leg failed, at which address, why
//	}
//	defer reply.Body.Close()
//
// What the package holds to, whatever the caller does:
//
//   - The address that was checked is the one that is dialled. Loopback, link-local and the gateway's own
//     listeners are refused unless the target allows them.
//   - The server's certificate is judged by [Verifier] and by name (or by [Target.PeerDN]) on every TLS
//     connection, before a byte of the request is written.
//   - A connection belongs to one target, one credential and one peer rule. No other call ever travels on it.
//   - No redirect is followed, no cookie kept, no proxy taken from the environment.
//   - A request is written at most once. Where the peer goes away, the caller hears of it: a signed message
//     carries a MessageID, and sending it again would be a replay.
//   - A response that two readers could frame in two ways is refused and its connection closed. This is why
//     the package reads HTTP itself: net/http takes bare line feeds, folded headers and repeated lengths.
package upstream

import (
	"context"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"gsigw/gsi"
)

// Mode is how the connection to a service is secured. The zero Mode is none of them and is refused, so that
// a forgotten field never means plain text.
type Mode int

const (
	Plain Mode = iota + 1 // http: nothing is secured
	TLS                   // https: the server is authenticated, we are not
	GSI                   // https: the proxy chain is our client certificate
)

// Verifier judges the certificate chain of a server, leaf first. trust.Store is one.
type Verifier interface {
	Verify(chain []*x509.Certificate, at time.Time) (*gsi.Identity, error)
}

// Resolver finds the addresses of a name. net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Config is what all calls of a Client share.
type Config struct {
	Trust Verifier         // judges servers; without it every TLS connection is refused
	Own   []netip.AddrPort // the gateway's own listeners; an unspecified address stands for all of this machine's

	MaxIdle        int           // idle connections in all; 0 means 64
	MaxIdlePerPeer int           // idle connections for one target, credential and peer rule; 0 means 4
	IdleTimeout    time.Duration // an idle connection is closed after this; 0 means 30 s
	MaxAge         time.Duration // a connection takes no new call after this, so that CRLs reach it; 0 means 10 min

	Resolver Resolver                                                          // nil means net.DefaultResolver
	Dial     func(ctx context.Context, network, addr string) (net.Conn, error) // nil means net.Dialer; addr is an IP literal
	Now      func() time.Time                                                  // nil means time.Now; judges certificates
}

// Target is where a call goes, as whom, and whom it expects there.
type Target struct {
	URL        *url.URL        // absolute, http for Plain, https for TLS and GSI
	Transport  Mode            //
	Credential *gsi.Credential // the client certificate; with GSI only
	PeerDN     []string        // who may answer, OpenSSL one-line form; empty: a certificate for the URL's host
	Allow      Allow           // addresses that are otherwise refused
	Proxy      *Proxy          // the HTTP proxy on the way; nil: none
	Gzip       bool            // ask for a compressed reply; one that comes compressed is unpacked in any case
	Timeouts   Timeouts        //
	Limits     Limits          //
}

// Allow names the kinds of address that a target may have. Multicast, broadcast and unspecified addresses
// are never dialled.
type Allow struct {
	Loopback  bool // 127.0.0.0/8 and ::1
	LinkLocal bool // 169.254.0.0/16 and fe80::/10
	Own       bool // a listener of the gateway itself
}

// Proxy is an HTTP proxy: asked in absolute form for http targets, with CONNECT for https. The address check
// applies to the proxy, which does the resolving; a target given as an IP literal is checked all the same.
type Proxy struct {
	URL   *url.URL // http://[user:password@]host:port
	Allow Allow
}

// Timeouts bound each leg of a call; 0 means the default.
type Timeouts struct {
	Resolve   time.Duration // name to addresses: 5 s
	Dial      time.Duration // TCP connection, for each address: 10 s
	Handshake time.Duration // CONNECT and TLS: 15 s
	Progress  time.Duration // the longest pause while the request is written or the reply's body is read: 60 s
	Header    time.Duration // from the request's last byte to the end of the reply's header: 2 min
	Total     time.Duration // the whole call, until Reply.Body is closed: 15 min
}

// Limits bound a reply, in bytes; 0 means the default.
type Limits struct {
	Header int64 // status line and header fields: 64 KiB
	Body   int64 // the body, as sent and as unpacked: 64 MiB
}

// Request is one HTTP request. The caller decides which header fields go out; those that frame the message or
// belong to the connection are the dialler's, and naming one is an error.
//
// Body is read until Do fails or Reply.Body is closed, never after. A Body that can block must give up when
// the call's context ends.
type Request struct {
	Method string
	Header http.Header
	Body   io.Reader // nil means no body
	Length int64     // of Body in bytes; -1 means unknown, and the body is sent chunked
}

// Reply is the service's answer. Its Body fails where the message ends early, breaks its framing or outgrows
// [Limits], and must be closed.
type Reply struct {
	Status  int // never 1xx; 3xx only as 304
	Header  http.Header
	Body    io.ReadCloser
	Peer    *gsi.Identity // who answered; nil over Plain
	Version uint16        // of TLS, as in crypto/tls; 0 over Plain
}

// Client makes calls. It is safe for concurrent use.
type Client struct {
	config Config
	pool   pool
}

// New returns a Client. It starts nothing and opens nothing.
func New(config Config) *Client {
	setDefault(&config.MaxIdle, 64)
	setDefault(&config.MaxIdlePerPeer, 4)
	setDefault(&config.IdleTimeout, 30*time.Second)
	setDefault(&config.MaxAge, 10*time.Minute)
	if config.Resolver == nil {
		config.Resolver = net.DefaultResolver
	}
	if config.Dial == nil {
		config.Dial = (&net.Dialer{}).DialContext
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	return &Client{config: config, pool: pool{max: config.MaxIdle, perKey: config.MaxIdlePerPeer, timeout: config.IdleTimeout}}
}

// Reset closes all idle connections and lets those in use take no further call. Call it when credentials,
// anchors or CRLs were reloaded.
func (c *Client) Reset() { c.pool.reset() }

// Do makes one call. Its error is an [*Error]; after one, the connection it happened on is closed.
func (c *Client) Do(ctx context.Context, t *Target, r *Request) (*Reply, error) {
	t = t.withDefaults()
	now := c.config.Now()
	if err := t.check(now); err != nil {
		return nil, &Error{Op: OpTarget, Addr: t.addr(), Err: err}
	}
	head, err := requestHead(t, r)
	if err != nil {
		return nil, &Error{Op: OpTarget, Addr: t.addr(), Err: err}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, t.Timeouts.Total, &timeoutError{"the whole call", t.Timeouts.Total})
	reply, err := c.exchange(ctx, cancel, t, r, head)
	if err != nil {
		cancel()
		return nil, err
	}
	return reply, nil
}

func (c *Client) exchange(ctx context.Context, done func(), t *Target, r *Request, head []byte) (*Reply, error) {
	cn := c.pool.take(t.key(), c.config.Now())
	if cn == nil {
		var err error
		if cn, err = c.open(ctx, t); err != nil {
			return nil, err
		}
	}
	return cn.roundTrip(ctx, done, t, r, head, &c.pool)
}

func setDefault[T int | int64 | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}
