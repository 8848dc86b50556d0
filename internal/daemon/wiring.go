package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"gsigw/gsi"
	"gsigw/internal/admin"
	"gsigw/internal/config"
	"gsigw/internal/gateway"
	"gsigw/internal/intercept"
	"gsigw/internal/intercept/ca"
	"gsigw/internal/policy"
	"gsigw/internal/upstream"
	"gsigw/soap"
	"gsigw/soap/xmlscan"
	"gsigw/trust"
)

// wiring is what one reading of the config comes to. A reload makes a new one; what has a state of its own, such as
// idle connections and credentials last read, it takes over from the old where the config says the same as before.
type wiring struct {
	config *config.Config
	own    []netip.AddrPort // our listeners
	now    func() time.Time

	sourceOf map[config.Credential]gsi.Source
	named    map[string]gsi.Source
	read     routeFiles
	held     map[string]gateway.Files // by the route's name
	anchors  map[belief]anchors
	plain    *upstream.Client // for routes with nobody to believe
	callers  []intercept.CallerRule
	ca       *ca.Authority // nil: CONNECT is refused
	state    *gateway.State
	warnings []string // what the operator should know
}

// belief is how certificates are judged; routes that believe different things have different anchors.
type belief struct {
	dir     string
	options trust.Options
}

type anchors struct {
	store  *trust.Store
	client *upstream.Client
}

// Check reads a config and everything that it names, as the daemon does before it listens: it opens no listener and
// needs no network. The warnings are what the daemon's log would say; a credential that is of no use is one, since a proxy
// may come later.
func Check(ctx context.Context, file string) (warnings []string, err error) {
	c, err := config.Load(file)
	if err != nil {
		return nil, err
	}
	w, err := wire(c, nil, time.Now, &wiring{})
	if err != nil {
		return nil, err
	}
	for _, t := range []config.TLS{c.Listen.TLS, c.Reverse.TLS} {
		if _, err := w.listenerTLS(t); err != nil {
			return nil, err
		}
	}
	return append(w.warnings, w.credentialProblems(ctx)...), nil
}

// wire builds everything from a config; the old wiring is left as it is.
func wire(c *config.Config, own []netip.AddrPort, now func() time.Time, before *wiring) (*wiring, error) {
	w := &wiring{config: c, own: own, now: now, plain: upstream.New(upstream.Config{Own: own, Now: now})}
	p, err := c.Policy()
	if err != nil {
		return nil, err
	}
	if err := w.sources(before); err != nil {
		return nil, err
	}
	if err := w.trust(p, before); err != nil {
		return nil, err
	}
	if err := w.files(before); err != nil {
		return nil, err
	}
	w.recipients(p)
	w.spool()
	if err := w.recognise(); err != nil {
		return nil, err
	}
	if err := w.loadCA(); err != nil {
		return nil, err
	}
	sessions, err := w.sessions()
	if err != nil {
		return nil, err
	}
	w.state = &gateway.State{
		Policy: p, Sessions: sessions, Reach: w.reach, Limits: limits(c.Limits),
	}
	return w, nil
}

func limits(l config.Limits) gateway.Limits {
	return gateway.Limits{
		Message: soap.Limits{
			Limits:       xmlscan.Limits{Depth: l.Depth, Attributes: l.Attributes, Namespaces: l.Namespaces, TagBytes: int(l.Tag), NamespaceBytes: int(l.Namespace)},
			MessageBytes: int64(l.Message), Headers: l.Headers, HeaderElements: l.HeaderElements, HeaderBytes: int64(l.HeaderBytes), IDs: l.IDs, Parts: l.Parts,
		},
		HTTPHeader: int64(l.HTTPHeader), References: l.References, Certificates: l.Certificates, RSABits: l.RSABits,
	}
}

// trust opens the trust directory once for each belief that a route has.
func (w *wiring) trust(p *policy.Policy, before *wiring) error {
	w.anchors = map[belief]anchors{}
	for name, r := range w.config.Routes {
		b := w.belief(p.Route(name))
		if _, done := w.anchors[b]; done || !p.Route(name).Secured() && r.Target.Scheme != "https" {
			continue
		}
		a, err := w.open(b, before)
		if err != nil {
			return err
		}
		w.anchors[b] = a
	}
	return nil
}

