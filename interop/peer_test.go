package interop

import (
	"bufio"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// patience is how long a peer may take to say or do what a test waits for.
const patience = time.Minute

// A peer is a running program that a test speaks with; it ends with the test.
type peer struct {
	in    io.WriteCloser
	lines <-chan string // what it writes, standard error included
}

func startPeer(t testing.TB, cmd *exec.Cmd) *peer {
	t.Helper()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	read, write := io.Pipe()
	cmd.Stdout, cmd.Stderr = write, write
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines, out := make(chan string, 10_000), bufio.NewReader(read)
	go func() {
		defer close(lines)
		for {
			line, err := out.ReadString('\n')
			if line != "" {
				lines <- strings.TrimRight(line, "\r\n")
			}
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		write.Close()
	})
	return &peer{in: in, lines: lines}
}

// next is the next line that the peer writes.
func (p *peer) next(t testing.TB) string {
	t.Helper()
	select {
	case line, open := <-p.lines:
		if !open {
			t.Fatal("the peer has ended")
		}
		return line
	case <-time.After(patience):
		t.Fatal("the peer says nothing")
	}
	return ""
}

// until returns what the peer writes up to and with the first line that contains the text.
func (p *peer) until(t testing.TB, text string) string {
	t.Helper()
	var said strings.Builder
	for {
		line := p.next(t)
		said.WriteString(line + "\n")
		if strings.Contains(line, text) {
			return said.String()
		}
	}
}

// rest is what the peer has written and nobody has read.
func (p *peer) rest() string {
	var said strings.Builder
	for {
		select {
		case line, open := <-p.lines:
			if !open {
				return said.String()
			}
			said.WriteString(line + "\n")
		default:
			return said.String()
		}
	}
}

// freePort is a port of loopback that nobody listens on just now.
func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}
