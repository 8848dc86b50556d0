package gss_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gsigw/gsi"
	"gsigw/gsi/gss"
	"gsigw/internal/gridtest"
	"gsigw/trust"
)

func TestConn_CarriesMessages(t *testing.T) {
	for _, version := range versions {
		client, server := connect(t, withVersion(example.initiator(), version), example.acceptor())
		if client.Peer().DN != gridtest.HostName || server.Peer().DN != gridtest.UserName || client.Version() != version {
			t.Errorf("the client sees %v, the server %v", client.Peer(), server.Peer())
		}
		for _, message := range []string{"hello", "\x00", strings.Repeat("x", 1<<14)} {
			for from, to := range map[*gss.Conn]*gss.Conn{client: server, server: client} {
				if err := from.Send(t.Context(), []byte(message)); err != nil {
					t.Fatal(err)
				}
				got, err := to.Receive(t.Context(), len(message))
				if err != nil || string(got) != message {
					t.Errorf("%d bytes came out as %d, %v", len(message), len(got), err)
				}
			}
		}
	}
}

// standardServer is crypto/tls's own: it names the CAs it knows.
func standardServer(t *testing.T, far net.Conn, edit func(*tls.Config)) <-chan []*x509.Certificate {
	config := &tls.Config{ClientAuth: tls.RequestClientCert, ClientCAs: x509.NewCertPool()}
	config.ClientCAs.AddCert(example.pki.CA.Cert)
	config.Certificates = []tls.Certificate{{Certificate: [][]byte{example.pki.Host.Leaf().Raw}, PrivateKey: example.pki.Host.Key}}
	edit(config)
	seen := make(chan []*x509.Certificate, 1)
	aside(t, far, func() {
		defer close(seen)
		s := tls.Server(far, config)
		if s.Handshake() != nil {
			return
		}
		flag := make([]byte, 1)
		if n, err := s.Read(flag); err != nil || flag[0] != '0' {
			t.Logf("flag %q, %v", flag[:n], err)
			return
		}
		seen <- s.ConnectionState().PeerCertificates
		s.Write([]byte("hello"))
	})
	return seen
}

func TestClient_ShowsTheChainToAServerThatHintsAtCAs(t *testing.T) {
	for _, version := range versions {
		near, far := loopback(t)
		seen := standardServer(t, far, func(c *tls.Config) { c.MaxVersion = version })
		client, err := gss.Client(t.Context(), near, example.initiator())
		if err != nil {
			t.Fatal(err)
		}
		if chain := <-seen; len(chain) != 2 || !chain[0].Equal(example.alice.Chain[0]) || !chain[1].Equal(example.alice.Chain[1]) {
			t.Errorf("%s: the server saw %d certificates", tls.VersionName(version), len(chain))
		}
		if got, err := client.Receive(t.Context(), 10); err != nil || string(got) != "hello" {
			t.Errorf("%s: got %q, %v", tls.VersionName(version), got, err)
		}
	}
}

func TestClient_RefusesAServerThatAsksForNoCertificate(t *testing.T) {
	for _, version := range versions {
		near, far := loopback(t)
		standardServer(t, far, func(c *tls.Config) { c.ClientAuth, c.MaxVersion = tls.NoClientCert, version })
		_, err := gss.Client(t.Context(), near, example.initiator())
		if err == nil || !strings.Contains(err.Error(), "asked for no certificate") {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
	}
}

func TestServer_ResumesNoSession(t *testing.T) {
	for _, version := range versions {
		config := &tls.Config{InsecureSkipVerify: true, MaxVersion: version, ClientSessionCache: tls.NewLRUClientSessionCache(1), ServerName: "x"}
		for range 2 {
			near, far := loopback(t)
			go func() {
				if conn, err := gss.Server(t.Context(), far, anonymous(example.acceptor())); err == nil {
					conn.Send(t.Context(), []byte("hello"))
				}
			}()
			client := tls.Client(near, config)
			if err := client.Handshake(); err != nil {
				t.Fatal(err)
			}
			if client.ConnectionState().DidResume {
				t.Errorf("%s: resumed", tls.VersionName(version))
			}
			client.Write([]byte("0"))
			for message := ""; !strings.HasSuffix(message, "hello"); { // a ticket would come before it
				part := make([]byte, 10)
				n, err := client.Read(part)
				if err != nil {
					t.Fatal(err)
				}
				message += string(part[:n])
			}
		}
	}
}

func anonymous(c gss.Config) gss.Config {
	c.AllowAnonymous = true
	return c
}

func TestClient_SpeaksToOldServersOnlyWhenTold(t *testing.T) {
	for _, told := range []bool{true, false} {
		near, far := loopback(t)
		standardServer(t, far, func(c *tls.Config) {
			c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS10
			c.CipherSuites = []uint16{tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA}
		})
		config := example.initiator()
		if told {
			config.MinVersion = tls.VersionTLS10
		}
		client, err := gss.Client(t.Context(), near, config)
		if told != (err == nil) {
			t.Errorf("told: %t, error %v", told, err)
		}
		if err == nil && client.Version() != tls.VersionTLS10 {
			t.Errorf("version %x", client.Version())
		}
	}
}

func TestConn_TakesWeakCiphersOnlyFromThoseWhoSpeakToOldPeers(t *testing.T) {
	for _, told := range []bool{true, false} {
		near, far := loopback(t)
		standardServer(t, far, func(c *tls.Config) {
			c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA}
		})
		config := example.initiator()
		if told {
			config.MinVersion = tls.VersionTLS11
		}
		if _, err := gss.Client(t.Context(), near, config); told != (err == nil) {
			t.Errorf("told: %t, error %v", told, err)
		}
	}
}

