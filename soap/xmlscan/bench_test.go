package xmlscan_test

import (
	"bytes"
	"strings"
	"testing"

	"gsigw/soap/xmlscan"
)

func benchmarkScan(b *testing.B, src xmlscan.Source) {
	b.SetBytes(src.Size())
	b.ReportAllocs()
	for b.Loop() {
		s := xmlscan.New(src, xmlscan.Limits{})
		for {
			kind, err := s.Next()
			if err != nil {
				b.Fatal(err)
			}
			if kind == xmlscan.EOF {
				break
			}
		}
	}
}

func manyElements(size int) xmlscan.Memory {
	var doc bytes.Buffer
	doc.WriteString(`<m:echo xmlns:m="http://example.org/echo">`)
	for doc.Len() < size {
		doc.WriteString(`<m:item id="12345" kind="data">value number 12345 &amp; some text padding here</m:item>`)
	}
	doc.WriteString(`</m:echo>`)
	return doc.Bytes()
}

func BenchmarkScan_Elements1MB(b *testing.B) { benchmarkScan(b, manyElements(1<<20)) }

func BenchmarkScan_Elements20MBThroughAWindow(b *testing.B) {
	benchmarkScan(b, onFile(manyElements(20<<20)))
}

func BenchmarkScan_Text20MB(b *testing.B) {
	benchmarkScan(b, xmlscan.Memory(`<a>`+strings.Repeat("QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2\n", 20<<20/65)+`</a>`))
}
