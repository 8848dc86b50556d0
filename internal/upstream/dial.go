package upstream

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"gsigw/gsi"
)

// open makes a connection for t: the checked address, the proxy's tunnel where there is one, then security.
func (c *Client) open(ctx context.Context, t *Target) (*conn, error) {
	generation := c.pool.now()
	raw, addr, err := c.connect(ctx, t)
	if err != nil {
		return nil, err
	}
	hctx, cancel := context.WithTimeoutCause(ctx, t.Timeouts.Handshake, &timeoutError{"the handshake", t.Timeouts.Handshake})
	defer cancel()
	cn, err := c.secure(hctx, raw, t, addr)
	if err != nil {
		raw.Close()
		return nil, err
	}
	cn.raw, cn.key, cn.addr, cn.generation = raw, t.key(), addr, generation
	cn.r, cn.w = bufio.NewReaderSize(cn.Conn, 16<<10), bufio.NewWriterSize(cn.Conn, 16<<10)
	cn.expires = c.expiry(t, cn.peer)
	return cn, nil
}

// connect opens the TCP connection, to the proxy where there is one.
func (c *Client) connect(ctx context.Context, t *Target) (*wire, string, error) {
	hop, allow := t.URL, t.Allow
	if t.Proxy != nil {
		if ip, ok := t.literalIP(); ok {
			if err := checkIP(ip, t.Allow); err != nil {
				return nil, "", &Error{Op: OpAddress, Addr: t.addr(), Err: err}
			}
		}
		hop, allow = t.Proxy.URL, t.Proxy.Allow
	}
	addrs, refusal := c.resolve(ctx, hop.Hostname(), portOf(hop), allow, t.Timeouts.Resolve)
	if refusal != nil {
		return nil, "", refusal
	}
	raw, addr, err := c.dialFirst(ctx, addrs, t.Timeouts.Dial)
	where := fmt.Sprintf("%s (%s)", hostPort(hop), addr)
	if err != nil {
		return nil, "", &Error{Op: OpDial, Addr: where, Err: err}
	}
	return &wire{Conn: raw, pause: t.Timeouts.Progress}, where, nil
}

// dialFirst dials the addresses in order until one answers. They are literals: nothing is resolved again.
func (c *Client) dialFirst(ctx context.Context, addrs []netip.AddrPort, timeout time.Duration) (net.Conn, netip.AddrPort, error) {
	var failed error
	for i, addr := range addrs {
		dctx, cancel := context.WithTimeout(ctx, timeout)
		raw, err := c.config.Dial(dctx, "tcp", addr.String())
		cancel()
		if err == nil {
			return raw, addr, nil
		}
		err = legError(ctx, err, "connecting", timeout)
		if failed = err; i > 0 {
			failed = fmt.Errorf("%w (and %d more addresses before it)", err, i)
		}
		if ctx.Err() != nil {
			return nil, addr, failed
		}
	}
	return nil, addrs[len(addrs)-1], failed
}

// expiry is when a connection takes no further call: the certificates on both sides were valid when it was
// opened, and the end of one, or a reloaded CRL, must reach it.
func (c *Client) expiry(t *Target, peer *gsi.Identity) time.Time {
	end := c.config.Now().Add(c.config.MaxAge)
	if t.Credential != nil {
		end = earlier(end, t.Credential.NotAfter())
	}
	if peer != nil {
		end = earlier(end, peer.NotAfter)
	}
	return end
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// tunnel asks the proxy for a connection to the target.
func tunnel(ctx context.Context, raw *wire, t *Target) error {
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	defer stop()
	var b bytes.Buffer
	fmt.Fprintf(&b, "CONNECT %s HTTP/1.1\r\nHost: %[1]s\r\n%s\r\n", t.addr(), proxyAuthorization(t.Proxy.URL))
	if _, err := raw.Write(b.Bytes()); err != nil {
		return legError(ctx, err, "the proxy", t.Timeouts.Handshake)
	}
	r := bufio.NewReader(raw)
	h, err := readHead(r, "CONNECT", t.Limits.Header)
	switch {
	case err != nil:
		return legError(ctx, err, "the proxy", t.Timeouts.Handshake)
	case h.status == 407:
		return errors.New("the proxy wants other credentials (407); set user and password in its URL")
	case h.status/100 != 2:
		return fmt.Errorf("the proxy refused the tunnel with status %d", h.status)
	case r.Buffered() > 0:
		return framingError("the proxy sent bytes ahead of the tunnel")
	}
	return nil
}

// errCutOff: crypto/tls takes the end of TCP for the end of the stream, as browsers do, and a message without a
// length could be cut short unseen (RFC 8446, section 6.1).
var errCutOff = fmt.Errorf("%w, without TLS's close_notify", io.ErrUnexpectedEOF)

// wire is the TCP connection under a call. It bounds every pause: each write has its deadline, and so has each
// read of a body, while the head has one for the whole of it.
type wire struct {
	net.Conn
	pause   time.Duration
	secured bool // TLS is up: whoever ends the stream below it is not the peer

	mu        sync.Mutex
	streaming bool
}

func (w *wire) Write(p []byte) (int, error) {
	w.SetWriteDeadline(time.Now().Add(w.pause))
	return w.Conn.Write(p)
}

func (w *wire) Read(p []byte) (int, error) {
	w.mu.Lock()
	if w.streaming {
		w.SetReadDeadline(time.Now().Add(w.pause))
	}
	w.mu.Unlock()
	n, err := w.Conn.Read(p)
	if w.secured && err == io.EOF {
		err = errCutOff
	}
	return n, err
}

// awaitHead bounds the time to the end of the reply's head, unless it has come already.
func (w *wire) awaitHead(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.streaming {
		w.SetReadDeadline(time.Now().Add(d))
	}
}

// stream says whether a body is being read.
func (w *wire) stream(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.streaming = on
}
