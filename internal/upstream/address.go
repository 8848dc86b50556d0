package upstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"
)

var (
	thisNetwork = netip.MustParsePrefix("0.0.0.0/8")   // RFC 1122, section 3.2.1.3: Linux takes 0.0.0.0 for loopback
	reserved    = netip.MustParsePrefix("240.0.0.0/4") // RFC 1112, section 4, and the limited broadcast address
	nat64       = netip.MustParsePrefix("64:ff9b::/96")
	sixToFour   = netip.MustParsePrefix("2002::/16")
	compatible  = netip.MustParsePrefix("::/96") // RFC 4291, section 2.5.5.1; holds the unspecified address too
)

// resolve finds and checks the addresses of host. One that may not be dialled refuses the name as a whole: a
// name that points both inside and outside is an attempt, not an accident.
func (c *Client) resolve(ctx context.Context, host string, port uint16, allow Allow, timeout time.Duration) ([]netip.AddrPort, *Error) {
	ips, err := c.lookup(ctx, host, timeout)
	if err != nil {
		return nil, &Error{Op: OpResolve, Addr: host, Err: err}
	}
	addrs := make([]netip.AddrPort, len(ips))
	for i, ip := range ips {
		addrs[i] = netip.AddrPortFrom(ip.Unmap(), port)
		if err := c.checkAddr(addrs[i], allow); err != nil {
			return nil, &Error{Op: OpAddress, Addr: fmt.Sprintf("%s (%s)", host, addrs[i]), Err: err}
		}
	}
	return addrs, nil
}

func (c *Client) lookup(ctx context.Context, host string, timeout time.Duration) ([]netip.Addr, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{ip}, nil
	}
	lctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	ips, err := c.config.Resolver.LookupNetIP(lctx, "ip", host)
	switch {
	case lctx.Err() != nil && err != nil:
		return nil, legError(ctx, context.DeadlineExceeded, "resolving the name", timeout)
	case err != nil:
		return nil, err
	case len(ips) == 0:
		return nil, errors.New("the name has no address")
	}
	return ips, nil
}

func (c *Client) checkAddr(addr netip.AddrPort, allow Allow) error {
	if err := checkIP(addr.Addr(), allow); err != nil {
		return err
	}
	if !allow.Own && c.isOwn(addr) {
		return errors.New("this is the gateway's own listener; a call to it would come back here")
	}
	return nil
}

// checkIP refuses the kinds of address that reach this machine or its link. IPv4 addresses inside IPv6 ones count
// as what they are.
func checkIP(ip netip.Addr, allow Allow) error {
	ip = ip.Unmap().WithZone("")
	switch {
	case ip.IsLoopback():
		return refuseUnless(allow.Loopback, "a loopback address")
	case ip.IsLinkLocalUnicast():
		return refuseUnless(allow.LinkLocal, "a link-local address")
	case ip.IsMulticast():
		return errors.New("a multicast address is never called")
	case thisNetwork.Contains(ip), reserved.Contains(ip):
		return errors.New("an unspecified, reserved or broadcast address is never called")
	}
	if v4, ok := embeddedIPv4(ip); ok {
		return checkIP(v4, allow)
	}
	return nil
}

func refuseUnless(allowed bool, kind string) error {
	if allowed {
		return nil
	}
	return fmt.Errorf("%s is called only where the route allows it", kind)
}

func embeddedIPv4(ip netip.Addr) (netip.Addr, bool) {
	b := ip.As16()
	switch {
	case nat64.Contains(ip), compatible.Contains(ip):
		return netip.AddrFrom4([4]byte(b[12:16])), true
	case sixToFour.Contains(ip):
		return netip.AddrFrom4([4]byte(b[2:6])), true
	}
	return netip.Addr{}, false
}

// isOwn reports whether addr reaches one of our listeners. Where the machine's addresses cannot be listed, a
// matching port is enough.
func (c *Client) isOwn(addr netip.AddrPort) bool {
	for _, own := range c.config.Own {
		if own.Port() != addr.Port() {
			continue
		}
		ip := own.Addr().Unmap()
		if ip == addr.Addr() || ip.IsUnspecified() && isLocal(addr.Addr()) {
			return true
		}
	}
	return false
}

func isLocal(ip netip.Addr) bool {
	if ip.IsLoopback() {
		return true
	}
	nets, err := net.InterfaceAddrs()
	return err != nil || slices.ContainsFunc(nets, func(a net.Addr) bool {
		prefix, err := netip.ParsePrefix(a.String())
		return err != nil || prefix.Addr().Unmap() == ip.WithZone("")
	})
}
