package main

import (
	"testing"
	"time"

	"gsigw/gsi"
	"gsigw/voms"
)

// An old proxy stays unless the new one is at least as good in every way.
func TestRenewal_KeepsTheOldProxyWhereTheNewOneIsWorse(t *testing.T) {
	end := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	admin, member := voms.FQAN{Group: "/testvo", Role: "admin"}, voms.FQAN{Group: "/testvo"}
	facts := func(change func(*proxyFacts)) proxyFacts {
		f := proxyFacts{
			UsableUntil: end, Limited: true, identity: &gsi.Identity{DN: "/O=Grid/CN=Jane Doe"},
			VOs: []voFacts{{VO: "testvo", fqans: []voms.FQAN{admin, member}}},
		}
		change(&f)
		return f
	}
	old := facts(func(*proxyFacts) {})
	for name, change := range map[string]func(*proxyFacts){
		"the same":         func(*proxyFacts) {},
		"longer":           func(f *proxyFacts) { f.UsableUntil = end.Add(time.Hour) },
		"more attributes":  func(f *proxyFacts) { f.VOs = append(f.VOs, voFacts{VO: "other"}) },
		"in another order": func(f *proxyFacts) { f.VOs[0].fqans = []voms.FQAN{member, admin} },
	} {
		if err := old.lossIn(facts(change)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, change := range map[string]func(*proxyFacts){
		"somebody else's": func(f *proxyFacts) { f.identity = &gsi.Identity{DN: "/O=Grid/CN=Joe"} },
		"not limited":     func(f *proxyFacts) { f.Limited = false },
		"shorter":         func(f *proxyFacts) { f.UsableUntil = end.Add(-time.Second) },
		"without a role":  func(f *proxyFacts) { f.VOs[0].fqans = []voms.FQAN{member} },
		"without the VO":  func(f *proxyFacts) { f.VOs = nil },
	} {
		if old.lossIn(facts(change)) == nil {
			t.Errorf("%s: it takes the place of the old one", name)
		}
	}
}
