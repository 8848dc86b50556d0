package daemon

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// notifier tells the service manager how we are (sd_notify(3)). The zero notifier tells nobody.
type notifier struct {
	socket string        // NOTIFY_SOCKET
	every  time.Duration // between signs of life; 0: none are wanted
}

// newNotifier reads what systemd put into the environment.
func newNotifier(env func(string) string) notifier {
	n := notifier{socket: env("NOTIFY_SOCKET")}
	usec, err := strconv.ParseInt(env("WATCHDOG_USEC"), 10, 64)
	pid := env("WATCHDOG_PID")
	if err == nil && usec > 0 && (pid == "" || pid == strconv.Itoa(os.Getpid())) {
		n.every = time.Duration(usec) * time.Microsecond / 2
	}
	return n
}

// tell sends a state. That nobody listens is no reason to stop: the manager finds out by itself.
func (n notifier) tell(state ...string) {
	if n.socket == "" {
		return
	}
	name := n.socket
	if strings.HasPrefix(name, "@") { // an abstract socket
		name = "\x00" + name[1:]
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return
	}
	defer c.Close()
	c.Write([]byte(strings.Join(state, "\n")))
}

func (n notifier) ready()    { n.tell("READY=1") }
func (n notifier) stopping() { n.tell("STOPPING=1") }

// reloading carries the time, by which the manager tells this reload from another.
func (n notifier) reloading() {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) != nil {
		return
	}
	n.tell("RELOADING=1", fmt.Sprintf("MONOTONIC_USEC=%d", ts.Nano()/1000))
}

// live gives signs of life until ctx ends.
func (n notifier) live(ctx context.Context) {
	if n.every == 0 {
		return
	}
	t := time.NewTicker(n.every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			n.tell("WATCHDOG=1")
		}
	}
}

// firstFD is where passed sockets begin (sd_listen_fds(3)).
const firstFD = 3

// passedSockets are the sockets that a service manager opened for us, by their FileDescriptorName. The environment is
// cleared, so that no child takes them for its own.
func passedSockets(env func(string) string, first int) (map[string]net.Listener, error) {
	if env("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return nil, nil
	}
	n, err := strconv.Atoi(env("LISTEN_FDS"))
	if err != nil || n < 1 {
		return nil, nil
	}
	names := strings.Split(env("LISTEN_FDNAMES"), ":")
	sockets := map[string]net.Listener{}
	for i := range n {
		name := ""
		if i < len(names) {
			name = names[i]
		}
		if !isListener(name) || sockets[name] != nil {
			return nil, fmt.Errorf("daemon: socket %d was passed under the name %q: give each socket unit its own FileDescriptorName out of %s", first+i, name, strings.Join(listenerNames, ", "))
		}
		if sockets[name], err = fromFD(first+i, name); err != nil {
			return nil, err
		}
	}
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		os.Unsetenv(name)
	}
	return sockets, nil
}

func fromFD(fd int, name string) (net.Listener, error) {
	unix.CloseOnExec(fd)
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	ln, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("daemon: the passed socket %s: %w", name, err)
	}
	return ln, nil
}
