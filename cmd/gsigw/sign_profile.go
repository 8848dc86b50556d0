package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"gsigw/gsi"
	"gsigw/internal/config"
	"gsigw/soap"
	"gsigw/trust"
	"gsigw/wssec"
	"gsigw/wssec/xmlenc"
)

// The message profiles of the command line, which are those of a route.
const (
	gsiMessage  = "gsi-message"
	wssX509     = "wss-x509"
	wssUsername = "wss-username"
	samlProfile = "saml"
)

// profileFlags choose how a message is secured.
type profileFlags struct {
	profile, digest, token, keyReference choice
	inclusive, signToken                 bool

	encryptTo                    string
	cipher, transport, reference choice
	order                        choice
	encryptHeaders               []string
	encryptElements              []string
	readableSignature            bool
	username, passwordFile       string
	passwordType                 choice
	assertion, issuer, trust     string
	confirmation                 choice
	audience                     []string
	set                          func(flag string) bool // whether a flag was given
}

func newProfileFlags() *profileFlags {
	return &profileFlags{
		profile:      choice{gsiMessage, []string{gsiMessage, wssX509, wssUsername, samlProfile}},
		digest:       choice{"sha256", []string{"sha1", "sha256", "sha384", "sha512"}},
		token:        choice{"auto", []string{"auto", "pkipath", "x509v3"}},
		keyReference: choice{"token", []string{"token", "issuer-serial", "ski", "thumbprint"}},
		cipher:       choice{"aes256-gcm", []string{"aes256-gcm", "aes192-gcm", "aes128-gcm", "aes256-cbc", "aes192-cbc", "aes128-cbc", "3des-cbc"}},
		transport:    choice{"rsa-oaep", []string{"rsa-oaep", "rsa-oaep-sha256", "rsa-1_5"}},
		reference:    choice{"issuer-serial", []string{"issuer-serial", "ski", "token", "thumbprint"}},
		order:        choice{"sign-first", []string{"sign-first", "encrypt-first"}},
		passwordType: choice{"digest", []string{"digest", "text"}},
		confirmation: choice{"holder-of-key", []string{"holder-of-key", "bearer"}},
	}
}

func (f *profileFlags) flags(c *cobra.Command) {
	fs := c.Flags()
	f.set = fs.Changed
	fs.Var(&f.profile, "profile", "gsi-message is GT4's; the others are WS-Security's token profiles")
	fs.Var(&f.digest, "digest", "hash of digests and signature; stock GT4 has certificates with sha1, takes sha1 and sha256 in messages")
	fs.Var(&f.token, "token", "form of the certificates; auto: pkipath for a proxy, x509v3 for an end entity")
	fs.Var(&f.keyReference, "key-reference", "wss-x509: how the signature names its certificate; token: the certificate is in the message")
	fs.BoolVar(&f.signToken, "sign-token", false, "wss-x509: the signature covers the certificate too")
	fs.BoolVar(&f.inclusive, "inclusive-namespaces", false, "wss-x509: list the prefixes in scope, as the Basic Security Profile recommends")
	fs.StringVar(&f.encryptTo, "encrypt-to", "", "encrypt to this certificate, PEM; whose it is, is for you to know")
	fs.Var(&f.cipher, "cipher", "how content is encrypted; GT4 knows aes128-cbc, aes256-cbc and 3des-cbc, which are weak")
	fs.Var(&f.transport, "key-transport", "how its key is encrypted; GT4 answers with rsa-1_5, which is weak")
	fs.Var(&f.reference, "encrypt-key-reference", "how the encrypted key names its certificate")
	fs.Var(&f.order, "order", "wss-x509: what comes first; gsi-message encrypts first")
	fs.StringSliceVar(&f.encryptHeaders, "encrypt-header", nil, "header blocks that are encrypted besides Body: {namespace}local")
	fs.StringSliceVar(&f.encryptElements, "encrypt-element", nil, "elements in Body that are encrypted instead of all its content: {namespace}local")
	fs.BoolVar(&f.readableSignature, "readable-signature", false, "wss-x509, sign-first: do not encrypt the signature; its digests betray content that can be guessed")
	fs.StringVar(&f.username, "username", "", "wss-username: whose password it is")
	fs.StringVar(&f.passwordFile, "password-file", "", "wss-username: the password is the first line of this `FILE` (mode 0600)")
	fs.Var(&f.passwordType, "password-type", "wss-username: how the password is sent")
	fs.StringVar(&f.assertion, "assertion", "", "saml: `FILE` with the assertion, SAML 1.1 or 2.0")
	fs.Var(&f.confirmation, "confirmation", "saml: bearer sends it without a signature, unless there is a --credential")
	fs.StringSliceVar(&f.audience, "audience", nil, "saml: what the assertion's audience may be, where it has one; default: any")
	fs.StringVar(&f.issuer, "issuer", "", "saml: PEM `FILE` of certificates of which one must have signed the assertion")
	fs.StringVar(&f.trust, "trust", "", "saml: grid trust directory that the assertion's issuer must hold in, unless --issuer names it")
}

