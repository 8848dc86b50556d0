package intercept

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestRequest_RefusesMethodsAndHeaders(t *testing.T) {
	for _, tc := range []struct {
		name, method, header string
		status               int
		words                string
	}{
		{"HEAD", "HEAD", "", 405, ""},
		{"OPTIONS", "OPTIONS", "", 405, "only POST and GET"},
		{"TRACE", "TRACE", "", 405, "only POST and GET"},
		{"PUT", "PUT", "", 405, "only POST and GET"},
		{"Origin", "POST", "Origin: https://evil.example", 403, "web page"},
		{"null Origin", "POST", "Origin: null", 403, "web page"},
		{"fetch metadata", "GET", "Sec-Fetch-Site: same-origin", 403, "web page"},
		{"websocket", "GET", "Connection: Upgrade\r\nUpgrade: websocket", 400, "upgrades"},
		{"GET with body", "GET", "Content-Length: 2", 400, "must not have a body"},
		{"GET with chunks", "GET", "Transfer-Encoding: chunked", 400, "must not have a body"},
		{"unknown expectation", "POST", "Expect: miracles", 417, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := &recorder{}
			s, _ := startForward(t, g)
			c := dial(t, s.Addr())
			lines := tc.method + " http://gt4.example/a HTTP/1.1\r\nHost: gt4.example\r\n" + tc.header
			io.WriteString(c, strings.TrimSuffix(lines, "\r\n")+"\r\n\r\n")
			resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: tc.method})
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			wantStatus(t, resp.StatusCode, string(body), tc.status, tc.words)
			if g.count() != 0 {
				t.Error("the request reached the gateway")
			}
		})
	}
}

// The JDK's HttpClient offers h2c with its first request.
func TestRequest_IgnoresOfferOfH2C(t *testing.T) {
	g := &recorder{}
	s, _ := startForward(t, g)
	status, body := raw(t, s, "GET http://gt4.example/a HTTP/1.1", "Host: gt4.example",
		"Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA", "", "")
	wantStatus(t, status, body, 200, "ok")
	if _, r := g.last(t); r.Header.Get("Upgrade") != "" || r.Header.Get("Http2-Settings") != "" {
		t.Errorf("passed on: %v", r.Header)
	}
}

func TestRequest_RefusesAmbiguousPaths(t *testing.T) {
	g := &recorder{}
	s, _ := startForward(t, g)
	for _, path := range []string{
		"/a/../b", "/a/./b", "/..", "/a/%2e%2e/b", "/a/%2E./b", "/a/..;x=1/b", "/a/..%3bx/b",
		"/a%2fb", "/a%2Fb", `/a\b`, "/a%5cb", "/a%00b", "/a%0ab", "/a%7fb", "/a%252e%252e/b", "/a%25", "/a//b", "/a%c0%ae", "//a", "/a;v=1/b", "/a%3bv", "/a%3fwsdl", "/a%23b",
	} {
		status, body := raw(t, s, "GET http://gt4.example"+path+" HTTP/1.1", "Host: gt4.example", "", "")
		if wantStatus(t, status, body, 400, "denied by rule path: "); strings.Contains(body, "policy:") {
			t.Errorf("%s: the answer shows whose words they are: %q", path, body)
		}
	}
	if g.count() != 0 {
		t.Errorf("%d requests reached the gateway", g.count())
	}
	for _, path := range []string{"/wsrf/services/Counter", "/a/b.c..d/", "/%C3%A4", "/a%20b", "/a%2Db", "/...", "/a+b:c@d"} {
		status, body := raw(t, s, "GET http://gt4.example"+path+" HTTP/1.1", "Host: gt4.example", "", "")
		wantStatus(t, status, body, 200, "ok")
		if c, _ := g.last(t); c.Target.EscapedPath() != path {
			t.Errorf("path %s became %s", path, c.Target.EscapedPath())
		}
	}
}

