package myproxy

import (
	"crypto"
	"crypto/rsa"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	_ "crypto/sha1"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
)

const challenge = "0123456789abcdef0123456789abcdef"

// wants is a reply that offers ways of authorization.
func wants(offers ...string) string {
	var lines []string
	for _, o := range offers {
		lines = append(lines, "AUTHORIZATION_DATA="+o)
	}
	return message("2", lines...)
}

func renews() GetRequest {
	return GetRequest{Username: "jane", Key: ourKey, Lifetime: time.Hour, Renew: gridtest.Must(pki().Proxy(gsi.Limits{}))}
}

func TestGet_RenewsForProofOfTheOldProxy(t *testing.T) {
	const other = "fedcba9876543210fedcba9876543210"
	for name, c := range map[string]struct {
		offers []string
		number byte
		hash   crypto.Hash
	}{
		"SHA-1": {[]string{"X509_certificate:" + challenge}, 2, crypto.SHA1},
		"SHA-256 where both are offered": {
			[]string{"password:", "X509_certificate:" + other, "X509_certificate_SHA256:" + challenge}, 4, crypto.SHA256,
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := renews()
			_, client := newFake(t, func(v *visit) {
				v.say(wants(c.offers...))
				checkProof(t, v.hear(), g.Renew, c.number, c.hash)
				hands(user, gsi.Limits{Lifetime: time.Hour})(v)
			})
			client.Credential = gsi.Static(pki().ECUser)
			cred, err := client.Get(t.Context(), g)
			if err != nil {
				t.Fatal(err)
			}
			if id := gridtest.Must(cred.Identity()); id.DN != gridtest.UserName {
				t.Errorf("got %s", id.DN)
			}
		})
	}
}

// checkProof reads the proof as auth_cert_check_client does (myproxy_authorization.c).
func checkProof(t *testing.T, b []byte, old *gsi.Credential, number byte, hash crypto.Hash) {
	t.Helper()
	if len(b) < 8 || b[0] != number {
		t.Errorf("the answer is %x", b)
		return
	}
	n := int(binary.BigEndian.Uint32(b[4:]))
	h := hash.New()
	h.Write([]byte(challenge))
	if err := rsa.VerifyPKCS1v15(old.Leaf().PublicKey.(*rsa.PublicKey), hash, h.Sum(nil), b[8:8+n]); err != nil {
		t.Error(err)
	}
	if string(b[8+n:]) != chainMessage(old.Chain) {
		t.Error("the chain is not the old proxy's")
	}
}

// A server that is trusted to be itself is not trusted with our signature over whatever it likes.
func TestGet_SignsNothingButAChallenge(t *testing.T) {
	for _, data := range []string{"", "0123", challenge + "0", "0123456789ABCDEF0123456789ABCDEF", "0\x820123456789abcdef0123456789abcdef", challenge + "\r"} {
		_, client := newFake(t, func(v *visit) {
			v.say(wants("X509_certificate:" + data))
			if b, err := v.conn.Receive(t.Context(), 1<<20); err == nil {
				t.Errorf("the client signed %q: %x", data, b)
			}
		})
		_, err := client.Get(t.Context(), renews())
		mustFail(t, err, "32 hexadecimal digits")
	}
}

func TestGet_GivesThePassphraseAgainWhenAsked(t *testing.T) {
	_, client := newFake(t, func(v *visit) {
		v.say(wants("password:Enter MyProxy pass phrase:"))
		if got, want := string(v.hear()), "\x01\x00\x00\x00"+string(pass)+"\x00"; got != want {
			t.Errorf("the answer is %q", got)
		}
		hands(user, gsi.Limits{})(v)
	})
	if _, err := client.Get(t.Context(), asks()); err != nil {
		t.Error(err)
	}
}

func TestGet_SaysWhichAuthorizationIsWanted(t *testing.T) {
	for name, c := range map[string]struct {
		offers []string
		change func(*GetRequest)
		words  string
	}{
		"a certificate where there is a passphrase": {[]string{"X509_certificate:" + challenge}, nil, "it takes X509_certificate"},
		"SASL":                                {[]string{"SASL:SASL authorization negotiation server", "new\x07:x"}, nil, "it takes SASL, new?"},
		"a passphrase where there is a proof": {[]string{"password:"}, func(g *GetRequest) { *g = renews() }, "it takes password"},
		"a passphrase where there is none":    {[]string{"password:"}, func(g *GetRequest) { g.Passphrase = "" }, "it takes password"},
		"nothing":                             {nil, nil, "it takes none that it names"},
	} {
		t.Run(name, func(t *testing.T) {
			_, client := newFake(t, func(v *visit) { v.say(wants(c.offers...)) })
			g := asks()
			if c.change != nil {
				c.change(&g)
			}
			_, err := client.Get(t.Context(), g)
			mustFail(t, err, c.words)
			if !errors.Is(err, ErrAuthorization) {
				t.Error(err)
			}
		})
	}
}

func TestGet_LeavesAServerThatAsksOnAndOn(t *testing.T) {
	_, client := newFake(t, func(v *visit) {
		for range 10 {
			if v.conn.Send(t.Context(), []byte(wants("password:"))) != nil {
				return
			}
			if _, err := v.conn.Receive(t.Context(), 1<<20); err != nil {
				return
			}
		}
		t.Error("the client answered ten times")
	})
	_, err := client.Get(t.Context(), asks())
	mustFail(t, err, "asked 3 times")
	if !errors.Is(err, ErrAuthorization) {
		t.Error(err)
	}
}
