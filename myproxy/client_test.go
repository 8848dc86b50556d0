package myproxy

import (
	"crypto/x509"
	"errors"
	"strings"
	"testing"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
)

func hostNamed(name string, dns ...string) func() *gsi.Credential {
	return func() *gsi.Credential {
		return gridtest.Must(pki().CA.Issue(gridtest.Request{Name: name, Change: func(c *x509.Certificate) { c.DNSNames = dns }}))
	}
}

func TestClient_TalksToTheServerThatIsMeantAlone(t *testing.T) {
	const base = "/O=Grid/OU=gsigw test/CN="
	independent := gridtest.Must(pki().Proxy(gsi.Limits{Type: gsi.RFCIndependent}))
	below := gridtest.Must(gsi.NewProxy(independent, gsi.Limits{Now: now}))
	of := func(c *gsi.Credential) func() *gsi.Credential { return func() *gsi.Credential { return c } }
	for name, c := range map[string]struct {
		host func() *gsi.Credential
		dn   string
		ok   bool
	}{
		"by the name in its certificate":       {host: hostNamed(base+"whoever", "localhost"), ok: true},
		"by its CN":                            {host: hostNamed(base + "localhost"), ok: true},
		"as host":                              {host: hostNamed(base + "host/localhost"), ok: true},
		"as myproxy":                           {host: hostNamed(base + "myproxy/localhost"), ok: true},
		"by its DN":                            {host: hostNamed(base + "MyProxy"), dn: base + "MyProxy", ok: true},
		"by its DN in RFC 2253":                {host: hostNamed(base + "MyProxy"), dn: "CN=MyProxy,OU=gsigw test,O=Grid", ok: true},
		"another host":                         {host: hostNamed(base+"localhost", "other")},
		"another service":                      {host: hostNamed(base + "http/localhost")},
		"another myproxy":                      {host: hostNamed(base + "myproxy/other")},
		"myproxy, but other names":             {host: hostNamed(base+"myproxy/localhost", "other")},
		"another DN, though it is the host":    {host: hostNamed(base + "localhost"), dn: base + "MyProxy"},
		"a user":                               {host: user},
		"a user who calls his proxy localhost": {host: proxyNamed("localhost")},
		"a user who calls his proxy myproxy":   {host: proxyNamed("myproxy/localhost")},
		"an independent proxy of the very DN":  {host: of(independent), dn: gsi.OneLine(independent.Leaf().RawSubject)},
		"a proxy of one of the very DN":        {host: of(below), dn: gsi.OneLine(independent.Leaf().RawSubject)},
	} {
		t.Run(name, func(t *testing.T) {
			f, client := newFakeAs(t, c.host(), func(v *visit) { v.ok() })
			client.ServerDN = c.dn
			err := client.Destroy(t.Context(), DestroyRequest{Username: "jane"})
			if c.ok {
				if err != nil {
					t.Error(err)
				}
				return
			}
			mustFail(t, err, "not the server that was meant")
			if !errors.Is(err, ErrIdentity) || !strings.HasPrefix(err.Error(), ErrIdentity.Error()) || f.count() != 0 {
				t.Errorf("%v, after %d requests", err, f.count())
			}
		})
	}
}

func TestIsServer_TakesTheServersNameForHostNamesAlone(t *testing.T) {
	for _, c := range []struct {
		name, host string
		ok         bool
	}{
		{"/CN=myproxy/m.example.org", "m.example.org", true},
		{"/CN=MyProxy/M.example.org", "m.EXAMPLE.org.", true},
		{"/CN=myproxy/192.0.2.1", "192.0.2.1", false},
		{"/CN=myproxy/\u212Aelvin.example.org", "kelvin.example.org", false},
	} {
		id := gridtest.Must(gsi.IdentityOf(hostNamed(c.name)().Chain))
		if err := new(Client).isServer(c.host, id); c.ok != (err == nil) {
			t.Errorf("%s for %s: %v", c.name, c.host, err)
		}
	}
}

// proxyNamed is a legacy proxy, whose owner would choose its CN if he could: gsi.Mint does not let him.
func proxyNamed(cn string) func() *gsi.Credential {
	return func() *gsi.Credential {
		p := gridtest.Must(pki().Proxy(gsi.Limits{Type: gsi.RFCIndependent}))
		name := gridtest.Must(gsi.ParseDN(gridtest.UserName + "/CN=" + strings.ReplaceAll(cn, "/", "\\x2F")))
		issuer := &gridtest.Authority{Cert: pki().User.Leaf(), Key: pki().User.Key}
		forged := gridtest.Must(issuer.Issue(gridtest.Request{RawSubject: gridtest.Must(name.DER()), Change: func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = p.Leaf().NotBefore, p.Leaf().NotAfter
			c.BasicConstraintsValid = false
			c.ExtraExtensions = append(c.ExtraExtensions, p.Leaf().Extensions...)
			c.KeyUsage = 0
		}}))
		return &gsi.Credential{Chain: []*x509.Certificate{forged.Leaf(), pki().User.Leaf()}, Key: forged.Key}
	}
}

func TestClient_RefusesAServerOfAnUnknownCA(t *testing.T) {
	stranger := gridtest.Must(pki().Other.Issue(gridtest.Request{Name: gridtest.HostName, Host: true}))
	f, client := newFakeAs(t, stranger, func(v *visit) { v.ok() })
	mustFail(t, client.Destroy(t.Context(), DestroyRequest{Username: "jane"}), "DESTROY", "not in the trust directory")
	if f.count() != 0 {
		t.Error("the request was sent")
	}
}

func TestAddress_HasThePortOfMyProxyWithoutOne(t *testing.T) {
	for given, want := range map[string][2]string{
		"m.example.org":      {"m.example.org:7512", "m.example.org"},
		"m.example.org:":     {"m.example.org:7512", "m.example.org"},
		"m.example.org:7513": {"m.example.org:7513", "m.example.org"},
		"::1":                {"[::1]:7512", "::1"},
		"[::1]":              {"[::1]:7512", "::1"},
		"[::1]:7513":         {"[::1]:7513", "::1"},
	} {
		addr, host, err := (&Client{Addr: given}).address()
		if err != nil || [2]string{addr, host} != want {
			t.Errorf("%s: %s, %s, %v", given, addr, host, err)
		}
	}
}

func TestClient_SaysWhoItIs(t *testing.T) {
	for name, source := range map[string]gsi.Source{"nobody": nil, gridtest.UserName: gsi.Static(pki().User)} {
		t.Run(name, func(t *testing.T) {
			_, client := newFake(t, func(v *visit) {
				who := "nobody"
				if p := v.conn.Peer(); p != nil {
					who = p.DN
				}
				v.refuse("ERROR=you are " + who)
			})
			client.Credential = source
			mustFail(t, client.Destroy(t.Context(), DestroyRequest{Username: "jane"}), "you are "+name)
		})
	}
}