func (w *wiring) belief(r *policy.Route) belief {
	crl := map[config.Check]trust.CRLPolicy{
		config.IfPresent: trust.CRLIfPresent, config.Require: trust.CRLRequire, config.Off: trust.CRLOff,
	}
	return belief{string(w.config.Trust.Dir), trust.Options{
		CRL: crl[w.config.Trust.CRLs], RequireSigningPolicy: w.config.Trust.SigningPolicy == config.Require,
		MaxCertificates: w.config.Limits.Certificates, MaxRSABits: w.config.Limits.RSABits,
		AllowMD5: r.AllowMD5, AllowRSA512: r.AllowRSA512,
	}}
}

func (w *wiring) open(b belief, before *wiring) (anchors, error) {
	a, ok := before.anchors[b]
	if !ok {
		store, err := trust.Open(b.dir, b.options)
		if err != nil {
			return a, err
		}
		a = anchors{store, upstream.New(upstream.Config{Trust: store, Own: w.own, Now: w.now})}
	}
	for _, p := range a.store.Problems() {
		w.warn("the trust directory: %v", p)
	}
	return a, nil
}

// refresh reads the trust directory again; revocations count whatever has become of the config. Connections that are
// idle were made under what was trusted before.
func (w *wiring) refresh(ctx context.Context, log *slog.Logger) {
	for b, a := range w.anchors {
		if err := a.store.Reload(ctx); err != nil {
			log.Error("the trust directory cannot be read; what was trusted before still is", "dir", b.dir, "err", err)
		}
		a.client.Reset()
	}
}

// reach finds what serves a route.
func (w *wiring) reach(r *policy.Route) gateway.Reach {
	a, ok := w.anchors[w.belief(r)]
	if !ok {
		return gateway.Reach{Upstream: w.plain}
	}
	return gateway.Reach{Upstream: a.client, Trust: a.store, Files: w.held[r.Name]}
}

func (w *wiring) warn(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(w.warnings, text) {
		w.warnings = append(w.warnings, text)
	}
}

// loadCA loads the local CA, and finds out for which hosts it was not made.
func (w *wiring) loadCA() error {
	if w.config.CA.Dir == "" {
		return nil
	}
	var err error
	if w.ca, err = ca.Load(string(w.config.CA.Dir), w.now); err != nil {
		return err
	}
	for _, r := range w.config.Routes {
		if host := r.Target.Host; r.Target.Scheme == "https" && !w.ca.Covers([]string{host}) {
			w.warn("the local CA may not speak for %s, so CONNECT to it fails: run gsigw ca reissue", host)
		}
	}
	return nil
}

// status is what readiness is judged by.
func (w *wiring) status() admin.Status {
	return admin.Status{Routes: len(w.config.Routes), Credentials: w.named, Anchors: func() (expire []time.Time) {
		for _, a := range w.anchors {
			for _, ca := range a.store.Anchors() {
				expire = append(expire, ca.NotAfter)
			}
		}
		return expire
	}}
}

// watched are the files and directories that everything was read from.
func (w *wiring) watched() (dirs, files []string) {
	c := w.config
	dirs = []string{string(c.Trust.Dir)}
	if c.CA.Dir != "" {
		dirs = append(dirs, string(c.CA.Dir))
	}
	files = []string{c.File}
	add := func(paths ...config.Path) {
		for _, p := range paths {
			if p != "" {
				files = append(files, string(p))
			}
		}
	}
	add(c.Listen.TLS.Cert, c.Listen.TLS.Key, c.Reverse.TLS.Cert, c.Reverse.TLS.Key)
	for _, caller := range c.Callers {
		add(caller.SecretFile, caller.ClientCert)
	}
	for _, cred := range c.Credentials {
		add(cred.Proxy, cred.Cert, cred.Key, cred.PKCS12, cred.PassphraseFile)
	}
	for _, r := range c.Routes {
		add(r.EncryptTo, r.PeerCertificate, r.IssuerCertificate, r.PasswordFile, r.AssertionFile)
	}
	return dirs, files
}
