package gateway

import (
	"context"
	"crypto/x509"
	"io"
	"log/slog"
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
	"gsigw/trust"
	"gsigw/wssec"
)

const createCounter = `<e:Envelope xmlns:e="` + soap.Envelope11 + `"><e:Body><createCounter xmlns="http://counter.com"/></e:Body></e:Envelope>`

// standInBench is a gateway before the strict stand-in for a service.
type standInBench struct {
	t       *testing.T
	pki     *gridtest.PKI
	store   *trust.Store
	service *gridtest.StandIn
	options gridtest.StandInOptions
	route   policy.Route
	files   Files
	source  gsi.Source // nil: the caller has no credential
	gateway *Gateway
	counted *tally
	log     *lockedBuffer

	mu   sync.Mutex
	seen []gridtest.Seen
}

// newStandInBench makes a gateway with one route, which knobs may change before anything runs.
func newStandInBench(t *testing.T, knobs ...func(*standInBench)) *standInBench {
	t.Helper()
	pki := gridtest.Must(gridtest.NewPKI(t.TempDir(), gridtest.PKIOptions{}))
	b := &standInBench{
		t: t, pki: pki, store: gridtest.Must(trust.Open(pki.TrustDir, trust.Options{})), counted: &tally{}, log: &lockedBuffer{},
		source: gsi.Static(gridtest.Must(pki.Proxy(gsi.Limits{Lifetime: time.Hour}))),
		route:  policy.Route{Name: "counter", Transport: policy.TransportHTTPS, AllowLoopback: true, MaxSkew: 5 * time.Minute},
		files:  Files{EncryptTo: pki.Host.Chain},
	}
	b.options = gridtest.StandInOptions{Host: pki.Host, Other: pki.User, Trust: b.store, TLS: true, Seen: b.saw}
	for _, k := range knobs {
		k(b)
	}
	b.service = gridtest.Must(gridtest.StartStandIn(b.options))
	t.Cleanup(func() { b.service.Close() })
	b.route.Target = gridtest.Must(policy.ParseTarget(b.service.URL()))
	b.gateway = gridtest.Must(New(Config{
		Log: slog.New(slog.NewJSONHandler(b.log, nil)), Observer: b.counted, Replay: wssec.NewReplayCache(0, nil),
	}, b.state()))
	return b
}

func (b *standInBench) state() *State {
	client := upstream.New(upstream.Config{Trust: b.store})
	return &State{
		Policy:   gridtest.Must(policy.New([]policy.Route{b.route}, nil)),
		Sessions: gridtest.Must(session.NewTable([]session.Entry{{Caller: "engine", Own: b.source}})),
		Reach:    func(*policy.Route) Reach { return Reach{client, b.store, b.files} },
	}
}

func (b *standInBench) saw(s gridtest.Seen) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seen = append(b.seen, s)
}

// post asks for a new counter, as an engine does through a tunnel.
func (b *standInBench) post() *httptest.ResponseRecorder {
	b.t.Helper()
	r := httptest.NewRequest("POST", b.service.URL(), strings.NewReader(createCounter))
	r.Header.Set("Content-Type", "text/xml; charset=utf-8")
	r.Header.Set("SOAPAction", `"http://counter.com/CounterPortType/createCounterRequest"`)
	w := httptest.NewRecorder()
	form := intercept.Connect
	if b.route.Transport == policy.TransportNone {
		form = intercept.Forward
	}
	b.gateway.Serve(w, r, intercept.Call{Form: form, Caller: intercept.Caller{Name: "engine", How: "uid"}, Target: gridtest.Must(url.Parse(b.service.URL()))})
	return w
}

// only is what the service saw of the one request.
func (b *standInBench) only() gridtest.Seen {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.seen) != 1 {
		b.t.Fatalf("the service saw %d requests, want 1", len(b.seen))
	}
	return b.seen[0]
}

func (b *standInBench) unseen() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.seen) == 0
}

// gt4Privacy is GSI Secure Message with privacy, as GT4 4.0 speaks it.
func gt4Privacy(b *standInBench) {
	b.options.Privacy, b.options.Digest = true, wssec.SHA1
	r := &b.route
	r.For, r.Message, r.Digest, r.Addressing = policy.StackGT4, policy.MessageGSI, policy.SHA1, policy.Addressing200403
	r.Privacy, r.Cipher, r.KeyTransport, r.EncryptKeyReference = true, policy.AES128CBC, policy.RSA15, policy.ReferIssuerSerial
}

// modern is wss-x509.
func modern(b *standInBench) {
	b.options.Modern = true
	b.route.Message, b.route.Addressing = policy.MessageX509, policy.Addressing200508
}

func modernPrivacy(b *standInBench) {
	modern(b)
	b.options.Privacy, b.route.Privacy, b.route.EncryptKeyReference = true, true, policy.ReferIssuerSerial
}

func fixed(text string) func(context.Context) ([]byte, error) {
	return func(context.Context) ([]byte, error) { return []byte(text), nil }
}

// username is wss-username; the caller has no grid credential.
func username(b *standInBench) {
	b.options.Modern, b.options.Users, b.source = true, map[string]string{"alice": "open sesame"}, nil
	b.route.Message, b.route.Addressing, b.route.Username = policy.MessageUsername, policy.Addressing200508, "alice"
	b.files = Files{Password: fixed("open sesame")}
}

func (b *standInBench) certificate(r gridtest.Request) []*x509.Certificate {
	return gridtest.Must(b.pki.CA.Issue(r)).Chain
}

func body(w *httptest.ResponseRecorder) string {
	return string(gridtest.Must(io.ReadAll(w.Result().Body)))
}
