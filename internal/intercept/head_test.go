package intercept

import (
	"bufio"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"gsigw/internal/intercept/ca"
)

func TestConnect_HostIsTheTargets(t *testing.T) {
	const to = "CONNECT gt4.example:8443 HTTP/1.1\r\n"
	for _, tc := range []struct {
		name, head string
		status     int
		words      string
	}{
		{"the same", to + "Host: gt4.example:8443\r\n\r\n", 200, "ok"},
		{"other case", to + "hOST: GT4.Example:8443\r\n\r\n", 200, "ok"},
		{"no port", to + "Host: gt4.example\r\n\r\n", 200, "ok"},
		{"HTTP/1.0 without", "CONNECT gt4.example:8443 HTTP/1.0\r\nProxy-Authorization: Basic x\r\n\r\n", 200, "ok"},
		{"HTTP/1.0 with nothing at all", "CONNECT gt4.example:8443 HTTP/1.0\r\n\r\n", 200, "ok"},
		{"HTTP/1.0 with another", "CONNECT gt4.example:8443 HTTP/1.0\r\nHost: evil.example:8443\r\n\r\n", 421, "is not the CONNECT target"},
		{"none", to + "\r\n", 400, "one Host header"},
		{"another", to + "Host: evil.example:8443\r\n\r\n", 421, "is not the CONNECT target"},
		{"another name of the same prefix", to + "Host: gt4.example.evil.example\r\n\r\n", 421, "is not the CONNECT target"},
		{"another port", to + "Host: gt4.example:443\r\n\r\n", 421, "is not the CONNECT target"},
		{"empty", to + "Host:\r\n\r\n", 421, "is not the CONNECT target"},
		{"trailing dot", to + "Host: gt4.example.:8443\r\n\r\n", 421, "is not the CONNECT target"},
		{"user info", to + "Host: gt4.example:8443@evil.example\r\n\r\n", 400, "Host"},
		{"two", to + "Host: gt4.example:8443\r\nHost: evil.example:8443\r\n\r\n", 400, ""},
		{"two the same", to + "Host: gt4.example:8443\r\nHost: gt4.example:8443\r\n\r\n", 400, ""},
		{"folded", to + "Host: gt4.example:8443\r\n evil.example\r\n\r\n", 400, "Host"},
		{"after another header's folds", to + "X: a\r\n Host: gt4.example:8443\r\nHost: evil.example\r\n\r\n", 421, "is not the CONNECT target"},
		{"bare line feeds", "CONNECT gt4.example:8443 HTTP/1.1\nHost: evil.example\n\n", 421, "is not the CONNECT target"},
		{"behind the head", to + "Host: evil.example\r\n\r\nHost: gt4.example:8443\r\n\r\n", 421, "is not the CONNECT target"},
		{"beyond the limit", to + "X: " + strings.Repeat("x", 80<<10) + "\r\nHost: gt4.example:8443\r\n\r\n", 431, ""},
		{"large", to + "X: " + strings.Repeat("x", 60<<10) + "\r\nHost: evil.example\r\n\r\n", 421, "is not the CONNECT target"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, authority := startForward(t, &recorder{})
			c := dial(t, s.Addr())
			io.WriteString(c, tc.head)
			status, body := connected(t, c, bufio.NewReader(c), authority)
			wantStatus(t, status, body, tc.status, tc.words)
			if len(s.tunnels.places) != 0 && tc.status != 200 {
				t.Error("a tunnel is open")
			}
		})
	}
}

// connected reads the answer to a CONNECT to gt4.example:8443: that from
// inside the tunnel, or the refusal, after which nothing may come.
func connected(t *testing.T, c net.Conn, br *bufio.Reader, authority *ca.Authority) (int, string) {
	t.Helper()
	resp, err := http.ReadResponse(br, &http.Request{Method: http.MethodConnect})
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode == 200 {
		inside := tls.Client(c, &tls.Config{ServerName: "gt4.example", RootCAs: pool(authority.Certificate())})
		return send(t, inside, bufio.NewReader(inside), "GET /a HTTP/1.1\r\nHost: gt4.example:8443\r\n\r\n")
	}
	body, _ := io.ReadAll(resp.Body)
	if !resp.Close {
		t.Error("the refusal does not close the connection")
	}
	if more, _ := io.ReadAll(br); len(more) != 0 {
		t.Errorf("more follows on the connection: %q", more)
	}
	return resp.StatusCode, string(body)
}

const connectGT4 = "CONNECT gt4.example:8443 HTTP/1.1\r\nHost: gt4.example:8443\r\n\r\n"

func TestConnect_MustComeFirstOnItsConnection(t *testing.T) {
	s, authority := startForward(t, &recorder{})
	for _, first := range []string{"GET http://gt4.example/a", "POST http://gt4.example/a"} {
		c := dial(t, s.Addr())
		br := bufio.NewReader(c)
		status, body := send(t, c, br, first+" HTTP/1.1\r\nHost: gt4.example\r\nContent-Length: 0\r\n\r\n")
		wantStatus(t, status, body, 200, "ok")
		io.WriteString(c, connectGT4)
		status, body = connected(t, c, br, authority)
		wantStatus(t, status, body, 400, "first request on its connection")
	}
}

