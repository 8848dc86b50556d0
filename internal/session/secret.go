package session

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"log/slog"
)

// Secret is a proxy secret. It keeps the hash alone, and prints as "[redacted]".
type Secret struct{ sum [sha256.Size]byte }

// NewSecret takes over a secret; the caller may clear text afterwards.
func NewSecret(text []byte) Secret { return Secret{sha256.Sum256(text)} }

// Matches compares in constant time. The zero Secret matches nothing that can be written.
func (s Secret) Matches(text []byte) bool {
	sum := sha256.Sum256(text)
	return subtle.ConstantTimeCompare(s.sum[:], sum[:]) == 1
}

// LogValue keeps the secret out of logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// Format keeps the secret out of every kind of print.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, "[redacted]") }

// MarshalText keeps the secret out of JSON.
func (s Secret) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }
