package upstream

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gsigw/gsi"
)

var quietLog = log.New(io.Discard, "", 0)

func sayWho(w http.ResponseWriter, r *http.Request) {
	fmt.Fprint(w, gsi.OneLine(r.TLS.PeerCertificates[0].RawSubject))
}

func TestDo_ShowsTheWholeProxyChainLeafFirst(t *testing.T) {
	for version, name := range map[uint16]string{tls.VersionTLS12: "1.2", tls.VersionTLS13: "1.3"} {
		t.Run(name, func(t *testing.T) {
			var seen []*x509.Certificate
			g := newGrid(t, func(w http.ResponseWriter, r *http.Request) { seen = r.TLS.PeerCertificates },
				func(_ *grid, c *tls.Config) { c.MinVersion, c.MaxVersion = version, version })
			g.alice = newProxy(t, g.alice, gsi.Limits{})
			reply, _, err := doCall(g.client(t), t.Context(), g.target(t), post("x"))
			if err != nil {
				t.Fatal(err)
			}
			same := func(a, b *x509.Certificate) bool { return a.Equal(b) }
			if !slices.EqualFunc(seen, g.alice.Chain, same) || len(seen) != 3 {
				t.Errorf("the server saw %d certificates, want the 3 of the chain, leaf first", len(seen))
			}
			if reply.Version != version || reply.Peer == nil || reply.Peer.DN != "/O=Grid/CN=host/service.example.org" {
				t.Errorf("reply says version %x, peer %v", reply.Version, reply.Peer)
			}
		})
	}
}

// A server names the CAs it knows; a proxy's issuer is never one of them, and Go's own choice would be to send
// nothing.
func TestDo_ShowsTheChainToAServerThatHintsAtCAs(t *testing.T) {
	for version, name := range map[uint16]string{tls.VersionTLS12: "1.2", tls.VersionTLS13: "1.3"} {
		t.Run(name, func(t *testing.T) {
			g := newGrid(t, sayWho, func(g *grid, c *tls.Config) {
				c.ClientCAs = x509.NewCertPool()
				c.ClientCAs.AddCert(g.ca.cert)
				c.MaxVersion = version
			})
			_, body, err := doCall(g.client(t), t.Context(), g.target(t), post("x"))
			if err != nil || !strings.HasPrefix(body, "/O=Grid/CN=Alice/CN=") {
				t.Errorf("the server saw %q, error %v", body, err)
			}
		})
	}
}

func TestDo_RefusesServers(t *testing.T) {
	ask := func(c *tls.Config, cred *gsi.Credential) { c.Certificates = []tls.Certificate{tlsCertificate(cred)} }
	tests := []struct {
		name  string
		shape func(*testing.T, *grid, *tls.Config)
		edit  func(*Target)
		op    Op
		words string
	}{
		{"of an unknown CA", func(t *testing.T, g *grid, c *tls.Config) {
			ask(c, newCA(t).issue(t, "host/service.example.org", loopbackHost))
		}, nil, OpIdentity, "ECDSA verification failure"},
		{"with a certificate for another host", func(t *testing.T, g *grid, c *tls.Config) {
			ask(c, g.ca.issue(t, "host/other.example.org", func(c *x509.Certificate) { c.DNSNames = []string{"other.example.org"} }))
		}, nil, OpIdentity, `is "/O=Grid/CN=host/other.example.org", whose certificate is not for host "127.0.0.1"`},
		{"with another DN than the route's", nil, func(t *Target) { t.PeerDN = []string{"/O=Grid/CN=Bob", "/O=Grid/CN=Eve"} },
			OpIdentity, `expected "/O=Grid/CN=Bob" or "/O=Grid/CN=Eve", the server is "/O=Grid/CN=host/service.example.org"`},
		{"with a certificate for clients", func(t *testing.T, g *grid, c *tls.Config) {
			ask(c, g.ca.issue(t, "host/service.example.org", func(c *x509.Certificate) {
				loopbackHost(c)
				c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
			}))
		}, nil, OpIdentity, "not for servers"},
		{"with an independent proxy", func(t *testing.T, g *grid, c *tls.Config) {
			ask(c, newProxy(t, g.ca.issue(t, "host/service.example.org", loopbackHost), gsi.Limits{Type: gsi.RFCIndependent}))
		}, nil, OpIdentity, "independent proxy"},
		{"of TLS 1.1", func(t *testing.T, g *grid, c *tls.Config) {
			c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
		},
			nil, OpHandshake, "protocol version"},
		{"that ask for no client certificate", func(t *testing.T, g *grid, c *tls.Config) { c.ClientAuth = tls.NoClientCert },
			nil, OpHandshake, "asked for no client certificate"},
		{"of another protocol", func(t *testing.T, g *grid, c *tls.Config) { c.NextProtos = []string{"imap"} },
			nil, OpHandshake, "application protocol"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var served atomic.Bool
			g := newGrid(t, func(http.ResponseWriter, *http.Request) { served.Store(true) }, func(g *grid, c *tls.Config) {
				if test.shape != nil {
					test.shape(t, g, c)
				}
			})
			target := g.target(t)
			if test.edit != nil {
				test.edit(target)
			}
			_, _, err := doCall(g.client(t), t.Context(), target, post("x"))
			wantError(t, err, test.op, test.words)
			if served.Load() {
				t.Error("the request went out before the server was judged")
			}
		})
	}
}

