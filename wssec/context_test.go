package wssec_test

import (
	"strings"
	"testing"

	. "gsigw/wssec"
)

// Names in content whose prefix only an unsigned declaration binds: kept for well-known namespaces and those named,
// else refused (design decision 10).
func TestMessage_UnsignedNamespaceContext(t *testing.T) {
	g := newGrid(t)
	for _, c := range []struct {
		name, body string
		keep       []string
		ok         bool
		has        string
	}{
		{"XSD from the envelope", `<a xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:type="xsd:int">1</a>`, nil, true, `xmlns:xsd="http://www.w3.org/2001/XMLSchema"`},
		{"nothing kept unless used", `<a>1</a>`, nil, true, ""},
		{"unknown in text", `<a xmlns:q="urn:q">q:name</a>`, nil, false, ""},
		{"unknown, named by the route", `<a xmlns:q="urn:q">q:name</a>`, []string{"urn:q"}, true, `xmlns:q="urn:q"`},
		{"unknown in an attribute", `<a xmlns:q="urn:q" n="q:name"/>`, nil, false, ""},
		{"prefix signed because used", `<q:a xmlns:q="urn:q">q:name</q:a>`, nil, true, ""},
		{"split by a comment", `<a xmlns:q="urn:q">q<!-- -->:name</a>`, nil, false, ""},
		{"split by CDATA", `<a xmlns:q="urn:q">q<![CDATA[:name]]></a>`, nil, false, ""},
		{"colon as a reference", `<a xmlns:q="urn:q">q&#58;name</a>`, nil, false, ""},
		{"behind a minus", `<a xmlns:q="urn:q">1-q:name</a>`, nil, false, ""},
		{"behind a minus and a comment", `<a xmlns:q="urn:q">1-<!-- -->q:name</a>`, nil, false, ""},
		{"inside a path", `<a xmlns:q="urn:q">/*[q:name]</a>`, nil, false, ""},
		{"default namespace of xsi:type", `<p:a xmlns:p="urn:p" xmlns="urn:q" xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:type="T"/>`, nil, false, ""},
		{"default namespace of xsi:type, a known one", `<p:a xmlns:p="urn:p" xmlns="http://www.w3.org/2001/XMLSchema" xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:type="int"/>`, nil, false, ""},
		{"a URL is no name", `<a xmlns:q="urn:q">http://localhost/ uuid:1</a>`, nil, true, ""},
		{"one prefix for two kept namespaces", `<a xmlns:q="urn:q"><b>q:x</b><b xmlns:q="urn:r">q:x</b></a>`, []string{"urn:q", "urn:r"}, false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			doc := strings.Replace(plainRequest, cut(plainRequest, "soapenv:Body"), "<soapenv:Body>"+c.body+"</soapenv:Body>", 1)
			v, err := verifyBytes(g.verifier, []byte(secure(t, &GSIMessage{}, doc, g.User)), Expect{})
			if err != nil {
				t.Fatal(err)
			}
			m, err := v.Message(c.keep)
			if !c.ok {
				wantClass(t, err, ClassUnsignedPart)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			envelope := string(m[:strings.IndexByte(string(m), '>')])
			if !strings.Contains(envelope, c.has) || c.has == "" && strings.Count(envelope, "xmlns") != 1 {
				t.Errorf("%s", m)
			}
		})
	}
}

// A reader who takes text for text still gets no type, and nothing from outside the signed element, that nobody signed.
func TestDigested_UnsignedNamespaceContext(t *testing.T) {
	g := newGrid(t)
	const xsi = `xmlns:i="http://www.w3.org/2001/XMLSchema-instance"`
	for _, c := range []struct {
		name, body string
		ok         bool
		has        string
	}{
		{"a name in text, declared inside", `<a xmlns:q="urn:q">q:name</a>`, true, ">q:name<"},
		{"a name in text, declared outside", `<a>o:name</a>`, false, ""},
		{"a well-known type", `<a ` + xsi + ` i:type="xsd:int">1</a>`, true, `xmlns:xsd="http://www.w3.org/2001/XMLSchema"`},
		{"an unknown type", `<a ` + xsi + ` xmlns:q="urn:q" i:type="q:T"/>`, false, ""},
		{"a type that nothing declares", `<a ` + xsi + ` i:type="z:T"/>`, false, ""},
		{"a type by the default namespace", `<p:a xmlns:p="urn:p" xmlns="urn:q" ` + xsi + ` i:type="T"/>`, false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			doc := strings.Replace(plainRequest, cut(plainRequest, "soapenv:Body"), "<soapenv:Body>"+c.body+"</soapenv:Body>", 1)
			doc = strings.Replace(doc, "<soapenv:Envelope ", `<soapenv:Envelope xmlns:o="urn:outer" `, 1)
			v, err := verifyBytes(g.verifier, []byte(secure(t, &GSIMessage{}, doc, g.User)), Expect{})
			if err != nil {
				t.Fatal(err)
			}
			m, err := v.Digested()
			if !c.ok {
				wantClass(t, err, ClassUnsignedPart)
			} else if err != nil || !strings.Contains(string(m), c.has) {
				t.Errorf("%v %s", err, m)
			}
		})
	}
}
