package admin

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"gsigw/gsi"
)

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func newServer(t *testing.T) *Server {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	m := NewMetrics("v1.2.3")
	m.now = func() time.Time { return now }
	s, err := New(ln, m)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *Server) get(t *testing.T, method, host, path string) (int, string) {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	if r.Host = host; host == "" {
		r.Host = s.listener.Addr().String()
	}
	w := httptest.NewRecorder()
	s.handler().ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func credential(t *testing.T, notAfter time.Time) *gsi.Credential {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Jane Marker"},
		NotBefore: now.Add(-time.Hour), NotAfter: notAfter,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &gsi.Credential{Chain: []*x509.Certificate{cert}, Key: key}
}

type broken struct{}

func (broken) Credential(context.Context) (*gsi.Credential, error) {
	return nil, &gsi.UnusableError{Source: "/secret/path", Reason: errors.New("mode 0644 of /secret/path"), Remedy: "mend the file"}
}

// changed has an earlier state to give.
type changed struct{ gsi.Source }

func (changed) Problem() error {
	_, err := broken{}.Credential(context.Background())
	return err
}

func TestReady_NeedsConfigRouteAndUsableCredential(t *testing.T) {
	good := gsi.Static(credential(t, now.Add(time.Hour)))
	expired := gsi.Static(credential(t, now))
	for _, test := range []struct {
		name   string
		status *Status
		want   int
		lines  string
	}{
		{"no config yet", nil, 503, "no configuration is loaded yet\n"},
		{"nothing in it", &Status{}, 503, "no route is configured\nno credential is configured\n"},
		{"no route", &Status{Credentials: map[string]gsi.Source{"a": good}}, 503, "no route is configured\n"},
		{"all unusable", &Status{Routes: 1, Credentials: map[string]gsi.Source{"a": expired, "b": broken{}}}, 503,
			"credential a is not usable: renew it, for instance with gsigw proxy init, and see the gateway's log\ncredential b is not usable: mend the file\n"},
		{"one usable", &Status{Routes: 1, Credentials: map[string]gsi.Source{"a": expired, "b": good}}, 200,
			"ready\ncredential a is not usable: renew it, for instance with gsigw proxy init, and see the gateway's log\n"},
		{"all usable", &Status{Routes: 1, Credentials: map[string]gsi.Source{"a": good, "b": good}}, 200, "ready\n"},
		{"an earlier state", &Status{Routes: 1, Credentials: map[string]gsi.Source{"a": changed{good}}}, 200,
			"ready\ncredential a: the file changed and cannot be used: mend the file; the earlier one is used until 2026-11-21T13:00:00Z\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newServer(t)
			if test.status != nil {
				s.Set(*test.status)
			}
			if code, body := s.get(t, "GET", "", "/readyz"); code != test.want || body != test.lines {
				t.Errorf("%d %q, want %d %q", code, body, test.want, test.lines)
			}
			if code, _ := s.get(t, "GET", "", "/livez"); code != 200 {
				t.Errorf("livez: %d", code)
			}
		})
	}
}

func TestReady_EndsWhenTheLastCredentialExpires(t *testing.T) {
	s := newServer(t)
	s.Set(Status{Routes: 1, Credentials: map[string]gsi.Source{"a": gsi.Static(credential(t, now.Add(time.Hour)))}})
	s.now = func() time.Time { return now.Add(time.Hour) }
	if code, _ := s.get(t, "GET", "", "/readyz"); code != 503 {
		t.Errorf("ready with an expired credential: %d", code)
	}
}

func TestNew_RefusesAListenerThatOthersReach(t *testing.T) {
	ln, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if _, err := New(ln, NewMetrics("")); err == nil || !strings.Contains(err.Error(), "loopback") {
		t.Errorf("error %v", err)
	}
}

func TestServer_RefusesForeignHosts(t *testing.T) {
	s := newServer(t)
	_, port, _ := net.SplitHostPort(s.listener.Addr().String())
	for host, want := range map[string]int{
		"127.0.0.1:" + port: 200, "localhost:" + port: 200, "LOCALHOST:" + port: 200, "[::1]:" + port: 200,
		"evil.example:" + port: 421, "127.0.0.1:1": 421, "127.0.0.1": 421, "localhost.evil.example:" + port: 421,
		"10.0.0.1:" + port: 421,
	} {
		if code, _ := s.get(t, "GET", host, "/livez"); code != want {
			t.Errorf("Host %s: %d, want %d", host, code, want)
		}
	}
}

func TestServer_IsReadOnly(t *testing.T) {
	s := newServer(t)
	for _, method := range []string{"POST", "PUT", "DELETE"} {
		if code, _ := s.get(t, method, "", "/readyz"); code != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d", method, code)
		}
	}
}

func TestServe_OverAUnixSocketUntilTheContextEnds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "admin.sock")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(ln, NewMetrics(""))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Serve(ctx) }()
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
	resp, err := client.Get("http://admin/livez")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	client.CloseIdleConnections()
	cancel()
	if err := <-done; err != nil || resp.StatusCode != 200 {
		t.Errorf("%v, status %d", err, resp.StatusCode)
	}
}

func TestMetrics_CarryTheNamesOfTheConventionsAndNoDN(t *testing.T) {
	s := newServer(t)
	s.metrics.Message("request", "gsi-message/https", "ok")
	s.metrics.Signed(2 * time.Millisecond)
	s.metrics.Refused("digest")
	late, soon := now.Add(48*time.Hour), now.Add(12*time.Hour)
	s.Set(Status{Routes: 1,
		Credentials: map[string]gsi.Source{"a": gsi.Static(credential(t, late)), "b": changed{gsi.Static(credential(t, soon))}, "c": broken{}},
		Anchors:     func() []time.Time { return []time.Time{late, soon} },
	})
	code, body := s.get(t, "GET", "", "/metrics")
	if code != 200 {
		t.Fatalf("%d: %s", code, body)
	}
	at := strconv.FormatFloat(float64(soon.Unix()), 'g', -1, 64)
	for _, want := range []string{
		`gsigw_soap_messages_total{direction="request",profile="gsi-message/https",result="ok"} 1`,
		`gsigw_soap_sign_seconds_count 1`,
		`gsigw_verify_failures_total{reason="digest"} 1`,
		`gsigw_credential_expiry_timestamp_seconds{kind="end-entity"} ` + at,
		`gsigw_trust_anchor_expiry_timestamp_seconds ` + at,
		"gsigw_credential_problems 2\n",
		`version="v1.2.3"`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
	if strings.Contains(body, "Marker") || strings.Contains(body, "/secret/") {
		t.Error("metrics name a person or a file")
	}
}

// A credential that expired keeps its date, so that an alert on it stays up.
func TestMetrics_KeepTheExpiryOfACredentialThatCanNoLongerBeRead(t *testing.T) {
	s := newServer(t)
	source := &switching{Source: gsi.Static(credential(t, now.Add(time.Hour)))}
	s.Set(Status{Routes: 1, Credentials: map[string]gsi.Source{"a": source}})
	s.get(t, "GET", "", "/metrics")
	source.Source = broken{}
	if _, body := s.get(t, "GET", "", "/metrics"); !strings.Contains(body, "gsigw_credential_expiry_timestamp_seconds{") {
		t.Error("the expiry vanished with the credential")
	}
	s.Set(Status{Routes: 1})
	if _, body := s.get(t, "GET", "", "/metrics"); strings.Contains(body, "gsigw_credential_expiry_timestamp_seconds{") {
		t.Error("the expiry of a credential that is no longer configured stayed")
	}
}

type switching struct{ gsi.Source }
