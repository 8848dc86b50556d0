package gateway

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
	"gsigw/internal/intercept"
	"gsigw/internal/policy"
	"gsigw/internal/session"
	"gsigw/internal/upstream"
	"gsigw/soap"
	"gsigw/soap/spool"
	"gsigw/soap/xmlscan"
	"gsigw/trust"
	"gsigw/wssec"
)

// What the engine sends, unless a test says otherwise.
const (
	addAction = "http://counter.com/CounterPortType/addRequest"
	add11     = `<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body><c:add xmlns:c="http://counter.com">10</c:add></soapenv:Body></soapenv:Envelope>`
	add12     = `<e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope"><e:Body><c:add xmlns:c="http://counter.com">10</c:add></e:Body></e:Envelope>`
	sum11     = `<c:addResponse xmlns:c="http://counter.com">17</c:addResponse>`
	fault11   = `<soapenv:Fault><faultcode>soapenv:Server.userException</faultcode><faultstring>no such counter</faultstring></soapenv:Fault>`
)

// bench is a gateway between an engine and a service.
type bench struct {
	t       testing.TB
	gateway *Gateway
	pki     *gridtest.PKI
	store   *trust.Store
	service *service
	route   policy.Route
	source  gsi.Source
	log     *lockedBuffer
	counted *tally
	limits  Limits
	spool   *spool.Pool
	now     func() time.Time
}

// knobs turn a bench before it is built.
type knob func(*bench)

func newBench(t testing.TB, knobs ...knob) *bench {
	t.Helper()
	pki := gridtest.Must(gridtest.NewPKI(t.TempDir(), gridtest.PKIOptions{}))
	b := &bench{
		t: t, pki: pki, store: gridtest.Must(trust.Open(pki.TrustDir, trust.Options{})),
		source: gsi.Static(gridtest.Must(pki.Proxy(gsi.Limits{Lifetime: time.Hour}))),
		log:    &lockedBuffer{}, counted: &tally{}, now: time.Now,
	}
	b.spool = &spool.Pool{Dir: t.TempDir(), Threshold: 1 << 10} // signed messages lie in files, plain ones in memory
	b.service = &service{bench: b, signer: pki.Host, host: pki.Host, inner: sum11}
	b.route = policy.Route{Name: "counter", Message: policy.MessageGSI, Addressing: policy.Addressing200508, AllowLoopback: true}
	for _, k := range knobs {
		k(b)
	}
	b.service.start(b.route.Transport)
	b.route.Target = gridtest.Must(policy.ParseTarget(b.service.URL + "/wsrf/services/*"))
	var err error
	b.gateway, err = New(Config{
		Log: slog.New(slog.NewJSONHandler(b.log, nil)), Observer: b.counted, Replay: wssec.NewReplayCache(0, b.now), Now: b.now,
		Spool: b.spool,
	}, b.state())
	if err != nil {
		t.Fatal(err)
	}
	b.gateway.newID = func() string { return "EXCHANGE" }
	t.Cleanup(b.isEmpty)
	return b
}

// isEmpty is after every test: whatever became of an exchange, nothing of it is held.
func (b *bench) isEmpty() {
	if memory, files := b.spool.Held(); memory != 0 || files != 0 {
		b.t.Errorf("%d bytes and %d files are held when all is over", memory, files)
	}
}

func (b *bench) state() *State {
	b.t.Helper()
	client := upstream.New(upstream.Config{Trust: b.store})
	return &State{
		Policy:   gridtest.Must(policy.New([]policy.Route{b.route}, nil)),
		Sessions: gridtest.Must(session.NewTable([]session.Entry{{Caller: "engine", Own: b.source}})),
		Limits:   b.limits,
		Reach:    func(*policy.Route) Reach { return Reach{Upstream: client, Trust: b.store} },
	}
}

// none turns message security off, over a transport.
func none(transport policy.Transport) knob {
	return func(b *bench) {
		b.route.Message, b.route.Transport, b.route.Addressing = policy.MessageNone, transport, policy.AddressingKeep
	}
}

func over(transport policy.Transport) knob { return func(b *bench) { b.route.Transport = transport } }

// answering makes the service answer with something of the test's own.
func answering(status int, contentType, body string) knob {
	return func(b *bench) {
		b.service.answer = func(w http.ResponseWriter, _ *http.Request, _ []byte) {
			if contentType != "" {
				w.Header().Set("Content-Type", contentType)
			}
			w.WriteHeader(status)
			io.WriteString(w, body)
		}
	}
}

// service is a counter that signs its replies. It keeps what it got.
type service struct {
	*httptest.Server
	bench  *bench
	signer *gsi.Credential
	host   *gsi.Credential // at the other end of TLS
	inner  string          // the content of Body
	header string          // header blocks beside the addressing ones, signed
	status int
	fields http.Header
	tamper func([]byte) []byte                              // between the service and us
	answer func(http.ResponseWriter, *http.Request, []byte) // instead of all that

	mu   sync.Mutex
	seen []seen
}

