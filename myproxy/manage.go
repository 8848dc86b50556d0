package myproxy

import (
	"context"
	"errors"
)

// DestroyRequest has a stored credential removed, as myproxy-destroy does. Its owner alone may.
type DestroyRequest struct {
	Username       string
	CredentialName string // empty: the user's default one
}

// Destroy removes a credential from the server.
func (c *Client) Destroy(ctx context.Context, d DestroyRequest) error {
	r := &request{command: cmdDestroy, username: d.Username, passphrase: dummyPassphrase, fields: named(d.CredentialName)}
	return c.exchange(ctx, r, options{}, done)
}

// ChangePassphraseRequest has the key of a stored credential locked under another passphrase, as
// myproxy-change-pass-phrase does. The owner alone may, with the old one.
type ChangePassphraseRequest struct {
	Username       string
	CredentialName string // empty: the user's default one
	Old, New       Secret
}

// ChangePassphrase changes the passphrase of a stored credential.
func (c *Client) ChangePassphrase(ctx context.Context, p ChangePassphraseRequest) error {
	if p.New == "" {
		return errors.New("myproxy: the new passphrase is empty: it would lock nothing")
	}
	r := &request{cmdChangePassphrase, p.Username, p.Old, p.New, 0, named(p.CredentialName)}
	return c.exchange(ctx, r, options{}, done)
}

// done ends an exchange where the first OK is all there is.
func done(*session, *reply) error { return nil }
