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

// sameListeners reports whether a new config can do with the listeners that are open.
func sameListeners(a, b *config.Config) bool {
	clients := func(c *config.Config) (list []config.Path) {
		for _, name := range slices.Sorted(maps.Keys(c.Callers)) {
			list = append(list, c.Callers[name].ClientCert)
		}
		return list
	}
	return a.Listen == b.Listen && a.Reverse.Listen == b.Reverse.Listen && a.Reverse.TLS == b.Reverse.TLS &&
		slices.Equal(a.Reverse.Hosts, b.Reverse.Hosts) && maps.Equal(a.Reverse.Paths, b.Reverse.Paths) &&
		slices.EqualFunc(reverseRoutes(a), reverseRoutes(b), func(x, y intercept.Route) bool { return x.Target.String() == y.Target.String() }) &&
		slices.Equal(clients(a), clients(b))
}
