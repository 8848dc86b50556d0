package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
	"gsigw/soap"
	"gsigw/soap/spool"
	"gsigw/wssec"
)

// largeGateway is a gateway in a process of its own, between an engine and a service here.
type largeGateway struct {
	testing.TB
	process *exec.Cmd
	engine  *http.Client
	service *largeService
	log     strings.Builder
}

const largeConfig = `
listen: {proxy: "127.0.0.1:0"}
trust: {dir: pki/certificates}
credentials: {me: {proxy: pki/proxy.pem}}
limits: {message: 4GiB}
timeouts: {header: 10m, total: 60m}
log: {format: json}
routes:
  large: {target: "%s/*", message: gsi-message, loopback: true, peer: ["%s"]}
`

func newLargeGateway(t testing.TB, size int64) *largeGateway {
	t.Helper()
	m := newMeasured(t)
	pki := gridtest.Must(gridtest.NewPKI(filepath.Join(m.dir, "pki"), gridtest.PKIOptions{}))
	gridtest.Must(pki.WriteProxy("proxy.pem", gridtest.Must(pki.Proxy(gsi.Limits{Lifetime: time.Hour}))))
	g := &largeGateway{TB: t, service: newLargeService(t, pki.Host, size)}
	config := fmt.Sprintf(largeConfig, g.service.URL, gridtest.HostName)
	if err := os.WriteFile(filepath.Join(m.dir, "gsigw.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	g.process = exec.Command(m.gsigw, "run", "--config", "gsigw.yaml")
	g.process.Dir = m.dir
	log, err := g.process.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := g.process.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(log)
	proxy := listening(t, lines)
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines.Scan() {
			g.log.WriteString(lines.Text() + "\n")
		}
	}()
	t.Cleanup(func() {
		g.process.Process.Signal(syscall.SIGTERM)
		<-read
		g.process.Wait()
		if t.Failed() {
			t.Log(g.log.String())
		}
	})
	transport := &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: proxy})}
	t.Cleanup(transport.CloseIdleConnections)
	g.engine = &http.Client{Transport: transport}
	return g
}

// listening reads the log up to the record that the gateway listens, and where.
func listening(t testing.TB, log *bufio.Scanner) string {
	t.Helper()
	var all strings.Builder
	for log.Scan() {
		var record struct{ Msg, Addr string }
		if json.Unmarshal(log.Bytes(), &record) == nil && record.Msg == "listening" {
			return record.Addr
		}
		all.WriteString(log.Text() + "\n")
	}
	t.Fatalf("the gateway does not listen:\n%s", all.String())
	return ""
}

// resident is what of the process is in memory, in megabytes: VmRSS now, VmHWM at most so far.
func (g *largeGateway) resident(what string) float64 {
	g.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", g.process.Process.Pid))
	if err != nil {
		g.Fatal(err)
	}
	var kib float64
	_, rest, _ := strings.Cut(string(status), what+":")
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		g.Fatalf("%s: %v", what, err)
	}
	return kib / 1024
}

// call sends a message and takes one of the same size.
func (g *largeGateway) call() {
	g.Helper()
	size := g.service.size
	r, err := g.engine.Post(g.service.URL+"/large", "text/xml; charset=utf-8", manyElements(size))
	if err != nil {
		g.Fatal(err)
	}
	defer r.Body.Close()
	n, err := io.Copy(io.Discard, r.Body)
	if err != nil || r.StatusCode != http.StatusOK || n < size*9/10 {
		g.Fatalf("answer %d, %d bytes: %v", r.StatusCode, n, err)
	}
}

// largeService answers with a signed message of some size.
type largeService struct {
	*httptest.Server
	testing.TB
	signer *gsi.Credential
	pool   spool.Pool
	size   int64
	calls  atomic.Int64
}

func newLargeService(t testing.TB, signer *gsi.Credential, size int64) *largeService {
	s := &largeService{TB: t, signer: signer, size: size}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Server.Close)
	return s
}

func (s *largeService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if n, err := io.Copy(io.Discard, r.Body); err != nil || n < s.size {
		s.Errorf("the service got %d bytes: %v", n, err)
	}
	header := fmt.Sprintf(`<a:MessageID xmlns:a="%[1]s">urn:uuid:reply-%[2]d</a:MessageID><a:RelatesTo xmlns:a="%[1]s">urn:uuid:1</a:RelatesTo>`,
		soap.Addressing200508, s.calls.Add(1))
	lying, err := s.pool.Read(messageOf(header, s.size), math.MaxInt64-1)
	if err != nil {
		s.Error(err)
		return
	}
	defer lying.Close()
	m, err := soap.Read(lying.Source(), soap.Limits{MessageBytes: math.MaxInt64})
	if err != nil {
		s.Error(err)
		return
	}
	reply, _, err := (&wssec.GSIMessage{Unanswered: true}).Secure(r.Context(), m, s.signer)
	if err != nil {
		s.Error(err)
		return
	}
	w.Header().Set("Content-Type", soap.V11.ContentType())
	reply.WriteTo(w)
}

func TestMemory_OfTheGatewayDoesNotGrowWithTheMessage(t *testing.T) {
	const (
		size  = 64 << 20
		bound = 48 // MB above idle, with a request and a reply of that size
	)
	g := newLargeGateway(t, size)
	idle := g.resident("VmHWM")
	g.call()
	peak := g.resident("VmHWM")
	t.Logf("idle %.1f MB; requests and replies of %d MiB: %.1f MB above", idle, size>>20, peak-idle)
	if peak-idle > bound {
		t.Errorf("more than %d MB above idle", bound)
	}
}

// BenchmarkOneGigabyteCall sends 1 GiB through a gateway and gets 1 GiB back.
func BenchmarkOneGigabyteCall(b *testing.B) {
	const size = 1 << 30
	g := newLargeGateway(b, size)
	idle := g.resident("VmHWM")
	b.SetBytes(2 * size)
	for b.Loop() {
		g.call()
	}
	b.ReportMetric(idle, "MB-idle")
	b.ReportMetric(g.resident("VmHWM")-idle, "MB-above-idle")
	b.ReportMetric(g.resident("VmRSS")-idle, "MB-above-idle-afterwards")
}
