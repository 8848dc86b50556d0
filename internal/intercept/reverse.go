package intercept

import (
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"gsigw/internal/policy"
)

// Route maps a path of ours to a service, for engines without a proxy setting.
type Route struct {
	Name string // Call.Route
	// Path is matched exactly; one that ends in "/" maps all beneath it to
	// the same place beneath Target. The longest match wins.
	Path string
	// Target has scheme http or https, no user info, query or fragment, and
	// ends in "/" if Path does.
	Target *url.URL
}

func (rt Route) check() error {
	t := rt.Target
	pathErr := onePath(rt.Path)
	switch {
	case rt.Name == "":
		return fmt.Errorf("intercept: the reverse route on %q needs a name", rt.Path)
	case pathErr != nil:
		return fmt.Errorf("intercept: reverse route %s: %s", rt.Name, policy.Reason(pathErr))
	case t == nil || t.Scheme != "http" && t.Scheme != "https" || t.Opaque != "":
		return fmt.Errorf("intercept: reverse route %s: the target must be an http or https URL", rt.Name)
	case t.User != nil || t.RawQuery != "" || t.ForceQuery || t.Fragment != "":
		return fmt.Errorf("intercept: reverse route %s: the target must hold no user info, query or fragment", rt.Name)
	case strings.HasSuffix(rt.Path, "/") != strings.HasSuffix(t.Path, "/"):
		return fmt.Errorf("intercept: reverse route %s: path and target must both end in a slash, or neither", rt.Name)
	}
	if err := onePath(t.EscapedPath()); err != nil {
		return fmt.Errorf("intercept: reverse route %s: target: %s", rt.Name, policy.Reason(err))
	}
	if _, err := authority(t.Host, defaultPort(t.Scheme)); err != nil {
		return fmt.Errorf("intercept: reverse route %s: target: %s", rt.Name, policy.Reason(err))
	}
	return nil
}

func defaultPort(scheme string) string {
	if scheme == "https" {
		return "443"
	}
	return "80"
}

// maps joins the target with what the request's path has beyond the route's.
func (rt Route) maps(own *url.URL) (*url.URL, error) {
	hostport, err := authority(rt.Target.Host, defaultPort(rt.Target.Scheme))
	if err != nil {
		return nil, err
	}
	rest := strings.TrimPrefix(own.EscapedPath(), rt.Path)
	u, err := url.Parse(rt.Target.EscapedPath() + rest)
	if err != nil {
		return nil, err
	}
	u.Scheme, u.Host, u.RawQuery, u.ForceQuery = rt.Target.Scheme, hostport, own.RawQuery, own.ForceQuery
	return u, nil
}

// findRoute matches the escaped path, so that two spellings are not one route.
func findRoute(routes []Route, escaped string) (best Route, ok bool) {
	for _, rt := range routes {
		subtree := strings.HasSuffix(rt.Path, "/") && strings.HasPrefix(escaped, rt.Path)
		if (rt.Path == escaped || subtree) && len(rt.Path) > len(best.Path) {
			best, ok = rt, true
		}
	}
	return best, ok
}

// serveReverse serves a request for a path of ours.
func (s *Server) serveReverse(w http.ResponseWriter, r *http.Request, caller Caller) {
	u, rt, no := s.reverseTarget(r)
	if no != nil {
		s.refuse(w, r, no)
		return
	}
	s.exchange(w, r, Call{Form: Reverse, Caller: caller, Target: u, Route: rt})
}

func (s *Server) reverseTarget(r *http.Request) (*url.URL, string, *Refusal) {
	if len(s.routes) == 0 {
		return nil, "", refuse(http.StatusBadRequest, "this is an HTTP proxy, not a web server: set it as the engine's http and https proxy")
	}
	if !s.isOurs(r) {
		return nil, "", refuse(http.StatusMisdirectedRequest, fmt.Sprintf("the Host %q is not a name of this listener; add it to the listener's names", r.Host))
	}
	own, no := target("http", r.Host, r)
	if no != nil {
		return nil, "", no
	}
	rt, ok := findRoute(s.routes, own.EscapedPath())
	if !ok {
		return nil, "", refuse(http.StatusNotFound, fmt.Sprintf("no reverse route has the path %q", own.EscapedPath()))
	}
	if r.Method == http.MethodPost && !isSOAP(r.Header) {
		return nil, "", refuse(http.StatusUnsupportedMediaType, "a POST must be SOAP: Content-Type text/xml, application/soap+xml, or multipart/related of one of them")
	}
	u, err := rt.maps(own)
	if err != nil {
		return nil, "", refuse(http.StatusBadRequest, "the path does not join with its route's target")
	}
	return u, rt.Name, nil
}

// isOurs guards against a web page whose name was rebound to our address: the
// Host must be a configured name, the address the connection came in on, or
// localhost on loopback.
func (s *Server) isOurs(r *http.Request) bool {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	local := r.Context().Value(connKey{}).(*heard).LocalAddr()
	named, err := authority(r.Host, defaultPort(scheme))
	if err != nil {
		return false
	}
	for _, name := range append(ownNames(local), s.names...) {
		if own, err := authority(name, ownPort(local, scheme)); err == nil && own == named {
			return true
		}
	}
	return false
}

func ownNames(local net.Addr) []string {
	if local.Network() == "unix" {
		return []string{"localhost"}
	}
	ip := addrPort(local).Addr()
	names := []string{ip.String()}
	if ip.Is6() {
		names[0] = "[" + ip.String() + "]"
	}
	if ip.IsLoopback() {
		names = append(names, "localhost")
	}
	return names
}

func ownPort(local net.Addr, scheme string) string {
	if t, ok := local.(*net.TCPAddr); ok {
		return fmt.Sprint(netip.AddrPort.Port(t.AddrPort()))
	}
	return defaultPort(scheme)
}

// isSOAP wants one of the types that a web page cannot post without asking.
func isSOAP(h http.Header) bool {
	if len(h.Values("Content-Type")) != 1 {
		return false
	}
	kind, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		return false
	}
	switch kind {
	case "text/xml", "application/soap+xml":
		return true
	case "multipart/related":
		inner, _, _ := mime.ParseMediaType(params["type"])
		return inner == "text/xml" || inner == "application/soap+xml" || inner == "application/xop+xml"
	}
	return false
}
