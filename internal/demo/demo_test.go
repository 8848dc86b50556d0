package demo

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
)

// runDemo runs the demo with its files in a directory that the test removes.
func runDemo(t *testing.T, o Options) string {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	var out bytes.Buffer
	o.Out = &out
	if err := Run(t.Context(), o); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	return out.String()
}

func TestRun_ShowsEveryView(t *testing.T) {
	out := runDemo(t, Options{})
	for _, want := range []string{
		"ok Signed by /O=Grid/OU=GT4Lab/CN=Test User",
		"no With one character changed",
		"+   Body",
		"ok The service saw the user: " + gridtest.UserName,
		"addResponse  5",
		"EncryptedData  aes128-cbc",
		"ok The service read createCounter from " + gridtest.UserName,
		"no Refused. The engine gets HTTP 500",
		"xmlsec1 --verify",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the demo does not say %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "\x1b") {
		t.Error("colour where none was asked for")
	}
}

func TestRun_HasColourWhereAsked(t *testing.T) {
	if out := runDemo(t, Options{Colour: true}); !strings.Contains(out, "\x1b[32mok\x1b[0m") {
		t.Error("no colour")
	}
}

func TestRun_LeavesNoKeyBehind(t *testing.T) {
	runDemo(t, Options{})
	err := filepath.Walk(os.Getenv("TMPDIR"), func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		if data, err := os.ReadFile(path); err != nil || bytes.Contains(data, []byte("PRIVATE KEY")) {
			t.Errorf("%s holds a key: %v", path, err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestRun_NamesAnXmlsec1LineThatHolds(t *testing.T) {
	if _, err := exec.LookPath("xmlsec1"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("xmlsec1 is missing: apt-get install xmlsec1")
		}
		t.Skip("xmlsec1 is not installed")
	}
	out := runDemo(t, Options{})
	line := regexp.MustCompile(`(?s)xmlsec1 --verify.*?signed\.xml`).FindString(out)
	if report, err := exec.CommandContext(t.Context(), "sh", "-c", line).CombinedOutput(); err != nil || !bytes.Contains(report, []byte("7/7")) {
		t.Errorf("%v: %s", err, report)
	}
}

func TestRun_ServesUntilItIsInterrupted(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	ctx, stop := context.WithCancel(t.Context())
	up := &waiter{words: "-Dhttp.proxyHost", found: stop}
	if err := Run(ctx, Options{Out: up, Serve: true}); err != nil {
		t.Error(err)
	}
	if !strings.Contains(up.String(), "curl --proxy") {
		t.Error(up)
	}
}

// waiter calls found when the words were written.
type waiter struct {
	bytes.Buffer
	words string
	found func()
}

func (w *waiter) Write(p []byte) (int, error) {
	n, err := w.Buffer.Write(p)
	if strings.Contains(w.String(), w.words) {
		w.found()
	}
	return n, err
}

// tape records all bytes of all connections, in both directions.
type tape struct {
	mu    sync.Mutex
	conns []*taped
	keys  []*gsi.Credential
}

type taped struct {
	net.Conn
	mu      sync.Mutex
	in, out bytes.Buffer
}

func (tp *tape) conn(c net.Conn) net.Conn {
	tp.mu.Lock()
	defer tp.mu.Unlock()
	tp.conns = append(tp.conns, &taped{Conn: c})
	return tp.conns[len(tp.conns)-1]
}

func (c *taped) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.in.Write(p[:n])
	return n, err
}

func (c *taped) Write(p []byte) (int, error) {
	c.mu.Lock()
	c.out.Write(p)
	c.mu.Unlock()
	return c.Conn.Write(p)
}

// streams are the bytes of each direction of each connection.
func (tp *tape) streams() (all [][]byte) {
	tp.mu.Lock()
	defer tp.mu.Unlock()
	for _, c := range tp.conns {
		c.mu.Lock()
		all = append(all, bytes.Clone(c.in.Bytes()), bytes.Clone(c.out.Bytes()))
		c.mu.Unlock()
	}
	return all
}

func TestRun_SendsNoPrivateKeyAndNoPassphrase(t *testing.T) { // T03; no passphrase exists here: keys lie in files
	tp := &tape{}
	runDemo(t, Options{Watch: &Watch{Conn: tp.conn, Keys: func(c ...*gsi.Credential) { tp.keys = append(tp.keys, c...) }}})
	var plain bool
	for _, stream := range tp.streams() {
		plain = plain || bytes.Contains(stream, []byte("BinarySecurityToken"))
		for _, c := range tp.keys {
			if form := keyIn(t, stream, c); form != "" {
				t.Errorf("a key travelled as %s", form)
			}
		}
	}
	if !plain || len(tp.keys) < 5 {
		t.Fatalf("%d connections and %d keys watched, and no secured message among them", len(tp.conns), len(tp.keys))
	}
}

func TestKeyIn_FindsAKeyInEveryForm(t *testing.T) {
	pki := gridtest.Must(gridtest.NewPKI(t.TempDir(), gridtest.PKIOptions{}))
	for _, c := range []*gsi.Credential{pki.User, pki.ECUser} {
		der := gridtest.Must(x509.MarshalPKCS8PrivateKey(c.Key))
		for name, leak := range map[string][]byte{
			"DER": der, "hex": []byte(hex.EncodeToString(der)), "base64": []byte("x" + base64.StdEncoding.EncodeToString(append([]byte("ab"), der...))),
			"PEM": pem.EncodeToMemory(&pem.Block{Type: "SOMETHING ELSE", Bytes: der}), "proxy file": gridtest.Must(gsi.MarshalProxy(c)),
		} {
			if keyIn(t, append([]byte("POST / HTTP/1.1\r\n\r\n"), leak...), c) == "" {
				t.Errorf("%s is not found", name)
			}
		}
		if form := keyIn(t, c.Leaf().Raw, c); form != "" {
			t.Errorf("the certificate passes for a key: %s", form)
		}
	}
}

// keyIn looks for the secret numbers of a key, raw, in hex and in base64 at every alignment, and for the names that
// PEM gives to keys.
func keyIn(t *testing.T, stream []byte, c *gsi.Credential) (form string) {
	t.Helper()
	if bytes.Contains(stream, []byte("PRIVATE KEY-----")) {
		return "PEM"
	}
	text := bytes.Join(bytes.Fields(stream), nil)
	lower := bytes.ToLower(text)
	for _, number := range secretNumbers(t, c) {
		switch {
		case bytes.Contains(stream, number):
			return "DER"
		case bytes.Contains(lower, []byte(hex.EncodeToString(number))):
			return "hex"
		}
		for shift := range 3 {
			whole := number[shift : len(number)-(len(number)-shift)%3]
			if bytes.Contains(text, []byte(base64.StdEncoding.EncodeToString(whole))) ||
				bytes.Contains(text, []byte(base64.RawURLEncoding.EncodeToString(whole))) {
				return "base64"
			}
		}
	}
	return ""
}

func secretNumbers(t *testing.T, c *gsi.Credential) [][]byte {
	t.Helper()
	switch key := c.Key.(type) {
	case *rsa.PrivateKey:
		return [][]byte{key.D.Bytes(), key.Primes[0].Bytes(), key.Primes[1].Bytes()}
	case *ecdsa.PrivateKey:
		return [][]byte{gridtest.Must(key.Bytes())}
	}
	t.Fatalf("a key of type %T", c.Key)
	return nil
}
