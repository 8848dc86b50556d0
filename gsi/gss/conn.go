package gss

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"gsigw/gsi"
)

const (
	maxFlight    = 1 << 20 // a token of the handshake
	closeTimeout = time.Second
)

// ErrTooLong is what [Conn.Receive] says of a message beyond the limit.
var ErrTooLong = errors.New("gss: the peer's message is longer than the limit")

// Conn is a context over a connection. One message is one token, and tokens are TLS records that need no further
// framing; from the peer a length of four bytes before the token is taken too, as Globus takes it (gss_assist,
// tokens_f.c). After the first error the Conn is of no more use. It is not for concurrent use.
type Conn struct {
	context   *Context
	raw       net.Conn
	in        *bufio.Reader
	delegated *gsi.Credential
	silent    bool // the last step sent nothing
	greeting  bool // nothing has come since a TLS 1.3 handshake: it may be the byte that Globus keeps it going with
	err       error
}

// Client makes a context as initiator over raw, and tells the acceptor whether it delegates: '0' for no, or 'D' and a
// proxy (gssapi, init_sec_context.c). On error raw is closed.
func Client(ctx context.Context, raw net.Conn, config Config) (*Conn, error) {
	c, err := Initiate(config)
	return establish(ctx, raw, c, err, (*Conn).sendFlag)
}

// Server makes a context as acceptor over raw, and takes what the client delegates: see [Conn.Delegated]. On error
// raw is closed. A stranger may stall for as long as ctx lets him: give it a deadline.
func Server(ctx context.Context, raw net.Conn, config Config) (*Conn, error) {
	c, err := Accept(config)
	return establish(ctx, raw, c, err, (*Conn).receiveFlag)
}

func establish(ctx context.Context, raw net.Conn, c *Context, err error, flag func(*Conn, context.Context) error) (*Conn, error) {
	if err != nil {
		raw.Close()
		return nil, err
	}
	conn := &Conn{context: c, raw: raw, in: bufio.NewReader(raw)}
	if err = conn.bound(ctx, conn.handshake); err == nil {
		err = flag(conn, ctx)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// Peer returns who is at the other end, nil for an anonymous client.
func (c *Conn) Peer() *gsi.Identity { return c.context.Peer() }

// Version returns the version of TLS.
func (c *Conn) Version() uint16 { return c.context.Version() }

// Delegated returns the credential that the client handed to the [Server], nil when there was none.
func (c *Conn) Delegated() *gsi.Credential { return c.delegated }

// Send seals a message and sends it.
func (c *Conn) Send(ctx context.Context, message []byte) error {
	return c.bound(ctx, func() error {
		token, err := c.context.Wrap(message)
		if err != nil {
			return err
		}
		return c.write(token)
	})
}

// Receive returns the next message, of limit bytes at most. Beyond it is [ErrTooLong]. io.EOF says that the peer
// closed the context; io.ErrUnexpectedEOF that it closed the connection without, as Globus servers do.
//
// A message of more than 16 KB comes in pieces, as many as it has TLS records, and nothing says which is the last:
// see [Conn.ReceiveUntil].
func (c *Conn) Receive(ctx context.Context, limit int) ([]byte, error) {
	var message []byte
	err := c.bound(ctx, func() (err error) {
		message, err = c.receive(limit)
		return err
	})
	if err != nil {
		return nil, err
	}
	return message, nil
}

// ReceiveUntil puts messages together until whole says that they are one, or refuses them. The limit is for all of
// them.
func (c *Conn) ReceiveUntil(ctx context.Context, limit int, whole func(message []byte) (bool, error)) ([]byte, error) {
	var message []byte
	for {
		piece, err := c.Receive(ctx, limit-len(message))
		if err != nil {
			return nil, err
		}
		message = append(message, piece...)
		done, err := whole(message)
		if err != nil {
			return nil, err
		}
		if done {
			return message, nil
		}
	}
}

// Close tells the peer that nothing follows and closes the connection.
func (c *Conn) Close() error {
	if token := c.context.Close(); token != nil && c.err == nil {
		c.raw.SetWriteDeadline(time.Now().Add(closeTimeout))
		c.raw.Write(token)
	}
	if c.err == nil {
		c.err = ErrClosed
	}
	return c.raw.Close()
}

// bound runs one exchange. When ctx ends, whatever the connection is waiting for ends too.
func (c *Conn) bound(ctx context.Context, exchange func() error) error {
	if c.err != nil {
		return c.err
	}
	stop := context.AfterFunc(ctx, func() { c.raw.SetDeadline(time.Unix(1, 0)) })
	c.err = exchange()
	if !stop() {
		c.err = fmt.Errorf("gss: %w", context.Cause(ctx))
	}
	return c.err
}

// handshake exchanges tokens until the context is established. crypto/tls bounds how many there can be.
func (c *Conn) handshake() error {
	if c.context.initiator {
		if err := c.step(nil); err != nil {
			return err
		}
	}
	for !c.context.Established() {
		token, err := readToken(c.in, maxFlight)
		if err != nil {
			return err
		}
		if err := c.step(token); err != nil {
			return err
		}
	}
	return nil
}

// step sends what Step has to say even when it fails: the peer may want to know why.
func (c *Conn) step(token []byte) error {
	out, err := c.context.Step(token)
	c.silent = len(out) == 0
	if sent := c.write(out); err == nil {
		err = sent
	}
	return err
}

func (c *Conn) write(token []byte) error {
	if len(token) == 0 {
		return nil
	}
	if _, err := c.raw.Write(token); err != nil {
		return c.lost(fmt.Errorf("gss: send: %w", err))
	}
	return nil
}

// lost: with TLS 1.3 a server judges our certificate after our handshake is over, and its alert may be lost with the
// connection.
func (c *Conn) lost(err error) error {
	_, broken := errors.AsType[*net.OpError](err)
	if c.greeting && (broken || errors.Is(err, io.ErrUnexpectedEOF)) {
		return fmt.Errorf("%w; the server had said nothing yet: it may have refused our certificate", err)
	}
	return err
}

// receive passes over tokens without a message: with TLS 1.3 session tickets, with TLS 1.0 the empty records that
// OpenSSL sends before others. crypto/tls takes 16 records in a row that hold none.
func (c *Conn) receive(limit int) ([]byte, error) {
	for {
		message, err := c.next(limit)
		if err != nil || len(message) > 0 {
			return message, err
		}
	}
}

func (c *Conn) next(limit int) ([]byte, error) {
	if err := c.context.err; err != nil {
		return nil, err // a message and the end of the context came in one token
	}
	token, err := readToken(c.in, tokenLimit(limit))
	if err != nil {
		return nil, c.lost(err)
	}
	message, err := c.context.Unwrap(token)
	greeting := c.greeting && string(message) == "\x00"
	c.greeting = false
	switch {
	case err != nil:
		return nil, err
	case greeting:
		return nil, nil
	case len(message) > limit:
		return nil, ErrTooLong
	}
	return message, nil
}
