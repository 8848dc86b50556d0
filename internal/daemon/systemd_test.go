package daemon

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"gsigw/internal/gridtest"
)

// manager is what systemd has at the other end of NOTIFY_SOCKET.
func manager(t *testing.T) (socket string, told func() string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "notify")
	c := gridtest.Must(net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"}))
	t.Cleanup(func() { c.Close() })
	return socket, func() string {
		c.SetReadDeadline(time.Now().Add(10 * time.Second))
		buf := make([]byte, 1024)
		n, err := c.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		return string(buf[:n])
	}
}

func TestRun_TellsTheServiceManager(t *testing.T) {
	socket, told := manager(t)
	t.Setenv("NOTIFY_SOCKET", socket)
	b := newBench(t, gridtest.StandInOptions{}).start()
	if s := told(); s != "READY=1" {
		t.Errorf("told %q first", s)
	}
	if err := b.daemon.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := told(); !strings.HasPrefix(s, "RELOADING=1\nMONOTONIC_USEC=") {
		t.Errorf("told %q on reload", s)
	}
	if s := told(); s != "READY=1" {
		t.Errorf("told %q after the reload", s)
	}
	b.stop()
	if s := told(); s != "STOPPING=1" {
		t.Errorf("told %q at the end", s)
	}
}

func env(values map[string]string) func(string) string {
	return func(name string) string { return values[name] }
}

func TestNotifier_GivesSignsOfLifeTwiceAsOftenAsAsked(t *testing.T) {
	n := newNotifier(env(map[string]string{"WATCHDOG_USEC": "30000000"}))
	if n.every != 15*time.Second {
		t.Errorf("every %s", n.every)
	}
	if other := newNotifier(env(map[string]string{"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"})); other.every != 0 {
		t.Error("the watchdog of another process is ours")
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		began := time.Now()
		n.live(ctx) // ends with its context
		if time.Since(began) != time.Minute {
			t.Error("the signs of life ended early")
		}
	})
}

func TestPassedSockets_ServeUnderTheirNames(t *testing.T) {
	b := newBench(t, gridtest.StandInOptions{})
	ln := gridtest.Must(net.Listen("tcp", "127.0.0.1:0"))
	f := gridtest.Must(ln.(*net.TCPListener).File())
	fd := gridtest.Must(unix.Dup(int(f.Fd()))) // nobody's but ours, as a passed one is
	f.Close()
	ln.Close()
	passed, err := passedSockets(env(map[string]string{
		"LISTEN_PID": strconv.Itoa(os.Getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "proxy",
	}), fd)
	if err != nil || passed["proxy"] == nil {
		t.Fatal(passed, err)
	}
	defer passed["proxy"].Close()
	c := b.start().daemon.started
	listeners, err := listen(c, passed)
	if err != nil || listeners["proxy"] != passed["proxy"] || listeners["admin"] == nil {
		t.Error(listeners, err)
	}
	listeners["admin"].Close()
	go http.Serve(passed["proxy"], http.NotFoundHandler())
	reply, err := http.Get("http://" + passed["proxy"].Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, reply.Body)
	reply.Body.Close()
}

func TestPassedSockets_RefusesNamesThatSayNothing(t *testing.T) {
	me := strconv.Itoa(os.Getpid())
	for _, names := range []string{"", "unknown", "gsigw.socket"} {
		if _, err := passedSockets(env(map[string]string{"LISTEN_PID": me, "LISTEN_FDS": "1", "LISTEN_FDNAMES": names}), 1000); err == nil {
			t.Errorf("a socket named %q was taken", names)
		}
	}
	if got, err := passedSockets(env(map[string]string{"LISTEN_PID": "1", "LISTEN_FDS": "1"}), 1000); got != nil || err != nil {
		t.Error("sockets for another process were taken", got, err)
	}
}

func TestPlaces_FollowSymbolicLinks(t *testing.T) {
	dir := gridtest.Must(filepath.EvalSymlinks(t.TempDir()))
	os.MkdirAll(filepath.Join(dir, "real", "certs"), 0o755)
	os.Symlink(filepath.Join(dir, "real", "certs"), filepath.Join(dir, "certs"))
	got := places([]string{filepath.Join(dir, "certs")}, nil)
	for _, want := range []string{dir, filepath.Join(dir, "real"), filepath.Join(dir, "certs")} {
		if !slices.Contains(got, want) {
			t.Errorf("%s is not among %v", want, got)
		}
	}
}
