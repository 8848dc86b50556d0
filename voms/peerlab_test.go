package voms_test

import (
	"os"
	"slices"
	"testing"
	"time"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
	"gsigw/trust"
	"gsigw/voms"
)

// What VOMS's own server and tool make is the measure: see testdata/README.md.
func TestVerify_BelievesWhatVOMSMakes(t *testing.T) {
	store := gridtest.Must(trust.Open("testdata/peerlab/certificates", trust.Options{}))
	dir := gridtest.Must(voms.Open("testdata/peerlab/vomsdir", voms.Options{Trust: store}))
	at := time.Date(2026, 11, 22, 0, 30, 0, 0, time.UTC)
	nickname := []voms.GenericAttribute{{Name: "nickname", Qualifier: "testvo"}}
	for _, test := range []struct {
		file    string
		fqans   []voms.FQAN
		generic []voms.GenericAttribute
	}{
		{"server.pem", []voms.FQAN{{Group: "/testvo", Role: "admin"}, {Group: "/testvo"}, {Group: "/testvo/groupA"}}, nickname},
		{"fake.pem", []voms.FQAN{{Group: "/testvo"}, {Group: "/testvo/groupA", Role: "production"}}, nil},
	} {
		chain := gridtest.Must(gsi.ParseCertificates(gridtest.Must(os.ReadFile("testdata/peerlab/" + test.file))))
		result, err := dir.Verify(chain, at)
		if err != nil || len(result.Attributes) != 1 {
			t.Errorf("%s: %v, %+v", test.file, err, result)
			continue
		}
		if ac := gridtest.Must(voms.ParseAC(gridtest.Must(voms.ACs(chain))[0])); ac.Holder.RawName != nil {
			t.Errorf("%s: with the holder's name, by which the two forms of its issuer could be told apart", test.file)
		}
		a := result.Attributes[0]
		if !slices.Equal(a.FQANs, test.fqans) || !slices.Equal(a.Generic, test.generic) || a.Server != "localhost:15731" || a.Holder != "/C=XX/O=PeerLab/CN=Alice Tester" {
			t.Errorf("%s: %+v", test.file, a)
		}
	}
}
