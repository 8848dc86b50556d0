package xmlscan_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"gsigw/soap/xmlscan"
)

// file is a Source that the scanner reads through a window.
type file struct{ *bytes.Reader }

func (f file) Size() int64 { return f.Reader.Size() }

func onFile(doc []byte) xmlscan.Source { return file{bytes.NewReader(doc)} }

// tokens writes a document's tokens, one a line, with the pieces of a text or CDATA section joined.
func tokens(s *xmlscan.Scanner) (string, error) {
	var out strings.Builder
	last := xmlscan.EOF
	for {
		kind, err := s.Next()
		if err != nil || kind == xmlscan.EOF {
			return out.String(), err
		}
		if (kind == xmlscan.Text || kind == xmlscan.CData) && kind == last {
			fmt.Fprintf(&out, "%q", s.Data)
			continue
		}
		last = kind
		fmt.Fprintf(&out, "\n%d %d ", kind, s.Span.Start)
		describe(&out, s)
	}
}

func describe(out io.Writer, s *xmlscan.Scanner) {
	switch s.Kind {
	case xmlscan.StartElement:
		fmt.Fprintf(out, "%s %s {%s} %v %d %v", s.Prefix, s.Local, s.URI(s.Space), s.Empty, s.NameEnd, s.Span)
		for _, a := range s.Attrs {
			fmt.Fprintf(out, " %s:%s={%s}%q %v %d", a.Prefix, a.Local, s.URI(a.Space), a.Value, a.Plain, a.Start)
		}
		for _, d := range s.Decls {
			fmt.Fprintf(out, " xmlns:%s=%q", d.Prefix, s.URI(d.Space))
		}
	case xmlscan.EndElement:
		fmt.Fprintf(out, "%s %s %v", s.Prefix, s.Local, s.Span)
	case xmlscan.Text, xmlscan.CData:
		fmt.Fprintf(out, "%q", s.Data)
	default:
		fmt.Fprintf(out, "%q %v", s.Data, s.Span)
	}
}

func scan(doc string) error {
	_, err := tokens(xmlscan.New(xmlscan.Memory(doc), xmlscan.Limits{}))
	return err
}

var wellFormed = []string{
	`<a/>`, `<a></a>`, `<a ></a >`, "<a\t\r\n/>", ` <a/> `, "\n<a/>\n", `<_/>`, `<a.-1/>`, `<é/>`, `<a·/>`, "<\U00010000/>", "<\u200c/>", "<\u0370a\u203f/>",
	`<a b=""/>`, `<a b=''/>`, `<a b = "c"/>`, `<a b="'" c='"'/>`, "<a b=\"\n\t\r\"/>", `<a b=">"/>`, `<a b="]]>"/>`, `<a b="c" d="e"  f='g'/>`, `<a bé="1"/>`,
	`<a>&amp;&lt;&gt;&quot;&apos;</a>`, `<a>&#1234;&#x1F600;&#xaF;&#9;&#10;&#13;</a>`, `<a b="&#60;&amp;"/>`, `<a>&#x10FFFF;</a>`, `<a>&#0000000000000000000000000065;</a>`,
	`<a>></a>`, `<a>]]</a>`, `<a>]] ></a>`, `<a>]&gt;]]&gt;</a>`, "<a>\t\r\n</a>", "<a>\u0085\u2028\ufffd\U0010ffff\x7f</a>",
	`<a><!----></a>`, `<!-- - <>&x; --><a/><!-- -->`, `<a><!-- -x- --></a>`, `<a><!--->--></a>`,
	`<a><![CDATA[]]></a>`, `<a><![CDATA[<&]]]]]></a>`, `<a>]]<![CDATA[>]]></a>`, `<a><![CDATA[<![CDATA[]]></a>`,
	`<?p?><a/><?p  q?>`, `<a><?p ??></a>`, `<a><?p.-x <>&?></a>`, `<?xml-stylesheet x?><a/>`, `<a><?xm l?></a>`, `<a><?é?></a>`,
	`<?xml version="1.0"?><a/>`, `<?xml version='1.0' encoding='UTF-8'?><a/>`, `<?xml  version = "1.0"  encoding="utf-8"  standalone='no' ?><a/>`, `<?xml version="1.0" standalone="yes"?><a/>`,
	"\xef\xbb\xbf<a/>", "\xef\xbb\xbf<?xml version='1.0'?><a/>", "<a>\ufeff</a>",
	`<p:a xmlns:p="urn:p"/>`, `<a xmlns="urn:a"><b xmlns=""/></a>`, `<p:a xmlns:p="urn:p"><p:b xmlns:p="urn:q" p:c=""/></p:a>`, `<a xmlns:xml="http://www.w3.org/XML/1998/namespace" xml:lang="en"/>`,
	`<a xml:space="x" space="y"/>`, `<a b:c="1" d:c="2" c="3" xmlns:b="urn:b" xmlns:d="urn:d"/>`, `<a xmlns="urn:a" b="1" p:b="2" xmlns:p="urn:a"/>`, `<xmla xmlb="1"/>`, `<xsd:xml xmlns:xsd="http://x"/>`,
	`<a xmlns:` + strings.Repeat("p", 256) + `="urn:p"/>`, `<a xmlns="u+-.1:"/>`, `<a xmlns:p="urn:&#x70;" p:b=""/>`, `<a><b/><c></c>d</a>`, `<a xmlns:p="urn:p" p:b1=""` + many(20) + `/>`,
}

