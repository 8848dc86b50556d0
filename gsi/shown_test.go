package gsi_test

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"gsigw/gsi"
)

// shown is all that prints, logs and encoders make of a value, one of them a line.
func shown(value any) string {
	var out strings.Builder
	nested := map[string]any{"in": []any{value}}
	text, lines := slog.New(slog.NewTextHandler(&out, nil)), slog.New(slog.NewJSONHandler(&out, nil))
	for _, v := range []any{value, nested} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		if b, err := json.Marshal(v); err == nil {
			out.Write(append(b, '\n'))
		}
		if b, err := xml.Marshal(v); err == nil {
			out.Write(append(b, '\n'))
		}
		text.Info("text", "value", v)
		lines.Info("json", "value", v)
	}
	return out.String()
}

func TestCredential_NeverShowsItsKey(t *testing.T) {
	user := newPKI(t).User
	_, edwards, err := ed25519.GenerateKey(rand.Reader) // a slice, that fmt would print from anywhere
	if err != nil {
		t.Fatal(err)
	}
	pool := gsi.NewKeyPool(1, 1024)
	if _, err := pool.Key(t.Context()); err != nil {
		t.Fatal(err)
	}
	prime := user.Key.(*rsa.PrivateKey).Primes[0]
	secrets := []string{
		prime.String(), prime.Text(16), strings.Trim(fmt.Sprint(prime.Bits()), "[]"),
		strings.Trim(fmt.Sprint([]byte(edwards)), "[]"), fmt.Sprintf("%x", []byte(edwards)), jsonOf(t, edwards),
	}
	for _, key := range []crypto.Signer{user.Key, edwards} {
		c := gsi.Credential{Chain: user.Chain, Key: key}
		limits := gsi.Limits{Type: gsi.RFCLimited, Key: key}
		for name, value := range map[string]any{
			"a credential": c, "a pointer to one": &c, "a struct with one": struct{ Is *gsi.Credential }{&c}, "one in a struct": struct{ Is gsi.Credential }{c},
			"limits": limits, "a pointer to limits": &limits, "a struct with limits": struct{ Delegate *gsi.Limits }{&limits},
			"a source": gsi.Static(&c), "a pool": pool,
		} {
			out := shown(value)
			for _, secret := range secrets {
				if strings.Contains(out, secret) {
					t.Errorf("%s shows its key (%T):\n%.2000s", name, key, out)
					break
				}
			}
		}
	}
}

func jsonOf(t *testing.T, value any) string {
	t.Helper()
	b, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Trim(string(b), `"`)
}

func TestCredential_SaysWhoseItIs(t *testing.T) {
	c := newPKI(t).User
	var logged strings.Builder
	slog.New(slog.NewJSONHandler(&logged, nil)).Log(context.Background(), slog.LevelInfo, "", "credential", c)
	for _, got := range []string{fmt.Sprint(c), fmt.Sprint(*c), fmt.Sprintf("%s", c), fmt.Sprintf("%#v", *c), jsonOf(t, c), jsonOf(t, *c), logged.String()} {
		if !strings.Contains(got, c.String()) || !strings.Contains(got, "Jane Doe") {
			t.Errorf("%.200s", got)
		}
	}
	if got := slog.AnyValue(c).Resolve(); got.Kind() != slog.KindString { // for handlers of any kind
		t.Errorf("a log's handler gets a %s", got.Kind())
	}
	if got := fmt.Sprint(gsi.Credential{}); got != "no credential" {
		t.Error(got)
	}
}

func TestLimits_AreShownButForTheirKey(t *testing.T) {
	for _, got := range []string{fmt.Sprintf("%+v", gsi.Limits{Bits: 4711}), jsonOf(t, gsi.Limits{Bits: 4711})} {
		if !strings.Contains(got, "4711") {
			t.Error(got)
		}
	}
}
