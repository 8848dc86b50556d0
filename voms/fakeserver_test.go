package voms

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
	"gsigw/trust"
)

// A fakeServer answers as a VOMS server of VOMS 2 does: both protocols on one port, told apart by the first bytes, and
// a legacy request read as one TLS record. What it answers is up to the test.
type fakeServer struct {
	Server
	rest, legacy func(net.Conn) // write the answer; nil: close the connection

	mutex    sync.Mutex
	requests []string // a request line, or the legacy XML
	chains   []int    // how many certificates each client showed
	zeros    int      // how many sent GSI's "0" before their request
	wg       sync.WaitGroup
}

type grid struct {
	*gridtest.PKI
	store *trust.Store
	user  *gsi.Credential // a proxy
}

func newGrid(t testing.TB) *grid {
	t.Helper()
	pki := gridtest.Must(gridtest.NewPKI(t.TempDir(), gridtest.PKIOptions{}))
	return &grid{pki, gridtest.Must(trust.Open(pki.TrustDir, trust.Options{})), gridtest.Must(pki.Proxy(gsi.Limits{}))}
}

func (g *grid) client(servers ...*fakeServer) *Client {
	c := &Client{Servers: &Servers{}, Credential: gsi.Static(g.user), Trust: g.store, Timeout: 10 * time.Second}
	for _, s := range servers {
		c.Servers.list = append(c.Servers.list, s.Server)
	}
	return c
}

// serve starts a server with the host's certificate, and ends it with the test.
func (g *grid) serve(t testing.TB, f *fakeServer) *fakeServer {
	t.Helper()
	return g.serveAs(t, f, g.Host, tls.RequireAnyClientCert)
}

func (g *grid) serveAs(t testing.TB, f *fakeServer, host *gsi.Credential, auth tls.ClientAuthType) *fakeServer {
	t.Helper()
	l := gridtest.Must(net.Listen("tcp", "127.0.0.1:0"))
	config := g.tls(host, auth)
	f.Server = Server{Alias: "tv", Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, DN: gridtest.HostName, VO: "testvo", Source: "vomses:1"}
	ctx, cancel := context.WithCancel(context.Background())
	f.wg.Go(func() {
		for {
			raw, err := l.Accept()
			if err != nil {
				return
			}
			f.wg.Go(func() {
				defer context.AfterFunc(ctx, func() { raw.Close() })()
				defer raw.Close()
				f.converse(tls.Server(raw, config))
			})
		}
	})
	t.Cleanup(func() {
		cancel()
		l.Close()
		f.wg.Wait()
	})
	return f
}

func (g *grid) tls(host *gsi.Credential, auth tls.ClientAuthType) *tls.Config {
	certificate := tls.Certificate{PrivateKey: host.Key}
	for _, cert := range host.Chain {
		certificate.Certificate = append(certificate.Certificate, cert.Raw)
	}
	return &tls.Config{Certificates: []tls.Certificate{certificate}, ClientAuth: auth}
}

func (f *fakeServer) converse(conn *tls.Conn) {
	if conn.Handshake() != nil {
		return
	}
	request, answer := record(conn), f.legacy
	zero := request == "0"
	if zero {
		request = record(conn)
	}
	if strings.HasPrefix(request, "GET") {
		request, _, _ = strings.Cut(request, "\r\n")
		answer = f.rest
	}
	if request == "" {
		return // the client has gone
	}
	f.mutex.Lock()
	f.requests = append(f.requests, request)
	f.chains = append(f.chains, len(conn.ConnectionState().PeerCertificates))
	if zero {
		f.zeros++
	}
	f.mutex.Unlock()
	if answer != nil {
		answer(conn)
	}
}

func record(conn *tls.Conn) string {
	buffer := make([]byte, 16<<10)
	n, _ := conn.Read(buffer) // crypto/tls returns one record at most, as OpenSSL does
	return string(buffer[:n])
}

func (f *fakeServer) asked() []string {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return f.requests
}

// says answers with these bytes; over REST they need a status line.
func says(text string) func(net.Conn) {
	return func(conn net.Conn) { conn.Write([]byte(text)) }
}

func overHTTP(status, body string) func(net.Conn) {
	return says(fmt.Sprintf("HTTP/1.1 %s\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n%s", status, len(body), body))
}

// restAnswer and legacyAnswer are what VOMS servers write (vomsd.cc, xmlcc.cc).
func restAnswer(der []byte, more string) string {
	return `<?xml version="1.0" encoding="UTF-8"?><voms><ac>` + mime(der) + `</ac>` + more + `</voms>`
}

func legacyAnswer(der []byte, items string) string {
	if items != "" {
		items = "<error>" + items + "</error>"
	}
	return `<?xml version="1.0" encoding = "US-ASCII"?><vomsans><version>3</version>` + items + `<ac>` + mime(der) + `</ac></vomsans>`
}

func mime(der []byte) string {
	var b strings.Builder
	for text := base64.StdEncoding.EncodeToString(der); text != ""; {
		n := min(64, len(text))
		b.WriteString(text[:n] + "\n")
		text = text[n:]
	}
	return b.String()
}

// ac is an attribute certificate as a server of the VO would give it to the user.
func (g *grid) ac(change func(*gridtest.AA, *gridtest.AC)) []byte {
	aa := gridtest.Must(g.NewAA())
	r := gridtest.AC{Holder: g.User.Leaf(), FQANs: []string{"/testvo"}}
	if change != nil {
		change(aa, &r)
	}
	return gridtest.Must(aa.Issue(r))
}