// flagsFor are the flags that mean something with some profiles only.
var flagsFor = []struct{ flags, profiles []string }{
	{[]string{"digest", "token"}, []string{gsiMessage, wssX509, samlProfile}},
	{[]string{"key-reference", "sign-token", "inclusive-namespaces", "order", "readable-signature"}, []string{wssX509}},
	{[]string{"encrypt-to"}, []string{gsiMessage, wssX509}},
	{[]string{"username", "password-file", "password-type"}, []string{wssUsername}},
	{[]string{"assertion", "confirmation", "audience", "issuer", "trust"}, []string{samlProfile}},
}

// encryptFlags mean something with --encrypt-to only.
var encryptFlags = []string{"cipher", "key-transport", "encrypt-key-reference", "order", "encrypt-header", "encrypt-element", "readable-signature"}

func (f *profileFlags) check(hasCredential bool) error {
	for _, k := range flagsFor {
		for _, flag := range k.flags {
			if f.set(flag) && !slices.Contains(k.profiles, f.profile.word) {
				return usagef("--%s goes with --profile %s", flag, strings.Join(k.profiles, " or "))
			}
		}
	}
	for _, flag := range encryptFlags {
		if f.set(flag) && f.encryptTo == "" {
			return usagef("--%s goes with --encrypt-to", flag)
		}
	}
	if f.profile.word != gsiMessage && f.digest.word == "sha1" {
		return usagef("--digest sha1 goes with --profile gsi-message: sign with sha256, sha384 or sha512")
	}
	isBearer := f.profile.word == samlProfile && f.confirmation.word == "bearer"
	switch {
	case f.profile.word == wssUsername && (f.username == "" || f.passwordFile == ""):
		return usagef("--profile wss-username needs --username and --password-file")
	case f.profile.word == samlProfile && (f.assertion == "" || f.trust == "" && f.issuer == ""):
		return usagef("--profile saml needs --assertion, and --trust or --issuer for the assertion's issuer")
	case f.profile.word == wssUsername && hasCredential:
		return usagef("--profile wss-username signs nothing: leave --credential out")
	case f.profile.word != wssUsername && !isBearer && !hasCredential:
		return usagef("required flag(s) \"credential\" not set: whose signature is it to be?")
	}
	return nil
}

// make gives the profile. Nobody waits here for a reply.
func (f *profileFlags) make(c *cobra.Command, hasCredential bool) (wssec.Profile, error) {
	digest, digestErr := wssec.ParseDigest(f.digest.word)
	token, tokenErr := wssec.ParseToken(f.token.word)
	reference, referenceErr := wssec.ParseKeyReference(f.keyReference.word)
	privacy, privacyErr := f.encryption()
	if err := errors.Join(digestErr, tokenErr, referenceErr, privacyErr); err != nil {
		return nil, err
	}
	switch f.profile.word {
	case wssX509:
		return &wssec.X509Message{
			Digest: digest, Token: token, KeyReference: reference, SignToken: f.signToken, InclusiveNamespaces: f.inclusive,
			Privacy: privacy, EncryptFirst: f.order.word == "encrypt-first", Unanswered: true,
		}, nil
	case wssUsername:
		return &wssec.UsernameToken{User: f.username, Password: f.password, Digest: f.passwordType.word == "digest"}, nil
	case samlProfile:
		return f.saml(c, digest, token, hasCredential)
	}
	return &wssec.GSIMessage{Digest: digest, Token: token, Privacy: privacy, Unanswered: true}, nil
}

