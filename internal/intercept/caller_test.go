package intercept

import (
	"bufio"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gsigw/internal/intercept/ca"
)

const (
	odeSecret    = "ode's long secret 0123456789"
	axisSecret   = "axis's long secret 0123456789"
	wrongSecret  = "nobody's long secret 0123456789"
	getThroughIt = "GET http://gt4.example/a HTTP/1.1\r\nHost: gt4.example\r\n"
)

func basic(password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte("anyone:"+password))
}

func secretCallers(t *testing.T) []CallerRule {
	return []CallerRule{{Name: "ode", Secret: mustSecret(t, odeSecret)}, {Name: "axis", Secret: mustSecret(t, axisSecret)}}
}

func TestCaller_KnownBySecret(t *testing.T) {
	for _, tc := range []struct {
		name, headers, caller string
	}{
		{"basic", "Proxy-Authorization: " + basic(odeSecret), "ode"},
		{"basic, second rule", "Proxy-Authorization: " + basic(axisSecret), "axis"},
		{"bearer", "proxy-authorization: bearer " + odeSecret, "ode"},
		{"header of ours", "Gsigw-Secret: " + odeSecret, "ode"},
		{"none", "", ""},
		{"wrong", "Proxy-Authorization: " + basic(wrongSecret), ""},
		{"empty", "Proxy-Authorization: " + basic(""), ""},
		{"prefix", "Proxy-Authorization: " + basic(odeSecret[:20]), ""},
		{"not base64", "Proxy-Authorization: Basic !" + odeSecret, ""},
		{"other scheme", "Proxy-Authorization: Digest " + odeSecret, ""},
		{"the service's header", "Authorization: " + basic(odeSecret), ""},
		{"two, one right", "Proxy-Authorization: " + basic(odeSecret) + "\r\nProxy-Authorization: " + basic(wrongSecret), ""},
		{"two ways", "Proxy-Authorization: " + basic(odeSecret) + "\r\nGsigw-Secret: " + odeSecret, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := &recorder{}
			s := start(t, Config{Gateway: g, Forward: true, Callers: secretCallers(t)})
			headers := tc.headers
			if headers != "" {
				headers += "\r\n"
			}
			c := dial(t, s.Addr())
			io.WriteString(c, getThroughIt+headers+"\r\n")
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			if tc.caller == "" {
				if resp.StatusCode != 407 || !strings.HasPrefix(resp.Header.Get("Proxy-Authenticate"), "Basic ") || g.count() != 0 {
					t.Errorf("got %d %v, %d requests reached the gateway", resp.StatusCode, resp.Header, g.count())
				}
				return
			}
			c2, r := g.last(t)
			if c2.Caller != (Caller{tc.caller, "secret"}) {
				t.Errorf("caller %+v", c2.Caller)
			}
			if r.Header.Get("Proxy-Authorization") != "" || r.Header.Get(SecretHeader) != "" {
				t.Errorf("the secret passed on: %v", r.Header)
			}
		})
	}
}

func TestCaller_ConnectNeedsSecret(t *testing.T) {
	authority, err := ca.New(ca.Options{Hosts: []string{"gt4.example"}})
	if err != nil {
		t.Fatal(err)
	}
	g := &recorder{opens: []string{"gt4.example:8443"}}
	s := start(t, Config{Gateway: g, Forward: true, Callers: secretCallers(t), CA: authority})
	status, body := raw(t, s, "CONNECT gt4.example:8443 HTTP/1.1", "Host: gt4.example:8443", "", "")
	wantStatus(t, status, body, 407, "proxy secret")
	for secret, ok := range map[string]bool{axisSecret: true, wrongSecret: false} {
		resp, err := client(t, s, url.UserPassword("x", secret), pool(authority.Certificate())).Get("https://gt4.example:8443/a")
		if ok != (err == nil) {
			t.Errorf("%s: %v", secret, err)
		}
		if err == nil {
			resp.Body.Close()
		}
	}
	if c, _ := g.last(t); c.Caller.Name != "axis" || g.count() != 1 {
		t.Errorf("caller %+v of %d", c.Caller, g.count())
	}
}

