package c14n

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"gsigw/soap/xmlscan"
)

func canonical(t *testing.T, doc string, m Method) string {
	t.Helper()
	var out bytes.Buffer
	if err := Write(&out, xmlscan.New(xmlscan.Memory(doc), xmlscan.Limits{}), m); err != nil {
		t.Fatalf("%q: %v", doc, err)
	}
	return out.String()
}

// One case for each trap of an XML library that keeps a tree; the large comparison with libxml2 and Santuario is in
// interop/.
func TestWrite_Document(t *testing.T) {
	for _, c := range []struct {
		name, doc, exclusive, inclusive string
	}{
		{"empty element", `<a/>`, `<a></a>`, `<a></a>`},
		{"attribute order is by namespace name, then local name",
			`<a xmlns:z="urn:a" xmlns:b="urn:b" b:x="1" z:y="2" q="3" xml:lang="en"/>`,
			`<a xmlns:b="urn:b" xmlns:z="urn:a" q="3" xml:lang="en" z:y="2" b:x="1"></a>`,
			`<a xmlns:b="urn:b" xmlns:z="urn:a" q="3" xml:lang="en" z:y="2" b:x="1"></a>`},
		{"unused declarations", `<a xmlns:u="urn:u"><b/></a>`, `<a><b></b></a>`, `<a xmlns:u="urn:u"><b></b></a>`},
		{"no spurious xmlns", `<a xmlns=""><b xmlns=""/></a>`, `<a><b></b></a>`, `<a><b></b></a>`},
		{"default namespace taken back", `<a xmlns="urn:a"><b xmlns=""/></a>`, `<a xmlns="urn:a"><b xmlns=""></b></a>`, `<a xmlns="urn:a"><b xmlns=""></b></a>`},
		{"prefix bound again to the same name", `<p:a xmlns:p="urn:p"><p:b xmlns:p="urn:p"/></p:a>`, `<p:a xmlns:p="urn:p"><p:b></p:b></p:a>`, `<p:a xmlns:p="urn:p"><p:b></p:b></p:a>`},
		{"siblings each declare", `<a xmlns:p="urn:p"><p:b/><p:c/></a>`, `<a><p:b xmlns:p="urn:p"></p:b><p:c xmlns:p="urn:p"></p:c></a>`, `<a xmlns:p="urn:p"><p:b></p:b><p:c></p:c></a>`},
		{"white space in attributes", "<a b='\t\n\r\n&#9;&#10;&#13; \"&lt;&amp;>&apos;'/>", `<a b="   &#x9;&#xA;&#xD; &quot;&lt;&amp;>'"></a>`, `<a b="   &#x9;&#xA;&#xD; &quot;&lt;&amp;>'"></a>`},
		{"line ends and references in text", "<a>\r\n\r&#13;&#x3e;&quot;></a>", "<a>\n\n&#xD;&gt;\"&gt;</a>", "<a>\n\n&#xD;&gt;\"&gt;</a>"},
		{"CDATA", "<a><![CDATA[<&>\r\n]]]]><![CDATA[>]]></a>", "<a>&lt;&amp;&gt;\n]]&gt;</a>", "<a>&lt;&amp;&gt;\n]]&gt;</a>"},
		{"comments and processing instructions outside the root", "<?xml version='1.0'?><!--x--><?p  d?>\n<a/>\n<?q?><!--y-->", "<?p d?>\n<a></a>\n<?q?>", "<?p d?>\n<a></a>\n<?q?>"},
		{"characters beyond ASCII", "<é ü='&#x1F600;'>&#8364;\U0001F600</é>", "<é ü=\"\U0001F600\">€\U0001F600</é>", "<é ü=\"\U0001F600\">€\U0001F600</é>"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := canonical(t, c.doc, Method{Exclusive: true}); got != c.exclusive {
				t.Errorf("exclusive\n got %q\nwant %q", got, c.exclusive)
			}
			if got := canonical(t, c.doc, Method{}); got != c.inclusive {
				t.Errorf("inclusive\n got %q\nwant %q", got, c.inclusive)
			}
		})
	}
}

func TestWrite_PrefixList(t *testing.T) {
	doc := `<p:a xmlns:p="urn:p" xmlns="urn:d" xmlns:u="urn:u"><p:b xmlns:u="urn:v"/></p:a>`
	for _, c := range []struct {
		prefixes []string
		want     string
	}{
		{nil, `<p:a xmlns:p="urn:p"><p:b></p:b></p:a>`},
		{[]string{"u", "missing"}, `<p:a xmlns:p="urn:p" xmlns:u="urn:u"><p:b xmlns:u="urn:v"></p:b></p:a>`},
		{[]string{"#default"}, `<p:a xmlns="urn:d" xmlns:p="urn:p"><p:b></p:b></p:a>`},
	} {
		if got := canonical(t, doc, Method{Exclusive: true, Prefixes: c.prefixes}); got != c.want {
			t.Errorf("%q\n got %s\nwant %s", c.prefixes, got, c.want)
		}
	}
}

