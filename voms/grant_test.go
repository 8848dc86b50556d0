package voms

import (
	"slices"
	"strings"
	"testing"
	"time"

	"gsigw/internal/gridtest"
)

func TestRequest_WarnsOfWhatNobodyAskedFor(t *testing.T) {
	g := newGrid(t)
	at := time.Now()
	until := func(d time.Duration) func(*gridtest.AA, *gridtest.AC) {
		return func(_ *gridtest.AA, ac *gridtest.AC) { ac.NotAfter = at.Add(d) }
	}
	fqans := func(list ...string) func(*gridtest.AA, *gridtest.AC) {
		return func(_ *gridtest.AA, ac *gridtest.AC) { ac.FQANs = list }
	}
	targets := func(hosts ...string) func(*gridtest.AA, *gridtest.AC) {
		return func(_ *gridtest.AA, ac *gridtest.AC) { ac.Targets = hosts }
	}
	for name, c := range map[string]struct {
		change func(*gridtest.AA, *gridtest.AC)
		r      Request
		want   int
		text   string
	}{
		"longer":                         {until(time.Hour + 6*time.Minute), Request{Lifetime: time.Hour}, WarnLonger, "for longer than the 1h0m0s that were asked for"},
		"longer by what clocks differ":   {until(time.Hour + 4*time.Minute), Request{Lifetime: time.Hour}, 0, ""},
		"longer than what is usual":      {until(13 * time.Hour), Request{}, WarnLonger, "than the 12h0m0s"},
		"shorter":                        {until(time.Minute), Request{}, 0, ""},
		"targets":                        {targets("a.org\\", "b.org"), Request{}, WarnTargets, `nobody asked for: "a.org\\, b.org"`},
		"the targets, in another order":  {targets("b.org", "A.org", "a.org"), Request{Targets: []string{"a.org", "b.org"}}, 0, ""},
		"a role":                         {fqans("/testvo", "/testvo/Role=admin"), Request{}, WarnRoles, "roles that nobody asked for: /testvo/Role=admin"},
		"the role of another group":      {fqans("/testvo", "/testvo/x/Role=admin"), Request{FQANs: []FQAN{admin}}, WarnRoles, "/testvo/x/Role=admin"},
		"the role, and all the groups":   {fqans("/testvo/Role=admin", "/testvo", "/testvo/x"), Request{FQANs: []FQAN{admin}}, 0, ""},
		"a role, where all is asked for": {fqans("/testvo", "/testvo/Role=admin"), Request{All: true}, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			const said = "<item><number>3</number><message>subset</message></item>"
			client := g.client(g.serve(t, &fakeServer{legacy: says(legacyAnswer(g.ac(c.change), said))}))
			client.Protocol, client.Now = Legacy, func() time.Time { return at }
			c.r.VO = "testvo"
			grant, err := client.Request(t.Context(), c.r)
			if err != nil || grant.Warnings[0] != (Message{WarnSubset, "subset"}) {
				t.Fatalf("%+v, %v", grant, err)
			}
			ours := grant.Warnings[1:]
			if len(ours) != min(1, -c.want) || c.want != 0 && (ours[0].Code != c.want || !strings.Contains(ours[0].String(), c.text)) {
				t.Errorf("got %v", ours)
			}
			if slices.ContainsFunc(ours, func(m Message) bool { return strings.HasSuffix(m.String(), ")") }) {
				t.Errorf("with a number that no server has: %v", ours)
			}
		})
	}
}
