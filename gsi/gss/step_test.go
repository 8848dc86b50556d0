package gss_test

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"gsigw/gsi"
	"gsigw/gsi/gss"
	"gsigw/internal/gridtest"
	"gsigw/trust"
)

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

// The acceptor's certificate is judged before it has shown that it holds the key.
func TestPeer_IsNobodyBeforeTheContextIsEstablished(t *testing.T) {
	i, a := contexts(t, withVersion(example.initiator(), tls.VersionTLS12), example.acceptor())
	hello, _ := i.Step(nil)
	flight, _ := a.Step(hello)
	if _, err := i.Step(flight); err != nil || i.Peer() != nil || i.Version() != 0 {
		t.Errorf("the peer is %v, error %v", i.Peer(), err)
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
				if reason != nil && strings.Count(reason.Error(), "gss:") != 1 {
					t.Errorf("the error repeats itself: %v", reason)
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
