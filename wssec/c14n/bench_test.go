package c14n

import (
	"bytes"
	"crypto/sha1"
	"fmt"
	"io"
	"strings"
	"testing"

	"gsigw/soap/xmlscan"
)

// elements is a document of many small elements.
func elements(size int) []byte {
	var doc bytes.Buffer
	doc.WriteString(`<m:echo xmlns:m="http://example.org/echo">`)
	for doc.Len() < size {
		doc.WriteString(`<m:item id="12345" kind="data">value number 12345 &amp; some text padding here</m:item>`)
	}
	doc.WriteString(`</m:echo>`)
	return doc.Bytes()
}

// text is a document of one long text.
func text(size int) []byte {
	return []byte(`<a>` + strings.Repeat("QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2\n", size/65) + `</a>`)
}

func benchmark(b *testing.B, doc []byte, m Method) {
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		h := sha1.New()
		if err := Write(h, xmlscan.New(xmlscan.Memory(doc), xmlscan.Limits{}), m); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWrite_Elements2KB(b *testing.B) { benchmark(b, elements(2<<10), Method{Exclusive: true}) }
func BenchmarkWrite_Elements1MB(b *testing.B) { benchmark(b, elements(1<<20), Method{Exclusive: true}) }
func BenchmarkWrite_Elements20MB(b *testing.B) {
	benchmark(b, elements(20<<20), Method{Exclusive: true})
}
func BenchmarkWrite_Inclusive1MB(b *testing.B) { benchmark(b, elements(1<<20), Method{}) }
func BenchmarkWrite_Text20MB(b *testing.B)     { benchmark(b, text(20<<20), Method{Exclusive: true}) }

// A PrefixList comes from the sender, and so must not cost more on every element than its own length costs once.
func BenchmarkWrite_LongPrefixList(b *testing.B) {
	var prefixes []string
	for i := range 10_000 {
		prefixes = append(prefixes, fmt.Sprint("p", i))
	}
	doc := []byte(`<a>` + strings.Repeat(`<b xmlns="urn:b"/>`, 100_000/18) + `</a>`)
	b.ReportAllocs()
	for b.Loop() {
		if err := Write(io.Discard, xmlscan.New(xmlscan.Memory(doc), xmlscan.Limits{}), Method{Exclusive: true, Prefixes: prefixes}); err != nil {
			b.Fatal(err)
		}
	}
}

func TestWrite_AllocatesNothingPerElement(t *testing.T) {
	allocs := func(doc []byte) float64 {
		return testing.AllocsPerRun(3, func() {
			if err := Write(io.Discard, xmlscan.New(xmlscan.Memory(doc), xmlscan.Limits{}), Method{Exclusive: true}); err != nil {
				t.Fatal(err)
			}
		})
	}
	if few, many := allocs(elements(2<<10)), allocs(elements(1<<20)); many > few+5 {
		t.Errorf("%v allocations for 2 KB, %v for 1 MB", few, many)
	}
}
