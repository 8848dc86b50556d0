package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
)

func mkdir(path string) error { return os.MkdirAll(path, 0o755) }

// serve has a server answer on loopback with a credential, whose clock is off by some time.
func (p *patient) serve(c *gsi.Credential, off time.Duration) string {
	p.t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", noon.Add(off).Format(http.TimeFormat))
	}))
	certificate := tls.Certificate{PrivateKey: c.Key}
	for _, cert := range c.Chain {
		certificate.Certificate = append(certificate.Certificate, cert.Raw)
	}
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	server.StartTLS()
	p.t.Cleanup(server.Close)
	p.Dial = (&net.Dialer{}).DialContext
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	return port
}

func TestNetwork(t *testing.T) {
	diagnose(t, []disease{
		{"a server in order", func(p *patient) {
			p.Servers = []string{"localhost:" + p.serve(p.pki.Host, 0)}
		}, []want{
			{"network.server", OK, "answers and is " + gridtest.HostName, ""},
			{"clock", OK, "agrees with this machine's", ""},
		}},
		{"a server with another clock", func(p *patient) {
			p.Servers = []string{"localhost:" + p.serve(p.pki.Host, -2*time.Hour)}
		}, []want{{"clock", Fail, "one of the clocks is off by ", "timedatectl"}}},
		{"a server that nobody listens at", func(p *patient) { p.Servers = []string{"grid.example.org"} }, []want{
			{"network.server", Fail, "grid.example.org cannot be reached: the test has no network", "openssl s_client -connect grid.example.org:443"},
		}},
		{"a server of an unknown CA", func(p *patient) {
			p.Servers = []string{"localhost:" + p.serve(gridtest.Must(p.pki.Other.Issue(gridtest.Request{Name: gridtest.HostName, Host: true})), 0)}
		}, []want{{"network.server", Fail, "is not believed (unknown-ca)", "put that CA into "}}},
		{"a server of another name", func(p *patient) {
			p.Servers = []string{"localhost:" + p.serve(gridtest.Must(p.pki.CA.Issue(gridtest.Request{Name: "/O=Grid/OU=gsigw test/CN=elsewhere.example.org"})), 0)}
		}, []want{{"network.server", Fail, "which does not speak for localhost", "name the server as its certificate does"}}},
		{"a server that speaks no TLS", func(p *patient) {
			plain := httptest.NewServer(http.NotFoundHandler())
			p.t.Cleanup(plain.Close)
			p.Dial = (&net.Dialer{}).DialContext
			p.Servers = []string{strings.TrimPrefix(plain.URL, "http://")}
		}, []want{{"network.server", Fail, "speaks no TLS of today", "openssl s_client"}}},
		{"a server, and no trust directory", func(p *patient) {
			p.TrustDir = "/nowhere"
			p.Servers = []string{"localhost:" + p.serve(p.pki.Host, 0)}
		}, []want{{"network.server", Warn, "cannot be verified without a trust directory", "mend"}}},
		{"MyProxy under the name that it should have", func(p *patient) {
			p.Online = true
			p.env["MYPROXY_SERVER"], p.env["MYPROXY_SERVER_PORT"] = "127.0.0.1", p.serve(p.pki.User, 0)
			p.env["MYPROXY_SERVER_DN"] = gridtest.UserName
		}, []want{{"network.server", OK, "MYPROXY_SERVER 127.0.0.1 answers and is " + gridtest.UserName, ""}}},
		{"MyProxy under a service's name", func(p *patient) {
			p.Online = true
			c := gridtest.Must(p.pki.CA.Issue(gridtest.Request{Name: "/O=Grid/OU=gsigw test/CN=myproxy\\/localhost"}))
			p.env["MYPROXY_SERVER"], p.env["MYPROXY_SERVER_PORT"] = "localhost", p.serve(c, 0)
		}, []want{{"network.server", OK, "MYPROXY_SERVER localhost answers", ""}}},
		{"MyProxy under another name", func(p *patient) {
			p.Online = true
			p.env["MYPROXY_SERVER"], p.env["MYPROXY_SERVER_PORT"] = "localhost", p.serve(p.pki.Host, 0)
			p.env["MYPROXY_SERVER_DN"] = gridtest.UserName
		}, []want{{"network.server", Fail, "and MYPROXY_SERVER_DN wants " + gridtest.UserName, "set MYPROXY_SERVER_DN right"}}},
		{"MyProxy with an independent proxy of that very name", func(p *patient) {
			p.Online = true
			c := gridtest.Must(p.pki.Proxy(gsi.Limits{Type: gsi.RFCIndependent}))
			p.env["MYPROXY_SERVER"], p.env["MYPROXY_SERVER_PORT"] = "localhost", p.serve(c, 0)
			p.env["MYPROXY_SERVER_DN"] = gsi.OneLine(c.Leaf().RawSubject)
		}, []want{{"network.server", Fail, "is an independent proxy", "its own certificate"}}},
		{"a hostname that nobody knows", func(p *patient) { p.Hostname, p.Online = "wn8", true }, []want{
			{"machine.hostname", Warn, "called wn8, and nobody knows its address", "/etc/hosts"},
		}},
		{"a hostname that the network knows", func(p *patient) {
			p.Hostname, p.Online = "wn9", true
			p.Lookup = func(context.Context, string) ([]string, error) { return []string{"192.0.2.9"}, nil }
		}, []want{{"machine.hostname", OK, "called wn9, at 192.0.2.9", ""}}},
		{"no hostname", func(p *patient) { p.Hostname = "" }, []want{{"machine.hostname", Warn, "has no name", "hostnamectl"}}},
	})
}

func TestExamine_AsksNoNetworkUntold(t *testing.T) {
	p := newPatient(t)
	p.Hostname, p.env["MYPROXY_SERVER"] = "unknown", "myproxy.example.org"
	p.Lookup = func(context.Context, string) ([]string, error) {
		t.Error("a name was looked up")
		return nil, errors.New("no")
	}
	p.Dial = func(context.Context, string, string) (net.Conn, error) {
		t.Error("a server was asked")
		return nil, errors.New("no")
	}
	if findings := p.Examine(t.Context()); Failing(findings) {
		t.Error(report(findings))
	}
}

// A server that takes a connection and says nothing does not hold up the rest.
func TestExamine_IsDoneWithASilentServerWhenItsPatienceIs(t *testing.T) {
	p := newPatient(t)
	p.Servers = []string{"silent.example.org"}
	p.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		t.Cleanup(func() { theirs.Close() })
		return impatient{ours}, nil
	}
	findings := p.Examine(t.Context())
	if !(want{"network.server", Fail, "silent.example.org answers, but speaks no TLS of today: ", "openssl"}).in(findings) {
		t.Error(report(findings))
	}
}

// impatient is a connection whose deadlines have come when they are set.
type impatient struct{ net.Conn }

func (c impatient) SetDeadline(time.Time) error { return c.Conn.SetDeadline(time.Unix(1, 0)) }
