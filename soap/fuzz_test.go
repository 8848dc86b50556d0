package soap

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"gsigw/soap/xmlscan"
)

// FuzzRead holds the index against the bytes: what it says of each part is what a scan of that part alone says, and
// what the gateway puts in leaves every other byte.
func FuzzRead(f *testing.F) {
	f.Add([]byte(counter))
	f.Add([]byte(envelope(Envelope12, `<e:Header/><e:Body><e:Fault/></e:Body>`)))
	f.Add([]byte(`<Envelope xmlns="` + Envelope11 + `" xml:lang="en"><Header xmlns:p="urn:p"><p:a Id="1"><b/></p:a></Header><!-- --><Body xmlns=""/></Envelope>`))
	f.Add([]byte(`<Envelope xmlns="` + Envelope11 + `"><Body/></Envelope>`))
	f.Add([]byte(envelope(Envelope11, `<e:Header><a:RelatesTo xmlns:a="`+Addressing200508+`">x<![CDATA[y]]></a:RelatesTo></e:Header><e:Body>&#65;</e:Body>`)))
	f.Fuzz(func(t *testing.T, doc []byte) {
		m, err := Read(xmlscan.Memory(doc), Limits{})
		if err != nil {
			if e, ok := err.(*xmlscan.Error); !ok || e.Offset < 0 || e.Offset > int64(len(doc)) {
				t.Fatalf("%#v", err)
			}
			return
		}
		checkElement(t, m, &m.Envelope, doc)
		checkElement(t, m, &m.Body, doc)
		parts := []*Element{&m.Body}
		if m.Header != nil {
			checkElement(t, m, m.Header, doc)
			parts = append([]*Element{m.Header}, parts...)
		}
		inOrder(t, &m.Envelope, parts)
		var blocks []*Element
		for _, b := range m.Blocks {
			checkElement(t, m, &b.Element, doc)
			blocks = append(blocks, &b.Element)
		}
		if m.Header != nil {
			inOrder(t, m.Header, blocks)
		}
		checkFile(t, m, doc)
		checkPutHeaders(t, m, doc)
	})
}

// checkElement scans the element's span alone.
func checkElement(t *testing.T, m *Message, e *Element, doc []byte) {
	s := m.Scan(e)
	kind, err := s.Next()
	if err != nil || kind != xmlscan.StartElement {
		t.Fatalf("%s: token %d, %v", e.Name, kind, err)
	}
	if (e.Name != Name{s.URI(s.Space), string(s.Local)}) || e.Prefix != string(s.Prefix) || e.NameEnd != s.NameEnd || e.TagEnd != s.Span.End || e.Empty != s.Empty {
		t.Fatalf("%+v reads as {%s}%s, %v", e, s.URI(s.Space), s.Local, s.Span)
	}
	last := s.Span
	for kind != xmlscan.EOF {
		last = s.Span
		if kind, err = s.Next(); err != nil {
			t.Fatalf("%s: %v in %q", e.Name, err, doc[e.Span.Start:e.Span.End])
		}
	}
	if last.End != e.Span.End || !e.Empty && last.Start != e.EndTag || e.Empty && e.EndTag != e.TagEnd {
		t.Fatalf("%+v ends with %v", e, last)
	}
}

// inOrder holds that parts lie within e, one behind the other.
func inOrder(t *testing.T, e *Element, parts []*Element) {
	at := e.TagEnd
	for _, p := range parts {
		if p.Span.Start < at || p.Span.End > e.EndTag {
			t.Fatalf("%s at %v in %s at %v", p.Name, p.Span, e.Name, e.Span)
		}
		at = p.Span.End
	}
}

type file struct{ *bytes.Reader }

func (f file) Size() int64 { return f.Reader.Size() }

// checkFile reads the message as it would lie in a file.
func checkFile(t *testing.T, m *Message, doc []byte) {
	n, err := Read(file{bytes.NewReader(doc)}, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if n.Body.Span != m.Body.Span || n.Operation != m.Operation || len(n.Blocks) != len(m.Blocks) || n.Addressing.Action != m.Addressing.Action || n.HasDuplicateIDs() != m.HasDuplicateIDs() {
		t.Fatalf("from a file %+v\nin memory %+v", n, m)
	}
}

func checkPutHeaders(t *testing.T, m *Message, doc []byte) {
	added := `<n xmlns="urn:n"/>`
	e, err := m.Edit(m.PutHeaders([]byte(added)))
	if err != nil {
		t.Fatal(err)
	}
	n, err := Read(e, Limits{Headers: 65})
	if err != nil {
		t.Fatal(err)
	}
	if len(n.Blocks) != len(m.Blocks)+1 || n.Blocks[0].Name != (Name{"urn:n", "n"}) || n.Body.Span.Len() != m.Body.Span.Len() || n.Operation != m.Operation {
		t.Fatalf("with a header %+v\nbefore %+v", n, m)
	}
	all, err := io.ReadAll(e.Reader())
	if err != nil || m.Header != nil && !m.Header.Empty && strings.Replace(string(all), added, "", 1) != string(doc) {
		t.Fatalf("%v %q\nbefore %q", err, all, doc)
	}
}
