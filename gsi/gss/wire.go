package gss

import (
	"encoding/binary"
	"net"
	"time"
)

// wire is the connection that crypto/tls believes it has. The peer's tokens are put into it, and tokens for the peer
// taken out.
type wire struct {
	in     []byte
	record int         // what is left of the record that is being read
	wait   func() bool // during the handshake: until there is more; false: the end
	ended  bool
	out    []byte
}

// errNoMore says that all records have been read. crypto/tls keeps no error that is temporary.
var errNoMore error = noMore{}

type noMore struct{}

func (noMore) Error() string   { return "gss: no more records" }
func (noMore) Timeout() bool   { return false }
func (noMore) Temporary() bool { return true }

func (w *wire) put(token []byte) { w.in = append(w.in, token...) }

func (w *wire) take() []byte {
	out := w.out
	w.out = nil
	return out
}

// pending reports whether there is something that has not been read.
func (w *wire) pending() bool { return len(w.in) > 0 }

// Read never reads beyond a record, so that pending sees what crypto/tls did not want.
func (w *wire) Read(p []byte) (int, error) {
	for len(w.in) == 0 {
		switch {
		case w.ended:
			return 0, net.ErrClosed
		case w.wait == nil:
			return 0, errNoMore
		}
		w.ended = !w.wait()
	}
	if w.record == 0 {
		w.record = recordHeader + int(binary.BigEndian.Uint16(w.in[3:]))
	}
	n := copy(p[:min(len(p), w.record)], w.in)
	w.in, w.record = w.in[n:], w.record-n
	return n, nil
}

func (w *wire) Write(p []byte) (int, error) {
	w.out = append(w.out, p...)
	return len(p), nil
}

func (w *wire) Close() error                     { return nil }
func (w *wire) LocalAddr() net.Addr              { return wireAddr{} }
func (w *wire) RemoteAddr() net.Addr             { return wireAddr{} }
func (w *wire) SetDeadline(time.Time) error      { return nil }
func (w *wire) SetReadDeadline(time.Time) error  { return nil }
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

type wireAddr struct{}

func (wireAddr) Network() string { return "gss" }
func (wireAddr) String() string  { return "gss" }