func TestCaller_ReverseSecretLeavesAuthorizationAlone(t *testing.T) {
	g := &recorder{}
	s := start(t, Config{Gateway: g, Callers: secretCallers(t), Routes: []Route{{Name: "c", Path: "/c", Target: mustURL(t, "http://gt4.example/c")}}})
	host := "Host: " + s.Addr().String()
	status, body := raw(t, s, "GET /c HTTP/1.1", host, "Authorization: "+basic(odeSecret), "", "")
	wantStatus(t, status, body, 403, SecretHeader)
	status, body = raw(t, s, "GET /c HTTP/1.1", host, "Authorization: Bearer service", SecretHeader+": "+odeSecret, "", "")
	wantStatus(t, status, body, 200, "ok")
	if _, r := g.last(t); r.Header.Get("Authorization") != "Bearer service" || r.Header.Get(SecretHeader) != "" {
		t.Errorf("headers %v", r.Header)
	}
}

// Two kinds of rules: a secret that is nobody's must not fall back to the uid.
func TestCaller_WrongSecretIsNotExcusedByUID(t *testing.T) {
	g := &recorder{}
	rules := append([]CallerRule{{Name: "me", UID: new(uint32(os.Geteuid()))}}, secretCallers(t)...)
	s := start(t, Config{Gateway: g, Forward: true, Callers: rules})
	for header, want := range map[string]string{
		"": "me", "Proxy-Authorization: " + basic(odeSecret) + "\r\n": "ode", "Proxy-Authorization: " + basic(wrongSecret) + "\r\n": "",
	} {
		before := g.count()
		c := dial(t, s.Addr())
		status, _ := send(t, c, bufio.NewReader(c), getThroughIt+header+"\r\n")
		if want == "" {
			if status != 407 || g.count() != before {
				t.Errorf("wrong secret: got %d", status)
			}
			continue
		}
		if call, _ := g.last(t); call.Caller.Name != want {
			t.Errorf("%q: caller %+v, want %s", header, call.Caller, want)
		}
	}
}

func TestCaller_RuleHoldsOnlyAsAWhole(t *testing.T) {
	secret, me, other := mustSecret(t, odeSecret), new(uint32(os.Geteuid())), new(uint32(os.Geteuid()+1))
	for _, tc := range []struct {
		rule CallerRule
		e    evidence
		want bool
	}{
		{CallerRule{Secret: secret, UID: me}, evidence{secret: odeSecret, hasSecret: true, peer: peer{uid: *me, known: true}}, true},
		{CallerRule{Secret: secret, UID: other}, evidence{secret: odeSecret, hasSecret: true, peer: peer{uid: *me, known: true}}, false},
		{CallerRule{Secret: secret, UID: me}, evidence{peer: peer{uid: *me, known: true}}, false},
		{CallerRule{UID: new(uint32(0))}, evidence{}, false}, // unknown is not root
		{CallerRule{CertSubject: "CN=x"}, evidence{}, false},
	} {
		tc.rule.Name = "r"
		list, err := newCallers([]CallerRule{tc.rule})
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := list.identify(tc.e); ok != tc.want {
			t.Errorf("%+v with %+v: %v", tc.rule, tc.e, ok)
		}
	}
}

