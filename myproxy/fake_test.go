package myproxy

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gsigw/gsi"
	"gsigw/gsi/gss"
	"gsigw/internal/gridtest"
	"gsigw/trust"
)

// now is the time of the tests.
var now = time.Now().Truncate(time.Second)

// pass is the passphrase of the tests; it is in no error.
const pass = Secret("Vogelfrei-7!")

// ourKey is the key of what is gotten: an elliptic one, to be quick.
var ourKey = gridtest.Must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))

var pki = sync.OnceValue(func() *gridtest.PKI {
	return gridtest.Must(gridtest.NewPKI(testDir, gridtest.PKIOptions{Now: now}))
})

// fake is a MyProxy server that reads requests strictly, and then plays what the test says.
type fake struct {
	t    testing.TB
	addr string
	play func(*visit)

	mu       sync.Mutex
	requests []string // as they came, without their NUL
}

// visit is one connection, after its request.
type visit struct {
	*fake
	conn   *gss.Conn
	fields []field
	raw    net.Conn
}

// newFake starts a server with the host's credential, and returns it with a client for it.
func newFake(t testing.TB, play func(*visit)) (*fake, *Client) {
	t.Helper()
	return newFakeAs(t, pki().Host, play)
}

func newFakeAs(t testing.TB, host *gsi.Credential, play func(*visit)) (*fake, *Client) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{t: t, addr: listener.Addr().String(), play: play}
	ctx, cancel := context.WithCancel(context.Background())
	var open sync.WaitGroup
	open.Go(func() {
		for {
			raw, err := listener.Accept()
			if err != nil {
				return
			}
			open.Go(func() { f.serve(ctx, raw, host) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		cancel()
		open.Wait()
	})
	_, port, _ := net.SplitHostPort(f.addr)
	return f, &Client{
		Addr:       "localhost:" + port,
		Trust:      store(t),
		Credential: gsi.Static(pki().User),
		Timeout:    20 * time.Second,
		Dial: func(ctx context.Context, n, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, n, f.addr)
		},
		Now: func() time.Time { return now },
	}
}

func store(t testing.TB) *trust.Store {
	t.Helper()
	return gridtest.Must(trust.Open(pki().TrustDir, trust.Options{}))
}

func (f *fake) serve(ctx context.Context, raw net.Conn, host *gsi.Credential) {
	conn, err := gss.Server(ctx, raw, gss.Config{
		Credential: host, Trust: store(f.t), AllowAnonymous: true, Now: func() time.Time { return now },
	})
	if err != nil {
		return // the client did not like us: its side of the test says so
	}
	defer conn.Close()
	v := &visit{fake: f, conn: conn, raw: raw}
	message, err := conn.Receive(ctx, 1<<20)
	if err != nil {
		return
	}
	text, ok := strings.CutSuffix(string(message), "\n\x00")
	if !ok || strings.Contains(text, "\x00") {
		f.t.Errorf("the request is not lines with a NUL at the end: %q", message)
		return
	}
	f.mu.Lock()
	f.requests = append(f.requests, text)
	f.mu.Unlock()
	for line := range strings.SplitSeq(text, "\n") {
		key, value, ok := strings.Cut(line, "=")
		if !ok || !slices.Contains(requestKeys, key) {
			f.t.Errorf("the request has the line %q", line)
		}
		v.fields = append(v.fields, field{key, value})
	}
	f.play(v)
}

// seen returns the one request that came.
func (f *fake) seen() string {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.requests) != 1 {
		f.t.Fatalf("%d requests came, not one", len(f.requests))
	}
	return f.requests[0]
}

func (f *fake) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.requests)
}

func (v *visit) say(message string) { v.conn.Send(v.t.Context(), []byte(message)) }

func (v *visit) hear() []byte {
	b, err := v.conn.Receive(v.t.Context(), 1<<20)
	if err != nil && v.t.Context().Err() == nil {
		v.t.Errorf("the client says nothing: %v", err)
	}
	return b
}

func message(response string, lines ...string) string {
	return strings.Join(append([]string{"VERSION=MYPROXYv2", "RESPONSE=" + response}, lines...), "\n") + "\n\x00"
}

func (v *visit) ok(lines ...string)     { v.say(message("0", lines...)) }
func (v *visit) refuse(lines ...string) { v.say(message("1", lines...)) }

// csr reads a request for a certificate.
func (v *visit) csr() *x509.CertificateRequest {
	csr, err := x509.ParseCertificateRequest(v.hear())
	if err != nil || csr.CheckSignature() != nil {
		v.t.Errorf("the client's request for a certificate is bad: %v", err)
		return &x509.CertificateRequest{PublicKey: ourKey.Public()}
	}
	return csr
}

// chainMessage is a chain as the server writes it.
func chainMessage(chain []*x509.Certificate) string {
	b := []byte{byte(len(chain))}
	for _, cert := range chain {
		b = append(b, cert.Raw...)
	}
	return string(b)
}

// hands plays a GET: an OK, and a proxy of the issuer's.
func hands(issuer func() *gsi.Credential, l gsi.Limits) func(*visit) {
	return func(v *visit) {
		v.ok()
		v.handOver(issuer(), l)
		v.ok()
	}
}

func (v *visit) handOver(issuer *gsi.Credential, l gsi.Limits) {
	if l.Now.IsZero() {
		l.Now = now
	}
	chain, err := gsi.Mint(issuer, v.csr().PublicKey, l)
	if err != nil {
		v.t.Error(err)
	}
	v.say(chainMessage(chain))
}

func user() *gsi.Credential { return pki().User }

// asks is a request that is served.
func asks() GetRequest { return GetRequest{Username: "jane", Passphrase: pass, Key: ourKey} }

// mustFail wants an error with these words in it, and the passphrase never.
func mustFail(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("it went through")
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%v\nlacks %q", err, w)
		}
	}
	if strings.Contains(err.Error(), string(pass)) {
		t.Errorf("the passphrase is in the error: %v", err)
	}
}

// forgedCSR is a request for a certificate over another's key.
func forgedCSR(t testing.TB) []byte {
	t.Helper()
	der := gridtest.Must(x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, ourKey))
	other := gridtest.Must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	ours, theirs := gridtest.Must(x509.MarshalPKIXPublicKey(ourKey.Public())), gridtest.Must(x509.MarshalPKIXPublicKey(other.Public()))
	return bytes.Replace(der, ours, theirs, 1)
}
