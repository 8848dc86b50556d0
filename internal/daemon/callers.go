package daemon

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

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
		certs, err := readCertificates(c.ClientCert)
		if err != nil {
			return rule, err
		}
		sum := sha256.Sum256(certs[0].Raw)
		rule.CertSHA256 = hex.EncodeToString(sum[:])
	}
	return rule, nil
}

// readCertificates reads a caller's certificate and what stands behind it in the file.
func readCertificates(p config.Path) ([]*x509.Certificate, error) {
	data, err := os.ReadFile(string(p))
	if err != nil {
		return nil, err
	}
	certs, err := gsi.ParseCertificates(data)
	if err != nil {
		return nil, &config.FileError{Name: string(p), Text: strings.TrimPrefix(err.Error(), "gsi: "), Remedy: "write the certificate there as PEM"}
	}
	return certs, nil
}

// clientCerts are the certificates of the callers that are recognised by one. Each is known in person, so that it is its
// own authority. Most clients show a certificate only where its issuer is asked for: that one may stand behind it in
// the file. Who else has a certificate of the issuer is still nobody, for the rule wants the one.
func (w *wiring) clientCerts() (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	for name, caller := range w.config.Callers {
		if caller.ClientCert == "" {
			continue
		}
		certs, err := readCertificates(caller.ClientCert)
		if err != nil {
			return nil, err
		}
		for _, cert := range certs {
			pool.AddCert(cert)
		}
		if len(certs) == 1 && !bytes.Equal(certs[0].RawIssuer, certs[0].RawSubject) {
			w.warn("callers.%s: most clients show their certificate only where its issuer is asked for: put the issuer's certificate behind it in %s", name, caller.ClientCert)
		}
	}
	return pool, nil
}

// listenerTLS is nil for a plain listener. The certificate is read again when its file changes.
func (w *wiring) listenerTLS(t config.TLS) (*tls.Config, error) {
	if t.Cert == "" {
		return nil, nil
	}
	source := gsi.PairFile(string(t.Cert), string(t.Key), gsi.FileOptions{AllowGroupRead: t.AllowGroupRead})
	if _, err := source.Credential(context.Background()); err != nil { // a file: it blocks on nothing
		return nil, err
	}
	certificate := func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		cred, err := source.Credential(hello.Context())
		if err != nil {
			return nil, err
		}
		cert := &tls.Certificate{PrivateKey: gsi.Accelerated(cred.Key), Leaf: cred.Leaf()}
		for _, link := range cred.Chain {
			cert.Certificate = append(cert.Certificate, link.Raw)
		}
		return cert, nil
	}
	clients, err := w.clientCerts()
	return &tls.Config{GetCertificate: certificate, ClientCAs: clients}, err
}
