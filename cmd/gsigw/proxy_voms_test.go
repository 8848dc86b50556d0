package main

import (
	"reflect"
	"testing"
	"time"

	"gsigw/voms"
)

func TestWishes_AreOneRequestForEachVOInTheOrderOfTheWords(t *testing.T) {
	f := attributeFlags{
		voms:    []string{"b:/b/Role=admin", "a", "b:/b/group", "c:ALL"},
		order:   []string{"/b/group", "/a/sub"},
		targets: []string{"host"},
	}
	got, err := f.wishes(2 * time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	want := []voms.Request{
		{VO: "b", FQANs: []voms.FQAN{{Group: "/b", Role: "admin"}, {Group: "/b/group"}}, Order: []voms.FQAN{{Group: "/b/group"}}},
		{VO: "a", Order: []voms.FQAN{{Group: "/a/sub"}}},
		{VO: "c", All: true},
	}
	for i := range want {
		want[i].Lifetime, want[i].Targets = 2*time.Hour, []string{"host"}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	f.life.Duration = time.Hour
	if got, err := f.wishes(2 * time.Hour); err != nil || got[0].Lifetime != time.Hour {
		t.Errorf("--vomslife: %v, %v", got, err)
	}
}
