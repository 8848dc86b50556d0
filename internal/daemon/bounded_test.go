package daemon

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"gsigw/gsi"
	"gsigw/internal/config"
	"gsigw/internal/gridtest"
)

func TestRun_BlocksASubjectAsSoonAsTheConfigSaysSo(t *testing.T) { // B20
	b := newBench(t, gridtest.StandInOptions{}).start()
	if !b.works() {
		t.Fatal(b.log)
	}
	b.insert("blocked: [\"" + gridtest.UserName + "\"]\n")
	b.log.wait(t, "read again", 1)
	status, fault := b.post(createCounter)
	if status != http.StatusInternalServerError || !strings.Contains(fault, "SecurityTokenUnavailable") || strings.Contains(fault, gridtest.UserName) {
		t.Error(status, fault)
	}
	b.log.wait(t, gridtest.UserName+" is blocked in the config", 1)
	if status, body := b.get("/readyz"); status != http.StatusServiceUnavailable {
		t.Error(status, body)
	}
	b.insert("")
	b.log.wait(t, "read again", 2)
	if !b.works() {
		t.Error("the user is no longer blocked, and has no calls yet")
	}
}

func TestBounded_RefusesWhatIsBlockedOrLivesTooLong(t *testing.T) { // B20
	pki := gridtest.Must(gridtest.NewPKI(t.TempDir(), gridtest.PKIOptions{}))
	proxy := gridtest.Must(pki.Proxy(gsi.Limits{Lifetime: time.Hour}))
	below := gridtest.Must(pki.ProxyOf(proxy, gsi.Limits{}))
	of := func(c *gsi.Credential) config.DN { return config.DN(gsi.OneLine(c.Leaf().RawSubject)) }
	for name, test := range map[string]struct {
		credential  *gsi.Credential
		maxLifetime time.Duration
		blocked     config.DN
		refused     string // "": it is not
	}{
		"nothing is said":          {proxy, 0, "", ""},
		"another is blocked":       {proxy, 0, "/O=Grid/OU=gsigw test/CN=Jane", ""},
		"the user":                 {below, 0, gridtest.UserName, "CN=Jane Doe is blocked"},
		"the user, as RFC 2253":    {proxy, 0, "CN=Jane Doe,OU=gsigw test,O=Grid", "CN=Jane Doe is blocked"},
		"the proxy":                {proxy, 0, of(proxy), "is blocked"},
		"the proxy above":          {below, 0, of(proxy), "is blocked"},
		"the proxy, not its user":  {pki.User, 0, of(proxy), ""},
		"it ends in time":          {proxy, time.Hour, "", ""},
		"it ends later":            {proxy, 30 * time.Minute, "", "its max-lifetime is 30m"},
		"a certificate for a year": {pki.User, 24 * time.Hour, "", "gsigw proxy init --hours 24"},
	} {
		t.Run(name, func(t *testing.T) {
			b := &bounded{Source: gsi.Static(test.credential), name: "jane", maxLifetime: test.maxLifetime, now: time.Now}
			if test.blocked != "" {
				b.blocked = []config.DN{test.blocked}
			}
			c, err := b.Credential(t.Context())
			if test.refused == "" {
				if err != nil || c != test.credential {
					t.Error(c, err)
				}
				return
			}
			if !errors.Is(err, gsi.ErrNoCredential) || !strings.Contains(err.Error(), test.refused) || c != nil {
				t.Error(c, err)
			}
		})
	}
}
