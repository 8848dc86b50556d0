package myproxy

import (
	"crypto/rand"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
)

func puts() PutRequest { return PutRequest{Username: "jane", Passphrase: pass} }

func TestPut_DepositsAProxyOfAWeek(t *testing.T) {
	got := make(chan []*x509.Certificate, 1)
	f, client := newFake(t, func(v *visit) {
		v.ok()
		v.say(string(gridtest.Must(x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, ourKey))))
		chain, err := (&stream{left: maxReply, receive: pieces(v.hear(), 1<<20)}).chain()
		if err != nil {
			t.Error(err)
		}
		got <- chain
		v.ok()
	})
	p := puts()
	p.Renewers = "/CN=r"
	if err := client.Put(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	chain := <-got
	id, err := store(t).Verify(chain, now)
	if err != nil || id.DN != gridtest.UserName || id.Depth != 1 || !chain[0].NotAfter.Equal(now.Add(DefaultStored).UTC()) || !ourKey.PublicKey.Equal(chain[0].PublicKey) {
		t.Errorf("deposited %+v, %v", id, err)
	}
	want := "VERSION=MYPROXYv2\nCOMMAND=1\nUSERNAME=jane\nPASSPHRASE=" + string(pass) + "\nLIFETIME=43200\nRENEWER=/CN=r"
	if f.seen() != want {
		t.Errorf("asked %q", f.seen())
	}
}

func TestPut_KeepsToTheLimits(t *testing.T) {
	got := make(chan []*x509.Certificate, 1)
	_, client := newFake(t, func(v *visit) {
		v.ok()
		v.say(string(gridtest.Must(x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, ourKey))))
		got <- gridtest.Must((&stream{left: maxReply, receive: pieces(v.hear(), 1<<20)}).chain())
		v.ok()
	})
	p := puts()
	p.Limits = gsi.Limits{Type: gsi.RFCLimited, Lifetime: time.Hour}
	if err := client.Put(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	id := gridtest.Must(gsi.IdentityOf(<-got))
	if !id.Limited || !id.NotAfter.Equal(now.Add(time.Hour).UTC()) {
		t.Errorf("deposited %+v", id)
	}
}

func TestPut_SignsNoBadRequest(t *testing.T) {
	for name, c := range map[string]struct {
		csr, words string
	}{
		"a chain":            {chainMessage(pki().User.Chain), "no DER"},
		"not a request":      {string(pki().User.Leaf().Raw), "delegation request"},
		"signed by another":  {string(forgedCSR(t)), "not signed with its own key"},
		"an OK":              {message("0"), "a text where"},
		"a refusal":          {message("1", "ERROR=disk full"), "refuses PUT: disk full"},
		"an old text":        {"VERSION=MYPROXYv1\nRESPONSE=0\n\x00", "version"},
		"more than is taken": {"\x30\x83\x10\x00\x00", "1048576 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			_, client := newFake(t, func(v *visit) {
				v.ok()
				v.say(c.csr)
				if b, err := v.conn.Receive(t.Context(), 1<<20); err == nil {
					t.Errorf("the client signed: %d bytes came", len(b))
				}
			})
			mustFail(t, client.Put(t.Context(), puts()), c.words)
		})
	}
}

func TestPut_KeepsTheServersWords(t *testing.T) {
	for name, play := range map[string]func(*visit){
		"at once": func(v *visit) { v.refuse("ERROR=no room") },
		"at the end": func(v *visit) {
			v.ok()
			v.say(string(gridtest.Must(x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, ourKey))))
			v.hear()
			v.refuse("ERROR=no room")
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, client := newFake(t, play)
			err := client.Put(t.Context(), puts())
			if refusal, ok := errors.AsType[*ServerError](err); !ok || refusal.Message != "no room" || refusal.Command != "PUT" {
				t.Error(err)
			}
		})
	}
}

func TestPut_NeedsACredential(t *testing.T) {
	_, client := newFake(t, func(v *visit) { t.Error("it was sent") })
	client.Credential = nil
	mustFail(t, client.Put(t.Context(), puts()), "needs the client's credential")
}

func TestManage_SendsTheNameAndTheSecrets(t *testing.T) {
	const head = "VERSION=MYPROXYv2\nCOMMAND="
	for name, c := range map[string]struct {
		call func(*Client) error
		want string
	}{
		"destroy": {
			func(c *Client) error { return c.Destroy(t.Context(), DestroyRequest{"jane", "night"}) },
			head + "3\nUSERNAME=jane\nPASSPHRASE=DUMMY-PASSPHRASE\nLIFETIME=0\nCRED_NAME=night",
		},
		"passphrase": {
			func(c *Client) error {
				return c.ChangePassphrase(t.Context(), ChangePassphraseRequest{Username: "jane", Old: "old-pass", New: "new-pass"})
			},
			head + "4\nUSERNAME=jane\nPASSPHRASE=old-pass\nNEW_PHRASE=new-pass\nLIFETIME=0",
		},
	} {
		t.Run(name, func(t *testing.T) {
			f, client := newFake(t, func(v *visit) { v.ok() })
			if err := c.call(client); err != nil || f.seen() != c.want {
				t.Errorf("%v, asked %q", err, f.seen())
			}
		})
	}
}

func TestChangePassphrase_TellsNeither(t *testing.T) {
	_, client := newFake(t, func(v *visit) { v.refuse("ERROR=not " + string(pass) + " but new-pass") })
	err := client.ChangePassphrase(t.Context(), ChangePassphraseRequest{Username: "jane", Old: pass, New: "new-pass"})
	mustFail(t, err, "not [redacted] but [redacted]")
	mustFail(t, client.ChangePassphrase(t.Context(), ChangePassphraseRequest{Username: "jane", Old: pass}), "lock nothing")
}
