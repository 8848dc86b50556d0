// Package gss makes security contexts as GSI's GSS-API does: a TLS handshake whose flights are tokens, and messages
// that are sealed into tokens. It is the channel of MyProxy, of the VOMS server's own port and of GRAM.
//
// Most callers want a [Conn], a context over a connection. A client dials, says whom it means to talk to, and then
// sends and receives messages:
//
//	raw, err := new(net.Dialer).DialContext(ctx, "tcp", "myproxy.example.org:7512")
//	conn, err := gss.Client(ctx, raw, gss.Config{
//		Credential: cred,  // the user's proxy
//		Trust:      store, // a *trust.Store
//		Authorize: func(peer *gsi.Identity) error {
//			if !trust.HostMatches(peer.EndEntity, "myproxy.example.org") {
//				return fmt.Errorf("the server is %s", peer.DN)
//			}
//			return nil
//		},
//	})
//	defer conn.Close()
//	err = conn.Send(ctx, []byte("VERSION=MYPROXYv2\nCOMMAND=2\n...\x00"))
//	reply, err := conn.Receive(ctx, 64<<10)
//
// A server calls [Server] with the connection it accepted. Both bind every wait to their context, and every message
// to a limit. With [Config.Delegate] the client hands the server a proxy of its credential while the context is made.
//
// Where tokens travel otherwise, in SOAP messages say, a [Context] makes and takes them one by one:
//
//	c, err := gss.Initiate(config)
//	defer c.Close()
//	token, err := c.Step(nil)
//	for err == nil && !c.Established() {
//		token, err = c.Step(exchange(token))
//	}
//	// With TLS 1.3 there is a last token, which has no answer. Then:
//	sealed, err := c.Wrap(message)
//
// Nobody is trusted but by [Config.Trust], and nobody is talked to whom [Config.Authorize] does not know. crypto/x509
// has no say: it cannot walk a chain of proxies.
package gss

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"

	"gsigw/gsi"
)

// MaxMessage is the length of the longest message that [Context.Wrap] takes, in bytes. Its token stays below the
// 2^24 bytes that Globus takes.
const MaxMessage = 8 << 20

// maxReply bounds what TLS itself has to say between two messages of ours, such as answers to key updates.
const maxReply = 64 << 10

// ErrClosed is what a context or connection says after Close.
var ErrClosed = errors.New("gss: the context is closed")

// Context is one side of a security context. It is not for concurrent use. After the first error it is of no more
// use, and every call returns that error again.
type Context struct {
	config    Config
	initiator bool
	wire      *wire
	tls       *tls.Conn

	resume func() (struct{}, bool) // runs the handshake until it wants the next token; false: it is over
	stop   func()
	result error // of the handshake, when it is over

	asked       bool // the acceptor wanted a certificate
	rejected    error
	peer        *gsi.Identity
	established bool
	err         error // why the context is of no more use
}

// Initiate makes the side that speaks first. It refuses a Config without Trust or Authorize.
func Initiate(config Config) (*Context, error) {
	if err := config.checkInitiator(); err != nil {
		return nil, err
	}
	c := &Context{config: config, initiator: true, wire: &wire{}}
	c.tls = tls.Client(c.wire, c.initiatorTLS())
	return c, nil
}

// Accept makes the side that is spoken to. It refuses a Config without Trust or Credential.
func Accept(config Config) (*Context, error) {
	if err := config.checkAcceptor(); err != nil {
		return nil, err
	}
	c := &Context{config: config, wire: &wire{}}
	c.tls = tls.Server(c.wire, c.acceptorTLS())
	return c, nil
}

// Step takes the peer's token, nil for the initiator's first step, and returns the token that the peer is to get,
// nil when there is none. A token is one TLS record or several, all of them whole; a flight of the handshake may
// come in several tokens. An error may come with a token, which tells the peer what was wrong.
//
// With TLS 1.3 the initiator is established with its last token out: whether the acceptor takes it shows in the
// acceptor's first message.
func (c *Context) Step(token []byte) ([]byte, error) {
	if err := c.checkStep(token); err != nil {
		return nil, c.fail(err)
	}
	if c.resume == nil {
		c.resume, c.stop = iter.Pull(c.handshake)
	}
	c.wire.put(token)
	_, more := c.resume()
	out := c.wire.take()
	if more {
		return out, nil
	}
	return out, c.finish()
}

func (c *Context) checkStep(token []byte) error {
	switch {
	case c.err != nil:
		return c.err
	case c.established:
		return errors.New("gss: a handshake token for a context that is established")
	case c.initiator && c.resume == nil && len(token) > 0:
		return errors.New("gss: the initiator's first step takes no token")
	case c.initiator && c.resume == nil:
		return nil
	}
	return checkRecords(token)
}

