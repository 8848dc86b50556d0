package daemon

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"gsigw/gsi"
	"gsigw/internal/config"
	"gsigw/internal/session"
)

// newSource is the source behind one entry of the config's credentials.
func newSource(c config.Credential) (gsi.Source, error) {
	o := gsi.FileOptions{AllowGroupRead: c.AllowGroupRead}
	switch {
	case c.Proxy != "":
		return gsi.ProxyFile(string(c.Proxy), o), nil
	case c.PKCS12 != "":
		return gsi.PKCS12File(string(c.PKCS12), string(c.PassphraseFile), o), nil
	case c.Discover:
		return &discovered{options: o}, nil
	}
	return gsi.PairFile(string(c.Cert), string(c.Key), o), nil
}

// discovered finds the credential where grid tools do. There may be none when the gateway starts; once one is found it
// stays that one until the config is read again, so that nobody comes to speak under another name.
type discovered struct {
	options gsi.FileOptions

	mu   sync.Mutex
	file *gsi.File
}

func (d *discovered) Credential(ctx context.Context) (*gsi.Credential, error) {
	f, err := d.found()
	if err != nil {
		return nil, err
	}
	return f.Credential(ctx)
}

// Problem is that of the file which was found.
func (d *discovered) Problem() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.file == nil {
		return nil
	}
	return d.file.Problem()
}

func (d *discovered) found() (*gsi.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.file != nil {
		return d.file, nil
	}
	f, err := gsi.Discover(d.options)
	if err != nil {
		return nil, err
	}
	d.file = f
	return f, nil
}

// bounded refuses a credential that the operator does not want used: nobody can revoke a proxy, so one that lives for
// too long is not taken, and a subject can be blocked here at once.
type bounded struct {
	gsi.Source
	name        string
	maxLifetime time.Duration // 0: any
	blocked     []config.DN
	now         func() time.Time
}

func (b *bounded) Credential(ctx context.Context) (*gsi.Credential, error) {
	c, err := b.Source.Credential(ctx)
	if err != nil {
		return nil, err
	}
	for _, cert := range c.Chain {
		subject, err := gsi.ParseName(cert.RawSubject)
		if err != nil {
			return nil, b.refuse("a name in its chain is not understood", "name another credential")
		}
		if slices.ContainsFunc(b.blocked, func(dn config.DN) bool { return subject.EqualDN(string(dn)) }) {
			return nil, b.refuse(subject.OneLine()+" is blocked in the config", "ask the gateway's operator")
		}
	}
	if left := c.NotAfter().Sub(b.now()); b.maxLifetime > 0 && left > b.maxLifetime {
		return nil, b.refuse(fmt.Sprintf("it is valid for another %s, and its max-lifetime is %s", left.Round(time.Second), b.maxLifetime),
			fmt.Sprintf("make a proxy that ends sooner: gsigw proxy init --hours %d", max(1, int(b.maxLifetime.Hours()))))
	}
	return c, nil
}

func (b *bounded) refuse(reason, remedy string) error {
	return &gsi.UnusableError{Source: "credentials." + b.name, Reason: errors.New(reason), Remedy: remedy}
}

// Problem is that of the source.
func (b *bounded) Problem() error { return gsi.ProblemOf(b.Source) }

// sources makes the credentials of the config. Those whose entry is as it was before keep their state, so that a file
// that became unreadable leaves the credential in use that it held.
func (w *wiring) sources(before *wiring) error {
	w.sourceOf, w.named = map[config.Credential]gsi.Source{}, map[string]gsi.Source{}
	for name, entry := range w.config.Credentials {
		s := before.sourceOf[entry]
		if s == nil || entry.Discover {
			var err error
			if s, err = newSource(entry); err != nil {
				return fmt.Errorf("daemon: credentials.%s: %w", name, err)
			}
		}
		w.sourceOf[entry] = s
		w.named[name] = &bounded{s, name, entry.MaxLifetime, w.config.Blocked, w.now}
	}
	return nil
}

// credentialProblems says of each credential that cannot be used as its files are now which file it is, why, and what to
// do; and until when an earlier state is used instead.
func (w *wiring) credentialProblems(ctx context.Context) (problems []string) {
	say := func(name, format string, args ...any) {
		problems = append(problems, "credentials."+name+": "+fmt.Sprintf(format, args...))
	}
	for _, name := range slices.Sorted(maps.Keys(w.named)) {
		c, err := w.named[name].Credential(ctx)
		if err != nil {
			say(name, "%s", strings.TrimPrefix(err.Error(), "gsi: "))
		} else if err := gsi.ProblemOf(w.named[name]); err != nil {
			say(name, "changed, but %s; the earlier one is used until %s",
				strings.TrimPrefix(err.Error(), "gsi: "), c.NotAfter().UTC().Format(time.RFC3339))
		}
	}
	return problems
}

// sessions has a session for each caller.
func (w *wiring) sessions() (*session.Table, error) {
	var entries []session.Entry
	for name, caller := range w.config.Callers {
		entries = append(entries, session.Entry{Caller: name, Own: w.named[caller.Credential], Named: w.named})
	}
	return session.NewTable(entries)
}
