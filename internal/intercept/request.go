package intercept

import (
	"io"
	"net/http"
	"net/textproto"
	"strings"
	"time"
)

// hopByHop never passes, in either direction (RFC 9110, section 7.6.1).
var hopByHop = []string{
	"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authentication-Info",
	"Proxy-Authorization", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// stripHopByHop removes them and whatever Connection names.
func stripHopByHop(h http.Header) {
	for _, list := range h.Values("Connection") {
		for name := range strings.SplitSeq(list, ",") {
			h.Del(textproto.TrimString(name))
		}
	}
	for _, name := range hopByHop {
		h.Del(name)
	}
}

// checkRequest refuses what no engine sends to a SOAP service.
func checkRequest(r *http.Request) *Refusal {
	switch {
	case r.Method != http.MethodPost && r.Method != http.MethodGet:
		return refuse(http.StatusMethodNotAllowed, "only POST and GET pass")
	case r.Method == http.MethodGet && r.ContentLength != 0:
		return refuse(http.StatusBadRequest, "a GET must not have a body")
	case fromBrowser(r.Header):
		return refuse(http.StatusForbidden, "the request comes from a web page (it has an Origin or Sec-Fetch header); only engines may call")
	case upgrades(r.Header):
		return refuse(http.StatusBadRequest, "protocol upgrades do not pass; speak plain HTTP/1.1")
	}
	return nil
}

func fromBrowser(h http.Header) bool {
	for name := range h {
		if name == "Origin" || strings.HasPrefix(name, "Sec-Fetch-") {
			return true
		}
	}
	return false
}

// upgrades ignores an offer of h2c: the JDK's HttpClient makes one with every
// first request, and a server may stay with HTTP/1.1 (RFC 9110, section 7.8).
func upgrades(h http.Header) bool {
	for _, v := range h.Values("Upgrade") {
		if !strings.EqualFold(v, "h2c") {
			return true
		}
	}
	return false
}

// exchange hands a request with a checked target to the Gateway.
func (s *Server) exchange(w http.ResponseWriter, r *http.Request, c Call) {
	if no := checkRequest(r); no != nil {
		s.refuse(w, r, no)
		return
	}
	out := r.WithContext(r.Context()) // a copy: net/http fills in the trailers of the original
	out.URL, out.Host, out.RequestURI, out.Trailer, out.TransferEncoding = new(*c.Target), c.Target.Host, "", nil, nil
	stripHopByHop(out.Header)
	out.Header.Del("Expect")
	out.Body = s.body(w, r)
	a := &answer{w: w, progress: s.limits.Progress, last: !r.ProtoAtLeast(1, 1)}
	s.gateway.Serve(a, out, c)
	if !a.wrote && r.Context().Err() == nil {
		s.refuse(w, r, refuse(http.StatusInternalServerError, "the gateway gave no answer"))
	}
}

// body limits the size and the stalls of r's body.
func (s *Server) body(w http.ResponseWriter, r *http.Request) io.ReadCloser {
	if r.ContentLength > s.limits.Body {
		// Said before "100 Continue" invites the engine to send it all.
		return tooLarge{r.Body, s.limits.Body}
	}
	moving := &movingBody{r.Body, http.NewResponseController(w), s.limits.Progress}
	return http.MaxBytesReader(w, moving, s.limits.Body)
}

type tooLarge struct {
	io.Closer
	limit int64
}

func (t tooLarge) Read([]byte) (int, error) { return 0, &http.MaxBytesError{Limit: t.limit} }

// movingBody gives every Read its own deadline. At the end of the body net/http
// lifts it, to read on and notice when the engine hangs up.
type movingBody struct {
	io.ReadCloser
	conn     *http.ResponseController
	progress time.Duration
}

func (b *movingBody) Read(p []byte) (int, error) {
	by := time.Now().Add(b.progress)
	b.conn.SetReadDeadline(by)
	b.conn.SetWriteDeadline(by) // the first Read writes "100 Continue"
	return b.ReadCloser.Read(p)
}

// answer is the Gateway's way to the engine: no hop-by-hop headers pass, and
// every Write has its own deadline. It offers no Hijack.
type answer struct {
	w        http.ResponseWriter
	progress time.Duration
	wrote    bool
	// last closes the connection after an HTTP/1.0 request: net/http ignores
	// a Transfer-Encoding there, and would read its chunks as the next request.
	last bool
}

func (a *answer) Header() http.Header { return a.w.Header() }

func (a *answer) WriteHeader(status int) {
	stripHopByHop(a.w.Header())
	if a.last {
		a.w.Header().Set("Connection", "close")
	}
	a.extend()
	a.w.WriteHeader(status)
	a.wrote = a.wrote || status >= 200
}

func (a *answer) Write(p []byte) (int, error) {
	if !a.wrote {
		a.WriteHeader(http.StatusOK)
	}
	a.extend()
	return a.w.Write(p)
}

// FlushError serves http.ResponseController.
func (a *answer) FlushError() error {
	if !a.wrote {
		a.WriteHeader(http.StatusOK)
	}
	a.extend()
	return http.NewResponseController(a.w).Flush()
}

// extend allows for one Progress more, which net/http may spend first on
// waiting for the rest of a body that the Gateway did not read.
func (a *answer) extend() {
	http.NewResponseController(a.w).SetWriteDeadline(time.Now().Add(2 * a.progress))
}