func TestConnect_AsksForTheSecretOnceAConnection(t *testing.T) {
	const secret = "0123456789abcdef0123456789abcdef"
	authority := gt4CA(t)
	s := start(t, Config{
		Gateway: &recorder{opens: []string{"gt4.example:8443"}}, Forward: true, CA: authority,
		Callers: []CallerRule{{Name: "ode", Secret: mustSecret(t, secret)}},
	})
	c := dial(t, s.Addr())
	io.WriteString(c, connectGT4)
	status, body := connected(t, c, bufio.NewReader(c), authority) // and closes: two CONNECTs on a connection there are not
	wantStatus(t, status, body, 407, "proxy secret")

	c = dial(t, s.Addr())
	io.WriteString(c, strings.Replace(connectGT4, "\r\n\r\n", "\r\nProxy-Authorization: Bearer "+secret+"\r\n\r\n", 1))
	status, body = connected(t, c, bufio.NewReader(c), authority)
	wantStatus(t, status, body, 200, "ok")
}

func TestConnect_ReadsAHeadInManyWrites(t *testing.T) {
	s, authority := startForward(t, &recorder{})
	for head, want := range map[string]int{connectGT4: 200, strings.Replace(connectGT4, "Host: gt4", "Host: gt5", 1): 421} {
		c := dial(t, s.Addr())
		for _, b := range []byte(head) {
			c.Write([]byte{b}) // TCP_NODELAY is Go's default
		}
		status, body := connected(t, c, bufio.NewReader(c), authority)
		wantStatus(t, status, body, want, "")
	}
}

func TestConnect_HostIsTheTargetsInsideTLS(t *testing.T) {
	server, authority := selfSigned(t, "server"), gt4CA(t)
	s := start(t, Config{
		Gateway: &recorder{opens: []string{"gt4.example:8443"}}, Forward: true, CA: authority,
		TLS: &tls.Config{Certificates: []tls.Certificate{server}}, Limits: Limits{Grace: time.Second},
	})
	for head, want := range map[string]int{connectGT4: 200, strings.Replace(connectGT4, "Host: gt4", "Host: gt5", 1): 421} {
		c := tls.Client(dial(t, s.Addr()), &tls.Config{RootCAs: pool(server.Leaf), ServerName: "127.0.0.1"})
		io.WriteString(c, head)
		status, body := connected(t, c, bufio.NewReader(c), authority)
		wantStatus(t, status, body, want, "")
	}
}

func TestTLS_TellsWhoSpeaksPlain(t *testing.T) {
	server := selfSigned(t, "server")
	complaints := make(lines, 1)
	s := start(t, Config{
		Gateway: &recorder{}, Forward: true, TLS: &tls.Config{Certificates: []tls.Certificate{server}},
		ErrorLog: log.New(complaints, "", 0),
	})
	c := dial(t, s.Addr())
	io.WriteString(c, connectGT4)
	if got, _ := io.ReadAll(c); !strings.Contains(string(got), "this listener speaks TLS") {
		t.Errorf("answered %q", got)
	}
	if said := <-complaints; !strings.Contains(said, "TLS handshake") {
		t.Errorf("logged %q", said)
	}
}

type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

func TestHeard_KeepsNothingButAFirstCONNECT(t *testing.T) {
	for name, tc := range map[string]struct {
		reads []string
		kept  string
	}{
		"a CONNECT":              {[]string{"CON", "NECT ", "a"}, "CONNECT a"},
		"another request":        {[]string{"POST /", "CONNECT a"}, ""},
		"another that begins so": {[]string{"CONNECTED", " a"}, ""},
		"beyond the limit":       {[]string{"CONNECT ", strings.Repeat("x", 100), "CONNECT a"}, ""},
	} {
		c := &heard{room: 50}
		for _, read := range tc.reads {
			c.keep([]byte(read))
		}
		if got := c.takeHead(); string(got) != tc.kept {
			t.Errorf("%s: kept %q", name, got)
		}
		if c.keep([]byte("CONNECT b")); c.head != nil {
			t.Errorf("%s: still kept after it was taken", name)
		}
	}
}

func TestHijack_LeavesTheTunnelUnheard(t *testing.T) {
	for name, behind := range map[string]string{"no byte ahead": "", "bytes ahead": "hello"} {
		taken := make(chan net.Conn, 1)
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, _, err := (&sealedWriter{ResponseWriter: w}).Hijack()
			if err != nil {
				t.Error(err)
			}
			taken <- c
		})}
		ln, err := Listen("127.0.0.1:0", 0)
		if err != nil {
			t.Fatal(err)
		}
		everybody := newAdmitting(ln, 1, func(peer) bool { return true })
		go srv.Serve(&hearing{Listener: everybody, limits: Limits{}.withDefaults()})
		t.Cleanup(func() { srv.Close() })
		client := dial(t, ln.Addr())
		io.WriteString(client, connectGT4+behind)
		c := <-taken
		defer c.Close()
		if a, ok := c.(*aheadConn); ok {
			got := make([]byte, len(behind))
			if _, err := io.ReadFull(a, got); err != nil || string(got) != behind {
				t.Errorf("%s: %q, %v", name, got, err)
			}
			c = a.Conn
		}
		if _, ok := c.(*conn); !ok {
			t.Errorf("%s: the tunnel runs on a %T", name, c)
		}
	}
}

func gt4CA(t *testing.T) *ca.Authority {
	t.Helper()
	authority, err := ca.New(ca.Options{Hosts: []string{"gt4.example"}})
	if err != nil {
		t.Fatal(err)
	}
	return authority
}
