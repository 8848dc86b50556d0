package soap

import (
	"io"
	"regexp"
	"strings"
	"testing"
)

const uuid = "01234567-89ab-4def-8123-456789abcdef"

func fixedUUID() string { return uuid }

func bytesOf(t *testing.T, m *Message) string {
	t.Helper()
	b, err := io.ReadAll(io.NewSectionReader(m, 0, m.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func envelope(version, inside string) string {
	return `<e:Envelope xmlns:e="` + version + `">` + inside + `</e:Envelope>`
}

func TestReaddress_ChangesTheToHeaderAlone(t *testing.T) {
	m, err := read(t, counter).Readdress("http://elsewhere/c?a&b")
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Replace(counter, "> http://localhost/c <", ">http://elsewhere/c?a&amp;b<", 1); bytesOf(t, m) != want {
		t.Errorf("got\n%s\nwant\n%s", bytesOf(t, m), want)
	}
	if m.Addressing.To != "http://elsewhere/c?a&b" {
		t.Errorf("To is %q", m.Addressing.To)
	}
}

func TestAddAddressing_WritesWhatTheDialectWants(t *testing.T) {
	for _, c := range []struct{ dialect, id, back string }{
		{Addressing200303, "uuid:", "From"},
		{Addressing200403, "uuid:", "From"},
		{Addressing200408, "uuid:", "From"},
		{Addressing200508, "urn:uuid:", "ReplyTo"},
	} {
		m := read(t, envelope(Envelope11, `<e:Body><x xmlns="urn:x"/></e:Body>`))
		m.SOAPAction = "urn:x#do"
		got, err := m.AddAddressing(c.dialect, "http://h/s?a=1&b=2", "urn:<do>", fixedUUID)
		if err != nil {
			t.Fatal(err)
		}
		decl := ` xmlns:wsa="` + c.dialect + `">`
		want := envelope(Envelope11, `<e:Header><wsa:MessageID`+decl+c.id+uuid+`</wsa:MessageID><wsa:To`+decl+`http://h/s?a=1&amp;b=2</wsa:To><wsa:Action`+decl+
			`urn:&lt;do&gt;</wsa:Action><wsa:`+c.back+decl+`<wsa:Address>`+Anonymous(c.dialect)+`</wsa:Address></wsa:`+c.back+`></e:Header><e:Body><x xmlns="urn:x"/></e:Body>`)
		if s := bytesOf(t, got); s != want {
			t.Errorf("got  %s\nwant %s", s, want)
		}
		a := got.Addressing
		if a.To != "http://h/s?a=1&b=2" || a.Action != "urn:<do>" || a.MessageID != c.id+uuid || a.From+a.ReplyTo != Anonymous(c.dialect) || a.Dialect != c.dialect {
			t.Errorf("read back as %+v", a)
		}
		if got.SOAPAction != m.SOAPAction {
			t.Error("SOAPAction lost")
		}
	}
}

func TestAddAddressing_ChangesNoOtherByte(t *testing.T) {
	doc := "<?xml version='1.0'?>\r\n<!-- a --><e:Envelope\txmlns:e='" + Envelope12 + "' xmlns:wsa='urn:mine' xmlns:wsa1='urn:mine'>\r\n<e:Header ><wsa:k a='&#10;'/><wsa1:l/></e:Header >\n<e:Body><![CDATA[x]]></e:Body>\r</e:Envelope>\n"
	m, err := read(t, doc).AddAddressing(Addressing200508, "urn:to", "urn:do", nil)
	if err != nil {
		t.Fatal(err)
	}
	start, end := m.Blocks[0].Span.Start, m.Blocks[3].Span.End
	if s := bytesOf(t, m); s[:start]+s[end:] != doc {
		t.Errorf("changed\n%q", s)
	}
	if len(m.Blocks) != 6 || m.Blocks[0].Prefix != "wsa2" {
		t.Errorf("%d blocks, prefix %q", len(m.Blocks), m.Blocks[0].Prefix)
	}
	if !regexp.MustCompile(`^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(m.Addressing.MessageID) {
		t.Errorf("message id %q", m.Addressing.MessageID)
	}
}

func TestAddAddressing_KeepsWhatTheSenderWrote(t *testing.T) {
	header := func(s string) string {
		return `<e:Envelope xmlns:e="` + Envelope11 + `" xmlns:a="` + Addressing200403 + `"><e:Header>` + s + `</e:Header><e:Body/></e:Envelope>`
	}
	for _, c := range []struct{ name, headers, added string }{
		{"To", `<a:To>urn:old</a:To>`, "MessageID Action From"},
		{"an empty Action", `<a:Action/>`, "MessageID To From"},
		{"ReplyTo stands for From", `<a:ReplyTo><a:Address>urn:r</a:Address></a:ReplyTo>`, "MessageID To Action"},
		{"all", `<a:To>t</a:To><a:Action>a</a:Action><a:MessageID>m</a:MessageID><a:From/>`, ""},
		{"a header for another role does not count", `<a:To e:actor="urn:other">urn:old</a:To>`, "MessageID To Action From"},
	} {
		doc := header(c.headers)
		before := read(t, doc)
		m, err := before.AddAddressing(Addressing200403, "urn:to", "urn:do", fixedUUID)
		if err != nil {
			t.Fatal(c.name, err)
		}
		var added []string
		for _, b := range m.Blocks[:len(m.Blocks)-len(before.Blocks)] {
			added = append(added, b.Name.Local)
		}
		if got := strings.Join(added, " "); got != c.added {
			t.Errorf("%s: added %q, want %q", c.name, got, c.added)
		}
		if !strings.Contains(bytesOf(t, m), c.headers+`</e:Header>`) {
			t.Errorf("%s: changed the sender's headers", c.name)
		}
	}
}

func TestAddAddressing_Refuses(t *testing.T) {
	plain := envelope(Envelope11, `<e:Body/>`)
	other := envelope(Envelope11, `<e:Header><a:To xmlns:a="`+Addressing200508+`">t</a:To></e:Header><e:Body/>`)
	for _, c := range []struct{ name, doc, dialect, to, action string }{
		{"headers of another dialect", other, Addressing200403, "urn:to", "urn:do"},
		{"an unknown dialect", plain, "urn:x", "urn:to", "urn:do"},
		{"no address", plain, Addressing200403, "", "urn:do"},
		{"no action", plain, Addressing200403, "urn:to", ""},
		{"a value that XML cannot carry", plain, Addressing200403, "urn:to", "a\x00b"},
		{"a value that is not UTF-8", plain, Addressing200403, "urn:\xff", "urn:do"},
	} {
		if m, err := read(t, c.doc).AddAddressing(c.dialect, c.to, c.action, nil); err == nil {
			t.Errorf("%s: accepted: %s", c.name, bytesOf(t, m))
		}
	}
}

// The engine's plain message with headers added has the headers of GT4's own client (facts/gt4-wire.md, capture 01).
func TestAddAddressing_ReadsAsGT4sOwnClient(t *testing.T) {
	const client = `<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:wsa="http://schemas.xmlsoap.org/ws/2004/03/addressing"><soapenv:Header><wsa:MessageID soapenv:mustUnderstand="0">uuid:01234567-89ab-4def-8123-456789abcdef</wsa:MessageID><wsa:To soapenv:mustUnderstand="0">http://localhost:18080/wsrf/services/CounterService</wsa:To><wsa:Action soapenv:mustUnderstand="0">http://counter.com/CounterPortType/createCounterRequest</wsa:Action><wsa:From soapenv:mustUnderstand="0"><wsa:Address>http://schemas.xmlsoap.org/ws/2004/03/addressing/role/anonymous</wsa:Address></wsa:From></soapenv:Header><soapenv:Body/></soapenv:Envelope>`
	want := read(t, client)
	got, err := read(t, envelope(Envelope11, `<e:Body/>`)).AddAddressing(Addressing200403, want.Addressing.To, want.Addressing.Action, fixedUUID)
	if err != nil {
		t.Fatal(err)
	}
	for i, b := range want.Blocks {
		if got.Blocks[i].Name != b.Name {
			t.Errorf("block %d is %s, want %s", i, got.Blocks[i].Name, b.Name)
		}
	}
	if g, w := got.Addressing, want.Addressing; g.MessageID != w.MessageID || g.From != w.From || len(got.Blocks) != len(want.Blocks) {
		t.Errorf("got %+v\nwant %+v", g, w)
	}
}
