package daemon

import (
	"bytes"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/xml"
	"net/http"
	"testing"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
	"gsigw/voms"
)

// What a VO says of the user travels with every call, unchanged.
func TestRun_PresentsTheProxysVOMSAttributes(t *testing.T) { // T07
	var request []byte
	b := newBench(t, gridtest.StandInOptions{Seen: func(s gridtest.Seen) { request = s.Request }})
	aa := gridtest.Must(b.pki.NewAA())
	ac := gridtest.Must(aa.Issue(gridtest.AC{Holder: b.pki.User.Leaf(), FQANs: []string{"/testvo/Role=admin", "/testvo"}}))
	proxy := gridtest.Must(b.pki.Proxy(gsi.Limits{Extensions: []pkix.Extension{gridtest.Must(voms.Extension(ac))}}))
	gridtest.Must(b.pki.WriteProxy("proxy.pem", proxy))
	b.start()
	if status, reply := b.post(createCounter); status != http.StatusOK {
		t.Fatal(status, reply)
	}
	chain := gridtest.Must(gsi.ParsePKIPath(token(t, request), 10))
	if !bytes.Equal(chain[0].Raw, proxy.Leaf().Raw) {
		t.Fatal("the proxy was not presented as it is")
	}
	acs := gridtest.Must(voms.ACs(chain))
	if len(acs) != 1 || !bytes.Equal(acs[0], ac) {
		t.Errorf("the service sees %d attribute certificates", len(acs))
	}
}

// token is the binary security token of a message.
func token(t *testing.T, request []byte) []byte {
	t.Helper()
	for d := xml.NewDecoder(bytes.NewReader(request)); ; {
		next, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		if start, ok := next.(xml.StartElement); ok && start.Name.Local == "BinarySecurityToken" {
			var text string
			if err := d.DecodeElement(&text, &start); err != nil {
				t.Fatal(err)
			}
			return gridtest.Must(base64.StdEncoding.DecodeString(text))
		}
	}
}
