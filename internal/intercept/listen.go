package intercept

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

// Listen opens "host:port", or "unix:/path" with the file mode 0600 or 0660.
// A socket file that nobody answers on any more is replaced.
func Listen(address string, mode fs.FileMode) (net.Listener, error) {
	path, isUnix := strings.CutPrefix(address, "unix:")
	if !isUnix {
		ln, err := net.Listen("tcp", address)
		if err != nil {
			return nil, fmt.Errorf("intercept: %w", err)
		}
		return ln, nil
	}
	if mode != 0o600 && mode != 0o660 {
		return nil, fmt.Errorf("intercept: socket %s: the mode must be 0600 or 0660, not %04o", path, mode)
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("intercept: %w", err)
	}
	if err := os.Chmod(path, mode); err != nil {
		ln.Close()
		return nil, fmt.Errorf("intercept: %w", err)
	}
	return ln, nil
}

func removeStale(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return nil // nothing there, or Listen will say
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("intercept: %s exists and is no socket; remove it or listen elsewhere", path)
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		c.Close()
		return fmt.Errorf("intercept: somebody already listens on %s", path)
	}
	return os.Remove(path)
}

// safeOn reports why these callers cannot be told apart on a listener.
func (c callers) safeOn(addr net.Addr, t *tls.Config) error {
	if t != nil && len(t.Certificates) == 0 && t.GetCertificate == nil {
		return errors.New("intercept: TLS needs a certificate")
	}
	if c.any(CallerRule.hasCert) && (t == nil || t.ClientCAs == nil) {
		return errors.New("intercept: callers with a client certificate need a TLS listener with a CA for them")
	}
	if c.wantUID() && !canFindUID {
		return errors.New("intercept: the caller's uid can be found on Linux only; give each caller a secret")
	}
	if isLocal(addr) {
		return nil
	}
	weak := c.any(func(r CallerRule) bool { return r.Secret == nil && !r.hasCert() })
	switch {
	case t == nil:
		return fmt.Errorf("intercept: %s can be reached from other machines: listen on 127.0.0.1, or give the listener TLS", addr)
	case weak:
		return fmt.Errorf("intercept: %s can be reached from other machines: every caller needs a secret or a client certificate", addr)
	case c.wantUID():
		return fmt.Errorf("intercept: %s can be reached from other machines, whose uids cannot be known; drop the uid from the callers", addr)
	}
	return nil
}

func isLocal(addr net.Addr) bool {
	return addr.Network() == "unix" || addrPort(addr).Addr().IsLoopback()
}

// admitting learns each connection's peer and bounds how many are open.
type admitting struct {
	net.Listener
	mayCall func(peer) bool
	places  chan struct{}
	// strangers are connections whose peer no rule admits: they get an answer,
	// but not the places of those who may call.
	strangers chan struct{}
	closed    chan struct{}
	close     func()
}

const maxStrangers = 16

func newAdmitting(ln net.Listener, places int, mayCall func(peer) bool) *admitting {
	closed := make(chan struct{})
	return &admitting{
		Listener: ln, mayCall: mayCall,
		places: make(chan struct{}, places), strangers: make(chan struct{}, maxStrangers),
		closed: closed, close: sync.OnceFunc(func() { close(closed) }),
	}
}

func (l *admitting) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		p := findPeer(c)
		places, ok := l.place(p)
		if !ok {
			c.Close()
			continue
		}
		return &conn{c, p, sync.OnceFunc(func() { <-places })}, nil
	}
}

// place waits for a free place; a stranger does not wait.
func (l *admitting) place(p peer) (places chan struct{}, ok bool) {
	if !l.mayCall(p) {
		select {
		case l.strangers <- struct{}{}:
			return l.strangers, true
		default:
			return nil, false
		}
	}
	select {
	case l.places <- struct{}{}:
		return l.places, true
	case <-l.closed:
		return nil, false
	}
}

func (l *admitting) Close() error {
	l.close()
	return l.Listener.Close()
}

// conn is an accepted connection and who is at its other end.
type conn struct {
	net.Conn
	peer peer
	done func()
}

func (c *conn) Close() error {
	c.done()
	return c.Conn.Close()
}
