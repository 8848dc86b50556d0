package gateway

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"gsigw/internal/policy"
	"gsigw/soap"
	"gsigw/wssec"
	"gsigw/wssec/xmlenc"
)

// Files is what a route's profile takes from files, as they were last read. What the route names no file for is empty.
type Files struct {
	EncryptTo []*x509.Certificate // the service's, and what its chain needs besides
	Peers     []*x509.Certificate // a reply may name these without carrying them
	Issuers   []*x509.Certificate // who may have signed the assertion; none: whom the route trusts
	Password  func(context.Context) ([]byte, error)
	Assertion func(context.Context) ([]byte, error)
}

// CheckRecipient refuses a certificate to encrypt to that does not hold now, or is not one that may answer on the
// route: what only somebody else can read is not sent.
func CheckRecipient(r *policy.Route, reach Reach, now time.Time) error {
	if len(reach.Files.EncryptTo) == 0 || reach.Trust == nil {
		return errors.New("gateway: there is no certificate to encrypt to")
	}
	id, err := reach.Trust.Verify(reach.Files.EncryptTo, now)
	if err != nil {
		return fmt.Errorf("gateway: the certificate of encrypt-to does not hold: %w", err)
	}
	if err := signer(r)(id); err != nil {
		return fmt.Errorf("gateway: the certificate of encrypt-to: %w", err)
	}
	return nil
}

// profileFor is the route's message security, nil for none.
func (g *Gateway) profileFor(s *State, r *policy.Route) wssec.Profile {
	switch r.Message {
	case policy.MessageGSI:
		return g.gsiMessage(s, r)
	case policy.MessageX509:
		return g.x509Message(s, r)
	case policy.MessageUsername:
		return g.usernameToken(s, r)
	case policy.MessageSAML:
		return g.samlToken(s, r)
	}
	return nil
}

func (g *Gateway) gsiMessage(s *State, r *policy.Route) wssec.Profile {
	return &wssec.GSIMessage{
		Digest: digests[r.Digest], Token: tokens[r.Token], DropHeaders: names(r.DropHeaders), Now: g.Now,
		Verifier: g.verifier(s, r), Privacy: privacy(s, r),
	}
}

func (g *Gateway) x509Message(s *State, r *policy.Route) wssec.Profile {
	return &wssec.X509Message{
		Digest: digests[r.Digest], Token: tokens[r.Token], KeyReference: keyReferences[r.KeyReference],
		DropHeaders: names(r.DropHeaders), Now: g.Now, Verifier: g.verifier(s, r),
		InclusiveNamespaces: r.InclusiveNamespaces, SignatureConfirmation: r.SignatureConfirmation,
		Privacy: privacy(s, r), EncryptFirst: r.Order == policy.EncryptFirst,
	}
}

func (g *Gateway) usernameToken(s *State, r *policy.Route) wssec.Profile {
	return &wssec.UsernameToken{
		User: r.Username, Password: s.Reach(r).Files.Password, Digest: r.PasswordType == policy.PasswordDigest, Now: g.Now,
	}
}

func (g *Gateway) samlToken(s *State, r *policy.Route) wssec.Profile {
	reach := s.Reach(r)
	p := &wssec.SAMLToken{
		Assertion: reach.Files.Assertion, Issuer: reach.Trust, Audience: r.Audience, Confirmation: wssec.HolderOfKey,
		Digest: digests[r.Digest], Token: tokens[r.Token], DropHeaders: names(r.DropHeaders), Now: g.Now,
		Verifier: g.verifier(s, r), SignatureConfirmation: r.SignatureConfirmation,
	}
	if len(reach.Files.Issuers) > 0 { // who is named needs no CA
		p.Issuers, p.Issuer = reach.Files.Issuers, nil
	}
	if r.Confirmation.IsBearer() {
		p.Confirmation, p.Unsigned = wssec.Bearer, !r.Signed()
	}
	return p
}

var (
	digests = map[policy.Digest]wssec.Digest{
		policy.SHA256: wssec.SHA256, policy.SHA1: wssec.SHA1, policy.SHA384: wssec.SHA384, policy.SHA512: wssec.SHA512,
	}
	tokens = map[policy.Token]wssec.Token{
		policy.TokenAuto: wssec.TokenAuto, policy.TokenPKIPath: wssec.TokenPKIPath, policy.TokenX509v3: wssec.TokenX509v3,
	}
	keyReferences = map[policy.KeyReference]wssec.KeyReference{
		policy.ReferToken: wssec.BinarySecurityToken, policy.ReferIssuerSerial: wssec.IssuerSerial,
		policy.ReferSKI: wssec.SubjectKeyIdentifier, policy.ReferThumbprint: wssec.Thumbprint,
	}
)

var (
	ciphers = map[policy.Cipher]xmlenc.Cipher{
		policy.AES256GCM: xmlenc.AES256GCM, policy.AES192GCM: xmlenc.AES192GCM, policy.AES128GCM: xmlenc.AES128GCM,
		policy.AES256CBC: xmlenc.AES256CBC, policy.AES192CBC: xmlenc.AES192CBC, policy.AES128CBC: xmlenc.AES128CBC,
		policy.TripleDESCBC: xmlenc.TripleDESCBC,
	}
	keyTransports = map[policy.KeyTransport]xmlenc.KeyTransport{
		policy.RSAOAEP: xmlenc.RSAOAEP, policy.RSAOAEPSHA256: xmlenc.RSAOAEPSHA256, policy.RSA15: xmlenc.RSA15,
	}
)

// privacy is nil for a route without. Where the signature comes first it is hidden too: the digest of a text that can
// be guessed gives the text away.
func privacy(s *State, r *policy.Route) *wssec.Encryption {
	if !r.Privacy {
		return nil
	}
	e := &wssec.Encryption{
		Cipher: ciphers[r.Cipher], KeyTransport: keyTransports[r.KeyTransport], KeyReference: keyReferences[r.EncryptKeyReference],
		Headers: names(r.EncryptHeaders), Elements: names(r.EncryptElements),
		Signature: r.Message == policy.MessageX509 && r.Order == policy.SignFirst,
	}
	if to := s.Reach(r).Files.EncryptTo; len(to) > 0 {
		e.To = to[0]
	}
	return e
}

func names(list []policy.Name) (out []soap.Name) {
	for _, n := range list {
		out = append(out, soap.Name(n))
	}
	return out
}
