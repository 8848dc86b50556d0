package gss

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"
)

const (
	recordHeader  = 5
	maxRecord     = 1<<14 + 2048 // of a record's body: RFC 5246, section 6.2.3
	maxToken      = 1 << 24      // globus_gss_assist_token_get_fd
	integrityOnly = 26           // SSL3_RT_GSSAPI_OPENSSL: a MIC and a message in the clear
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

// checkRecords refuses a token that is anything but whole TLS records.
func checkRecords(token []byte) error {
	if len(token) == 0 {
		return errors.New("gss: the token is empty")
	}
	if len(token) > maxToken {
		return fmt.Errorf("gss: a token of %d bytes; at most %d are taken", len(token), maxToken)
	}
	for len(token) > 0 {
		if len(token) < recordHeader {
			return errors.New("gss: the token ends within a TLS record")
		}
		n, err := recordLength(token)
		if err != nil {
			return err
		}
		if n > len(token) {
			return errors.New("gss: the token ends within a TLS record")
		}
		token = token[n:]
	}
	return nil
}

// looksLikeRecord is how Globus tells a TLS record from a length (gss_assist, tokens_f.c).
func looksLikeRecord(b []byte) bool { return b[0] >= 20 && b[0] <= integrityOnly && b[1] == 3 }

// recordLength returns the length of the record that starts with this header.
func recordLength(header []byte) (int, error) {
	n := int(binary.BigEndian.Uint16(header[3:]))
	switch {
	case !looksLikeRecord(header):
		return 0, fmt.Errorf("gss: the token is no TLS record: it starts with % x", header[:recordHeader])
	case header[0] == integrityOnly:
		return 0, errors.New("gss: the token is signed but not sealed (GSS_C_CONF_FLAG off); only sealed ones are taken")
	case n > maxRecord:
		return 0, fmt.Errorf("gss: a TLS record of %d bytes; at most %d are allowed", n, maxRecord)
	}
	return recordHeader + n, nil
}
