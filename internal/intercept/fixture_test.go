package intercept

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gsigw/internal/intercept/ca"
)

// recorder is a Gateway that answers "ok" and keeps what it was given.
type recorder struct {
	opens []string
	serve func(w http.ResponseWriter, r *http.Request) // instead of "ok"

	mu       sync.Mutex
	calls    []Call
	requests []*http.Request
	bodies   []string
}

func (g *recorder) Opens(_ Caller, hostport string) bool { return slices.Contains(g.opens, hostport) }

func (g *recorder) Serve(w http.ResponseWriter, r *http.Request, c Call) {
	g.mu.Lock()
	g.calls, g.requests = append(g.calls, c), append(g.requests, r)
	g.mu.Unlock()
	if g.serve != nil {
		g.serve(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	g.mu.Lock()
	g.bodies = append(g.bodies, string(body))
	g.mu.Unlock()
	w.Header().Set("Content-Type", "text/xml")
	io.WriteString(w, "ok")
}

func (g *recorder) last(t *testing.T) (Call, *http.Request) {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.calls) == 0 {
		t.Fatal("nothing reached the gateway")
	}
	return g.calls[len(g.calls)-1], g.requests[len(g.requests)-1]
}

func (g *recorder) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.calls)
}

// start serves cfg on a loopback port until the test ends.
func start(t *testing.T, cfg Config) *Server {
	t.Helper()
	ln, err := Listen("127.0.0.1:0", 0)
	if err != nil {
		t.Fatal(err)
	}
	return startOn(t, ln, cfg)
}

func startOn(t *testing.T, ln net.Listener, cfg Config) *Server {
	t.Helper()
	s, err := New(ln, cfg)
	if err != nil {
		ln.Close()
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return s
}

// startForward is a forward proxy that opens CONNECTs to gt4.example:8443.
func startForward(t *testing.T, g *recorder) (*Server, *ca.Authority) {
	t.Helper()
	authority, err := ca.New(ca.Options{Hosts: []string{"gt4.example", "127.0.0.9"}})
	if err != nil {
		t.Fatal(err)
	}
	g.opens = append(g.opens, "gt4.example:8443", "127.0.0.9:443", "unconstrained.example:443")
	return start(t, Config{Gateway: g, Forward: true, CA: authority, Limits: Limits{Grace: time.Second}}), authority
}

func dial(t *testing.T, addr net.Addr) net.Conn {
	t.Helper()
	c, err := net.Dial(addr.Network(), addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

// raw sends lines as they are (joined with CRLF) and reads one answer.
func raw(t *testing.T, s *Server, lines ...string) (int, string) {
	t.Helper()
	c := dial(t, s.Addr())
	return send(t, c, bufio.NewReader(c), strings.Join(lines, "\r\n"))
}

func send(t *testing.T, c net.Conn, br *bufio.Reader, text string) (int, string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatalf("no answer to %q: %v", text, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// client is an engine's HTTP client with s as its proxy.
func client(t *testing.T, s *Server, user *url.Userinfo, roots *x509.CertPool) *http.Client {
	t.Helper()
	proxy := &url.URL{Scheme: "http", User: user, Host: s.Addr().String()}
	tr := &http.Transport{Proxy: http.ProxyURL(proxy), TLSClientConfig: &tls.Config{RootCAs: roots}}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func pool(certs ...*x509.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	for _, c := range certs {
		p.AddCert(c)
	}
	return p
}

func wantStatus(t *testing.T, got int, body string, want int, words string) {
	t.Helper()
	if got != want || !strings.Contains(body, words) {
		t.Errorf("got %d %q, want %d with %q", got, body, want, words)
	}
}

// selfSigned is a certificate of its own CA, for either side of TLS.
func selfSigned(t *testing.T, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name, Organization: []string{"Grid"}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func mustSecret(t *testing.T, s string) *Secret {
	t.Helper()
	secret, err := NewSecret(s)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

func mustURL(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// hasIPv6 is false in many containers.
func hasIPv6() bool {
	ln, err := net.Listen("tcp6", "[::1]:0")
	if err == nil {
		ln.Close()
	}
	return err == nil
}
