package intercept

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/textproto"
	"strings"
	"sync"
	"time"
)

// hearing accepts connections that remember how they begin. net/http takes
// the Host header of a CONNECT away unread, and it must be compared. So TLS is
// made here: a conn that reads its plain bytes has to stand above it.
type hearing struct {
	net.Listener             // *admitting
	tls          *tls.Config // nil: plain
	limits       Limits
	log          *log.Logger
}

func (l *hearing) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	h := &heard{Conn: c, peer: c.(*conn).peer, room: l.limits.Header + readAhead}
	if l.tls != nil {
		t := tls.Server(c, l.tls)
		h.Conn, h.handshake = t, sync.OnceValue(func() error { return l.shake(t) })
	}
	return h, nil
}

// readAhead is what net/http may read beyond MaxHeaderBytes before a head is
// too large for it, and its buffer.
const readAhead = 8 << 10

// shake keeps the words that net/http has for a handshake that fails.
func (l *hearing) shake(t *tls.Conn) error {
	t.SetDeadline(time.Now().Add(l.limits.HeaderTime))
	err := t.Handshake()
	if err == nil {
		return errors.Join(t.SetReadDeadline(time.Now().Add(l.limits.HeaderTime)), t.SetWriteDeadline(time.Time{}))
	}
	if e, ok := errors.AsType[tls.RecordHeaderError](err); ok && e.Conn != nil && bytes.ContainsAny(e.RecordHeader[:1], "CDGHOP") {
		io.WriteString(e.Conn, "HTTP/1.0 400 Bad Request\r\n\r\ngsigw: this listener speaks TLS; call it with https\n")
	}
	l.log.Printf("intercept: TLS handshake with %s: %v", t.RemoteAddr(), err)
	return err
}

// heard is a connection as net/http reads it.
type heard struct {
	net.Conn  // *conn, or *tls.Conn on one
	peer      peer
	handshake func() error // nil: plain

	mu   sync.Mutex
	head []byte // what was read, while it may be the head of a CONNECT
	room int    // for how much more; 0 once nothing is kept
}

func (c *heard) Read(p []byte) (int, error) {
	if c.handshake != nil {
		if err := c.handshake(); err != nil {
			return 0, err
		}
	}
	n, err := c.Conn.Read(p)
	c.keep(p[:n])
	return n, err
}

// CloseWrite lets net/http end a TLS connection as it does its own.
func (c *heard) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return errors.ErrUnsupported
}

const connectLine = http.MethodConnect + " "

func (c *heard) keep(p []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.room == 0 {
		return
	}
	c.head = append(c.head, p[:min(len(p), c.room)]...)
	c.room -= min(len(p), c.room)
	begun := c.head[:min(len(c.head), len(connectLine))]
	if c.room == 0 || !strings.HasPrefix(connectLine, string(begun)) {
		c.head, c.room = nil, 0
	}
}

// takeHead gives what was kept and ends the keeping: nil for any request but a
// CONNECT that is the first on its connection.
func (c *heard) takeHead() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	head := c.head
	c.head, c.room = nil, 0
	return head
}

// connState is the TLS of a request on c, nil for none.
func (c *heard) connState() *tls.ConnectionState {
	t, ok := c.Conn.(*tls.Conn)
	if !ok {
		return nil
	}
	return new(t.ConnectionState())
}

// hostAgrees compares the Host header of a CONNECT with its target
// (RFC 9112, section 3.2). It reads the head as net/http did. java.net leaves
// the port out where it is 443, and an HTTP/1.0 engine (Axis 1.4) the header.
func hostAgrees(r *http.Request, head []byte, target string) *Refusal {
	if head == nil {
		return refuse(http.StatusBadRequest, "a CONNECT must be the first request on its connection")
	}
	tp := textproto.NewReader(bufio.NewReader(bytes.NewReader(head)))
	_, lineErr := tp.ReadLine()
	h, err := tp.ReadMIMEHeader()
	if err := errors.Join(lineErr, err); err != nil {
		return refuse(http.StatusBadRequest, "the head of the CONNECT cannot be read")
	}
	hosts := h["Host"]
	switch {
	case len(hosts) == 0 && !r.ProtoAtLeast(1, 1):
		return nil
	case len(hosts) != 1:
		return refuse(http.StatusBadRequest, "a CONNECT must have one Host header, the same as its target")
	}
	_, port, _ := net.SplitHostPort(target)
	if named, err := authority(hosts[0], port); err != nil || named != target {
		return refuse(http.StatusMisdirectedRequest, fmt.Sprintf("the Host %q is not the CONNECT target %s", hosts[0], target))
	}
	return nil
}
