package myproxy

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"regexp"
	"time"

	"gsigw/gsi"
)

// StoreRequest keeps a credential itself on the server, certificate and key, as myproxy-store does.
type StoreRequest struct {
	Username       string
	CredentialName string // empty: the user's default one
	Description    string
	Policy

	Lifetime time.Duration // of the proxies that the server may hand out, in minutes; 0 means DefaultLifetime

	Certificates []byte // in PEM, that of the key first
	// Key in PEM, locked with the passphrase that will be needed to get at it (OpenSSL's old form or encrypted
	// PKCS#8; gsi.MarshalEncryptedKey writes the latter).
	Key Secret
	// AllowClearKey lets a key go that is not locked: the server, and whoever reads its disk, can use it.
	AllowClearKey bool
}

// Store keeps a credential on the server.
func (c *Client) Store(ctx context.Context, s StoreRequest) error {
	lifetime, err := servedLifetime(s.Lifetime)
	if err != nil {
		return err
	}
	text, err := s.text()
	if err != nil {
		return err
	}
	r := &request{cmdStore, s.Username, "", "", lifetime, stored(s.Policy, s.CredentialName, s.Description)}
	return c.exchange(ctx, r, options{secrets: s.Key.lines()}, func(s *session, _ *reply) error {
		if err := s.send(append(text, 0)); err != nil {
			return err
		}
		_, err := s.answer()
		return err
	})
}

// text is the message: the certificate, its key, the chain, nothing but PEM, since the server cuts the text off where
// it finds VERSION in it.
func (s *StoreRequest) text() ([]byte, error) {
	certs, err := gsi.ParseCertificates(s.Certificates)
	if err != nil {
		return nil, fmt.Errorf("myproxy: the certificates to store: %w", err)
	}
	key, _ := pem.Decode([]byte(s.Key))
	if key == nil || !keyPattern.MatchString(key.Type) {
		return nil, errors.New("myproxy: the key to store is no private key in PEM")
	}
	if !locked(key) && !s.AllowClearKey {
		return nil, errors.New("myproxy: the key to store is not locked with a passphrase: lock it (openssl pkey -aes256), or say that a clear key may go")
	}
	var b bytes.Buffer
	for i, cert := range certs {
		pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
		if i == 0 {
			pem.Encode(&b, key)
		}
	}
	switch {
	case b.Len() >= maxRequest:
		return nil, fmt.Errorf("myproxy: the credential to store has %d bytes; a server takes %d", b.Len(), maxRequest)
	case bytes.Contains(b.Bytes(), []byte(keyVersion)):
		return nil, fmt.Errorf("myproxy: the credential to store has %q in it, where the server would cut it off", keyVersion)
	}
	return b.Bytes(), nil
}

var keyPattern = regexp.MustCompile(`^((RSA|EC|ENCRYPTED) )?PRIVATE KEY$`)

func locked(key *pem.Block) bool {
	return key.Type == "ENCRYPTED PRIVATE KEY" || key.Headers["DEK-Info"] != ""
}

// RetrieveRequest asks for a stored credential itself, as myproxy-retrieve does.
type RetrieveRequest struct {
	Username       string
	Passphrase     Secret
	CredentialName string // empty: the user's default one
}

// Retrieved is a credential as the server kept it.
type Retrieved struct {
	Chain []*x509.Certificate // trusted; leaf first, as it was stored
	PEM   Secret              // certificates and key, the key locked as it was when it was stored
}

// Unlock opens the key.
func (r *Retrieved) Unlock(passphrase Secret) (*gsi.Credential, error) {
	return gsi.ParsePEMWith([]byte(r.PEM), func() ([]byte, error) { return []byte(passphrase), nil })
}

// Retrieve gets a stored credential, and leaves its key locked.
func (c *Client) Retrieve(ctx context.Context, g RetrieveRequest) (*Retrieved, error) {
	r := &request{cmdRetrieve, g.Username, g.Passphrase, "", DefaultLifetime, named(g.CredentialName)}
	var got *Retrieved
	err := c.exchange(ctx, r, options{}, func(s *session, _ *reply) error {
		text, err := s.credentialText()
		if err != nil {
			return err
		}
		chain, err := gsi.ParseCertificates(text)
		if err != nil {
			return protocolError("it sends no credential: %w", err)
		}
		cred := &gsi.Credential{Chain: chain}
		if _, err := c.verify(cred); err != nil {
			return err
		}
		got = &Retrieved{Chain: cred.Chain, PEM: Secret(text)}
		return nil
	})
	return got, err
}

// credentialText reads the file of a credential, and the reply that follows it with nothing in between.
func (s *session) credentialText() ([]byte, error) {
	text, err := s.in.text()
	if err != nil {
		return nil, err
	}
	i := bytes.Index(text, []byte(keyVersion+"="))
	if i < 0 {
		_, err := s.reply()
		return text, err
	}
	_, err = s.understand(text[i:])
	return text[:i:i], err
}