func TestRequest_RefusesSmuggledFraming(t *testing.T) {
	post := "POST http://gt4.example/a HTTP/1.1\r\nHost: gt4.example\r\n"
	for _, tc := range []struct{ name, text string }{
		{"two lengths", post + "Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde"},
		{"list of lengths", post + "Content-Length: 4, 5\r\n\r\nabcde"},
		{"signed length", post + "Content-Length: +4\r\n\r\nabcd"},
		{"two hosts", "GET http://gt4.example/a HTTP/1.1\r\nHost: gt4.example\r\nHost: evil.example\r\n\r\n"},
		{"no host", "GET http://gt4.example/a HTTP/1.1\r\n\r\n"},
		{"unknown coding", post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"},
		{"coding twice", post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{"space before colon", post + "Content-Length : 4\r\n\r\nabcd"},
		{"control in value", post + "X-A: a\x01b\r\nContent-Length: 0\r\n\r\n"},
		{"bare CR", post + "X-A: a\rContent-Length: 4\r\n\r\n"},
		{"folded first line", post[:len(post)-len("Host: gt4.example\r\n")] + " folded: x\r\nHost: gt4.example\r\n\r\n"},
		{"chunk size with bare LF", post + "Transfer-Encoding: chunked\r\n\r\n4\nabcd\r\n0\r\n\r\n"},
		{"negative chunk", post + "Transfer-Encoding: chunked\r\n\r\n-4\r\nabcd\r\n0\r\n\r\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := &recorder{}
			s, _ := startForward(t, g)
			c := dial(t, s.Addr())
			status, body := send(t, c, bufio.NewReader(c), tc.text)
			if status < 400 || len(g.bodies) != 0 {
				t.Errorf("got %d %q, gateway read %q", status, body, g.bodies)
			}
		})
	}
}

// net/http drops a Transfer-Encoding of HTTP/1.0; the chunks after the head
// must not become the next request.
func TestRequest_ClosesAfterHTTP10(t *testing.T) {
	for name, target := range map[string]string{"answered": "http://gt4.example/a", "refused": "http://gt4.example/a//b"} {
		t.Run(name, func(t *testing.T) {
			g := &recorder{}
			s, _ := startForward(t, g)
			c := dial(t, s.Addr())
			io.WriteString(c, "POST "+target+" HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n"+
				"GET http://gt4.example/smuggled HTTP/1.0\r\n\r\n")
			io.ReadAll(c)
			if g.count() > 1 || g.count() == 1 && g.calls[0].Target.Path != "/a" {
				t.Errorf("the gateway saw %d requests: %+v", g.count(), g.calls)
			}
		})
	}
}

// Of two framings the chunked one counts, and the other does not travel on.
func TestRequest_DropsLengthBesideChunks(t *testing.T) {
	g := &recorder{}
	s, _ := startForward(t, g)
	raw(t, s, "POST http://gt4.example/a HTTP/1.1", "Host: gt4.example", "Content-Length: 999",
		"Transfer-Encoding: chunked", "", "4", "abcd", "0", "", "")
	_, r := g.last(t)
	if g.bodies[0] != "abcd" || r.ContentLength != -1 || r.Header.Get("Content-Length") != "" || r.TransferEncoding != nil {
		t.Errorf("body %q, length %d, header %v", g.bodies[0], r.ContentLength, r.Header)
	}
}

// What net/http forgives in a head must come out plain.
func TestRequest_UnfoldsHeaders(t *testing.T) {
	g := &recorder{}
	s, _ := startForward(t, g)
	raw(t, s, "GET http://gt4.example/a HTTP/1.1\nHost: gt4.example", "X-A: a", "\t b", "", "")
	if _, r := g.last(t); len(r.Header) != 1 || r.Header.Get("X-A") != "a b" {
		t.Errorf("headers %q", r.Header)
	}
}

func TestRequest_StripsHopByHopBothWays(t *testing.T) {
	g := &recorder{serve: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "X-Hop, close")
		w.Header().Set("X-Hop", "1")
		w.Header().Set("Proxy-Authenticate", "Basic")
		w.Header().Set("Keep-Alive", "timeout=5")
		w.Header().Set("X-Kept", "1")
		io.Copy(w, r.Body)
	}}
	s, _ := startForward(t, g)
	c := dial(t, s.Addr())
	io.WriteString(c, "POST http://gt4.example/a HTTP/1.1\r\nHost: gt4.example\r\nConnection: X-Secret-Hop, keep-alive\r\n"+
		"X-Secret-Hop: 1\r\nKeep-Alive: 300\r\nProxy-Connection: keep-alive\r\nTE: trailers\r\nTrailer: X-T\r\n"+
		"Proxy-Authorization: Basic eDp5\r\nGsigw-Secret: z\r\nExpect: 100-continue\r\nX-Kept: 1\r\n"+
		"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nX-T: evil\r\n\r\n")
	br := bufio.NewReader(c)
	resp, err := http.ReadResponse(br, nil)
	if err == nil && resp.StatusCode == 100 {
		resp, err = http.ReadResponse(br, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	io.ReadAll(resp.Body)
	for _, name := range []string{"X-Hop", "Proxy-Authenticate", "Keep-Alive"} {
		if resp.Header.Get(name) != "" {
			t.Errorf("the engine got %s", name)
		}
	}
	if resp.Close || resp.Header.Get("X-Kept") != "1" {
		t.Errorf("answer headers %v, close %v", resp.Header, resp.Close)
	}
	_, r := g.last(t)
	if len(r.Header) != 1 || r.Header.Get("X-Kept") != "1" || r.Trailer != nil {
		t.Errorf("the gateway got %v, trailer %v", r.Header, r.Trailer)
	}
}

func TestRequest_KeepsConnectionForNextRequest(t *testing.T) {
	g := &recorder{}
	s, _ := startForward(t, g)
	c := dial(t, s.Addr())
	br := bufio.NewReader(c)
	for range 3 {
		status, body := send(t, c, br, "POST http://gt4.example/a HTTP/1.1\r\nHost: gt4.example\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n")
		wantStatus(t, status, body, 200, "ok")
	}
	if g.count() != 3 {
		t.Errorf("%d requests", g.count())
	}
}

func TestRequest_AnswersExpectContinue(t *testing.T) {
	g := &recorder{}
	s, _ := startForward(t, g)
	c := dial(t, s.Addr())
	br := bufio.NewReader(c)
	status, _ := send(t, c, br, "POST http://gt4.example/a HTTP/1.1\r\nHost: gt4.example\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
	if status != 100 {
		t.Fatalf("got %d before the body", status)
	}
	status, body := send(t, c, br, "abcd")
	wantStatus(t, status, body, 200, "ok")
}

func TestRequest_BoundsBody(t *testing.T) {
	for name, tc := range map[string]struct{ head, body string }{
		"declared":                 {"Content-Length: 9\r\n", "123456789"},
		"declared, 100 not wanted": {"Content-Length: 9\r\nExpect: 100-continue\r\n", ""},
		"chunked":                  {"Transfer-Encoding: chunked\r\n", "9\r\n123456789\r\n0\r\n\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			g := &recorder{}
			s := start(t, Config{Gateway: g, Forward: true, Limits: Limits{Body: 8}})
			c := dial(t, s.Addr())
			status, body := send(t, c, bufio.NewReader(c), "POST http://gt4.example/a HTTP/1.1\r\nHost: gt4.example\r\n"+tc.head+"\r\n"+tc.body)
			wantStatus(t, status, body, 413, "request body too large")
		})
	}
}

func TestRequest_EndsStalledBody(t *testing.T) {
	failed := make(chan error, 1)
	g := &recorder{serve: func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		failed <- err
		w.WriteHeader(http.StatusRequestTimeout)
	}}
	s := start(t, Config{Gateway: g, Forward: true, Limits: Limits{Progress: 50 * time.Millisecond}})
	status, body := raw(t, s, "POST http://gt4.example/a HTTP/1.1", "Host: gt4.example", "Content-Length: 9", "", "123")
	wantStatus(t, status, body, 408, "")
	if <-failed == nil {
		t.Error("the body ended well")
	}
}

