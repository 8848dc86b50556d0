package gss_test

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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

// The flights of the peer may come in a token for each record, as Globus reads them.
func TestStep_TakesRecordByRecord(t *testing.T) {
	g := example
	for _, version := range versions {
		i, a := contexts(t, withVersion(g.initiator(), version), g.acceptor())
		token, err := i.Step(nil)
		for from, to := a, i; len(token) > 0; from, to = to, from {
			var reply []byte
			for len(token) > 0 && err == nil {
				n := 5 + int(binary.BigEndian.Uint16(token[3:]))
				if len(reply) > 0 {
					t.Fatal("an answer before the flight was over")
				}
				reply, err = from.Step(token[:n])
				token = token[n:]
			}
			token = reply
		}
		if err != nil || !i.Established() || !a.Established() {
			t.Errorf("%s: error %v", tls.VersionName(version), err)
		}
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

func TestStep_RefusesPeers(t *testing.T) {
	g := example
	stranger := gridtest.Must(g.pki.Other.Issue(gridtest.Request{Name: gridtest.HostName, Host: true}))
	nobody := errors.New("is not the one that is meant")
	tests := []struct {
		name    string
		edit    func(initiator, acceptor *gss.Config)
		accepts bool  // the acceptor is the one to refuse
		want    error // what errors.Is finds
	}{
		{"an acceptor of an unknown CA", func(i, a *gss.Config) { a.Credential = stranger }, false, trust.UnknownCA},
		{"an acceptor whose certificate expired", func(i, a *gss.Config) { i.Now = later(2 * 365 * 24 * time.Hour) }, false, trust.Expired},
		{"an acceptor who is not the one that is meant", func(i, a *gss.Config) { i.Authorize = func(*gsi.Identity) error { return nobody } }, false, nobody},
		{"an initiator of an unknown CA", func(i, a *gss.Config) { i.Credential = stranger }, true, trust.UnknownCA},
		{"an initiator whose proxy expired", func(i, a *gss.Config) { a.Now = later(13 * time.Hour) }, true, trust.Expired},
		{"an initiator who may not call", func(i, a *gss.Config) { a.Authorize = func(*gsi.Identity) error { return nobody } }, true, nobody},
		{"an anonymous initiator", func(i, a *gss.Config) { i.Credential = nil }, true, nil},
	}
	for _, test := range tests {
		for _, version := range versions {
			t.Run(test.name+" "+tls.VersionName(version), func(t *testing.T) {
				initiator, acceptor := withVersion(g.initiator(), version), g.acceptor()
				test.edit(&initiator, &acceptor)
				i, a := contexts(t, initiator, acceptor)
				initiating, accepting := meet(i, a)
				refused, other, reason := i, accepting, initiating
				if test.accepts {
					refused, other, reason = a, initiating, accepting
				}
				if reason == nil || test.want != nil && !errors.Is(reason, test.want) {
					t.Errorf("refused with %v, want %v", reason, test.want)
				}
				if refused.Established() || refused.Peer() != nil {
					t.Error("the context is established")
				}
				if other == nil || !strings.Contains(other.Error(), "the peer refused") {
					t.Errorf("the other side heard %v", other)
				}
			})
		}
	}
}

func TestStep_TakesAnonymousInitiatorsWhereAllowed(t *testing.T) {
	g := example
	for _, version := range versions {
		initiator, acceptor := withVersion(g.initiator(), version), g.acceptor()
		initiator.Credential, acceptor.AllowAnonymous = nil, true
		acceptor.Authorize = func(*gsi.Identity) error { return errors.New("not asked about nobody") }
		i, a := established(t, initiator, acceptor)
		if a.Peer() != nil || i.Peer().DN != gridtest.HostName {
			t.Errorf("the acceptor sees %v, the initiator %v", a.Peer(), i.Peer())
		}
		carry(t, i, a, 10, 1)
	}
}

func TestStep_StillJudgesTheNamedWhereTheAnonymousAreAllowed(t *testing.T) {
	g := example
	initiator, acceptor := g.initiator(), g.acceptor()
	initiator.Credential = gridtest.Must(g.pki.Other.Issue(gridtest.Request{Name: gridtest.UserName}))
	acceptor.AllowAnonymous = true
	i, a := contexts(t, initiator, acceptor)
	if _, accepting := meet(i, a); !errors.Is(accepting, trust.UnknownCA) {
		t.Errorf("error %v", accepting)
	}
}

func TestInitiate_RefusesAConfigThatFailsOpen(t *testing.T) {
	g := example
	for words, edit := range map[string]func(*gss.Config){
		"set Authorize":       func(c *gss.Config) { c.Authorize = nil },
		"set Trust":           func(c *gss.Config) { c.Trust = nil },
		"nothing to delegate": func(c *gss.Config) { c.Credential, c.Delegate = nil, &gsi.Limits{} },
		"no key":              func(c *gss.Config) { c.Credential = &gsi.Credential{Chain: g.alice.Chain} },
		"no certificate":      func(c *gss.Config) { c.Credential = &gsi.Credential{Key: g.alice.Key} },
		"does not belong":     func(c *gss.Config) { c.Credential = &gsi.Credential{Chain: g.alice.Chain, Key: g.pki.Host.Key} },
		"no version":          func(c *gss.Config) { c.MaxVersion = tls.VersionTLS11 },
	} {
		config := g.initiator()
		edit(&config)
		if _, err := gss.Initiate(config); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("want %q, got %v", words, err)
		}
	}
}

func TestAccept_RefusesAConfigThatFailsOpen(t *testing.T) {
	g := example
	for words, edit := range map[string]func(*gss.Config){
		"set Trust":      func(c *gss.Config) { c.Trust = nil },
		"set Credential": func(c *gss.Config) { c.Credential = nil },
	} {
		config := g.acceptor()
		edit(&config)
		if _, err := gss.Accept(config); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("want %q, got %v", words, err)
		}
	}
}