func TestClient_SaysThatThePeerSpeaksNoGSI(t *testing.T) {
	near, far := loopback(t)
	io.WriteString(far, "HTTP/1.0 400 Bad Request\r\n")
	_, err := gss.Client(t.Context(), near, example.initiator())
	if err == nil || !strings.Contains(err.Error(), `does not speak GSI: it says "HTTP/"`) {
		t.Errorf("error %v", err)
	}
	if _, err := near.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the connection is left open: %v", err)
	}
}

func TestClient_ClosesTheConnectionWhenItsConfigIsRefused(t *testing.T) {
	near, _ := loopback(t)
	if _, err := gss.Client(t.Context(), near, gss.Config{}); err == nil {
		t.Error("taken")
	}
	if _, err := near.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the connection is left open: %v", err)
	}
}

func TestServer_CutsOffAHandshakeWithoutEnd(t *testing.T) {
	near, far := loopback(t)
	go func() {
		record := append([]byte{22, 3, 3, 0x40, 0}, make([]byte, 1<<14)...)
		copy(record[5:], []byte{1, 0, 0xff, 0xff}) // a hello of 64 KB, and what follows it
		for {
			if _, err := near.Write(record); err != nil {
				return
			}
		}
	}()
	if _, err := gss.Server(t.Context(), far, example.acceptor()); err == nil {
		t.Error("taken")
	}
}

func TestClient_TellsTheServerWhyItIsRefused(t *testing.T) {
	stranger := gridtest.Must(example.pki.Other.Issue(gridtest.Request{Name: gridtest.HostName, Host: true}))
	for _, version := range versions {
		acceptor := example.acceptor()
		acceptor.Credential = stranger
		client, server := dial(t, withVersion(example.initiator(), version), acceptor)
		if !errors.Is(client.err, trust.UnknownCA) || server.err == nil || !strings.Contains(server.err.Error(), "the peer refused") {
			t.Errorf("client: %v; server: %v", client.err, server.err)
		}
	}
}

// With TLS 1.3 the server judges the client after the client's handshake is over.
func TestReceive_SaysThatTheServerRefusedOurCertificate(t *testing.T) {
	acceptor := example.acceptor()
	acceptor.Authorize = func(*gsi.Identity) error { return errors.New("unknown user") }
	client, server := dial(t, withVersion(example.initiator(), tls.VersionTLS13), acceptor)
	if client.err != nil || server.err == nil {
		t.Fatalf("client: %v; server: %v", client.err, server.err)
	}
	if _, err := client.conn.Receive(t.Context(), 10); err == nil || !strings.Contains(err.Error(), "refused us or our certificate") {
		t.Errorf("error %v", err)
	}
}

