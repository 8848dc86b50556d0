package gateway

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
	"gsigw/internal/intercept"
	"gsigw/internal/policy"
	"gsigw/soap"
	"gsigw/soap/xmlscan"
	"gsigw/wssec"
)

var _ intercept.Gateway = (*Gateway)(nil)

func TestServe_CarriesAPlainCallAsTheUserAndBackVerified(t *testing.T) {
	b := newBench(t)
	w := b.post(add11)
	want(t, w, 200, sum11)
	if body := w.Body.String(); strings.Contains(body, "Security") || w.Header().Get("Content-Length") != "" && w.Body.Len() == 0 {
		t.Errorf("the engine got %s", body)
	}
	got := b.service.only()
	m := gridtest.Must(soap.Read(xmlscan.Memory(got.body), soap.Limits{}))
	v := &wssec.Verifier{Trust: b.store}
	verified, err := v.Verify(t.Context(), m, wssec.Expect{Role: wssec.Request})
	if err != nil {
		t.Fatalf("the service could not verify what it got: %v", err)
	}
	if !verified.Signer.Matches(gridtest.UserName) {
		t.Errorf("the service saw %s", verified.Signer.DN)
	}
	if a := verified.Addressing; a.To != b.service.URL+"/wsrf/services/CounterService" || a.Action != addAction || a.MessageID == "" {
		t.Errorf("addressing headers %+v", a)
	}
	if got.header.Get("SOAPAction") != `"`+addAction+`"` {
		t.Errorf("SOAPAction %s", got.header.Get("SOAPAction"))
	}
	wantCounts := []string{"request gsi-message/none ok", "reply gsi-message/none ok"}
	if !slices.Equal(b.counted.messages, wantCounts) || b.counted.signed != 1 {
		t.Errorf("counted %q, signed %d", b.counted.messages, b.counted.signed)
	}
}

func TestServe_WritesOneRecordWithFixedKeys(t *testing.T) {
	b := newBench(t)
	b.post(add11, "Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	lines := strings.Split(strings.TrimSpace(b.log.String()), "\n")
	if len(lines) != 1 {
		t.Fatalf("%d records: %s", len(lines), b.log)
	}
	var record map[string]any
	if err := json.Unmarshal([]byte(lines[0]), &record); err != nil {
		t.Fatal(err)
	}
	for key, value := range map[string]any{
		"level": "INFO", "msg": "exchange", "exchange": "EXCHANGE", "route": "counter", "caller": "engine", "action": addAction,
		"operation": "{http://counter.com}add", "profile": "gsi-message/none", "status": 200.0, "result": "ok", "class": "",
		"bytes_in": float64(len(add11)), "peer": dnHash(gridtest.HostName), "trace_id": "0af7651916cd43dd8448eb211c80319c", "error": "",
	} {
		if record[key] != value {
			t.Errorf("%s is %v, want %v", key, record[key], value)
		}
		delete(record, key)
	}
	for _, key := range []string{"time", "duration", "bytes_out"} {
		delete(record, key)
	}
	if len(record) > 0 {
		t.Errorf("more keys: %v", record)
	}
	if strings.Contains(b.log.String(), "localhost") {
		t.Error("the record names the peer")
	}
}

func TestServe_SendsOnlyAllowedRequestHeaders(t *testing.T) {
	b := newBench(t)
	b.post(add11, "Cookie", "MARKER", "Authorization", "Basic MARKER", "Proxy-Authorization", "Basic MARKER",
		"Gsigw-Secret", "MARKER", "X-Forwarded-For", "MARKER", "User-Agent", "MARKER", "Accept", "text/xml",
		"Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "Tracestate", "a=b")
	h := b.service.only().header
	for name, values := range h {
		if strings.Contains(strings.Join(values, " "), "MARKER") {
			t.Errorf("%s went on", name)
		}
	}
	if h.Get("Accept") != "text/xml" || h.Get("Traceparent") == "" || h.Get("Tracestate") != "a=b" || h.Get("User-Agent") != "gsigw" {
		t.Errorf("header %v", h)
	}
}

func TestServe_DropsATraceparentThatIsNone(t *testing.T) {
	b := newBench(t)
	b.post(add11, "Traceparent", "secret", "Tracestate", "secret")
	if h := b.service.only().header; h.Get("Traceparent")+h.Get("Tracestate") != "" {
		t.Errorf("header %v", h)
	}
}

// A route that asks for message security gets it, or nothing is sent.
func TestServe_SendsNothingWhereSecuringFails(t *testing.T) {
	for name, profile := range map[string]wssec.Profile{
		"no profile":      nil,
		"nothing secured": halfProfile{},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.gateway.profile = func(*State, *policy.Route) wssec.Profile { return profile }
			want(t, b.post(add11), 500, "soapenv:Server")
			if !b.service.untouched() {
				t.Error("the message went out unsecured")
			}
			if strings.Contains(b.log.String(), "defect") {
				t.Errorf("nobody looked: %s", b.log)
			}
		})
	}
}