func (f *profileFlags) password(context.Context) ([]byte, error) {
	password, err := config.ReadPassword(f.passwordFile, false)
	return password, atFlag("password-file", err, "")
}

func (f *profileFlags) saml(c *cobra.Command, digest wssec.Digest, token wssec.Token, hasCredential bool) (wssec.Profile, error) {
	confirmation, err := wssec.ParseConfirmation(f.confirmation.word)
	if err != nil {
		return nil, err
	}
	p := &wssec.SAMLToken{
		Assertion:    func(context.Context) ([]byte, error) { return f.readAssertion() },
		Confirmation: confirmation, Audience: f.audience,
		Digest: digest, Token: token, Unsigned: !hasCredential, Unanswered: true,
	}
	if f.issuer != "" {
		if p.Issuers, err = readCertificates(f.issuer); err != nil {
			return nil, atFlag("issuer", err, "name the PEM file of the issuer's certificates")
		}
	}
	if f.trust != "" {
		p.Issuer, err = openTrustDir(c, f.trust, trust.Options{})
	}
	return p, atFlag("trust", err, caDirectory)
}

func (f *profileFlags) readAssertion() ([]byte, error) {
	assertion, err := config.ReadAssertion(f.assertion, f.confirmation.word == "bearer", false)
	return assertion, atFlag("assertion", err, "name the file with the assertion")
}

// hidesHeaders refuses a message of which a header would go out readable that is to be encrypted: one that is written
// wrong on the command line, or goes to somebody else than who can decrypt it.
func (f *profileFlags) hidesHeaders(m *soap.Message) error {
	wanted, err := parseNames("encrypt-header", f.encryptHeaders)
	if err != nil {
		return err
	}
	for _, name := range wanted {
		found := false
		for _, b := range m.Blocks {
			if b.Name != name {
				continue
			}
			if found = true; !b.ForUltimate() {
				return fmt.Errorf("--encrypt-header: the header %s goes to %s, who could not decrypt it: leave it out, or take its actor or role away", name, b.Role)
			}
		}
		if !found {
			return fmt.Errorf("--encrypt-header: the message has no header %s: write it as it stands there, {namespace}local", name)
		}
	}
	return nil
}

// encryption is nil where nothing is to be encrypted.
func (f *profileFlags) encryption() (*wssec.Encryption, error) {
	if f.encryptTo == "" {
		return nil, nil
	}
	certs, err := readCertificates(f.encryptTo)
	if err != nil {
		return nil, atFlag("encrypt-to", err, "name the PEM file with the receiver's certificate")
	}
	e := &wssec.Encryption{To: certs[0], Signature: !f.readableSignature && f.profile.word == wssX509 && f.order.word == "sign-first"}
	var cipherErr, transportErr, referenceErr, headerErr, elementErr error
	e.Cipher, cipherErr = xmlenc.ParseCipher(f.cipher.word)
	e.KeyTransport, transportErr = xmlenc.ParseKeyTransport(f.transport.word)
	e.KeyReference, referenceErr = wssec.ParseKeyReference(f.reference.word)
	e.Headers, headerErr = parseNames("encrypt-header", f.encryptHeaders)
	e.Elements, elementErr = parseNames("encrypt-element", f.encryptElements)
	return e, cmp.Or(headerErr, elementErr, errors.Join(cipherErr, transportErr, referenceErr))
}

// parseNames reads the names that a flag gives.
func parseNames(flag string, texts []string) (names []soap.Name, err error) {
	for _, text := range texts {
		space, local, ok := strings.Cut(strings.TrimPrefix(text, "{"), "}")
		if !ok || local == "" || !strings.HasPrefix(text, "{") {
			return nil, usagef("--%s %q: write it as {namespace}local", flag, text)
		}
		names = append(names, soap.Name{Space: space, Local: local})
	}
	return names, nil
}

// readCertificates reads the certificates of a PEM file, whatever else is in it.
func readCertificates(path string) ([]*x509.Certificate, error) {
	data, err := readBounded(path)
	if err != nil {
		return nil, err
	}
	certs, err := gsi.ParseCertificates(bytes.TrimSpace(data))
	if err != nil {
		return nil, fmt.Errorf("%s: %s", path, strings.TrimPrefix(err.Error(), "gsi: "))
	}
	return certs, nil
}
