package gsi_test

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"math"
	"os"
	"reflect"
	"testing"

	"gsigw/gsi"
)

const (
	inheritAll = "300a06082b06010505071501"
	pathLen3   = "020103"
)

// Those with a path length are what grid-proxy-init (globus_proxy_utils 7.3)
// writes with -rfc and -draft, -path-length 3.
func TestParseProxyCertInfo(t *testing.T) {
	three := 3
	for _, test := range []struct {
		der     string
		draft   bool
		kind    gsi.ProxyType
		pathLen *int
	}{
		{"300c" + inheritAll, false, gsi.RFC, nil},
		{"300c300a06082b06010505071502", false, gsi.RFCIndependent, nil},
		{"300f" + pathLen3 + inheritAll, false, gsi.RFC, &three},
		{"300f300d060b2b060104019b5001010109", false, gsi.RFCLimited, nil},
		{"30093007" + "06022a03" + "0401ff", false, gsi.RFCRestricted, nil},
		{"300c" + inheritAll, true, gsi.Draft, nil},
		{"300f300d060b2b060104019b5001010109", true, gsi.DraftLimited, nil},
		{"3011" + inheritAll + "a103" + pathLen3, true, gsi.Draft, &three},
		{"300c" + inheritAll + "00", false, "", nil},              // trailing byte
		{"300e" + inheritAll + "0500", false, "", nil},            // trailing field
		{"300e300c06082b060105050715010500", false, "", nil},      // trailing field in the policy
		{"30810c" + inheritAll, false, "", nil},                   // length not minimal
		{"300f0201ff" + inheritAll, false, "", nil},               // path length -1
		{"300f0201fe" + inheritAll, false, "", nil},               // path length -2
		{"301002020003" + inheritAll, false, "", nil},             // number not minimal
		{"3011" + inheritAll + "a103" + pathLen3, false, "", nil}, // the draft's form
		{"30120201030201" + "03" + inheritAll, true, "", nil},     // both forms
		{"3000", false, "", nil},
		{"", false, "", nil},
	} {
		der, err := hex.DecodeString(test.der)
		if err != nil {
			t.Fatal(err)
		}
		info, err := gsi.ParseProxyCertInfo(der, test.draft)
		if test.kind == "" {
			if err == nil {
				t.Errorf("%s: taken as %+v", test.der, info)
			}
			continue
		}
		if err != nil || info.Type() != test.kind || (info.PathLen == nil) != (test.pathLen == nil) || (info.PathLen != nil && *info.PathLen != *test.pathLen) {
			t.Errorf("%s: %+v, %v", test.der, info, err)
			continue
		}
		if e, err := info.Extension(); err != nil || !bytes.Equal(e.Value, der) || !e.Critical {
			t.Errorf("%s: written as %x, %v", test.der, e.Value, err)
		}
	}
}

// What others write that Extension does not: numbers that no int holds, and drafts' path lengths where the RFC has them,
// or negative. It is read as what it can only mean.
func TestParseProxyCertInfo_ReadsAnyPathLength(t *testing.T) {
	for _, test := range []struct {
		der   string
		draft bool
		want  int
	}{
		{"301702091000000000000000ff" + inheritAll, false, math.MaxInt},
		{"301602087fffffffffffffff" + inheritAll, false, math.MaxInt},
		{"30170209" + "008000000000000000" + inheritAll, false, math.MaxInt},
		{"301602087ffffffffffffffe" + inheritAll, false, math.MaxInt - 1},
		{"300f" + pathLen3 + inheritAll, true, 3},
		{"300f0201ff" + inheritAll, true, 0},
		{"3011" + inheritAll + "a1030201ff", true, 0},
		{"301b" + inheritAll + "a10d020b" + "ff" + "00000000000000000000", true, 0},
	} {
		der, err := hex.DecodeString(test.der)
		if err != nil {
			t.Fatal(err)
		}
		info, err := gsi.ParseProxyCertInfo(der, test.draft)
		if err != nil || info.PathLen == nil || *info.PathLen != test.want || info.Draft != test.draft {
			t.Errorf("%s: %+v, %v", test.der, info, err)
		}
	}
}

func TestProxyCertInfoOf_RefusesTwo(t *testing.T) {
	rfc, err := (&gsi.ProxyCertInfo{Policy: gsi.Policy{Language: gsi.OIDInheritAll}}).Extension()
	if err != nil {
		t.Fatal(err)
	}
	draft := rfc
	draft.Id = gsi.OIDDraftProxyCertInfo
	for _, pair := range [][]pkix.Extension{{rfc, rfc}, {rfc, draft}} {
		if info, err := gsi.ProxyCertInfoOf(&x509.Certificate{Extensions: pair}); err == nil {
			t.Errorf("took %+v", info)
		}
	}
}

func FuzzParseProxyCertInfo(f *testing.F) {
	for _, s := range []string{"300c" + inheritAll, "300f" + pathLen3 + inheritAll, "3011" + inheritAll + "a103" + pathLen3} {
		der, _ := hex.DecodeString(s)
		f.Add(der, false)
		f.Add(der, true)
	}
	f.Fuzz(func(t *testing.T, der []byte, draft bool) {
		info, err := gsi.ParseProxyCertInfo(der, draft)
		if err != nil {
			return
		}
		e, err := info.Extension()
		again, errAgain := gsi.ParseProxyCertInfo(e.Value, draft)
		if err != nil || errAgain != nil || !reflect.DeepEqual(again, info) {
			t.Errorf("%x is read as %+v, written as %x and read as %+v, %v %v", der, info, e.Value, again, err, errAgain)
		}
		if !draft && (info.PathLen == nil || *info.PathLen < math.MaxInt) && !bytes.Equal(e.Value, der) {
			t.Errorf("%x is not what is written: %x", der, e.Value)
		}
	})
}

func TestClassify_ReadsTheProxiesOfTheGT4Captures(t *testing.T) {
	for file, want := range map[string]gsi.ProxyType{
		"proxy-user-rfc.pem": gsi.RFC, "proxy-user-draft.pem": gsi.Draft, "proxy-user-old-limited.pem": gsi.LegacyLimited,
	} {
		data, err := os.ReadFile("testdata/gt4/" + file)
		if err != nil {
			t.Fatal(err)
		}
		c, err := gsi.ParsePEM(data)
		if err != nil {
			t.Fatal(err)
		}
		id, err := c.Identity()
		if err != nil || id.Type != want || id.DN != "/O=Grid/OU=GT4Lab/CN=Test User" || id.EndEntity != c.EndEntity() {
			t.Errorf("%s: %+v, %v", file, id, err)
		}
	}
}
