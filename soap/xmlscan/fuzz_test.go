package xmlscan_test

import (
	"bytes"
	"strings"
	"testing"

	"gsigw/soap/xmlscan"
)

var fuzzLimits = xmlscan.Limits{Depth: 20, Attributes: 10, Namespaces: 10}

func FuzzScan(f *testing.F) {
	for _, doc := range wellFormed {
		f.Add([]byte(doc), uint8(7))
	}
	for seed := range uint64(50) {
		f.Add([]byte(mutate(generate(seed), seed)), uint8(seed))
	}
	f.Add([]byte(whole), uint8(1))
	f.Add([]byte(long), uint8(3))
	f.Fuzz(func(t *testing.T, doc []byte, window uint8) {
		s := xmlscan.New(xmlscan.Memory(doc), fuzzLimits)
		want, wantErr := tokens(s)
		w := xmlscan.New(onFile(doc), fuzzLimits)
		w.SetWindow(int(window) + 1)
		got, err := tokens(w)
		if (err == nil) != (wantErr == nil) || err == nil && join(got) != join(want) {
			t.Fatalf("window %d: %v%s\nin memory: %v%s", int(window)+1, err, got, wantErr, want)
		}
		if wantErr == nil {
			checkSpans(t, doc)
			checkCanonical(t, doc)
		}
	})
}

// checkSpans holds that tokens follow one another, and that what is said of each stands where it is said to stand.
func checkSpans(t *testing.T, doc []byte) {
	s := xmlscan.New(xmlscan.Memory(doc), fuzzLimits)
	var at int64 = -1
	depth := 0
	for {
		kind, err := s.Next()
		if err != nil {
			t.Fatal(err)
		}
		if kind == xmlscan.EOF {
			break
		}
		if at >= 0 && s.Span.Start != at || s.Span.End <= s.Span.Start || s.Span.End > int64(len(doc)) {
			t.Fatalf("token at %v behind one that ends at %d", s.Span, at)
		}
		at = s.Span.End
		switch kind {
		case xmlscan.StartElement:
			checkStart(t, s, doc)
			if s.Depth() != depth+1 {
				t.Fatalf("depth %d inside %d", s.Depth(), depth)
			}
			if !s.Empty {
				depth++
			}
		case xmlscan.EndElement:
			depth--
		case xmlscan.Text:
			if !bytes.Equal(s.Data, doc[s.Span.Start:s.Span.End]) {
				t.Fatalf("text %q at %v", s.Data, s.Span)
			}
		}
	}
	if at != int64(len(doc)) || depth != 0 {
		t.Fatalf("ends at %d of %d, depth %d", at, len(doc), depth)
	}
}

func checkStart(t *testing.T, s *xmlscan.Scanner, doc []byte) {
	if !bytes.HasSuffix(doc[s.Span.Start:s.NameEnd], s.Local) {
		t.Fatalf("name %s does not end at %d", s.Local, s.NameEnd)
	}
	last := s.NameEnd
	for _, a := range s.Attrs {
		name := string(a.Local)
		if len(a.Prefix) > 0 {
			name = string(a.Prefix) + ":" + name
		}
		if a.Start < last || a.Start >= s.Span.End || !bytes.HasPrefix(doc[a.Start:], []byte(name)) {
			t.Fatalf("attribute %s at %d", a.Local, a.Start)
		}
		last = a.Start + 1
	}
}

var (
	escapeText = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "\r", "&#xD;")
	escapeAttr = strings.NewReplacer("&", "&amp;", "<", "&lt;", "\"", "&quot;", "\t", "&#x9;", "\n", "&#xA;", "\r", "&#xD;")
)

// checkCanonical holds that text marked Canonical and values marked Plain are what canonical XML writes for what they
// stand for (Canonical XML 1.0, section 2.3).
func checkCanonical(t *testing.T, doc []byte) {
	s := xmlscan.New(xmlscan.Memory(doc), fuzzLimits)
	for {
		switch kind, _ := s.Next(); kind {
		case xmlscan.EOF:
			return
		case xmlscan.Text:
			if want := escapeText.Replace(string(xmlscan.AppendText(nil, s.Data))); s.Canonical && string(s.Data) != want {
				t.Fatalf("text %q is marked as canonical, and is %q", s.Data, want)
			}
		case xmlscan.StartElement:
			for _, a := range s.Attrs {
				if want := escapeAttr.Replace(string(xmlscan.AppendAttr(nil, a.Value))); a.Plain && string(a.Value) != want {
					t.Fatalf("value %q is marked as plain, and is %q", a.Value, want)
				}
			}
		}
	}
}
