package upstream

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"gsigw/gsi"
)

const (
	lateAnswer = time.Second           // after a failed write, for the answer that may explain it
	lateWrite  = 50 * time.Millisecond // after a full reply, for the writer to notice that it is done
)

// conn is a connection that carries one call at a time, for one key.
type conn struct {
	net.Conn // plain or TLS, over raw
	raw      *wire
	r        *bufio.Reader
	w        *bufio.Writer // holds a small request whole, so that it goes out in one record

	key        key
	addr       string
	peer       *gsi.Identity
	version    uint16
	generation int
	expires    time.Time
	timer      *time.Timer // while idle
}

// bye closes an idle connection with TLS's close_notify, for which it does not wait long.
func (cn *conn) bye() {
	cn.raw.pause = lateAnswer
	cn.Close()
}

// quiet reports whether an idle connection is still open and silent. A byte that came unasked would be taken for
// the answer to the next request, whether it waits in the kernel or in a TLS record; release has seen to our own
// buffer.
func (cn *conn) quiet() bool {
	if !silent(cn.raw.Conn) {
		return false
	}
	if _, secured := cn.Conn.(*tls.Conn); secured {
		cn.SetReadDeadline(time.Unix(1, 0)) // look at what crypto/tls has read already, and no further
		var timeout net.Error
		if n, err := cn.Conn.Read(make([]byte, 1)); n > 0 || !errors.As(err, &timeout) || !timeout.Timeout() {
			return false
		}
	}
	return cn.SetReadDeadline(time.Time{}) == nil
}

// call is one exchange on a connection.
type call struct {
	*conn
	ctx     context.Context
	target  *Target
	pool    *pool
	done    func()      // ends ctx
	stop    func() bool // leaves the connection open when ctx ends; false if it is too late
	written chan error  // how writing the request ended
	source  source
}

// source notes that reading the request's body failed, which says nothing about the peer.
type source struct {
	io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// roundTrip sends the request and reads the reply's head. The two go on side by side: a service may answer, and
// mostly refuse, before it has read everything.
func (cn *conn) roundTrip(ctx context.Context, done func(), t *Target, r *Request, head []byte, p *pool) (*Reply, error) {
	c := &call{conn: cn, ctx: ctx, target: t, pool: p, done: done, written: make(chan error, 1)}
	cn.raw.pause = t.Timeouts.Progress
	c.stop = context.AfterFunc(ctx, func() { cn.raw.Close() })
	go func() { c.written <- c.send(head, r) }()
	h, err := readHead(cn.r, r.Method, t.Limits.Header)
	if err != nil {
		return nil, c.fail(err, "the reply's header", t.Timeouts.Header)
	}
	reply, err := c.reply(h)
	if err != nil {
		return nil, c.fail(err, "", 0)
	}
	return reply, nil
}

func (c *call) send(head []byte, r *Request) error {
	body := *r
	if r.Body != nil {
		c.source.Reader = r.Body
		body.Body = &c.source
	}
	_, err := c.w.Write(head)
	if err == nil {
		err = writeBody(c.w, &body)
	}
	if c.source.err != nil || errors.Is(err, errBodyLength) {
		c.raw.Close() // half a request must not look like a whole one
		return err
	}
	if err == nil {
		err = c.w.Flush()
	}
	if err != nil {
		c.raw.awaitHead(lateAnswer)
		return &Error{Op: OpWrite, Addr: c.addr, Err: legError(c.ctx, err, "a pause in sending the request", c.target.Timeouts.Progress)}
	}
	c.raw.awaitHead(c.target.Timeouts.Header)
	return nil
}

func (c *call) reply(h *head) (*Reply, error) {
	if h.status/100 == 3 && h.status != 304 {
		location := h.header.Get("Location")
		return nil, &Redirect{Status: h.status, Location: location[:min(len(location), 256)]}
	}
	limit := c.target.Limits.Body
	if h.length > limit {
		return nil, fmt.Errorf("%w message of %d", ErrTooLarge, limit)
	}
	packed := &limitReader{r: framedBody(c.r, h, c.target.Limits), left: limit, limit: limit}
	unpacked, err := unpack(h, packed)
	if err != nil {
		return nil, err
	}
	c.raw.stream(true)
	body := &replyBody{call: c, r: &limitReader{r: unpacked, left: limit, limit: limit}, reusable: h.persistent()}
	return &Reply{Status: h.status, Header: h.header, Body: body, Peer: c.peer, Version: c.version}, nil
}

// fail ends the call and closes the connection. Of all that went wrong it picks what the operator can act on:
// the caller's going away, then our own body, then the peer's refusal, then what a write met, then the rest.
func (c *call) fail(err error, what string, after time.Duration) *Error {
	cause := context.Cause(c.ctx)
	before := len(c.written) > 0 // later, the writer fails because the connection is closed
	wrote := c.end()
	var write *Error
	switch isWrite := errors.As(wrote, &write); {
	case cause != nil:
		return &Error{Op: OpRead, Addr: c.addr, Err: cause}
	case wrote != nil && !isWrite:
		return &Error{Op: OpWrite, Addr: c.addr, Err: wrote}
	case refusedByPeer(err):
		return &Error{Op: OpHandshake, Addr: c.addr, Err: err}
	case before && isWrite && opOf(err) == OpRead && !errors.Is(err, ErrTooLarge):
		return write
	}
	return &Error{Op: opOf(err), Addr: c.addr, Err: c.explain(err, what, after)}
}

func opOf(err error) Op {
	switch {
	case errors.As(err, new(framingError)):
		return OpFraming
	case errors.As(err, new(*Redirect)):
		return OpRedirect
	}
	return OpRead
}

func (c *call) explain(err error, what string, after time.Duration) error {
	if err == io.EOF || errors.Is(err, syscall.ECONNRESET) && !c.raw.streaming {
		return ErrNoAnswer
	}
	return legError(context.WithoutCancel(c.ctx), err, what, after)
}

// end closes the connection and waits for the writer, which reads the caller's body.
func (c *call) end() error {
	c.stop()
	c.raw.Close()
	err := <-c.written
	c.done()
	return err
}

// release gives the connection back where both messages came to their ends, and closes it otherwise.
func (c *call) release(reusable bool) {
	if !reusable || c.r.Buffered() > 0 || !c.wrote() || !c.stop() {
		c.end()
		return
	}
	c.done()
	c.raw.stream(false)
	c.pool.put(c.conn)
}

// wrote reports whether the request has been written to its end.
func (c *call) wrote() bool {
	timer := time.NewTimer(lateWrite)
	defer timer.Stop()
	select {
	case err := <-c.written:
		c.written <- err
		return err == nil
	case <-timer.C:
		return false
	}
}

// replyBody reads a reply's body and lets go of the connection at its end.
type replyBody struct {
	call     *call
	r        io.Reader
	reusable bool
	over     error // what every further Read returns
}

func (b *replyBody) Read(p []byte) (int, error) {
	if b.over != nil {
		return 0, b.over
	}
	n, err := b.r.Read(p)
	switch {
	case err == io.EOF:
		b.over = io.EOF
		b.call.release(b.reusable)
	case err != nil:
		b.over = b.call.fail(err, "a pause in the reply's body", b.call.target.Timeouts.Progress)
	}
	return n, b.over
}

// Close lets go of the connection, which is closed unless the body was read to its end.
func (b *replyBody) Close() error {
	if b.over == nil {
		b.over = errors.New("upstream: read from a closed body")
		b.call.end()
	}
	return nil
}