func TestCaller_KnownByClientCertificate(t *testing.T) {
	server, ode, axis, stranger, unnamed := selfSigned(t, "server"), selfSigned(t, "ode"), selfSigned(t, "axis"), selfSigned(t, "ode"), selfSigned(t, "unnamed")
	sum := sha256.Sum256(ode.Leaf.Raw)
	g := &recorder{}
	s := start(t, Config{
		Gateway: g, Forward: true,
		TLS: &tls.Config{Certificates: []tls.Certificate{server}, ClientCAs: pool(ode.Leaf, axis.Leaf, unnamed.Leaf)},
		Callers: []CallerRule{
			{Name: "ode", CertSHA256: strings.ToUpper(hex.EncodeToString(sum[:]))},
			{Name: "axis", CertSubject: "CN=axis,O=Grid"},
		},
	})
	for _, tc := range []struct {
		name   string
		certs  []tls.Certificate
		caller string
	}{
		{"fingerprint", []tls.Certificate{ode}, "ode"},
		{"subject", []tls.Certificate{axis}, "axis"},
		{"none", nil, ""},
		{"same name, other CA", []tls.Certificate{stranger}, ""},
		{"no rule names it", []tls.Certificate{unnamed}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := g.count()
			// TLS 1.2 tells of a refused certificate in the handshake.
			c := tls.Client(dial(t, s.Addr()), &tls.Config{
				RootCAs: pool(server.Leaf), ServerName: "127.0.0.1", MaxVersion: tls.VersionTLS12,
				GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
					if tc.certs == nil {
						return &tls.Certificate{}, nil
					}
					return &tc.certs[0], nil
				},
			})
			io.WriteString(c, getThroughIt+"\r\n")
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if tc.caller == "" {
				if err == nil && resp.StatusCode != 403 || g.count() != before {
					t.Errorf("got %v, %v", resp, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if call, _ := g.last(t); call.Caller != (Caller{tc.caller, "client-cert"}) {
				t.Errorf("caller %+v", call.Caller)
			}
		})
	}
}

func TestCaller_KnownByUnixPeer(t *testing.T) {
	for want, uid := range map[int]int{200: os.Geteuid(), 403: os.Geteuid() + 1} {
		path := filepath.Join(t.TempDir(), "s")
		ln, err := Listen("unix:"+path, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		g := &recorder{}
		s := startOn(t, ln, Config{Gateway: g, Forward: true, Callers: []CallerRule{{Name: "engine", UID: new(uint32(uid))}}})
		c, err := net.Dial("unix", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		status, body := send(t, c, bufio.NewReader(c), getThroughIt+"\r\n")
		c.Close()
		wantStatus(t, status, body, want, "")
		if want == 200 && g.calls[0].Caller != (Caller{"engine", "unix"}) || want != 200 && g.count() != 0 {
			t.Errorf("calls %+v", g.calls)
		}
	}
}

func TestCaller_RefusesRules(t *testing.T) {
	secret := mustSecret(t, odeSecret)
	for name, tc := range map[string]struct {
		rule  CallerRule
		words string
	}{
		"no name":         {CallerRule{Secret: secret}, "needs a name"},
		"nothing set":     {CallerRule{Name: "x"}, "set a secret"},
		"bad fingerprint": {CallerRule{Name: "x", CertSHA256: "abcd"}, "64 hex digits"},
		"overflow uid":    {CallerRule{Name: "x", UID: new(uint32(65534))}, "another namespace"},
	} {
		if _, err := newCallers([]CallerRule{tc.rule}); err == nil || !strings.Contains(err.Error(), tc.words) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := NewSecret("short"); err == nil {
		t.Error("a short secret passed")
	}
}

func TestSecret_NeverPrints(t *testing.T) {
	secret := mustSecret(t, odeSecret)
	rule := CallerRule{Name: "ode", Secret: secret}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		sum := sha256.Sum256([]byte(odeSecret))
		for _, v := range []any{secret, *secret, rule} {
			if got := fmt.Sprintf(verb, v); strings.Contains(got, fmt.Sprint(sum[0], " ", sum[1])) || strings.Contains(got, hex.EncodeToString(sum[:4])) {
				t.Errorf("%s of %T: %s", verb, v, got)
			}
		}
	}
}

func TestCaller_RefusedHearsNoSecret(t *testing.T) {
	heard := make(chan http.Header, 1)
	s := start(t, Config{
		Gateway: &recorder{}, Forward: true, Callers: secretCallers(t),
		Refused: func(r *http.Request, _ *Refusal) { heard <- r.Header.Clone() },
	})
	raw(t, s, strings.TrimSuffix(getThroughIt, "\r\n"), "Proxy-Authorization: "+basic(wrongSecret), "", "")
	if h := <-heard; len(h) != 0 {
		t.Errorf("headers %v", h)
	}
}

func TestServer_SetCallersKeepsOldOnError(t *testing.T) {
	g := &recorder{}
	s := start(t, Config{Gateway: g, Forward: true, Callers: secretCallers(t)})
	if err := s.SetCallers([]CallerRule{{Name: "x"}}); err == nil {
		t.Fatal("an empty rule passed")
	}
	status, _ := raw(t, s, strings.TrimSuffix(getThroughIt, "\r\n"), "Gsigw-Secret: "+odeSecret, "", "")
	if status != 200 {
		t.Errorf("the old rules are gone: %d", status)
	}
	if err := s.SetCallers([]CallerRule{{Name: "new", Secret: mustSecret(t, wrongSecret)}}); err != nil {
		t.Fatal(err)
	}
	status, _ = raw(t, s, strings.TrimSuffix(getThroughIt, "\r\n"), "Gsigw-Secret: "+odeSecret, "", "")
	if status != 407 {
		t.Errorf("the old secret still holds: %d", status)
	}
}
