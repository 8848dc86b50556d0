package gss_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gsigw/gsi"
	"gsigw/gsi/gss"
	"gsigw/internal/gridtest"
	"gsigw/trust"
)

// loopback connects two ends over TCP.
func loopback(t testing.TB) (client, server net.Conn) {
	t.Helper()
	l := gridtest.Must(net.Listen("tcp", "127.0.0.1:0"))
	defer l.Close()
	client = gridtest.Must(net.Dial("tcp", l.Addr().String()))
	server = gridtest.Must(l.Accept())
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

type result struct {
	conn *gss.Conn
	err  error
}

// dial runs a client against a server.
func dial(t testing.TB, initiator, acceptor gss.Config) (client, server result) {
	t.Helper()
	near, far := loopback(t)
	done := make(chan result)
	go func() {
		conn, err := gss.Server(t.Context(), far, acceptor)
		done <- result{conn, err}
	}()
	conn, err := gss.Client(t.Context(), near, initiator)
	return result{conn, err}, <-done
}

func connect(t testing.TB, initiator, acceptor gss.Config) (client, server *gss.Conn) {
	t.Helper()
	c, s := dial(t, initiator, acceptor)
	if c.err != nil || s.err != nil {
		t.Fatalf("client: %v; server: %v", c.err, s.err)
	}
	t.Cleanup(func() { c.conn.Close(); s.conn.Close() })
	return c.conn, s.conn
}

// peer makes a server that has shaken hands and nothing else, to misbehave by hand.
func peer(t testing.TB, version uint16) (client *gss.Conn, server *gss.Context, far net.Conn) {
	t.Helper()
	near, far := loopback(t)
	acceptor := gridtest.Must(gss.Accept(example.acceptor()))
	done := make(chan error)
	go func() {
		_, err := gss.Handshake(t.Context(), far, acceptor)
		done <- err
	}()
	client, err := gss.Client(t.Context(), near, withVersion(example.initiator(), version))
	if err := errors.Join(err, <-done); err != nil {
		t.Fatal(err)
	}
	return client, acceptor, far
}

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

func TestReceiveUntil_PutsRecordsTogether(t *testing.T) {
	client, server := connect(t, example.initiator(), example.acceptor())
	message := append(bytes.Repeat([]byte{'x'}, 100_000), 0)
	go server.Send(t.Context(), message)
	got, err := client.ReceiveUntil(t.Context(), len(message), func(m []byte) (bool, error) { return m[len(m)-1] == 0, nil })
	if err != nil || !bytes.Equal(got, message) {
		t.Errorf("got %d of %d bytes, %v", len(got), len(message), err)
	}
}

func TestReceiveUntil_RefusesWhatIsTooLongOrWrong(t *testing.T) {
	wrong := errors.New("wrong")
	for name, test := range map[string]struct {
		limit int
		whole error
		want  error
	}{"too long": {50_000, nil, gss.ErrTooLong}, "wrong": {200_000, wrong, wrong}} {
		client, server := connect(t, example.initiator(), example.acceptor())
		go server.Send(t.Context(), bytes.Repeat([]byte{'x'}, 100_000))
		got, err := client.ReceiveUntil(t.Context(), test.limit, func([]byte) (bool, error) { return false, test.whole })
		if err != test.want || got != nil {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}

func TestReceive_RefusesMessagesBeyondTheLimitAndIsDeadAfterwards(t *testing.T) {
	client, server := connect(t, example.initiator(), example.acceptor())
	server.Send(t.Context(), []byte("four+"))
	server.Send(t.Context(), []byte("more"))
	for range 2 {
		if got, err := client.Receive(t.Context(), 4); err != gss.ErrTooLong || got != nil {
			t.Errorf("got %q, %v", got, err)
		}
	}
	if err := client.Send(t.Context(), []byte("x")); err != gss.ErrTooLong {
		t.Errorf("send: %v", err)
	}
}

func TestReceive_RefusesTokensAnnouncedTooLong(t *testing.T) {
	for _, length := range []uint32{1<<20 + 1<<18, 1<<24 + 1, 0xffffffff, 4, 0} {
		client, _, far := peer(t, tls.VersionTLS13)
		far.Write(append(binary.BigEndian.AppendUint32(nil, length), "hello"...))
		if got, err := client.Receive(t.Context(), 1<<20); err == nil || got != nil {
			t.Errorf("%d: got %q, %v", length, got, err)
		}
	}
}

func TestReceive_TakesTokensWithALengthBeforeThem(t *testing.T) {
	client, server, far := peer(t, tls.VersionTLS13)
	message := strings.Repeat("x", 100_000)
	token := wrap(t, server, message)
	far.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(token))), token...))
	far.Write(wrap(t, server, "without"))
	for _, want := range []string{message, "without"} {
		if got, err := client.Receive(t.Context(), len(want)); err != nil || string(got) != want {
			t.Errorf("got %d of %d bytes, %v", len(got), len(want), err)
		}
	}
}

func TestReceive_TellsAnEndFromACut(t *testing.T) {
	for _, version := range versions {
		client, server, far := peer(t, version)
		far.Write(append(wrap(t, server, "last"), server.Close()...))
		if got, err := client.Receive(t.Context(), 10); err != nil || string(got) != "last" {
			t.Errorf("got %q, %v", got, err)
		}
		if got, err := client.Receive(t.Context(), 10); err != io.EOF || got != nil {
			t.Errorf("closed: %q, %v", got, err)
		}
		for _, cut := range []int{0, 1, 5, 7} {
			client, server, far := peer(t, version)
			far.Write(wrap(t, server, "last")[:cut])
			far.(*net.TCPConn).CloseWrite()
			if got, err := client.Receive(t.Context(), 10); !errors.Is(err, io.ErrUnexpectedEOF) || got != nil {
				t.Errorf("cut after %d bytes: %q, %v", cut, got, err)
			}
		}
	}
}

