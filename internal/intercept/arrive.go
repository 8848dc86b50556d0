package intercept

import (
	"fmt"
	"net/http"
)

// arrive authenticates the caller and sends the request on its way.
func (s *Server) arrive(w http.ResponseWriter, r *http.Request) {
	c := r.Context().Value(connKey{}).(*heard)
	head := c.takeHead()
	r.TLS = c.connState()
	secret, hasSecret := takeSecret(r.Header)
	known := *s.callers.Load()
	e := evidence{secret: secret, hasSecret: hasSecret, peer: c.peer}
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		e.cert = r.TLS.PeerCertificates[0]
	}
	caller, ok := known.identify(e)
	if !ok {
		s.refuseStranger(w, r, known)
		return
	}
	if s.sorter != nil {
		s.serveProxy(w, r, caller, head)
		return
	}
	if r.Method == http.MethodConnect || r.URL.IsAbs() {
		s.refuse(w, r, refuse(http.StatusBadRequest, "this listener has reverse routes only; it is no proxy"))
		return
	}
	s.serveReverse(w, r, caller)
}

// refuseStranger asks for the secret where one would help.
func (s *Server) refuseStranger(w http.ResponseWriter, r *http.Request, known callers) {
	proxied := r.Method == http.MethodConnect || r.URL.IsAbs()
	switch {
	case known.wantSecret() && proxied:
		w.Header().Set("Proxy-Authenticate", `Basic realm="gsigw", charset="UTF-8"`)
		s.refuse(w, r, refuse(http.StatusProxyAuthRequired, "this proxy does not know the caller: set the proxy secret as the engine's proxy password"))
	case known.wantSecret():
		s.refuse(w, r, refuse(http.StatusForbidden, "this listener does not know the caller: send the secret in the header "+SecretHeader))
	default:
		s.refuse(w, r, refuse(http.StatusForbidden, "this listener does not know the caller: only the users and certificates named in its config may call"))
	}
}

// refuse says why and hangs up: what follows on the connection was sent in
// another belief.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, no *Refusal) {
	if s.refused != nil {
		s.refused(r, no)
	}
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Connection", "close")
	if no.Status == http.StatusMethodNotAllowed {
		h.Set("Allow", "GET, POST")
	}
	w.WriteHeader(no.Status)
	fmt.Fprintf(w, "gsigw: %s\n", no.Reason)
}
