package c14n_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"gsigw/soap/xmlscan"
	"gsigw/wssec/c14n"
)

// sequence is format with the numbers from 0 on.
func sequence(format string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

func TestPlan_IsBounded(t *testing.T) {
	spaces := sequence(` xmlns:p%[1]d="urn:%[1]d"`, 65)
	for _, c := range []struct {
		name string
		most int
		doc  func(n int) string
	}{
		{"segments", 4096, func(n int) string { return around + "<b>" + strings.Repeat("<c >a</c>", n) + "</b>" + after }},
		{"bytes of its own", 32 << 10, func(n int) string { return around + "<b>" + strings.Repeat("\r", n) + "</b>" + after }},
		{"bytes of its own in small pieces", 32 << 10 / 5, func(n int) string { return around + "<b>" + strings.Repeat("a>", n) + "</b>" + after }},
		{"bytes of its own in one piece", 32 << 10, func(n int) string { return around + "<b><![CDATA[" + strings.Repeat("a", n) + "]]></b>" + after }},
		{"namespaces declared", 64, func(n int) string {
			return around + "<b>" + sequence(`<p%[1]d:c xmlns:p%[1]d="urn:%[1]d"/>`, n) + "</b>" + after
		}},
		{"prefixes to ask about", 64, func(n int) string { return `<a` + spaces + `><b>` + sequence("p%d:x ", n) + "</b></a>" }},
	} {
		within, _, _ := planOf(xmlscan.Memory(c.doc(c.most)))
		beyond, _, _ := planOf(xmlscan.Memory(c.doc(c.most + 1)))
		if within == nil || beyond != nil {
			t.Errorf("%s: a plan with %d %v, with one more %v", c.name, c.most, within != nil, beyond != nil)
		}
		comparePlan(t, c.doc(c.most))
	}
}

// A single token may be as long as the document.
func TestPlan_StopsInsideAToken(t *testing.T) {
	const size = 8 << 20
	for _, unit := range []string{">", "\r", "&#62;", "&#13;"} {
		doc := xmlscan.Memory(around + "<b>" + strings.Repeat(unit, size/len(unit)) + "</b>" + after)
		took := func() uint64 {
			var before, then runtime.MemStats
			runtime.ReadMemStats(&before)
			if plan, _, _ := planOf(doc); plan != nil {
				t.Errorf("%q has a plan", unit)
			}
			runtime.ReadMemStats(&then)
			return then.TotalAlloc - before.TotalAlloc
		}()
		if took > 4*size { // to look for names in a value takes a copy of it, two under the race detector
			t.Errorf("%q took %d MB", unit, took>>20)
		}
	}
}

// What the method writes in front of the content counts: a plan refuses what Write refuses, and takes what it takes.
func TestPlan_IsRefusedWhereWriteRefuses(t *testing.T) {
	var declared, used strings.Builder
	for i := range 126 {
		fmt.Fprintf(&declared, ` xmlns:p%d="urn:%s%d"`, i, strings.Repeat("x", 500), i)
		fmt.Fprintf(&used, ` p%d:a=""`, i)
	}
	refused := 0
	for _, content := range []string{
		"text", strings.Repeat("text", 20_000), strings.Repeat("a>", 5000), "<c>" + strings.Repeat("\r", 30_000) + "</c>" + strings.Repeat("text", 20_000),
	} {
		doc := "<a" + declared.String() + "><b" + used.String() + ">" + content + "</b></a>"
		plan, span, scope := planOf(xmlscan.Memory(doc))
		if plan == nil {
			t.Fatalf("%.20s has no plan", content)
		}
		m := c14n.Method{Exclusive: true}
		if err := plan.Write(nothing{}, xmlscan.NewElement(xmlscan.Memory(doc), span, scope, xmlscan.Limits{}), m); err != nil {
			refused++
		}
		comparePlan(t, doc)
	}
	if refused != 2 {
		t.Errorf("%d are refused", refused)
	}
}

type nothing struct{}

func (nothing) Write(b []byte) (int, error) { return len(b), nil }
