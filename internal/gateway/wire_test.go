package gateway

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"

	"gsigw/internal/gridtest"
	"gsigw/internal/intercept"
)

// proxied gives an engine's HTTP client, whose proxy is a real listener in front of the gateway.
func proxied(t *testing.T, b *bench) *http.Client {
	t.Helper()
	srv := gridtest.Must(intercept.New(gridtest.Must(net.Listen("tcp", "127.0.0.1:0")), intercept.Config{
		Gateway: b.gateway, Forward: true, Callers: []intercept.CallerRule{{Name: "engine", UID: new(uint32(os.Geteuid()))}},
	}))
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- srv.Serve(ctx) }()
	transport := &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: srv.Addr().String()})}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return &http.Client{Transport: transport}
}

func TestWire_EngineBehindItsProxySettingGetsTheAnswer(t *testing.T) {
	b := newBench(t)
	engine := proxied(t, b)
	for _, chunked := range []bool{false, true} {
		r := b.request(add11)
		if r.RequestURI = ""; chunked {
			r.ContentLength = -1
		}
		resp, err := engine.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != 200 || !strings.Contains(string(body), sum11) || resp.ContentLength != int64(len(body)) {
			t.Errorf("chunked %v: %d, length %d, %v: %s", chunked, resp.StatusCode, resp.ContentLength, err, body)
		}
	}
}

func TestWire_HangingUpCancelsTheCall(t *testing.T) {
	arrived, cancelled := make(chan bool), make(chan bool)
	b := newBench(t, func(b *bench) {
		b.service.answer = func(_ http.ResponseWriter, r *http.Request, _ []byte) {
			arrived <- true
			<-r.Context().Done()
			close(cancelled)
		}
	})
	engine := proxied(t, b)
	ctx, hangUp := context.WithCancel(t.Context())
	r := b.request(add11).WithContext(ctx)
	r.RequestURI = ""
	failed := make(chan error, 1)
	go func() {
		_, err := engine.Do(r)
		failed <- err
	}()
	select {
	case <-arrived:
	case err := <-failed:
		t.Fatalf("the call never arrived: %v", err)
	}
	hangUp()
	<-cancelled
}

func BenchmarkServe(b *testing.B) {
	bench := newBench(b)
	for b.Loop() {
		w := httptest.NewRecorder()
		r := bench.request(add11)
		if bench.gateway.Serve(w, r, bench.callOf(r.URL)); w.Code != 200 {
			b.Fatal(w.Body)
		}
		bench.service.seen = nil
	}
}
