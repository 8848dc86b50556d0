package myproxy

import (
	"fmt"
	"log/slog"
	"strings"
)

// Secret is a passphrase, or a private key in PEM. It prints, logs and marshals as "[redacted]", so that a request can
// be printed whole; string(s) is what it holds.
type Secret string

const redacted = "[redacted]"

// Format keeps the secret out of every kind of print.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, redacted) }

// lines returns those of a key in PEM, which a server would quote one by one. What is short says next to nothing.
func (s Secret) lines() (list []Secret) {
	for line := range strings.Lines(string(s)) {
		if line = strings.TrimSpace(line); len(line) >= 16 && !strings.HasPrefix(line, "-----") {
			list = append(list, Secret(line))
		}
	}
	return list
}

// LogValue keeps the secret out of logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText keeps the secret out of JSON.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