// A body that nobody reads and that never comes must not hold up the answer.
func TestRequest_AnswersDespiteUnreadStalledBody(t *testing.T) {
	g := &recorder{serve: func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "no need") }}
	s := start(t, Config{Gateway: g, Forward: true, Limits: Limits{Progress: 50 * time.Millisecond}})
	status, body := raw(t, s, "POST http://gt4.example/a HTTP/1.1", "Host: gt4.example", "Content-Length: 9", "", "123")
	wantStatus(t, status, body, 200, "no need")
}

// A body may take longer than Progress as long as it moves.
func TestRequest_WaitsForMovingBody(t *testing.T) {
	g := &recorder{}
	s := start(t, Config{Gateway: g, Forward: true, Limits: Limits{Progress: 400 * time.Millisecond}})
	c := dial(t, s.Addr())
	io.WriteString(c, "POST http://gt4.example/a HTTP/1.1\r\nHost: gt4.example\r\nContent-Length: 8\r\n\r\n")
	tick := time.NewTicker(75 * time.Millisecond)
	defer tick.Stop()
	for range 7 {
		<-tick.C
		io.WriteString(c, "a")
	}
	status, body := send(t, c, bufio.NewReader(c), "b")
	wantStatus(t, status, body, 200, "ok")
}

// The read deadline of the body must not outlive it: the service may take longer.
func TestRequest_WaitsForSlowGateway(t *testing.T) {
	g := &recorder{serve: func(w http.ResponseWriter, r *http.Request) {
		io.ReadAll(r.Body)
		select {
		case <-r.Context().Done():
		case <-time.After(150 * time.Millisecond):
			io.WriteString(w, "late")
		}
	}}
	s := start(t, Config{Gateway: g, Forward: true, Limits: Limits{Progress: 30 * time.Millisecond}})
	status, body := raw(t, s, "POST http://gt4.example/a HTTP/1.1", "Host: gt4.example", "Content-Length: 3", "", "123")
	wantStatus(t, status, body, 200, "late")
}

