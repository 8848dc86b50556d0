package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Trace keeps what was said in each exchange, for debugging: the request as it came, as it was sent, the reply as it
// came, and as it was given. Secrets are cut out: header fields that carry them, passwords, assertions and binary
// secrets in security headers, and whatever looks like a private key. Certificates stay; they are public.
type Trace struct {
	dir  string
	left atomic.Int64 // bytes that may still be written
	fail sync.Once
	said func(error)
}

// The bounds of a trace.
const (
	traceBody  = 1 << 20   // bytes kept of one body
	traceTotal = 256 << 20 // bytes written until the gateway starts again
)

// NewTrace makes the directory if need be, with mode 0700, and refuses one that others can read. said hears, once, why
// a trace could not be written; it may be nil.
func NewTrace(dir string, said func(error)) (*Trace, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("gateway: trace: %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("gateway: trace: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("gateway: trace: %s has mode %04o, and messages are nobody else's business: chmod 0700 it", dir, info.Mode().Perm())
	}
	if said == nil {
		said = func(error) {}
	}
	t := &Trace{dir: dir, said: said}
	t.left.Store(traceTotal)
	return t, nil
}

// traced is one exchange's trace; a nil one keeps nothing.
type traced struct {
	*Trace
	id      string
	request *http.Request
}

func (t *Trace) begin(id string, r *http.Request) *traced {
	if t == nil {
		return nil
	}
	return &traced{t, id, r}
}

func (t *traced) received(body content) {
	if t != nil {
		t.write("1-request", t.request.Method+" "+t.request.URL.String(), t.request.Header, body)
	}
}

func (t *traced) sent(method string, u *url.URL, h http.Header, body content) {
	if t != nil {
		t.write("2-sent", method+" "+u.String(), h, body)
	}
}

func (t *traced) replied(status int, h http.Header, body content) {
	if t != nil {
		t.write("3-reply", fmt.Sprint(status), h, body)
	}
}

func (t *traced) given(a *answer) {
	if t != nil {
		t.write("4-given", fmt.Sprint(a.status), a.header, a.body)
	}
}

// write writes one file; that it cannot be written stops no exchange.
func (t *traced) write(name, start string, h http.Header, body content) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\n", start)
	for _, key := range slices.Sorted(maps.Keys(h)) {
		for _, v := range h[key] {
			if isSecretHeader(key) {
				v = cut
			}
			fmt.Fprintf(&b, "%s: %s\n", key, v)
		}
	}
	b.WriteByte('\n')
	b.Write(withoutSecrets(first(body, traceBody)))
	if more := body.Size() - traceBody; more > 0 {
		fmt.Fprintf(&b, "\n[%d more bytes]", more)
	}
	if err := t.keep(name, withoutSecrets(b.Bytes())); err != nil {
		t.fail.Do(func() { t.said(fmt.Errorf("gateway: trace: %w", err)) })
	}
}

var errTraceFull = errors.New("the bound on all traces is reached; start the gateway again to trace more")

func (t *traced) keep(name string, text []byte) (err error) {
	if t.left.Add(-int64(len(text))) < 0 {
		return errTraceFull
	}
	path := filepath.Join(t.dir, t.id+"."+name+".http")
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fs.FileMode(0o600))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = f.Write(text)
	return err
}

const cut = "[cut]"

// isSecretHeader errs on the side of cutting.
func isSecretHeader(name string) bool {
	name = strings.ToLower(name)
	for _, part := range []string{"auth", "cookie", "secret", "token", "password", "key", "session"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}

// Secrets are found in bytes, not in a tree: what cannot be parsed is traced too, and what a peer quotes is escaped. From
// an element's beginning all is cut to the last end of one of that name, for it may hold another, and to the end of the
// text where there is none.
var (
	privateKeys   = regexp.MustCompile(`(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\z)`)
	secretStart   = regexp.MustCompile(`(?s)` + less + named("("+strings.Join(secretNames, "|")+")") + `(?:\s.*?)?` + greater)
	secretEnds    = map[string]*regexp.Regexp{}
	secretNames   = []string{"Password", "BinarySecret", "Passphrase", "PrivateKey", "Assertion"}
	less, greater = `(?:<|&(?:amp;)*(?:lt|#0*60|#x0*3[cC]);)`, `(?:>|&(?:amp;)*(?:gt|#0*62|#x0*3[eE]);)`
)

func init() {
	for _, name := range secretNames {
		secretEnds[name] = regexp.MustCompile(less + "/" + named(name) + `\s*` + greater)
	}
}

// named is an element's name with any prefix.
func named(local string) string { return `(?:[^\s<>/:;&]+:)?` + local }

func withoutSecrets(text []byte) []byte {
	text = privateKeys.ReplaceAllLiteral(text, []byte("[cut: a private key]"))
	var kept []byte
	for {
		start := secretStart.FindSubmatchIndex(text)
		if start == nil {
			return append(kept, text...)
		}
		kept = append(append(kept, text[:start[1]]...), cut...)
		end := secretEnds[string(text[start[2]:start[3]])]
		text = text[start[1]:]
		ends := end.FindAllIndex(text, -1)
		if len(ends) == 0 {
			return kept
		}
		text = text[ends[len(ends)-1][0]:]
	}
}
