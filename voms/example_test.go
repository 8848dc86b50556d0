package voms_test

import (
	"crypto/x509/pkix"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
	"gsigw/trust"
	"gsigw/voms"
)

// What a VO says of a user goes into his proxy, and is believed by whoever trusts the VO's authority.
func Example() {
	dir, err := os.MkdirTemp("", "voms")
	check(err)
	defer os.RemoveAll(dir)
	pki := gridtest.Must(gridtest.NewPKI(dir, gridtest.PKIOptions{}))
	authority := gridtest.Must(pki.NewAA()) // stands for the VOMS server that a voms.Client asks
	vomsdir := filepath.Join(dir, "vomsdir")
	check(authority.WriteLSC(vomsdir))

	ac := gridtest.Must(authority.Issue(gridtest.AC{Holder: pki.User.Leaf(), FQANs: []string{"/testvo/Role=admin", "/testvo"}}))
	extension := gridtest.Must(voms.Extension(ac))
	proxy := gridtest.Must(gsi.NewProxy(pki.User, gsi.Limits{Extensions: []pkix.Extension{extension}}))

	store := gridtest.Must(trust.Open(pki.TrustDir, trust.Options{}))
	believed := gridtest.Must(voms.Open(vomsdir, voms.Options{Trust: store}))
	result := gridtest.Must(believed.Verify(proxy.Chain, time.Now()))
	for _, a := range result.Attributes {
		fmt.Println(a.Holder, "is in", a.VO, "as", a.FQANs)
	}
	// Output: /O=Grid/OU=gsigw test/CN=Jane Doe is in testvo as [/testvo/Role=admin /testvo]
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
