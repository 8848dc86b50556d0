package gss_test

import (
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"gsigw/gsi"
	"gsigw/gsi/gss"
)

// A Config has functions, which JSON refuses; what holds parts of one does not.
func TestConfig_ShowsNoKey(t *testing.T) {
	config := gss.Config{Credential: example.alice, Delegate: &gsi.Limits{Key: example.alice.Key}}
	parts := struct {
		Credential *gsi.Credential
		Delegate   *gsi.Limits
	}{config.Credential, config.Delegate}
	var out strings.Builder
	for _, value := range []any{config, &config, parts, *config.Delegate} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
			fmt.Fprintf(&out, verb+"\n", value)
		}
		b, _ := json.Marshal(value)
		out.Write(b)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("", "value", map[string]any{"in": value})
		slog.New(slog.NewTextHandler(&out, nil)).Info("", "value", value)
	}
	prime := example.alice.Key.(*rsa.PrivateKey).Primes[0]
	for _, secret := range []string{prime.String(), prime.Text(16)} {
		if strings.Contains(out.String(), secret) {
			t.Error("the key is in what was printed")
		}
	}
}
