// Package gateway is the order of things: the way of a message from the engine to the service and back.
//
//	g, err := gateway.New(gateway.Config{Log: log, Replay: wssec.NewReplayCache(0, time.Now)}, state)
//	srv, err := intercept.New(listener, intercept.Config{Gateway: g, ...})
//	...
//	err = g.Reload(newState) // exchanges under way keep the state that they began with
//
// A [State] is all that a reload replaces, as one value that nobody changes. What must outlive a reload stays with the
// [Gateway]: the log, the metrics, and the memory of the MessageIDs seen.
//
// Two rules hold whatever happens. Nothing goes out unsecured because securing it failed: every step hands on what the
// next one needs, or an error, and an error ends the exchange. And every error becomes an answer in one place, fault.go.
package gateway

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"gsigw/internal/intercept"
	"gsigw/internal/policy"
	"gsigw/internal/session"
	"gsigw/internal/upstream"
	"gsigw/soap"
	"gsigw/soap/spool"
	"gsigw/wssec"
)

// State is what exchanges work with. It is never changed: a reload makes a new one.
type State struct {
	Policy   *policy.Policy
	Sessions *session.Table
	// Reach gives what it takes to reach the services of a route. Routes differ in the signatures and key sizes that
	// they believe, and so in whom they trust.
	Reach  func(*policy.Route) Reach
	Limits Limits
}

// Reach is how the services of a route are called and judged.
type Reach struct {
	Upstream *upstream.Client
	Trust    wssec.Trust
	Files    Files
}

// Limits bound messages, in both directions. Zero fields mean the defaults of the packages that keep them.
type Limits struct {
	Message      soap.Limits
	HTTPHeader   int64 // bytes of a reply's head
	References   int   // of one signature
	Certificates int   // of one chain
	RSABits      int   // of the largest key believed
}

func (s *State) check() error {
	if s == nil || s.Policy == nil || s.Sessions == nil || s.Reach == nil {
		return errors.New("gateway: a State needs Policy, Sessions and Reach")
	}
	return nil
}

// Config is what outlives a reload.
type Config struct {
	Log      *slog.Logger     // nil: no records
	Observer Observer         // nil: nobody counts
	Trace    *Trace           // nil: no traces
	Replay   wssec.Replay     // the memory of MessageIDs; required
	Now      func() time.Time // nil: time.Now
	Spool    *spool.Pool      // where messages lie; nil: one with its defaults
}

// Gateway serves exchanges. It is an intercept.Gateway, safe for concurrent use.
type Gateway struct {
	Config
	state atomic.Pointer[State]

	profile func(*State, *policy.Route) wssec.Profile // profileFor, but for tests of this package
	newID   func() string
}

// New returns a Gateway that begins with the given state.
func New(c Config, s *State) (*Gateway, error) {
	if c.Replay == nil {
		return nil, errors.New("gateway: Config.Replay is missing: without it a recorded reply could be played back")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Observer == nil {
		c.Observer = nobody{}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Spool == nil {
		c.Spool = new(spool.Pool)
	}
	g := &Gateway{Config: c, newID: rand.Text}
	g.profile = g.profileFor
	return g, g.Reload(s)
}

// Reload swaps the state; one that is not complete is refused and the old one stays.
func (g *Gateway) Reload(s *State) error {
	if err := s.check(); err != nil {
		return err
	}
	g.state.Store(s)
	return nil
}

// Opens reports whether an https route names this host:port and permits the caller. What is asked inside the tunnel is
// decided request by request.
func (g *Gateway) Opens(c intercept.Caller, hostport string) bool {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return false
	}
	return g.state.Load().Policy.Opens(c.Name, host, int(n)).Allow
}

// Serve carries one request to its service and writes the whole answer, faults included.
func (g *Gateway) Serve(w http.ResponseWriter, r *http.Request, c intercept.Call) {
	x := g.begin(r, c)
	defer x.close()
	a, err := x.guarded(r.Context())
	if err != nil {
		a = x.failed(r.Context(), err)
	}
	x.give(w, a)
	x.end(r.Context(), a)
}

// run is the way of a message. Each step takes what the one before it made; nothing else knows their order.
func (x *exchange) run(ctx context.Context) (*answer, error) {
	in, err := x.receive()
	if err != nil {
		return nil, err
	}
	call, err := x.newCall(in)
	if err != nil {
		return nil, err
	}
	run, err := x.session(ctx)
	if err != nil {
		return nil, err
	}
	if err := x.decide(call); err != nil {
		return nil, err
	}
	credential, err := x.credential(ctx, run)
	if err != nil {
		return nil, err
	}
	if in == nil {
		return x.fetch(ctx, credential)
	}
	if err := x.address(in); err != nil {
		return nil, err
	}
	out, err := x.secure(ctx, in, credential)
	if err != nil {
		return nil, err
	}
	reply, err := x.send(ctx, out, credential)
	if err != nil {
		return nil, err
	}
	return x.accept(ctx, reply, out.pending)
}
