package intercept

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
)

func startReverse(t *testing.T, g *recorder) *Server {
	return start(t, Config{
		Gateway: g,
		Names:   []string{"engine-proxy.example", "mapped.example:9000"},
		Routes: []Route{
			{Name: "counter", Path: "/counter", Target: mustURL(t, "https://GT4.example:8443/wsrf/services/CounterService")},
			{Name: "tree", Path: "/wsrf/", Target: mustURL(t, "http://gt4.example/wsrf/services/")},
			{Name: "leaf", Path: "/wsrf/leaf/", Target: mustURL(t, "http://leaf.example/")},
		},
	})
}

func TestReverse_MapsPathsToTargets(t *testing.T) {
	for _, tc := range []struct{ path, target, route string }{
		{"/counter", "https://gt4.example:8443/wsrf/services/CounterService", "counter"},
		{"/counter?wsdl", "https://gt4.example:8443/wsrf/services/CounterService?wsdl", "counter"},
		{"/wsrf/Index%41?x=%2F", "http://gt4.example:80/wsrf/services/Index%41?x=%2F", "tree"},
		{"/wsrf/leaf/a", "http://leaf.example:80/a", "leaf"},
	} {
		g := &recorder{}
		s := startReverse(t, g)
		status, body := raw(t, s, "POST "+tc.path+" HTTP/1.1", "Host: "+s.Addr().String(), "Content-Type: text/xml; charset=utf-8",
			"Authorization: Basic c2VydmljZTpvd24=", "Content-Length: 4", "", "<e/>")
		wantStatus(t, status, body, 200, "ok")
		c, r := g.last(t)
		if c.Target.String() != tc.target || c.Route != tc.route || c.Form != Reverse || r.Host != c.Target.Host {
			t.Errorf("%s: call %+v to %s", tc.path, c, c.Target)
		}
		if r.Header.Get("Authorization") == "" {
			t.Error("the service's own Authorization is gone")
		}
	}
}

func TestReverse_RefusesPathsWithoutRoute(t *testing.T) {
	for path, want := range map[string]int{
		"/": 404, "/counter/": 404, "/counterx": 404, "/Counter": 404, "/%63ounter": 404, "/wsrf": 404,
		"/wsrf/../counter": 400, "/wsrf/..%2fcounter": 400, "/wsrf//": 400,
	} {
		g := &recorder{}
		s := startReverse(t, g)
		status, body := raw(t, s, "GET "+path+" HTTP/1.1", "Host: "+s.Addr().String(), "", "")
		if status != want || g.count() != 0 {
			t.Errorf("%s: got %d %q, want %d", path, status, body, want)
		}
	}
}

func TestReverse_HostMustBeOurs(t *testing.T) {
	g := &recorder{}
	s := startReverse(t, g)
	port := s.Addr().(*net.TCPAddr).Port
	for host, want := range map[string]int{
		"127.0.0.1:%d": 200, "localhost:%d": 200, "LOCALHOST:%d": 200, "engine-proxy.example:%d": 200, "mapped.example:9000": 200,
		"evil.example:%d": 421, "127.0.0.2:%d": 421, "localhost": 421, "localhost:1": 421, "localhost.:%d": 421,
		"mapped.example:%d": 421, "engine-proxy.example": 421, "": 421, "gt4.example:8443": 421,
	} {
		if strings.Contains(host, "%d") {
			host = fmt.Sprintf(host, port)
		}
		status, body := raw(t, s, "GET /counter?wsdl HTTP/1.1", "Host: "+host, "", "")
		if status != want {
			t.Errorf("Host %q: got %d %q, want %d", host, status, body, want)
		}
	}
}

