package upstream

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// inBubble runs a call against a service on a pipe, in synthetic time, and returns how long it took and its error.
func inBubble(t *testing.T, edit func(*Target), r *Request, config Config, speak func(net.Conn, *bufio.Reader)) (took time.Duration, err error) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var services sync.WaitGroup
		defer services.Wait()
		defer cancel()
		if config.Dial == nil {
			config.Dial = func(context.Context, string, string) (net.Conn, error) {
				client, server := net.Pipe()
				services.Go(func() {
					speak(server, bufio.NewReader(server))
					<-ctx.Done()
					server.Close()
				})
				return client, nil
			}
		}
		target := &Target{URL: parseURL(t, "http://192.0.2.1/"), Transport: Plain}
		if edit != nil {
			edit(target)
		}
		start := time.Now()
		_, _, err = doCall(newClient(t, config), ctx, target, r)
		took = time.Since(start)
	})
	return took, err
}

func TestDo_BoundsEachLeg(t *testing.T) {
	forever := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	silent := func(net.Conn, *bufio.Reader) {}
	drip := func(s string, every time.Duration) func(net.Conn, *bufio.Reader) {
		return func(c net.Conn, r *bufio.Reader) {
			readRequest(r)
			for i := range s {
				if _, err := c.Write([]byte{s[i]}); err != nil {
					return
				}
				time.Sleep(every)
			}
		}
	}
	secured := func(t *Target) { t.URL.Scheme, t.Transport = "https", TLS }
	tests := []struct {
		name   string
		edit   func(*Target)
		config Config
		speak  func(net.Conn, *bufio.Reader)
		op     Op
		words  string
		after  time.Duration
	}{
		{"resolving", func(t *Target) { t.URL.Host = "service" }, Config{Resolver: stuck(forever)}, silent, OpResolve, "resolving the name took longer than 5s", 5 * time.Second},
		{"connecting", nil, Config{Dial: func(ctx context.Context, _, _ string) (net.Conn, error) { return nil, forever(ctx) }},
			silent, OpDial, "connecting took longer than 10s", 10 * time.Second},
		{"the handshake", secured, Config{}, silent, OpHandshake, "the handshake took longer than 15s", 15 * time.Second},
		{"the tunnel", func(t *Target) { secured(t); t.Proxy = &Proxy{URL: t.URL.JoinPath()}; t.Proxy.URL.Scheme = "http" },
			Config{}, silent, OpProxy, "took longer than 15s", 15 * time.Second},
		{"writing", nil, Config{}, silent, OpWrite, "a pause in sending the request took longer than 1m0s", 61 * time.Second},
		{"the header", nil, Config{}, func(_ net.Conn, r *bufio.Reader) { readRequest(r) }, OpRead, "the reply's header took longer than 2m0s", 2 * time.Minute},
		{"a header that drips", nil, Config{}, drip("HTTP/1.1 200 OK\r\n", 50*time.Second), OpRead, "the reply's header took longer than 2m0s", 2 * time.Minute},
		{"a pause in the body", nil, Config{}, func(c net.Conn, r *bufio.Reader) {
			readRequest(r)
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell")
		}, OpRead, "a pause in the reply's body took longer than 1m0s", time.Minute},
		{"a pause in the body, after a late end of the request", nil, Config{}, func(c net.Conn, r *bufio.Reader) {
			http.ReadRequest(r)
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell")
			io.Copy(io.Discard, io.LimitReader(r, 1<<20))
		}, OpRead, "a pause in the reply's body took longer than 1m0s", time.Minute},
		{"a body that drips", nil, Config{}, drip("HTTP/1.1 200 OK\r\n\r\n"+strings.Repeat("x", 1000), 5*time.Second),
			OpRead, "the whole call took longer than 15m0s", 15 * time.Minute},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			body := "hello"
			if strings.Contains(test.name, "late end") {
				body = strings.Repeat("x", 1<<20)
			}
			took, err := inBubble(t, test.edit, post(body), test.config, test.speak)
			e := wantError(t, err, test.op, test.words)
			if !e.Timeout() || took != test.after {
				t.Errorf("took %s, want %s; timeout: %t", took, test.after, e.Timeout())
			}
		})
	}
}

type stuck func(context.Context) error

func (s stuck) LookupNetIP(ctx context.Context, _, _ string) ([]netip.Addr, error) {
	return nil, s(ctx)
}

func TestDo_BoundsEachCallOnAReusedConnectionAnew(t *testing.T) {
	target := rawServer(t, func(c net.Conn, r *bufio.Reader) {
		readRequest(r)
		io.WriteString(c, keepAlive)
		readRequest(r)
		io.WriteString(c, strings.TrimSuffix(keepAlive, "o"))
		io.Copy(io.Discard, r)
	})
	c := newClient(t, Config{})
	if _, _, err := doCall(c, t.Context(), target, post("x")); err != nil {
		t.Fatal(err)
	}
	target.Timeouts.Progress = 30 * time.Millisecond
	_, _, err := doCall(c, t.Context(), target, post("x"))
	wantError(t, err, OpRead, "a pause in the reply's body took longer than 30ms")
}

// A long upload is no slow answer: the time for the header starts with the request's last byte.
func TestDo_LetsALongRequestTakeItsTime(t *testing.T) {
	request := &Request{Method: "POST", Body: io.LimitReader(zeros{}, 1<<20), Length: 1 << 20}
	took, err := inBubble(t, nil, request, Config{}, func(c net.Conn, r *bufio.Reader) {
		for range 64 {
			io.CopyN(io.Discard, r, 16<<10)
			time.Sleep(5 * time.Second)
		}
		go io.Copy(io.Discard, r)
		time.Sleep(time.Minute)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	})
	if err != nil || took < 5*time.Minute {
		t.Errorf("after %s: %v", took, err)
	}
}

func TestDo_StopsWhenTheCallerHangsUp(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
	for name, speak := range map[string]func(net.Conn, *bufio.Reader){
		"while the request is written": func(net.Conn, *bufio.Reader) {},
		"while it waits":               func(_ net.Conn, r *bufio.Reader) { readRequest(r) },
		"in the body":                  func(c net.Conn, r *bufio.Reader) { readRequest(r); io.WriteString(c, ok+"hell") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				closed := make(chan struct{})
				c := newClient(t, Config{Dial: func(context.Context, string, string) (net.Conn, error) {
					client, server := net.Pipe()
					go func() {
						speak(server, bufio.NewReader(server))
						io.Copy(io.Discard, server)
						close(closed)
					}()
					return client, nil
				}})
				ctx, cancel := context.WithCancel(t.Context())
				start := time.Now()
				time.AfterFunc(time.Second, cancel)
				target := &Target{URL: parseURL(t, "http://192.0.2.1/"), Transport: Plain}
				_, _, err := doCall(c, ctx, target, &Request{Method: "POST", Body: blocking{ctx, name}, Length: -1})
				if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "the caller hung up") {
					t.Errorf("got %v", err)
				}
				<-closed
				if took := time.Since(start); took != time.Second {
					t.Errorf("took %s", took)
				}
			})
		})
	}
}

// blocking is a body that ends at once, or with its context.
type blocking struct {
	ctx  context.Context
	name string
}

func (b blocking) Read([]byte) (int, error) {
	if strings.Contains(b.name, "written") {
		<-b.ctx.Done()
	}
	return 0, io.EOF
}

func TestPool_ClosesAConnectionThatIsIdleForTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pool{max: 3, perKey: 2, timeout: 30 * time.Second}
		client, server := net.Pipe()
		start := time.Now()
		p.put(&conn{Conn: client, raw: &wire{Conn: client}, r: bufio.NewReader(client)})
		io.Copy(io.Discard, server)
		if took := time.Since(start); took != 30*time.Second || len(p.idle) > 0 {
			t.Errorf("closed after %s, %d left", took, len(p.idle))
		}
	})
}
