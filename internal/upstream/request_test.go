package upstream

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
)

// sent returns the bytes that a call puts on the wire.
func sent(t *testing.T, edit func(*Target), r *Request) string {
	t.Helper()
	got := make(chan string, 1)
	target := rawServer(t, func(c net.Conn, br *bufio.Reader) {
		var b strings.Builder
		readRequest(bufio.NewReader(io.TeeReader(br, &b)))
		got <- b.String()
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	})
	target.URL = parseURL(t, target.URL.String()+"?wsdl&a=b%20c#fragment")
	host := target.URL.Host
	if edit != nil {
		edit(target)
	}
	if _, _, err := doCall(newClient(t, Config{}), t.Context(), target, r); err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(<-got, host, "HOST")
}

func TestDo_WritesRequests(t *testing.T) {
	header := http.Header{"SOAPAction": {`"add"`}, "Content-Type": {"text/xml; charset=utf-8"}}
	tests := []struct {
		name string
		edit func(*Target)
		r    *Request
		want string
	}{
		{"with a length", nil, &Request{Method: "POST", Header: header, Body: strings.NewReader("hello"), Length: 5},
			"POST /service?wsdl&a=b%20c HTTP/1.1\r\nHost: HOST\r\nContent-Type: text/xml; charset=utf-8\r\nSOAPAction: \"add\"\r\n" +
				"Accept-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello"},
		{"in chunks", nil, &Request{Method: "POST", Body: iotest.HalfReader(strings.NewReader("hello")), Length: -1},
			"POST /service?wsdl&a=b%20c HTTP/1.1\r\nHost: HOST\r\nAccept-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n" +
				"5\r\nhello\r\n0\r\n\r\n"},
		{"without a body", nil, &Request{Method: "GET"}, "GET /service?wsdl&a=b%20c HTTP/1.1\r\nHost: HOST\r\nAccept-Encoding: identity\r\n\r\n"},
		{"with an empty body", func(t *Target) { t.Gzip = true }, &Request{Method: "POST"},
			"POST /service?wsdl&a=b%20c HTTP/1.1\r\nHost: HOST\r\nAccept-Encoding: gzip\r\nContent-Length: 0\r\n\r\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := sent(t, test.edit, test.r); got != test.want {
				t.Errorf("sent\n%q\nwant\n%q", got, test.want)
			}
		})
	}
}

func TestDo_RefusesRequestsThatCannotBeFramed(t *testing.T) {
	field := func(name, value string) *Request {
		return &Request{Method: "POST", Header: http.Header{name: {value}}}
	}
	tests := []struct {
		name, url string
		r         *Request
		words     string
	}{
		{"a length of the caller's", "http://h/", field("Content-Length", "5"), "dialler's own"},
		{"a transfer coding of the caller's", "http://h/", field("transfer-encoding", "chunked"), "dialler's own"},
		{"a host of the caller's", "http://h/", field("Host", "other"), "dialler's own"},
		{"a proxy secret", "http://h/", field("Proxy-Authorization", "Basic x"), "dialler's own"},
		{"an expectation", "http://h/", field("Expect", "100-continue"), "dialler's own"},
		{"a line break in a value", "http://h/", field("SOAPAction", "a\r\nHost: b"), "control character"},
		{"a line break in a name", "http://h/", field("A\r\nB", "c"), "cannot be sent"},
		{"a space in the method", "http://h/", &Request{Method: "POST / HTTP/1.1"}, "cannot be sent"},
		{"no method", "http://h/", &Request{}, "cannot be sent"},
		{"a tunnel", "http://h/", &Request{Method: "CONNECT"}, "cannot be sent"},
		{"a space in the query", "http://h/?a b", &Request{Method: "GET"}, "escape it"},
		{"a host beyond ASCII", "http://hést/", &Request{Method: "GET"}, "ASCII"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			target := &Target{URL: parseURL(t, test.url), Transport: Plain}
			_, err := newClient(t, Config{Resolver: names{}}).Do(t.Context(), target, test.r)
			wantError(t, err, OpTarget, test.words)
		})
	}
}

// Half a message must not look like a whole one, and a message must not run over its length.
func TestDo_FailsWhereTheBodyIsNotAsAnnounced(t *testing.T) {
	broken := errors.New("spool file lost")
	for name, test := range map[string]struct {
		r     *Request
		words string
	}{
		"shorter":         {&Request{Method: "POST", Body: strings.NewReader("hell"), Length: 5}, "not as long"},
		"longer":          {&Request{Method: "POST", Body: strings.NewReader("hello!"), Length: 5}, "not as long"},
		"lost":            {&Request{Method: "POST", Body: iotest.ErrReader(broken), Length: 5}, "spool file lost"},
		"lost, in chunks": {&Request{Method: "POST", Body: io.MultiReader(strings.NewReader("he"), iotest.ErrReader(broken)), Length: -1}, "spool file lost"},
	} {
		t.Run(name, func(t *testing.T) {
			whole := make(chan bool, 1)
			target := rawServer(t, func(c net.Conn, r *bufio.Reader) {
				req, err := http.ReadRequest(r)
				if err == nil {
					_, err = io.ReadAll(req.Body)
				}
				whole <- err == nil
			})
			_, _, err := doCall(newClient(t, Config{}), t.Context(), target, test.r)
			wantError(t, err, OpWrite, test.words)
			if <-whole {
				t.Error("the service took the request for a whole one")
			}
		})
	}
}

// A service that refuses a large request mostly answers and closes before it has read it.
func TestDo_HearsAnAnswerGivenBeforeTheRequestsEnd(t *testing.T) {
	target := rawServer(t, func(c net.Conn, r *bufio.Reader) {
		http.ReadRequest(r)
		io.WriteString(c, "HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\n\r\nhello")
		io.Copy(io.Discard, io.LimitReader(r, 1<<20))
	})
	body := io.LimitReader(zeros{}, 64<<20)
	c := newClient(t, Config{})
	reply, text, err := doCall(c, t.Context(), target, &Request{Method: "POST", Body: body, Length: 64 << 20})
	if err != nil || reply.Status != 413 || text != "hello" {
		t.Errorf("got %v %q, error %v", reply, text, err)
	}
	if len(c.pool.idle) > 0 {
		t.Error("a connection with half a request on it was kept")
	}
}

// Breaking off the request is our doing, and not what went wrong.
func TestDo_SaysWhatWasWrongWithAnEarlyAnswer(t *testing.T) {
	for words, response := range map[string]string{
		"larger than the limit": "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
		"more than once":        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
		"redirect refused":      "HTTP/1.1 307 Elsewhere\r\nContent-Length: 0\r\n\r\n",
	} {
		target := rawServer(t, func(c net.Conn, r *bufio.Reader) {
			http.ReadRequest(r)
			io.WriteString(c, response)
			io.Copy(io.Discard, r)
		})
		slow := iotest.OneByteReader(io.LimitReader(zeros{}, 64<<20))
		_, _, err := doCall(newClient(t, Config{}), t.Context(), target, &Request{Method: "POST", Body: slow, Length: 64 << 20})
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("got %v, want %q", err, words)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
