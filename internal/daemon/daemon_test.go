package daemon

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
	"gsigw/soap"
	"gsigw/trust"
)

// bench is a running daemon between an engine and a stand-in for GT4.
type bench struct {
	t       *testing.T
	dir     string
	pki     *gridtest.PKI
	service *gridtest.StandIn
	log     *logLines
	daemon  *Daemon
	engine  *http.Client
	ended   chan error
	stop    context.CancelFunc
}

// logLines lets a test wait for a record.
type logLines struct {
	mu    sync.Mutex
	text  bytes.Buffer
	wrote chan struct{}
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case l.wrote <- struct{}{}:
	default:
	}
	return l.text.Write(p)
}

func (l *logLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// wait waits until the log holds the words so many times.
func (l *logLines) wait(t *testing.T, words string, times int) {
	t.Helper()
	late := time.After(10 * time.Second)
	for strings.Count(l.String(), words) < times {
		select {
		case <-l.wrote:
		case <-late:
			t.Fatalf("the log does not say %q %d times:\n%s", words, times, l)
		}
	}
}

const benchConfig = `
listen: {proxy: "127.0.0.1:0", admin: "127.0.0.1:0"}
trust: {dir: certificates}
credentials:
  jane: {proxy: proxy.pem}
timeouts: {shutdown: 5s}
routes:
  counter: {target: "%s", upgrade: true, loopback: true, for: gt4, message: gsi-message}
`

// newBench makes everything but the daemon.
func newBench(t *testing.T, o gridtest.StandInOptions) *bench {
	t.Helper()
	b := &bench{t: t, dir: t.TempDir(), log: &logLines{wrote: make(chan struct{}, 1)}}
	b.pki = gridtest.Must(gridtest.NewPKI(b.dir, gridtest.PKIOptions{}))
	gridtest.Must(b.pki.WriteProxy("proxy.pem", gridtest.Must(b.pki.Proxy(gsi.Limits{}))))
	o.Host, o.Other, o.TLS = b.pki.Host, b.pki.User, true
	o.Trust = gridtest.Must(trust.Open(b.pki.TrustDir, trust.Options{}))
	b.service = gridtest.Must(gridtest.StartStandIn(o))
	t.Cleanup(func() { b.service.Close() })
	b.configure(fmt.Sprintf(benchConfig, b.service.URL()))
	return b
}

func (b *bench) file() string { return filepath.Join(b.dir, "gsigw.yaml") }

func (b *bench) configure(text string) {
	b.t.Helper()
	if err := os.WriteFile(b.file(), []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// start runs the daemon until the test ends.
func (b *bench) start() *bench {
	b.t.Helper()
	d, err := New(Options{File: b.file(), LogTo: b.log, Version: "test"})
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.t.Context())
	b.daemon, b.stop, b.ended = d, stop, make(chan error, 1)
	go func() { b.ended <- d.Run(ctx) }()
	b.t.Cleanup(func() {
		stop()
		if err := <-b.ended; err != nil {
			b.t.Error(err)
		}
	})
	proxy := &url.URL{Scheme: "http", Host: d.Addr("proxy").String()}
	transport := &http.Transport{Proxy: http.ProxyURL(proxy)}
	b.t.Cleanup(transport.CloseIdleConnections)
	b.engine = &http.Client{Transport: transport, Timeout: 20 * time.Second}
	return b
}

const createCounter = `<e:Envelope xmlns:e="` + soap.Envelope11 + `"><e:Body><createCounter xmlns="http://counter.com"/></e:Body></e:Envelope>`

// post sends plain SOAP as an engine would.
func (b *bench) post(body string) (int, string) {
	b.t.Helper()
	r := gridtest.Must(http.NewRequest("POST", strings.Replace(b.service.URL(), "https", "http", 1), strings.NewReader(body)))
	r.Header.Set("Content-Type", "text/xml; charset=utf-8")
	r.Header.Set("SOAPAction", `"http://counter.com/CounterPortType/createCounterRequest"`)
	reply, err := b.engine.Do(r)
	if err != nil {
		b.t.Error(err)
		return 0, ""
	}
	defer reply.Body.Close()
	return reply.StatusCode, string(gridtest.Must(io.ReadAll(reply.Body)))
}

// get asks the admin listener.
func (b *bench) get(path string) (int, string) {
	b.t.Helper()
	reply, err := http.Get("http://" + b.daemon.Addr("admin").String() + path)
	if err != nil {
		b.t.Fatal(err)
	}
	defer reply.Body.Close()
	return reply.StatusCode, string(gridtest.Must(io.ReadAll(reply.Body)))
}

func (b *bench) works() bool {
	b.t.Helper()
	status, reply := b.post(createCounter)
	return status == http.StatusOK && strings.Contains(reply, "CounterKey") && !strings.Contains(reply, "Signature")
}

func TestRun_CarriesAnEnginesPlainCallAsTheUser(t *testing.T) { // T01 T04 T13 T14
	var signer string
	b := newBench(t, gridtest.StandInOptions{Seen: func(s gridtest.Seen) { signer = s.Signer }}).start()
	if status, reply := b.post(createCounter); status != http.StatusOK || !strings.Contains(reply, "CounterKey") {
		t.Fatalf("%d %s\n%s", status, reply, b.log)
	}
	if signer != gridtest.UserName {
		t.Errorf("the service saw %q", signer)
	}
}

func TestRun_GivesFaultForEveryMisbehaviour(t *testing.T) {
	b := newBench(t, gridtest.StandInOptions{}).start()
	if !b.works() {
		t.Fatal(b.log)
	}
	for _, m := range []gridtest.Misbehaviour{
		gridtest.TamperBody, gridtest.TamperHeader, gridtest.DropSignature, gridtest.WrongRelatesTo, gridtest.StaleTimestamp,
		gridtest.OtherSigner, gridtest.ReplayReply, gridtest.WrapBody, gridtest.Garbage, gridtest.Redirect, gridtest.HangUp,
	} {
		b.service.Misbehave(m)
		if status, reply := b.post(createCounter); status < 500 || strings.Contains(reply, "CounterKey") || !strings.Contains(reply, "Fault") {
			t.Errorf("%s: %d %s", m, status, reply)
		}
	}
	b.service.Misbehave(gridtest.AddHeader)
	if status, reply := b.post(createCounter); status != http.StatusOK || strings.Contains(reply, "evil") {
		t.Errorf("an unsigned header was passed on: %d %s", status, reply)
	}
}

func TestRun_AdminSaysReady(t *testing.T) {
	b := newBench(t, gridtest.StandInOptions{}).start()
	if status, text := b.get("/readyz"); status != http.StatusOK {
		t.Error(status, text)
	}
	b.works()
	if _, text := b.get("/metrics"); !strings.Contains(text, `gsigw_soap_messages_total{direction="reply"`) || !strings.Contains(text, "gsigw_trust_anchor_expiry") {
		t.Error(text)
	}
}

func TestRun_LetsCallsUnderWayEnd(t *testing.T) {
	arrived, release := make(chan bool), make(chan bool)
	b := newBench(t, gridtest.StandInOptions{Seen: func(gridtest.Seen) { arrived <- true; <-release }}).start()
	done := make(chan int)
	go func() { status, _ := b.post(createCounter); done <- status }()
	<-arrived
	b.stop()
	b.log.wait(t, "stopping", 1)
	close(release)
	if status := <-done; status != http.StatusOK {
		t.Errorf("the call under way got %d", status)
	}
}

func TestNew_GivesListenersUpWhenTheConfigCannotBeWired(t *testing.T) {
	b := newBench(t, gridtest.StandInOptions{})
	ln := gridtest.Must(net.Listen("tcp", "127.0.0.1:0"))
	addr := ln.Addr().String()
	ln.Close()
	for setting, want := range map[string]string{
		"trust: {dir: certificates}\nca: {dir: .}":                        "gsigw ca init",
		"trust: {dir: certificates}\ncredentials: {jane: {pkcs12: x}}\n#": "passphrase-file",
	} {
		os.WriteFile(filepath.Join(b.dir, "x"), nil, 0o600)
		text := strings.Replace(fmt.Sprintf(benchConfig, b.service.URL()), "127.0.0.1:0", addr, 1)
		text = strings.Replace(text, "trust: {dir: certificates}\n", setting+"\n", 1)
		if strings.HasPrefix(setting, "trust: {dir: certificates}\ncred") {
			text = strings.Replace(text, "credentials:\n  jane: {proxy: proxy.pem}\n", "", 1)
		}
		b.configure(text)
		if _, err := New(Options{File: b.file()}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", setting, err)
		}
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatalf("%s: the listener is still open: %v", setting, err)
		}
		ln.Close()
	}
}
