package daemon

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"slices"

	"gsigw/gsi"
	"gsigw/internal/config"
	"gsigw/internal/intercept"
)

// recognise turns the config's callers into rules of the listeners.
func (w *wiring) recognise() error {
	for _, name := range slices.Sorted(maps.Keys(w.config.Callers)) {
		rule, err := callerRule(name, w.config.Callers[name])
		if err != nil {
			return fmt.Errorf("daemon: callers.%s: %w", name, err)
		}
		w.callers = append(w.callers, rule)
	}
	return nil
}

func callerRule(name string, c config.Caller) (intercept.CallerRule, error) {
	rule := intercept.CallerRule{Name: name}
	switch {
	case c.UID != nil:
		uid := c.UID.Resolve()
		rule.UID = &uid
	case c.SecretFile != "":
		text, err := config.ReadSecret(string(c.SecretFile), c.AllowGroupRead)
		if err != nil {
			return rule, err
		}
		rule.Secret, err = intercept.NewSecret(string(text))
		return rule, err
	default:
		cert, err := readCertificate(c.ClientCert)
		if err != nil {
			return rule, err
		}
		sum := sha256.Sum256(cert.Raw)
		rule.CertSHA256 = hex.EncodeToString(sum[:])
	}
	return rule, nil
}

func readCertificate(p config.Path) (*x509.Certificate, error) {
	data, err := os.ReadFile(string(p))
	if err != nil {
		return nil, err
	}
	certs, err := gsi.ParseCertificates(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p, err)
	}
	return certs[0], nil
}

// clientCerts are the certificates of the callers that are recognised by one. Each is known in person, so that it is
// its own authority.
func clientCerts(c *config.Config) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	for _, caller := range c.Callers {
		if caller.ClientCert == "" {
			continue
		}
		cert, err := readCertificate(caller.ClientCert)
		if err != nil {
			return nil, err
		}
		pool.AddCert(cert)
	}
	return pool, nil
}

// listenerTLS is nil for a plain listener. The certificate is read again when its file changes.
func listenerTLS(c *config.Config, t config.TLS) (*tls.Config, error) {
	if t.Cert == "" {
		return nil, nil
	}
	source := gsi.PairFile(string(t.Cert), string(t.Key), gsi.FileOptions{AllowGroupRead: t.AllowGroupRead})
	certificate := func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		cred, err := source.Credential(hello.Context())
		if err != nil {
			return nil, err
		}
		cert := &tls.Certificate{PrivateKey: cred.Key, Leaf: cred.Leaf()}
		for _, link := range cred.Chain {
			cert.Certificate = append(cert.Certificate, link.Raw)
		}
		return cert, nil
	}
	clients, err := clientCerts(c)
	return &tls.Config{GetCertificate: certificate, ClientCAs: clients}, err
}
