package daemon

import (
	"errors"
	"io/fs"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"

	"gsigw/internal/config"
	"gsigw/internal/intercept"
	"gsigw/internal/policy"
)

// The listeners by name: the config's and those of socket units.
const (
	proxyListener   = "proxy"
	reverseListener = "reverse"
	adminListener   = "admin"
)

var listenerNames = []string{proxyListener, reverseListener, adminListener}

func isListener(name string) bool { return slices.Contains(listenerNames, name) }

// listen opens the listeners of the config; a socket that the service manager passed takes the place of the address.
func listen(c *config.Config, passed map[string]net.Listener) (map[string]net.Listener, error) {
	listeners := maps.Clone(passed)
	if listeners == nil {
		listeners = map[string]net.Listener{}
	}
	for name, addr := range addresses(c) {
		if listeners[name] != nil || addr.IsZero() {
			continue
		}
		ln, err := intercept.Listen(addr.String(), socketMode(c))
		if err != nil {
			closeAll(listeners)
			return nil, err
		}
		listeners[name] = ln
	}
	return listeners, nil
}

func addresses(c *config.Config) map[string]config.Address {
	return map[string]config.Address{
		proxyListener: c.Listen.Proxy, reverseListener: c.Reverse.Listen, adminListener: c.Listen.Admin,
	}
}

// socketMode lets the group of a unix socket connect only where a caller is somebody else.
func socketMode(c *config.Config) fs.FileMode {
	for _, caller := range c.Callers {
		if caller.UID == nil || int(caller.UID.Resolve()) != os.Getuid() {
			return 0o660
		}
	}
	return 0o600
}

func closeAll(listeners map[string]net.Listener) error {
	var errs []error
	for _, ln := range listeners {
		errs = append(errs, ln.Close())
	}
	return errors.Join(errs...)
}

// ownAddresses are those that a call must not come back to.
func ownAddresses(listeners map[string]net.Listener) []netip.AddrPort {
	var own []netip.AddrPort
	for _, ln := range listeners {
		if a, ok := ln.Addr().(*net.TCPAddr); ok {
			own = append(own, a.AddrPort())
		}
	}
	return own
}

// reverseRoutes are the listen paths with the targets of their routes.
func reverseRoutes(c *config.Config) []intercept.Route {
	var routes []intercept.Route
	for _, path := range slices.Sorted(maps.Keys(c.Reverse.Paths)) {
		name := c.Reverse.Paths[path]
		routes = append(routes, intercept.Route{
			Name: name, Path: strings.TrimSuffix(path, "*"), Target: targetURL(c.Routes[name].Target),
		})
	}
	return routes
}

func targetURL(t policy.Target) *url.URL {
	return &url.URL{Scheme: t.Scheme, Host: t.Authority(), Path: t.Path}
}

// needsRestart names what a new config wants otherwise than it was at the start and a reload cannot give.
func needsRestart(a, b *config.Config) (what []string) {
	for _, fixed := range []struct {
		what string
		same bool
	}{
		{"listen", a.Listen == b.Listen},
		{"reverse", sameReverse(a, b)},
		{"client certificates of callers", slices.Equal(clientCertFiles(a), clientCertFiles(b))},
		{"limits and timeouts of engines' connections", interceptLimits(a) == interceptLimits(b)},
		{"replay", a.Replay == b.Replay},
		{"spool", a.Spool == b.Spool},
		{"trace", a.Trace == b.Trace},
		{"log.format", a.Log.Format == b.Log.Format},
	} {
		if !fixed.same {
			what = append(what, fixed.what)
		}
	}
	return what
}

func sameReverse(a, b *config.Config) bool {
	return a.Reverse.Listen == b.Reverse.Listen && a.Reverse.TLS == b.Reverse.TLS &&
		slices.Equal(a.Reverse.Hosts, b.Reverse.Hosts) &&
		slices.EqualFunc(reverseRoutes(a), reverseRoutes(b), func(x, y intercept.Route) bool {
			return x.Name == y.Name && x.Path == y.Path && x.Target.String() == y.Target.String()
		})
}

func clientCertFiles(c *config.Config) (files []config.Path) {
	for _, name := range slices.Sorted(maps.Keys(c.Callers)) {
		files = append(files, c.Callers[name].ClientCert)
	}
	return files
}