// halfProfile says that all is well, and gives nothing.
type halfProfile struct{ wssec.Profile }

func (halfProfile) Secure(_ context.Context, m *soap.Message, _ *gsi.Credential) (*soap.Edit, wssec.Pending, error) {
	e, err := m.Edit()
	return e, nil, err
}

func TestServe_CancelsTheCallWhenTheEngineHangsUp(t *testing.T) {
	arrived, cancelled := make(chan bool), make(chan bool)
	b := newBench(t, func(b *bench) {
		b.service.answer = func(_ http.ResponseWriter, r *http.Request, _ []byte) {
			arrived <- true
			<-r.Context().Done()
			close(cancelled)
		}
	})
	ctx, hangUp := context.WithCancel(t.Context())
	served := make(chan bool)
	go func() {
		b.do(b.request(add11).WithContext(ctx))
		close(served)
	}()
	<-arrived
	hangUp()
	<-served
	<-cancelled
	if !strings.Contains(b.log.String(), `"result":"hung-up"`) {
		t.Errorf("record %s", b.log)
	}
}

func TestReload_LeavesExchangesUnderWayTheirState(t *testing.T) {
	arrived, release := make(chan bool), make(chan bool)
	b := newBench(t, func(b *bench) {
		b.service.answer = func(w http.ResponseWriter, _ *http.Request, body []byte) {
			arrived <- true
			<-release
			w.Header().Set("Content-Type", soap.V11.ContentType())
			w.Write(b.service.reply(body))
		}
	})
	answer := make(chan *httptest.ResponseRecorder)
	go func() { answer <- b.do(b.request(add11)) }()
	<-arrived
	b.route.PeerDN = []string{"/O=Grid/CN=somebody else"} // in the new state nobody's answer would do
	if err := b.gateway.Reload(b.state()); err != nil {
		t.Fatal(err)
	}
	release <- true
	want(t, <-answer, 200, sum11)
	go func() { answer <- b.do(b.request(add11)) }()
	<-arrived
	release <- true
	want(t, <-answer, 500, "FailedCheck")
}

func TestReload_UnderLoad(t *testing.T) {
	b := newBench(t, none(policy.TransportNone), answering(200, "text/xml", add11))
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() {
			for range 25 {
				if w := b.do(b.request(add11)); w.Code != 200 {
					t.Errorf("answer %d %s", w.Code, w.Body)
				}
			}
		})
	}
	for range 50 {
		if err := b.gateway.Reload(b.state()); err != nil {
			t.Error(err)
		}
	}
	running.Wait()
}

func TestReload_KeepsTheOldStateOnAnIncompleteOne(t *testing.T) {
	b := newBench(t)
	if err := b.gateway.Reload(&State{}); err == nil {
		t.Error("an empty state was taken")
	}
	want(t, b.post(add11), 200, sum11)
}