func TestScanner_AcceptsWellFormed(t *testing.T) {
	for _, doc := range wellFormed {
		if err := scan(doc); err != nil {
			t.Errorf("%q: %v", doc, err)
		}
	}
}

func TestScanner_Refuses(t *testing.T) {
	for class, docs := range map[xmlscan.Class][]string{
		xmlscan.Malformed: {
			// the document
			``, ` `, `x`, `<!-- -->`, `<?p?>`, `<a/><b/>`, `<a/>x`, `x<a/>`, `<a/>&#32;`, `<a/><![CDATA[]]>`, `<![CDATA[ ]]><a/>`, `</a>`, `<a></a></a>`, `<a/></a>`, "\ufeff\ufeff<a/>", " \ufeff<a/>",
			// tags
			`<`, `<>`, `< a/>`, `</>`, `<a`, `<a/`, `<a/ >`, `<a//>`, `<a></b>`, `<a></ a>`, `<a></a b="">`, `<a></a/>`, `<a><b></a></b>`, `<a></A>`, `<a><`, `<a></`, `<a></a`, `<1/>`, `<-a/>`, `<.a/>`, `<a</a>`, `<a><b</a>`,
			"<\u00d7/>", "<\u037e/>", "<a\u00f7/>", "<\u00b7/>", "<\u2000/>", "<a\u00a0b=''/>", "<\U000f0000/>", "<a\x00/>", `<a!/>`, "<\ufdd0/>",
			// attributes
			`<a b/>`, `<a b=/>`, `<a b=c/>`, `<a b="/>`, `<a b='"/>`, `<a b="<"/>`, `<a b="1"c="2"/>`, `<a b="1" b="2"/>`, `<a ="1"/>`, `<a 1="1"/>`, `<a b "1"/>`, `<a b="&"/>`, `<a b="& "/>`, `<a b="&#0;"/>`, "<a b='\x01'/>", `<a"b"/>`, `<a b="1", c="2"/>`,
			// references
			`<a>&</a>`, `<a>& </a>`, `<a>&;</a>`, `<a>&#;</a>`, `<a>&#x;</a>`, `<a>&#X41;</a>`, `<a>&#65</a>`, `<a>&#6a;</a>`, `<a>&#xg;</a>`, `<a>&#0;</a>`, `<a>&#8;</a>`, `<a>&#xB;</a>`, `<a>&#x1F;</a>`, `<a>&#xD800;</a>`, `<a>&#xDFFF;</a>`,
			`<a>&#xFFFE;</a>`, `<a>&#xFFFF;</a>`, `<a>&#x110000;</a>`, `<a>&#4294967361;</a>`, `<a>&#-1;</a>`, `<a>&#99999999999999999999;</a>`, `<a>&#` + strings.Repeat("0", 40) + `65;</a>`, `<a>&amp</a>`, `<a>&1;</a>`,
			// characters
			"<a>\x00</a>", "<a>\x08</a>", "<a>\x0b</a>", "<a>\x1f</a>", "<a>\ufffe</a>", "<a>\uffff</a>", "<a><!--\x01--></a>", "<a><![CDATA[\x01]]></a>", "<a><?p \x01?></a>", "<a b='\uffff'/>",
			`<a>]]></a>`, `<a>]]]></a>`, `<a>&amp;]]></a>`,
			// comments, CDATA, processing instructions, declarations
			`<a><!--</a>`, `<a><!-- -- --></a>`, `<a><!-- ---></a>`, `<a><!-></a>`, `<a><!- - --></a>`, `<a><!-- --</a>`, `<!`, `<a><!`, `<a><!-`, `<a><!x></a>`, `<a><!ELEMENT a ANY></a>`,
			`<a><![CDATA[</a>`, `<a><![CDATA[]]</a>`, `<a><![cdata[]]></a>`, `<a><![CDATA []]></a>`, `<a><![`, `<a><![CDATA`,
			`<a><?</a>`, `<a><??></a>`, `<a><? p?></a>`, `<a><?p</a>`, `<a><?p?</a>`, `<a><?p/?></a>`, `<a><?1?></a>`, `<a><?p:q?></a>`, `<a><?xml?></a>`, `<a><?XmL x?></a>`, `<?xml?><a/>`, `<?XML version="1.0"?><a/>`, ` <?xml version="1.0"?><a/>`,
			`<a/><?xml version="1.0"?>`, `<?xml version="1.0"?><?xml version="1.0"?><a/>`,
			`<?xml version="1.1"?><a/>`, `<?xml version="2"?><a/>`, `<?xml version=1.0?><a/>`, `<?xml version="1.0'?><a/>`, `<?xml encoding="utf-8"?><a/>`, `<?xml version="1.0"encoding="utf-8"?><a/>`, `<?xml version="1.0" standalone="maybe"?><a/>`,
			`<?xml version="1.0" standalone="yes" encoding="utf-8"?><a/>`, `<?xml version="1.0" x="y"?><a/>`, `<?xml version="1.0">`, `<?xml `, `<?xml`, `<?xml version="1.0"` + strings.Repeat(" ", 2000) + `?><a/>`,
			// namespaces
			`<a xmlns:p="urn:p" xmlns:q="urn:p" p:b=""` + many(20) + ` q:b=""/>`, `<a` + many(20) + ` b7=""/>`, `<p:a/>`, `<a p:b=""/>`, `<:a/>`, `<a:/>`, `<a:b:c xmlns:a="urn:a"/>`, `<a :b=""/>`, `<a b:=""/>`, `<a xmlns:="urn:a"/>`, `<a p:b:c="" xmlns:p="urn:p"/>`, `<a xmlns:p="urn:p"><p:1/></a>`,
			`<a xmlns:p=""/>`, `<a xmlns:p="urn:p"><b xmlns:p=""/></a>`, `<a xmlns:xml="urn:x"/>`, `<a xmlns:p="http://www.w3.org/XML/1998/namespace"/>`, `<a xmlns="http://www.w3.org/XML/1998/namespace"/>`,
			`<a xmlns:xmlns="urn:x"/>`, `<a xmlns:xmlns="http://www.w3.org/2000/xmlns/"/>`, `<a xmlns:p="http://www.w3.org/2000/xmlns/"/>`, `<a xmlns="http://www.w3.org/2000/xmlns/"/>`, `<xmlns:a/>`, `<a><b xmlns:p="urn:p"/><p:c/></a>`, `<a><b xmlns:p="urn:p"></b><p:c/></a>`,
			`<a xmlns="urn:a" xmlns="urn:a"/>`, `<a xmlns:p="urn:a" xmlns:p="urn:b"/>`, `<a p:b="" p:b="" xmlns:p="urn:p"/>`, `<a p:b="" q:b="" xmlns:p="urn:p" xmlns:q="urn:p"/>`, `<a p:b="" q:b="" xmlns:p="urn:p" xmlns:q="urn:&#112;"/>`,
			`<p:a xmlns:p="urn:p"></q:a>`, `<p:a xmlns:p="urn:p" xmlns:q="urn:p"></q:a>`, `<p:a xmlns:p="urn:p"></a>`,
			`<a xmlns:` + strings.Repeat("p", 257) + `="urn:p"/>`,
			`<a xmlns="relative"/>`, `<a xmlns:p="/x"/>`, `<a xmlns=":x"/>`, `<a xmlns="1:x"/>`, `<a xmlns="#x"/>`, `<a xmlns=" urn:x"/>`,
		},
		xmlscan.DTD: {
			`<!DOCTYPE a><a/>`, `<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>`, `<a>&b;</a>`, `<a b="&c;"/>`, `<a>&nbsp;</a>`, `<a>&AMP;</a>`, `<a>&é;</a>`, `<a/><!DOCTYPE a>`,
		},
		xmlscan.Encoding: {
			"<a>\xff</a>", "<a>\xc0\x80</a>", "<a>\xed\xa0\x80</a>", "<a>\xf4\x90\x80\x80</a>", "<a>\xc3</a>", "<a>\xe2\x82</a>", "<a>\x80</a>", "<\xff/>", "<a b='\xff'/>", "<a \xff=''/>", "<a><!--\xff--></a>", "<a><![CDATA[\xff]]></a>", "<a><?p \xff?></a>", "<a><?\xff?></a>",
			"\xff\xfe<\x00a\x00/\x00>\x00", "\xfe\xff\x00<\x00a\x00/\x00>", "<\x00a\x00", "\x00<\x00a", "\x00\x00\xfe\xff",
			`<?xml version="1.0" encoding="ISO-8859-1"?><a/>`, `<?xml version="1.0" encoding="UTF-16"?><a/>`, `<?xml version="1.0" encoding="utf8"?><a/>`,
		},
	} {
		for _, doc := range docs {
			if e, ok := errors.AsType[*xmlscan.Error](scan(doc)); !ok || e.Class != class {
				t.Errorf("%q: want class %s, got %v", doc, class, e)
			} else if e.Offset < 0 || e.Offset > int64(len(doc)) {
				t.Errorf("%q: error at byte %d", doc, e.Offset)
			}
		}
	}
}

// many are n attributes.
func many(n int) string {
	out := ""
	for i := range n {
		out += fmt.Sprintf(` b%d=""`, i)
	}
	return out
}

const long = "\xef\xbb\xbf<?xml version='1.0'?>\n<!-- c --><?p q?><e:é xmlns:e='urn:é' a=\"&#10;&amp;'>\" e:b='\"'>\r\n]]&gt;]<x xmlns=\"\"/>" +
	"<![CDATA[]] ]&\r\n€]]>text & more\U0001F600"

var whole = strings.Replace(long, " & ", " &amp; ", 1) + "</e:é >\n<!---->"

func TestScanner_RefusesDocumentsCutAnywhere(t *testing.T) {
	if err := scan(whole); err != nil {
		t.Fatal(err)
	}
	rootEnd := strings.LastIndex(whole, "\n<!--")
	for n := range rootEnd {
		if scan(whole[:n]) == nil {
			t.Errorf("accepted without its last %d bytes: %q", len(whole)-n, whole[:n])
		}
	}
}

func TestScanner_GivesTheSameTokensThroughAnyWindow(t *testing.T) {
	docs := append([]string{whole, long, strings.Repeat("]", 100)}, wellFormed...)
	docs = append(docs, `<a>`+strings.Repeat("]", 90)+`</a>`, `<a>`+strings.Repeat("&lt;", 40)+`</a>`, `<a>`+strings.Repeat("\r\n", 40)+`</a>`, `<a><![CDATA[`+strings.Repeat("]", 90)+`]]></a>`,
		"<a>"+strings.Repeat("é€\U0001F600", 30)+"</a>", `<a>]]></a>`, `<a>`+strings.Repeat("]", 60)+`></a>`, `<a>&`+strings.Repeat("x", 60)+`</a>`)
	for _, doc := range docs {
		want, wantErr := tokens(xmlscan.New(xmlscan.Memory(doc), xmlscan.Limits{}))
		for window := 1; window <= min(len(doc)+1, 160); window++ {
			s := xmlscan.New(onFile([]byte(doc)), xmlscan.Limits{})
			s.SetWindow(window)
			got, err := tokens(s)
			if (err == nil) != (wantErr == nil) {
				t.Fatalf("%q: window %d: %v, in memory %v", doc, window, err, wantErr)
			}
			if err == nil && join(got) != join(want) {
				t.Fatalf("%q: window %d:%s\nin memory:%s", doc, window, got, want)
			}
		}
	}
}

