package config

import (
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"gsigw/internal/policy"
)

// Path is the name of a file or directory; absolute once the config is read.
type Path string

// Size is a number of bytes.
type Size int64

// DN is a distinguished name in OpenSSL's one-line form, /O=Grid/CN=host/grid.example.org.
type DN string

// Address is where a listener listens.
type Address struct {
	Network string // tcp or unix; empty where there is no listener
	Addr    string // host:port or file name
}

// IsZero says whether there is no such listener.
func (a Address) IsZero() bool { return a.Network == "" }

// Local says whether only this machine can reach the address.
func (a Address) Local() bool {
	if a.Network == "unix" {
		return true
	}
	host, _, err := net.SplitHostPort(a.Addr)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

// String gives the address as a config writes it.
func (a Address) String() string {
	if a.Network == "unix" {
		return "unix:" + a.Addr
	}
	return a.Addr
}

// UID is a user id, or with Self the gateway's own.
type UID struct {
	Self bool
	ID   uint32
}

// Resolve gives the number.
func (u UID) Resolve() uint32 {
	if u.Self {
		return uint32(os.Getuid())
	}
	return u.ID
}

// Check is how much of a kind of evidence is asked for.
type Check int

const (
	IfPresent Check = iota // judged where it is there
	Require                // must be there
	Off                    // not looked at
)

var checks = []string{"if-present", "require", "off"}

func (c Check) String() string { return checks[c] }

// KeyKind is the kind of the local CA's keys.
type KeyKind int

const (
	ECDSA KeyKind = iota // P-256
	RSA                  // 2048 bits, for engines whose Java knows no ECDSA
)

var keyKinds = []string{"ecdsa", "rsa"}

func (k KeyKind) String() string { return keyKinds[k] }

// LogFormat is the shape of a log record.
type LogFormat int

const (
	Text LogFormat = iota
	JSON
)

var logFormats = []string{"text", "json"}

func (f LogFormat) String() string { return logFormats[f] }

// Attachments says what becomes of attachments that no signature covers.
type Attachments int

const (
	RefuseAttachments Attachments = iota
	AcceptAttachments
)

var attachmentChoices = []string{"refuse", "accept"}

func (a Attachments) String() string { return attachmentChoices[a] }

// enums are the types whose values are words. The place in the list is the value, but for log levels.
var enums = map[reflect.Type][]string{
	reflect.TypeFor[policy.Stack]():         policy.Stacks,
	reflect.TypeFor[policy.Message]():       policy.Messages,
	reflect.TypeFor[policy.Transport]():     policy.Transports,
	reflect.TypeFor[policy.Digest]():        policy.Digests,
	reflect.TypeFor[policy.Token]():         policy.Tokens,
	reflect.TypeFor[policy.Addressing]():    policy.Addressings,
	reflect.TypeFor[policy.UnsignedReply](): policy.UnsignedReplies,
	reflect.TypeFor[policy.Cipher]():        policy.Ciphers,
	reflect.TypeFor[policy.KeyTransport]():  policy.KeyTransports,
	reflect.TypeFor[policy.KeyReference]():  policy.KeyReferences,
	reflect.TypeFor[policy.Order]():         policy.Orders,
	reflect.TypeFor[policy.PasswordType]():  policy.PasswordTypes,
	reflect.TypeFor[policy.Confirmation]():  policy.Confirmations,
	reflect.TypeFor[Check]():                checks,
	reflect.TypeFor[KeyKind]():              keyKinds,
	reflect.TypeFor[LogFormat]():            logFormats,
	reflect.TypeFor[Attachments]():          attachmentChoices,
}

// A scalar is a type written as one YAML value that is more than a word or a number.
type scalar struct {
	parse   func(text string) (any, error)
	example string // shown in errors
	pattern string // for the schema
}

var scalars = map[reflect.Type]scalar{
	reflect.TypeFor[time.Duration](): {parseDuration, "30s, 5m or 1h30m", `^([0-9]+(ms|s|m|h))+$`},
	reflect.TypeFor[Size]():          {parseSize, "64KiB, 8MiB or 10MB", `^[0-9]+(B|kB|MB|GB|KiB|MiB|GiB)$`},
	reflect.TypeFor[Path]():          {parsePath, "the name in full, such as /etc/gsigw/host.pem", `^.+$`},
	reflect.TypeFor[DN]():            {parseDN, "/O=Grid/CN=host/grid.example.org", `^/.+=.+$`},
	reflect.TypeFor[Address]():       {parseAddress, "127.0.0.1:8180 or unix:/run/gsigw/proxy.sock", `^(unix:/.+|.*:[0-9]+)$`},
	reflect.TypeFor[UID]():           {parseUID, "self or 1001", `^(self|[0-9]+)$`},
	reflect.TypeFor[policy.Name]():   {parseName, "{http://counter.com}add", `^(\{[^{}]+\})?[^{}]+$`},
	reflect.TypeFor[policy.Target](): {parseTarget, "https://grid.example.org:8443/wsrf/services/*", `^[hH][tT][tT][pP][sS]?://.+$`},
	reflect.TypeFor[slog.Level]():    {parseLevel, "debug, info, warn or error", `^(debug|info|warn|error)$`},
}

func parseDuration(text string) (any, error) {
	d, err := time.ParseDuration(text)
	switch {
	case err != nil && isNumber(text):
		return nil, fmt.Errorf("%s has no unit", text)
	case err != nil:
		return nil, fmt.Errorf("%q is no duration", text)
	case d <= 0:
		return nil, fmt.Errorf("%s is not more than nothing", text)
	}
	return d, nil
}

var units = []struct {
	name  string
	bytes int64
}{ // the longer names first, since all end in B
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1},
}