// The memory of MessageIDs is the gateway's: a recorded reply cannot be played back after a reload.
func TestReload_KeepsTheReplayMemory(t *testing.T) {
	b := newBench(t)
	want(t, b.post(addressed("urn:uuid:once")), 200, sum11)
	if err := b.gateway.Reload(b.state()); err != nil {
		t.Fatal(err)
	}
	want(t, b.post(addressed("urn:uuid:once")), 500, "FailedCheck")
	if !slices.Contains(b.counted.refused, string(wssec.ClassReplay)) {
		t.Errorf("refused for %q", b.counted.refused)
	}
}

// addressed is a call with addressing headers of the engine's own.
func addressed(id string) string {
	return strings.Replace(add11, "<soapenv:Body>", `<soapenv:Header><a:MessageID xmlns:a="http://www.w3.org/2005/08/addressing">`+id+
		`</a:MessageID><a:Action xmlns:a="http://www.w3.org/2005/08/addressing">`+addAction+`</a:Action></soapenv:Header><soapenv:Body>`, 1)
}

func TestNew_NeedsAReplayMemory(t *testing.T) {
	b := newBench(t)
	if _, err := New(Config{}, b.state()); err == nil {
		t.Error("a gateway without a replay memory")
	}
}

func TestOpens_OnlyWhatAnHTTPSRouteNames(t *testing.T) {
	b := newBench(t)
	b.route = policy.Route{Name: "r", Target: gridtest.Must(policy.ParseTarget("https://grid.example.org:8443/*")), Transport: policy.TransportHTTPS}
	if err := b.gateway.Reload(b.state()); err != nil {
		t.Fatal(err)
	}
	for hostport, want := range map[string]bool{
		"grid.example.org:8443": true, "grid.example.org:443": false, "other.example.org:8443": false, "grid.example.org": false,
		"[::1]:8443": false, "grid.example.org:99999": false,
	} {
		if b.gateway.Opens(intercept.Caller{Name: "engine"}, hostport) != want {
			t.Errorf("Opens(%s) is not %v", hostport, want)
		}
	}
	b.route.Callers = []string{"other"}
	if err := b.gateway.Reload(b.state()); err != nil {
		t.Fatal(err)
	}
	for _, caller := range []string{"", "engine"} {
		if b.gateway.Opens(intercept.Caller{Name: caller}, "grid.example.org:8443") {
			t.Errorf("opened for %q, whom the route does not permit", caller)
		}
	}
}

func TestServe_AnswersADefectWithAFaultAndKeepsItsWordsToItself(t *testing.T) {
	b := newBench(t)
	b.gateway.profile = func(*State, *policy.Route) wssec.Profile { panic("MARKER") }
	w := b.post(add11)
	want(t, w, 500, "internal error")
	if strings.Contains(w.Body.String()+b.log.String(), "MARKER") || !strings.Contains(b.log.String(), `"stack"`) {
		t.Errorf("log %s", b.log)
	}
}

func TestServe_RefusesACallerWithoutSession(t *testing.T) {
	b := newBench(t)
	r := b.request(add11)
	w := httptest.NewRecorder()
	b.gateway.Serve(w, r, intercept.Call{Form: intercept.Forward, Caller: intercept.Caller{Name: "stranger"}, Target: r.URL})
	want(t, w, 500, "denied by rule session")
	if !b.service.untouched() {
		t.Error("the message went out")
	}
}

func TestServe_HoldsTheCallerAgainstTheRoute(t *testing.T) {
	b := newBench(t, none(policy.TransportNone), answering(200, "text/xml", add11), func(b *bench) { b.route.Callers = []string{"other"} })
	want(t, b.post(add11), 500, "denied by rule callers")
	if !b.service.untouched() {
		t.Error("the message went out")
	}
}

// An engine that never stops sending is cut off at the limit of a message.
func TestServe_ReadsNoMoreThanTheLimit(t *testing.T) {
	b := newBench(t, none(policy.TransportNone), func(b *bench) { b.limits.Message.MessageBytes = 1 << 20 })
	r := b.request("")
	r.Body = io.NopCloser(endless{})
	want(t, b.do(r), 413, "exceeds the limit")
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }
