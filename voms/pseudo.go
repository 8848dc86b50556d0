package voms

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Pseudo is what VOMS wrote into proxies before it had attribute certificates, in the European DataGrid. It is read so
// that an old proxy can be shown, and never believed: no source says which of its bytes are signed, or how.
//
// Its layout is that of doc/certificate.txt in VOMS's sources; see facts/myproxy-voms.md.
type Pseudo struct {
	User, UserCA     string // DNs
	Server, ServerCA string
	VO               string
	NotBefore        time.Time
	NotAfter         time.Time
	Triples          []Triple // nil when the server was asked for something else
	Data             string   // all of what the server answered
	Signature        []byte   // not verified
}

// Triple is one attribute of a pseudo-certificate.
type Triple struct{ Group, Role, Capability string }

const maxPseudos = 16

// Pseudos reads the pseudo-certificates of the nearest proxy of a chain that has any.
func Pseudos(chain []*x509.Certificate) ([]*Pseudo, error) {
	list, err := parsePseudos(nearest(chain, OIDPseudo))
	if err != nil {
		return nil, fmt.Errorf("voms: the pseudo-certificate of the proxy: %w: make the proxy again, with today's VOMS", err)
	}
	return list, nil
}

func parsePseudos(data []byte) (list []*Pseudo, err error) {
	r := &pseudoReader{rest: data}
	for len(r.rest) > 0 {
		p := r.read()
		if r.err != nil {
			return nil, r.err
		}
		if list = append(list, p); len(list) > maxPseudos {
			return nil, fmt.Errorf("there are more than %d", maxPseudos)
		}
	}
	return list, nil
}

// pseudoReader keeps its first error; what is read after it means nothing.
type pseudoReader struct {
	rest []byte
	err  error
}

func (r *pseudoReader) read() *Pseudo {
	p := &Pseudo{}
	length := r.number("SIGLEN:")
	p.Signature = r.signature(length)
	p.User, p.UserCA = r.field("USER:"), r.field("UCA:")
	p.Server, p.ServerCA = r.field("SERVER:"), r.field("SCA:")
	p.VO = r.field("VO:")
	p.NotBefore, p.NotAfter = r.time(), r.time()
	p.Data = string(r.bytes(r.number("DATALEN:")))
	r.rest = bytes.TrimPrefix(r.rest, []byte("\n"))
	p.Triples = triples(p.Data)
	return p
}

func (r *pseudoReader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
		r.rest = nil
	}
}

func (r *pseudoReader) line() string {
	line, rest, ok := bytes.Cut(r.rest, []byte("\n"))
	if !ok {
		r.fail("a line is not there, or has no end")
	}
	r.rest = rest
	return string(line)
}

func (r *pseudoReader) field(name string) string {
	value, ok := strings.CutPrefix(r.line(), name)
	if !ok {
		r.fail("there is no %s", name)
	}
	return strings.TrimPrefix(value, " ")
}

func (r *pseudoReader) number(name string) int {
	n, err := strconv.Atoi(r.field(name))
	if err != nil || n < 0 {
		r.fail("%s is no length", name)
	}
	return n
}

func (r *pseudoReader) bytes(n int) []byte {
	if n < 0 || n > len(r.rest) {
		r.fail("it ends before its data")
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

// signature reads bytes that no newline ends, with or without a blank before them: USER tells which.
func (r *pseudoReader) signature(n int) []byte {
	rest, ok := bytes.CutPrefix(r.rest, []byte("SIGNATURE:"))
	if !ok {
		r.fail("there is no SIGNATURE:")
		return nil
	}
	if n < len(rest) && rest[0] == ' ' && bytes.HasPrefix(rest[n+1:], []byte("USER:")) {
		rest = rest[1:]
	}
	r.rest = rest
	return r.bytes(n)
}

// time reads a UTCTime or GeneralizedTime.
func (r *pseudoReader) time() time.Time {
	line := r.line()
	for _, layout := range []string{"060102150405Z", "20060102150405Z"} {
		if t, err := time.Parse(layout, line); err == nil {
			return t
		}
	}
	r.fail("%.40q is no time", line)
	return time.Time{}
}

// triples reads the usual answer of a server, and nothing from another.
func triples(data string) (list []Triple) {
	r := &pseudoReader{rest: []byte(data)}
	for len(r.rest) > 0 {
		list = append(list, Triple{r.field("GROUP:"), r.field("ROLE:"), r.field("CAP:")})
	}
	if r.err != nil {
		return nil
	}
	return list
}