// badTokens are refused by Step and Unwrap alike, good being a token that is taken.
func badTokens(good []byte) map[string][]byte {
	return map[string][]byte{
		"is empty":             {},
		"ends within":          good[:len(good)-1],
		"within a TLS record":  good[:4],
		"is no TLS record":     []byte("HTTP/1.1 400 Bad Request"),
		"at most 18432":        append([]byte{22, 3, 3, 0x48, 0x01}, make([]byte, 0x4801)...),
		"signed but not":       append([]byte{26, 3, 0, 0, 20}, make([]byte, 20)...),
		"at most 16777216":     slices.Repeat([]byte{22}, 1<<24+1),
		"starts with 16 02 00": append([]byte{22, 2, 0, 0, 1}, 1),
	}
}

func TestStep_RefusesTokensThatAreNotWholeRecords(t *testing.T) {
	g := example
	fresh, _ := contexts(t, g.initiator(), g.acceptor())
	hello, err := fresh.Step(nil)
	if err != nil {
		t.Fatal(err)
	}
	for words, token := range badTokens(hello) {
		_, a := contexts(t, g.initiator(), g.acceptor())
		_, err := a.Step(token)
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("want %q, got %v", words, err)
		}
		if _, again := a.Step(hello); again != err {
			t.Errorf("after %v the context goes on: %v", err, again)
		}
	}
}

func TestStep_RefusesTokensOutOfPlace(t *testing.T) {
	g := example
	i, _ := contexts(t, g.initiator(), g.acceptor())
	if _, err := i.Step([]byte{22, 3, 1, 0, 0}); err == nil || !strings.Contains(err.Error(), "takes no token") {
		t.Errorf("a token in the first step: %v", err)
	}
	i, _ = established(t, g.initiator(), g.acceptor())
	if _, err := i.Step([]byte{22, 3, 3, 0, 1, 1}); err == nil || !strings.Contains(err.Error(), "is established") {
		t.Errorf("a step too many: %v", err)
	}
	i, a := contexts(t, withVersion(g.initiator(), tls.VersionTLS13), g.acceptor())
	hello, _ := i.Step(nil)
	flight, _ := a.Step(hello)
	if _, err := i.Step(append(flight, 23, 3, 3, 0, 1, 1)); err == nil || !strings.Contains(err.Error(), "goes on after the end") {
		t.Errorf("a record after the handshake: %v", err)
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

func FuzzStep(f *testing.F) {
	g := example
	hello, flight := func() ([]byte, []byte) {
		i, a := contexts(f, g.initiator(), g.acceptor())
		hello, _ := i.Step(nil)
		flight, _ := a.Step(hello)
		return hello, flight
	}()
	f.Add(hello, flight)
	f.Add([]byte{26, 3, 0, 0, 0}, []byte{22, 3, 3, 0, 0})
	f.Fuzz(func(t *testing.T, toAcceptor, toInitiator []byte) {
		i, a := contexts(t, g.initiator(), g.acceptor())
		a.Step(toAcceptor)
		i.Step(nil)
		i.Step(toInitiator)
		if i.Established() || a.Established() {
			t.Error("established with somebody who is not there")
		}
	})
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
