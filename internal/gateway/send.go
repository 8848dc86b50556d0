package gateway

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"gsigw/gsi"
	"gsigw/internal/policy"
	"gsigw/internal/upstream"
	"gsigw/soap"
	"gsigw/soap/xmlscan"
)

// userAgent is what services see; the engine's own is between it and us.
const userAgent = "gsigw"

// received is a service's answer, read to its end.
type received struct {
	*upstream.Reply
	body xmlscan.Source
}

// send makes the one call.
func (x *exchange) send(ctx context.Context, out *outbound, c *gsi.Credential) (*received, error) {
	h := x.requestHeader()
	h.Set("Content-Type", out.contentType)
	x.trace.sent(http.MethodPost, x.route.Upstream(x.call), h, stored{out.body})
	return x.do(ctx, c, &upstream.Request{Method: http.MethodPost, Header: h, Body: careful{whole(out.body)}, Length: out.body.Size()})
}

func (x *exchange) do(ctx context.Context, c *gsi.Credential, r *upstream.Request) (*received, error) {
	client := x.Reach(x.route).Upstream
	if client == nil {
		return nil, fmt.Errorf("gateway: route %s has no way upstream", x.route.Name)
	}
	reply, err := client.Do(ctx, x.target(c), r)
	if err != nil {
		return nil, err
	}
	defer reply.Body.Close()
	if reply.Peer != nil {
		x.facts.peer = reply.Peer.DN
	}
	body, err := x.spooled(reply.Body, x.messageLimit())
	if err != nil {
		x.trace.replied(reply.Status, reply.Header, text(nil))
		return nil, err
	}
	x.trace.replied(reply.Status, reply.Header, stored{body})
	return &received{reply, body}, nil
}

var modes = map[policy.Transport]upstream.Mode{
	policy.TransportNone: upstream.Plain, policy.TransportHTTPS: upstream.TLS, policy.TransportGSI: upstream.GSI,
}

// target says where the call goes and as whom. The credential goes with the transport that uses it only.
func (x *exchange) target(c *gsi.Credential) *upstream.Target {
	r := x.route
	t := &upstream.Target{
		URL: r.Upstream(x.call), Transport: modes[r.Transport],
		Allow:    upstream.Allow{Loopback: r.AllowLoopback, LinkLocal: r.AllowLinkLocal, Own: r.AllowOwn},
		Timeouts: upstream.Timeouts(r.Timeouts),
		Limits:   upstream.Limits{Header: x.Limits.HTTPHeader, Body: x.messageLimit()},
	}
	if r.Transport == policy.TransportGSI {
		t.Credential = c
	}
	if r.Transport != policy.TransportNone {
		t.PeerDN = r.PeerDN
	}
	return t
}

// requestHeader is what of the engine's header goes on: no cookie, no password, nothing that speaks of the proxy.
func (x *exchange) requestHeader() http.Header {
	in, out := x.request.Header, http.Header{"User-Agent": {userAgent}}
	for _, name := range []string{"Accept", "SOAPAction"} {
		if v := in.Get(name); v != "" {
			out.Set(name, v)
		}
	}
	if x.request.Method == http.MethodPost && x.version == soap.V11 && !hasKey(in, "Soapaction") {
		out.Set("SOAPAction", `""`) // SOAP 1.1, section 6.1.1: there must be one
	}
	if traceID(in) != "" {
		out.Set("Traceparent", in.Get("Traceparent"))
		if state := in.Get("Tracestate"); state != "" {
			out.Set("Tracestate", state)
		}
	}
	return out
}

func hasKey(h http.Header, name string) bool {
	_, ok := h[name]
	return ok
}

// traceparent: W3C Trace Context, section 3.2.2.
var traceparent = regexp.MustCompile(`^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$`)

// traceID is the trace that the engine says the call belongs to, empty where it says none.
func traceID(h http.Header) string {
	m := traceparent.FindStringSubmatch(h.Get("Traceparent"))
	if m == nil {
		return ""
	}
	return m[1]
}

// reserved are the reply headers that are ours to write, whatever a route names.
var reserved = map[string]bool{
	"Connection": true, "Content-Encoding": true, "Content-Length": true, "Content-Type": true, "Date": true,
	"Keep-Alive": true, "Proxy-Authenticate": true, "Proxy-Connection": true, "Te": true, "Trailer": true,
	"Transfer-Encoding": true, "Upgrade": true,
}

// replyHeader is what of the service's header the engine gets: what the route names, and the standard ones given.
func (x *exchange) replyHeader(from http.Header, standard ...string) http.Header {
	out := http.Header{}
	for _, name := range append(standard, x.route.ReplyHeaders...) {
		name = http.CanonicalHeaderKey(strings.TrimSpace(name))
		if values := from[name]; len(values) > 0 && !reserved[name] {
			out[name] = values
		}
	}
	return out
}
