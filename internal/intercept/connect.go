package intercept

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"

	"github.com/elazarl/goproxy"
)

// tunnel is the connection inside an allowed CONNECT.
type tunnel struct {
	net.Conn
	target string // host:port, normalised
	caller Caller
	leaf   *tls.Certificate
	done   func() // gives the tunnel's place back, once
}

func (t *tunnel) Close() error {
	t.done()
	return t.Conn.Close()
}

// abandon gives back the place of a tunnel that was never opened.
func (t *tunnel) abandon() {
	if t.Conn == nil {
		t.done()
	}
}

// allowTunnel decides on a CONNECT before anything is opened.
func (s *Server) allowTunnel(r *http.Request, caller Caller, head []byte) (*tunnel, *Refusal) {
	target, err := authority(r.RequestURI, "")
	switch {
	case err != nil || r.URL.User != nil:
		return nil, refuse(http.StatusBadRequest, "a CONNECT must name host:port and nothing else")
	case r.ContentLength != 0:
		return nil, refuse(http.StatusBadRequest, "a CONNECT must not have a body")
	}
	if no := hostAgrees(r, head, target); no != nil {
		return nil, no
	}
	if !s.gateway.Opens(caller, target) {
		return nil, refuse(http.StatusForbidden, fmt.Sprintf("no route names https://%s for this caller; add one to the gateway's config, or let the engine reach this host without the proxy", target))
	}
	authority := s.ca.Load()
	if authority == nil {
		return nil, refuse(http.StatusForbidden, "this proxy has no local CA to open a CONNECT with; make one with: gsigw ca init")
	}
	host, _, _ := net.SplitHostPort(target)
	leaf, err := authority.Leaf(host)
	if err != nil {
		return nil, refuse(http.StatusForbidden, err.Error())
	}
	select {
	case s.tunnels.places <- struct{}{}:
	default:
		return nil, refuse(http.StatusServiceUnavailable, "too many CONNECT tunnels are open; try again later")
	}
	release := sync.OnceFunc(func() { <-s.tunnels.places })
	return &tunnel{target: target, caller: caller, leaf: leaf, done: release}, nil
}

// openTunnel takes over the connection from goproxy.
func (s *Server) openTunnel(r *http.Request, c net.Conn, _ *goproxy.ProxyCtx) {
	t := arrivalOf(r).tunnel
	t.Conn = c
	if _, err := io.WriteString(c, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		t.Close()
		return
	}
	s.tunnels.hand(tls.Server(t, &tls.Config{
		Certificates: []tls.Certificate{*t.leaf},
		MinVersion:   tls.VersionTLS12,
		NextProtos:   []string{"http/1.1"},
		// A ticket would carry one tunnel's names into another.
		SessionTicketsDisabled: true,
	}))
}

// serveTunnel serves a request inside a CONNECT: the target is the tunnel's,
// and everything that names a host must agree.
func (s *Server) serveTunnel(w http.ResponseWriter, r *http.Request) {
	t := r.Context().Value(connKey{}).(*tunnel)
	takeSecret(r.Header)
	if no := t.agrees(r); no != nil {
		s.refuse(w, r, no)
		return
	}
	u, no := target("https", t.target, r)
	if no != nil {
		s.refuse(w, r, no)
		return
	}
	s.exchange(w, r, Call{Form: Connect, Caller: t.caller, Target: u})
}

func (t *tunnel) agrees(r *http.Request) *Refusal {
	host, _, _ := net.SplitHostPort(t.target)
	named, err := authority(r.Host, "443")
	switch {
	case r.Method == http.MethodConnect || r.URL.IsAbs():
		return refuse(http.StatusBadRequest, "inside a CONNECT the request target must be a path")
	case r.TLS.ServerName != "" && !strings.EqualFold(r.TLS.ServerName, host):
		return refuse(http.StatusMisdirectedRequest, fmt.Sprintf("the TLS server name %q is not the CONNECT target %s", r.TLS.ServerName, t.target))
	case err != nil || named != t.target:
		return refuse(http.StatusMisdirectedRequest, fmt.Sprintf("the Host %q is not the CONNECT target %s", r.Host, t.target))
	}
	return nil
}

// tunnels is the listener of what runs inside CONNECTs.
type tunnels struct {
	places chan struct{}
	conns  chan net.Conn
	closed chan struct{}
	close  func()
}

func newTunnels(places int) *tunnels {
	closed := make(chan struct{})
	return &tunnels{
		places: make(chan struct{}, places),
		conns:  make(chan net.Conn),
		closed: closed,
		close:  sync.OnceFunc(func() { close(closed) }),
	}
}

func (t *tunnels) hand(c net.Conn) {
	select {
	case t.conns <- c:
	case <-t.closed:
		c.Close()
	}
}

func (t *tunnels) Accept() (net.Conn, error) {
	select {
	case c := <-t.conns:
		return c, nil
	case <-t.closed:
		return nil, net.ErrClosed
	}
}

func (t *tunnels) Close() error   { t.close(); return nil }
func (t *tunnels) Addr() net.Addr { return tunnelAddr{} }

type tunnelAddr struct{}

func (tunnelAddr) Network() string { return "connect" }
func (tunnelAddr) String() string  { return "connect" }
