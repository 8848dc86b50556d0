package upstream

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
)

// forwardProxy is an HTTP proxy that answers CONNECT with response and then connects to the service, and any other
// request itself. It notes what it was asked.
func forwardProxy(t *testing.T, service, response string, asked *[]string) *Proxy {
	target := rawServer(t, func(c net.Conn, r *bufio.Reader) {
		req := readRequest(r)
		*asked = append(*asked, req.Method+" "+req.RequestURI+" "+req.Header.Get("Proxy-Authorization"))
		if req.Method != "CONNECT" {
			io.WriteString(c, keepAlive)
			return
		}
		io.WriteString(c, response)
		s, err := net.Dial("tcp", service)
		if err != nil {
			return
		}
		defer s.Close()
		go func() {
			io.Copy(s, r)
			s.Close()
		}()
		io.Copy(c, s)
	})
	u := parseURL(t, "http://gate:secret@"+target.URL.Host)
	return &Proxy{URL: u, Allow: Allow{Loopback: true}}
}

const tunnelOpen = "HTTP/1.1 200 Connection established\r\n\r\n"

func TestDo_TunnelsTLSThroughAProxy(t *testing.T) {
	var asked []string
	g := newGrid(t, sayWho, nil)
	target := g.target(t)
	port := target.URL.Port()
	target.Proxy = forwardProxy(t, target.URL.Host, tunnelOpen, &asked)
	target.URL.Host, target.Allow = "service.example.org:"+port, Allow{}
	_, body, err := doCall(newClient(t, Config{Trust: g.ca, Resolver: names{}}), t.Context(), target, post("x"))
	if err != nil || !strings.HasPrefix(body, "/O=Grid/CN=Alice") {
		t.Errorf("got %q, error %v", body, err)
	}
	if want := "CONNECT service.example.org:" + port + " Basic Z2F0ZTpzZWNyZXQ="; len(asked) != 1 || asked[0] != want {
		t.Errorf("the proxy was asked %q, want %q", asked, want)
	}
}

func TestDo_AsksAProxyInAbsoluteForm(t *testing.T) {
	var asked []string
	target := &Target{URL: parseURL(t, "http://service.example.org/a?b#c"), Transport: Plain, Proxy: forwardProxy(t, "", "", &asked)}
	_, body, err := doCall(newClient(t, Config{Resolver: names{}}), t.Context(), target, post("x"))
	if want := "POST http://service.example.org/a?b Basic Z2F0ZTpzZWNyZXQ="; err != nil || body != "hello" || asked[0] != want {
		t.Errorf("got %q, error %v, asked %q", body, err, asked)
	}
}

func TestDo_RefusesProxies(t *testing.T) {
	tests := []struct {
		name, response string
		edit           func(*Target)
		op             Op
		words          string
	}{
		{"that refuse us", "HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n", nil, OpProxy, "set user and password"},
		{"that refuse the target", "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", nil, OpProxy, "status 403"},
		{"that redirect", "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", nil, OpProxy, "status 302"},
		{"that speak ahead", tunnelOpen + "x", nil, OpProxy, "ahead of the tunnel"},
		{"that end lines as they like", "HTTP/1.1 200 OK\n\n", nil, OpProxy, "bare line feed"},
		{"on loopback, unnamed", tunnelOpen, func(t *Target) { t.Proxy.Allow, t.Allow = Allow{}, Allow{Loopback: true} }, OpAddress, "loopback"},
		{"for a literal loopback target", tunnelOpen, func(t *Target) { t.URL.Host = "127.0.0.1:443" }, OpAddress, "loopback"},
		{"for a mapped unspecified target", tunnelOpen, func(t *Target) { t.URL.Host = "[::ffff:0.0.0.0]:443" }, OpAddress, "never called"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var asked []string
			target := &Target{URL: parseURL(t, "https://service.example.org/"), Transport: TLS, Proxy: forwardProxy(t, "127.0.0.1:1", test.response, &asked)}
			if test.edit != nil {
				test.edit(target)
			}
			_, err := newClient(t, Config{Resolver: names{}}).Do(t.Context(), target, post("x"))
			wantError(t, err, test.op, test.words)
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("%v tells a secret", err)
			}
		})
	}
}

func TestDo_TakesNoProxyFromTheEnvironment(t *testing.T) {
	t.Setenv("http_proxy", "http://192.0.2.9:3128")
	t.Setenv("HTTP_PROXY", "http://192.0.2.9:3128")
	addrs, _ := dialled(t, Config{}, "http://192.0.2.1/", Allow{})
	if fmt.Sprint(addrs) != "[192.0.2.1:80]" {
		t.Errorf("dialled %v", addrs)
	}
}

func TestPool_KeepsProxiesApart(t *testing.T) {
	direct := &Target{URL: parseURL(t, "http://h/"), Transport: Plain}
	one, two := *direct, *direct
	one.Proxy = &Proxy{URL: parseURL(t, "http://alice:a@p:1")}
	two.Proxy = &Proxy{URL: parseURL(t, "http://bob:b@p:1")}
	if direct.key() == one.key() || one.key() == two.key() {
		t.Error("two ways to a service share a connection")
	}
}
