package interop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"text/template"
	"time"

	"gsigw/internal/gridtest"
)

// startOpenSSL runs openssl s_server with a host credential; it wants a client certificate that the grid's CA vouches
// for, proxies allowed. It returns the port.
func startOpenSSL(t testing.TB, g *grid, host string, options ...string) (*peer, string) {
	t.Helper()
	args := append([]string{"s_server", "-accept", "127.0.0.1:0", "-cert", host, "-key", host, "-Verify", "10",
		"-verify_return_error", "-allow_proxy_certs", "-CApath", g.TrustDir, "-no-CAfile", "-no-CAstore"}, options...)
	s := startPeer(t, exec.Command(need(t, "openssl"), args...))
	accept := s.until(t, "ACCEPT ")
	return s, strings.TrimSpace(accept[strings.LastIndex(accept, ":")+1:])
}

// answerOnce waits for a request and answers it; it returns what the server wrote until then.
func answerOnce(t testing.TB, s *peer, reply string) string {
	t.Helper()
	said := s.until(t, "<soapenv:Body>")
	fmt.Fprintf(s.in, "HTTP/1.1 200 OK\r\nContent-Type: text/xml; charset=utf-8\r\nContent-Length: %d\r\n\r\n%s", len(reply), reply)
	return said
}

const plainReply = `<soapenv:Envelope xmlns:soapenv="` + soapNS + `"><soapenv:Body><r>12</r></soapenv:Body></soapenv:Envelope>`

// gsiRoute is a route to a port of localhost with the user's proxy as client certificate.
func gsiRoute(port, options string) string {
	return "\n  peer:\n    target: https://localhost:" + port +
		"/*\n    upgrade: true\n    transport: gsi-transport\n    loopback: true\n" + options
}

func TestGateway_OpenSSLSeesProxyChain(t *testing.T) {
	g := newGrid(t)
	proxy := g.proxy(t)
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		t.Run(version, func(t *testing.T) {
			server, port := startOpenSSL(t, g, g.host, version)
			gateway := startGateway(t, g.config(proxy, gsiRoute(port, "")))
			replies := make(chan reply, 1)
			go func() { replies <- gateway.post("http://localhost:"+port+"/wsrf/services/Counter", plainMessage) }()
			seen := answerOnce(t, server, plainReply)
			if r := <-replies; r.status != 200 || !strings.Contains(r.body, ">12<") {
				t.Errorf("%v\n%s", r, gateway.rest())
			}
			for _, line := range []string{
				"depth=2 O = Grid, OU = gsigw test, CN = Test CA\n",
				"depth=1 O = Grid, OU = gsigw test, CN = Jane Doe\n",
				"depth=0 O = Grid, OU = gsigw test, CN = Jane Doe, CN = ",
			} {
				if !strings.Contains(seen, line) {
					t.Errorf("openssl has not seen %q:\n%s", line, seen)
				}
			}
		})
	}
}

// What is wrong with the server is found before anything is sent to it, and the engine is told.
func TestGateway_RefusesServerItCannotTrust(t *testing.T) {
	issued := func(g *grid, by *gridtest.Authority, r gridtest.Request) string {
		return gridtest.Must(g.WriteProxy("server.pem", gridtest.Must(by.Issue(r))))
	}
	for _, c := range []struct {
		name, route, reason string
		host                func(*grid) string // makes the server's credential
	}{
		{"host DN of another", "", "whose certificate is not for host", func(g *grid) string {
			return issued(g, g.CA, gridtest.Request{Name: "/O=Grid/OU=gsigw test/CN=elsewhere.example"})
		}},
		{"host DN that the route does not name", "    peer: [/O=Grid/CN=other]\n", "expected", func(g *grid) string {
			return g.host
		}},
		{"unknown CA", "", "not in the trust directory", func(g *grid) string {
			return issued(g, g.Other, gridtest.Request{Name: gridtest.HostName, Host: true})
		}},
		{"expired CRL", "", "revocation list", func(g *grid) string {
			if err := g.CA.WriteCRL(g.TrustDir, gridtest.CRL{NextUpdate: time.Now().Add(-time.Hour)}); err != nil {
				t.Fatal(err)
			}
			return g.host
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGrid(t)
			proxy := g.proxy(t)
			server, port := startOpenSSL(t, g, c.host(g))
			gateway := startGateway(t, g.config(proxy, gsiRoute(port, c.route)))
			r := gateway.post("http://localhost:"+port+"/wsrf/services/Counter", plainMessage)
			log := gateway.until(t, "msg=exchange")
			if r.status != 500 || !strings.Contains(r.body, "Fault>") || !strings.Contains(r.body, c.reason) {
				t.Errorf("want a fault that says %q, got %v", c.reason, r)
			}
			if !strings.Contains(log, c.reason) {
				t.Errorf("the log does not say %q:\n%s", c.reason, log)
			}
			if seen := server.rest(); strings.Contains(seen, "POST ") {
				t.Errorf("the server got the request:\n%s", seen)
			}
		})
	}
}

