package upstream

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"gsigw/gsi"
)

// ca is a throwaway CA and, as a Verifier, the trust in it.
type ca struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newCA(t testing.TB) *ca {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{Organization: []string{"Grid"}, CommonName: "CA " + rand.Text()},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return &ca{cert: must(x509.ParseCertificate(der))(t), key: check(t, key, err)}
}

// issue makes an end-entity credential "/O=Grid/CN=cn"; edit may change the certificate before it is signed.
func (ca *ca) issue(t testing.TB, cn string, edit func(*x509.Certificate)) *gsi.Credential {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{Organization: []string{"Grid"}, CommonName: cn},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(12 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if edit != nil {
		edit(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, key.Public(), ca.key)
	return &gsi.Credential{Chain: []*x509.Certificate{must(x509.ParseCertificate(check(t, der, err)))(t)}, Key: key}
}

func loopbackHost(c *x509.Certificate) {
	c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	c.DNSNames = []string{"service.example.org"}
}

func newProxy(t testing.TB, issuer *gsi.Credential, l gsi.Limits) *gsi.Credential {
	t.Helper()
	l.KeyType = gsi.P256
	return must(gsi.NewProxy(issuer, l))(t)
}

// Verify takes proxies on faith and checks the end entity: enough to stand in for package trust.
func (ca *ca) Verify(chain []*x509.Certificate, at time.Time) (*gsi.Identity, error) {
	id, err := gsi.IdentityOf(chain)
	if err != nil {
		return nil, err
	}
	return id, chain[len(chain)-1].CheckSignatureFrom(ca.cert)
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T { return check(t, v, err) }
}

func check[T any](t testing.TB, v T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func tlsCertificate(c *gsi.Credential) tls.Certificate {
	chain := tls.Certificate{PrivateKey: c.Key}
	for _, cert := range c.Chain {
		chain.Certificate = append(chain.Certificate, cert.Raw)
	}
	return chain
}

// grid is a CA, a service on loopback whose server the test shapes, and a user.
type grid struct {
	ca     *ca
	server *httptest.Server
	alice  *gsi.Credential
}

func newGrid(t testing.TB, answer http.HandlerFunc, shape func(*grid, *tls.Config)) *grid {
	t.Helper()
	g := &grid{ca: newCA(t)}
	g.alice = newProxy(t, g.ca.issue(t, "Alice", nil), gsi.Limits{})
	g.server = httptest.NewUnstartedServer(answer)
	g.server.Config.ErrorLog = quietLog
	g.server.TLS = &tls.Config{
		Certificates: []tls.Certificate{tlsCertificate(g.ca.issue(t, "host/service.example.org", loopbackHost))},
		ClientAuth:   tls.RequireAnyClientCert,
	}
	if shape != nil {
		shape(g, g.server.TLS)
	}
	g.server.StartTLS()
	t.Cleanup(g.server.Close)
	return g
}

func (g *grid) target(t testing.TB) *Target {
	return &Target{URL: parseURL(t, g.server.URL), Transport: GSI, Credential: g.alice, Allow: Allow{Loopback: true}}
}

func (g *grid) client(t testing.TB) *Client { return newClient(t, Config{Trust: g.ca}) }

func newClient(t testing.TB, config Config) *Client {
	c := New(config)
	t.Cleanup(c.Reset)
	return c
}

func parseURL(t testing.TB, s string) *url.URL { return must(url.Parse(s))(t) }

func post(body string) *Request {
	return &Request{Method: "POST", Header: http.Header{"Content-Type": {"text/xml"}}, Body: strings.NewReader(body), Length: int64(len(body))}
}

// doCall makes a call and reads the reply to its end.
func doCall(c *Client, ctx context.Context, target *Target, r *Request) (*Reply, string, error) {
	reply, err := c.Do(ctx, target, r)
	if err != nil {
		return nil, "", err
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(reply.Body)
	return reply, string(body), err
}

// wantError fails unless err is an *Error of this op whose text has words.
func wantError(t testing.TB, err error, op Op, words string) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Op != op || !strings.Contains(err.Error(), words) {
		t.Fatalf("got error %v, want one of op %q with %q", err, op, words)
	}
	return e
}

// rawServer answers each connection with speak, and returns the target for it.
func rawServer(t testing.TB, speak func(net.Conn, *bufio.Reader)) *Target {
	t.Helper()
	l := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				speak(c, bufio.NewReader(c))
			}()
		}
	}()
	return &Target{URL: parseURL(t, "http://"+l.Addr().String()+"/service"), Transport: Plain, Allow: Allow{Loopback: true}}
}

// readRequest takes a whole request off the wire, nil at its end.
func readRequest(r *bufio.Reader) *http.Request {
	req, err := http.ReadRequest(r)
	if err != nil {
		return nil
	}
	io.Copy(io.Discard, req.Body)
	return req
}

// answering is a raw server that sends the same bytes to each request.
func answering(t testing.TB, response string) *Target {
	return rawServer(t, func(c net.Conn, r *bufio.Reader) {
		for readRequest(r) != nil {
			io.WriteString(c, response)
			if !strings.Contains(response, "keep") {
				return
			}
		}
	})
}

// names is a Resolver.
type names map[string][]string

func (n names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	var addrs []netip.Addr
	for _, a := range n[host] {
		addrs = append(addrs, netip.MustParseAddr(a))
	}
	if len(addrs) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return addrs, nil
}
