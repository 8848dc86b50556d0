package main

import (
	"bytes"
	"context"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"time"

	"gsigw/gsi"
	"gsigw/trust"
	"gsigw/voms"
)

// maker makes a proxy, step by step, and says what it does.
type maker struct {
	progress, warnTo       io.Writer
	trust                  *trust.Store // nil: nothing is verified
	vomsdir                *voms.Dir    // nil: attributes are not
	mustVerify, failOnWarn bool
	out                    string
	old                    *proxyFacts // what the proxy is to replace, and to be no worse than; nil: whatever there was

	acs        [][]byte // DER
	extensions []pkix.Extension
	warnings   []string
}

func (m *maker) warn(format string, args ...any) {
	m.warnings = append(m.warnings, fmt.Sprintf(format, args...))
}

// make makes the proxy, and writes it when there is nothing against it.
func (m *maker) make(ctx context.Context, issuer *gsi.Credential, l gsi.Limits) (proxyFacts, error) {
	fmt.Fprint(m.progress, "Creating proxy ")
	l.Extensions = m.extensions
	proxy, err := gsi.NewProxy(issuer, l)
	if err != nil {
		fmt.Fprintln(m.progress, "Failed")
		return proxyFacts{}, err
	}
	fmt.Fprintln(m.progress, "... Done")
	return m.keep(ctx, proxy, l)
}

// keep writes a proxy that was made by these limits, when there is nothing against it.
func (m *maker) keep(ctx context.Context, proxy *gsi.Credential, l gsi.Limits) (proxyFacts, error) {
	facts, err := m.look(proxy, l)
	if err != nil {
		return facts, err
	}
	if m.old != nil {
		if err := m.old.lossIn(facts); err != nil {
			return facts, err
		}
	}
	if err := m.heed(); err != nil {
		return facts, err
	}
	if err := writeAndReadBack(ctx, m.out, proxy); err != nil {
		return facts, err
	}
	fmt.Fprintf(m.progress, "Created proxy in %s\nYour proxy is valid until: %s\n", m.out, date(facts.NotAfter))
	return facts, nil
}

// look reads the proxy as others will, and warns of what they will not like.
func (m *maker) look(proxy *gsi.Credential, l gsi.Limits) (proxyFacts, error) {
	id, err := proxy.Identity()
	if err != nil {
		return proxyFacts{}, err
	}
	facts := readProxyFacts(m.out, proxy.Chain, id, l.Now)
	if err := facts.readClaims(proxy.Chain); err != nil {
		return facts, err
	}
	if wanted := l.Now.Add(l.Lifetime); facts.NotAfter.Before(wanted.Truncate(time.Second)) {
		m.warn("the proxy ends with what it is made of, at %s, and not after %s", date(facts.NotAfter), clock(l.Lifetime))
	}
	if vo := facts.firstEnd(); vo != "" {
		m.warn("the attributes of %s end first, at %s", vo, date(facts.UsableUntil))
	}
	return facts, m.verify(proxy, time.Now()) // not l.Now: the attributes were made after it
}

// verify judges the proxy as services will. Attributes are judged as one who only passes them on.
func (m *maker) verify(proxy *gsi.Credential, at time.Time) error {
	if m.trust == nil {
		return nil
	}
	id, err := m.trust.Verify(proxy.Chain, at)
	if err != nil {
		return m.unverified("the proxy does not verify here: %s", err)
	}
	if m.vomsdir != nil {
		for _, ac := range m.acs {
			if _, err := m.vomsdir.VerifyAC(ac, id, at); err != nil {
				if err := m.unverified("the attributes do not verify here: %s", err); err != nil {
					return err
				}
			}
		}
	}
	if m.mustVerify {
		fmt.Fprintln(m.progress, "Proxy Verify OK")
	}
	return nil
}

// unverified is a warning, unless verification was asked for.
func (m *maker) unverified(format string, err error) error {
	if m.mustVerify {
		return fmt.Errorf(format+": no proxy was written", oneLine(err))
	}
	m.warn(format, oneLine(err))
	return nil
}

// heed prints the warnings, and with failonwarn makes an error of them.
func (m *maker) heed() error {
	for _, w := range m.warnings {
		fmt.Fprintln(m.warnTo, "warning: "+w)
	}
	if m.failOnWarn && len(m.warnings) > 0 {
		return errors.New("there were warnings, and --failonwarn makes errors of them: no proxy was written")
	}
	return nil
}

// writeAndReadBack puts a proxy into its file and makes sure that what lies there now is this proxy: a renewal that only
// seems to work is noticed when it is too late.
func writeAndReadBack(ctx context.Context, path string, proxy *gsi.Credential) error {
	if err := gsi.WriteProxyFile(path, proxy); err != nil {
		return err
	}
	read, err := gsi.ProxyFile(path, gsi.FileOptions{}).Credential(ctx)
	if err != nil {
		return fmt.Errorf("the proxy was written and cannot be read back: %w", err)
	}
	if !bytes.Equal(read.Leaf().Raw, proxy.Leaf().Raw) || len(read.Chain) != len(proxy.Chain) {
		return fmt.Errorf("%s does not hold the proxy that was written there: who else writes it?", path)
	}
	return nil
}
