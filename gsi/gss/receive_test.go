package gss_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"gsigw/gsi/gss"
	"gsigw/internal/gridtest"
)

// sendAside sends while the test goes on.
func sendAside(t *testing.T, c *gss.Conn, message []byte) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- c.Send(ctx, message) }()
	t.Cleanup(func() { cancel(); <-done })
}

func TestReceiveUntil_PutsRecordsTogether(t *testing.T) {
	client, server := connect(t, example.initiator(), example.acceptor())
	message := append(bytes.Repeat([]byte{'x'}, 100_000), 0)
	sendAside(t, server, message)
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
		sendAside(t, server, bytes.Repeat([]byte{'x'}, 100_000))
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
			if got, err := client.Receive(t.Context(), 10); !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), "closed the connection") || got != nil {
				t.Errorf("cut after %d bytes: %q, %v", cut, got, err)
			}
		}
	}
}

func TestReceive_SaysWhatALostConnectionMayMean(t *testing.T) {
	for _, version := range versions {
		client, _, far := peer(t, version)
		far.(*net.TCPConn).CloseWrite()
		_, err := client.Receive(t.Context(), 10)
		if !errors.Is(err, io.ErrUnexpectedEOF) || strings.Contains(err.Error(), "refused our certificate") != (version == tls.VersionTLS13) {
			t.Errorf("%s: %v", tls.VersionName(version), err)
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

func FuzzReadToken(f *testing.F) {
	f.Add([]byte{22, 3, 1, 0, 1, 1})
	f.Add([]byte{0, 0, 0, 6, 22, 3, 1, 0, 1, 1})
	f.Add([]byte{0, 0xff, 0xff, 0xff, 22})
	f.Add([]byte{26, 3, 0, 0, 20})
	f.Fuzz(func(t *testing.T, data []byte) {
		token, err := gss.ReadToken(bufio.NewReader(bytes.NewReader(data)), 1000)
		if err == nil && len(token) > 1000 {
			t.Errorf("a token of %d bytes", len(token))
		}
	})
}

// strangers announces a token of a megabyte and then stalls, or ends.
type strangers struct{ left []byte }

func (s *strangers) Read(p []byte) (int, error) {
	if len(s.left) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.left)
	s.left = s.left[n:]
	return n, nil
}

func TestReadToken_HoldsMemoryForWhatHasComeAlone(t *testing.T) {
	const announced = 1 << 20
	r := bufio.NewReader(nil)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 100 {
		r.Reset(&strangers{[]byte{0, announced >> 16, 0, 0, 22}})
		if _, err := gss.ReadToken(r, announced); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / 100; each > 16<<10 {
		t.Errorf("five bytes take %d", each)
	}
}
