package intercept

import (
	"net"
	"net/netip"
)

// peer is what the kernel says of the other end of a connection.
type peer struct {
	uid   uint32
	known bool // false: nobody's uid, matches no rule
	unix  bool
}

// findPeer asks the kernel who owns the other end of c, at once after accept:
// later the socket may be gone, or its port another's. Not found, ambiguous
// or not local is unknown.
func findPeer(c net.Conn) peer {
	switch c := c.(type) {
	case *net.UnixConn:
		uid, err := unixPeer(c)
		return peer{uid: uid, known: err == nil, unix: true}
	case *net.TCPConn:
		local, remote := addrPort(c.LocalAddr()), addrPort(c.RemoteAddr())
		if !local.Addr().IsLoopback() || !remote.Addr().IsLoopback() {
			return peer{}
		}
		// Seen from the caller, our ends are swapped.
		uid, err := socketOwner(remote, local)
		return peer{uid: uid, known: err == nil}
	}
	return peer{}
}

func addrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
}
