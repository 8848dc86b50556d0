// Package gridtest is a grid in a process: a PKI with users, a host and proxies of every kind, and a stand-in for a
// GT4 service that demands GSI Secure Message as strictly as a GT4 4.0 container does, and that
// misbehaves on demand. Tests and the demo run it; it needs no package testing.
//
//	pki, err := gridtest.NewPKI(dir, gridtest.PKIOptions{})
//	service, err := gridtest.StartStandIn(gridtest.StandInOptions{Host: pki.Host, Trust: store, TLS: true})
//	defer service.Close()
package gridtest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"gsigw/gsi"
	"gsigw/soap"
	"gsigw/soap/xmlscan"
	"gsigw/wssec"
)

// StandIn is a counter service that does as GT4's container does (facts/gt4-wire.md): it demands GSI Secure Message,
// refuses what the container refuses, and signs its replies. It can be told to misbehave.
//
//	service, err := gridtest.StartStandIn(gridtest.StandInOptions{Host: pki.Host, Trust: store, TLS: true})
//	defer service.Close()
//	service.Misbehave(gridtest.TamperBody)
//
// The operations are createCounter, add, GetResourceProperty (Value) and Destroy, with a CounterKey header as resource
// key (testdata/wsdl/counter.wsdl).
type StandIn struct {
	options  StandInOptions
	verifier *wssec.Verifier // opens with the host's key
	listener net.Listener
	server   *http.Server
	done     chan struct{}

	mu       sync.Mutex
	counters map[string]int // by resource key
	last     []byte         // the last good reply
	fault    Misbehaviour
}

// StandInOptions describe a StandIn.
type StandInOptions struct {
	Host  *gsi.Credential // serves TLS and signs replies
	Other *gsi.Credential // signs when the service is to misbehave by signing as somebody else
	Trust wssec.Trust     // whom it believes

	TLS         bool               // https
	ClientCerts tls.ClientAuthType // with TLS: RequestClientCert or RequireAnyClientCert; Trust judges them
	Stock       bool               // as stock GT4 4.0.3: no SHA-2 in certificates
	Plain       bool               // takes unsecured messages and answers alike
	Privacy     bool               // demands encrypted messages; replies to those that are, are encrypted in any case
	Modern      bool               // WS-Security of today instead of GT4's (standin_modern.go)
	Confirm     bool               // with Modern: confirms the signature of requests
	Users       map[string]string  // with Modern: passwords that will do instead of a signature, over TLS
	Digest      wssec.Digest       // of its signatures
	Authorized  []string           // DNs that may call; none: everyone who is trusted
	Now         func() time.Time   // nil: time.Now
	Listener    net.Listener       // nil: a loopback port
	Seen        func(Seen)         // hears of every request before it is answered; may be nil
	// Tap wraps the connections, with TLS both outside and inside of it; nil: none. Client certificates go unseen then.
	Tap func(net.Conn) net.Conn
}

// Seen is what the service knows of one request.
type Seen struct {
	Operation soap.Name
	Signer    string // DN of who signed the message; empty where nobody did
	User      string // whose password came with it, or whose assertion
	Encrypted bool
	TLSPeer   string // DN of the client certificate; empty where there was none
	Request   []byte // as received
	Reply     []byte // as sent
}

// StandInPath is where the service is.
const StandInPath = "/wsrf/services/SecureCounterService"

// StartStandIn starts a service; Close ends it.
func StartStandIn(o StandInOptions) (*StandIn, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &StandIn{options: o, counters: map[string]int{}, done: make(chan struct{})}
	s.verifier = &wssec.Verifier{
		Trust: o.Trust, Now: o.Now, IgnoreSignedInfoPrefixes: !o.Modern,
		Replay: wssec.NewReplayCache(0, o.Now), Algorithms: wssec.Algorithms{SHA1: !o.Modern}, Decrypt: opening(o.Host),
	}
	if err := s.listen(); err != nil {
		return nil, err
	}
	s.server = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	go func() {
		defer close(s.done)
		s.server.Serve(s.listener)
	}()
	return s, nil
}

func (s *StandIn) listen() (err error) {
	s.listener = s.options.Listener
	if s.listener == nil {
		if s.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return fmt.Errorf("gridtest: %w", err)
		}
	}
	s.tap()
	if s.options.TLS {
		s.listener = tls.NewListener(s.listener, s.tlsConfig())
		s.tap()
	}
	return nil
}