func TestWrite_ElementInherits(t *testing.T) {
	inner := `<p:b q="1"/>`
	scope := &xmlscan.Scope{
		Bindings: []xmlscan.Binding{{Prefix: "", Space: "urn:d"}, {Prefix: "p", Space: "urn:old"}, {Prefix: "p", Space: "urn:p"}, {Prefix: "", Space: ""}},
		XML:      []xmlscan.XMLAttr{{Local: "lang", Value: "en"}},
	}
	for _, c := range []struct {
		m    Method
		want string
	}{
		{Method{Exclusive: true}, `<p:b xmlns:p="urn:p" q="1"></p:b>`},
		{Method{}, `<p:b xmlns:p="urn:p" q="1" xml:lang="en"></p:b>`},
		{Method{Exclusive: true, ApexID: &ID{Prefix: "w", Space: "urn:w", Local: "Id", Value: "x"}}, `<p:b xmlns:p="urn:p" xmlns:w="urn:w" q="1" w:Id="x"></p:b>`},
	} {
		var out bytes.Buffer
		s := xmlscan.NewElement(xmlscan.Memory(inner), xmlscan.Span{End: int64(len(inner))}, scope, xmlscan.Limits{})
		if err := Write(&out, s, c.m); err != nil {
			t.Fatal(err)
		}
		if out.String() != c.want {
			t.Errorf("got  %s\nwant %s", &out, c.want)
		}
	}
}

func FuzzWrite_IsIdempotent(f *testing.F) {
	f.Add([]byte(`<a xmlns="urn:a" b='"'>&amp;<![CDATA[x]]><b:c xmlns:b="urn:b"/></a>`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		for _, m := range []Method{{}, {Exclusive: true}, {Exclusive: true, Comments: true}} {
			var once, twice bytes.Buffer
			if Write(&once, xmlscan.New(xmlscan.Memory(doc), xmlscan.Limits{}), m) != nil {
				return
			}
			if err := Write(&twice, xmlscan.New(xmlscan.Memory(once.Bytes()), xmlscan.Limits{}), m); err != nil {
				t.Fatalf("canonical form refused: %v\n%q", err, once.Bytes())
			}
			if !bytes.Equal(once.Bytes(), twice.Bytes()) {
				t.Fatalf("not idempotent:\n%q\n%q", once.Bytes(), twice.Bytes())
			}
		}
	})
}

func TestWrite_ReportsNamesInContentWithoutADeclaration(t *testing.T) {
	long := strings.Repeat("p", xmlscan.MaxPrefix)
	for _, c := range []struct{ name, content, prefix string }{
		{"text", `<b>q:x</b>`, "q"},
		{"text in the middle", `<b>see (q:x)</b>`, "q"},
		{"a reference in the prefix", `<b>&#x71;:x</b>`, "q"},
		{"a reference for the colon", `<b>q&#58;x</b>`, "q"},
		{"CDATA", `<b><![CDATA[q]]>:x</b>`, "q"},
		{"a comment inside", `<b>q<!-- -->:x</b>`, "q"},
		{"the longest prefix, in pieces", `<b>` + long[:100] + `<!-- -->` + long[100:] + `<!-- -->:x</b>`, long},
		{"an attribute", `<b c="q:x"/>`, "q"},
		{"a type with a prefix that nothing declares", `<b xmlns:xsi="` + xsi + `" xsi:type="z:x"/>`, "z"},
		{"a type without a prefix", `<b xmlns:xsi="` + xsi + `" xsi:type="x"/>`, ""},
		{"a declaration that is written elsewhere only", `<q:b/><b>q:x</b>`, "q"},
		{"bound to another name inside", `<q:b><b xmlns:q="urn:other">q:x</b></q:b>`, "q"},
		{"a prefix that is written", `<q:b>q:x</q:b>`, "none"},
		{"a prefix that nothing declares", `<b>z:x http://x</b>`, "none"},
		{"the prefix xml", `<b>xml:lang</b>`, "none"},
		{"a name in two elements", `<b>q<c/>:x</b>`, "none"},
	} {
		reported := "none"
		m := Method{Exclusive: true, Unwritten: func(p Prefix) error {
			reported = p.Prefix
			return errors.New("unwritten")
		}}
		doc := `<n:a xmlns:n="urn:n" xmlns="urn:d" xmlns:q="urn:q" xmlns:` + long + `="urn:long">` + strings.ReplaceAll(strings.ReplaceAll(c.content, "<b", "<n:b"), "</b", "</n:b") + `</n:a>`
		err := Write(io.Discard, xmlscan.New(xmlscan.Memory(doc), xmlscan.Limits{}), m)
		if reported != c.prefix || (err != nil) != (c.prefix != "none") {
			t.Errorf("%s: reported %q, %v", c.name, reported, err)
		}
	}
}

func TestWrite_RefusesWhatGrowsBeyondItsLimit(t *testing.T) {
	name := "urn:" + strings.Repeat("x", 500)
	for _, c := range []struct {
		doc     string
		method  Method
		refused bool
	}{
		{`<p:b xmlns:p="urn:p" xmlns="` + name + `">` + strings.Repeat("<a/>", 1000) + `</p:b>`, Method{Exclusive: true}, true},
		{`<p:b xmlns:p="urn:p" xmlns="` + name + `">` + strings.Repeat("<a/>", 1000) + `</p:b>`, Method{}, false},
		{`<p:b xmlns:p="urn:p" xmlns="urn:a">` + strings.Repeat("<a/>", 10_000) + `</p:b>`, Method{Exclusive: true}, false},
		{`<p:b xmlns:p="urn:p" xmlns="` + name + `">` + strings.Repeat("<a/>", 30) + `</p:b>`, Method{Exclusive: true}, false},
	} {
		err := Write(io.Discard, xmlscan.New(xmlscan.Memory(c.doc), xmlscan.Limits{}), c.method)
		limit, ok := errors.AsType[*xmlscan.Error](err)
		if c.refused != (ok && limit.Limit == "canonical-form") || err != nil && !c.refused {
			t.Errorf("%d bytes: %v", len(c.doc), err)
		}
	}
}
