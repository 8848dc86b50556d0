package intercept

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/elazarl/goproxy"

	"gsigw/internal/intercept/ca"
	"gsigw/internal/policy"
)

// Config describes one listener.
type Config struct {
	Gateway Gateway
	Callers []CallerRule // empty: the gateway's own uid, named "self"
	Forward bool         // serve as a forward proxy
	Routes  []Route      // serve reverse routes
	// Names are further host[:port] values that a reverse request's Host may
	// have; the address it came in on and, on loopback, localhost always may.
	Names []string
	CA    *ca.Authority // opens CONNECT; nil refuses every CONNECT
	// TLS makes the listener speak TLS. Of it, Certificates, GetCertificate
	// and ClientCAs are used.
	TLS    *tls.Config
	Limits Limits
	// Refused hears of every request that was turned away here; nil for none.
	// It may be called from several goroutines.
	Refused func(r *http.Request, why *Refusal)
	// ErrorLog takes net/http's complaints (broken handshakes, panics of the
	// Gateway); nil drops them.
	ErrorLog *log.Logger
}

// Limits bound what callers may use up. Zero means the default.
type Limits struct {
	Body        int64         // bytes of a request body; 32 MiB
	Header      int           // bytes of a request head; 64 KiB
	Connections int           // open at once; 1024. More wait to be accepted
	Tunnels     int           // CONNECTs open at once; 512. More get 503
	HeaderTime  time.Duration // for a request head, and a TLS handshake; 10 s
	Idle        time.Duration // between requests; 2 min
	Progress    time.Duration // without a byte read or written; 30 s
	Grace       time.Duration // for open exchanges when Serve's context ends; 10 s
}

func (l Limits) withDefaults() Limits {
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	def(&l.HeaderTime, 10*time.Second)
	def(&l.Idle, 2*time.Minute)
	def(&l.Progress, 30*time.Second)
	def(&l.Grace, 10*time.Second)
	if l.Body <= 0 {
		l.Body = 32 << 20
	}
	if l.Header <= 0 {
		l.Header = 64 << 10
	}
	if l.Connections <= 0 {
		l.Connections = 1024
	}
	if l.Tunnels <= 0 {
		l.Tunnels = 512
	}
	return l
}

// Server serves one listener.
type Server struct {
	listener net.Listener
	tls      *tls.Config // nil: plain
	gateway  Gateway
	callers  atomic.Pointer[callers]
	ca       atomic.Pointer[ca.Authority]
	routes   []Route
	names    []string
	limits   Limits
	refused  func(*http.Request, *Refusal)
	sorter   *goproxy.ProxyHttpServer // nil: no forward proxy
	tunnels  *tunnels
	outer    *http.Server // the listener's connections
	inner    *http.Server // what runs inside CONNECTs
	down     chan struct{}
	downOnce func()
}

// New checks cfg against the listener; ln may also come from a service
// manager's socket. Nothing is accepted before Serve.
func New(ln net.Listener, cfg Config) (*Server, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	s := &Server{
		gateway: cfg.Gateway, routes: cfg.Routes, names: cfg.Names,
		limits: cfg.Limits.withDefaults(), refused: cfg.Refused,
	}
	s.down = make(chan struct{})
	s.downOnce = sync.OnceFunc(func() { close(s.down) })
	s.listener = newAdmitting(ln, s.limits.Connections, func(p peer) bool { return s.callers.Load().mayInclude(p) })
	s.tunnels = newTunnels(s.limits.Tunnels)
	s.tls = listenerTLS(cfg.TLS)
	s.ca.Store(cfg.CA)
	if err := s.SetCallers(cfg.Callers); err != nil {
		return nil, err
	}
	if cfg.Forward {
		s.sorter = newSorter(s)
	}
	s.outer = s.httpServer(http.HandlerFunc(s.arrive), cfg.ErrorLog)
	s.inner = s.httpServer(http.HandlerFunc(s.serveTunnel), cfg.ErrorLog)
	return s, nil
}

