package myproxy

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"gsigw/gsi"
	"gsigw/gsi/gss"
)

// GetRequest asks for a proxy made of a stored credential, as myproxy-logon does.
type GetRequest struct {
	Username       string
	Passphrase     Secret
	CredentialName string        // empty: the user's default one
	Lifetime       time.Duration // of the proxy, in minutes; 0 means DefaultLifetime. The server may give less

	Key  crypto.Signer `json:"-" xml:"-"` // of the proxy; nil: a new RSA key
	Bits int           // of the new key: 1024 to 8192; 0 means 2048

	// DN is the identity that the credential has to have; empty: any that is trusted.
	DN string

	// Renew is the proxy to be renewed, in place of a passphrase: the server wants a proof of its possession, and the
	// client's own credential to be that of a renewer. The credential gotten has the same identity.
	Renew *gsi.Credential `json:"-"`

	// VONames asks the server to put attributes of these VOs into the proxy, which it gets from servers that it knows,
	// or from those of VOMSes (lines of a vomses file). A server that does not do so says nothing: look at the proxy.
	VONames, VOMSes []string

	// TrustRoots, when it is not nil, asks for the server's trust roots along with the proxy.
	TrustRoots *TrustRoots
}

// Format leaves the key out of every kind of print.
func (g GetRequest) Format(f fmt.State, verb rune) {
	type getRequest GetRequest
	g.Key = nil
	fmt.Fprintf(f, fmt.FormatString(f, verb), getRequest(g))
}

// Get gets a proxy. Its chain is over our key, trusted, of the identity asked for, and lives no longer than asked.
func (c *Client) Get(ctx context.Context, g GetRequest) (*gsi.Credential, error) {
	if g.Renew != nil {
		if err := c.checkRenewal(&g); err != nil {
			return nil, err
		}
	}
	lifetime, err := servedLifetime(g.Lifetime)
	if err != nil {
		return nil, err
	}
	key, csr, err := newKey(g.Key, g.Bits)
	if err != nil {
		return nil, err
	}
	r := &request{cmdGet, g.Username, g.Passphrase, "", lifetime, g.fields()}
	o := options{renew: g.Renew}
	if g.TrustRoots != nil {
		o.limit = maxRootsReply
	}
	var cred *gsi.Credential
	err = c.exchange(ctx, r, o, func(s *session, first *reply) error {
		roots, err := g.readTrustRoots(first)
		if err != nil {
			return err
		}
		chain, err := s.delegated(csr)
		if err != nil {
			return err
		}
		got := &gsi.Credential{Chain: chain, Key: key}
		if err := c.checkGot(got, g, lifetime); err != nil {
			return err
		}
		if cred = got; g.TrustRoots != nil {
			*g.TrustRoots = roots
		}
		return nil
	})
	return cred, err
}

func (g *GetRequest) fields() []field {
	list := named(g.CredentialName)
	if g.TrustRoots != nil {
		list = append(list, field{keyTrustedCerts, "1"})
	}
	for _, vo := range g.VONames {
		list = append(list, field{keyVOName, vo})
	}
	for _, line := range g.VOMSes {
		list = append(list, field{keyVOMSes, line})
	}
	return list
}

func (g *GetRequest) readTrustRoots(first *reply) (TrustRoots, error) {
	if g.TrustRoots == nil {
		return nil, nil
	}
	return readTrustRoots(first)
}

func (c *Client) checkRenewal(g *GetRequest) error {
	switch {
	case len(g.Renew.Chain) == 0 || g.Renew.Key == nil:
		return errors.New("myproxy: the credential to be renewed has no certificate or no key")
	case g.Passphrase != "":
		return errors.New("myproxy: renewal goes without a passphrase: the proof of the old proxy stands in its place")
	case c.Credential == nil:
		return errors.New("myproxy: renewal needs a credential of the client's own: that of a renewer whom the server knows")
	}
	return nil
}

// newKey makes the key of a proxy and the request for its certificate, before the server waits for it.
func newKey(key crypto.Signer, bits int) (crypto.Signer, []byte, error) {
	if key == nil {
		if bits == 0 {
			bits = 2048
		}
		if bits < 1024 || bits > 8192 {
			return nil, nil, fmt.Errorf("myproxy: an RSA key of %d bits; 1024 to 8192 are made", bits)
		}
		made, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			return nil, nil, fmt.Errorf("myproxy: make a key: %w", err)
		}
		key = made
	}
	csr, err := gss.NewRequest(key)
	return key, csr, err
}

// delegated sends the request for a certificate and reads the chain that comes for it.
func (s *session) delegated(csr []byte) ([]*x509.Certificate, error) {
	if err := s.send(csr); err != nil {
		return nil, err
	}
	if err := s.notRefused(); err != nil {
		return nil, err
	}
	chain, err := s.in.chain()
	if err != nil {
		return nil, err
	}
	_, err = s.answer()
	return chain, err
}

// checkGot is what we know of a credential without taking the server's word.
func (c *Client) checkGot(got *gsi.Credential, g GetRequest, lifetime time.Duration) error {
	leaf := got.Leaf()
	if k, ok := leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); !ok || !k.Equal(got.Key.Public()) {
		return untrusted("it is over another key than ours")
	}
	id, err := c.verify(got)
	if err != nil {
		return err
	}
	if g.DN != "" && !id.Matches(g.DN) {
		return untrusted("it is of %s, and not of %s", harmless(id.DN), g.DN)
	}
	if g.Renew != nil {
		old, err := g.Renew.Identity()
		if err != nil {
			return fmt.Errorf("myproxy: the credential to be renewed: %w", err)
		}
		if !bytes.Equal(old.EndEntity.RawSubject, id.EndEntity.RawSubject) {
			return untrusted("it is of %s, and the proxy to be renewed is of %s", harmless(id.DN), old.DN)
		}
	}
	if most := c.now().Add(lifetime + skew); leaf.NotAfter.After(most) {
		return untrusted("it lives until %s, longer than asked for", leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	return nil
}

// verify has the chain judged, and leaves its CA out of it.
func (c *Client) verify(got *gsi.Credential) (*gsi.Identity, error) {
	id, err := c.Trust.Verify(got.Chain, c.now())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUntrusted, err)
	}
	if last := len(got.Chain) - 1; last > 0 && bytes.Equal(got.Chain[last].RawIssuer, got.Chain[last].RawSubject) {
		got.Chain = got.Chain[:last]
	}
	return id, nil
}
