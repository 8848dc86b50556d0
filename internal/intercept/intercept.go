// Package intercept is the gateway's front door: it takes what an engine sends
// to its HTTP proxy, or to a reverse route, finds out who is calling, refuses
// what is ambiguous, and hands the rest to a Gateway. It knows nothing of SOAP
// security and never opens a connection to a service.
//
//	ln, err := intercept.Listen("127.0.0.1:8086", 0)
//	srv, err := intercept.New(ln, intercept.Config{
//		Forward: true,
//		Callers: []intercept.CallerRule{{Name: "ode", UID: new(uint32(1002))}},
//		CA:      authority, // *ca.Authority; without it every CONNECT is refused
//		Gateway: gw,
//	})
//	err = srv.Serve(ctx) // until ctx ends, then gracefully down
//
// # The three forms
//
// An engine with a proxy setting sends absolute-form requests for http targets
// (Forward) and CONNECT for https ones (Connect). A CONNECT is opened with a
// leaf of the local CA, and only to a host:port for which Gateway.Opens says
// yes; its own Host header, the SNI (if any) and every Host header inside must
// be the CONNECT's target, else 421. Since net/http drops that first Host, the
// listener keeps a head that begins with CONNECT until it is compared; so a
// CONNECT must be the first request on its connection. An engine without a proxy setting calls a
// path of ours (Reverse), which a Route maps to the target.
//
// # Who calls
//
// No request reaches the Gateway without a Caller. A CallerRule names what
// must hold: a secret, a client certificate, the uid of a Unix socket's peer
// or the uid that owns the calling loopback TCP socket. Without rules there
// is one: the uid is the gateway's own. A listener off loopback must have TLS
// and, in every rule, a secret or a client certificate; New refuses it
// otherwise. A caller behind a local forwarder (a container's user-land port
// proxy, an ssh tunnel) is seen as the forwarder's uid: give it a secret.
//
// # What goproxy does here, and what not
//
// goproxy tells the proxy forms from the others, and hijacks the connection of
// a CONNECT. It dials nothing (its transport and dialers always fail), holds
// no key, and makes no TLS: its own interception loop parses requests without
// timeouts or limits and believes the inner Host header before the CONNECT
// target. What is inside a CONNECT is served by a net/http server like every
// other connection, so that keep-alive, chunking, 100-continue, deadlines and
// hang-ups behave alike in the three forms.
//
// # What net/http settles before us
//
// A Host header beside an absolute-form target is ignored (RFC 9112, section
// 3.2.2); Transfer-Encoding beats a Content-Length beside it (6.3); folded
// header lines are unfolded (5.2) and a bare LF ends one (2.2). Differing
// Content-Lengths, two Host headers and bare LF in chunk lines are refused by
// it. None of these survives to the service: the Gateway frames its own request.
package intercept

import (
	"net/http"
	"net/url"
)

// Gateway carries one request of a known caller to its service.
type Gateway interface {
	// Serve writes the whole answer, faults included.
	//
	// The request is free of hop-by-hop headers and of the caller's secret.
	// Its method is GET or POST. Reading a body beyond Limits.Body gives
	// *http.MaxBytesError (answer 413). Its context ends when the engine
	// hangs up; that can be seen only once the body has been read.
	Serve(w http.ResponseWriter, r *http.Request, c Call)

	// Opens reports whether a route names this host:port for https and lets
	// this caller use it, so that a CONNECT to it may be opened with the
	// local CA. The host is lower case (an IPv6 address in brackets), the
	// port explicit.
	Opens(c Caller, hostport string) bool
}

// Form is the way in which a request named its target.
type Form int

const (
	Forward Form = iota // absolute-form, plain http
	Connect             // inside a CONNECT opened with the local CA
	Reverse             // a path of ours, mapped by a Route
)

func (f Form) String() string {
	return [...]string{"forward", "connect", "reverse"}[f]
}

// Call says who asks for what.
type Call struct {
	Form   Form
	Caller Caller
	// Target is absolute: scheme http or https, host lower case, port
	// explicit, path as received (an unusual escaping stays in RawPath),
	// without user info and fragment. It holds no dot segments, encoded
	// slashes or other second readings.
	Target *url.URL
	Route  string // the reverse route's name; "" otherwise
}

// Caller is an authenticated engine.
type Caller struct {
	Name string // CallerRule.Name: maps to a session
	How  string // "secret", "client-cert", "uid" or "unix"; for logs
}

// Refusal is a request that was turned away here, for logs and counters.
type Refusal struct {
	Status int    // HTTP status sent
	Reason string // the text sent: what is wrong and what to do; no secrets
}

func (e *Refusal) Error() string { return "intercept: " + e.Reason }

func refuse(status int, reason string) *Refusal { return &Refusal{status, reason} }
