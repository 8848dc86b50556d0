package intercept

import (
	"bufio"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// asUID runs f on a thread of its own that has another uid: sockets made there
// belong to it. The thread ends with f.
func asUID(t *testing.T, uid int, f func()) {
	t.Helper()
	failed := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread dies
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)); errno != 0 {
			failed <- errno
			return
		}
		f()
		failed <- nil
	}()
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
}

// strangers are pairs of the uid that a rule names and the uid that calls. One
// who is not root can only be the stranger to somebody else's rule.
func strangers() map[int]int {
	if os.Geteuid() == 0 {
		return map[int]int{0: 4242, 4243: 4242, 4242: 0}
	}
	return map[int]int{os.Geteuid() + 1: os.Geteuid()}
}

func dialAs(t *testing.T, uid int, network, addr string) net.Conn {
	t.Helper()
	var c net.Conn
	dialIt := func() {
		var err error
		if c, err = net.Dial(network, addr); err != nil {
			t.Error(err)
		}
	}
	if uid == os.Geteuid() {
		dialIt()
	} else {
		asUID(t, uid, dialIt)
	}
	if c == nil {
		t.FailNow()
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestCaller_RefusesOtherUID(t *testing.T) {
	for named, calling := range strangers() {
		for _, network := range []string{"tcp", "unix"} {
			address, dir := "127.0.0.1:0", t.TempDir()
			if network == "unix" {
				address = "unix:" + filepath.Join(dir, "s")
			}
			ln, err := Listen(address, 0o660)
			if err != nil {
				t.Fatal(err)
			}
			openTo(t, dir)
			g := &recorder{}
			s := startOn(t, ln, Config{Gateway: g, Forward: true, Callers: []CallerRule{{Name: "engine", UID: new(uint32(named))}}})
			c := dialAs(t, calling, network, s.Addr().String())
			status, body := send(t, c, bufio.NewReader(c), getThroughIt+"\r\n")
			wantStatus(t, status, body, 403, "does not know the caller")
			if g.count() != 0 {
				t.Errorf("uid %d passed for %d over %s", calling, named, network)
			}
		}
	}
}

// openTo lets other users reach the socket, so that the peer check decides.
func openTo(t *testing.T, dir string) {
	for d := dir; len(d) > len(os.TempDir()); d = filepath.Dir(d) {
		os.Chmod(d, 0o755)
	}
	if os.Getuid() == 0 {
		os.Chmod(filepath.Join(dir, "s"), 0o666)
	}
}

func TestCaller_AdmitsNamedUID(t *testing.T) {
	uid := os.Geteuid()
	if uid == 0 {
		uid = 4242
	}
	g := &recorder{}
	s := start(t, Config{Gateway: g, Forward: true, Callers: []CallerRule{{Name: "other", UID: new(uint32(uid + 1))}, {Name: "engine", UID: new(uint32(uid))}}})
	c := dialAs(t, uid, "tcp", s.Addr().String())
	status, body := send(t, c, bufio.NewReader(c), getThroughIt+"\r\n")
	wantStatus(t, status, body, 200, "ok")
	if g.calls[0].Caller != (Caller{"engine", "uid"}) {
		t.Errorf("caller %+v", g.calls[0].Caller)
	}
}

func TestCaller_DefaultIsOwnUID(t *testing.T) {
	g := &recorder{}
	s := start(t, Config{Gateway: g, Forward: true})
	status, body := raw(t, s, strings.TrimSuffix(getThroughIt, "\r\n"), "", "")
	wantStatus(t, status, body, 200, "ok")
	if os.Geteuid() != 0 {
		return
	}
	c := dialAs(t, 4242, "tcp", s.Addr().String())
	status, body = send(t, c, bufio.NewReader(c), getThroughIt+"\r\n")
	wantStatus(t, status, body, 403, "does not know the caller")
}

// Both ways to find the owner agree, on each kind of socket.
func TestSocketOwner_FindsTheCallersSocket(t *testing.T) {
	owner := 4242
	if os.Geteuid() != 0 {
		owner = os.Geteuid()
	}
	for _, tc := range []struct{ name, network, listen, dial string }{
		{"IPv4", "tcp4", "127.0.0.1:0", "127.0.0.1"},
		{"IPv6", "tcp6", "[::1]:0", "[::1]"},
		{"IPv4 on an IPv6 socket", "tcp4", "127.0.0.1:0", "mapped"},
	} {
		if tc.name != "IPv4" && !hasIPv6() {
			continue
		}
		t.Run(tc.name, func(t *testing.T) {
			ln, err := net.Listen(tc.network, tc.listen)
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			port := ln.Addr().(*net.TCPAddr).AddrPort().Port()
			var end netip.AddrPort
			if tc.dial == "mapped" {
				end = dialMapped(t, owner, int(port))
			} else {
				end = addrPort(dialAs(t, owner, tc.network, ln.Addr().String()).LocalAddr())
			}
			here := addrPort(ln.Addr())
			if uid, err := diagOwner(end, here); err != nil || int(uid) != owner {
				t.Errorf("sock_diag: uid %d, %v; want %d", uid, err, owner)
			}
			if uid, err := procOwner("/proc/thread-self/net/", end, here); err != nil || int(uid) != owner {
				t.Errorf("/proc: uid %d, %v; want %d", uid, err, owner)
			}
		})
	}
}

// dialMapped connects an IPv6 socket to ::ffff:127.0.0.1, as a JVM does.
func dialMapped(t *testing.T, uid, port int) (end netip.AddrPort) {
	t.Helper()
	asOwner := func() {
		fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM, 0)
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(func() { unix.Close(fd) })
		to := &unix.SockaddrInet6{Port: port, Addr: netip.MustParseAddr("::ffff:127.0.0.1").As16()}
		if err := unix.Connect(fd, to); err != nil {
			t.Error(err)
			return
		}
		name, err := unix.Getsockname(fd)
		if err != nil {
			t.Error(err)
			return
		}
		in6 := name.(*unix.SockaddrInet6)
		end = netip.AddrPortFrom(netip.AddrFrom16(in6.Addr).Unmap(), uint16(in6.Port))
	}
	if uid == os.Geteuid() {
		asOwner()
	} else {
		asUID(t, uid, asOwner)
	}
	return end
}

// A listener on the caller's port, a socket that nobody holds any more, one
// that is not connected: none of them says who calls.
func TestSocketOwner_RefusesWhatIsNoLiveConnection(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	here := addrPort(ln.Addr())
	closed, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	orphan := addrPort(closed.LocalAddr())
	closed.Close()
	for name, ends := range map[string][2]netip.AddrPort{
		"listener": {here, netip.MustParseAddrPort("127.0.0.1:1")},
		"orphan":   {orphan, here},
		"nothing":  {netip.MustParseAddrPort("127.0.0.1:2"), netip.MustParseAddrPort("127.0.0.1:1")},
	} {
		if uid, err := diagOwner(ends[0], ends[1]); err == nil {
			t.Errorf("%s: sock_diag names uid %d", name, uid)
		}
		if uid, err := procOwner("/proc/thread-self/net/", ends[0], ends[1]); err == nil {
			t.Errorf("%s: /proc names uid %d", name, uid)
		}
		if uid, err := socketOwner(ends[0], ends[1]); err == nil {
			t.Errorf("%s: uid %d", name, uid)
		}
	}
}

func TestProcFind_CountsHeldEstablishedSocketsOnly(t *testing.T) {
	const format = "   0: 0100007F:C176 0100007F:801B %s 00000000:00000000 00:00000000 00000000  1002        0 %s 1 0 20 0 0 10 -1\n"
	local, remote := netip.MustParseAddrPort("127.0.0.1:49526"), netip.MustParseAddrPort("127.0.0.1:32795")
	row := func(state, inode string) string {
		return strings.NewReplacer("%s 00000000:0", state+" 00000000:0", "%s 1 0", inode+" 1 0").Replace(format)
	}
	for name, tc := range map[string]struct {
		row string
		ok  bool
	}{"held": {row("01", "4711"), true}, "orphan": {row("01", "0"), false}, "TIME_WAIT": {row("06", "4711"), false}, "LISTEN": {row("0A", "4711"), false}} {
		uid, err := procFind(strings.NewReader("  sl  local_address\n"+tc.row), local, remote)
		if ok := err == nil && uid == 1002; ok != tc.ok {
			t.Errorf("%s: uid %d, %v", name, uid, err)
		}
	}
}

func TestDiagReply_CountsHeldEstablishedSocketsOnly(t *testing.T) {
	local, remote, other := netip.MustParseAddrPort("127.0.0.1:1"), netip.MustParseAddrPort("127.0.0.1:2"), netip.MustParseAddrPort("127.0.0.1:3")
	good := diagReply{Family: unix.AF_INET, State: tcpEstablished, ID: newDiagID(local, remote), UID: 1002, Inode: 4711}
	if uid, err := good.owner(local, remote); uid != 1002 || err != nil {
		t.Errorf("uid %d, %v", uid, err)
	}
	orphan, waiting, stray := good, good, good
	orphan.Inode, waiting.State, stray.ID = 0, 6, newDiagID(local, other)
	for name, reply := range map[string]diagReply{"orphan": orphan, "TIME_WAIT": waiting, "another connection": stray} {
		if uid, err := reply.owner(local, remote); err == nil {
			t.Errorf("%s: uid %d", name, uid)
		}
	}
}

func TestParseDiag_RefusesBrokenAnswers(t *testing.T) {
	for _, msg := range [][]byte{nil, make([]byte, 16), make([]byte, 200)} {
		if reply, err := parseDiag(msg); err == nil {
			t.Errorf("%d bytes: %+v", len(msg), reply)
		}
	}
}
