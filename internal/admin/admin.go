// Package admin is the operator's listener: /livez, /readyz and /metrics.
//
//	m := admin.NewMetrics(version)               // a gateway.Observer
//	srv, err := admin.New(listener, m)           // refuses a listener that other machines reach
//	srv.Set(admin.Status{Routes: 3, Credentials: sources, Anchors: anchors})
//	err = srv.Serve(ctx)
//
// Nobody is asked who he is, so the listener is on loopback or a Unix socket, all of it is read-only, and nothing that
// it says names a person or a file. A Host header that is not the listener's own is refused: a web page whose name was
// rebound to 127.0.0.1 gets nothing.
package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"gsigw/gsi"
)

// Status is what readiness is judged by, and what expires. A reload sets a new one.
type Status struct {
	Routes      int
	Credentials map[string]gsi.Source // by their names in the config
	Anchors     func() []time.Time    // when the CAs of the trust directory expire; nil for none
}

// Server serves one admin listener.
type Server struct {
	listener net.Listener
	metrics  *Metrics
	status   atomic.Pointer[Status]
	now      func() time.Time
}

// New refuses a listener that other machines can reach. Nothing is accepted before Serve.
func New(ln net.Listener, m *Metrics) (*Server, error) {
	if !isLocal(ln.Addr()) {
		return nil, fmt.Errorf("admin: %s can be reached from other machines, and this listener asks nobody who he is: use a loopback address or a unix socket", ln.Addr())
	}
	if m == nil {
		return nil, errors.New("admin: no Metrics are given")
	}
	return &Server{listener: ln, metrics: m, now: m.now}, nil
}

func isLocal(a net.Addr) bool {
	if a.Network() == "unix" {
		return true
	}
	ap, err := netip.ParseAddrPort(a.String())
	return err == nil && ap.Addr().Unmap().IsLoopback()
}

// Set says what the gateway now works with. Until the first time it is not ready.
func (s *Server) Set(st Status) {
	s.status.Store(&st)
	s.metrics.watch(&st)
}

// Serve accepts until ctx ends, and then returns nil.
func (s *Server) Serve(ctx context.Context) error {
	srv := &http.Server{
		Handler: s.handler(), ErrorLog: log.New(io.Discard, "", 0),
		ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	}
	stop := context.AfterFunc(ctx, func() { srv.Close() })
	defer stop()
	if err := srv.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("admin: %w", err)
	}
	return nil
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", s.ready)
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{}))
	return s.ours(mux)
}

// ours refuses a request that was meant for another host.
func (s *Server) ours(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if !s.isOwnHost(r.Host) {
			say(w, http.StatusMisdirectedRequest, "this listener is called by its loopback address or localhost only")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isOwnHost lets every name pass on a Unix socket, which no web page can reach.
func (s *Server) isOwnHost(host string) bool {
	own, ok := s.listener.Addr().(*net.TCPAddr)
	if !ok {
		return true
	}
	name, port, err := net.SplitHostPort(host)
	if err != nil || port != fmt.Sprint(own.Port) {
		return false
	}
	ip, err := netip.ParseAddr(name)
	return strings.EqualFold(name, "localhost") || err == nil && ip.IsLoopback()
}

// ready answers 200, or 503 with the reasons, one per line. What is wrong with a credential is a line in both.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	st := s.status.Load()
	if st == nil {
		say(w, http.StatusServiceUnavailable, "no configuration is loaded yet")
		return
	}
	some, lines := s.credentials(r.Context(), st)
	if st.Routes == 0 {
		lines = slices.Insert(lines, 0, "no route is configured")
	}
	if st.Routes == 0 || !some {
		say(w, http.StatusServiceUnavailable, lines...)
		return
	}
	say(w, http.StatusOK, slices.Insert(lines, 0, "ready")...)
}

// credentials says whether some credential can be used, and what is wrong with any.
func (s *Server) credentials(ctx context.Context, st *Status) (some bool, lines []string) {
	if len(st.Credentials) == 0 {
		return false, []string{"no credential is configured"}
	}
	for _, name := range slices.Sorted(maps.Keys(st.Credentials)) {
		c, err := st.Credentials[name].Credential(ctx)
		if err != nil || !usable(c, s.now()) {
			lines = append(lines, fmt.Sprintf("credential %s is not usable: %s", name, remedy(err)))
			continue
		}
		some = true
		if err := gsi.ProblemOf(st.Credentials[name]); err != nil {
			lines = append(lines, fmt.Sprintf("credential %s: the file changed and cannot be used: %s; the earlier one is used until %s",
				name, remedy(err), c.NotAfter().UTC().Format(time.RFC3339)))
		}
	}
	return some, lines
}

func usable(c *gsi.Credential, now time.Time) bool {
	return c != nil && len(c.Chain) > 0 && now.Before(c.NotAfter()) && !now.Before(c.NotBefore())
}

// remedy says what to do; what is wrong with which file stays in the log.
func remedy(err error) string {
	if u, ok := errors.AsType[*gsi.UnusableError](err); ok {
		return u.Remedy
	}
	return "renew it, for instance with gsigw proxy init, and see the gateway's log"
}

func say(w http.ResponseWriter, status int, lines ...string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	for _, line := range lines {
		fmt.Fprintln(w, line)
	}
}