// join undoes the quotes between the pieces of a text.
func join(tokens string) string { return strings.ReplaceAll(tokens, `""`, "") }

func TestScanner_ReadsElementsWithTheScopeAround(t *testing.T) {
	doc := `<a xmlns="urn:a" xmlns:p="urn:p" xml:lang="en"><b xmlns:p="urn:q" xml:lang="de"><p:c d="1">x</p:c></b></a>`
	s := xmlscan.New(xmlscan.Memory(doc), xmlscan.Limits{})
	s.Next()
	outer := s.ScopeIn(nil)
	s.Next()
	scope := s.ScopeIn(outer)
	start, end := strings.Index(doc, "<p:c"), strings.Index(doc, "</b>")
	for _, src := range []xmlscan.Source{xmlscan.Memory(doc), onFile([]byte(doc))} {
		e := xmlscan.NewElement(src, xmlscan.Span{Start: int64(start), End: int64(end)}, scope, xmlscan.Limits{})
		got, err := tokens(e)
		if err != nil || !strings.Contains(got, "p c {urn:q}") || !strings.Contains(got, `"x"`) {
			t.Errorf("%v %s", err, got)
		}
		if xml := e.Inherited(); len(xml) != 1 || xml[0] != (xmlscan.XMLAttr{Local: "lang", Value: "de"}) {
			t.Errorf("inherits %v", xml)
		}
	}
	if space, ok := scope.Lookup(""); !ok || space != "urn:a" {
		t.Errorf("default namespace %q", space)
	}
}

