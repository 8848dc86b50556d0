package interop

import (
	"bufio"
	"crypto/sha1"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
	"gsigw/trust"
)

// A wssGrid is the PKI of the suites around WSS4J: a service and a user that know each other's certificates, which
// have SubjectKeyIdentifiers. All tests share one, and one JVM.
type wssGrid struct {
	*gridtest.PKI
	user, ecUser, host *gsi.Credential
	files              map[string]string // credential files by the peer's aliases: user, ecuser, host
	store              *trust.Store
	peer               *wssPeer
}

var theWSSGrid = sync.OnceValues(makeWSSGrid)

// newWSSGrid is the grid, with WSS4J running in a JVM.
func newWSSGrid(t testing.TB) *wssGrid {
	t.Helper()
	g, err := theWSSGrid()
	if err != nil {
		t.Fatal(err)
	}
	if g.peer == nil {
		g.peer = startWSSPeer(t, g)
	}
	return g
}

func makeWSSGrid() (*wssGrid, error) {
	pki, err := gridtest.NewPKI(filepath.Join(scratch, "wss"), gridtest.PKIOptions{})
	if err != nil {
		return nil, err
	}
	g := &wssGrid{PKI: pki, files: map[string]string{}}
	for _, c := range []struct {
		alias   string
		request gridtest.Request
		made    **gsi.Credential
	}{
		{"user", gridtest.Request{Name: gridtest.UserName}, &g.user},
		{"ecuser", gridtest.Request{Name: gridtest.ECUserName, EC: true}, &g.ecUser},
		{"host", gridtest.Request{Name: gridtest.HostName, Host: true}, &g.host},
	} {
		c.request.Change = identifyKey
		if *c.made, err = pki.CA.Issue(c.request); err != nil {
			return nil, err
		}
		if g.files[c.alias], err = pki.WriteProxy("wss-"+c.alias+".pem", *c.made); err != nil {
			return nil, err
		}
	}
	g.store, err = trust.Open(pki.TrustDir, trust.Options{})
	return g, err
}

// identifyKey gives a certificate the extension that key references can name.
func identifyKey(template *x509.Certificate) {
	id := sha1.Sum(fmt.Append(nil, template.SerialNumber))
	template.SubjectKeyId = id[:]
}

// A wssPeer is java/WssPeer.java, whose first comment describes commands and protocol.
type wssPeer struct {
	in  io.WriteCloser
	out *bufio.Reader
}

func startWSSPeer(t testing.TB, g *wssGrid) *wssPeer {
	t.Helper()
	args := []string{g.TrustDir}
	for _, alias := range slices.Sorted(maps.Keys(g.files)) {
		args = append(args, alias+"="+g.files[alias])
	}
	cmd := javaCommand(t, "WssPeer", wss4jJars, nil, args...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	afterTests = append(afterTests, func() {
		in.Close() // the program ends when its input does
		cmd.Wait()
	})
	return &wssPeer{in: in, out: bufio.NewReader(out)}
}

// options are those of one command: WSS4J's configuration keys, or what DirectEncryption and SignedAssertion take.
type options map[string]string

// with is these options and others.
func (o options) with(more options) options {
	all := maps.Clone(o)
	maps.Copy(all, more)
	return all
}

// do runs one command on a message. The error is the peer's refusal.
func (p *wssPeer) do(command string, o options, message string) (report, result string, err error) {
	var lines strings.Builder
	for key, value := range o {
		fmt.Fprintf(&lines, "%s %s\n", key, value)
	}
	var request []byte
	for _, field := range []string{command, lines.String(), message} {
		request = binary.BigEndian.AppendUint32(request, uint32(len(field)))
		request = append(request, field...)
	}
	if _, err := p.in.Write(request); err != nil {
		return "", "", err
	}
	status, err := p.out.ReadByte()
	if err != nil {
		return "", "", fmt.Errorf("the JVM has ended: %w", err)
	}
	if report, err = p.field(); err != nil {
		return "", "", err
	}
	if result, err = p.field(); err != nil {
		return "", "", err
	}
	if status != 0 {
		return "", "", errors.New(report)
	}
	return report, result, nil
}

func (p *wssPeer) field() (string, error) {
	var size [4]byte
	if _, err := io.ReadFull(p.out, size[:]); err != nil {
		return "", err
	}
	b := make([]byte, binary.BigEndian.Uint32(size[:]))
	_, err := io.ReadFull(p.out, b)
	return string(b), err
}

// must runs a command that the peer is to do.
func (p *wssPeer) must(t testing.TB, command string, o options, message string) (report, result string) {
	t.Helper()
	report, result, err := p.do(command, o, message)
	if err != nil {
		t.Fatalf("%s with %v: %v\n%s", command, o, err, message)
	}
	return report, result
}
