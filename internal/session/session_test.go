package session

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"gsigw/gsi"
)

// named is a source that can be told from others, and holds what no log may show.
type named struct{ secret string }

func (n *named) Credential(context.Context) (*gsi.Credential, error) {
	return nil, errors.New(n.secret)
}

func table(t *testing.T) (tb *Table, alice, robot gsi.Source) {
	t.Helper()
	alice, robot = &named{"alice's key"}, &named{"robot's key"}
	tb, err := NewTable([]Entry{
		{Caller: "engine", Own: alice, Named: map[string]gsi.Source{"robot": robot}},
		{Caller: "plain"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return tb, alice, robot
}

func TestFor_GivesTheCallersOwnCredential(t *testing.T) {
	tb, alice, robot := table(t)
	s, err := tb.For(t.Context(), "engine")
	if err != nil {
		t.Fatal(err)
	}
	if own, err := s.Source(""); err != nil || own != alice {
		t.Errorf("own %v, %v", own, err)
	}
	if other, err := s.Source("robot"); err != nil || other != robot {
		t.Errorf("robot %v, %v", other, err)
	}
}

func TestFor_RefusesUnknownCallers(t *testing.T) {
	tb, _, _ := table(t)
	for _, caller := range []string{"", "Engine", "ghost"} {
		if s, err := tb.For(t.Context(), caller); !errors.Is(err, ErrUnknownCaller) || s != nil {
			t.Errorf("%q: %v, %v", caller, s, err)
		}
	}
}

func TestFor_EndsWithItsContext(t *testing.T) {
	tb, _, _ := table(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := tb.For(ctx, "engine"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestSource_NeverFallsBackToAnotherCredential(t *testing.T) {
	tb, _, _ := table(t)
	for caller, name := range map[string]string{"engine": "ghost", "plain": ""} {
		s, err := tb.For(t.Context(), caller)
		if err != nil {
			t.Fatal(err)
		}
		if source, err := s.Source(name); !errors.Is(err, ErrNoCredential) || source != nil {
			t.Errorf("%s %q: %v, %v", caller, name, source, err)
		}
	}
}

func TestNewTable_RefusesCallersThatCannotBeToldApart(t *testing.T) {
	for _, entries := range [][]Entry{{{Caller: ""}}, {{Caller: "a"}, {Caller: "a"}}} {
		if _, err := NewTable(entries); err == nil {
			t.Errorf("%v was taken", entries)
		}
	}
}

func TestSession_KeepsWhatItHoldsOutOfLogsAndPrints(t *testing.T) {
	tb, _, _ := table(t)
	s, err := tb.For(t.Context(), "engine")
	if err != nil {
		t.Fatal(err)
	}
	secret := NewSecret([]byte("hunter2hunter2"))
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "session", s, "secret", secret)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "session", s, "secret", secret)
	text, err := json.Marshal(secret)
	if err != nil {
		t.Fatal(err)
	}
	all := log.String() + string(text) + fmt.Sprintf("%v %+v %#v %s %v %+v %#v %x", s, s, s, s, secret, secret, secret, secret)
	for _, leak := range []string{"alice's", "robot's", "hunter2", fmt.Sprintf("%x", secret.sum), fmt.Sprint(secret.sum)} {
		if strings.Contains(all, leak) {
			t.Errorf("%q shows in %s", leak, all)
		}
	}
	if !strings.Contains(all, "engine") || !strings.Contains(all, s.ID) {
		t.Errorf("the session cannot be found in %s", all)
	}
}

func TestSecret_MatchesItselfAlone(t *testing.T) {
	s := NewSecret([]byte("one"))
	if !s.Matches([]byte("one")) || s.Matches([]byte("two")) || s.Matches(nil) {
		t.Error("wrong match")
	}
	if (Secret{}).Matches(nil) {
		t.Error("the zero Secret matches")
	}
}
