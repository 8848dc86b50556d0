package gsi_test

import (
	"context"
	"crypto/x509"
	"path/filepath"
	"testing"
	"time"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
)

func TestIdentity_MatchesBothFormsAndNoLookalike(t *testing.T) {
	pki := newPKI(t)
	id, err := mint(t, pki.User, gsi.Limits{}).Identity()
	if err != nil {
		t.Fatal(err)
	}
	lookalike, err := pki.CA.Issue(gridtest.Request{RawSubject: gridtest.Must(gridtest.Must(gsi.ParseDN(`OU=gsigw test/CN\=Jane Doe,O=Grid`)).DER())})
	if err != nil {
		t.Fatal(err)
	}
	other, err := lookalike.Identity()
	if err != nil {
		t.Fatal(err)
	}
	for dn, want := range map[string]bool{
		gridtest.UserName:                    true,
		"CN=Jane Doe,OU=gsigw test,O=Grid":   true,
		gridtest.ECUserName:                  false,
		"":                                   false,
		id.DN + "/CN=" + "1":                 false,
		"OU=gsigw test/CN\\=Jane Doe,O=Grid": false,
	} {
		if id.Matches(dn) != want {
			t.Errorf("%q: %v", dn, !want)
		}
	}
	if other.DN != gridtest.UserName {
		t.Fatalf("the lookalike is written %s", other.DN)
	}
	if other.Matches(gridtest.UserName) {
		t.Error("a value that holds a '/' passes for two attributes")
	}
}

func TestIdentityOf_RefusesAChainWithoutAnEndEntity(t *testing.T) {
	p := mint(t, newPKI(t).User, gsi.Limits{})
	for _, chain := range [][]*x509.Certificate{nil, p.Chain[:1]} {
		if id, err := gsi.IdentityOf(chain); err == nil {
			t.Errorf("%+v", id)
		}
	}
}

func TestDiscover_ReadsTheEnvironment(t *testing.T) {
	pki := newPKI(t)
	path, err := pki.WriteProxy("proxy.pem", mint(t, pki.User, gsi.Limits{}))
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("X509_USER_PROXY", path)
	source, err := gsi.Discover(gsi.FileOptions{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	c, err := source.Credential(t.Context())
	if err != nil || c.EndEntity().Subject.CommonName != "Jane Doe" {
		t.Errorf("%v, %v", c, err)
	}
	if again, _ := gsi.Static(c).Credential(context.Background()); again != c {
		t.Error("a static source gives another credential")
	}
	pair := gsi.PairFile(filepath.Join(pki.Dir, "hostcert.pem"), filepath.Join(pki.Dir, "hostkey.pem"), gsi.FileOptions{Now: func() time.Time { return now }})
	if c, err = pair.Credential(t.Context()); err != nil || gsi.OneLine(c.Leaf().RawSubject) != gridtest.HostName {
		t.Errorf("%v, %v", c, err)
	}
}
