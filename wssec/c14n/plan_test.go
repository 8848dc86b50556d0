package c14n_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"gsigw/soap/xmlscan"
	"gsigw/wssec/c14n"
)

// planned are elements, in a document that declares x and the default namespace around them, whose forms differ from
// their sources in one way or another.
var planned = []string{
	`<b>text</b>`,
	`<b><c/></b>`,
	`<b><c></c><c/>text<c /></b>`,
	`<b ><c ></c ></b >`,
	`<b><c a='1'/><c a="1"></c><c  a="1"></c><c a = "1"></c><c a="1" ></c><c` + "\n" + `a="1"></c></b>`,
	`<b><c b="1" a="2"></c><c a="2" b="1"></c></b>`,
	`<b><c a="&quot;'"></c><c a='"'></c><c a="&#65;"></c><c a=">"></c></b>`,
	`<b>&amp;&lt;&gt;&#xD;</b>`,
	`<b>&#38;&apos;</b>`,
	`<b>a > b</b>`,
	"<b>line\r\nline\r</b>",
	`<b>one<!-- comment -->two<![CDATA[<three> & ]]>four</b>`,
	`<b><x:c></x:c><x:c><x:d></x:d></x:c></b>`,
	`<b xmlns:y="urn:y"><y:c></y:c><c y:a="1"></c><y:c xmlns:y="urn:z"></y:c></b>`,
	`<b><c xmlns=""><d></d></c><c xmlns="urn:other"><d xmlns="urn:default"></d></c></b>`,
	`<b><c xmlns:y="urn:y"></c><y:c xmlns:y="urn:y"></y:c></b>`,
	`<b><y:c xmlns:y="urn:y" xmlns:z="urn:z" z:a="1"></y:c><y:c xmlns:z="urn:z" xmlns:y="urn:y" z:a="1"></y:c></b>`,
	`<b><y:c a="1" xmlns:y="urn:y"></y:c><y:c xmlns:y='urn:y'></y:c><y:c xmlns:y="urn:&#121;"></y:c></b>`,
	`<b><c xmlns:y="urn:y"><y:d></y:d><y:d xmlns:y="urn:y"></y:d></c></b>`,
	`<b>x:name and y:name</b>`,
	`<b xmlns:y="urn:y"><c>y<!-- -->:name</c><c t="y:n"></c><c>y:name x:name</c></b>`,
	`<b xmlns:i="http://www.w3.org/2001/XMLSchema-instance"><c i:type="x:t"></c><c i:type="t"></c><c i:type="no:t"></c></b>`,
	`<b><wsu:c xmlns:wsu="urn:utility"></wsu:c></b>`,
	`<b xml:lang="en"><c xml:lang="de"></c></b>`,
	`<b>é<é è="ü"></é></b>`,
}

const around, after = `<a xmlns="urn:default" xmlns:x="urn:x">`, `</a>`

func TestPlan_WritesWhatWriteWrites(t *testing.T) {
	for _, element := range planned {
		if plan, _, _ := planOf(xmlscan.Memory(around + element + after)); !plan.Suits(c14n.Method{Exclusive: true}) {
			t.Errorf("%s has no plan", element)
		}
		comparePlan(t, around+element+after)
	}
	comparePlan(t, around+"<b>"+strings.Repeat(`<c d="e">text &amp; text</c>`+"\n", 1000)+"</b>"+after)
	comparePlan(t, around+"<b>"+strings.Repeat("<c/>", 10_000)+"</b>"+after)
	comparePlan(t, around+"<b>"+strings.Repeat("a > b", 100_000)+"</b>"+after)
}

func FuzzPlan(f *testing.F) {
	for _, element := range planned {
		f.Add(around + element + after)
	}
	f.Fuzz(func(t *testing.T, doc string) { comparePlan(t, doc) })
}

// methods are those that a plan may be used for, and some that it may not.
func methods() []c14n.Method {
	id := func(space string) *c14n.ID { return &c14n.ID{Prefix: "wsu", Space: space, Local: "Id", Value: "i"} }
	return []c14n.Method{
		{Exclusive: true}, {Exclusive: true, ApexID: id("urn:utility")}, {Exclusive: true, ApexID: id("urn:x")},
		{}, {Exclusive: true, Comments: true}, {Exclusive: true, Prefixes: []string{"x"}},
	}
}

// comparePlan plans the second element of a document, its first child, and writes it both ways, over memory and over a
// source that only reads.
func comparePlan(t *testing.T, doc string) {
	t.Helper()
	for _, src := range []xmlscan.Source{xmlscan.Memory(doc), strings.NewReader(doc)} {
		plan, span, scope := planOf(src)
		for _, m := range methods() {
			if !plan.Suits(m) {
				continue
			}
			scan := func() *xmlscan.Scanner { return xmlscan.NewElement(src, span, scope, xmlscan.Limits{}) }
			want := outcome(m, func(w io.Writer, m c14n.Method) error { return c14n.Write(w, scan(), m) })
			have := outcome(m, func(w io.Writer, m c14n.Method) error { return plan.Write(w, scan(), m) })
			if have != want {
				t.Fatalf("%.300q with %+v (%T)\nhave %.600s\nwant %.600s", doc, m, src, have, want)
			}
		}
	}
}

// outcome is what is written, and what Unwritten is asked about, each once.
func outcome(m c14n.Method, write func(io.Writer, c14n.Method) error) string {
	var out, asked bytes.Buffer
	known := map[c14n.Prefix]bool{}
	m.Unwritten = func(p c14n.Prefix) error {
		if !known[p] {
			asked.WriteString(p.Prefix + "=" + p.Space + "," + p.Written + ";")
			if p.Outer {
				asked.WriteString("outer;")
			}
		}
		known[p] = true
		return nil
	}
	if m.ApexID != nil {
		m.Unwritten = nil
		id := *m.ApexID
		m.ApexID = &id
	}
	if err := write(&out, m); err != nil {
		return err.Error()
	}
	if m.ApexID != nil {
		asked.WriteString(m.ApexID.Prefix)
	}
	return out.String() + "\n" + asked.String()
}

// planOf is nil where the document is malformed, or has no such element.
func planOf(src xmlscan.Source) (*c14n.Plan, xmlscan.Span, *xmlscan.Scope) {
	s := xmlscan.New(src, xmlscan.Limits{})
	var planner *c14n.Planner
	var plan *c14n.Plan
	var span xmlscan.Span
	var scope *xmlscan.Scope
	for {
		kind, err := s.Next()
		if err != nil {
			return nil, span, nil
		}
		if kind == xmlscan.EOF {
			return plan, span, scope
		}
		if planner != nil {
			if planner.Token(kind); kind == xmlscan.EndElement && s.Depth() == 1 {
				span.End = s.Span.End
				plan, planner = planner.Plan(), nil
			}
			continue
		}
		switch {
		case kind != xmlscan.StartElement || plan != nil || span.End > 0:
		case s.Depth() == 1:
			scope = s.ScopeIn(nil)
		case s.Depth() == 2 && !s.Empty:
			span.Start, planner = s.Span.Start, c14n.NewPlanner(s)
		}
	}
}
