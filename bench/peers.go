package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// rate is what one measurement found.
type rate struct {
	messages   int
	cpu, clock time.Duration
}

// perSecond is messages per second of CPU time, user and system.
func (r rate) perSecond() float64 { return float64(r.messages) / r.cpu.Seconds() }

// peer is a program that signs and verifies. A rate of no messages means that it does not take such a one.
type peer interface {
	measure(c testCase, seconds float64) (rate, error)
	close() error
}

// coworker is a process that takes orders by lines: gsigw's worker or WSS4J's.
type coworker struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *bufio.Reader
	about string // what it says it is
}

func startCoworker(cmd *exec.Cmd) (*coworker, error) {
	w := &coworker{cmd: cmd}
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	w.in, w.out = in, bufio.NewReader(out)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	if w.about, err = w.out.ReadString('\n'); err != nil {
		return nil, fmt.Errorf("%s did not start: %w", cmd.Path, err)
	}
	return w, nil
}

func (w *coworker) measure(c testCase, seconds float64) (r rate, err error) {
	if _, err := fmt.Fprintln(w.in, c.op, c.digest, seconds, c.file()); err != nil {
		return r, err
	}
	var cpu, clock int64
	if _, err := fmt.Fscanln(w.out, &r.messages, &cpu, &clock); err != nil {
		return r, fmt.Errorf("%s ended at %s: %w", filepath.Base(w.cmd.Path), c, err)
	}
	r.cpu, r.clock = time.Duration(cpu), time.Duration(clock)
	return r, nil
}

func (w *coworker) close() error {
	w.in.Close()
	return w.cmd.Wait()
}

// xmlsec1 is a process for each measurement; what it takes to start is measured and left out. It signs the same five
// parts, but verifies with the one public key: no chain, no coverage, no time.
type xmlsec1 struct {
	key, leaf string
	startup   time.Duration
	counts    map[testCase]int // how often to repeat, by the measurement before
}

// ids are the signed elements, whose Id attributes xmlsec1 has to be told of.
var ids = []string{
	"http://schemas.xmlsoap.org/soap/envelope/:Body",
	"http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd:Timestamp",
	"http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd:BinarySecurityToken",
	"http://schemas.xmlsoap.org/ws/2004/03/addressing:MessageID",
	"http://schemas.xmlsoap.org/ws/2004/03/addressing:To",
	"http://schemas.xmlsoap.org/ws/2004/03/addressing:Action",
}

func (x *xmlsec1) measure(c testCase, seconds float64) (rate, error) {
	n := max(x.counts[c], 1)
	start := time.Now()
	cmd := x.command(c, n)
	if err := cmd.Run(); err != nil {
		return rate{}, nil // libxml2 reads no text of more than 10 MB
	}
	r := rate{n, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime() - x.startup, time.Since(start)}
	r.cpu = max(r.cpu, time.Millisecond)
	x.counts[c] = max(1, int(float64(n)*seconds/r.cpu.Seconds()))
	if n < 10 && x.counts[c] > 2*n { // the first look at a case: too short to count
		return x.measure(c, seconds)
	}
	return r, nil
}

func (x *xmlsec1) command(c testCase, n int) *exec.Cmd {
	args := []string{"--verify", "--pubkey-cert-pem", x.leaf}
	if c.op == opSign {
		args = []string{"--sign", "--privkey-pem", x.key, "--output", os.DevNull}
	}
	for _, id := range ids {
		args = append(args, "--id-attr:Id", id)
	}
	return exec.Command("xmlsec1", append(args, "--repeat", fmt.Sprint(n), c.xmlsec1File())...)
}

// findStartup measures what a process takes that has next to nothing to do.
func (x *xmlsec1) findStartup() error {
	cmd := exec.Command("xmlsec1", "--version")
	if err := cmd.Run(); err != nil {
		return err
	}
	x.startup = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return nil
}

func (x *xmlsec1) close() error { return nil }
