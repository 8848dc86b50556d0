package soap

import (
	"bytes"
	"strings"
	"testing"

	"gsigw/soap/xmlscan"
)

const counter = `<?xml version="1.0" encoding="UTF-8"?>
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:wsa="http://schemas.xmlsoap.org/ws/2004/03/addressing">
 <soapenv:Header>
  <wsa:To soapenv:mustUnderstand="1"> http://localhost/c </wsa:To><wsa:Action>urn:add</wsa:Action>
  <x:Log xmlns:x="urn:x" soapenv:actor="urn:elsewhere"><x:a/></x:Log>
 </soapenv:Header>
 <soapenv:Body Id="b"><add xmlns="http://counter.com">5</add></soapenv:Body>
</soapenv:Envelope>
`

func read(t *testing.T, doc string) *Message {
	t.Helper()
	m, err := Read(xmlscan.Memory(doc), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func span(doc string, s xmlscan.Span) string { return doc[s.Start:s.End] }

func TestRead_IndexesTheParts(t *testing.T) {
	m := read(t, counter)
	if m.Version != V11 || (m.Operation != Name{"http://counter.com", "add"}) || len(m.Blocks) != 3 {
		t.Errorf("version %v, operation %v, %d blocks", m.Version, m.Operation, len(m.Blocks))
	}
	if got := span(counter, m.Body.Span); got != `<soapenv:Body Id="b"><add xmlns="http://counter.com">5</add></soapenv:Body>` {
		t.Errorf("body %q", got)
	}
	if got := span(counter, m.Body.Inner()); got != `<add xmlns="http://counter.com">5</add>` {
		t.Errorf("inside body %q", got)
	}
	if got := span(counter, m.Blocks[2].Span); got != `<x:Log xmlns:x="urn:x" soapenv:actor="urn:elsewhere"><x:a/></x:Log>` {
		t.Errorf("block %q", got)
	}
	if m.Body.ID != "b" || m.Body.WSUID || m.CountID("b") != 1 || m.CountID("c") != 0 {
		t.Errorf("body id %q", m.Body.ID)
	}
	if !m.Blocks[0].MustUnderstand || m.Blocks[2].ForUltimate() || !m.Blocks[1].ForUltimate() {
		t.Error("mustUnderstand or role misread")
	}
	if a := m.Addressing; a.Dialect != Addressing200403 || a.To != "http://localhost/c" || a.Action != "urn:add" {
		t.Errorf("addressing %+v", a)
	}
	if sc := m.Body.Scope; len(sc.Bindings) != 2 {
		t.Errorf("body inherits %v", sc.Bindings)
	}
}

func TestRead_Refuses(t *testing.T) {
	env := func(inside string) string {
		return `<e:Envelope xmlns:e="` + Envelope11 + `">` + inside + `</e:Envelope>`
	}
	for _, c := range []struct {
		name, doc string
		class     xmlscan.Class
	}{
		{"no envelope", `<a/>`, xmlscan.Malformed},
		{"no body", env(``), xmlscan.Malformed},
		{"empty envelope", `<e:Envelope xmlns:e="` + Envelope12 + `"/>`, xmlscan.Malformed},
		{"two bodies", env(`<e:Body/><e:Body/>`), xmlscan.Malformed},
		{"two headers", env(`<e:Header/><e:Header/><e:Body/>`), xmlscan.Malformed},
		{"header behind body", env(`<e:Body/><e:Header/>`), xmlscan.Malformed},
		{"foreign child", env(`<x/><e:Body/>`), xmlscan.Malformed},
		{"body of the other version", env(`<b:Body xmlns:b="` + Envelope12 + `"/>`), xmlscan.Malformed},
		{"text in envelope", env(`x<e:Body/>`), xmlscan.Malformed},
		{"text in header", env(`<e:Header>x</e:Header><e:Body/>`), xmlscan.Malformed},
		{"processing instruction", env(`<e:Body><?x?></e:Body>`), xmlscan.Malformed},
		{"doctype", `<!DOCTYPE a>` + env(`<e:Body/>`), xmlscan.DTD},
		{"entity", env(`<e:Body>&x;</e:Body>`), xmlscan.DTD},
		{"UTF-16", "\xff\xfe<\x00", xmlscan.Encoding},
		{"Latin-1 declared", `<?xml version="1.0" encoding="ISO-8859-1"?>` + env(`<e:Body/>`), xmlscan.Encoding},
		{"Latin-1", env("<e:Body>\xe9</e:Body>"), xmlscan.Encoding},
		{"two Actions", env(`<e:Header><a:Action xmlns:a="` + Addressing200508 + `"/><a:Action xmlns:a="` + Addressing200508 + `"/></e:Header><e:Body/>`), xmlscan.Malformed},
		{"two dialects", env(`<e:Header><a:Action xmlns:a="` + Addressing200508 + `"/><a:To xmlns:a="` + Addressing200403 + `"/></e:Header><e:Body/>`), xmlscan.Malformed},
	} {
		_, err := Read(xmlscan.Memory(c.doc), Limits{})
		if e, ok := err.(*xmlscan.Error); !ok || e.Class != c.class {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestRead_LimitsNameThemselves(t *testing.T) {
	for name, l := range map[string]Limits{
		"message":         {MessageBytes: 100},
		"headers":         {Headers: 2},
		"depth":           {Limits: xmlscan.Limits{Depth: 3}},
		"attributes":      {Limits: xmlscan.Limits{Attributes: 1}},
		"namespaces":      {Limits: xmlscan.Limits{Namespaces: 1}},
		"tag":             {Limits: xmlscan.Limits{TagBytes: 20}},
		"header-elements": {HeaderElements: 1},
		"header-bytes":    {HeaderBytes: 20},
		"ids":             {IDs: 1},
	} {
		doc := counter
		if strings.HasPrefix(name, "header-") || name == "ids" {
			doc = `<e:Envelope xmlns:e="` + Envelope11 + `"><e:Header><a:From Id="1" xmlns:a="` + Addressing200403 + `"><a:Address Id="2"/></a:From></e:Header><e:Body/></e:Envelope>`
		}
		_, err := Read(xmlscan.Memory(doc), l)
		if e, ok := err.(*xmlscan.Error); !ok || e.Class != xmlscan.Limit || e.Limit != name {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEdit_LeavesEveryOtherByte(t *testing.T) {
	m := read(t, counter)
	e, err := m.Edit(Insert(m.Body.NameEnd, []byte(` a="1"`)), m.PutHeaders([]byte("<new/>")), Change{Span: m.Blocks[2].Span}, Insert(m.Body.NameEnd, []byte(` b="2"`)))
	if err != nil {
		t.Fatal(err)
	}
	want := bytes.Replace([]byte(counter), []byte(`<soapenv:Header>`), []byte(`<soapenv:Header><new/>`), 1)
	want = bytes.Replace(want, []byte(span(counter, m.Blocks[2].Span)), nil, 1)
	want = bytes.Replace(want, []byte(`<soapenv:Body`), []byte(`<soapenv:Body a="1" b="2"`), 1)
	var got bytes.Buffer
	if n, err := e.WriteTo(&got); err != nil || n != e.Size() {
		t.Fatal(n, err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("got  %s\nwant %s", &got, want)
	}
	for off := range want {
		part := make([]byte, 7)
		n, _ := e.ReadAt(part, int64(off))
		if !bytes.Equal(part[:n], want[off:min(off+7, len(want))]) {
			t.Fatalf("ReadAt(%d) = %q", off, part[:n])
		}
	}
	if _, err := m.Edit(Change{Span: m.Body.Span}, Insert(m.Body.NameEnd, nil)); err == nil {
		t.Error("overlapping changes applied")
	}
}

func TestPutHeaders_MakesHeader(t *testing.T) {
	for doc, want := range map[string]string{
		`<Envelope xmlns="` + Envelope12 + `"><Body/></Envelope>`:                     `<Envelope xmlns="` + Envelope12 + `"><Header><n/></Header><Body/></Envelope>`,
		`<e:Envelope xmlns:e="` + Envelope12 + `"><e:Header /><e:Body/></e:Envelope>`: `<e:Envelope xmlns:e="` + Envelope12 + `"><e:Header ><n/></e:Header><e:Body/></e:Envelope>`,
	} {
		m := read(t, doc)
		e, err := m.Edit(m.PutHeaders([]byte("<n/>")))
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		e.WriteTo(&got)
		if got.String() != want {
			t.Errorf("got  %s\nwant %s", &got, want)
		}
		if _, err := Read(e, Limits{}); err != nil {
			t.Error(err)
		}
	}
}

func TestFault_InBothVersions(t *testing.T) {
	f := &Fault{Sender: true, Code: Name{FaultSpace, "X"}, Reason: "a < b", Quoted: "q\x00"}
	for _, v := range []Version{V11, V12} {
		m, err := Read(xmlscan.Memory(f.Marshal(v)), Limits{})
		if err != nil || !m.IsFault() || m.Version != v {
			t.Fatalf("%v: %s", err, f.Marshal(v))
		}
		if got := m.FaultText(); !bytes.HasSuffix([]byte(got), []byte(": a < b")) {
			t.Errorf("fault says %q", got)
		}
	}
}

func TestRead_ScopesCarryTheNearestXMLAttributes(t *testing.T) {
	m := read(t, `<e:Envelope xmlns:e="`+Envelope11+`" xml:lang="en" xml:base="urn:b"><e:Header xmlns:p="urn:p" xml:lang="de"><p:a><p:b/></p:a></e:Header><e:Body/></e:Envelope>`)
	for name, c := range map[string]struct {
		scope *xmlscan.Scope
		want  string
	}{
		"header": {m.Header.Scope, "en urn:b "},
		"block":  {m.Blocks[0].Scope, "de urn:b p"},
		"body":   {m.Body.Scope, "en urn:b "},
	} {
		xml := map[string]string{}
		for _, a := range c.scope.XML {
			xml[a.Local] = a.Value
		}
		_, p := c.scope.Lookup("p")
		if got := xml["lang"] + " " + xml["base"] + " " + map[bool]string{true: "p"}[p]; got != c.want || len(c.scope.XML) != 2 {
			t.Errorf("%s inherits %+v", name, c.scope)
		}
	}
	tree, err := m.Tree(&m.Blocks[0].Element)
	if err != nil || len(tree.Children[0].Scope.XML) != 2 {
		t.Errorf("%v: child inherits %+v", err, tree.Children[0].Scope)
	}
}

func TestTree_JoinsTextInPieces(t *testing.T) {
	m := read(t, envelope(Envelope11, "<e:Body>a\r\n<!-- --><![CDATA[\r\n\r<&]]><x>no</x>&amp;\r</e:Body>"))
	n, err := m.Tree(&m.Body)
	if err != nil || n.Text != "a\n\n\n<&&\n" || n.Children[0].Text != "no" {
		t.Errorf("%v %q", err, n.Text)
	}
}

func TestRead_ErrorsQuoteOnlyTheStartOfALongName(t *testing.T) {
	long := strings.Repeat("n", 10_000)
	for _, doc := range []string{`<` + long + `/>`, `<` + long, `<` + long + `></b>`, `<a></` + long + `>`, envelope(Envelope11, `<`+long+`/>`), `<a ` + long + `/>`, `<a ` + long + `="" ` + long + `=""/>`, `<` + long + `:a/>`, `<a xmlns="` + long + `"/>`} {
		if _, err := Read(xmlscan.Memory(doc), Limits{}); err == nil || len(err.Error()) > 500 {
			t.Errorf("%.20s: %.600v", doc, err)
		}
	}
}
