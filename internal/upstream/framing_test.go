package upstream

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

func TestDo_RefusesRepliesThatCanBeReadTwoWays(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	tests := []struct{ name, response, words string }{
		{"two lengths", ok + "Content-Length: 2\r\nContent-Length: 5\r\n\r\nhello", "more than once"},
		{"one length twice", ok + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", "more than once"},
		{"a list of lengths", ok + "Content-Length: 5, 5\r\n\r\nhello", "no Content-Length"},
		{"a signed length", ok + "Content-Length: +5\r\n\r\nhello", "no Content-Length"},
		{"a length beyond 63 bits", ok + "Content-Length: 18446744073709551621\r\n\r\nhello", "no Content-Length"},
		{"an empty length", ok + "Content-Length:\r\n\r\nhello", "no Content-Length"},
		{"length and chunked", ok + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "both"},
		{"chunked and length", ok + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "both"},
		{"an unknown transfer coding", ok + "Transfer-Encoding: xchunked\r\n\r\n", "transfer coding"},
		{"a pair of transfer codings", ok + "Transfer-Encoding: gzip, chunked\r\n\r\n", "transfer coding"},
		{"chunked twice", ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "transfer coding"},
		{"chunked in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "HTTP/1.0"},
		{"a bare line feed after the status", "HTTP/1.1 200 OK\nContent-Length: 5\r\n\r\nhello", "bare line feed"},
		{"a bare line feed after a field", ok + "Content-Length: 5\n\r\nhello", "bare line feed"},
		{"a bare line feed before the body", ok + "Content-Length: 5\r\n\nhello", "bare line feed"},
		{"a bare carriage return", ok + "X: a\rContent-Length: 3\r\nContent-Length: 5\r\n\r\nhello", "no header field"},
		{"a NUL", ok + "X: a\x00b\r\nContent-Length: 5\r\n\r\nhello", "no header field"},
		{"a folded field", ok + "X: a\r\n Content-Length: 3\r\nContent-Length: 5\r\n\r\nhello", "folded"},
		{"a fold after the status", ok + " X: a\r\nContent-Length: 5\r\n\r\nhello", "folded"},
		{"a space before the colon", ok + "Content-Length : 5\r\n\r\nhello", "no header field"},
		{"a field without a colon", ok + "Content-Length 5\r\n\r\nhello", "no header field"},
		{"a field without a name", ok + ": 5\r\n\r\nhello", "no header field"},
		{"garbage before the status", "garbage\r\n" + ok + "Content-Length: 5\r\n\r\nhello", "no HTTP/1 status line"},
		{"an empty line before the status", "\r\n" + ok + "Content-Length: 5\r\n\r\nhello", "no HTTP/1 status line"},
		{"HTTP/0.9", "<html>\r\n", "no HTTP/1 status line"},
		{"HTTP/2", "HTTP/2.0 200 OK\r\n\r\n", "no HTTP/1 status line"},
		{"a version of two digits", "HTTP/1.10 200 OK\r\n\r\n", "no HTTP/1 status line"},
		{"a status of two digits", "HTTP/1.1 20 OK\r\n\r\n", "no HTTP/1 status line"},
		{"a status of four digits", "HTTP/1.1 2000 OK\r\n\r\n", "no HTTP/1 status line"},
		{"a status that is no number", "HTTP/1.1 2x0 OK\r\n\r\n", "no HTTP/1 status line"},
		{"HTTP/1.2", "HTTP/1.2 200 OK\r\n\r\n", "no HTTP/1 status line"},
		{"a status below 100", "HTTP/1.1 099 OK\r\n\r\n", "no HTTP/1 status line"},
		{"six informational responses", strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 6) + ok + "Content-Length: 0\r\n\r\n", "informational"},
		{"an informational response with a body", "HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\n" + ok + "\r\n", "declares a body"},
		{"a switch of protocols", "HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n", "switches protocols"},
		{"no content with a length", "HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\nhello", "without content"},
		{"no content in chunks", "HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "without content"},
		{"a chunk that is too long", ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n0\r\n\r\n", "not as long"},
		{"a chunk ending in a line feed", ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\n0\r\n\r\n", "not as long"},
		{"a chunk size ending in a line feed", ok + "Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n", "bare line feed"},
		{"a chunk size with a sign", ok + "Transfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n", "no chunk size"},
		{"a chunk size with a prefix", ok + "Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n", "no chunk size"},
		{"a chunk size beyond 63 bits", ok + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff5\r\nhello\r\n0\r\n\r\n", "no chunk size"},
		{"no chunk size", ok + "Transfer-Encoding: chunked\r\n\r\n\r\nhello\r\n0\r\n\r\n", "no chunk size"},
		{"a carriage return in a chunk extension", ok + "Transfer-Encoding: chunked\r\n\r\n5;a\rb\r\nhello\r\n0\r\n\r\n", "no chunk size"},
		{"a folded trailer", ok + "Transfer-Encoding: chunked\r\n\r\n0\r\n X: y\r\n\r\n", "folded"},
		{"an unknown content coding", ok + "Content-Encoding: br\r\nContent-Length: 5\r\n\r\nhello", "not asked for"},
		{"two content codings", ok + "Content-Encoding: gzip\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello", "not asked for"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := doCall(newClient(t, Config{}), t.Context(), answering(t, test.response), post("x"))
			wantError(t, err, OpFraming, test.words)
		})
	}
}

func TestDo_RefusesRepliesCutShort(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	for name, response := range map[string]string{
		"in the status line": "HTTP/1.1 20",
		"after the status":   ok,
		"in the header":      ok + "Content-Type: text/xml\r\n",
		"in the body":        ok + "Content-Length: 6\r\n\r\nhello",
		"in a chunk":         ok + "Transfer-Encoding: chunked\r\n\r\n6\r\nhello",
		"before a chunk":     ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
		"before the trailer": ok + "Transfer-Encoding: chunked\r\n\r\n0\r\n",
		"in compressed data": ok + "Content-Encoding: gzip\r\n\r\n" + string(zip(t, strings.Repeat("hello", 100))[:20]),
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := doCall(newClient(t, Config{}), t.Context(), answering(t, response), post("x"))
			wantError(t, err, OpRead, "ended early")
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%v is not io.ErrUnexpectedEOF", err)
			}
		})
	}
}

// Without a length the body ends with the connection, and over TLS only close_notify says that it ended there.
func TestDo_RefusesATLSReplyThatSomebodyCutShort(t *testing.T) {
	ca := newCA(t)
	host := tlsCertificate(ca.issue(t, "host/service.example.org", loopbackHost))
	for _, whole := range []bool{true, false} {
		target := rawServer(t, func(raw net.Conn, _ *bufio.Reader) {
			c := tls.Server(raw, &tls.Config{Certificates: []tls.Certificate{host}})
			readRequest(bufio.NewReader(c))
			io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\nhello")
			if whole {
				c.Close()
			}
		})
		target.URL.Scheme, target.Transport = "https", TLS
		_, body, err := doCall(newClient(t, Config{Trust: ca}), t.Context(), target, post("x"))
		if whole && (err != nil || body != "hello") {
			t.Errorf("got %q, error %v", body, err)
		}
		if !whole {
			wantError(t, err, OpRead, "close_notify")
		}
	}
}

func TestDo_SaysThatNoAnswerCame(t *testing.T) {
	ca := newCA(t)
	host := tlsCertificate(ca.issue(t, "host/service.example.org", loopbackHost))
	for name, end := range map[string]func(net.Conn){
		"closed":            func(net.Conn) {},
		"reset":             func(c net.Conn) { c.(*net.TCPConn).SetLinger(0) },
		"cut off below TLS": nil,
	} {
		t.Run(name, func(t *testing.T) {
			target := rawServer(t, func(raw net.Conn, r *bufio.Reader) {
				if end != nil {
					readRequest(r)
					end(raw)
					return
				}
				readRequest(bufio.NewReader(tls.Server(raw, &tls.Config{Certificates: []tls.Certificate{host}})))
			})
			if end == nil {
				target.URL.Scheme, target.Transport = "https", TLS
			}
			_, _, err := doCall(newClient(t, Config{Trust: ca}), t.Context(), target, post("x"))
			wantError(t, err, OpRead, "not sent again")
			if !errors.Is(err, ErrNoAnswer) {
				t.Errorf("%v is not ErrNoAnswer", err)
			}
		})
	}
}

func TestDo_RefusesRepliesBeyondTheLimits(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	big := strings.Repeat("x", 2000)
	bomb := zip(t, strings.Repeat("\x00", 1<<20))
	for name, response := range map[string]string{
		"a long field":       ok + "X: " + big + "\r\n\r\n",
		"many fields":        ok + strings.Repeat("X: y\r\n", 500) + "\r\n",
		"a long status line": "HTTP/1.1 200 " + big + "\r\n\r\n",
		"many informational": strings.Repeat("HTTP/1.1 100 "+big[:300]+"\r\n\r\n", 5) + ok + "\r\n",
		"a declared body":    ok + "Content-Length: 1001\r\n\r\n",
		"a body until close": ok + "\r\n" + big,
		"a chunked body":     ok + "Transfer-Encoding: chunked\r\n\r\n3e9\r\n" + big[:1001] + "\r\n0\r\n\r\n",
		"a long chunk line":  ok + "Transfer-Encoding: chunked\r\n\r\n5;" + big[:300] + "\r\nhello\r\n0\r\n\r\n",
		"a long trailer":     ok + "Transfer-Encoding: chunked\r\n\r\n0\r\nX: " + big + "\r\n\r\n",
		"a bomb":             fmt.Sprintf("%sContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", ok, len(bomb), bomb),
	} {
		t.Run(name, func(t *testing.T) {
			target := answering(t, response)
			target.Limits = Limits{Header: 1000, Body: 1000}
			if name == "a bomb" {
				target.Limits.Body = 1 << 19
			}
			_, body, err := doCall(newClient(t, Config{}), t.Context(), target, post("x"))
			wantError(t, err, OpRead, "larger than the limit")
			if !errors.Is(err, ErrTooLarge) || len(body) > int(target.Limits.Body) {
				t.Errorf("got %d bytes and %v", len(body), err)
			}
		})
	}
}

func TestDo_TakesRepliesAsServersSendThem(t *testing.T) {
	packed := zip(t, "hello")
	for name, response := range map[string]string{
		"with a length":           "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
		"in chunks":               "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
		"in padded chunks":        "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n005  \r\nhello\r\n0\r\n\r\n",
		"with chunk extensions":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=\"b\"\r\nhello\r\n0;c\r\nX-Sum: 1\r\n\r\n",
		"until the close":         "HTTP/1.1 200 OK\r\n\r\nhello",
		"in HTTP/1.0":             "HTTP/1.0 200 OK\r\n\r\nhello",
		"without a reason":        "HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello",
		"after 100 Continue":      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
		"compressed":              fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", len(packed), packed),
		"with tabs in fields":     "HTTP/1.1 200 OK\r\nX:\ta\tb \r\nContent-Length:5\r\n\r\nhello",
		"with a field in Latin-1": "HTTP/1.1 200 OK\r\nX: caf\xe9\r\nContent-Length: 5\r\n\r\nhello",
	} {
		t.Run(name, func(t *testing.T) {
			reply, body, err := doCall(newClient(t, Config{}), t.Context(), answering(t, response), post("x"))
			if err != nil || body != "hello" || reply.Status != 200 {
				t.Errorf("got %q, error %v", body, err)
			}
		})
	}
}

func TestDo_ReadsNoBodyWhereThereIsNone(t *testing.T) {
	for _, test := range []struct{ method, response string }{
		{"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Encoding: gzip\r\n\r\n"},
		{"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"},
		{"POST", "HTTP/1.1 204 No Content\r\n\r\n"},
		{"POST", "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"},
	} {
		_, body, err := doCall(newClient(t, Config{}), t.Context(), answering(t, test.response), &Request{Method: test.method})
		if err != nil || body != "" {
			t.Errorf("%s: got %q, error %v", test.response, body, err)
		}
	}
}

func TestDo_RefusesRedirects(t *testing.T) {
	for _, status := range []int{300, 301, 302, 303, 307, 308} {
		var calls int
		target := rawServer(t, func(c net.Conn, r *bufio.Reader) {
			for readRequest(r) != nil {
				calls++
				fmt.Fprintf(c, "HTTP/1.1 %d Moved\r\nLocation: http://elsewhere.example.org/?token=%s\r\nContent-Length: 0\r\n\r\n", status, strings.Repeat("a", 300))
			}
		})
		_, _, err := doCall(newClient(t, Config{}), t.Context(), target, post("x"))
		wantError(t, err, OpRedirect, `to "http://elsewhere.example.org/?token=`)
		if r := new(Redirect); !errors.As(err, &r) || r.Status != status || len(r.Location) != 256 || calls != 1 {
			t.Errorf("%d: %v after %d calls", status, err, calls)
		}
	}
}

// What we take, net/http takes too, and sees the same message in it: no second reader behind us is misled.
func FuzzReadHead(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.0 200 OK\r\n\r\nhello",
		"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n",
		"HTTP/1.1 204 No\r\n\r\n", "HTTP/1.1 500 x\r\nA: \tb c\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		limits := Limits{Header: 4096}
		r := bufio.NewReader(bytes.NewReader(data))
		h, err := readHead(r, "POST", limits.Header)
		if err != nil || h.length < 0 && strings.HasPrefix(string(data), "HTTP/1.1 1") {
			return
		}
		body, err := io.ReadAll(framedBody(r, h, limits))
		if err != nil {
			return
		}
		theirs := bufio.NewReader(bytes.NewReader(data))
		resp, err := http.ReadResponse(theirs, &http.Request{Method: "POST"})
		for err == nil && resp.StatusCode < 200 {
			resp, err = http.ReadResponse(theirs, &http.Request{Method: "POST"})
		}
		if err != nil {
			t.Fatalf("net/http refuses it: %v", err)
		}
		theirBody, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != h.status || !bytes.Equal(theirBody, body) {
			t.Fatalf("we see %d %q, net/http %d %q (%v)", h.status, body, resp.StatusCode, theirBody, err)
		}
	})
}

func zip(t *testing.T, s string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := io.WriteString(w, s)
	check(t, 0, errors.Join(err, w.Close()))
	return b.Bytes()
}
