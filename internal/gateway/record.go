package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"time"

	"gsigw/internal/policy"
	"gsigw/wssec"
)

// Observer hears what is counted. Its words come from small closed sets: no names of people, hosts or messages.
type Observer interface {
	// Message hears of every message: direction is "request" (engine to service) or "reply", result a word of fault.go.
	Message(direction, profile, result string)
	// Signed hears how long securing a message took.
	Signed(d time.Duration)
	// Refused hears of a reply that failed verification, and why.
	Refused(class string)
}

type nobody struct{}

func (nobody) Message(string, string, string) {}
func (nobody) Signed(time.Duration)           {}
func (nobody) Refused(string)                 {}

// facts are what is recorded of an exchange: never a body, a token, a key or a secret.
type facts struct {
	id      string
	began   time.Time
	caller  string
	traceID string

	route, profile    string
	action, operation string
	peer              string // the DN of who signed the reply, or else of who was at the other end of TLS
	bytesIn, bytesOut int64
	result, class     string
	err               error
}

func profileName(r *policy.Route) string { return r.Message.String() + "/" + r.Transport.String() }

// end writes the one record of the exchange.
func (x *exchange) end(ctx context.Context, a *answer) {
	f := &x.facts
	if f.result == "" {
		f.result = resultOK
	}
	x.count()
	attrs := []slog.Attr{
		slog.String("exchange", f.id), slog.String("route", f.route), slog.String("caller", f.caller),
		slog.String("action", clip(f.action)), slog.String("operation", clip(f.operation)), slog.String("profile", f.profile),
		slog.Int("status", a.status), slog.String("result", f.result), slog.String("class", f.class),
		slog.Duration("duration", x.Now().Sub(f.began)),
		slog.Int64("bytes_in", f.bytesIn), slog.Int64("bytes_out", f.bytesOut),
		slog.String("peer", dnHash(f.peer)), slog.String("trace_id", f.traceID), slog.String("error", f.words()),
	}
	x.Log.LogAttrs(context.WithoutCancel(ctx), f.level(), "exchange", attrs...)
	if c, ok := errors.AsType[*crash](f.err); ok {
		x.Log.Error("defect", "exchange", f.id, "stack", string(c.stack))
	}
}

func (x *exchange) count() {
	profile := x.facts.profile
	if profile == "" {
		profile = "none"
	}
	switch x.facts.result {
	case resultOK, resultFault, resultUnverified, resultUnverifiedFault, resultAnswer:
		x.Observer.Message("request", profile, resultOK)
		x.Observer.Message("reply", profile, x.facts.result)
	default:
		x.Observer.Message("request", profile, x.facts.result)
	}
}

func (f *facts) level() slog.Level {
	switch f.result {
	case resultOK, resultFault, resultHungUp:
		return slog.LevelInfo
	case resultInternal:
		return slog.LevelError
	}
	return slog.LevelWarn
}

func (f *facts) words() string {
	if f.err == nil {
		return ""
	}
	if e, ok := errors.AsType[*wssec.Error](f.err); ok && e.Hidden != nil {
		return f.err.Error() + ": it decrypts, but: " + e.Hidden.Error()
	}
	return f.err.Error()
}

// clip bounds what an engine chose.
func clip(s string) string { return s[:min(len(s), 256)] }

// dnHash stands for a name in the log: the same for the same name, and no more.
func dnHash(dn string) string {
	if dn == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(dn))
	return hex.EncodeToString(sum[:6])
}
