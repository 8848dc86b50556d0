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
	Host   string // lower case; an IPv6 address without brackets
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
	if err == nil {
		t.Path, t.Prefix, err = splitPattern(t.Path)
	}
	if err != nil {
		return Target{}, errors.New("policy: " + Reason(err))
	}
	return t, nil
}

// Normalise reads the address of u without its query. What two readers could take for different addresses is refused;
// nothing is resolved or merged. The error is a *Denied: its rule is the part of the address that is wrong.
func Normalise(u *url.URL) (Target, error) {
	t := Target{Scheme: strings.ToLower(u.Scheme)}
	switch {
	case t.Scheme != "http" && t.Scheme != "https":
		return t, denied(ruleScheme, "scheme %q is neither http nor https", u.Scheme)
	case u.User != nil:
		return t, denied(ruleAddress, "the address carries a user name or password: leave it out")
	case u.Fragment != "":
		return t, denied(ruleAddress, "the address carries a fragment (#...): leave it out")
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

func denied(rule, format string, args ...any) error {
	return &Denied{Rule: rule, Reason: fmt.Sprintf(format, args...)}
}

func port(scheme string, u *url.URL) (int, error) {
	text := u.Port()
	if text == "" {
		if strings.HasSuffix(u.Host, ":") {
			return 0, denied(ruleAddress, "the address has a colon but no port")
		}
		return defaultPort(scheme), nil
	}
	return NormalisePort(text)
}

// NormalisePort reads a port in the one way to write it: 1 to 65535, no leading zero.
func NormalisePort(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 || strconv.FormatUint(n, 10) != text {
		return 0, denied(ruleAddress, "port %q is not a number from 1 to 65535", text)
	}
	return int(n), nil
}

func defaultPort(scheme string) int {
	if scheme == "https" {
		return 443
	}
	return 80
}

// NormaliseHost lower-cases a host name or address. Non-ASCII names must come as punycode. Refused is what one resolver
// or another reads as something else: a trailing dot, numbers (0x7f.1, 2130706433), IPv4 within IPv6, zones.
func NormaliseHost(host string) (string, error) {
	if inner, ok := strings.CutPrefix(host, "["); ok {
		if host, ok = strings.CutSuffix(inner, "]"); !ok || !strings.Contains(host, ":") {
			return "", denied(ruleAddress, "host %q is no IPv6 address in brackets", inner)
		}
	}
	if strings.Contains(host, ":") {
		return normaliseIPv6(host)
	}
	host = strings.ToLower(host)
	if host == "" || len(host) > 253 {
		return "", denied(ruleAddress, "the host is empty or longer than 253 characters")
	}
	if strings.HasSuffix(host, ".") {
		return "", denied(ruleAddress, "host %q ends in a dot: leave it out", host)
	}
	labels := strings.Split(host, ".")
	for _, l := range labels {
		if why := badLabel(l); why != "" {
			return "", denied(ruleAddress, "host %q %s", host, why)
		}
	}
	if last := labels[len(labels)-1]; last[0] >= '0' && last[0] <= '9' {
		if _, err := netip.ParseAddr(host); err != nil {
			return "", denied(ruleAddress, "host %q ends in a number but is no IPv4 address of four decimal parts", host)
		}
	}
	return host, nil
}

func normaliseIPv6(host string) (string, error) {
	a, err := netip.ParseAddr(host)
	switch {
	case err != nil:
		return "", denied(ruleAddress, "host %q is no IPv6 address", host)
	case a.Zone() != "":
		return "", denied(ruleAddress, "host %q names a zone: addresses with zones cannot be routed", host)
	case a.Is4In6():
		return "", denied(ruleAddress, "host %q is an IPv4 address within IPv6: write it as %s", host, a.Unmap())
	}
	return a.String(), nil
}

func badLabel(l string) string {
	if l == "" || len(l) > 63 {
		return "has an empty label or one longer than 63 characters"
	}
	for _, r := range l {
		switch {
		case r > unicode.MaxASCII:
			return "is not ASCII: write it in punycode (xn--...)"
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-', r == '_':
		default:
			return fmt.Sprintf("contains %q", r)
		}
	}
	return ""
}

// NormalisePath decodes an escaped path that can be read in one way only. It refuses what servers disagree on: dot and
// empty segments (one slash at the end is none), an encoded slash, a backslash, path parameters, a percent sign that
// remains, control characters.
func NormalisePath(escaped string) (string, error) {
	if escaped == "" {
		return "/", nil
	}
	if escaped[0] != '/' {
		return "", denied(rulePath, "path %q does not begin with /", escaped)
	}
	segments := strings.Split(escaped[1:], "/")
	for i, escapedSegment := range segments {
		s, why := segment(escapedSegment)
		if s == "" && i < len(segments)-1 && why == "" {
			why = "an empty segment (//)"
		}
		if why != "" {
			return "", denied(rulePath, "path %q holds %s, which the service may read differently: send the plain path", escaped, why)
		}
		segments[i] = s
	}
	return "/" + strings.Join(segments, "/"), nil
}

// segment decodes one segment, or names what in it has two readings.
func segment(escaped string) (s, why string) {
	s, err := url.PathUnescape(escaped)
	// Servlet containers drop ";parameters" before they resolve dots.
	name, _, _ := strings.Cut(s, ";")
	switch {
	case err != nil:
		return "", "a percent sign without two hex digits"
	case name == "." || name == "..":
		return "", "a dot segment"
	case strings.Contains(s, "/"):
		return "", "an encoded slash"
	case strings.Contains(s, `\`):
		return "", "a backslash"
	case strings.Contains(s, "%"):
		return "", "a doubly encoded character"
	case strings.Contains(s, ";"):
		return "", "path parameters (;...)"
	case strings.ContainsAny(s, "?#"):
		return "", "an encoded query or fragment"
	case !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl):
		return "", "a control or non-UTF-8 character"
	}
	return s, ""
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
		return "", false, denied(rulePath, "path %q: a * may stand only at the end, after a /", path)
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
