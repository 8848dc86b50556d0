package voms

import (
	"strings"
	"testing"
	"time"
)

func TestWish_WritesBothProtocols(t *testing.T) {
	groupA, production := FQAN{Group: "/testvo/groupA"}, FQAN{Group: "/testvo/groupA", Role: "production"}
	for name, c := range map[string]struct {
		r         Request
		rest, xml string
	}{
		"nothing": {Request{}, "fqans=/testvo&lifetime=43200", "<command>G/testvo</command>"},
		"all":     {Request{All: true}, "fqans=all&lifetime=43200", "<command>A</command>"},
		"roles": {Request{FQANs: []FQAN{admin, production}, Lifetime: 90 * time.Second}, "fqans=/testvo/Role=admin,/testvo/groupA/Role=production&lifetime=90",
			"<command>B/testvo:admin</command><command>B/testvo/groupA:production</command>"},
		"order moves to the front": {Request{FQANs: []FQAN{admin, production}, Order: []FQAN{production, admin}},
			"fqans=/testvo/groupA/Role=production,/testvo/Role=admin&lifetime=43200&order=/testvo/groupA/Role=production,/testvo/Role=admin",
			"<command>B/testvo/groupA:production</command><command>B/testvo:admin</command><order>/testvo/groupA:production,/testvo:admin</order>"},
		"order brings groups, and no roles": {Request{Order: []FQAN{groupA, production}},
			"fqans=/testvo/groupA,/testvo&lifetime=43200&order=/testvo/groupA,/testvo/groupA/Role=production",
			"<command>G/testvo/groupA</command><command>G/testvo</command><order>/testvo/groupA,/testvo/groupA:production</order>"},
		"targets": {Request{Targets: []string{"a.org", "b.org"}}, "fqans=/testvo&lifetime=43200&targets=a.org,b.org",
			"<command>G/testvo</command><targets>a.org,b.org</targets>"},
	} {
		t.Run(name, func(t *testing.T) {
			w, err := newWish(c.r, "testvo")
			if err != nil {
				t.Fatal(err)
			}
			if got := w.target(); got != "/generate-ac?"+c.rest {
				t.Errorf("REST: %s", got)
			}
			if got := w.xml(); !strings.Contains(got, "<voms>"+c.xml+"<base64>1</base64>") {
				t.Errorf("legacy: %s", got)
			}
		})
	}
}
