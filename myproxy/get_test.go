package myproxy

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
	"gsigw/trust"
)

func TestGet_BringsAProxyOverOurKey(t *testing.T) {
	f, client := newFake(t, hands(user, gsi.Limits{Lifetime: time.Hour}))
	client.Credential = nil
	g := asks()
	g.Lifetime, g.CredentialName, g.DN = time.Hour, "night", gridtest.UserName
	cred, err := client.Get(t.Context(), g)
	if err != nil {
		t.Fatal(err)
	}
	id := gridtest.Must(cred.Identity())
	if id.DN != gridtest.UserName || id.Depth != 1 || cred.Key != ourKey || len(cred.Chain) != 2 {
		t.Errorf("got %v", cred)
	}
	want := "VERSION=MYPROXYv2\nCOMMAND=0\nUSERNAME=jane\nPASSPHRASE=" + string(pass) + "\nLIFETIME=3600\nCRED_NAME=night"
	if f.seen() != want {
		t.Errorf("asked\n%q\nnot\n%q", f.seen(), want)
	}
}

func TestGet_MakesAKeyOfTheBitsAskedFor(t *testing.T) {
	_, client := newFake(t, hands(user, gsi.Limits{}))
	g := asks()
	g.Key, g.Bits = nil, 1024
	cred, err := client.Get(t.Context(), g)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := gsi.MarshalProxy(cred); err != nil {
		t.Error(err)
	}
	g.Bits = 512
	_, err = client.Get(t.Context(), g)
	mustFail(t, err, "512 bits")
}

