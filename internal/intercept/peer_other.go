//go:build !linux

package intercept

import (
	"errors"
	"net"
	"net/netip"
)

const canFindUID = false

var errNoUID = errors.New("intercept: the caller's uid can be found on Linux only")

func unixPeer(*net.UnixConn) (uint32, error)                   { return 0, errNoUID }
func socketOwner(local, remote netip.AddrPort) (uint32, error) { return 0, errNoUID }
