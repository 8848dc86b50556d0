package intercept

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"

	"gsigw/internal/policy"
)

// authority normalises a host[:port] as policy reads it, in the form in which
// it is compared here: IPv6 in brackets, the port explicit. What two resolvers
// may read differently is an error.
func authority(s, defaultPort string) (string, error) {
	host, port, hasPort := strings.Cut(s, ":")
	if strings.HasPrefix(s, "[") {
		host, port, hasPort = cutIPv6(s)
	}
	if !hasPort {
		port = defaultPort
	}
	name, err := policy.NormaliseHost(host)
	if err != nil {
		return "", err
	}
	if _, err := policy.NormalisePort(port); err != nil {
		return "", err
	}
	return net.JoinHostPort(name, port), nil
}

// cutIPv6 splits "[addr]:port"; the brackets stay on the host.
func cutIPv6(s string) (host, port string, hasPort bool) {
	addr, rest, closed := strings.Cut(s, "]")
	if !closed || rest != "" && rest[0] != ':' {
		return "", "", false
	}
	if rest != "" {
		rest, hasPort = rest[1:], true
	}
	return addr + "]", rest, hasPort
}

// absoluteTarget is the target of an absolute-form request.
func absoluteTarget(r *http.Request) (*url.URL, *Refusal) {
	u := r.URL
	switch {
	case u.Scheme == "https":
		return nil, refuse(http.StatusBadRequest, "an https target comes in a CONNECT; give the engine an https proxy setting too, or an http target that its route upgrades to https")
	case u.Scheme != "http" || u.Opaque != "":
		return nil, refuse(http.StatusBadRequest, "the request target must be an http URL")
	case u.User != nil:
		return nil, refuse(http.StatusBadRequest, "the request target must not hold user info")
	}
	hostport, err := authority(u.Host, "80")
	if err != nil {
		return nil, denied(err)
	}
	return target("http", hostport, r)
}

// target joins a scheme and a normalised host:port with the request's own
// path and query, if the path can be read in one way only.
func target(scheme, hostport string, r *http.Request) (*url.URL, *Refusal) {
	if strings.Contains(r.RequestURI, "#") {
		return nil, refuse(http.StatusBadRequest, "the request target must not hold a fragment")
	}
	u := &url.URL{
		Scheme: scheme, Host: hostport,
		Path: r.URL.Path, RawPath: r.URL.RawPath,
		RawQuery: r.URL.RawQuery, ForceQuery: r.URL.ForceQuery,
	}
	if u.Path == "" {
		u.Path = "/"
	}
	if err := onePath(u.EscapedPath()); err != nil {
		return nil, denied(err)
	}
	return u, nil
}

// onePath wants a path that can be read in one way only.
func onePath(escaped string) error {
	if escaped == "" {
		return errors.New("the path is empty")
	}
	_, err := policy.NormalisePath(escaped)
	return err
}

// denied says what policy has against an address, in the words of its faults.
func denied(err error) *Refusal {
	if d, ok := errors.AsType[*policy.Denied](err); ok {
		return refuse(http.StatusBadRequest, "denied by rule "+d.Rule+": "+d.Reason)
	}
	return refuse(http.StatusBadRequest, err.Error())
}
