// Package gsi holds what the Grid Security Infrastructure adds to X.509: proxy
// certificates, the files that grid users keep them in, and the names they go by.
//
// A [Credential] is a certificate chain, leaf first and without its CA, and the
// key of the leaf. A [Source] has the credential to use now; [Discover] finds
// the one that grid tools would use, [ProxyFile], [PairFile] and [PKCS12File]
// read a given one and read it again when it changes:
//
//	source, err := gsi.Discover(gsi.FileOptions{})
//	cred, err := source.Credential(ctx)
//	id, err := cred.Identity()   // id.DN is "/O=Grid/CN=Jane Doe", proxies left out
//
// [UserCredential] finds what proxies are made of, the certificate in ~/.globus.
// Its key may be locked; somebody is then asked for the passphrase:
//
//	source, err := gsi.UserCredential(gsi.FileOptions{Passphrase: func(file string) ([]byte, error) {
//		fmt.Fprintf(os.Stderr, "Passphrase for %s: ", file)
//		return term.ReadPassword(int(os.Stdin.Fd()))
//	}})
//
// [NewProxy] makes a proxy, which is kept in a file until it is destroyed:
//
//	proxy, err := gsi.NewProxy(cred, gsi.Limits{Type: gsi.RFCLimited, Lifetime: time.Hour})
//	err = gsi.WriteProxyFile(gsi.ProxyPath(), proxy)
//	err = gsi.DestroyProxyFile(gsi.ProxyPath())
//
// [Mint] signs a proxy certificate over somebody else's public key: that is
// delegation. For one's own end of it a [KeyPool] has RSA keys made ahead.
//
// Nothing here decides whether a chain is to be trusted: that is package trust.
package gsi

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Credential is a certificate chain and the key of its first certificate.
type Credential struct {
	Chain []*x509.Certificate // leaf first; the self-signed CA left out
	Key   crypto.Signer
}

// Source has the credential to use now. The key may live elsewhere: in a token,
// with an agent, on another machine.
type Source interface {
	Credential(ctx context.Context) (*Credential, error)
}

// ProblemOf returns why a source does not use what its files now hold, where it tells: see [File.Problem].
func ProblemOf(s Source) error {
	if p, ok := s.(interface{ Problem() error }); ok {
		return p.Problem()
	}
	return nil
}

// Static is a source that always has the same credential.
func Static(c *Credential) Source { return &static{func() *Credential { return c }} }

// static holds a function, into which no print can look.
type static struct{ held func() *Credential }

func (s *static) Credential(context.Context) (*Credential, error) { return s.held(), nil }

// Leaf returns the certificate whose key the credential holds.
func (c *Credential) Leaf() *x509.Certificate { return c.Chain[0] }

// EndEntity returns the certificate that a CA gave the user or host: the first
// of the chain that is not a proxy, nil when the chain holds proxies only.
func (c *Credential) EndEntity() *x509.Certificate {
	i := endEntityIndex(c.Chain)
	if i < 0 {
		return nil
	}
	return c.Chain[i]
}

// NotBefore returns the time from which every certificate of the chain is valid.
func (c *Credential) NotBefore() time.Time {
	latest := c.Chain[0].NotBefore
	for _, cert := range c.Chain[1:] {
		if cert.NotBefore.After(latest) {
			latest = cert.NotBefore
		}
	}
	return latest
}

// NotAfter returns when the first certificate of the chain expires: a proxy is
// worth nothing without what it was made from.
func (c *Credential) NotAfter() time.Time { return notAfter(c.Chain) }

func notAfter(chain []*x509.Certificate) time.Time {
	earliest := chain[0].NotAfter
	for _, cert := range chain[1:] {
		if cert.NotAfter.Before(earliest) {
			earliest = cert.NotAfter
		}
	}
	return earliest
}

// Identity says in whose name the credential speaks. It reads the chain as it
// stands and trusts it: use it for one's own credentials only.
func (c *Credential) Identity() (*Identity, error) { return IdentityOf(c.Chain) }

// String names the credential without showing its key.
func (c *Credential) String() string {
	if c == nil || len(c.Chain) == 0 {
		return "no credential"
	}
	return OneLine(c.Chain[0].RawSubject) + " until " + c.NotAfter().UTC().Format(time.RFC3339)
}

// Format keeps the key out of every kind of print.
func (c Credential) Format(f fmt.State, verb rune) {
	if verb == 'v' && f.Flag('#') {
		fmt.Fprint(f, "gsi.Credential("+c.String()+")")
		return
	}
	fmt.Fprint(f, c.String())
}

// MarshalText keeps the key out of JSON, and of what else takes any struct apart.
func (c Credential) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// LogValue keeps the key out of structured logs.
func (c *Credential) LogValue() slog.Value { return slog.StringValue(c.String()) }

// check refuses a credential whose key does not belong to its leaf.
func (c *Credential) check() error {
	if c == nil || len(c.Chain) == 0 {
		return errors.New("gsi: the credential has no certificate")
	}
	if c.Key == nil {
		return errors.New("gsi: the credential has no key")
	}
	if !samePublicKey(c.Chain[0].PublicKey, c.Key.Public()) {
		return errors.New("gsi: the key does not belong to the certificate " + OneLine(c.Chain[0].RawSubject))
	}
	return nil
}

func samePublicKey(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}
