package daemon

import (
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"maps"
	"slices"
	"strings"

	"gsigw/internal/config"
	"gsigw/internal/gateway"
	"gsigw/internal/policy"
)

// routeFiles is what was read for the routes, by the file's name.
type routeFiles struct {
	certificates map[config.Path][]*x509.Certificate
	passwords    map[config.Path][]byte
	assertions   map[config.Path][]byte
}

// files reads what routes name. A file that changed and cannot be used now leaves what was read of it before in use.
func (w *wiring) files(before *wiring) error {
	w.read = routeFiles{map[config.Path][]*x509.Certificate{}, map[config.Path][]byte{}, map[config.Path][]byte{}}
	w.held = map[string]gateway.Files{}
	for _, name := range slices.Sorted(maps.Keys(w.config.Routes)) {
		held, err := w.filesOf("routes."+name, w.config.Routes[name], before.read)
		if err != nil {
			return err
		}
		w.held[name] = held
	}
	return nil
}

func (w *wiring) filesOf(at string, r config.Route, before routeFiles) (f gateway.Files, err error) {
	if f.EncryptTo, err = keep(w, at+".encrypt-to", r.EncryptTo, w.read.certificates, before.certificates, recipient); err != nil {
		return f, err
	}
	if f.Peers, err = keep(w, at+".peer-certificate", r.PeerCertificate, w.read.certificates, before.certificates, readCertificates); err != nil {
		return f, err
	}
	if f.Issuers, err = keep(w, at+".issuer-certificate", r.IssuerCertificate, w.read.certificates, before.certificates, readCertificates); err != nil {
		return f, err
	}
	password, err := keep(w, at+".password-file", r.PasswordFile, w.read.passwords, before.passwords, func(p config.Path) ([]byte, error) {
		return config.ReadPassword(string(p), r.AllowGroupRead)
	})
	if err != nil {
		return f, err
	}
	assertion, err := keep(w, at+".assertion-file", r.AssertionFile, w.read.assertions, before.assertions, func(p config.Path) ([]byte, error) {
		return config.ReadAssertion(string(p), r.Confirmation.IsBearer(), r.AllowGroupRead)
	})
	f.Password, f.Assertion = copies(password), copies(assertion)
	return f, err
}

// keep reads a file, or keeps what was read of it before.
func keep[T any](w *wiring, at string, p config.Path, now, before map[config.Path]T, read func(config.Path) (T, error)) (v T, err error) {
	if p == "" {
		return v, nil
	}
	v, err = read(p)
	old, known := before[p]
	switch {
	case err != nil && !known:
		return v, w.problem(at, err)
	case err != nil:
		w.warn("%s: %s; what was read of it before is used", at, strings.TrimPrefix(err.Error(), "config: "))
		v = old
	}
	now[p] = v
	return v, nil
}

// problem is what is wrong with a file that a key names, with the key's place in the config.
func (w *wiring) problem(at string, err error) error {
	text, remedy := err.Error(), "check the file"
	if e, ok := errors.AsType[*config.FileError](err); ok {
		text, remedy = e.Name+": "+e.Text, e.Remedy
	}
	return config.Problems{w.config.Problem(at, text, remedy)}
}

// recipient reads the certificate of encrypt-to.
func recipient(p config.Path) ([]*x509.Certificate, error) {
	certs, err := readCertificates(p)
	if err != nil {
		return nil, err
	}
	if _, ok := certs[0].PublicKey.(*rsa.PublicKey); !ok {
		return nil, &config.FileError{Name: string(p), Text: "nothing can be encrypted to its key, which is not RSA", Remedy: "name a certificate with an RSA key"}
	}
	return certs, nil
}

// copies gives a secret to who may erase what he gets.
func copies(secret []byte) func(context.Context) ([]byte, error) {
	return func(context.Context) ([]byte, error) {
		if len(secret) == 0 {
			return nil, errors.New("daemon: the route names no file for it")
		}
		return bytes.Clone(secret), nil
	}
}

// recipients says which certificates of encrypt-to are of no use now: calls over their routes are refused.
func (w *wiring) recipients(p *policy.Policy) {
	for _, name := range slices.Sorted(maps.Keys(w.config.Routes)) {
		r := p.Route(name)
		if !r.Privacy {
			continue
		}
		if err := gateway.CheckRecipient(r, w.reach(r), w.now()); err != nil {
			text := "calls are refused: " + strings.TrimPrefix(err.Error(), "gateway: ")
			w.warn("%v", w.config.Problem("routes."+name+".encrypt-to", text, "name the service's certificate, and install its CA in the trust directory"))
		}
	}
}
