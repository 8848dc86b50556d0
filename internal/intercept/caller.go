package intercept

import (
	"cmp"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// SecretHeader carries the proxy secret on reverse routes, for engines that
// cannot set Proxy-Authorization. Authorization belongs to the service.
const SecretHeader = "Gsigw-Secret"

// CallerRule names one caller. Everything it sets must hold, and it must set
// something. Rules with a secret are tried before those with a certificate,
// and these before those with a uid alone; within that, in their order.
type CallerRule struct {
	Name   string  // Caller.Name
	Secret *Secret // sent as Proxy-Authorization (Basic password or Bearer) or SecretHeader

	// UID owns the calling socket: the peer of a Unix socket, or the owner
	// of the other end of a loopback TCP connection. Linux only.
	UID *uint32

	// Client certificate, verified against TLS.ClientCAs. Either or both.
	CertSHA256  string // hex SHA-256 of the DER, colons allowed
	CertSubject string // DN in RFC 2253 form, as openssl -nameopt RFC2253 prints it
}

// Secret is the hash of a proxy secret. It prints as "[redacted]".
type Secret struct{ sum [sha256.Size]byte }

// MinSecret is the least length of a secret: 128 bits in base64.
const MinSecret = 22

// NewSecret hashes a secret of at least MinSecret bytes: the hash is fast, so
// the secret must be too long to guess.
func NewSecret(secret string) (*Secret, error) {
	if len(secret) < MinSecret {
		return nil, errors.New("intercept: a proxy secret needs at least 22 characters; make one with: openssl rand -hex 16")
	}
	return &Secret{sha256.Sum256([]byte(secret))}, nil
}

func (s Secret) String() string   { return "[redacted]" }
func (s Secret) GoString() string { return "[redacted]" }

func (s *Secret) matches(presented string) bool {
	sum := sha256.Sum256([]byte(presented))
	return subtle.ConstantTimeCompare(s.sum[:], sum[:]) == 1
}

func (r CallerRule) hasCert() bool { return r.CertSHA256 != "" || r.CertSubject != "" }

// weight orders rules by the strength of what they ask for.
func (r CallerRule) weight() int {
	switch {
	case r.Secret != nil:
		return 2
	case r.hasCert():
		return 1
	}
	return 0
}

// check reports what makes a rule unusable on any listener.
func (r CallerRule) check() error {
	switch sum, err := hex.DecodeString(strings.ReplaceAll(r.CertSHA256, ":", "")); {
	case r.Name == "":
		return errors.New("intercept: a caller needs a name")
	case r.Secret == nil && r.UID == nil && !r.hasCert():
		return fmt.Errorf("intercept: caller %s: set a secret, a client certificate or a uid", r.Name)
	case r.CertSHA256 != "" && (err != nil || len(sum) != sha256.Size):
		return fmt.Errorf("intercept: caller %s: the certificate fingerprint must be 64 hex digits (openssl x509 -noout -fingerprint -sha256)", r.Name)
	case r.UID != nil && *r.UID == overflowUID:
		return fmt.Errorf("intercept: caller %s: uid %d is what the kernel reports for every user of another namespace; give the caller a user of its own, or a secret", r.Name, overflowUID)
	}
	return nil
}

// overflowUID is the default of /proc/sys/kernel/overflowuid (proc(5)).
const overflowUID = 65534

// callers is the checked rule list of a listener, strongest evidence first.
type callers []CallerRule

func newCallers(rules []CallerRule) (callers, error) {
	for _, r := range rules {
		if err := r.check(); err != nil {
			return nil, err
		}
	}
	sorted := slices.Clone(rules)
	slices.SortStableFunc(sorted, func(a, b CallerRule) int { return cmp.Compare(b.weight(), a.weight()) })
	return sorted, nil
}

func (c callers) any(f func(CallerRule) bool) bool { return slices.ContainsFunc(c, f) }
func (c callers) wantSecret() bool {
	return c.any(func(r CallerRule) bool { return r.Secret != nil })
}
func (c callers) wantUID() bool { return c.any(func(r CallerRule) bool { return r.UID != nil }) }

// mayInclude reports whether a request from p can satisfy any rule.
func (c callers) mayInclude(p peer) bool {
	return c.any(func(r CallerRule) bool { return r.UID == nil || p.known && p.uid == *r.UID })
}

// evidence is what a request shows of its sender.
type evidence struct {
	secret    string // presented, not yet believed
	hasSecret bool
	peer      peer
	cert      *x509.Certificate // verified by crypto/tls, or nil
}

// identify finds the rule that the evidence satisfies. A secret that nobody
// here has is never overlooked in favour of weaker evidence.
func (c callers) identify(e evidence) (Caller, bool) {
	if !c.wantSecret() {
		e.hasSecret = false
	}
	for _, r := range c {
		if e.hasSecret && r.Secret == nil {
			continue
		}
		if r.satisfiedBy(e) {
			return Caller{r.Name, r.how(e)}, true
		}
	}
	return Caller{}, false
}

func (r CallerRule) satisfiedBy(e evidence) bool {
	if r.Secret != nil && !(e.hasSecret && r.Secret.matches(e.secret)) {
		return false
	}
	if r.UID != nil && !(e.peer.known && e.peer.uid == *r.UID) {
		return false
	}
	return !r.hasCert() || e.cert != nil && r.matchesCert(e.cert)
}

func (r CallerRule) matchesCert(cert *x509.Certificate) bool {
	sum := sha256.Sum256(cert.Raw)
	want := strings.ToLower(strings.ReplaceAll(r.CertSHA256, ":", ""))
	return (want == "" || want == hex.EncodeToString(sum[:])) &&
		(r.CertSubject == "" || r.CertSubject == cert.Subject.String())
}

func (r CallerRule) how(e evidence) string {
	switch {
	case r.Secret != nil:
		return "secret"
	case r.hasCert():
		return "client-cert"
	case e.peer.unix:
		return "unix"
	}
	return "uid"
}

// takeSecret removes the secret from the headers, whether or not anyone asks
// for it: it must never travel on. Two secrets are none.
func takeSecret(h http.Header) (secret string, ok bool) {
	found := slices.Clone(h.Values(SecretHeader))
	for _, v := range h.Values("Proxy-Authorization") {
		found = append(found, credentials(v))
	}
	h.Del(SecretHeader)
	h.Del("Proxy-Authorization")
	switch len(found) {
	case 0:
		return "", false
	case 1:
		return found[0], true
	}
	return "", true
}

// credentials reads a Basic password (RFC 7617; the user name is the engine's
// affair) or a Bearer token (RFC 6750). What it cannot read matches nobody.
func credentials(v string) string {
	scheme, rest, _ := strings.Cut(v, " ")
	rest = strings.TrimSpace(rest)
	switch strings.ToLower(scheme) {
	case "bearer":
		return rest
	case "basic":
		raw, err := base64.StdEncoding.DecodeString(rest)
		if err != nil {
			return ""
		}
		_, password, _ := strings.Cut(string(raw), ":")
		return password
	}
	return ""
}