// arched is NorduGrid's service container with its echo service behind TLS with client certificates.
var archedConfig = template.Must(template.New("").Parse(`<?xml version="1.0"?>
<ArcConfig xmlns="http://www.nordugrid.org/schemas/ArcConfig/2007"
  xmlns:tcp="http://www.nordugrid.org/schemas/ArcMCCTCP/2007" xmlns:echo="http://www.nordugrid.org/schemas/echo/2009/08">
  <Server><Logger><Level>VERBOSE</Level></Logger></Server>
  <ModuleManager><Path>/usr/lib/arc/</Path></ModuleManager>
  {{range .Plugins}}<Plugins><Name>{{.}}</Name></Plugins>{{end}}
  <Chain>
    <Component name="tcp.service" id="tcp"><next id="tls"/><tcp:Listen><tcp:Interface>127.0.0.1</tcp:Interface>
      <tcp:Port>{{.Port}}</tcp:Port><tcp:Version>4</tcp:Version></tcp:Listen></Component>
    <Component name="tls.service" id="tls"><next id="http"/><KeyPath>{{.Host}}</KeyPath>
      <CertificatePath>{{.Host}}</CertificatePath><CACertificatesDir>{{.Trust}}</CACertificatesDir></Component>
    <Component name="http.service" id="http"><next id="soap">POST</next></Component>
    <Component name="soap.service" id="soap"><next id="plexer"/></Component>
    <Plexer name="plexer.service" id="plexer"><next id="echo">^/Echo$</next></Plexer>
    <Service name="echo" id="echo"><echo:prefix>[ </echo:prefix><echo:suffix> ]</echo:suffix>
      <echo:serviceid>echo</echo:serviceid></Service>
  </Chain>
</ArcConfig>`))

func startArched(t testing.TB, g *grid) (*peer, string) {
	t.Helper()
	port, config := freePort(t), filepath.Join(t.TempDir(), "arched.xml")
	file, err := os.Create(config)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	err = archedConfig.Execute(file, map[string]any{"Port": port, "Host": g.host, "Trust": g.TrustDir,
		"Plugins": []string{"mcctcp", "mcctls", "mcchttp", "mccsoap", "arcshc", "echo"}})
	if err != nil {
		t.Fatal(err)
	}
	s := startPeer(t, exec.Command(need(t, "arched"), "-f", "-c", config, "-p", filepath.Join(t.TempDir(), "pid")))
	s.until(t, "Service side MCCs are loaded")
	return s, port
}

func TestGateway_ARCSeesProxyChain(t *testing.T) {
	g := newGrid(t)
	arched, port := startArched(t, g)
	gateway := startGateway(t, g.config(g.proxy(t), gsiRoute(port, "")))
	call := `<soapenv:Envelope xmlns:soapenv="` + soapNS + `"><soapenv:Body><e:echo xmlns:e="http://www.nordugrid.org/schemas/echo">` +
		`<e:say>HELLO</e:say></e:echo></soapenv:Body></soapenv:Envelope>`
	r := gateway.post("http://localhost:"+port+"/Echo", call)
	if r.status != 200 || !strings.Contains(r.body, "[ HELLO ]") {
		t.Errorf("%v\n%s", r, gateway.rest())
	}
	said := arched.until(t, "CA name:")
	for _, line := range []string{
		"Peer name: " + gridtest.UserName + "/CN=",
		"Identity name: " + gridtest.UserName + "\n",
		"CA name: " + gridtest.CAName + "\n",
	} {
		if !strings.Contains(said, line) {
			t.Errorf("ARC has not seen %q:\n%s", line, said)
		}
	}
}
