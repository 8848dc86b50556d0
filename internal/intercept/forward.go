package intercept

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"

	"github.com/elazarl/goproxy"
)

// newSorter sets goproxy up to sort the requests of a forward proxy and do
// nothing else: whatever it might send by itself fails.
func newSorter(s *Server) *goproxy.ProxyHttpServer {
	p := goproxy.NewProxyHttpServer()
	p.Logger = silent{}
	p.Tr = &http.Transport{DialContext: noDial, DialTLSContext: noDial}
	p.ConnectDial = func(_, _ string) (net.Conn, error) { return nil, errDial }
	p.ConnectDialWithReq = func(_ *http.Request, _, _ string) (net.Conn, error) { return nil, errDial }
	p.NonproxyHandler = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		a := arrivalOf(r)
		s.serveReverse(a.w.ResponseWriter, r, a.caller)
	})
	p.OnRequest().DoFunc(func(r *http.Request, _ *goproxy.ProxyCtx) (*http.Request, *http.Response) {
		a := arrivalOf(r)
		s.serveForward(a.w.ResponseWriter, r, a.caller)
		a.w.sealed = true
		return r, &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody}
	})
	p.OnRequest().HandleConnectFunc(func(_ string, ctx *goproxy.ProxyCtx) (*goproxy.ConnectAction, string) {
		if arrivalOf(ctx.Req).tunnel == nil {
			return goproxy.RejectConnect, ""
		}
		return &goproxy.ConnectAction{Action: goproxy.ConnectHijack, Hijack: s.openTunnel}, ""
	})
	return p
}

var errDial = errors.New("intercept: goproxy does not dial")

func noDial(context.Context, string, string) (net.Conn, error) { return nil, errDial }

type silent struct{}

func (silent) Printf(string, ...any) {}

// arrival travels through goproxy in the request's context.
type arrival struct {
	w      *sealedWriter
	caller Caller
	tunnel *tunnel // of a CONNECT that has been allowed
}

type arrivalKey struct{}

func arrivalOf(r *http.Request) *arrival {
	return r.Context().Value(arrivalKey{}).(*arrival)
}

// sealedWriter keeps goproxy's own idea of an answer off the wire once the
// Gateway has given one.
type sealedWriter struct {
	http.ResponseWriter
	sealed bool
}

func (w *sealedWriter) Header() http.Header {
	if w.sealed {
		return http.Header{}
	}
	return w.ResponseWriter.Header()
}

func (w *sealedWriter) WriteHeader(status int) {
	if !w.sealed {
		w.ResponseWriter.WriteHeader(status)
	}
}

func (w *sealedWriter) Write(p []byte) (int, error) {
	if w.sealed {
		return len(p), nil
	}
	return w.ResponseWriter.Write(p)
}

// Hijack keeps the bytes that an engine sent ahead of our "200", and takes
// the connection out of what hears its heads.
func (w *sealedWriter) Hijack() (c net.Conn, rw *bufio.ReadWriter, err error) {
	c, rw, err = http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return c, rw, err
	}
	if h, ok := c.(*heard); ok {
		c = h.Conn
	}
	if ahead, _ := rw.Reader.Peek(rw.Reader.Buffered()); len(ahead) > 0 {
		c = &aheadConn{c, io.MultiReader(bytes.NewReader(bytes.Clone(ahead)), c)}
	}
	return c, rw, nil
}

type aheadConn struct {
	net.Conn
	r io.Reader
}

func (c *aheadConn) Read(p []byte) (int, error) { return c.r.Read(p) }

// serveProxy lets goproxy sort what came to a forward proxy.
func (s *Server) serveProxy(w http.ResponseWriter, r *http.Request, caller Caller, head []byte) {
	a := &arrival{w: &sealedWriter{ResponseWriter: w}, caller: caller}
	if r.Method == http.MethodConnect {
		var no *Refusal
		if a.tunnel, no = s.allowTunnel(r, caller, head); no != nil {
			s.refuse(w, r, no)
			return
		}
		defer a.tunnel.abandon()
	}
	s.sorter.ServeHTTP(a.w, r.WithContext(context.WithValue(r.Context(), arrivalKey{}, a)))
}

// serveForward serves an absolute-form request.
func (s *Server) serveForward(w http.ResponseWriter, r *http.Request, caller Caller) {
	u, no := absoluteTarget(r)
	if no != nil {
		s.refuse(w, r, no)
		return
	}
	s.exchange(w, r, Call{Form: Forward, Caller: caller, Target: u})
}
