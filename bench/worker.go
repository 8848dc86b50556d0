package main

import (
	"bufio"
	"context"
	"crypto"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"runtime"
	"syscall"
	"time"

	"gsigw/gsi"
	"gsigw/soap"
	"gsigw/soap/xmlscan"
	"gsigw/trust"
	"gsigw/wssec"
)

// work does what it is told line by line, as Wss4jWorker.java does: "OP DIGEST SECONDS FILE" runs the operation on the
// file's message for so much CPU time, at least once, and answers with the number of messages, the CPU time of the process and
// the time by the clock, both in nanoseconds.
func work(in io.Reader, out io.Writer, credential, trustDir string) error {
	pem, err := os.ReadFile(credential)
	if err != nil {
		return err
	}
	c, err := gsi.ParsePEM(pem)
	if err != nil {
		return err
	}
	store, err := trust.Open(trustDir, trust.Options{})
	if err != nil {
		return err
	}
	fmt.Fprintln(out, gsi.RSASigner())
	for lines := bufio.NewScanner(in); lines.Scan(); {
		if err := obey(lines.Text(), out, c, store); err != nil {
			return err
		}
	}
	return nil
}

func obey(line string, out io.Writer, c *gsi.Credential, store *trust.Store) error {
	var op, digest, file string
	var seconds float64
	if _, err := fmt.Sscan(line, &op, &digest, &seconds, &file); err != nil {
		return fmt.Errorf("%q: %w", line, err)
	}
	doc, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	d, err := wssec.ParseDigest(digest)
	if err != nil {
		return err
	}
	jobs := map[string]func() error{
		"rsa":    func() error { return signDigest(c) },
		"sign":   func() error { return sign(doc, c, d) },
		"verify": func() error { return verify(doc, store) },
		"scan":   func() error { return scan(doc) },
		"hash":   func() error { return hash(doc, d) },
	}
	job := jobs[op]
	if job == nil {
		return fmt.Errorf("no operation %q", op)
	}
	runtime.GC()
	n, cpu, clock, err := measure(job, time.Duration(seconds*float64(time.Second)))
	if err != nil {
		return fmt.Errorf("%s: %w", line, err)
	}
	_, err = fmt.Fprintln(out, n, cpu.Nanoseconds(), clock.Nanoseconds())
	return err
}

// patience is how many times as long as it should a measurement may take, on a machine that others use.
const patience = 10

func measure(job func() error, atLeast time.Duration) (n int, cpu, clock time.Duration, err error) {
	startCPU, start := cpuTime(), time.Now()
	for n == 0 || cpuTime()-startCPU < atLeast && time.Since(start) < patience*atLeast {
		if err := job(); err != nil {
			return 0, 0, 0, err
		}
		n++
	}
	return n, cpuTime() - startCPU, time.Since(start), nil
}

// cpuTime is the user and system time of the process so far, its garbage collector included.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// signDigest is the one private-key operation of a signature.
func signDigest(c *gsi.Credential) error {
	_, err := gsi.Accelerated(c.Key).Sign(rand.Reader, make([]byte, 32), crypto.SHA256)
	return err
}

// sign reads, signs every header and Body with a Timestamp, and writes.
func sign(doc []byte, c *gsi.Credential, d wssec.Digest) error {
	m, err := soap.Read(xmlscan.Memory(doc), soap.Limits{})
	if err != nil {
		return err
	}
	edit, _, err := (&wssec.GSIMessage{Digest: d}).Secure(context.Background(), m, c)
	if err != nil {
		return err
	}
	_, err = edit.WriteTo(io.Discard)
	return err
}

// verify reads, checks signature, chain, digests, coverage and time, and rebuilds what the engine gets.
func verify(doc []byte, store *trust.Store) error {
	m, err := soap.Read(xmlscan.Memory(doc), soap.Limits{})
	if err != nil {
		return err
	}
	v := &wssec.Verifier{Trust: store, Skew: 24 * time.Hour, Algorithms: wssec.Algorithms{SHA1: true}}
	verified, err := v.Verify(context.Background(), m, wssec.Expect{})
	if err != nil {
		return err
	}
	plain, err := verified.Rebuild(nil)
	if err != nil {
		return err
	}
	_, err = plain.WriteTo(io.Discard)
	return err
}

// hash is the digest of the message's bytes, and nothing else.
func hash(doc []byte, d wssec.Digest) error {
	h := crypto.SHA256.New()
	if d == wssec.SHA1 {
		h = crypto.SHA1.New()
	}
	_, err := h.Write(doc)
	return err
}

// scan is the floor: well-formedness and namespaces alone.
func scan(doc []byte) error {
	s := xmlscan.New(xmlscan.Memory(doc), xmlscan.Limits{})
	for {
		if kind, err := s.Next(); err != nil || kind == xmlscan.EOF {
			return err
		}
	}
}