func TestGet_AsksForAttributesOfVOs(t *testing.T) {
	f, client := newFake(t, hands(user, gsi.Limits{}))
	g := asks()
	g.VONames, g.VOMSes = []string{"alpha", "beta"}, []string{`"alpha" "h" "15000" "/CN=h" "alpha"`}
	if _, err := client.Get(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	if want := "LIFETIME=43200\nVONAME=alpha\nVONAME=beta\nVOMSES=\"alpha\" "; !strings.Contains(f.seen(), want) {
		t.Errorf("%q lacks %q", f.seen(), want)
	}
}

// The chain, the OK and the NUL may come in one record or byte by byte: nothing but the texts themselves frames them.
func TestGet_TakesMessagesHoweverTheyAreCut(t *testing.T) {
	whole := func(v *visit) string {
		return chainMessage(gridtest.Must(gsi.Mint(user(), v.csr().PublicKey, gsi.Limits{Now: now}))) + message("0")
	}
	cuts := map[string]func(*visit, string){
		"all in one": func(v *visit, s string) { v.say(s) },
		"by 100": func(v *visit, s string) {
			for len(s) > 100 {
				v.say(s[:100])
				s = s[100:]
			}
			v.say(s)
		},
	}
	for name, cut := range cuts {
		t.Run(name, func(t *testing.T) {
			_, client := newFake(t, func(v *visit) {
				v.ok()
				cut(v, whole(v))
			})
			if _, err := client.Get(t.Context(), asks()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestGet_RefusesWhatWasNotAskedFor(t *testing.T) {
	stranger := func() *gsi.Credential {
		return gridtest.Must(pki().Other.Issue(gridtest.Request{Name: gridtest.UserName}))
	}
	for name, c := range map[string]struct {
		play   func(*visit)
		change func(*GetRequest)
		is     error
		words  string
	}{
		"another key": {
			play: func(v *visit) {
				v.ok()
				v.csr()
				v.say(chainMessage(gridtest.Must(pki().Proxy(gsi.Limits{})).Chain))
				v.ok()
			},
			is: ErrUntrusted, words: "another key",
		},
		"an unknown CA":   {play: hands(stranger, gsi.Limits{}), is: trust.UnknownCA, words: "not in the trust directory"},
		"longer lifetime": {play: hands(user, gsi.Limits{Lifetime: 3 * time.Hour}), is: ErrUntrusted, words: "longer than asked"},
		"another identity": {
			play: hands(user, gsi.Limits{Lifetime: time.Hour}), is: ErrUntrusted, words: "not of " + gridtest.ECUserName,
			change: func(g *GetRequest) { g.DN = gridtest.ECUserName },
		},
		"the renewed one is another's": {
			play: hands(user, gsi.Limits{Lifetime: time.Hour}), is: ErrUntrusted, words: "the proxy to be renewed is of " + gridtest.ECUserName,
			change: func(g *GetRequest) { g.Renew, g.Passphrase = pki().ECUser, "" },
		},
		"a chain with a gap": {
			play: func(v *visit) {
				v.ok()
				chain := gridtest.Must(gsi.Mint(gridtest.Must(pki().Proxy(gsi.Limits{})), v.csr().PublicKey, gsi.Limits{Now: now}))
				v.say(chainMessage(append(chain[:1:1], chain[2])))
				v.ok()
			},
			is: trust.NameChaining, words: "followed by",
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, client := newFake(t, c.play)
			g := asks()
			g.Lifetime = time.Hour
			if c.change != nil {
				c.change(&g)
			}
			cred, err := client.Get(t.Context(), g)
			mustFail(t, err, c.words)
			if cred != nil || !errors.Is(err, c.is) || !errors.Is(err, ErrUntrusted) {
				t.Errorf("got %v, %v", cred, err)
			}
		})
	}
}

// A proxy that lives a little longer than asked was made by a clock that is ahead of ours.
func TestGet_ForgivesFiveMinutesOfSkew(t *testing.T) {
	_, client := newFake(t, hands(user, gsi.Limits{Lifetime: time.Hour + 4*time.Minute}))
	g := asks()
	g.Lifetime = time.Hour
	if _, err := client.Get(t.Context(), g); err != nil {
		t.Error(err)
	}
}

func TestGet_LeavesTheCAOutOfTheCredential(t *testing.T) {
	_, client := newFake(t, func(v *visit) {
		v.ok()
		chain := gridtest.Must(gsi.Mint(user(), v.csr().PublicKey, gsi.Limits{Now: now}))
		v.say(chainMessage(append(chain, pki().CA.Cert)))
		v.ok()
	})
	cred, err := client.Get(t.Context(), asks())
	if err != nil || len(cred.Chain) != 2 {
		t.Errorf("got %v, %v", cred, err)
	}
}

func TestGet_RefusesAServerThatDoesNotKeepToTheProtocol(t *testing.T) {
	after := func(messages ...string) func(*visit) {
		return func(v *visit) {
			v.ok()
			v.csr()
			for _, m := range messages {
				v.say(m)
			}
		}
	}
	first := func(m string) func(*visit) { return func(v *visit) { v.say(m) } }
	proxy := gridtest.Must(gsi.Mint(user(), ourKey.Public(), gsi.Limits{Now: now}))
	good := chainMessage(proxy)
	for name, c := range map[string]struct {
		play  func(*visit)
		words string
	}{
		"another version":             {first("VERSION=MYPROXYv3\nRESPONSE=0\n\x00"), `version "MYPROXYv3"`},
		"no version":                  {first("RESPONSE=0\n\x00"), "0 lines of VERSION"},
		"no response":                 {first("VERSION=MYPROXYv2\n\x00"), "0 lines of RESPONSE"},
		"two versions":                {first("VERSION=MYPROXYv2\nVERSION=MYPROXYv2\nRESPONSE=0\n\x00"), "2 lines of VERSION"},
		"two responses":               {first("VERSION=MYPROXYv2\nRESPONSE=0\nRESPONSE=1\n\x00"), "2 lines of RESPONSE"},
		"an unknown response":         {first("VERSION=MYPROXYv2\nRESPONSE=7\n\x00"), `RESPONSE="7"`},
		"garbage":                     {first("\x16\x03\xff\x00\x00\x01"), "0 lines of VERSION"},
		"no NUL":                      {first("VERSION=MYPROXYv2\nRESPONSE=0\n"), "hung up"},
		"nothing":                     {func(*visit) {}, "hung up"},
		"a chain of 255":              {after("\xff" + good[1:]), "255 certificates"},
		"a chain of none":             {after("\x00"), "0 certificates"},
		"a chain that ends":           {after("\x05" + good[1:]), "hung up"},
		"no DER":                      {after("\x02hello"), "no DER"},
		"DER of no length":            {after("\x01\x30\x80"), "a length that no certificate has"},
		"DER too long":                {after("\x01\x30\x83\xff\xff\xff"), "16777215 bytes"},
		"DER that is no certificate":  {after("\x01\x30\x03\x02\x01\x05"), "certificate 1 of its chain does not parse"},
		"an OK instead of a chain":    {after(message("0")), "a text where a certificate"},
		"a chain and nothing":         {after(good), "hung up"},
		"a chain and another version": {after(good, "VERSION=1\nRESPONSE=0\n\x00"), `version "1"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, client := newFake(t, c.play)
			cred, err := client.Get(t.Context(), asks())
			mustFail(t, err, c.words)
			if cred != nil {
				t.Error("a credential came with the error")
			}
		})
	}
}

func TestGet_CutsOffAServerThatSendsTooMuch(t *testing.T) {
	_, client := newFake(t, func(v *visit) {
		for range 1000 {
			if v.conn.Send(v.t.Context(), []byte(strings.Repeat("x", 16_000))) != nil {
				return
			}
		}
		v.t.Error("the client took 16 MB")
	})
	_, err := client.Get(t.Context(), asks())
	mustFail(t, err, "more than is taken")
	if !errors.Is(err, ErrProtocol) {
		t.Error(err)
	}
}

func TestGet_EndsWithItsContextAndItsTimeout(t *testing.T) {
	for name, end := range map[string]func(*Client, context.Context) context.Context{
		"timeout": func(c *Client, ctx context.Context) context.Context {
			c.Timeout = 100 * time.Millisecond
			return ctx
		},
		"cancelled": func(_ *Client, ctx context.Context) context.Context {
			ctx, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
			t.Cleanup(cancel)
			return ctx
		},
	} {
		t.Run(name, func(t *testing.T) {
			released := make(chan struct{})
			_, client := newFake(t, func(*visit) { <-released })
			defer close(released)
			_, err := client.Get(end(client, t.Context()), asks())
			mustFail(t, err)
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v is no deadline", err)
			}
			if words := "myproxy: GET: no answer from " + client.Addr + " within 100ms"; (err.Error() == words) != (name == "timeout") {
				t.Error(err)
			}
		})
	}
}

func TestGet_KeepsTheServersWords(t *testing.T) {
	refused := func(v *visit) {
		v.refuse("ERROR=invalid pass phrase", "ERROR=try \x1b[31magain", "ERROR="+string(pass)+" is wrong")
	}
	for name, play := range map[string]func(*visit){
		"at once": refused,
		"instead of the chain": func(v *visit) {
			v.ok()
			v.csr()
			refused(v)
		},
		"after the chain": func(v *visit) {
			v.ok()
			v.handOver(user(), gsi.Limits{})
			refused(v)
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, client := newFake(t, play)
			cred, err := client.Get(t.Context(), asks())
			mustFail(t, err, "the server refuses GET: invalid pass phrase; try ?[31magain; [redacted] is wrong")
			refusal, ok := errors.AsType[*ServerError](err)
			if !ok || cred != nil || refusal.Command != "GET" || refusal.Message != "invalid pass phrase\ntry ?[31magain\n[redacted] is wrong" {
				t.Errorf("%#v", refusal)
			}
		})
	}
}

func TestGet_RefusesBadRequests(t *testing.T) {
	_, client := newFake(t, func(v *visit) { v.t.Error("it was sent") })
	proxy := gridtest.Must(pki().Proxy(gsi.Limits{}))
	for name, c := range map[string]struct {
		change func(*GetRequest, *Client)
		words  string
	}{
		"no name":               {func(g *GetRequest, _ *Client) { g.Username = "" }, "no username"},
		"seconds":               {func(g *GetRequest, _ *Client) { g.Lifetime = 59 * time.Second }, "in minutes"},
		"below nothing":         {func(g *GetRequest, _ *Client) { g.Lifetime = -time.Hour }, "lifetime"},
		"no trust":              {func(_ *GetRequest, c *Client) { c.Trust = nil }, "no Trust"},
		"no address":            {func(_ *GetRequest, c *Client) { c.Addr = "" }, "no address"},
		"two addresses":         {func(_ *GetRequest, c *Client) { c.Addr = "a,b" }, "no address"},
		"renewal by nobody":     {func(g *GetRequest, c *Client) { g.Renew, g.Passphrase, c.Credential = proxy, "", nil }, "own"},
		"renewal and a pass":    {func(g *GetRequest, _ *Client) { g.Renew = proxy }, "without a passphrase"},
		"renewal without a key": {func(g *GetRequest, _ *Client) { g.Renew, g.Passphrase = &gsi.Credential{Chain: proxy.Chain}, "" }, "no key"},
	} {
		t.Run(name, func(t *testing.T) {
			g, client := asks(), *client
			c.change(&g, &client)
			_, err := client.Get(t.Context(), g)
			mustFail(t, err, c.words)
		})
	}
}
