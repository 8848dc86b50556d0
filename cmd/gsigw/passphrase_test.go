package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestPassphrases_ReadOneLineEach(t *testing.T) {
	in := strings.NewReader("first\r\nsecond\nlast")
	for _, want := range []string{"first", "second", "last"} {
		if got, err := readLine(in); err != nil || string(got) != want {
			t.Errorf("got %q, %v; want %q", got, err, want)
		}
	}
	if got, err := readLine(in); err == nil {
		t.Errorf("nothing is read as %q", got)
	}
}

func TestPassphrases_AreBounded(t *testing.T) {
	if _, err := readLine(strings.NewReader(strings.Repeat("x", maxPassphrase) + "\n")); err != nil {
		t.Error(err)
	}
	if _, err := readLine(strings.NewReader(strings.Repeat("x", maxPassphrase+1) + "\n")); err == nil {
		t.Error("no limit")
	}
}

func TestPassphrases_MayBeEmpty(t *testing.T) {
	if got, err := readLine(strings.NewReader("\n")); err != nil || len(got) != 0 {
		t.Errorf("%q, %v", got, err)
	}
}

// terminals stay open: a read that was interrupted still has one.
var terminals []*os.File

// terminal opens a new terminal: its two ends.
func terminal(t *testing.T) (master, tty *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	if tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	terminals = append(terminals, master, tty)
	return master, tty
}

func echoes(t *testing.T, tty *os.File) bool {
	t.Helper()
	settings, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return settings.Lflag&unix.ECHO != 0
}

func waitForSilence(t *testing.T, tty *os.File) {
	t.Helper()
	for echoes(t, tty) && t.Context().Err() == nil {
		runtime.Gosched()
	}
}

func TestPassphrases_AreNotEchoed(t *testing.T) {
	master, tty := terminal(t)
	typed := make(chan string, 1)
	go func() {
		line, err := readUnseen(t.Context(), tty, "Pass phrase:")
		if err != nil {
			t.Error(err)
		}
		typed <- string(line)
	}()
	waitForSilence(t, tty)
	if _, err := master.WriteString("open sesame\n"); err != nil {
		t.Fatal(err)
	}
	if got := <-typed; got != "open sesame" {
		t.Errorf("read %q", got)
	}
	seen := make([]byte, 1024)
	n, err := master.Read(seen)
	if err != nil || strings.TrimSpace(string(seen[:n])) != "Pass phrase:" {
		t.Errorf("the terminal shows %q, %v", seen[:n], err)
	}
}

func TestPassphrases_LeaveTheTerminalAsItWasWhenInterrupted(t *testing.T) {
	_, tty := terminal(t)
	ctx, interrupt := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := readUnseen(ctx, tty, "Pass phrase:")
		ended <- err
	}()
	waitForSilence(t, tty)
	interrupt()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if !echoes(t, tty) {
		t.Error("the terminal does not echo any more")
	}
}

// The keys that end or stop a process do not leave a terminal without echo behind, nor make one echo what follows.
func TestPassphrases_LeaveTheTerminalAsItWasAtEverySignal(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGQUIT, syscall.SIGHUP} {
		_, tty := terminal(t)
		ended := make(chan error, 1)
		go func() {
			_, err := readUnseen(t.Context(), tty, "Pass phrase:")
			ended <- err
		}()
		waitForSilence(t, tty)
		if err := errors.Join(syscall.Kill(os.Getpid(), syscall.SIGTSTP), syscall.Kill(os.Getpid(), s)); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; err == nil || !strings.Contains(err.Error(), "signal received") {
			t.Errorf("%v: %v", s, err)
		}
		if !echoes(t, tty) {
			t.Errorf("%v: the terminal does not echo any more", s)
		}
	}
}

func TestPassphrases_EndWhereTheInputDoes(t *testing.T) {
	master, tty := terminal(t)
	ended := make(chan error, 1)
	go func() {
		_, err := readUnseen(t.Context(), tty, "Pass phrase:")
		ended <- err
	}()
	waitForSilence(t, tty)
	if _, err := master.WriteString("\x04"); err != nil { // Ctrl-D
		t.Fatal(err)
	}
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "ended without a passphrase") {
		t.Error(err)
	}
}
