package intercept

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const canFindUID = true

var errNoSocket = errors.New("intercept: no established socket has these addresses")

// unixPeer is the uid that called connect (unix(7), SO_PEERCRED).
func unixPeer(c *net.UnixConn) (uint32, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var credErr error
	err = raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err := errors.Join(err, credErr); err != nil {
		return 0, err
	}
	return cred.Uid, nil
}

// socketOwner is the uid that owns the TCP socket with these two ends. A
// socket counts only while it is established and held by a process: an
// orphaned or lingering one is shown as uid 0's.
//
// It asks sock_diag(7) for the one socket, and reads /proc/net/tcp where
// netlink is out of reach (a seccomp filter, a kernel without inet_diag).
func socketOwner(local, remote netip.AddrPort) (uint32, error) {
	uid, err := diagOwner(local, remote)
	if err == nil || errors.Is(err, errNoSocket) {
		return uid, err
	}
	return procOwner("/proc/net/", local, remote)
}

// inet_diag_req_v2 and inet_diag_msg of linux/inet_diag.h. Ports and
// addresses are in network order, the rest in the machine's.
type diagID struct {
	Ports    [4]byte // local, remote
	Src, Dst [16]byte
	If       uint32
	Cookie   [2]uint32
}

type diagRequest struct {
	Family, Protocol, Ext, Pad uint8
	States                     uint32
	ID                         diagID
}

type diagReply struct {
	Family, State, Timer, Retrans uint8
	ID                            diagID
	Expires, RQueue, WQueue       uint32
	UID, Inode                    uint32
}

const tcpEstablished = 1 // TCP_ESTABLISHED of linux/tcp_states.h

func newDiagID(local, remote netip.AddrPort) (id diagID) {
	binary.BigEndian.PutUint16(id.Ports[:2], local.Port())
	binary.BigEndian.PutUint16(id.Ports[2:], remote.Port())
	copy(id.Src[:], local.Addr().AsSlice())
	copy(id.Dst[:], remote.Addr().AsSlice())
	id.Cookie = [2]uint32{0xffffffff, 0xffffffff} // INET_DIAG_NOCOOKIE
	return id
}

func (id diagID) ends(family uint8) (local, remote netip.AddrPort) {
	addr := func(b [16]byte) netip.Addr {
		if family == unix.AF_INET {
			return netip.AddrFrom4([4]byte(b[:4]))
		}
		return netip.AddrFrom16(b).Unmap()
	}
	return netip.AddrPortFrom(addr(id.Src), binary.BigEndian.Uint16(id.Ports[:2])),
		netip.AddrPortFrom(addr(id.Dst), binary.BigEndian.Uint16(id.Ports[2:]))
}

func diagOwner(local, remote netip.AddrPort) (uint32, error) {
	family := uint8(unix.AF_INET)
	if local.Addr().Is6() {
		family = unix.AF_INET6
	}
	reply, err := diagExchange(diagRequest{
		Family: family, Protocol: unix.IPPROTO_TCP, States: 1 << tcpEstablished,
		ID: newDiagID(local, remote),
	})
	if err != nil {
		return 0, err
	}
	return reply.owner(local, remote)
}

// owner is the socket's uid, if the socket is the one asked for: where no
// connection matches, the kernel names a listener on the port.
func (d diagReply) owner(local, remote netip.AddrPort) (uint32, error) {
	if l, r := d.ID.ends(d.Family); l != local || r != remote || d.State != tcpEstablished || d.Inode == 0 {
		return 0, errNoSocket
	}
	return d.UID, nil
}

func diagExchange(req diagRequest) (reply diagReply, err error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_INET_DIAG)
	if err != nil {
		return reply, fmt.Errorf("intercept: sock_diag: %w", err)
	}
	defer unix.Close(fd)
	// The kernel answers within sendto; a deadline guards against one that does not.
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 2}); err != nil {
		return reply, fmt.Errorf("intercept: sock_diag: %w", err)
	}
	msg, err := diagMessage(req)
	if err != nil {
		return reply, err
	}
	if err := unix.Sendto(fd, msg, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return reply, fmt.Errorf("intercept: sock_diag: %w", err)
	}
	buf := make([]byte, 8192)
	n, from, err := unix.Recvfrom(fd, buf, 0)
	if err != nil {
		return reply, fmt.Errorf("intercept: sock_diag: %w", err)
	}
	if kernel, ok := from.(*unix.SockaddrNetlink); !ok || kernel.Pid != 0 {
		return reply, errors.New("intercept: sock_diag: the answer is not the kernel's")
	}
	return parseDiag(buf[:n])
}

func diagMessage(req diagRequest) ([]byte, error) {
	size := unix.SizeofNlMsghdr + binary.Size(req)
	msg, err := binary.Append(nil, binary.NativeEndian, unix.NlMsghdr{
		Len: uint32(size), Type: unix.SOCK_DIAG_BY_FAMILY, Flags: unix.NLM_F_REQUEST, Seq: 1,
	})
	if err != nil {
		return nil, err
	}
	return binary.Append(msg, binary.NativeEndian, req)
}

func parseDiag(msg []byte) (reply diagReply, err error) {
	var head unix.NlMsghdr
	n, err := binary.Decode(msg, binary.NativeEndian, &head)
	if err != nil {
		return reply, fmt.Errorf("intercept: sock_diag answer: %w", err)
	}
	if head.Type != unix.SOCK_DIAG_BY_FAMILY {
		// NLMSG_ERROR: no such socket, or no inet_diag in this kernel.
		return reply, fmt.Errorf("intercept: sock_diag answered with message type %d", head.Type)
	}
	if _, err := binary.Decode(msg[n:], binary.NativeEndian, &reply); err != nil {
		return reply, fmt.Errorf("intercept: sock_diag answer: %w", err)
	}
	return reply, nil
}

// procOwner looks in dir's tcp and tcp6 (proc_net(5)); a caller on an IPv6
// socket may speak IPv4.
func procOwner(dir string, local, remote netip.AddrPort) (uint32, error) {
	for _, name := range []string{"tcp", "tcp6"} {
		f, err := os.Open(dir + name)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, err
		}
		uid, err := procFind(f, local, remote)
		f.Close()
		if !errors.Is(err, errNoSocket) {
			return uid, err
		}
	}
	return 0, errNoSocket
}

// procFind reads lines of: sl local remote state queues timer retransmits uid timeout inode ...
func procFind(table io.Reader, local, remote netip.AddrPort) (uint32, error) {
	lines := bufio.NewScanner(table)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 10 || f[3] != "01" || f[9] == "0" {
			continue
		}
		if procAddr(f[1]) == local && procAddr(f[2]) == remote {
			uid, err := strconv.ParseUint(f[7], 10, 32)
			return uint32(uid), err
		}
	}
	if err := lines.Err(); err != nil {
		return 0, err
	}
	return 0, errNoSocket
}

// procAddr reads "0100007F:1F90": 32-bit words in the machine's order, then the port.
func procAddr(s string) netip.AddrPort {
	host, port, _ := strings.Cut(s, ":")
	raw, err := hex.DecodeString(host)
	p, portErr := strconv.ParseUint(port, 16, 16)
	if err != nil || portErr != nil || len(raw)%4 != 0 {
		return netip.AddrPort{}
	}
	for i := 0; i < len(raw); i += 4 {
		binary.NativeEndian.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
	}
	addr, _ := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(addr.Unmap(), uint16(p))
}
