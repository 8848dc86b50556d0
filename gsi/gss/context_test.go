package gss_test

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"

	"gsigw/gsi"
	"gsigw/gsi/gss"
	"gsigw/internal/gridtest"
	"gsigw/trust"
)

// records counts the TLS records of a token.
func records(token []byte) (n int) {
	for ; len(token) > 0; n++ {
		token = token[5+int(binary.BigEndian.Uint16(token[3:])):]
	}
	return n
}

func TestContext_CarriesMessagesOneToAToken(t *testing.T) {
	g := example
	ec := gridtest.Must(g.pki.ProxyOf(g.pki.ECUser, gsi.Limits{KeyType: gsi.P256}))
	ecHost := gridtest.Must(g.pki.CA.Issue(gridtest.Request{Name: gridtest.HostName, Host: true, EC: true}))
	for _, version := range versions {
		for _, keys := range []struct {
			name       string
			user, host *gsi.Credential
		}{{"RSA", g.alice, g.pki.Host}, {"EC", ec, ecHost}, {"mixed", ec, g.pki.Host}} {
			t.Run(tls.VersionName(version)+" "+keys.name, func(t *testing.T) {
				initiator, acceptor := withVersion(g.initiator(), version), g.acceptor()
				initiator.Credential, acceptor.Credential = keys.user, keys.host
				i, a := established(t, initiator, acceptor)
				if i.Peer().DN != gridtest.HostName || a.Peer().Leaf.Equal(keys.user.Leaf()) == false || a.Peer().Depth != 1 {
					t.Errorf("the initiator sees %v, the acceptor %v", i.Peer(), a.Peer())
				}
				if i.Version() != version || a.Version() != version {
					t.Errorf("versions %x and %x", i.Version(), a.Version())
				}
				for size, want := range map[int]int{1: 1, 1 << 14: 1, 1<<14 + 1: 2, 1 << 20: 64, gss.MaxMessage: 512} {
					carry(t, i, a, size, want)
					carry(t, a, i, size, want)
				}
			})
		}
	}
}

func carry(t *testing.T, from, to *gss.Context, size, want int) {
	t.Helper()
	message := bytes.Repeat([]byte{'x'}, size)
	token := wrap(t, from, string(message))
	if n := records(token); n != want {
		t.Errorf("%d bytes took %d records, want %d", size, n, want)
	}
	got, err := to.Unwrap(token)
	if err != nil || !bytes.Equal(got, message) {
		t.Errorf("%d bytes came out as %d, error %v", size, len(got), err)
	}
}

func TestContext_SendsAChainSignedWithSHA1Whole(t *testing.T) {
	pki := gridtest.Must(gridtest.NewPKI(t.TempDir(), gridtest.PKIOptions{Digest: crypto.SHA1}))
	g := &grid{pki, gridtest.Must(trust.Open(pki.TrustDir, trust.Options{})), gridtest.Must(pki.Proxy(gsi.Limits{}))}
	if g.alice.Leaf().SignatureAlgorithm != x509.SHA1WithRSA {
		t.Fatalf("the chain is signed with %s", g.alice.Leaf().SignatureAlgorithm)
	}
	for _, version := range versions {
		_, a := established(t, withVersion(g.initiator(), version), g.acceptor())
		if a.Peer().DN != gridtest.UserName || a.Peer().Depth != 1 {
			t.Errorf("%s: the acceptor sees %v", tls.VersionName(version), a.Peer())
		}
	}
}

func TestContext_RefusesMessagesBeforeItIsEstablished(t *testing.T) {
	g := example
	i, _ := contexts(t, g.initiator(), g.acceptor())
	if _, err := i.Wrap([]byte("x")); err == nil || !strings.Contains(err.Error(), "not established") {
		t.Errorf("wrap: %v", err)
	}
	if _, err := i.Unwrap([]byte{23, 3, 3, 0, 1, 1}); err == nil || !strings.Contains(err.Error(), "not established") {
		t.Errorf("unwrap: %v", err)
	}
}

