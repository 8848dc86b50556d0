package myproxy

import (
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
)

// The order and the names are those of myproxy_serialize_request_ex (myproxy.c).
func TestEncode_WritesWhatTheCClientDoes(t *testing.T) {
	r := &request{cmdPut, "jane", "abcdef", "ghijkl", 90 * time.Minute, stored(Policy{
		Retrievers: "*", TrustedRetrievers: "/CN=t", KeyRetrievers: "/CN=k", Renewers: "/CN=r",
	}, "night", "for the night")}
	got, err := r.encode()
	if err != nil {
		t.Fatal(err)
	}
	want := "VERSION=MYPROXYv2\nCOMMAND=1\nUSERNAME=jane\nPASSPHRASE=abcdef\nNEW_PHRASE=ghijkl\nLIFETIME=5400\n" +
		"RETRIEVER=*\nRENEWER=/CN=r\nCRED_NAME=night\nCRED_DESC=for the night\nKEYRETRIEVERS=/CN=k\nRETRIEVER_TRUSTED=/CN=t\n\x00"
	if string(got) != want {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}

// The server wants PASSPHRASE and LIFETIME even where they say nothing.
func TestEncode_WritesThePassphraseAndLifetimeAlways(t *testing.T) {
	got, err := (&request{command: cmdTrustRoots}).encode()
	if want := "VERSION=MYPROXYv2\nCOMMAND=7\nUSERNAME=\nPASSPHRASE=\nLIFETIME=0\n\x00"; err != nil || string(got) != want {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestEncode_RefusesValuesThatWouldBeOtherFields(t *testing.T) {
	for _, bad := range []string{"a\nRETRIEVER=*", "a\n", "a\x00b", "RETRIEVER=*", "see RENEWER=x", "PASSPHRASE=", "xVERSION=2", "KEYRETRIEVERS=*", "RETRIEVER_TRUSTED=*"} {
		for key, r := range map[string]*request{
			"USERNAME":   {username: bad},
			"PASSPHRASE": {username: "jane", passphrase: Secret(bad)},
			"NEW_PHRASE": {username: "jane", newPassphrase: Secret(bad)},
			"CRED_NAME":  {username: "jane", fields: named(bad)},
			"CRED_DESC":  {username: "jane", fields: stored(Policy{}, "", bad)},
			"RETRIEVER":  {username: "jane", fields: stored(Policy{Retrievers: bad}, "", "")},
			"VOMSES":     {username: "jane", fields: (&GetRequest{VOMSes: []string{bad}}).fields()},
		} {
			_, err := r.encode()
			mustFail(t, err, "the "+key+" holds")
		}
	}
}

func TestEncode_RefusesWhatAServerWouldCutOff(t *testing.T) {
	_, err := (&request{username: "jane", passphrase: Secret(strings.Repeat("x", 1025))}).encode()
	mustFail(t, err, "PASSPHRASE has more than 1024 bytes")
	_, err = (&request{username: strings.Repeat("x", 17_000)}).encode()
	mustFail(t, err, "a server takes 16384")
	_, err = (&request{username: "jane", lifetime: 1 << 62}).encode()
	mustFail(t, err, "68 years")
}

func TestSecret_IsInNoPrint(t *testing.T) {
	proxy := gridtest.Must(pki().Proxy(gsi.Limits{}))
	edwards := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)) // a slice, that fmt would print from anywhere
	requests := []any{
		GetRequest{Username: "jane", Passphrase: pass, Key: proxy.Key, Renew: proxy},
		&PutRequest{Passphrase: pass, Limits: gsi.Limits{Key: proxy.Key}},
		ChangePassphraseRequest{Old: pass, New: pass}, StoreRequest{Key: pass}, RetrieveRequest{Passphrase: pass}, Retrieved{PEM: pass}, pass,
		request{passphrase: pass}, &request{newPassphrase: pass}, GetRequest{Key: edwards}, &GetRequest{Key: edwards}, GetRequest{Renew: &gsi.Credential{Key: edwards}},
		PutRequest{Limits: gsi.Limits{Key: edwards}}, Client{Credential: gsi.Static(&gsi.Credential{Key: edwards})},
	}
	prime := proxy.Key.(*rsa.PrivateKey).Primes[0]
	hidden := []string{
		strings.Trim(fmt.Sprint([]byte(edwards)), "[]"), fmt.Sprintf("%x", []byte(edwards)), base64.StdEncoding.EncodeToString(edwards),
		string(pass), fmt.Sprintf("%x", string(pass)), fmt.Sprintf("%v", []byte(pass)), prime.String(), prime.Text(16),
	}
	var logged strings.Builder
	text, lines := slog.New(slog.NewTextHandler(&logged, nil)), slog.New(slog.NewJSONHandler(&logged, nil))
	for _, r := range requests {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&logged, verb+"\n", r)
		}
		if b, err := json.Marshal(r); err == nil {
			logged.Write(b)
		}
		if b, err := xml.Marshal(r); err == nil {
			logged.Write(b)
		}
		text.Info("text", "request", r)
		lines.Info("json", "request", r)
	}
	for _, h := range hidden {
		if strings.Contains(logged.String(), h) {
			t.Errorf("%.40q is in what was printed", h)
		}
	}
}