// In a bubble of synctest time passes when everybody waits, and what never ends panics.
func TestConn_EveryWaitEndsWithItsContext(t *testing.T) {
	silent := func(net.Conn) {}
	listening := func(far net.Conn) { io.Copy(io.Discard, far) }
	client := func(ctx context.Context, near net.Conn) error {
		_, err := gss.Client(ctx, near, example.initiator())
		return err
	}
	for name, test := range map[string]struct {
		far func(net.Conn)
		run func(context.Context, net.Conn) error
	}{
		"a hello that nobody reads":   {silent, client},
		"a hello that nobody answers": {listening, client},
		"an initiator that says nothing": {silent, func(ctx context.Context, near net.Conn) error {
			_, err := gss.Server(ctx, near, example.acceptor())
			return err
		}},
		"half a record": {func(far net.Conn) { far.Write([]byte{22, 3, 3, 0, 9, 1}) }, func(ctx context.Context, near net.Conn) error {
			_, err := gss.Server(ctx, near, example.acceptor())
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := net.Pipe()
				defer far.Close()
				go test.far(far)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if err := test.run(ctx, near); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("error %v", err)
				}
			})
		})
	}
}

func TestClose_WaitsForNobodyToReadTheLastWord(t *testing.T) {
	initiator, acceptor, now := withVersion(example.initiator(), tls.VersionTLS12), example.acceptor(), time.Now()
	initiator.Now = func() time.Time { return now } // in the bubble it is the year 2000
	acceptor.Now = initiator.Now
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		go gss.Server(t.Context(), far, acceptor) // which reads no more when it has shaken hands
		client, err := gss.Client(t.Context(), near, initiator)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		client.Close()
		if waited := time.Since(start); waited == 0 || waited > 10*time.Second {
			t.Errorf("closed after %s", waited)
		}
	})
}

func TestConn_CancelEndsSendAndReceiveAndTheConn(t *testing.T) {
	reason := errors.New("no longer wanted")
	for name, wait := range map[string]func(context.Context, *gss.Conn) error{
		"send": func(ctx context.Context, c *gss.Conn) error {
			for {
				if err := c.Send(ctx, make([]byte, 1<<20)); err != nil {
					return err
				}
			}
		},
		"receive": func(ctx context.Context, c *gss.Conn) error { _, err := c.Receive(ctx, 10); return err },
	} {
		client, _ := connect(t, example.initiator(), example.acceptor())
		ctx, cancel := context.WithCancelCause(t.Context())
		done := make(chan error)
		go func() { done <- wait(ctx, client) }()
		cancel(reason)
		err := <-done
		if !errors.Is(err, reason) {
			t.Errorf("%s: %v", name, err)
		}
		if again := client.Send(t.Context(), []byte("x")); again != err {
			t.Errorf("%s: after %v the conn goes on: %v", name, err, again)
		}
	}
}

func TestReceive_GivesNothingOnceItsContextIsDone(t *testing.T) {
	client, server := connect(t, example.initiator(), example.acceptor())
	server.Send(t.Context(), []byte("one"))
	server.Send(t.Context(), []byte("two"))
	if got, err := client.Receive(t.Context(), 10); err != nil || string(got) != "one" {
		t.Fatalf("got %q, %v", got, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := client.Receive(ctx, 10); !errors.Is(err, context.Canceled) || got != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestConn_IsDeadAfterClose(t *testing.T) {
	client, server := connect(t, example.initiator(), example.acceptor())
	client.Close()
	if err := client.Send(t.Context(), []byte("x")); err != gss.ErrClosed {
		t.Errorf("send: %v", err)
	}
	if _, err := server.Receive(t.Context(), 10); err != io.EOF {
		t.Errorf("the server heard %v", err)
	}
}

// A client says whom it means to talk to, sends, and receives. The server here answers what it hears.
func ExampleClient() {
	l := gridtest.Must(net.Listen("tcp", "127.0.0.1:0"))
	defer l.Close()
	go func() {
		ctx, config := context.Background(), gss.Config{Credential: example.pki.Host, Trust: example.store}
		conn := gridtest.Must(gss.Server(ctx, gridtest.Must(l.Accept()), config))
		defer conn.Close()
		conn.Send(ctx, append([]byte("you said "), gridtest.Must(conn.Receive(ctx, 1024))...))
	}()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	raw := gridtest.Must(new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String()))
	conn, err := gss.Client(ctx, raw, gss.Config{Credential: example.alice, Trust: example.store, Authorize: func(peer *gsi.Identity) error {
		if !trust.HostMatches(peer.EndEntity, "localhost") {
			return fmt.Errorf("the server is %s", peer.DN)
		}
		return nil
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	conn.Send(ctx, []byte("hello"))
	reply, err := conn.Receive(ctx, 1024)
	fmt.Println(string(reply), err)
	// Output: you said hello <nil>
}