func TestReceive_EndOfOneTokenIsKeptForTheNextCall(t *testing.T) {
	client, server, far := peer(t, tls.VersionTLS13)
	token := append(wrap(t, server, "last"), server.Close()...)
	far.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(token))), token...))
	if got, err := client.Receive(t.Context(), 10); err != nil || string(got) != "last" {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := client.Receive(t.Context(), 10); err != io.EOF || got != nil {
		t.Errorf("closed: %q, %v", got, err)
	}
}

// The null byte stands where Globus has no session ticket to send; after it, a null byte is a message.
func TestReceive_PassesOverTheNullByteOfTheHandshakeOnly(t *testing.T) {
	for version, want := range map[uint16]string{tls.VersionTLS12: "\x00", tls.VersionTLS13: "hello"} {
		client, server, far := peer(t, version)
		far.Write(wrap(t, server, "\x00"))
		far.Write(wrap(t, server, "hello"))
		if got, err := client.Receive(t.Context(), 10); err != nil || string(got) != want {
			t.Errorf("%s: got %q, %v", tls.VersionName(version), got, err)
		}
	}
	client, server, far := peer(t, tls.VersionTLS13)
	far.Write(append(wrap(t, server, "hello"), wrap(t, server, "\x00")...))
	for _, want := range []string{"hello", "\x00"} {
		if got, err := client.Receive(t.Context(), 10); err != nil || string(got) != want {
			t.Errorf("got %q, %v", got, err)
		}
	}
}

func TestReceive_CutsOffTokensWithoutEnd(t *testing.T) {
	client, _, far := peer(t, tls.VersionTLS13)
	far.Write(bytes.Repeat([]byte{20, 3, 3, 0, 1, 1}, 100))
	if got, err := client.Receive(t.Context(), 10); err == nil || got != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

// standardServer is crypto/tls's own: it names the CAs it knows.
func standardServer(t *testing.T, far net.Conn, edit func(*tls.Config)) <-chan []*x509.Certificate {
	config := &tls.Config{ClientAuth: tls.RequestClientCert, ClientCAs: x509.NewCertPool()}
	config.ClientCAs.AddCert(example.pki.CA.Cert)
	config.Certificates = []tls.Certificate{{Certificate: [][]byte{example.pki.Host.Leaf().Raw}, PrivateKey: example.pki.Host.Key}}
	edit(config)
	seen := make(chan []*x509.Certificate, 1)
	go func() {
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
	}()
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

// opensslServer starts `openssl s_server`, which verifies the client's chain itself and says each line backwards.
func opensslServer(t *testing.T, args ...string) (addr string) {
	t.Helper()
	openssl, err := exec.LookPath("openssl")
	if err != nil && os.Getenv("CI") == "" {
		t.Skip("openssl is not installed")
	}
	pki := gridtest.Must(gridtest.NewPKI(t.TempDir(), gridtest.PKIOptions{}))
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: example.pki.CA.Cert.Raw})
	if err := errors.Join(pki.WritePair("host", example.pki.Host), os.WriteFile(filepath.Join(pki.Dir, "ca.pem"), ca, 0o600)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(openssl, append([]string{"s_server", "-accept", "127.0.0.1:0", "-cert", "hostcert.pem", "-key", "hostkey.pem",
		"-CAfile", "ca.pem", "-Verify", "10", "-verify_return_error", "-allow_proxy_certs", "-rev"}, args...)...)
	cmd.Dir = pki.Dir
	out := gridtest.Must(cmd.StdoutPipe())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if addr, ok := strings.CutPrefix(lines.Text(), "ACCEPT "); ok {
			go io.Copy(io.Discard, out) // keep the pipe from filling
			return addr
		}
	}
	t.Fatal("openssl s_server did not start")
	return ""
}

func TestReceive_PassesOverSessionTicketsUpToALimit(t *testing.T) {
	for _, test := range []struct{ tickets, want string }{{"0", "olleh0\n"}, {"3", "olleh0\n"}, {"100", ""}} {
		raw := gridtest.Must(net.Dial("tcp", opensslServer(t, "-num_tickets", test.tickets)))
		client, err := gss.Client(t.Context(), raw, withVersion(example.initiator(), tls.VersionTLS13))
		if err != nil {
			t.Fatal(err)
		}
		client.Send(t.Context(), []byte("hello\n"))
		got, err := client.Receive(t.Context(), 10)
		if string(got) != test.want || (err == nil) != (test.want != "") {
			t.Errorf("%s tickets: got %q, %v", test.tickets, got, err)
		}
		client.Close()
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

func FuzzReadToken(f *testing.F) {
	f.Add([]byte{22, 3, 1, 0, 1, 1})
	f.Add([]byte{0, 0, 0, 6, 22, 3, 1, 0, 1, 1})
	f.Add([]byte{0, 0xff, 0xff, 0xff, 22})
	f.Add([]byte{26, 3, 0, 0, 20})
	f.Fuzz(func(t *testing.T, data []byte) {
		token, err := gss.ReadToken(bufio.NewReader(bytes.NewReader(data)), 1000)
		if err == nil && (len(token) < 5 || len(token) > 1000) {
			t.Errorf("a token of %d bytes", len(token))
		}
	})
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
