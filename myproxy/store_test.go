package myproxy

import (
	"encoding/pem"
	"errors"
	"strings"
	"testing"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
	"gsigw/trust"
)

func certPEM(c *gsi.Credential) string {
	var b strings.Builder
	for _, cert := range c.Chain {
		pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
	}
	return b.String()
}

func lockedKey(c *gsi.Credential) string {
	return string(gridtest.Must(gsi.MarshalEncryptedKey(c.Key, []byte(pass))))
}

func clearKey(c *gsi.Credential) string { return string(gridtest.Must(gsi.MarshalKey(c.Key))) }

func TestStore_SendsCertificateKeyAndChainAndNothingElse(t *testing.T) {
	proxy := gridtest.Must(pki().Proxy(gsi.Limits{}))
	key := lockedKey(proxy)
	f, client := newFake(t, func(v *visit) {
		v.ok()
		first, rest, _ := strings.Cut(certPEM(proxy), "-----END CERTIFICATE-----\n")
		if got, want := string(v.hear()), first+"-----END CERTIFICATE-----\n"+key+rest+"\x00"; got != want {
			t.Errorf("the client sent\n%s\nnot\n%s", got, want)
		}
		v.ok()
	})
	s := StoreRequest{Username: "jane", Certificates: []byte("Bag VERSION\n" + certPEM(proxy)), Key: Secret("Bag\n" + key), Policy: Policy{KeyRetrievers: "*"}}
	if err := client.Store(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if want := "COMMAND=5\nUSERNAME=jane\nPASSPHRASE=\nLIFETIME=43200\nKEYRETRIEVERS=*"; !strings.HasSuffix(f.seen(), want) {
		t.Errorf("asked %q", f.seen())
	}
}

func TestStore_SendsNoClearKeyUnlessTold(t *testing.T) {
	for _, key := range []string{clearKey(user()), clearKey(pki().ECUser)} {
		_, client := newFake(t, func(v *visit) { t.Error("it was sent") })
		s := StoreRequest{Username: "jane", Certificates: []byte(certPEM(user())), Key: Secret(key)}
		mustFail(t, client.Store(t.Context(), s), "not locked with a passphrase")
	}
	_, client := newFake(t, func(v *visit) {
		v.ok()
		v.hear()
		v.ok()
	})
	s := StoreRequest{Username: "jane", Certificates: []byte(certPEM(user())), Key: Secret(clearKey(user())), AllowClearKey: true}
	if err := client.Store(t.Context(), s); err != nil {
		t.Error(err)
	}
}

func TestStore_RefusesWhatIsNoCredential(t *testing.T) {
	cert, key := certPEM(user()), lockedKey(user())
	for name, c := range map[string]struct{ cert, key, words string }{
		"no certificate":         {key, key, "no certificate"},
		"no key":                 {cert, cert, "no private key"},
		"nothing":                {cert, "", "no private key"},
		"too much":               {strings.Repeat(cert, 20), key, "a server takes"},
		"VERSION inside the key": {cert, "-----BEGIN RSA PRIVATE KEY-----\nDEK-Info: VERSION,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n", "cut it off"},
	} {
		t.Run(name, func(t *testing.T) {
			_, client := newFake(t, func(v *visit) { t.Error("it was sent") })
			mustFail(t, client.Store(t.Context(), StoreRequest{Username: "jane", Certificates: []byte(c.cert), Key: Secret(c.key)}), c.words)
		})
	}
}

func TestRetrieve_LeavesTheKeyLocked(t *testing.T) {
	text := certPEM(user()) + lockedKey(user())
	for name, say := range map[string]func(*visit){
		"as the C server":   func(v *visit) { v.say(text); v.ok() },
		"in one record":     func(v *visit) { v.say(text + message("0")) },
		"with a NUL":        func(v *visit) { v.say(text + "\x00"); v.ok() },
		"with the OK ahead": func(v *visit) { v.say(text[:100]); v.say(text[100:] + message("0")) },
	} {
		t.Run(name, func(t *testing.T) {
			_, client := newFake(t, func(v *visit) { v.ok(); say(v) })
			got, err := client.Retrieve(t.Context(), RetrieveRequest{Username: "jane", Passphrase: pass})
			if err != nil {
				t.Fatal(err)
			}
			if string(got.PEM) != text {
				t.Errorf("got %q", string(got.PEM))
			}
			if _, err := got.Unlock("another"); !errors.Is(err, gsi.ErrPassphrase) {
				t.Error(err)
			}
			cred, err := got.Unlock(pass)
			if err != nil || gridtest.Must(cred.Identity()).DN != gridtest.UserName {
				t.Error(cred, err)
			}
		})
	}
}

func TestRetrieve_RefusesWhatIsNotToBeBelieved(t *testing.T) {
	stranger := gridtest.Must(pki().Other.Issue(gridtest.Request{Name: gridtest.UserName}))
	for name, c := range map[string]struct {
		text, end, words string
		is               error
	}{
		"of an unknown CA":   {certPEM(stranger), message("0"), "not in the trust directory", trust.UnknownCA},
		"no credential":      {"hello", message("0"), "no credential", ErrProtocol},
		"refused at the end": {certPEM(user()), message("1", "ERROR=disk"), "refuses RETRIEVE: disk", nil},
		"cut off":            {certPEM(user()), "", "hung up", nil},
		"cut off with a NUL": {certPEM(user()), "\x00", "hung up", nil},
	} {
		t.Run(name, func(t *testing.T) {
			_, client := newFake(t, func(v *visit) { v.ok(); v.say(c.text + c.end) })
			got, err := client.Retrieve(t.Context(), RetrieveRequest{Username: "jane", Passphrase: pass})
			mustFail(t, err, c.words)
			if got != nil || c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}
