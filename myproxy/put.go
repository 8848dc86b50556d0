package myproxy

import (
	"context"
	"errors"
	"time"

	"gsigw/gsi"
	"gsigw/gsi/gss"
)

// PutRequest deposits a proxy of the client's credential, as myproxy-init does. The key is made by the server and never
// leaves it.
type PutRequest struct {
	Username       string
	Passphrase     Secret // under which the server locks the key; empty for what is to be renewed
	CredentialName string // empty: the user's default one
	Description    string
	Policy

	Lifetime time.Duration // of the proxies that the server may hand out, in minutes; 0 means DefaultLifetime

	// Limits of the proxy that is deposited. A Lifetime of 0 means DefaultStored; it ends with the client's credential
	// in any case, so that should be the user's certificate, not a proxy of a few hours.
	Limits gsi.Limits `json:"-"`
}

// Put deposits a proxy.
func (c *Client) Put(ctx context.Context, p PutRequest) error {
	if c.Credential == nil {
		return errors.New("myproxy: PUT needs the client's credential: a proxy of it is what is deposited")
	}
	lifetime, err := servedLifetime(p.Lifetime)
	if err != nil {
		return err
	}
	r := &request{cmdPut, p.Username, p.Passphrase, "", lifetime, stored(p.Policy, p.CredentialName, p.Description)}
	return c.exchange(ctx, r, options{}, func(s *session, _ *reply) error {
		return s.delegate(p.limits(c.now()))
	})
}

func (p *PutRequest) limits(now time.Time) gsi.Limits {
	l := p.Limits
	if l.Lifetime == 0 {
		l.Lifetime = DefaultStored
	}
	if l.Now.IsZero() {
		l.Now = now
	}
	return l
}

// delegate signs a proxy over the key that the server asks it for.
func (s *session) delegate(l gsi.Limits) error {
	if err := s.notRefused(); err != nil {
		return err
	}
	der, err := s.in.sequence()
	if err != nil {
		return err
	}
	chain, err := gss.SignRequest(der, s.credential, l)
	if err != nil {
		return err
	}
	message, err := encodeChain(chain)
	if err != nil {
		return err
	}
	if err := s.send(message); err != nil {
		return err
	}
	_, err = s.answer()
	return err
}
