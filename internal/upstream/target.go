package upstream

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"gsigw/gsi"
)

// key says which calls may share a connection: those that would have opened the very same one. The proxy's
// password is part of it and stays inside.
type key struct {
	scheme, host string
	port         uint16
	mode         Mode
	credential   [sha256.Size]byte
	peers        string
	proxy        string
	allow        [2]Allow
}

func (t *Target) key() key {
	k := key{
		scheme:     t.URL.Scheme,
		host:       strings.ToLower(t.URL.Hostname()),
		port:       t.port(),
		mode:       t.Transport,
		credential: fingerprint(t.Credential),
		peers:      strings.Join(slices.Sorted(slices.Values(t.PeerDN)), "\x00"),
		allow:      [2]Allow{t.Allow},
	}
	if t.Proxy != nil {
		k.proxy, k.allow[1] = t.Proxy.URL.String(), t.Proxy.Allow
	}
	return k
}

// fingerprint covers the whole chain: a renewed proxy is another credential, and so is the same key with a
// narrower certificate.
func fingerprint(c *gsi.Credential) (sum [sha256.Size]byte) {
	if c == nil {
		return sum
	}
	h := sha256.New()
	for _, cert := range c.Chain {
		h.Write(cert.Raw) // DER says where it ends
	}
	return [sha256.Size]byte(h.Sum(nil))
}

func (t *Target) withDefaults() *Target {
	d := *t
	setDefault(&d.Timeouts.Resolve, 5*time.Second)
	setDefault(&d.Timeouts.Dial, 10*time.Second)
	setDefault(&d.Timeouts.Handshake, 15*time.Second)
	setDefault(&d.Timeouts.Progress, 60*time.Second)
	setDefault(&d.Timeouts.Header, 2*time.Minute)
	setDefault(&d.Timeouts.Total, 15*time.Minute)
	setDefault(&d.Limits.Header, 64<<10)
	setDefault(&d.Limits.Body, 64<<20)
	return &d
}

// check refuses a target that would not do what it says.
func (t *Target) check(now time.Time) error {
	if err := t.checkURL(); err != nil {
		return err
	}
	if err := t.checkProxy(); err != nil {
		return err
	}
	if t.Transport == GSI {
		return checkCredential(t.Credential, now)
	}
	if t.Credential != nil {
		return errors.New("a credential is given, but the transport would not use it; set transport gsi, or leave the credential out")
	}
	return nil
}

func (t *Target) checkURL() error {
	if t.URL == nil || t.URL.Hostname() == "" || t.URL.Opaque != "" {
		return errors.New("the URL names no host")
	}
	if t.URL.User != nil {
		return errors.New("the URL holds a user name; nothing here would use it")
	}
	if t.port() == 0 {
		return fmt.Errorf("port %q is not a port", t.URL.Port())
	}
	want := "https"
	switch t.Transport {
	case Plain:
		want = "http"
		if len(t.PeerDN) > 0 {
			return errors.New("a peer DN is given, but plain http shows none; use https")
		}
	case TLS, GSI:
	default:
		return errors.New("no transport is set")
	}
	if t.URL.Scheme != want {
		return fmt.Errorf("the transport asks for %s, but the URL says %q", want, t.URL.Scheme)
	}
	return nil
}

func (t *Target) checkProxy() error {
	if t.Proxy == nil {
		return nil
	}
	u := t.Proxy.URL
	if u == nil || u.Scheme != "http" || u.Hostname() == "" || portOf(u) == 0 {
		return errors.New("the proxy must be given as http://host:port")
	}
	return nil
}

func checkCredential(c *gsi.Credential, now time.Time) error {
	if c == nil || len(c.Chain) == 0 || c.Key == nil {
		return fmt.Errorf("%w: transport gsi needs one, and none is given", ErrCredential)
	}
	if end := c.NotAfter(); !now.Before(end) {
		return fmt.Errorf("%w: it expired at %s; renew it", ErrCredential, end.UTC().Format(time.RFC3339))
	}
	return nil
}

func (t *Target) port() uint16 { return portOf(t.URL) }

func portOf(u *url.URL) uint16 {
	name := cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	port, err := strconv.ParseUint(name, 10, 16)
	if err != nil {
		return 0
	}
	return uint16(port)
}

// hostPort names the service in the form that CONNECT and error texts use.
func hostPort(u *url.URL) string {
	return net.JoinHostPort(u.Hostname(), strconv.Itoa(int(portOf(u))))
}

func (t *Target) addr() string {
	if t.URL == nil {
		return ""
	}
	return hostPort(t.URL)
}

// literalIP is the target's host where that is an address and no name.
func (t *Target) literalIP() (netip.Addr, bool) {
	ip, err := netip.ParseAddr(t.URL.Hostname())
	return ip, err == nil
}
