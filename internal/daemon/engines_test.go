package daemon

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"gsigw/internal/config"
	"gsigw/internal/gridtest"
	"gsigw/internal/intercept/ca"
)

const aSecret = "correct-horse-battery-staple"

// postTo sends an engine's call over a transport of the test's.
func (b *bench) postTo(transport *http.Transport, target string) int {
	b.t.Helper()
	defer transport.CloseIdleConnections()
	r := gridtest.Must(http.NewRequest("POST", target, strings.NewReader(createCounter)))
	r.Header.Set("Content-Type", "text/xml; charset=utf-8")
	r.Header.Set("SOAPAction", `"http://counter.com/CounterPortType/createCounterRequest"`)
	reply, err := (&http.Client{Transport: transport}).Do(r)
	if err != nil {
		b.t.Log(err)
		return 0
	}
	reply.Body.Close()
	return reply.StatusCode
}

func (b *bench) write(name, text string) {
	b.t.Helper()
	if err := os.WriteFile(filepath.Join(b.dir, name), []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// insert puts more into the usual config.
func (b *bench) insert(more string) {
	b.t.Helper()
	b.configure(fmt.Sprintf(benchConfig, b.service.URL()) + more)
}

func (b *bench) proxyURL(scheme string, user *url.Userinfo) *url.URL {
	return &url.URL{Scheme: scheme, User: user, Host: b.daemon.Addr("proxy").String()}
}

func TestRun_ServesReversePaths(t *testing.T) {
	b := newBench(t, gridtest.StandInOptions{})
	b.insert("reverse: {listen: \"127.0.0.1:0\", paths: {/counter: counter}}\n")
	b.start()
	if got := b.postTo(&http.Transport{}, "http://"+b.daemon.Addr("reverse").String()+"/counter"); got != http.StatusOK {
		t.Errorf("HTTP %d\n%s", got, b.log)
	}
}

func TestRun_OpensConnectWithTheLocalCA(t *testing.T) {
	b := newBench(t, gridtest.StandInOptions{})
	authority := gridtest.Must(ca.New(ca.Options{Hosts: []string{"127.0.0.1"}}))
	if err := authority.Save(filepath.Join(b.dir, "ca")); err != nil {
		t.Fatal(err)
	}
	b.insert("ca: {dir: ca}\n")
	b.start()
	roots := x509.NewCertPool()
	roots.AddCert(authority.Certificate())
	transport := &http.Transport{Proxy: http.ProxyURL(b.proxyURL("http", nil)), TLSClientConfig: &tls.Config{RootCAs: roots}}
	if got := b.postTo(transport, b.service.URL()); got != http.StatusOK {
		t.Errorf("HTTP %d\n%s", got, b.log)
	}
}

func TestRun_WarnsOfHostsThatTheCADoesNotCover(t *testing.T) {
	b := newBench(t, gridtest.StandInOptions{})
	if err := gridtest.Must(ca.New(ca.Options{Hosts: []string{"grid.example.org"}})).Save(filepath.Join(b.dir, "ca")); err != nil {
		t.Fatal(err)
	}
	b.insert("ca: {dir: ca}\n")
	b.start()
	if !strings.Contains(b.log.String(), "gsigw ca reissue") {
		t.Error(b.log)
	}
}

func TestRun_KnowsCallersBySecret(t *testing.T) {
	b := newBench(t, gridtest.StandInOptions{})
	b.write("secret", aSecret+"\n")
	b.insert("callers: {batch: {secret-file: secret}}\n")
	b.start()
	for password, want := range map[string]int{aSecret: http.StatusOK, "wrong": http.StatusProxyAuthRequired} {
		transport := &http.Transport{Proxy: http.ProxyURL(b.proxyURL("http", url.UserPassword("engine", password)))}
		if got := b.postTo(transport, strings.Replace(b.service.URL(), "https", "http", 1)); got != want {
			t.Errorf("password %s: HTTP %d, want %d", password, got, want)
		}
	}
	b.write("secret", strings.ToUpper(aSecret)+"\n")
	b.log.wait(t, "read again", 1)
	transport := &http.Transport{Proxy: http.ProxyURL(b.proxyURL("http", url.UserPassword("engine", aSecret)))}
	if got := b.postTo(transport, strings.Replace(b.service.URL(), "https", "http", 1)); got != http.StatusProxyAuthRequired {
		t.Errorf("the old secret still opens: HTTP %d", got)
	}
	if strings.Contains(b.log.String(), aSecret) {
		t.Error("the log holds the secret")
	}
}

func TestRun_KnowsCallersByCertificate(t *testing.T) {
	b := newBench(t, gridtest.StandInOptions{})
	known := gridtest.Must(b.pki.CA.Issue(gridtest.Request{Name: "/O=Grid/OU=gsigw test/CN=engine"}))
	if err := b.pki.WritePair("engine", known); err != nil {
		t.Fatal(err)
	}
	b.write("engine.pem", string(gridtest.Must(os.ReadFile(filepath.Join(b.dir, "enginecert.pem"))))+
		string(gridtest.Must(os.ReadFile(filepath.Join(b.dir, "ca.pem")))))
	b.configure(strings.Replace(fmt.Sprintf(benchConfig, b.service.URL()), `admin: "127.0.0.1:0"`, "tls: {cert: hostcert.pem, key: hostkey.pem}", 1) +
		"callers: {engine: {client-cert: engine.pem}}\n")
	b.start()
	roots := x509.NewCertPool()
	roots.AddCert(b.pki.CA.Cert)
	for name, c := range map[string]struct {
		cert []tls.Certificate
		want bool
	}{
		"known":    {[]tls.Certificate{{Certificate: [][]byte{known.Leaf().Raw}, PrivateKey: known.Key}}, true},
		"stranger": {[]tls.Certificate{{Certificate: [][]byte{b.pki.User.Leaf().Raw}, PrivateKey: b.pki.User.Key}}, false},
		"nobody":   {nil, false},
	} {
		transport := &http.Transport{Proxy: http.ProxyURL(b.proxyURL("https", nil)), TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: c.cert}}
		got := b.postTo(transport, strings.Replace(b.service.URL(), "https", "http", 1))
		if (got == http.StatusOK) != c.want {
			t.Errorf("%s: HTTP %d\n%s", name, got, b.log)
		}
	}
}

func TestRun_StartsWithoutACredential(t *testing.T) {
	t.Setenv("X509_USER_PROXY", filepath.Join(t.TempDir(), "later.pem"))
	b := newBench(t, gridtest.StandInOptions{})
	b.configure(strings.Replace(fmt.Sprintf(benchConfig, b.service.URL()), "proxy: proxy.pem", "discover: true", 1))
	b.start()
	if status, reply := b.post(createCounter); status < 500 || !strings.Contains(reply, "SecurityTokenUnavailable") {
		t.Errorf("without a credential: %d %s", status, reply)
	}
	data := gridtest.Must(os.ReadFile(filepath.Join(b.dir, "proxy.pem")))
	if err := os.WriteFile(os.Getenv("X509_USER_PROXY"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	if !b.works() {
		t.Errorf("the credential that came later is not used\n%s", b.log)
	}
}

// TestLimits_AreAllPassedOn gives every limit of the config another value, and wants each of them to arrive.
func TestLimits_AreAllPassedOn(t *testing.T) {
	var l config.Limits
	v := reflect.ValueOf(&l).Elem()
	for i := range v.NumField() {
		v.Field(i).SetInt(int64(i + 1))
	}
	arrived := map[int64]bool{}
	var collect func(reflect.Value)
	collect = func(v reflect.Value) {
		switch {
		case v.Kind() == reflect.Struct:
			for i := range v.NumField() {
				collect(v.Field(i))
			}
		case v.CanInt():
			arrived[v.Int()] = true
		}
	}
	collect(reflect.ValueOf(limits(l)))
	for i := range v.NumField() {
		if !arrived[int64(i+1)] {
			t.Errorf("limits.%s is not passed on", v.Type().Field(i).Name)
		}
	}
}

func TestInterceptLimits_ComeFromTheConfig(t *testing.T) {
	c := &config.Config{
		Limits:   config.Limits{Message: 1, HTTPHeader: 2},
		Timeouts: config.Timeouts{Request: 3, Idle: 4, Progress: 5, Shutdown: 6},
	}
	l := interceptLimits(c)
	if l.Body != 1 || l.Header != 2 || l.HeaderTime != 3 || l.Idle != 4 || l.Progress != 5 || l.Grace != 6*time.Nanosecond {
		t.Errorf("%+v", l)
	}
}