// handshake is a coroutine of Step's: no goroutine runs besides the caller's.
func (c *Context) handshake(yield func(struct{}) bool) {
	c.wire.wait = func() bool { return yield(struct{}{}) }
	c.result = c.tls.Handshake()
	c.wire.wait = nil
}

func (c *Context) finish() error {
	switch {
	case c.rejected != nil:
		return c.fail(c.rejected) // as it stands, without what crypto/tls may add
	case c.result != nil:
		return c.fail(handshakeError(c.result))
	case c.wire.pending():
		return c.fail(errors.New("gss: the token goes on after the end of the handshake"))
	case c.initiator && c.config.Credential != nil && !c.asked:
		return c.fail(errors.New("gss: the acceptor asked for no certificate, so it does not know who calls; leave the credential out if that is meant"))
	}
	c.established = true
	return nil
}

func handshakeError(err error) error {
	if refusedByPeer(err) {
		return fmt.Errorf("gss: the peer refused the handshake: %w", err)
	}
	return fmt.Errorf("gss: handshake: %w", err)
}

// refusedByPeer reports whether the peer ended TLS with an alert.
func refusedByPeer(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "remote error"
}

// Established reports whether messages may be wrapped.
func (c *Context) Established() bool { return c.established && c.err == nil }

// Peer returns who is at the other end, nil before the context is established and for an anonymous initiator.
func (c *Context) Peer() *gsi.Identity {
	if !c.established {
		return nil
	}
	return c.peer
}

// Version returns the version of TLS, 0 before the context is established.
func (c *Context) Version() uint16 {
	if !c.established {
		return 0
	}
	return c.tls.ConnectionState().Version
}

func (c *Context) peerChain() []*x509.Certificate { return c.tls.ConnectionState().PeerCertificates }

// Wrap seals a message of 1 to [MaxMessage] bytes into a token. A message of more than 16 KB takes several TLS
// records, and so does one of two bytes or more with the CBC ciphers of TLS 1.0.
func (c *Context) Wrap(message []byte) ([]byte, error) {
	if err := c.checkOpen(); err != nil {
		return nil, err
	}
	if len(message) == 0 || len(message) > MaxMessage {
		return nil, fmt.Errorf("gss: a message of %d bytes; 1 to %d are taken", len(message), MaxMessage)
	}
	if _, err := c.tls.Write(message); err != nil {
		return nil, c.fail(fmt.Errorf("gss: wrap: %w", err))
	}
	return c.wire.take(), nil
}

// Unwrap opens a token, one TLS record or several. A token may hold no message, only something that TLS has to say:
// then there is neither a message nor an error. io.EOF says that the peer closed the context.
func (c *Context) Unwrap(token []byte) ([]byte, error) {
	if err := c.checkOpen(); err != nil {
		return nil, err
	}
	if err := checkRecords(token); err != nil {
		return nil, c.fail(err)
	}
	c.wire.put(token)
	message, err := readAvailable(c.tls, len(token))
	switch {
	case err == io.EOF:
		c.fail(io.EOF)
		if len(message) > 0 {
			return message, nil
		}
		return nil, io.EOF
	case err != nil && refusedByPeer(err):
		return nil, c.fail(fmt.Errorf("gss: the peer refused us or our certificate: %w", err))
	case err != nil:
		return nil, c.fail(fmt.Errorf("gss: unwrap: %w", err))
	case len(c.wire.out) > maxReply:
		return nil, c.fail(errors.New("gss: the peer changes its keys without end"))
	}
	return message, nil
}

// readAvailable reads the plaintext of the records that have been put.
func readAvailable(r io.Reader, size int) ([]byte, error) {
	message := make([]byte, 0, size)
	for {
		n, err := r.Read(message[len(message):cap(message)])
		message = message[:len(message)+n]
		if err == errNoMore {
			return message, nil
		}
		if err != nil {
			return message, err
		}
	}
}

func (c *Context) checkOpen() error {
	if c.err == nil && !c.established {
		return errors.New("gss: the context is not established")
	}
	return c.err
}

// Close ends the context and returns the token that tells the peer, nil where there is nothing to tell. A context
// that is left before it is established must be closed, or its handshake waits for ever.
func (c *Context) Close() []byte {
	if c.stop != nil {
		c.stop()
	}
	var token []byte
	if c.Established() {
		c.tls.CloseWrite()
		token = c.wire.take()
	}
	if c.err == nil {
		c.err = ErrClosed
	}
	return token
}

// fail ends the context with its first error.
func (c *Context) fail(err error) error {
	if c.err == nil {
		c.err = err
		if c.stop != nil {
			c.stop()
		}
	}
	return c.err
}
