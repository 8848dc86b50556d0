package myproxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"gsigw/gsi"
	"gsigw/gsi/gss"
)

// options are what a command needs besides its request.
type options struct {
	renew   *gsi.Credential // the proof that the server may ask for
	limit   int             // of all that the server sends, in bytes; 0 means maxReply
	secrets []Secret        // which no error may quote, besides the request's passphrases
}

// session is one connection: one request, and what follows it.
type session struct {
	ctx context.Context
	options
	request    *request
	credential *gsi.Credential // the client's own; nil: anonymous
	conn       *gss.Conn
	in         *stream
}

// open connects, and sees to it that the server is the one that is meant.
func (c *Client) open(ctx context.Context, r *request, o options) (*session, error) {
	addr, host, err := c.address()
	if err != nil {
		return nil, err
	}
	if c.Trust == nil {
		return nil, errors.New("myproxy: the client has no Trust: without it no server can be told from another")
	}
	s := &session{ctx: ctx, options: o, request: r}
	if c.Credential != nil {
		if s.credential, err = c.Credential.Credential(ctx); err != nil {
			return nil, err
		}
	}
	if o.limit == 0 {
		o.limit = maxReply
	}
	s.in = &stream{left: o.limit, receive: s.receive}
	s.conn, err = c.connect(ctx, addr, host, s.credential)
	return s, err
}

func (c *Client) connect(ctx context.Context, addr, host string, as *gsi.Credential) (*gss.Conn, error) {
	dial := c.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	raw, err := dial(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	var stranger error // says it in fewer words than the handshake's error around it
	conn, err := gss.Client(ctx, raw, gss.Config{
		Credential: as,
		Trust:      c.Trust,
		Authorize: func(id *gsi.Identity) error {
			stranger = c.isServer(host, id)
			return stranger
		},
		Now:        c.Now,
		MinVersion: c.MinVersion,
	})
	return conn, cmp.Or(stranger, err)
}

func (s *session) receive(limit int) ([]byte, error) {
	b, err := s.conn.Receive(s.ctx, limit)
	switch {
	case errors.Is(err, gss.ErrTooLong):
		return nil, errTooMuch
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, fmt.Errorf("myproxy: the server hung up before its reply was complete; its log may say why: %w", err)
	}
	return b, err
}

func (s *session) send(message []byte) error { return s.conn.Send(s.ctx, message) }

// run sends the request and reads the answer to it.
func (s *session) run(message []byte, follow func(*session, *reply) error) error {
	if err := s.send(message); err != nil {
		return err
	}
	ok, err := s.answer()
	if err != nil {
		return err
	}
	return follow(s, ok)
}

// answer reads replies up to an OK, giving the authorization that the server asks for in between.
func (s *session) answer() (*reply, error) {
	for range maxRounds {
		r, err := s.reply()
		if err != nil || r.response == responseOK {
			return r, err
		}
		proof, err := s.authorization(r.offers())
		if err != nil {
			return nil, err
		}
		if err := s.send(proof); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%w: it has asked %d times", ErrAuthorization, maxRounds)
}

// reply reads one reply, and makes an error of a refusal.
func (s *session) reply() (*reply, error) {
	text, err := s.in.text()
	if err != nil {
		return nil, err
	}
	return s.understand(text)
}

func (s *session) understand(text []byte) (*reply, error) {
	r, err := parseReply(text)
	if err == nil && r.response == responseError {
		return nil, serverError(s.request.command, r.values(keyError), s.secrets)
	}
	return r, err
}

// notRefused looks whether the server sends a refusal where DER should be: every text begins with VERSION, no SEQUENCE
// begins with 'V', and no chain that is taken has as many certificates as 'V' has as a number.
func (s *session) notRefused() error {
	first, err := s.in.peek()
	if err != nil || first != keyVersion[0] {
		return err
	}
	if _, err := s.reply(); err != nil {
		return err
	}
	return protocolError("it sends a text where a certificate or a request should be")
}
