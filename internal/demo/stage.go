package demo

import (
	"bytes"
	"context"
	"crypto"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gsigw/gsi"
	"gsigw/internal/daemon"
	"gsigw/internal/gridtest"
	"gsigw/trust"
	"gsigw/wssec"
)

// stage is a grid on loopback.
type stage struct {
	dir     string
	service *gridtest.StandIn
	private *gridtest.StandIn // demands encryption
	engine  *engine
	signer  []byte // the proxy's certificate, PEM
	seen    chan gridtest.Seen
	stop    context.CancelFunc
	ended   chan error // the gateway's end
}

// setUp makes CA, host, user and proxy as stock GT4 had them, starts the service and the gateway.
func setUp(ctx context.Context, p *printer, w *Watch) (s *stage, err error) {
	p.chapter("A grid of your own")
	s = &stage{seen: make(chan gridtest.Seen, 16), ended: make(chan error, 1), stop: func() {}}
	if s.dir, err = os.MkdirTemp("", "gsigw-demo-grid-"); err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	if err := s.build(ctx, p, w); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *stage) build(ctx context.Context, p *printer, w *Watch) error {
	pki, err := gridtest.NewPKI(s.dir, gridtest.PKIOptions{Digest: crypto.SHA1})
	if err != nil {
		return err
	}
	proxy, err := pki.Proxy(gsi.Limits{Type: gsi.RFC, Lifetime: time.Hour})
	if err != nil {
		return err
	}
	if _, err := pki.WriteProxy("proxy.pem", proxy); err != nil {
		return err
	}
	s.signer = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: proxy.Leaf().Raw})
	w.keys(pki.Host, pki.User, pki.ECUser, proxy, &gsi.Credential{Key: pki.CA.Key})
	p.line("Made a CA, a host certificate, a user %s", gridtest.UserName)
	p.line("and the user's proxy certificate, good for an hour, in %s", s.dir)
	if err := s.startServices(pki, w); err != nil {
		return err
	}
	p.line("Service: %s, which demands GSI Secure Message as GT4 does", s.service.URL())
	p.line("Another: %s, which demands that it is encrypted", s.private.URL())
	if err := s.startGateway(ctx, w); err != nil {
		return err
	}
	p.line("Gateway: http://%s, the engine's HTTP proxy; its config:", s.engine.proxy)
	p.listing(strings.TrimSpace(s.config()))
	return nil
}

func (w *Watch) keys(c ...*gsi.Credential) {
	if w != nil {
		w.Keys(c...)
	}
}

func (s *stage) startServices(pki *gridtest.PKI, w *Watch) error {
	store, err := trust.Open(pki.TrustDir, trust.Options{})
	if err != nil {
		return err
	}
	o := gridtest.StandInOptions{Host: pki.Host, Trust: store, TLS: true, Stock: true, Digest: wssec.SHA1, Seen: s.saw}
	if w != nil {
		o.Tap = w.Conn
	}
	if s.service, err = gridtest.StartStandIn(o); err != nil {
		return err
	}
	o.Privacy = true
	s.private, err = gridtest.StartStandIn(o)
	return err
}

// saw hears of a request. Nobody waits for what nobody reads.
func (s *stage) saw(seen gridtest.Seen) {
	select {
	case s.seen <- seen:
	default:
	}
}

// config is the whole of the gateway's.
func (s *stage) config() string {
	return fmt.Sprintf(`
listen: {proxy: "127.0.0.1:0"}
trust: {dir: certificates}
credentials:
  jane: {proxy: proxy.pem}
routes:
  counter:
    target: %s
    upgrade: true        # the engine says http, the service gets https
    for: gt4
    message: gsi-message # sign as GSI Secure Message
    loopback: true
  private:
    target: %s
    upgrade: true
    for: gt4
    message: gsi-message
    privacy: true        # and encrypt, as GT4 4.0 can: with algorithms of its time
    encrypt-to: hostcert.pem
    cipher: aes128-cbc
    key-transport: rsa-1_5
    loopback: true
`, s.service.URL(), s.private.URL())
}

func (s *stage) startGateway(ctx context.Context, w *Watch) error {
	file := filepath.Join(s.dir, "gsigw.yaml")
	if err := os.WriteFile(file, []byte(s.config()), 0o600); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	d, err := daemon.New(daemon.Options{File: file, Version: "demo"})
	if err != nil {
		return err
	}
	ctx, s.stop = context.WithCancel(ctx)
	go func() { s.ended <- d.Run(ctx) }()
	s.engine = newEngine(d.Addr("proxy").String(), s.service.URL(), w)
	return nil
}

// close takes everything down, and removes the keys.
func (s *stage) close() error {
	var errs []error
	if s.engine != nil {
		s.engine.http.CloseIdleConnections()
		s.stop()
		errs = append(errs, <-s.ended)
	}
	for _, service := range []*gridtest.StandIn{s.service, s.private} {
		if service != nil {
			errs = append(errs, service.Close())
		}
	}
	return errors.Join(append(errs, os.RemoveAll(s.dir))...)
}

// engine sends plain SOAP, and knows of the gateway only its HTTP proxy setting.
type engine struct {
	proxy string // host:port
	url   string
	http  *http.Client
}

func newEngine(proxy, service string, w *Watch) *engine {
	transport := &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: proxy})}
	if w != nil {
		transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return w.Conn(c), nil
		}
	}
	return &engine{proxy: proxy, url: strings.Replace(service, "https:", "http:", 1), http: &http.Client{Transport: transport, Timeout: 30 * time.Second}}
}

func (e *engine) post(ctx context.Context, action string, body []byte) (status int, reply []byte, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Content-Type", "text/xml; charset=utf-8")
	r.Header.Set("SOAPAction", `"`+action+`"`)
	response, err := e.http.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	reply, err = io.ReadAll(response.Body)
	return response.StatusCode, reply, err
}