func TestRequest_HangUpCancelsContext(t *testing.T) {
	begun, cancelled := make(chan struct{}), make(chan struct{})
	g := &recorder{serve: func(w http.ResponseWriter, r *http.Request) {
		io.ReadAll(r.Body)
		close(begun)
		<-r.Context().Done()
		close(cancelled)
	}}
	s, _ := startForward(t, g)
	c := dial(t, s.Addr())
	io.WriteString(c, "POST http://gt4.example/a HTTP/1.1\r\nHost: gt4.example\r\nContent-Length: 3\r\n\r\nabc")
	<-begun
	c.Close()
	select {
	case <-cancelled:
	case <-time.After(10 * time.Second):
		t.Error("the context did not end")
	}
}

func TestRequest_GatewayWithoutAnswerIsAnError(t *testing.T) {
	g := &recorder{serve: func(http.ResponseWriter, *http.Request) {}}
	s, _ := startForward(t, g)
	status, body := raw(t, s, "GET http://gt4.example/a HTTP/1.1", "Host: gt4.example", "", "")
	wantStatus(t, status, body, 500, "no answer")
}

func TestRequest_BoundsHead(t *testing.T) {
	g := &recorder{}
	s := start(t, Config{Gateway: g, Forward: true, Limits: Limits{Header: 1 << 10}})
	c := dial(t, s.Addr())
	io.WriteString(c, "GET http://gt4.example/a HTTP/1.1\r\nHost: gt4.example\r\nX-A: "+strings.Repeat("a", 8<<10)+"\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || resp.StatusCode != 431 || g.count() != 0 {
		t.Errorf("got %v, %v; %d requests", resp, err, g.count())
	}
}