func TestWrap_RefusesMessagesOfImpossibleSize(t *testing.T) {
	g := example
	i, a := established(t, g.initiator(), g.acceptor())
	for _, size := range []int{0, gss.MaxMessage + 1} {
		if _, err := i.Wrap(make([]byte, size)); err == nil || !strings.Contains(err.Error(), "are taken") {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	carry(t, i, a, 10, 1)
}

func TestUnwrap_RefusesBadTokensAndIsDeadAfterwards(t *testing.T) {
	g := example
	for _, version := range versions {
		_, sender := established(t, withVersion(g.initiator(), version), g.acceptor())
		bad := badTokens(wrap(t, sender, "hello"))
		bad["unwrap"] = wrap(t, sender, "of another context")
		for words, token := range bad {
			refusesForGood(t, g, version, words, func(*gss.Context) []byte { return token })
		}
		refusesForGood(t, g, version, "unwrap", func(a *gss.Context) []byte {
			token := wrap(t, a, "hello")
			token[len(token)-1] ^= 1
			return token
		})
		refusesForGood(t, g, version, "unwrap", func(a *gss.Context) []byte {
			wrap(t, a, "lost")
			return wrap(t, a, "after one that was lost")
		})
		refusesForGood(t, g, version, "unwrap", func(*gss.Context) []byte { return []byte("\x17\x03\x03\x00\x05plain") })
	}
}

// refusesForGood has an initiator unwrap a bad token, and then a good one.
func refusesForGood(t *testing.T, g *grid, version uint16, words string, token func(a *gss.Context) []byte) {
	t.Helper()
	i, a := established(t, withVersion(g.initiator(), version), g.acceptor())
	got, err := i.Unwrap(token(a))
	if err == nil || !strings.Contains(err.Error(), words) || got != nil {
		t.Errorf("%s: want %q, got %q, %v", tls.VersionName(version), words, got, err)
	}
	_, unwrap := i.Unwrap(wrap(t, a, "hello"))
	_, sealed := i.Wrap([]byte("hello"))
	_, step := i.Step(nil)
	if unwrap != err || sealed != err || step != err || i.Established() {
		t.Errorf("%s: after %v the context goes on: %v, %v, %v", tls.VersionName(version), err, unwrap, sealed, step)
	}
}

func TestUnwrap_RefusesAMessageTwice(t *testing.T) {
	g := example
	for _, version := range versions {
		i, a := established(t, withVersion(g.initiator(), version), g.acceptor())
		token := wrap(t, a, "once")
		if _, err := i.Unwrap(bytes.Clone(token)); err != nil {
			t.Fatal(err)
		}
		if got, err := i.Unwrap(token); err == nil {
			t.Errorf("%s: unwrapped again: %q", tls.VersionName(version), got)
		}
	}
}

func TestClose_SaysEndOfFileToThePeer(t *testing.T) {
	g := example
	for _, version := range versions {
		i, a := established(t, withVersion(g.initiator(), version), g.acceptor())
		last := wrap(t, a, "last")
		after := a.Close()
		if got, err := i.Unwrap(append(last, after...)); err != nil || string(got) != "last" {
			t.Errorf("%s: %q, %v", tls.VersionName(version), got, err)
		}
		for _, token := range [][]byte{{23, 3, 3, 0, 1, 1}, after} {
			if got, err := i.Unwrap(token); err != io.EOF || got != nil {
				t.Errorf("%s: after the end: %q, %v", tls.VersionName(version), got, err)
			}
		}
		if _, err := a.Wrap([]byte("x")); err != gss.ErrClosed {
			t.Errorf("%s: wrap after close: %v", tls.VersionName(version), err)
		}
		if token := a.Close(); token != nil {
			t.Errorf("%s: closed twice: % x", tls.VersionName(version), token)
		}
	}
}

// A bubble of synctest panics when something in it never ends.
func TestContext_LeavesNothingRunning(t *testing.T) {
	g := example
	for name, leave := range map[string]func(i *gss.Context){
		"closed":       func(i *gss.Context) { i.Close() },
		"failed":       func(i *gss.Context) { i.Step([]byte("garbage")) },
		"failed later": func(i *gss.Context) { i.Step([]byte("\x16\x03\x03\x00\x07garbage")) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i, err := gss.Initiate(g.initiator())
				if err != nil {
					t.Fatal(err)
				}
				if _, err := i.Step(nil); err != nil {
					t.Fatal(err)
				}
				leave(i)
			})
		})
	}
}

func TestContext_TakesOldVersionsOnlyWhenTold(t *testing.T) {
	g := example
	for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11} {
		i, a := established(t, withVersion(g.initiator(), version), withVersion(g.acceptor(), version))
		if i.Version() != version {
			t.Errorf("version %x", i.Version())
		}
		token := wrap(t, i, "hello")
		if got, err := a.Unwrap(token); err != nil || string(got) != "hello" {
			t.Errorf("%x: %q, %v", version, got, err)
		}
		i, a = contexts(t, g.initiator(), withVersion(g.acceptor(), version))
		if _, accepting := meet(i, a); accepting == nil {
			t.Errorf("%x: the initiator offered it", version)
		}
		i, a = contexts(t, withVersion(g.initiator(), version), g.acceptor())
		if _, accepting := meet(i, a); accepting == nil {
			t.Errorf("%x: the acceptor took it", version)
		}
	}
}

func FuzzUnwrap(f *testing.F) {
	g := example
	f.Add([]byte("\x17\x03\x03\x00\x05plain"), true)
	f.Add([]byte("\x15\x03\x03\x00\x02\x01\x00"), false)
	f.Fuzz(func(t *testing.T, token []byte, old bool) {
		version := versions[1]
		if old {
			version = versions[0]
		}
		i, a := established(t, withVersion(g.initiator(), version), g.acceptor())
		for _, c := range []*gss.Context{i, a} {
			if message, err := c.Unwrap(token); len(message) > 0 {
				t.Errorf("a message that nobody wrapped: %q, %v", message, err)
			}
		}
	})
}

// Tokens may travel any way: here they are handed over.
func ExampleContext() {
	g := example
	initiator := gridtest.Must(gss.Initiate(gss.Config{Credential: g.alice, Trust: g.store, Authorize: func(peer *gsi.Identity) error {
		if !trust.HostMatches(peer.EndEntity, "localhost") {
			return fmt.Errorf("the server is %s", peer.DN)
		}
		return nil
	}}))
	defer initiator.Close()
	acceptor := gridtest.Must(gss.Accept(gss.Config{Credential: g.pki.Host, Trust: g.store}))
	defer acceptor.Close()

	token, err := initiator.Step(nil)
	for err == nil && !acceptor.Established() {
		if token, err = acceptor.Step(token); err == nil && !initiator.Established() {
			token, err = initiator.Step(token)
		}
	}
	sealed := gridtest.Must(initiator.Wrap([]byte("hello")))
	fmt.Printf("%s says %s\n", acceptor.Peer().DN, gridtest.Must(acceptor.Unwrap(sealed)))
	// Output: /O=Grid/OU=gsigw test/CN=Jane Doe says hello
}
