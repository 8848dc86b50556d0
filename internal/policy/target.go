package policy

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Target is a normalised address, or with Prefix every address below Path.
type Target struct {
	Scheme string // http or https
	Host   string // lower case, no trailing dot; an IPv6 address without brackets
	Port   int
	Path   string // decoded; ends in / when Prefix is set
	Prefix bool
}

// ParseTarget reads a route's target: an http or https URL whose path is exact or ends in /*.
func ParseTarget(raw string) (Target, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return Target{}, fmt.Errorf("policy: target %q is no URL: %w", raw, errors.Unwrap(err))
	}
	if u.RawQuery != "" || u.ForceQuery {
		return Target{}, fmt.Errorf("policy: target %q has a query: name it under queries", raw)
	}
	t, err := Normalise(u)
	if err != nil {
		return Target{}, err
	}
	t.Path, t.Prefix, err = splitPattern(t.Path)
	return t, err
}

// Normalise reads the address of u without its query. What two readers could take for different addresses is refused.
func Normalise(u *url.URL) (Target, error) {
	t := Target{Scheme: strings.ToLower(u.Scheme)}
	switch {
	case t.Scheme != "http" && t.Scheme != "https":
		return t, fmt.Errorf("policy: scheme %q is neither http nor https", u.Scheme)
	case u.User != nil:
		return t, errors.New("policy: the address carries a user name or password: leave it out")
	case u.Fragment != "":
		return t, errors.New("policy: the address carries a fragment (#...): leave it out")
	}
	var err error
	if t.Host, err = NormaliseHost(u.Hostname()); err != nil {
		return t, err
	}
	if t.Port, err = port(t.Scheme, u); err != nil {
		return t, err
	}
	t.Path, err = NormalisePath(u.EscapedPath())
	return t, err
}

func port(scheme string, u *url.URL) (int, error) {
	text := u.Port()
	if text == "" {
		if strings.HasSuffix(u.Host, ":") {
			return 0, errors.New("policy: the address has a colon but no port")
		}
		return defaultPort(scheme), nil
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("policy: port %q is not between 1 and 65535", text)
	}
	return int(n), nil
}

func defaultPort(scheme string) int {
	if scheme == "https" {
		return 443
	}
	return 80
}

// NormaliseHost lower-cases a host name or address and drops one trailing dot. Non-ASCII names must come as punycode;
// forms that resolvers read as numbers (0x7f.1, 2130706433) are refused.
func NormaliseHost(host string) (string, error) {
	if inner, ok := strings.CutPrefix(host, "["); ok {
		if host, ok = strings.CutSuffix(inner, "]"); !ok || !strings.Contains(host, ":") {
			return "", fmt.Errorf("policy: host %q is no IPv6 address in brackets", inner)
		}
	}
	if strings.Contains(host, ":") {
		return normaliseIPv6(host)
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "" || len(host) > 253 {
		return "", errors.New("policy: the host is empty or longer than 253 characters")
	}
	labels := strings.Split(host, ".")
	for _, l := range labels {
		if err := checkLabel(host, l); err != nil {
			return "", err
		}
	}
	if last := labels[len(labels)-1]; last[0] >= '0' && last[0] <= '9' {
		if _, err := netip.ParseAddr(host); err != nil {
			return "", fmt.Errorf("policy: host %q ends in a number but is no IPv4 address of four decimal parts", host)
		}
	}
	return host, nil
}

func normaliseIPv6(host string) (string, error) {
	a, err := netip.ParseAddr(host)
	if err != nil {
		return "", fmt.Errorf("policy: host %q is no IPv6 address", host)
	}
	if a.Zone() != "" {
		return "", fmt.Errorf("policy: host %q names a zone: addresses with zones cannot be routed", host)
	}
	return a.Unmap().String(), nil
}

func checkLabel(host, l string) error {
	if l == "" || len(l) > 63 {
		return fmt.Errorf("policy: host %q has an empty label or one longer than 63 characters", host)
	}
	for _, r := range l {
		switch {
		case r > unicode.MaxASCII:
			return fmt.Errorf("policy: host %q is not ASCII: write it in punycode (xn--...)", host)
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-', r == '_':
		default:
			return fmt.Errorf("policy: host %q contains %q", host, r)
		}
	}
	return nil
}

// NormalisePath decodes an escaped path, resolves dot segments and merges slashes. It refuses what servers disagree
// on: an encoded slash, a backslash, path parameters, a percent sign that remains, control characters.
func NormalisePath(escaped string) (string, error) {
	if escaped == "" {
		return "/", nil
	}
	if escaped[0] != '/' {
		return "", fmt.Errorf("policy: path %q does not begin with /", escaped)
	}
	var out []string
	for seg := range strings.SplitSeq(escaped[1:], "/") {
		s, err := segment(seg)
		if err != nil {
			return "", fmt.Errorf("policy: path %q: %w", escaped, err)
		}
		switch s {
		case "", ".":
		case "..":
			if len(out) == 0 {
				return "", fmt.Errorf("policy: path %q climbs above the root", escaped)
			}
			out = out[:len(out)-1]
		default:
			out = append(out, s)
		}
	}
	return "/" + strings.Join(out, "/") + trailing(escaped, len(out)), nil
}

// trailing keeps the slash at the end, where /a and /a/ are different resources.
func trailing(escaped string, segments int) string {
	last, _ := segment(escaped[strings.LastIndexByte(escaped, '/')+1:])
	if segments > 0 && (last == "" || last == "." || last == "..") {
		return "/"
	}
	return ""
}

func segment(escaped string) (string, error) {
	s, err := url.PathUnescape(escaped)
	if err != nil {
		return "", errors.New("a percent sign is not followed by two hex digits")
	}
	if !utf8.ValidString(s) {
		return "", errors.New("it is not UTF-8")
	}
	for _, r := range s {
		switch {
		case r == '/' || r == '\\':
			return "", errors.New("an encoded slash or a backslash is read differently by different servers")
		case r == ';':
			return "", errors.New("path parameters (;...) are read differently by different servers")
		case r == '%':
			return "", errors.New("it is encoded twice")
		case r == '?' || r == '#':
			return "", errors.New("it hides a query or fragment")
		case unicode.IsControl(r):
			return "", errors.New("it contains a control character")
		}
	}
	return s, nil
}

// parsePattern reads a path that a config names: exact, or ending in /*.
func parsePattern(raw string) (fixed string, prefix bool, err error) {
	path, err := NormalisePath(raw)
	if err != nil {
		return "", false, err
	}
	return splitPattern(path)
}

// splitPattern takes a normalised path apart into its fixed part and whether everything below it is meant.
func splitPattern(path string) (fixed string, prefix bool, err error) {
	fixed, prefix = strings.CutSuffix(path, "/*")
	if prefix {
		fixed += "/"
	}
	if strings.Contains(fixed, "*") {
		return "", false, fmt.Errorf("policy: path %q: a * may stand only at the end, after a /", path)
	}
	return fixed, prefix, nil
}

// Authority is host:port as it stands in a URL, the scheme's default port left out.
func (t Target) Authority() string {
	if t.Port != defaultPort(t.Scheme) {
		return hostPort(t.Host, t.Port)
	}
	if strings.Contains(t.Host, ":") {
		return "[" + t.Host + "]"
	}
	return t.Host
}

// String gives the target as ParseTarget reads it.
func (t Target) String() string {
	u := url.URL{Scheme: t.Scheme, Host: t.Authority(), Path: t.Path}
	if t.Prefix {
		return u.String() + "*"
	}
	return u.String()
}

func hostPort(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }
