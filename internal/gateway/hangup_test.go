package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"gsigw/internal/gridtest"
	"gsigw/internal/intercept"
	"gsigw/soap"
)

// listen puts the gateway behind a listener of its own. What is sent there is over when the test is.
func (b *bench) listen(t *testing.T) (addr string, over chan struct{}) {
	t.Helper()
	over = make(chan struct{}, 1)
	ln := gridtest.Must(net.Listen("tcp", "127.0.0.1:0"))
	server, err := intercept.New(ln, intercept.Config{
		Gateway: telling{b.gateway, over}, Forward: true,
		Callers: []intercept.CallerRule{{Name: "engine", UID: new(uint32(os.Geteuid()))}},
		Limits:  intercept.Limits{Body: b.limits.Message.MessageBytes}, // as the daemon has it
	})
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() { server.Serve(t.Context()) })
	t.Cleanup(running.Wait)
	return ln.Addr().String(), over
}

// telling tells when an exchange is over.
type telling struct {
	*Gateway
	over chan struct{}
}

func (g telling) Serve(w http.ResponseWriter, r *http.Request, call intercept.Call) {
	g.Gateway.Serve(w, r, call)
	g.over <- struct{}{}
}

// half answers with the first half of a signed reply, and hangs up.
func half(b *bench) {
	large(b)
	b.service.answer = func(w http.ResponseWriter, r *http.Request, body []byte) {
		reply := b.service.reply(body)
		w.Header().Set("Content-Type", soap.V11.ContentType())
		w.Header().Set("Content-Length", fmt.Sprint(len(reply)))
		w.Write(reply[:len(reply)/2])
		panic(http.ErrAbortHandler)
	}
}

// stalled answers with the first half of a reply, and no more until the gateway hangs up.
func stalled(b *bench) {
	large(b)
	b.service.answer = func(w http.ResponseWriter, r *http.Request, body []byte) {
		reply := b.service.reply(body)
		w.Header().Set("Content-Type", soap.V11.ContentType())
		w.Header().Set("Content-Length", fmt.Sprint(len(reply)))
		w.Write(reply[:len(reply)/2])
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
}

// Over real connections: whoever hangs up, and when, the exchange ends, is recorded as what it was, and holds nothing.
func TestExchange_EndsWhoeverHangsUp(t *testing.T) {
	request := strings.Replace(add11, ">10<", ">"+many+"<", 1)
	for name, c := range map[string]struct {
		knobs  []knob
		body   string // as it goes over the wire
		fields string
		read   int    // bytes of the answer that the engine reads; -1 for all
		want   string // in the answer
		result string
	}{
		"engine, in its message":      {nil, request[:1<<20], fmt.Sprintf("Content-Length: %d\r\n", len(request)), 0, "", resultHungUp},
		"engine, in a chunk":          {nil, "100000\r\n" + request[:1<<19], "Transfer-Encoding: chunked\r\n", 0, "", resultHungUp},
		"engine, in the answer":       {[]knob{large}, request, fmt.Sprintf("Content-Length: %d\r\n", len(request)), 1000, "200 OK", resultHungUp},
		"engine, before the answer":   {[]knob{stalled}, request, fmt.Sprintf("Content-Length: %d\r\n", len(request)), 0, "", resultHungUp},
		"service, in the answer":      {[]knob{half}, request, fmt.Sprintf("Content-Length: %d\r\n", len(request)), -1, "500 Internal", resultUnreachable},
		"nobody, the service stalls":  {[]knob{stalled, func(b *bench) { b.route.Timeouts.Progress = 200 * time.Millisecond }}, request, fmt.Sprintf("Content-Length: %d\r\n", len(request)), -1, "took too long", resultTimeout},
		"nobody, a message too large": {nil, "", "Content-Length: 1000000000000\r\n", -1, "413 ", resultMalformed},
		"nobody, chunks without end":  {[]knob{func(b *bench) { b.limits.Message.MessageBytes = 1 << 20 }}, strings.Repeat("10000\r\n"+strings.Repeat("x", 1<<16)+"\r\n", 17), "Transfer-Encoding: chunked\r\n", -1, "413 ", resultMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, c.knobs...)
			addr, over := b.listen(t)
			engine := gridtest.Must(net.Dial("tcp", addr))
			defer engine.Close()
			fmt.Fprintf(engine, "POST %s/wsrf/services/CounterService HTTP/1.1\r\nHost: %s\r\nContent-Type: text/xml\r\nSOAPAction: %q\r\n%s\r\n", b.service.URL, b.service.Listener.Addr(), addAction, c.fields)
			io.WriteString(engine, c.body)
			if c.read != 0 {
				n := c.read
				if n < 0 {
					n = 1 << 30
				}
				engine.(*net.TCPConn).SetReadBuffer(4 << 10)
				got := make([]byte, min(n, 4000))
				k, _ := io.ReadAtLeast(bufio.NewReader(engine), got, min(n, 500))
				if !strings.Contains(string(got[:k]), c.want) {
					t.Errorf("answer %s", got[:k])
				}
			}
			engine.Close()
			<-over
			b.isEmpty()
			if log := b.log.String(); !strings.Contains(log, `"result":"`+c.result+`"`) {
				t.Errorf("not recorded as %s: %s", c.result, log)
			}
		})
	}
}