type seen struct {
	method, path string
	header       http.Header
	body         string
	peers        int // certificates that the client showed
}

func (s *service) start(transport policy.Transport) {
	s.Server = httptest.NewUnstartedServer(s)
	s.bench.t.Cleanup(s.Server.Close)
	if transport == policy.TransportNone {
		s.Server.Start()
		return
	}
	shown := tls.Certificate{PrivateKey: s.host.Key}
	for _, cert := range s.host.Chain {
		shown.Certificate = append(shown.Certificate, cert.Raw)
	}
	s.TLS = &tls.Config{Certificates: []tls.Certificate{shown}}
	if transport == policy.TransportGSI {
		s.TLS.ClientAuth = tls.RequireAnyClientCert
	}
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.StartTLS()
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	got := seen{method: r.Method, path: r.URL.RequestURI(), header: r.Header, body: string(body)}
	if r.TLS != nil {
		got.peers = len(r.TLS.PeerCertificates)
	}
	s.mu.Lock()
	s.seen = append(s.seen, got)
	s.mu.Unlock()
	if s.answer != nil {
		s.answer(w, r, body)
		return
	}
	reply := s.reply(body)
	for name, values := range s.fields {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", soap.V11.ContentType())
	if s.status != 0 {
		w.WriteHeader(s.status)
	}
	w.Write(reply)
}

// reply answers a request, signed.
func (s *service) reply(request []byte) []byte {
	in, err := soap.Read(xmlscan.Memory(request), soap.Limits{})
	if err != nil {
		return []byte(err.Error())
	}
	plain := fmt.Appendf(nil, `<soapenv:Envelope xmlns:soapenv="%s"><soapenv:Header>`+
		`<w:MessageID xmlns:w="%[2]s">urn:uuid:reply-%[3]s</w:MessageID><w:Action xmlns:w="%[2]s">urn:reply</w:Action>`+
		`<w:RelatesTo xmlns:w="%[2]s">%[3]s</w:RelatesTo>%[4]s</soapenv:Header><soapenv:Body>%[5]s</soapenv:Body></soapenv:Envelope>`,
		soap.Envelope11, soap.Addressing200508, in.Addressing.MessageID, s.header, s.inner)
	m := gridtest.Must(soap.Read(xmlscan.Memory(plain), soap.Limits{}))
	p := &wssec.GSIMessage{Now: s.bench.now, Unanswered: true}
	edit, _, err := p.Secure(context.Background(), m, s.signer)
	if err != nil {
		return []byte(err.Error())
	}
	out := gridtest.Must(io.ReadAll(edit.Reader()))
	if s.tamper != nil {
		out = s.tamper(out)
	}
	return out
}

// only gives the one request that the service got.
func (s *service) only() seen {
	s.bench.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.seen) != 1 {
		s.bench.t.Fatalf("the service got %d requests, want 1", len(s.seen))
	}
	return s.seen[0]
}

func (s *service) untouched() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.seen) == 0
}

// post sends as an engine does, through the forward proxy.
func (b *bench) post(body string, fields ...string) *httptest.ResponseRecorder {
	b.t.Helper()
	return b.do(b.request(body, fields...))
}

func (b *bench) request(body string, fields ...string) *http.Request {
	r := httptest.NewRequest("POST", b.service.URL+"/wsrf/services/CounterService", strings.NewReader(body))
	r.Header.Set("Content-Type", "text/xml; charset=utf-8")
	r.Header.Set("SOAPAction", `"`+addAction+`"`)
	for i := 0; i+1 < len(fields); i += 2 {
		if r.Header.Del(fields[i]); fields[i+1] != "" {
			r.Header.Set(fields[i], fields[i+1])
		}
	}
	return r
}

func (b *bench) do(r *http.Request) *httptest.ResponseRecorder {
	b.t.Helper()
	w := httptest.NewRecorder()
	b.gateway.Serve(w, r, b.callOf(r.URL))
	return w
}

func (b *bench) callOf(u *url.URL) intercept.Call {
	form := intercept.Forward
	if u.Scheme == "https" {
		form = intercept.Connect
	}
	return intercept.Call{Form: form, Caller: intercept.Caller{Name: "engine", How: "uid"}, Target: u}
}

// want holds an answer against a status and a part of its body.
func want(t *testing.T, w *httptest.ResponseRecorder, status int, part string) {
	t.Helper()
	if w.Code != status || !strings.Contains(w.Body.String(), part) {
		t.Errorf("answer %d %s\nwant %d with %s", w.Code, w.Body, status, part)
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// tally is an Observer that remembers.
type tally struct {
	mu       sync.Mutex
	messages []string
	signed   int
	refused  []string
}

func (c *tally) Message(direction, profile, result string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.messages = append(c.messages, direction+" "+profile+" "+result)
}

func (c *tally) Signed(time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.signed++
}

func (c *tally) Refused(class string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refused = append(c.refused, class)
}

func gzipped(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	io.WriteString(z, text)
	z.Close()
	return b.String()
}
