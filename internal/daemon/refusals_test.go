package daemon

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"gsigw/internal/gridtest"
)

var refusals = flag.Int("refusals", 300, "how many messages of each kind TestRefusals has refused")

// refusal is a message that is refused.
type refusal struct {
	name, body string
	fields     []string // headers besides those of SOAP
	closes     bool     // the rest of the message is not read, so the connection ends
	reply      gridtest.Misbehaviour
}

const limitOfMessage = 1 << 20

func refusedMessages() []refusal {
	inBody := func(text string) string {
		return strings.Replace(createCounter, "<createCounter", text+"<createCounter", 1)
	}
	tooMuch := inBody(strings.Repeat("<a/>", limitOfMessage/2))
	return []refusal{
		{name: "cut short", body: createCounter[:100]},
		{name: "nothing"},
		{name: "no XML", body: strings.Repeat("x", 10_000)},
		{name: "a DTD", body: `<!DOCTYPE a [<!ENTITY a "b">]>` + createCounter},
		{name: "an entity", body: inBody("&a;")},
		{name: "too deep", body: inBody(strings.Repeat("<a>", 10_000))},
		{name: "too many attributes", body: inBody("<a " + strings.Repeat(`a="" `, 1000) + "/>")},
		{name: "too many names", body: inBody("<a " + manyNames(1000) + "/>")},
		{name: "another encoding", body: `<?xml version="1.0" encoding="UTF-16"?>` + createCounter},
		{name: "no SOAP", body: createCounter, fields: []string{"Content-Type", "text/plain"}},
		{name: "not packed as it says", body: createCounter, fields: []string{"Content-Encoding", "gzip"}},
		{name: "a packing that nobody knows", body: createCounter, fields: []string{"Content-Encoding", "br"}},
		{name: "too big, packed", body: packed(tooMuch), fields: []string{"Content-Encoding", "gzip"}},
		{name: "too big", body: tooMuch, closes: true},
		{name: "an operation's header that the engine secured", body: strings.Replace(createCounter, "<e:Body", `<e:Header><w:Security xmlns:w="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"/></e:Header><e:Body`, 1)},
		{name: "a reply that was changed", body: createCounter, reply: gridtest.TamperBody},
		{name: "a reply without signature", body: createCounter, reply: gridtest.DropSignature},
		{name: "a reply of another signer", body: createCounter, reply: gridtest.OtherSigner},
		{name: "a reply that is none", body: createCounter, reply: gridtest.Garbage},
	}
}

func manyNames(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `xmlns:n%d="urn:n%[1]d" `, i)
	}
	return b.String()
}

func packed(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	io.WriteString(z, text)
	z.Close()
	return b.String()
}

// engineConn is one connection of an engine, kept for one message after another.
type engineConn struct {
	net.Conn
	t       *testing.T
	target  string
	replies *bufio.Reader
}

func (b *bench) connect(t *testing.T) *engineConn {
	t.Helper()
	c := gridtest.Must(net.Dial("tcp", b.daemon.Addr("proxy").String()))
	t.Cleanup(func() { c.Close() })
	return &engineConn{c, t, strings.Replace(b.service.URL(), "https", "http", 1), bufio.NewReader(c)}
}

// send gives the status, and whether the connection goes on.
func (c *engineConn) send(m refusal) (status int, goesOn bool) {
	c.t.Helper()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	r := gridtest.Must(http.NewRequest("POST", c.target, strings.NewReader(m.body)))
	r.Header.Set("Content-Type", "text/xml; charset=utf-8")
	r.Header.Set("SOAPAction", `"http://counter.com/CounterPortType/createCounterRequest"`)
	for i := 0; i+1 < len(m.fields); i += 2 {
		r.Header.Set(m.fields[i], m.fields[i+1])
	}
	if err := r.WriteProxy(c); err != nil && !m.closes { // what is not read may not be taken either
		c.t.Fatalf("%s: %v", m.name, err)
	}
	reply, err := http.ReadResponse(c.replies, r)
	if err != nil {
		c.t.Fatalf("%s: %v", m.name, err)
	}
	defer reply.Body.Close()
	if _, err := io.Copy(io.Discard, reply.Body); err != nil {
		c.t.Fatalf("%s: %v", m.name, err)
	}
	return reply.StatusCode, !reply.Close
}

// After a refusal the engine's connection goes on, but where the message was not read to its end; and nothing of it
// stays, neither memory nor goroutines nor files.
func TestRefusals_LeaveConnectionAndMemoryAsTheyWere(t *testing.T) {
	b := newBench(t, gridtest.StandInOptions{})
	config := gridtest.Must(os.ReadFile(b.file()))
	b.configure(string(config) + fmt.Sprintf("limits: {message: %dKiB}\n", limitOfMessage>>10))
	b.start()
	good := refusal{name: "a good message", body: createCounter}
	for _, m := range refusedMessages() {
		t.Run(m.name, func(t *testing.T) {
			b.service.Misbehave(m.reply)
			c := b.connect(t)
			var before footprint
			times := *refusals
			if m.reply != "" || len(m.body) > limitOfMessage {
				times /= 10
			}
			for i := range 2 * times {
				if i == times {
					before = b.footprint(t)
				}
				status, goesOn := c.send(m)
				if status < 400 {
					t.Fatalf("answer %d", status)
				}
				if goesOn == m.closes {
					t.Fatalf("the connection goes on: %v", goesOn)
				}
				if m.closes {
					c.Close()
					c = b.connect(t)
				}
			}
			b.settles(t, before, times)
			b.service.Misbehave("")
			if status, _ := c.send(good); status != http.StatusOK {
				t.Errorf("a good message on the same connection: %d\n%s", status, b.log)
			}
		})
	}
}

// footprint is what a process has.
type footprint struct {
	heap              int64
	goroutines, files int
}

func (b *bench) footprint(t *testing.T) footprint {
	t.Helper()
	b.log.mu.Lock()
	b.log.text = bytes.Buffer{} // the test's own
	b.log.mu.Unlock()
	runtime.GC()
	runtime.GC() // what finalizers let go
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Log("files are not counted:", err)
	}
	return footprint{int64(m.HeapAlloc), runtime.NumGoroutine(), len(files)}
}

// settles wants the process as it was, give or take what connections come and go meanwhile; net/http waits half a second
// before it lets one go whose peer may still be sending.
func (b *bench) settles(t *testing.T, before footprint, times int) {
	t.Helper()
	late := time.After(10 * time.Second)
	for again := time.Tick(50 * time.Millisecond); ; <-again {
		now := b.footprint(t)
		if now.heap < before.heap+256<<10 && now.goroutines <= before.goroutines+4 && now.files <= before.files+4 {
			t.Logf("%d messages: %+v became %+v", times, before, now)
			return
		}
		select {
		case <-late:
			t.Fatalf("%d messages: %+v became %+v", times, before, now)
		default:
		}
	}
}
