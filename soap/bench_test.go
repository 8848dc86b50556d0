package soap

import (
	"bytes"
	"crypto/sha1"
	"strings"
	"testing"

	"gsigw/soap/xmlscan"
	"gsigw/wssec/c14n"
)

// message is a GT4 client's message with a body of about size bytes.
func message(size int) []byte {
	const block = `<wsa:%s xmlns:wsa="http://schemas.xmlsoap.org/ws/2004/03/addressing" soapenv:mustUnderstand="0" Id="%[1]s">http://localhost:18080/wsrf/services/CounterService</wsa:%[1]s>`
	var doc bytes.Buffer
	doc.WriteString(`<soapenv:Envelope xmlns:soapenv="` + Envelope11 + `" xmlns:xsd="http://www.w3.org/2001/XMLSchema"><soapenv:Header>`)
	for _, name := range []string{"MessageID", "To", "Action"} {
		doc.WriteString(strings.NewReplacer("%s", name, "%[1]s", name).Replace(block))
	}
	doc.WriteString(`</soapenv:Header><soapenv:Body Id="body"><m:echo xmlns:m="http://example.org/echo">`)
	for doc.Len() < size-100 {
		doc.WriteString(`<m:item id="12345" kind="data">value number 12345 &amp; some text padding here</m:item>`)
	}
	doc.WriteString(`</m:echo></soapenv:Body></soapenv:Envelope>`)
	return doc.Bytes()
}

func benchmarkRead(b *testing.B, doc []byte) {
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Read(xmlscan.Memory(doc), Limits{MessageBytes: 64 << 20}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRead_2KB(b *testing.B)  { benchmarkRead(b, message(2<<10)) }
func BenchmarkRead_1MB(b *testing.B)  { benchmarkRead(b, message(1<<20)) }
func BenchmarkRead_20MB(b *testing.B) { benchmarkRead(b, message(20<<20)) }

// BenchmarkRead_2KBAndHash is what signing a message costs without the signature.
func BenchmarkRead_2KBAndHash(b *testing.B) {
	doc := message(2 << 10)
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		m, err := Read(xmlscan.Memory(doc), Limits{})
		if err != nil {
			b.Fatal(err)
		}
		parts := []*Element{&m.Body}
		for _, block := range m.Blocks {
			parts = append(parts, &block.Element)
		}
		for _, e := range parts {
			if err := c14n.Write(sha1.New(), m.Scan(e), c14n.Method{Exclusive: true}); err != nil {
				b.Fatal(err)
			}
		}
	}
}