func (s *StandIn) tap() {
	if s.options.Tap != nil {
		s.listener = tapped{s.listener, s.options.Tap}
	}
}

type tapped struct {
	net.Listener
	wrap func(net.Conn) net.Conn
}

func (t tapped) Accept() (net.Conn, error) {
	c, err := t.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return t.wrap(c), nil
}

func (s *StandIn) tlsConfig() *tls.Config {
	cert := tls.Certificate{PrivateKey: s.options.Host.Key}
	for _, c := range s.options.Host.Chain {
		cert.Certificate = append(cert.Certificate, c.Raw)
	}
	return &tls.Config{
		Certificates: []tls.Certificate{cert}, ClientAuth: s.options.ClientCerts, NextProtos: []string{"http/1.1"},
		Time: s.options.Now,
		VerifyConnection: func(state tls.ConnectionState) error {
			_, err := s.peer(&state)
			return err
		},
	}
}

// peer is who is at the other end of TLS, empty for nobody.
func (s *StandIn) peer(state *tls.ConnectionState) (string, error) {
	if state == nil || len(state.PeerCertificates) == 0 {
		return "", nil
	}
	id, err := s.options.Trust.Verify(state.PeerCertificates, s.options.Now())
	if err != nil {
		return "", err
	}
	return id.DN, nil
}

// URL is where the service is. A PKI's Host has that address in its certificate; no name needs to be resolved.
func (s *StandIn) URL() string {
	scheme := "http"
	if s.options.TLS {
		scheme = "https"
	}
	return scheme + "://" + s.listener.Addr().String() + StandInPath
}

// Close ends the service and waits until it has.
func (s *StandIn) Close() error {
	err := s.server.Close()
	<-s.done
	return err
}

// Misbehave has the service do something wrong with every reply from now on.
func (s *StandIn) Misbehave(m Misbehaviour) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = m
}

func (s *StandIn) misbehaviour() Misbehaviour {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fault
}

const maxRequest = 32 << 20

// ServeHTTP serves one request.
func (s *StandIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != StandInPath || r.Method != http.MethodPost {
		http.Error(w, "there is nothing here", http.StatusNotFound)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		return
	}
	seen := Seen{Request: body}
	seen.TLSPeer, _ = s.peer(r.TLS) // verified in the handshake
	status, reply := s.exchange(r.Context(), &seen)
	seen.Reply = reply
	if s.options.Seen != nil {
		s.options.Seen(seen)
	}
	s.answer(w, r, status, reply)
}

// exchange is one call: what is wrong with it becomes a fault, as the container words it.
func (s *StandIn) exchange(ctx context.Context, seen *Seen) (status int, reply []byte) {
	m, err := soap.Read(xmlscan.Memory(seen.Request), soap.Limits{})
	if err != nil {
		return http.StatusInternalServerError, faultEnvelope(nil, s.URL(), &gt4Fault{"soapenv:Server.userException", err.Error()})
	}
	seen.Operation = m.Operation
	reply, err = s.serve(ctx, m, seen)
	if err != nil {
		fault, ok := errors.AsType[*gt4Fault](err)
		if !ok {
			fault = &gt4Fault{"soapenv:Server.userException", err.Error()}
		}
		return http.StatusInternalServerError, faultEnvelope(m, s.URL(), fault)
	}
	return http.StatusOK, reply
}

func (s *StandIn) serve(ctx context.Context, m *soap.Message, seen *Seen) ([]byte, error) {
	c := &caller{message: m, text: seen.Request}
	if !s.options.Plain || hasSecurity(m) {
		var err error
		if c, err = s.authenticate(ctx, m, seen.Request); err != nil {
			return nil, err
		}
	}
	seen.Signer, seen.User, seen.Encrypted, seen.Operation = c.signer, c.user, c.encrypted, c.message.Operation
	result, err := s.call(c.message, c.text)
	if err != nil {
		return nil, err
	}
	plain := replyEnvelope(c.message, s.URL(), result, s.misbehaviour())
	if seen.Signer == "" {
		return plain, nil
	}
	return s.secured(ctx, plain, c)
}

// caller is who sent a request, and what it said.
type caller struct {
	signer    string // DN; empty where nobody signed
	user      string // known by a password or an assertion instead
	message   *soap.Message
	text      []byte            // of the message, as it was before it was encrypted
	encrypted bool              // it came encrypted
	cert      *x509.Certificate // whose key signed
	value     string            // of the signature, base64
}