func TestDo_RefusesTLSWithoutTrust(t *testing.T) {
	g := newGrid(t, sayWho, nil)
	_, _, err := doCall(newClient(t, Config{}), t.Context(), g.target(t), post("x"))
	wantError(t, err, OpIdentity, "no trust anchors")
}

func TestDo_TakesAServerByDN(t *testing.T) {
	for _, dn := range []string{"/O=Grid/CN=Grid Services", "CN=Grid Services,O=Grid"} {
		g := newGrid(t, sayWho, func(g *grid, c *tls.Config) {
			c.Certificates = []tls.Certificate{tlsCertificate(g.ca.issue(t, "Grid Services", nil))}
		})
		target := g.target(t)
		target.PeerDN = []string{"/O=Grid/CN=Elsewhere", dn}
		if _, _, err := doCall(g.client(t), t.Context(), target, post("x")); err != nil {
			t.Errorf("%s: %v", dn, err)
		}
	}
}

// Whoever makes an independent proxy names it: it may bear the very DN that the route wants.
func TestDo_RefusesAnIndependentProxyOfTheVeryDN(t *testing.T) {
	var proxy *gsi.Credential
	g := newGrid(t, sayWho, func(g *grid, c *tls.Config) {
		proxy = newProxy(t, g.ca.issue(t, "host/service.example.org", loopbackHost), gsi.Limits{Type: gsi.RFCIndependent})
		c.Certificates = []tls.Certificate{tlsCertificate(proxy)}
	})
	target := g.target(t)
	target.PeerDN = []string{gsi.OneLine(proxy.Leaf().RawSubject)}
	_, _, err := doCall(g.client(t), t.Context(), target, post("x"))
	wantError(t, err, OpIdentity, "independent proxy")
}

func TestDo_TakesAHostProxyByTheHostsName(t *testing.T) {
	g := newGrid(t, sayWho, func(g *grid, c *tls.Config) {
		c.Certificates = []tls.Certificate{tlsCertificate(newProxy(t, g.ca.issue(t, "host/service.example.org", loopbackHost), gsi.Limits{}))}
	})
	reply, _, err := doCall(g.client(t), t.Context(), g.target(t), post("x"))
	if err != nil || reply.Peer.Depth != 1 {
		t.Errorf("reply %v, error %v", reply, err)
	}
}

// counting counts the judgements made.
type counting struct {
	Verifier
	n atomic.Int32
}

func (c *counting) Verify(chain []*x509.Certificate, at time.Time) (*gsi.Identity, error) {
	c.n.Add(1)
	return c.Verifier.Verify(chain, at)
}

func TestDo_JudgesTheServerOnEveryConnection(t *testing.T) {
	var resumed atomic.Bool
	g := newGrid(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		resumed.Store(resumed.Load() || r.TLS.DidResume)
	}, nil)
	trust := &counting{Verifier: g.ca}
	c := newClient(t, Config{Trust: trust})
	for range 3 {
		if _, _, err := doCall(c, t.Context(), g.target(t), post("x")); err != nil {
			t.Fatal(err)
		}
	}
	if trust.n.Load() != 3 || resumed.Load() {
		t.Errorf("judged %d of 3 connections, resumed: %t", trust.n.Load(), resumed.Load())
	}
}

func TestDo_SendsTheHostNameAsSNI(t *testing.T) {
	var sni string
	g := newGrid(t, func(w http.ResponseWriter, r *http.Request) { sni = r.TLS.ServerName }, nil)
	c := newClient(t, Config{Trust: g.ca, Resolver: names{"service.example.org": {"127.0.0.1"}}})
	target := g.target(t)
	target.URL.Host = "service.example.org:" + target.URL.Port()
	if _, _, err := doCall(c, t.Context(), target, post("x")); err != nil || sni != "service.example.org" {
		t.Errorf("SNI %q, error %v", sni, err)
	}
}

func TestDo_KeepsTheUserFromAStranger(t *testing.T) {
	l := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer l.Close()
	stranger := newCA(t).issue(t, "stranger", loopbackHost)
	shown := make(chan int, 1)
	go func() {
		raw, err := l.Accept()
		if err != nil {
			return
		}
		s := tls.Server(raw, &tls.Config{Certificates: []tls.Certificate{tlsCertificate(stranger)}, ClientAuth: tls.RequestClientCert})
		s.Handshake()
		shown <- len(s.ConnectionState().PeerCertificates)
		s.Close()
	}()
	ca := newCA(t)
	target := &Target{URL: &url.URL{Scheme: "https", Host: l.Addr().String()}, Transport: GSI,
		Credential: newProxy(t, ca.issue(t, "Alice", nil), gsi.Limits{}), Allow: Allow{Loopback: true}}
	_, err := newClient(t, Config{Trust: ca}).Do(t.Context(), target, post("x"))
	wantError(t, err, OpIdentity, "")
	if n := <-shown; n > 0 {
		t.Errorf("a server that is not trusted saw %d certificates of the user", n)
	}
}

