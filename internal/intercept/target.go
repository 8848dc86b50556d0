package intercept

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// authority normalises a host[:port] as every check here compares it: lower
// case, IPv6 in brackets and canonical, the port explicit. What two resolvers
// may read differently is an error.
func authority(s, defaultPort string) (string, error) {
	host, port, hasPort := strings.Cut(s, ":")
	if strings.HasPrefix(s, "[") {
		host, port, hasPort = cutIPv6(s)
	}
	if !hasPort {
		port = defaultPort
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
		return "", fmt.Errorf("the port in %q must be a number from 1 to 65535", s)
	}
	name, err := hostName(host)
	if err != nil {
		return "", err
	}
	return name + ":" + port, nil
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

var errHost = errors.New("the host must be a plain DNS name or IP address")

func hostName(host string) (string, error) {
	if bare, ok := strings.CutPrefix(host, "["); ok {
		ip, err := netip.ParseAddr(strings.TrimSuffix(bare, "]"))
		if err != nil || !ip.Is6() || ip.Is4In6() || ip.Zone() != "" {
			return "", errHost
		}
		return "[" + ip.String() + "]", nil
	}
	host = strings.ToLower(host)
	if ip, err := netip.ParseAddr(host); err == nil && ip.Is4() {
		return ip.String(), nil
	}
	labels := strings.Split(host, ".")
	for _, label := range labels {
		if !isLabel(label) {
			return "", errHost
		}
	}
	// "127.1" and "0x7f.1" are addresses to some resolvers.
	if last := labels[len(labels)-1]; last[0] >= '0' && last[0] <= '9' || len(host) > 253 {
		return "", errHost
	}
	return host, nil
}

func isLabel(s string) bool {
	odd := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_')
	}
	return s != "" && len(s) <= 63 && !strings.ContainsFunc(s, odd)
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
		return nil, refuse(http.StatusBadRequest, "request target: "+err.Error())
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
	if why := ambiguous(u.Path, u.EscapedPath()); why != "" {
		return nil, refuse(http.StatusBadRequest, "the request path holds "+why+", which the service may read differently; send the plain path")
	}
	return u, nil
}

// ambiguous names what in a path another parser may read differently, or "".
func ambiguous(path, escaped string) string {
	switch {
	case !strings.HasPrefix(path, "/"):
		return "no leading slash"
	case strings.Contains(strings.ToLower(escaped), "%2f"):
		return "an encoded slash"
	case strings.Contains(path, `\`):
		return "a backslash"
	case !utf8.ValidString(path) || strings.ContainsFunc(path, unicode.IsControl):
		return "a control or non-UTF-8 character"
	case strings.Contains(path, "//"):
		return "an empty segment"
	case doublyEncoded(path):
		return "a doubly encoded character"
	}
	for segment := range strings.SplitSeq(path, "/") {
		// Servlet containers drop ";parameters" before they resolve dots.
		name, _, _ := strings.Cut(segment, ";")
		if name == "." || name == ".." {
			return "a dot segment"
		}
	}
	return ""
}

// doublyEncoded reports whether a decoded path still decodes.
func doublyEncoded(path string) bool {
	again, err := url.PathUnescape(path)
	return err == nil && again != path || err != nil && strings.Contains(path, "%")
}
