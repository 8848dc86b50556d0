package gss

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"slices"

	"gsigw/gsi"
)

// What the initiator says first within an established context (gssapi, init_sec_context.c).
const (
	noDelegation = '0'
	delegation   = 'D'
)

const (
	maxRequest   = 64 << 10
	maxDelegated = 256 << 10
	maxBits      = 8192 // as gsi.Mint: a signature by a longer one takes too long to check
)

// NewRequest makes the PKCS#10 request, in DER, by which a delegation asks for a proxy over the key. The name in it
// means nothing: the proxy's issuer names the proxy.
func NewRequest(key crypto.Signer) ([]byte, error) {
	template := &x509.CertificateRequest{Subject: pkix.Name{CommonName: "proxy"}}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		return nil, fmt.Errorf("gss: request: %w", err)
	}
	return der, nil
}

// SignRequest mints the proxy that a PKCS#10 request, in DER, asks for, and returns its chain, leaf first. Nothing of
// the request but its key counts, and only if the request is signed with it.
func SignRequest(request []byte, issuer *gsi.Credential, limits gsi.Limits) ([]*x509.Certificate, error) {
	r, err := x509.ParseCertificateRequest(request)
	if err != nil {
		return nil, fmt.Errorf("gss: delegation request: %w", err)
	}
	if key, ok := r.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() > maxBits {
		return nil, fmt.Errorf("gss: the delegation request is for an RSA key of %d bits; at most %d are taken", key.N.BitLen(), maxBits)
	}
	if err := r.CheckSignature(); err != nil {
		return nil, fmt.Errorf("gss: the delegation request is not signed with its own key: %w", err)
	}
	return gsi.Mint(issuer, r.PublicKey, limits)
}

// sendFlag ends the initiator's side of GSI's handshake.
func (c *Conn) sendFlag(ctx context.Context) error {
	c.greeting = c.Version() == tls.VersionTLS13
	if c.context.config.Delegate == nil {
		return c.Send(ctx, []byte{noDelegation})
	}
	if err := c.Send(ctx, []byte{delegation}); err != nil {
		return err
	}
	request, err := c.ReceiveUntil(ctx, maxRequest, wholeDER)
	if err != nil {
		return err
	}
	limits := *c.context.config.Delegate
	if limits.Now.IsZero() {
		limits.Now = c.context.config.Now()
	}
	chain, err := SignRequest(request, c.context.config.Credential, limits)
	if err != nil {
		return err
	}
	// Only the proxy: the acceptor has what is above it from the handshake (accept_sec_context.c).
	return c.Send(ctx, chain[0].Raw)
}

// receiveFlag ends the acceptor's side. An initiator of Globus waits with the flag for one more token: where TLS 1.3
// has none to send, a null byte is (accept_sec_context.c).
func (c *Conn) receiveFlag(ctx context.Context) error {
	if c.silent {
		if err := c.Send(ctx, []byte{0}); err != nil {
			return err
		}
	}
	flag, err := c.Receive(ctx, 1)
	switch {
	case err != nil:
		return err
	case flag[0] == noDelegation:
		return nil
	case flag[0] != delegation:
		return fmt.Errorf("gss: delegation flag: %q is neither '0' nor 'D'", flag)
	case c.context.config.DelegationKey == nil:
		return errors.New("gss: the initiator delegates and nothing is wanted of it: set DelegationKey to take it")
	case c.Peer() == nil:
		return errors.New("gss: an anonymous initiator has nothing to delegate")
	}
	return c.acceptDelegation(ctx)
}

func (c *Conn) acceptDelegation(ctx context.Context) error {
	key, err := c.context.config.DelegationKey(ctx)
	if err != nil {
		return fmt.Errorf("gss: key for the delegation: %w", err)
	}
	request, err := NewRequest(key)
	if err != nil {
		return err
	}
	if err := c.Send(ctx, request); err != nil {
		return err
	}
	reply, err := c.ReceiveUntil(ctx, maxDelegated, wholeDER)
	if err != nil {
		return err
	}
	c.delegated, err = c.assemble(key, reply)
	return err
}

// assemble believes a delegated certificate only as the peer's own proxy, over our key, in a chain that is trusted and
// speaks for the peer.
func (c *Conn) assemble(key crypto.Signer, reply []byte) (*gsi.Credential, error) {
	certs, err := x509.ParseCertificates(reply)
	if err != nil {
		return nil, fmt.Errorf("gss: delegated certificate: %w", err)
	}
	above := withoutCA(c.context.peerChain())
	switch {
	case !belongs(key, certs[0]):
		return nil, errors.New("gss: the delegated certificate is not over the key that was sent")
	case len(certs) > 1 && !slices.EqualFunc(withoutCA(certs[1:]), above, (*x509.Certificate).Equal):
		return nil, errors.New("gss: the delegated chain is not the peer's")
	}
	chain := append([]*x509.Certificate{certs[0]}, above...)
	id, err := c.context.config.Trust.Verify(chain, c.context.config.Now())
	if err != nil {
		return nil, fmt.Errorf("gss: the delegated chain is not trusted: %w", err)
	}
	if id.Depth != c.Peer().Depth+1 {
		return nil, errors.New("gss: the delegated certificate is no proxy of the peer's")
	}
	if !id.EndEntity.Equal(c.Peer().EndEntity) {
		return nil, errors.New("gss: the delegated certificate is an independent proxy, which does not speak for the peer; delegate one that does")
	}
	return &gsi.Credential{Chain: chain, Key: key}, nil
}

// withoutCA leaves out the self-signed end of a chain.
func withoutCA(chain []*x509.Certificate) []*x509.Certificate {
	if n := len(chain) - 1; n > 0 && slices.Equal(chain[n].RawIssuer, chain[n].RawSubject) {
		return chain[:n]
	}
	return chain
}

// wholeDER reports whether the message holds all of the sequence that it starts with.
func wholeDER(message []byte) (bool, error) {
	if message[0] != 0x30 {
		return false, errors.New("gss: the peer's message is not DER")
	}
	if len(message) < 2 {
		return false, nil
	}
	length, header := int(message[1]), 2
	if length >= 0x80 {
		header += length & 0x7f
		if header > 2+3 {
			return false, errors.New("gss: the peer's message is DER without a length that can be")
		}
		if len(message) < header {
			return false, nil
		}
		length = 0
		for _, b := range message[2:header] {
			length = length<<8 | int(b)
		}
	}
	return len(message) >= header+length, nil
}