func TestDo_SaysThatTheServerRefusedOurCertificate(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		g := newGrid(t, sayWho, func(g *grid, c *tls.Config) {
			c.MaxVersion = version
			c.VerifyConnection = func(tls.ConnectionState) error { return errors.New("unknown user") }
		})
		_, _, err := doCall(g.client(t), t.Context(), g.target(t), post("x"))
		wantError(t, err, OpHandshake, "bad certificate")
	}
}

func TestDo_SaysThatNoTLSIsSpoken(t *testing.T) {
	for words, speak := range map[string]func(net.Conn, *bufio.Reader){
		"does it speak TLS 1.2": func(c net.Conn, r *bufio.Reader) {
			r.ReadByte()
			io.Copy(io.Discard, io.LimitReader(r, int64(r.Buffered())))
		},
		"does not look like a TLS handshake": func(c net.Conn, r *bufio.Reader) {
			io.WriteString(c, "HTTP/1.0 400 Bad Request\r\n\r\n")
			io.Copy(io.Discard, r)
		},
	} {
		target := rawServer(t, speak)
		target.URL.Scheme, target.Transport = "https", TLS
		_, err := newClient(t, Config{Trust: newCA(t)}).Do(t.Context(), target, post("x"))
		wantError(t, err, OpHandshake, words)
	}
}

func TestDo_TLSTransportShowsNoClientCertificate(t *testing.T) {
	var seen int
	g := newGrid(t, func(w http.ResponseWriter, r *http.Request) { seen = len(r.TLS.PeerCertificates) },
		func(_ *grid, c *tls.Config) { c.ClientAuth = tls.RequestClientCert })
	target := g.target(t)
	target.Transport, target.Credential = TLS, nil
	if _, _, err := doCall(g.client(t), t.Context(), target, post("x")); err != nil || seen != 0 {
		t.Errorf("the server saw %d certificates, error %v", seen, err)
	}
}

func TestDo_RefusesTargetsThatWouldNotDoWhatTheySay(t *testing.T) {
	ca := newCA(t)
	alice := ca.issue(t, "Alice", nil)
	old := ca.issue(t, "Alice", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	tests := []struct {
		name, url string
		target    Target
		words     string
	}{
		{"plain over https", "https://h/", Target{Transport: Plain}, "asks for http"},
		{"gsi over http", "http://h/", Target{Transport: GSI, Credential: alice}, "asks for https"},
		{"another scheme", "ftp://h:21/", Target{Transport: TLS}, "asks for https"},
		{"no transport", "http://h/", Target{}, "no transport"},
		{"no host", "http:///x", Target{Transport: Plain}, "no host"},
		{"port 0", "http://h:0/", Target{Transport: Plain}, "is not a port"},
		{"a user in the URL", "http://me:secret@h/", Target{Transport: Plain}, "user name"},
		{"gsi without a credential", "https://h/", Target{Transport: GSI}, "no usable credential: transport gsi needs one"},
		{"a credential nobody would see", "https://h/", Target{Transport: TLS, Credential: alice}, "would not use it"},
		{"an expired credential", "https://h/", Target{Transport: GSI, Credential: old}, "no usable credential: it expired at"},
		{"a peer DN over http", "http://h/", Target{Transport: Plain, PeerDN: []string{"/CN=x"}}, "plain http shows none"},
		{"a proxy over https", "http://h/", Target{Transport: Plain, Proxy: &Proxy{URL: parseURL(t, "https://me:secret@p:1")}}, "http://host:port"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.target.URL = parseURL(t, test.url)
			_, err := newClient(t, Config{Resolver: names{}}).Do(context.Background(), &test.target, post("x"))
			wantError(t, err, OpTarget, test.words)
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("%v tells a secret", err)
			}
		})
	}
}

// The request reaches the server in one record, so that no server sees a head without its body.
func TestDo_WritesHeadAndSmallBodyTogether(t *testing.T) {
	g := newGrid(t, sayWho, nil)
	var writes [][]byte
	c := newClient(t, Config{Trust: g.ca, Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
		raw, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		return recorder{raw, &writes}, err
	}})
	if _, _, err := doCall(c, t.Context(), g.target(t), post("<Envelope/>")); err != nil {
		t.Fatal(err)
	}
	last := writes[len(writes)-1]
	if bytes.Count(last, []byte{0x17, 3, 3}) != 1 {
		t.Errorf("the request took more than one record or write")
	}
}

type recorder struct {
	net.Conn
	writes *[][]byte
}

func (r recorder) Write(p []byte) (int, error) {
	*r.writes = append(*r.writes, bytes.Clone(p))
	return r.Conn.Write(p)
}