func parseSize(text string) (any, error) {
	n, err := ParseSize(text)
	if err != nil {
		return nil, err
	}
	return n, nil
}

// ParseSize reads a number of bytes with its unit: 512B, 64KiB, 8MiB, 10MB.
func ParseSize(text string) (Size, error) {
	for _, u := range units {
		digits, ok := strings.CutSuffix(text, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(digits, 10, 63)
		if err != nil || int64(n) > math.MaxInt64/u.bytes {
			return 0, fmt.Errorf("%q is no size", text)
		}
		return Size(int64(n) * u.bytes), nil
	}
	if isNumber(text) {
		return 0, fmt.Errorf("%s has no unit", text)
	}
	return 0, fmt.Errorf("%q has no unit of size", text)
}

func isNumber(text string) bool {
	_, err := strconv.ParseFloat(text, 64)
	return err == nil
}

func parsePath(text string) (any, error) {
	if text == "" || strings.HasPrefix(text, "~") || strings.ContainsAny(text, "$\x00") {
		return nil, fmt.Errorf("%q is not taken as a file name: ~ and $ are not expanded", text)
	}
	return Path(filepath.Clean(text)), nil
}

func parseDN(text string) (any, error) {
	if !strings.HasPrefix(text, "/") || !strings.Contains(text, "=") {
		return nil, fmt.Errorf("%q is no name in one-line form", text)
	}
	return DN(text), nil
}

func parseAddress(text string) (any, error) {
	if file, ok := strings.CutPrefix(text, "unix:"); ok {
		if !filepath.IsAbs(file) {
			return nil, fmt.Errorf("socket %q is no absolute file name", file)
		}
		return Address{"unix", filepath.Clean(file)}, nil
	}
	_, port, err := net.SplitHostPort(text)
	if err != nil {
		return nil, fmt.Errorf("%q is not host:port", text)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return nil, fmt.Errorf("%q: the port is not a number up to 65535", text)
	}
	return Address{"tcp", text}, nil
}

func parseUID(text string) (any, error) {
	if text == "self" {
		return UID{Self: true}, nil
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n == math.MaxUint32 || strconv.FormatUint(n, 10) != text {
		return nil, fmt.Errorf("%q is no user id", text)
	}
	return UID{ID: uint32(n)}, nil
}

func parseName(text string) (any, error) {
	space, local, ok := "", text, true
	if rest, braced := strings.CutPrefix(text, "{"); braced {
		space, local, ok = strings.Cut(rest, "}")
		ok = ok && space != ""
	}
	if !ok || local == "" || strings.ContainsAny(local, "{}: \t\r\n") {
		return nil, fmt.Errorf("%q is no qualified name", text)
	}
	return policy.Name{Space: space, Local: local}, nil
}

func parseTarget(text string) (any, error) {
	t, err := policy.ParseTarget(text)
	if err != nil {
		return nil, plain(err)
	}
	return t, nil
}

var levels = []string{"debug", "info", "warn", "error"}

func parseLevel(text string) (any, error) {
	i := slices.Index(levels, text)
	if i < 0 {
		return nil, fmt.Errorf("%q is no log level", text)
	}
	return []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}[i], nil
}
