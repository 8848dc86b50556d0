package admin

import (
	"crypto/x509/pkix"
	"strconv"
	"strings"
	"testing"
	"time"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
	"gsigw/voms"
)

// What a VO says of the user may end before the proxy that carries it (dCache PR 4400).
func TestMetrics_TellWhenVOMSAttributesEnd(t *testing.T) {
	pki := gridtest.Must(gridtest.NewPKI(t.TempDir(), gridtest.PKIOptions{}))
	aa := gridtest.Must(pki.NewAA())
	end := time.Now().Add(time.Hour).Truncate(time.Second)
	ac := gridtest.Must(aa.Issue(gridtest.AC{Holder: pki.User.Leaf(), FQANs: []string{"/" + gridtest.VO}, NotAfter: end}))
	proxy := gridtest.Must(pki.Proxy(gsi.Limits{Extensions: []pkix.Extension{gridtest.Must(voms.Extension(ac))}}))
	s := newServer(t)
	s.Set(Status{Routes: 1, Credentials: map[string]gsi.Source{"a": gsi.Static(proxy)}})
	at := func(kind string, when time.Time) string {
		return `gsigw_credential_expiry_timestamp_seconds{kind="` + kind + `"} ` + strconv.FormatFloat(float64(when.Unix()), 'g', -1, 64) + "\n"
	}
	_, body := s.get(t, "GET", "", "/metrics")
	for _, want := range []string{at("attributes", end), at("proxy", proxy.NotAfter())} {
		if !strings.Contains(body, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
}
