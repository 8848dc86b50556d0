package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

// Op is the leg of a call on which it failed.
type Op string

const (
	OpTarget    Op = "target"          // the call cannot be made as asked: a wrong scheme, no credential, an expired one
	OpResolve   Op = "resolve"         // the name has no address
	OpAddress   Op = "refused address" // the name has one that may not be dialled
	OpDial      Op = "dial"            //
	OpProxy     Op = "proxy"           // the HTTP proxy did not open a tunnel
	OpHandshake Op = "handshake"       // TLS: versions, ciphers, or the peer refusing our certificate
	OpIdentity  Op = "identity"        // the server's certificate is not trusted, or is not the one expected
	OpWrite     Op = "write"           //
	OpRead      Op = "read"            //
	OpFraming   Op = "framing"         // the reply is not unambiguous HTTP
	OpRedirect  Op = "redirect"        //
)

var (
	// ErrCredential: transport GSI has no credential that it could show.
	ErrCredential = errors.New("no usable credential")
	// ErrTooLarge: the reply outgrew [Limits].
	ErrTooLarge = errors.New("reply is larger than the limit")
	// ErrNoAnswer: the connection ended before a reply began. The request may have been carried out, and is
	// not sent again.
	ErrNoAnswer = errors.New("connection closed before a reply; the request may have been carried out and was not sent again")
)

// Error is why a call failed, in words for the operator. Err holds the cause: a trust.Error, a
// [*PeerMismatch], a [*Redirect], a net.Error.
type Error struct {
	Op   Op
	Addr string // host:port, with the address in parentheses where it was dialled
	Err  error
}

func (e *Error) Error() string { return fmt.Sprintf("upstream: %s %s: %s", e.Op, e.Addr, words(e.Err)) }

func (e *Error) Unwrap() error { return e.Err }

// Timeout reports whether a leg ran out of time.
func (e *Error) Timeout() bool {
	var t interface{ Timeout() bool }
	return errors.As(e.Err, &t) && t.Timeout()
}

// PeerMismatch: the server's certificate is trusted, but is not for the one we called.
type PeerMismatch struct {
	Host     string   // the name called, where that was the rule
	Expected []string // the DNs, where they were
	Seen     string   // the DN of the server
}

func (e *PeerMismatch) Error() string {
	if len(e.Expected) > 0 {
		return fmt.Sprintf("expected \"%s\", the server is %q", strings.Join(e.Expected, `" or "`), e.Seen)
	}
	return fmt.Sprintf("the server is %q, whose certificate is not for host %q; if that is the service, name its DN on the route", e.Seen, e.Host)
}

// Redirect: the service sent the caller elsewhere. It is not followed: the rules of a route hold for its target
// alone.
type Redirect struct {
	Status   int
	Location string // as the service sent it, cut to 256 bytes; untrusted
}

func (e *Redirect) Error() string {
	return fmt.Sprintf("redirect refused: status %d to %q; if the service moved, change the route", e.Status, e.Location)
}

// framingError is a reply that is refused because another reader might see another message in it.
type framingError string

func (e framingError) Error() string { return string(e) }

type timeoutError struct {
	what  string
	after time.Duration
}

func (e *timeoutError) Error() string { return fmt.Sprintf("%s took longer than %s", e.what, e.after) }
func (e *timeoutError) Timeout() bool { return true }
func (e *timeoutError) Is(target error) bool {
	return target == os.ErrDeadlineExceeded || target == context.DeadlineExceeded
}

// legError says what happened to a leg that ran under ctx and under a timeout of its own: the caller's going
// away and the call's deadline come before what they caused.
func legError(ctx context.Context, err error, what string, after time.Duration) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	var n net.Error
	if errors.As(err, &n) && n.Timeout() {
		return &timeoutError{what, after}
	}
	return err
}

// words takes net.OpError's repetition of the address out of an error's text.
func words(err error) string {
	switch {
	case errors.Is(err, context.Canceled):
		return "the caller hung up"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused; is the service running on that port?"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "the reply ended early: " + err.Error()
	}
	return err.Error()
}
