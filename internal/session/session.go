// Package session says whose run a call belongs to, and with which credential it goes out.
//
// A caller that a listener recognised maps to a Session:
//
//	table, err := session.NewTable([]session.Entry{{Caller: "engine", Own: alice}})
//	s, err := table.For(ctx, "engine")
//	source, err := s.Source(route.CredentialName)
//
// Today there is one session per caller in the config; later one per run. Callers of For need not change for that: what
// tells runs apart will travel in the context.
package session

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"

	"gsigw/gsi"
)

var (
	// ErrUnknownCaller is returned for a caller that has no session.
	ErrUnknownCaller = errors.New("session: unknown caller")
	// ErrNoCredential is returned where a session has no such credential.
	ErrNoCredential = errors.New("session: no credential")
)

// Entry is one caller of the config.
type Entry struct {
	Caller string
	Own    gsi.Source            // the caller's credential; nil when it has none
	Named  map[string]gsi.Source // credentials that routes name, whoever calls
}

// Session is one caller's run.
type Session struct {
	ID     string // random, fit for logs
	Caller string

	own   gsi.Source
	named map[string]gsi.Source
}

// Source has the credential that a route asks for by name, or for an empty name the caller's own.
func (s *Session) Source(name string) (gsi.Source, error) {
	source, what := s.own, "of its own"
	if name != "" {
		source, what = s.named[name], fmt.Sprintf("%q", name)
	}
	if source == nil {
		return nil, fmt.Errorf("%w %s for caller %s: name one in the config", ErrNoCredential, what, s.Caller)
	}
	return source, nil
}

// LogValue shows whose session it is; what it holds stays out.
func (s *Session) LogValue() slog.Value {
	return slog.GroupValue(slog.String("id", s.ID), slog.String("caller", s.Caller),
		slog.String("credential", "[redacted]"))
}

// Format keeps credentials out of every kind of print.
func (s *Session) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "session %s of %s, credential [redacted]", s.ID, s.Caller)
}

// Table finds sessions; it may be used by many goroutines.
type Table struct{ sessions map[string]*Session }

// NewTable makes a session for each entry.
func NewTable(entries []Entry) (*Table, error) {
	t := &Table{sessions: map[string]*Session{}}
	for _, e := range entries {
		if e.Caller == "" || t.sessions[e.Caller] != nil {
			return nil, fmt.Errorf("session: caller %q is empty or there twice", e.Caller)
		}
		t.sessions[e.Caller] = &Session{ID: rand.Text(), Caller: e.Caller, own: e.Own, named: e.Named}
	}
	return t, nil
}

// For gives the session of a caller, or ErrUnknownCaller.
func (t *Table) For(ctx context.Context, caller string) (*Session, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s := t.sessions[caller]
	if s == nil {
		return nil, fmt.Errorf("%w %q", ErrUnknownCaller, caller)
	}
	return s, nil
}