func (cfg Config) check() error {
	if cfg.Gateway == nil {
		return errors.New("intercept: Config.Gateway is missing")
	}
	if !cfg.Forward && len(cfg.Routes) == 0 {
		return errors.New("intercept: the listener has nothing to do: let it be a forward proxy, or give it reverse routes")
	}
	seen := map[string]bool{}
	for _, rt := range cfg.Routes {
		if err := rt.check(); err != nil {
			return err
		}
		if seen[rt.Path] {
			return fmt.Errorf("intercept: two reverse routes have the path %q", rt.Path)
		}
		seen[rt.Path] = true
	}
	for _, name := range cfg.Names {
		if _, err := authority(name, "80"); err != nil {
			return fmt.Errorf("intercept: listener name %q: %s", name, policy.Reason(err))
		}
	}
	return nil
}

func listenerTLS(c *tls.Config) *tls.Config {
	if c == nil {
		return nil
	}
	own := &tls.Config{
		Certificates: c.Certificates, GetCertificate: c.GetCertificate,
		MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
	}
	if c.ClientCAs != nil { // nil would mean the system's
		own.ClientCAs, own.ClientAuth = c.ClientCAs, tls.VerifyClientCertIfGiven
	}
	return own
}

func (s *Server) httpServer(h http.Handler, errorLog *log.Logger) *http.Server {
	if errorLog == nil {
		errorLog = log.New(io.Discard, "", 0)
	}
	srv := &http.Server{
		Handler: s.bounded(h), ErrorLog: errorLog, ConnContext: withConn, Protocols: new(http.Protocols),
		ReadHeaderTimeout: s.limits.HeaderTime, IdleTimeout: s.limits.Idle, MaxHeaderBytes: s.limits.Header,
	}
	srv.Protocols.SetHTTP1(true)
	return srv
}

// bounded sets the first deadlines of a request; reading the body and writing
// the answer move them on. What nobody reads must not stall either, and a
// deadline left by the request before must not hit this one.
func (s *Server) bounded(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, now := http.NewResponseController(w), time.Now()
		conn.SetWriteDeadline(now.Add(2 * s.limits.Progress))
		if r.ContentLength != 0 {
			conn.SetReadDeadline(now.Add(s.limits.Progress))
		}
		h.ServeHTTP(w, r)
	})
}

type connKey struct{}

// withConn remembers the *heard or *tunnel under a request.
func withConn(ctx context.Context, c net.Conn) context.Context {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	return context.WithValue(ctx, connKey{}, c)
}

// SetCallers replaces the rules; on error the old stay. Open CONNECTs keep
// the caller they came with.
func (s *Server) SetCallers(rules []CallerRule) error {
	if len(rules) == 0 {
		rules = []CallerRule{{Name: "self", UID: new(uint32(os.Geteuid()))}}
	}
	c, err := newCallers(rules)
	if err != nil {
		return err
	}
	if err := c.safeOn(s.listener.Addr(), s.tls); err != nil {
		return err
	}
	s.callers.Store(&c)
	return nil
}

// SetCA replaces the local CA for CONNECTs to come.
func (s *Server) SetCA(a *ca.Authority) { s.ca.Store(a) }

// Addr is the address listened on, with its port.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Serve accepts until ctx ends, then finishes what is open within
// Limits.Grace and returns nil; or returns why it could not go on. It serves
// once.
func (s *Server) Serve(ctx context.Context) error {
	base := context.WithoutCancel(ctx)
	s.outer.BaseContext = func(net.Listener) context.Context { return base }
	s.inner.BaseContext = s.outer.BaseContext
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { s.inner.Serve(s.tunnels) })
	stop := context.AfterFunc(ctx, func() {
		grace, cancel := context.WithTimeout(base, s.limits.Grace)
		defer cancel()
		s.Shutdown(grace)
	})
	defer stop()
	if err := s.outer.Serve(&hearing{s.listener, s.tls, s.limits, s.outer.ErrorLog}); !errors.Is(err, http.ErrServerClosed) {
		s.close()
		return fmt.Errorf("intercept: %w", err)
	}
	<-s.down
	return nil
}

// Shutdown stops accepting, lets open exchanges end, and closes what is left
// when ctx ends.
func (s *Server) Shutdown(ctx context.Context) error {
	defer s.close()
	var inner error
	var both sync.WaitGroup
	both.Go(func() { inner = s.inner.Shutdown(ctx) })
	outer := s.outer.Shutdown(ctx)
	both.Wait()
	return errors.Join(outer, inner)
}

func (s *Server) close() {
	s.outer.Close()
	s.inner.Close()
	s.tunnels.Close()
	s.listener.Close()
	s.downOnce()
}