func TestScanner_LimitsNameThemselves(t *testing.T) {
	wide := strings.Repeat("x", 100)
	for _, c := range []struct {
		name, doc string
		l         xmlscan.Limits
	}{
		{"depth", `<a><a><a/></a></a>`, xmlscan.Limits{Depth: 2}},
		{"namespace", `<a xmlns:b="urn:&#x62;">`, xmlscan.Limits{NamespaceBytes: 4}},
		{"attributes", `<a b="" c="" xmlns:d="urn:d"/>`, xmlscan.Limits{Attributes: 2}},
		{"namespaces", `<a xmlns:b="urn:b"><c xmlns:d="urn:b" xmlns:e="urn:b"/></a>`, xmlscan.Limits{Namespaces: 2}},
		{"namespaces", `<a>` + strings.Join([]string{`<b xmlns="urn:1"/>`, `<b xmlns="urn:2"/>`, `<b xmlns="urn:3"/>`, `<b xmlns="urn:4"/>`, `<b xmlns="urn:5"/>`, `<b xmlns="urn:6"/>`}, "") + `</a>`, xmlscan.Limits{Namespaces: 1}},
		{"tag", `<a b="` + wide + `"/>`, xmlscan.Limits{TagBytes: 50}},
		{"tag", `<` + wide + `/>`, xmlscan.Limits{TagBytes: 50}},
		{"tag", `<a></a` + strings.Repeat(" ", 100) + `>`, xmlscan.Limits{TagBytes: 50}},
		{"tag", `<a><!--` + wide + `--></a>`, xmlscan.Limits{TagBytes: 50}},
		{"tag", `<a><?p ` + wide + `?></a>`, xmlscan.Limits{TagBytes: 50}},
	} {
		for _, src := range []xmlscan.Source{xmlscan.Memory(c.doc), onFile([]byte(c.doc))} {
			_, err := tokens(xmlscan.New(src, c.l))
			if e, ok := errors.AsType[*xmlscan.Error](err); !ok || e.Class != xmlscan.Limit || e.Limit != c.name {
				t.Errorf("%s: %v", c.name, err)
			}
		}
	}
	if _, err := tokens(xmlscan.New(xmlscan.Memory(`<a><b c="" xmlns="urn:d"/></a>`), xmlscan.Limits{Depth: 2, Attributes: 2, Namespaces: 1, NamespaceBytes: 5, TagBytes: 27})); err != nil {
		t.Errorf("at the limits: %v", err)
	}
}

func TestScanner_TextHasNoLimit(t *testing.T) {
	for _, piece := range []string{"x", "]", "&lt;", "\r\n", "é"} {
		doc := []byte(`<a>` + strings.Repeat(piece, 3000) + `</a>`)
		for _, src := range []xmlscan.Source{xmlscan.Memory(doc), onFile(doc)} {
			s := xmlscan.New(src, xmlscan.Limits{TagBytes: 50})
			s.SetWindow(64)
			if _, err := tokens(s); err != nil {
				t.Errorf("text of %q: %v", piece, err)
			}
		}
	}
}

type broken struct{ xmlscan.Source }

func (b broken) ReadAt(p []byte, off int64) (int, error) { return 0, io.ErrClosedPipe }

type shrunk struct{ xmlscan.Memory }

func (s shrunk) Size() int64 { return int64(len(s.Memory)) + 1 }

func TestScanner_SaysThatTheSourceFailed(t *testing.T) {
	for want, src := range map[error]xmlscan.Source{
		io.ErrClosedPipe:    broken{xmlscan.Memory(`<a/>`)},
		io.ErrUnexpectedEOF: shrunk{xmlscan.Memory(`<a/>`)},
	} {
		_, err := tokens(xmlscan.New(src, xmlscan.Limits{}))
		if e, ok := errors.AsType[*xmlscan.Error](err); !ok || e.Class != xmlscan.Unreadable || !errors.Is(err, want) {
			t.Errorf("want %v, got %v", want, err)
		}
	}
}
