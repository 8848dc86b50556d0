package trust

import (
	"crypto/x509"
	"encoding/asn1"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"gsigw/gsi"
)

// FuzzVerify: whatever parses as certificates, the walk says yes or no.
func FuzzVerify(f *testing.F) {
	paths, _ := filepath.Glob("testdata/gt4/proxy-user-*.pem")
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		chain, err := gsi.ParseCertificates(data)
		if err != nil {
			f.Fatal(err)
		}
		var der []byte
		for _, cert := range chain {
			der = append(der, cert.Raw...)
		}
		f.Add(der)
	}
	store, err := Open("testdata/gt4/certificates", Options{AllowMD5: true, AllowRSA512: true})
	if err != nil {
		f.Fatal(err)
	}
	at := time.Date(2026, 11, 21, 18, 50, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, der []byte) {
		var chain []*x509.Certificate
		for len(der) > 0 {
			var one asn1.RawValue
			rest, err := asn1.Unmarshal(der, &one)
			if err != nil {
				break
			}
			if cert, err := x509.ParseCertificate(one.FullBytes); err == nil {
				chain = append(chain, cert)
			}
			der = rest
		}
		if id, err := store.Verify(chain, at); err == nil && id.DN == "" {
			t.Error("accepted without a name")
		}
	})
}

// FuzzSigningPolicy: a policy that reads is one whose expressions work.
func FuzzSigningPolicy(f *testing.F) {
	data, err := os.ReadFile("testdata/gt4/certificates/8d4252c4.signing_policy")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte("access_id_CA X509 /O=x\npos_rights globus CA:sign\ncond_subjects globus \"\xf0\""))
	f.Add([]byte(`TO Issuer SELF PERMIT Subject "/O=Grid/.*"`))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, parse := range []func([]byte) (policy, error){parseSigningPolicy, parseNamespaces} {
			p, err := parse(data)
			if err != nil {
				continue
			}
			for _, rule := range p {
				rule.subject.MatchString("/O=Grid/CN=Jane Doe")
			}
		}
	})
}

// FuzzNameConstraints: whatever the constraints, they admit a name or they do not.
func FuzzNameConstraints(f *testing.F) {
	f.Add([]byte("\x30\x11\xa0\x0f\x30\x0d\x82\x0bexample.org"), "grid.example.org", 2)
	f.Add([]byte("\x30\x0e\xa1\x0c\x30\x0a\x87\x08\xc0\x00\x02\x00\xff\xff\xff\x00"), "\xc0\x00\x02\x01", 7)
	f.Fuzz(func(t *testing.T, der []byte, name string, form int) {
		c, err := parseConstraints(der)
		if err != nil {
			return
		}
		n := generalName{form, []byte(name)}
		if err := c.admits(n); err == nil && slices.ContainsFunc(c.excluded, func(e generalName) bool {
			inside, err := n.within(e)
			return e.form == form && (inside || err != nil)
		}) {
			t.Errorf("%q is excluded and admitted", name)
		}
	})
}
