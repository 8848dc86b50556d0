package voms_test

import (
	"strings"
	"testing"

	"gsigw/voms"
)

func TestParseFQAN_ReadsBothForms(t *testing.T) {
	for _, test := range []struct {
		in, short, long string
		want            voms.FQAN
	}{
		{"/testvo", "/testvo", "/testvo/Role=NULL/Capability=NULL", voms.FQAN{Group: "/testvo"}},
		{"/testvo/Role=NULL/Capability=NULL", "/testvo", "/testvo/Role=NULL/Capability=NULL", voms.FQAN{Group: "/testvo"}},
		{"/vo.example.org/a-b/c_d", "/vo.example.org/a-b/c_d", "/vo.example.org/a-b/c_d/Role=NULL/Capability=NULL", voms.FQAN{Group: "/vo.example.org/a-b/c_d"}},
		{"/cms/Role=production/Capability=NULL", "/cms/Role=production", "/cms/Role=production/Capability=NULL", voms.FQAN{Group: "/cms", Role: "production"}},
		{"/cms/Role=NULL/Capability=long jobs!", "/cms/Capability=long jobs!", "/cms/Role=NULL/Capability=long jobs!", voms.FQAN{Group: "/cms", Capability: "long jobs!"}},
		{"/cms/Capability=x", "/cms/Capability=x", "/cms/Role=NULL/Capability=x", voms.FQAN{Group: "/cms", Capability: "x"}},
	} {
		got, err := voms.ParseFQAN(test.in)
		if err != nil || got != test.want {
			t.Errorf("%s: %+v, %v", test.in, got, err)
			continue
		}
		if got.String() != test.short || got.Long() != test.long {
			t.Errorf("%s is written %s and %s", test.in, got, got.Long())
		}
	}
}

func TestParseFQAN_RefusesWhatTwoReadersCouldTakeDifferently(t *testing.T) {
	for _, in := range []string{
		"", "/", "testvo", "//testvo", "/testvo/", "/testvo//a", "/test vo", "/testvo/é", "/testvo/../atlas", "/.", "/testvo/a=b",
		"/Role=admin", "/testvo/Role=", "/testvo/Role=a b", "/testvo/Role=a/Role=b", "/testvo/Role=a/sub", "/testvo/role=a", "/testvo/Capability=",
		"/testvo/Capability=x/Role=admin", "/testvo/Capability=a\x00b", "/testvo/Capability=é", "/testvo\n", "/testvo/Capability=x/Capability=y",
		"/testvo/" + strings.Repeat("a", 800),
	} {
		if f, err := voms.ParseFQAN(in); err == nil {
			t.Errorf("%q is read as %+v", in, f)
		}
	}
}

func TestFQAN_VOIsTheFirstGroup(t *testing.T) {
	if vo := (voms.FQAN{Group: "/vo.example.org/a/b"}).VO(); vo != "vo.example.org" {
		t.Error(vo)
	}
}