func TestReverse_PostMustBeSOAP(t *testing.T) {
	for kind, want := range map[string]int{
		"text/xml": 200, "Text/XML; charset=UTF-8": 200, `application/soap+xml; action="urn:a"`: 200,
		`multipart/related; type="text/xml"; boundary=b`:             200,
		`multipart/related; type="application/xop+xml"; boundary=b`:  200,
		`multipart/related; type="application/soap+xml"; boundary=b`: 200,
		`multipart/related; boundary=b`:                              415,
		`multipart/related; type="text/html"; boundary=b`:            415,
		"": 415, "text/plain": 415, "application/x-www-form-urlencoded": 415, "multipart/form-data; boundary=b": 415,
		"application/xml": 415, "text/xml, text/plain": 415, "text/plain; x=text/xml": 415,
		"text/xml\r\nContent-Type: text/plain": 415,
	} {
		g := &recorder{}
		s := startReverse(t, g)
		status, body := raw(t, s, "POST /counter HTTP/1.1", "Host: "+s.Addr().String(), "Content-Type: "+kind, "Content-Length: 4", "", "<e/>")
		if status != want || g.count() != map[bool]int{true: 1}[want == 200] {
			t.Errorf("%q: got %d %q, want %d", kind, status, body, want)
		}
	}
}

func TestReverse_RefusesWebPages(t *testing.T) {
	for _, header := range []string{"Origin: http://127.0.0.1", "Sec-Fetch-Site: none", "Sec-Fetch-Mode: no-cors"} {
		g := &recorder{}
		s := startReverse(t, g)
		status, body := raw(t, s, "POST /counter HTTP/1.1", "Host: "+s.Addr().String(), "Content-Type: text/xml", header, "Content-Length: 4", "", "<e/>")
		wantStatus(t, status, body, 403, "web page")
		if g.count() != 0 {
			t.Errorf("%s: reached the gateway", header)
		}
	}
}

func TestReverse_SharesListenerWithForward(t *testing.T) {
	g := &recorder{}
	s := start(t, Config{Gateway: g, Forward: true, Routes: []Route{{Name: "c", Path: "/c", Target: mustURL(t, "http://gt4.example/c")}}})
	c := dial(t, s.Addr())
	br := bufio.NewReader(c)
	for _, line := range []string{"GET /c?wsdl", "GET http://gt4.example/d"} {
		status, body := send(t, c, br, line+" HTTP/1.1\r\nHost: "+s.Addr().String()+"\r\n\r\n")
		wantStatus(t, status, body, 200, "ok")
	}
	if len(g.calls) != 2 || g.calls[0].Form != Reverse || g.calls[1].Form != Forward {
		t.Errorf("calls %+v", g.calls)
	}
}

func TestNew_RefusesRoutes(t *testing.T) {
	for name, tc := range map[string]struct{ path, target, words string }{
		"relative path": {"c", "http://h/c", "does not begin with /"},
		"dots":          {"/../c", "http://h/c", "dot segment"},
		"no scheme":     {"/c", "//h/c", "http or https"},
		"ftp":           {"/c", "ftp://h/c", "http or https"},
		"user info":     {"/c", "http://u:p@h/c", "user info"},
		"query":         {"/c", "http://h/c?wsdl", "query"},
		"fragment":      {"/c", "http://h/c#x", "fragment"},
		"half a tree":   {"/c/", "http://h/c", "slash"},
		"target dots":   {"/c", "http://h/a/../c", "dot segment"},
		"odd host":      {"/c", "http://127.1/c", "no IPv4 address"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Config{Gateway: &recorder{}, Routes: []Route{{Name: "r", Path: tc.path, Target: mustURL(t, tc.target)}}}.check()
			if err == nil || !strings.Contains(err.Error(), tc.words) {
				t.Errorf("got %v, want %q", err, tc.words)
			}
		})
	}
	same := Route{Name: "r", Path: "/c", Target: mustURL(t, "http://h/c")}
	if err := (Config{Gateway: &recorder{}, Routes: []Route{same, same}}).check(); err == nil {
		t.Error("two routes share a path")
	}
}

func TestReverse_NeverEchoesMarkup(t *testing.T) {
	s := startReverse(t, &recorder{})
	c := dial(t, s.Addr())
	io.WriteString(c, "GET /<script> HTTP/1.1\r\nHost: "+s.Addr().String()+"\r\n\r\n")
	got, _ := io.ReadAll(c)
	if text := string(got); !strings.Contains(text, "text/plain") || !strings.Contains(text, "nosniff") || strings.Contains(text, "<script>") {
		t.Errorf("answered %q", text)
	}
}
