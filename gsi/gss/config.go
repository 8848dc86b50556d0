package gss

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"gsigw/gsi"
)

// Verifier decides whether a chain, leaf first, is to be trusted, and whose it is. A *trust.Store is one.
type Verifier interface {
	Verify(chain []*x509.Certificate, at time.Time) (*gsi.Identity, error)
}

// Config says who we are and whom we take the peer to be.
type Config struct {
	// Credential is shown to the peer, its whole chain. An initiator without one is anonymous.
	Credential *gsi.Credential
	// Trust judges the peer's chain. It must be there.
	Trust Verifier
	// Authorize refuses a trusted peer who is not the one that is meant: compare a host name by trust.HostMatches, or
	// a DN by [gsi.Identity.Matches]. An initiator must have it. An acceptor without it takes everyone who is trusted.
	// It is not called for an anonymous initiator.
	Authorize func(peer *gsi.Identity) error
	// AllowAnonymous lets an acceptor take initiators that show no certificate.
	AllowAnonymous bool

	// Delegate has [Client] hand the server a proxy of Credential with these limits; nil: none.
	Delegate *gsi.Limits
	// DelegationKey makes the key of what [Server] lets its client delegate to it; nil: delegation is refused.
	DelegationKey func(context.Context) (crypto.Signer, error)

	// Now is the clock; nil: the time of day.
	Now func() time.Time
	// MinVersion and MaxVersion are TLS versions; 0: TLS 1.2 and 1.3. With a MinVersion below TLS 1.2, and only
	// then, the weak ciphers of that time are taken as well.
	MinVersion, MaxVersion uint16
}

func (c *Config) checkInitiator() error {
	switch {
	case c.Authorize == nil:
		return errors.New("gss: an initiator must say whom it means to talk to: set Authorize")
	case c.Credential == nil && c.Delegate != nil:
		return errors.New("gss: an anonymous initiator has nothing to delegate: set Credential")
	}
	return c.check()
}

func (c *Config) checkAcceptor() error {
	if c.Credential == nil {
		return errors.New("gss: an acceptor must show who it is: set Credential")
	}
	return c.check()
}

func (c *Config) check() error {
	if c.Trust == nil {
		return errors.New("gss: nobody is trusted: set Trust")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.MinVersion == 0 {
		c.MinVersion = tls.VersionTLS12
	}
	if c.MaxVersion == 0 {
		c.MaxVersion = tls.VersionTLS13
	}
	if c.MinVersion > c.MaxVersion {
		return fmt.Errorf("gss: no version from %s to %s", tls.VersionName(c.MinVersion), tls.VersionName(c.MaxVersion))
	}
	return checkCredential(c.Credential)
}

func checkCredential(c *gsi.Credential) error {
	if c == nil {
		return nil
	}
	if len(c.Chain) == 0 || c.Key == nil {
		return errors.New("gss: the credential has no certificate or no key")
	}
	if !belongs(c.Key, c.Leaf()) {
		return fmt.Errorf("gss: the key does not belong to the certificate %s", gsi.OneLine(c.Leaf().RawSubject))
	}
	return nil
}

// belongs reports whether the certificate is over the key.
func belongs(key crypto.Signer, cert *x509.Certificate) bool {
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(cert.PublicKey)
}

// baseTLS leaves all judging to verify, since crypto/x509 cannot walk a grid chain. There are no sessions to resume,
// so that each context has a chain to judge. A message is cut into as few records as it can be.
func (c *Context) baseTLS() *tls.Config {
	t := &tls.Config{
		MinVersion:                  c.config.MinVersion,
		MaxVersion:                  c.config.MaxVersion,
		Time:                        c.config.Now,
		VerifyConnection:            c.verify,
		SessionTicketsDisabled:      true,
		DynamicRecordSizingDisabled: true,
	}
	if c.config.MinVersion < tls.VersionTLS12 {
		t.CipherSuites = oldCiphers()
	}
	return t
}

func (c *Context) initiatorTLS() *tls.Config {
	t := c.baseTLS()
	t.InsecureSkipVerify = true // together with VerifyConnection, which crypto/tls calls all the same
	t.GetClientCertificate = c.clientCertificate
	return t
}

func (c *Context) acceptorTLS() *tls.Config {
	t := c.baseTLS()
	t.Certificates = []tls.Certificate{*certificate(c.config.Credential)}
	t.ClientAuth = tls.RequestClientCert // verify says whether there must be one
	return t
}

// oldCiphers adds the ciphers of GT4's time to today's.
func oldCiphers() []uint16 {
	ciphers := []uint16{
		tls.TLS_RSA_WITH_AES_256_CBC_SHA, tls.TLS_RSA_WITH_AES_128_CBC_SHA, tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA,
	}
	for _, suite := range slices.Backward(tls.CipherSuites()) {
		ciphers = slices.Insert(ciphers, 0, suite.ID)
	}
	return ciphers
}

// clientCertificate gives the whole chain, whatever issuers the acceptor says it knows: it names CAs, and the issuer
// of a proxy is never one. crypto/tls calls it after verify, so no stranger learns who the user is.
func (c *Context) clientCertificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	c.asked = true
	if c.config.Credential == nil {
		return &tls.Certificate{}, nil
	}
	return certificate(c.config.Credential), nil
}

func certificate(c *gsi.Credential) *tls.Certificate {
	chain := &tls.Certificate{PrivateKey: gsi.Accelerated(c.Key), Leaf: c.Leaf()}
	for _, cert := range c.Chain {
		chain.Certificate = append(chain.Certificate, cert.Raw)
	}
	return chain
}

// verify is the one judge of the peer.
func (c *Context) verify(state tls.ConnectionState) error {
	c.peer, c.rejected = c.identify(state.PeerCertificates)
	return c.rejected
}

func (c *Context) identify(chain []*x509.Certificate) (*gsi.Identity, error) {
	if len(chain) == 0 {
		if !c.initiator && c.config.AllowAnonymous {
			return nil, nil
		}
		return nil, errors.New("gss: the peer shows no certificate")
	}
	peer, err := c.config.Trust.Verify(chain, c.config.Now())
	if err != nil {
		return nil, fmt.Errorf("gss: the peer is not trusted: %w", err)
	}
	if c.config.Authorize == nil {
		return peer, nil
	}
	if err := c.config.Authorize(peer); err != nil {
		return nil, fmt.Errorf("gss: the peer %s is not authorized: %w", peer.DN, err)
	}
	return peer, nil
}
