package myproxy

import (
	"fmt"
	"log/slog"
)

// Secret is a passphrase, or a private key in PEM. It prints, logs and marshals as "[redacted]", so that a request can
// be printed whole; string(s) is what it holds.
type Secret string

const redacted = "[redacted]"

// Format keeps the secret out of every kind of print.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, redacted) }

// LogValue keeps the secret out of logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText keeps the secret out of JSON.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
