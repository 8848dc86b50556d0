package gss_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"gsigw/gsi/gss"
	"gsigw/internal/gridtest"
)

// updater writes key updates of TLS 1.3 that ask for one in return (RFC 8446, section 4.6.3). crypto/tls writes none.
type updater struct {
	secret   []byte
	sequence uint64
}

// updates is a client and what writes key updates to it. The traffic secret is found in the server's key log.
func updates(t *testing.T) (*gss.Conn, net.Conn, *updater) {
	t.Helper()
	near, far := loopback(t)
	var log bytes.Buffer
	seen := standardServer(t, far, func(c *tls.Config) {
		c.KeyLogWriter, c.MinVersion = &log, tls.VersionTLS13
	})
	client, err := gss.Client(t.Context(), near, example.initiator())
	if err != nil {
		t.Fatal(err)
	}
	<-seen
	if message, err := client.Receive(t.Context(), 10); err != nil || string(message) != "hello" {
		t.Fatalf("got %q, %v", message, err)
	}
	for line := range strings.Lines(log.String()) {
		if fields := strings.Fields(line); fields[0] == "SERVER_TRAFFIC_SECRET_0" {
			return client, far, &updater{gridtest.Must(hex.DecodeString(fields[2])), 1}
		}
	}
	t.Fatal("no traffic secret")
	return nil, nil, nil
}

func (u *updater) expand(label string, n int) []byte {
	info := append([]byte{0, byte(n), byte(len("tls13 " + label))}, "tls13 "+label+"\x00"...)
	return gridtest.Must(hkdf.Expand(sha256.New, u.secret, string(info), n))
}

// seal makes the record after the one that the server wrote itself, its last byte the kind.
func (u *updater) seal(plain ...byte) []byte {
	gcm := gridtest.Must(cipher.NewGCM(gridtest.Must(aes.NewCipher(u.expand("key", 16)))))
	nonce := u.expand("iv", 12)
	tail := nonce[4:]
	binary.BigEndian.PutUint64(tail, binary.BigEndian.Uint64(tail)^u.sequence)
	u.sequence++
	header := []byte{23, 3, 3, 0, byte(len(plain) + gcm.Overhead())}
	return gcm.Seal(slices.Clone(header), nonce, plain, header)
}

func (u *updater) update() []byte {
	record := u.seal(24, 0, 0, 1, 1, 22)
	u.secret, u.sequence = u.expand("traffic upd", sha256.Size), 0
	return record
}

func TestReceive_CutsOffKeyUpdatesWithoutEnd(t *testing.T) {
	client, far, u := updates(t)
	var answers int
	for answers = range 1000 {
		for range 10 {
			far.Write(u.update())
		}
		far.Write(u.seal('x', 23))
		message, err := client.Receive(t.Context(), 1)
		if err != nil {
			if !strings.Contains(err.Error(), "changes its keys without end") {
				t.Errorf("error %v", err)
			}
			break
		}
		if string(message) != "x" {
			t.Fatalf("got %q", message)
		}
	}
	if answers < 10 || answers > 500 {
		t.Errorf("cut off after %d messages", answers)
	}
}

func TestSend_AnswersKeyUpdates(t *testing.T) {
	client, far, u := updates(t)
	far.Write(append(u.update(), u.seal('x', 23)...))
	if message, err := client.Receive(t.Context(), 1); err != nil || string(message) != "x" {
		t.Fatalf("got %q, %v", message, err)
	}
	client.Send(t.Context(), []byte("y"))
	client.Close()
	written := gridtest.Must(io.ReadAll(far))
	if n := records(written); n != 3 {
		t.Errorf("%d records for an answer, a message and the end", n)
	}
}
