package myproxy

import (
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"testing"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
)

// A server may send back what it was sent, and wherever that is read, no error may show it.
func TestErrors_QuoteNoPassphraseThatTheServerSendsBack(t *testing.T) {
	for _, secret := range []Secret{pass, Secret(strings.Repeat("long", 30)), "quo\"te\\back", "\u00fcn\u00efc\u00f6de\u0007bell"} {
		s := string(secret)
		stranger := gridtest.Must(pki().Other.Issue(gridtest.Request{Name: gridtest.HostName + strings.Map(letter, s), Key: ourKey}))
		for name, c := range map[string]struct {
			play func(*visit)
			want error
		}{
			"as the version":      {func(v *visit) { v.say("VERSION=" + s + "\nRESPONSE=0\n\x00") }, ErrProtocol},
			"as the response":     {func(v *visit) { v.say("VERSION=MYPROXYv2\nRESPONSE=" + s + "\n\x00") }, ErrProtocol},
			"as an authorization": {func(v *visit) { v.say(wants(s + ":x")) }, ErrAuthorization},
			"as a trust root":     {func(v *visit) { v.ok("TRUSTED_CERTS=/" + s) }, ErrProtocol},
			"as a refusal":        {func(v *visit) { v.refuse("ERROR=bad passphrase " + s) }, nil},
			"as the name of a CA": {func(v *visit) { v.ok(); v.csr(); v.say(chainMessage(stranger.Chain)); v.ok() }, ErrUntrusted},
		} {
			_, client := newFake(t, c.play)
			_, err := client.Get(t.Context(), GetRequest{Username: "jane", Passphrase: secret, Key: ourKey, TrustRoots: new(TrustRoots)})
			if err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("%s: %v", name, err)
			}
			for _, text := range []string{err.Error(), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", err)} {
				for _, spelling := range []string{s, s[:min(len(s), 20)], harmless(s), strings.Trim(fmt.Sprintf("%q", s), `"`)} {
					if strings.Contains(text, spelling) {
						t.Errorf("%s: %q is in %s", name, spelling, text)
					}
				}
			}
		}
	}
}

// letter leaves those in that a DN can hold as they are.
func letter(r rune) rune {
	if r < ' ' || r > '~' || r == '"' || r == '\\' {
		return -1
	}
	return r
}

func TestStore_QuotesNoKeyThatTheServerSendsBack(t *testing.T) {
	key := gridtest.Must(gsi.MarshalKey(user().Key))
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: user().Leaf().Raw})
	line := strings.Split(string(key), "\n")[3]
	for name, play := range map[string]func(*visit){
		"a refusal":    func(v *visit) { v.refuse("ERROR=" + line) },
		"a version":    func(v *visit) { v.say("VERSION=" + line + "\nRESPONSE=0\n\x00") },
		"it, indented": func(v *visit) { v.refuse("ERROR=  " + line + " is no key") },
	} {
		_, client := newFake(t, play)
		err := client.Store(t.Context(), StoreRequest{Username: "jane", Certificates: cert, Key: Secret(key), AllowClearKey: true})
		if err == nil || strings.Contains(err.Error(), line) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestErrors_HaveAnEnd(t *testing.T) {
	_, client := newFake(t, func(v *visit) { v.say("VERSION=" + strings.Repeat("x", 1<<19) + "\nRESPONSE=0\n\x00") })
	_, err := client.Get(t.Context(), asks())
	if !errors.Is(err, ErrProtocol) || len(err.Error()) > maxWords {
		t.Errorf("%d bytes", len(err.Error()))
	}
}
