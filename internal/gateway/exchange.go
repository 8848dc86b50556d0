package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strconv"
	"time"

	"gsigw/gsi"
	"gsigw/internal/intercept"
	"gsigw/internal/policy"
	"gsigw/internal/session"
	"gsigw/soap"
	"gsigw/soap/spool"
)

// exchange is one request and its answer, with the state that it began with.
type exchange struct {
	*Gateway
	*State
	facts facts // for the record

	request   *http.Request
	from      intercept.Call
	route     *policy.Route // nil until decide allowed the call
	call      policy.Call
	to        string       // wsa:To as the engine wrote it
	readdress bool         // to is our own address, where the service's must stand
	version   soap.Version // the engine's; SOAP 1.1 until it is known
	trace     *traced
	open      []*spool.Spool // closed when the answer is given
}

// answer is what the engine gets.
type answer struct {
	status int
	header http.Header
	body   content
}

func (g *Gateway) begin(r *http.Request, c intercept.Call) *exchange {
	x := &exchange{Gateway: g, State: g.state.Load(), request: r, from: c, version: soap.V11}
	x.facts = facts{id: g.newID(), began: g.Now(), caller: c.Caller.Name, traceID: traceID(r.Header)}
	x.trace = g.Trace.begin(x.facts.id, r)
	return x
}

// crash is a defect of ours. Its words may hold bytes of the message, and stay out of the record; the stack does not.
type crash struct{ stack []byte }

func (*crash) Error() string { return "gateway: a defect in the gateway ended the exchange" }

// guarded keeps a defect on one message from ending in silence.
func (x *exchange) guarded(ctx context.Context) (a *answer, err error) {
	defer func() {
		if recover() != nil {
			a, err = nil, &crash{debug.Stack()}
		}
	}()
	return x.run(ctx)
}

// newCall is the one place where it is computed what policy decides on.
func (x *exchange) newCall(in *parcel) (policy.Call, error) {
	c, err := policy.NewCall(x.from.Form.String(), x.request.Method, x.from.Target)
	if err != nil {
		return c, err
	}
	c.Caller, c.Route = x.from.Caller.Name, x.from.Route
	if in == nil {
		return c, nil
	}
	m := in.message
	c.ContentType, c.SOAPAction = in.contentType, x.request.Header.Get("SOAPAction")
	c.HasWSA = slices.ContainsFunc(m.Blocks, func(b *soap.Block) bool { return soap.IsAddressing(b.Name.Space) })
	c.WSAAction, c.Operation = m.Addressing.Action, policy.Name(m.Operation)
	c.HasAttachments = in.hasAttachments()
	x.to = m.Addressing.To
	x.facts.action, x.facts.operation = c.Action(), c.Operation.String()
	return c, nil
}

func (x *exchange) session(ctx context.Context) (*session.Session, error) {
	s, err := x.Sessions.For(ctx, x.from.Caller.Name)
	if errors.Is(err, session.ErrUnknownCaller) {
		return nil, &policy.Denied{Rule: "session", Reason: "the caller has no session: name it under callers"}
	}
	return s, err
}

func (x *exchange) decide(c policy.Call) error {
	d := x.Policy.Decide(c)
	if d.Route != nil {
		x.facts.route, x.facts.profile = d.Route.Name, profileName(d.Route)
	}
	if err := d.Err(); err != nil {
		return err
	}
	x.call, x.route = c, d.Route
	return x.toAgrees()
}

// toAgrees lets no message name another service than the one it is sent to: GT4, for one, dispatches on the path of
// wsa:To. On a reverse route an engine writes the address that it knows, which is ours; the service gets its own.
func (x *exchange) toAgrees() error {
	u, err := url.Parse(x.to)
	isName := err == nil && u.Scheme != "http" && u.Scheme != "https"
	if isName || slices.ContainsFunc(dialects, func(d string) bool { return x.to == soap.Anonymous(d) }) {
		return nil
	}
	if err != nil {
		return &policy.Denied{Rule: "to-agreement", Reason: fmt.Sprintf("wsa:To, %.200q, cannot be read as an address", x.to)}
	}
	to, err := policy.Normalise(u)
	switch {
	case err == nil && x.from.Form == intercept.Reverse && to.Authority() != x.route.Target.Authority():
		x.readdress = true
		return nil
	case err == nil && to.Path == x.call.Path:
		return nil
	}
	return &policy.Denied{Rule: "to-agreement", Reason: fmt.Sprintf("wsa:To names %.200q, and the message is sent to the path %s", x.to, x.call.Path)}
}

var dialects = []string{soap.Addressing200303, soap.Addressing200403, soap.Addressing200408, soap.Addressing200508}

// unusable is a credential that cannot be used. The remedy is for the engine's user, the rest for the log.
type unusable struct {
	err    error
	remedy string
}

func (e *unusable) Error() string { return "gateway: no usable credential: " + e.err.Error() }
func (e *unusable) Unwrap() error { return e.err }

// credential is the one that the route asks for, nil where it asks for none.
func (x *exchange) credential(ctx context.Context, s *session.Session) (*gsi.Credential, error) {
	if !x.route.Secured() || x.request.Method == http.MethodGet && x.route.Transport != policy.TransportGSI {
		return nil, nil
	}
	source, err := s.Source(x.route.CredentialName)
	if err != nil {
		return nil, &unusable{err, "name one for the caller or the route in the gateway's config"}
	}
	c, err := source.Credential(ctx)
	if u, ok := errors.AsType[*gsi.UnusableError](err); ok {
		return nil, &unusable{err, u.Remedy}
	}
	if err != nil {
		return nil, &unusable{err, "see the gateway's log"}
	}
	return c, x.inDate(c)
}

func (x *exchange) inDate(c *gsi.Credential) error {
	now := x.Now()
	switch {
	case c == nil || len(c.Chain) == 0 || c.Key == nil:
		return &unusable{errors.New("its source gave nothing"), "see the gateway's log"}
	case !now.Before(c.NotAfter()):
		return &unusable{fmt.Errorf("it expired at %s", c.NotAfter().UTC().Format(time.RFC3339)), "renew it, for instance with gsigw proxy init"}
	case now.Before(c.NotBefore()):
		return &unusable{fmt.Errorf("it is valid from %s only", c.NotBefore().UTC().Format(time.RFC3339)), "wait, or set the gateway's clock right"}
	}
	return nil
}

// give writes the answer. What goes wrong after its first byte can only be recorded; the engine sees less than it was
// told to expect.
func (x *exchange) give(w http.ResponseWriter, a *answer) {
	out := &pieces{w: w}
	err := x.write(w, out, a)
	x.facts.bytesOut = out.n
	switch {
	case err == nil || x.facts.err != nil: // what ended the exchange before says more
	case out.failed:
		x.facts.result, x.facts.class, x.facts.err = resultHungUp, "", err
	default:
		o := judge(err)
		x.facts.result, x.facts.class, x.facts.err = resultInternal, o.class, err
	}
}

// write is guarded as run is: some answers are made while they are written.
func (x *exchange) write(w http.ResponseWriter, out io.Writer, a *answer) (err error) {
	defer func() {
		if recover() != nil {
			err = &crash{debug.Stack()}
		}
	}()
	x.trace.given(a)
	h := w.Header()
	for name, values := range a.header {
		h[name] = values
	}
	if a.status != http.StatusNoContent {
		h.Set("Content-Length", strconv.FormatInt(a.body.Size(), 10))
	}
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(a.status)
	_, err = a.body.WriteTo(out)
	return err
}
