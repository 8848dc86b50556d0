package soap

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"gsigw/soap/xmlscan"
	"gsigw/wssec/c14n"
)

// attackSize is the size of the documents that try to cost more than their bytes do.
const attackSize = 100_000

// fill repeats what next gives, inside a Body between open and end, up to attackSize.
func fill(open, end string, next func(i int) string) string {
	var b strings.Builder
	b.WriteString(`<e:Envelope xmlns:e="` + Envelope11 + `"><e:Body>` + open)
	for i := 0; b.Len() < attackSize-len(end)-40; i++ {
		b.WriteString(next(i))
	}
	return b.String() + end + `</e:Body></e:Envelope>`
}

func same(s string) func(int) string { return func(int) string { return s } }

// list joins n of what next gives.
func list(n int, next func(i int) string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(next(i))
	}
	return b.String()
}

func attrs(n int, format string) string {
	return list(n, func(i int) string { return fmt.Sprintf(format, n-i) })
}

// attacks are documents that were found to cost much, or would where a part of the scanner or of c14n were quadratic.
func attacks() map[string]string {
	const decls = 126
	manyDecls := list(decls, func(i int) string { return fmt.Sprintf(` xmlns:p%d="u:%[1]d"`, i) })
	uri := "urn:" + strings.Repeat("x", 400)
	prefix := strings.Repeat("p", 250)
	longHeader := func(in string) string {
		var b strings.Builder
		fmt.Fprintf(&b, `<e:Envelope xmlns:e="%s" xmlns:a="%s"%s><e:Header>`, Envelope11, Addressing200508, list(100, func(i int) string { return fmt.Sprintf(` xmlns:p%d="u:%[1]d"`, i) }))
		for b.Len() < attackSize-2000 {
			b.WriteString(`<a:RelatesTo>`)
			for i := 0; i < 500 && b.Len() < attackSize-2000; i++ {
				b.WriteString(in)
			}
			b.WriteString(`</a:RelatesTo>`)
		}
		return b.String() + `</e:Header><e:Body/></e:Envelope>`
	}
	return map[string]string{
		"small elements":                   fill("", "", same("<a/>")),
		"attributes in reverse order":      fill("", "", same("<a"+attrs(255, ` a%03d=""`)+"/>")),
		"prefixed attributes":              fill("<x"+manyDecls+">", "</x>", same("<a"+list(decls, func(i int) string { return fmt.Sprintf(` p%d:a=""`, decls-1-i) })+"/>")),
		"attributes of long namespaces":    fill(`<x xmlns:p="`+uri+`b" xmlns:q="`+uri+`a">`, "</x>", same("<a"+list(250, func(i int) string { return fmt.Sprintf(` %c:a%d=""`, "pq"[i%2], i) })+"/>")),
		"a long namespace on each sibling": fill(`<x xmlns:p="`+uri+`">`, "</x>", same("<p:a/>")),
		"long namespaces on each sibling":  fill("<x"+list(100, func(i int) string { return fmt.Sprintf(` xmlns:p%d="%s%[1]d"`, i, uri) })+">", "</x>", func(i int) string { return fmt.Sprintf("<p%d:a/>", i%100) }),
		"a prefix behind many":             fill("<x"+manyDecls+">", "</x>", same("<p0:a/>")),
		"a long prefix behind many":        fill("<x"+list(100, func(i int) string { return fmt.Sprintf(` xmlns:%s%03d="u:x"`, prefix, i) })+">", "</x>", same("<"+prefix+"000:a/>")),
		"declarations bound again":         fill("<x"+manyDecls+">", "</x>", same(`<p0:a xmlns="u:1"/>`)),
		"declarations on each sibling":     fill("", "", same("<x"+manyDecls+"/>")),
		"new namespaces":                   fill("", "", func(i int) string { return fmt.Sprintf(`<a xmlns="u:%d"/>`, i%1000) }),
		"deep nesting":                     fill("", "", same(strings.Repeat("<a>", 250)+strings.Repeat("</a>", 250))),
		"deep nesting of declarations":     fill("", "", same(list(120, func(i int) string { return fmt.Sprintf(`<p%d:a xmlns:p%[1]d="u:%[1]d">`, i) })+list(120, func(i int) string { return fmt.Sprintf(`</p%d:a>`, 119-i) }))),
		"long names":                       fill("", "", same("<"+strings.Repeat("n", 10_000)+"/>")),
		"one long name":                    fill("<"+strings.Repeat("n", 45_000)+">", "</"+strings.Repeat("n", 45_000)+">", same(" ")),
		"references":                       fill("", "", same("&lt;")),
		"references in a value":            fill(`<a b="`, `"/>`, same("&#65;")),
		"ampersands":                       fill("", "", same("&")),
		"a reference without an end":       fill("", "", same("&aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")),
		"closing brackets":                 fill("", "", same("]")),
		"closing brackets in CDATA":        fill("<![CDATA[", "]]>", same("]")),
		"small CDATA":                      fill("", "", same("<![CDATA[]]>")),
		"open CDATA":                       fill("", "", same("<![CDATA[")),
		"greater-than":                     fill("", "", same(">")),
		"carriage returns":                 fill("", "", same("\r")),
		"wide characters":                  fill("", "", same("é")),
		"wide names":                       fill("", "", same("<é/>")),
		"small comments":                   fill("", "", same("<!---->")),
		"a large comment":                  fill("<!--", "-->", same("- ")),
		"an open comment":                  fill("<!--", "", same("- ")),
		"white space in tags":              fill("<a", "/>", same(" ")),
		"quotes":                           fill("<a b='", "'/>", same(`"`)),
		"ids":                              fill("", "", func(i int) string { return fmt.Sprintf(`<a Id="%d"/>`, i) }),
		"scopes in addressing headers":     longHeader(`<a xmlns="u:1"> </a>`),
		"text in pieces in a header":       longHeader(`<a/>xxx<!---->`),
		"CDATA in pieces in a header":      longHeader(strings.Repeat(`<![CDATA[x]]>`, 100)),
	}
}

// process does what the gateway does with a document at the least: the index, and both canonical forms of Body.
func process(src xmlscan.Source, w io.Writer) error {
	m, err := Read(src, Limits{})
	if err != nil {
		return err
	}
	for _, exclusive := range []bool{true, false} {
		if err := c14n.Write(w, m.Scan(&m.Body), c14n.Method{Exclusive: exclusive}); err != nil {
			return err
		}
	}
	return nil
}

// What attacks cost is for BenchmarkRead_Attacks to print; here they must mean the same in memory and through a window,
// and must not grow.
func TestRead_AttacksComeToLittle(t *testing.T) {
	for name, doc := range attacks() {
		t.Run(name, func(t *testing.T) {
			var inMemory, windowed bytes.Buffer
			err := process(xmlscan.Memory(doc), &inMemory)
			errWindowed := process(file{bytes.NewReader([]byte(doc))}, &windowed)
			if (err == nil) != (errWindowed == nil) || !bytes.Equal(inMemory.Bytes(), windowed.Bytes()) {
				t.Errorf("through a window: %v, in memory: %v; or another canonical form", errWindowed, err)
			}
			if n := inMemory.Len(); n > 100*len(doc) {
				t.Errorf("%d bytes have a canonical form of %d", len(doc), n)
			}
		})
	}
}

func BenchmarkRead_Attacks(b *testing.B) {
	for name, doc := range attacks() {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				process(xmlscan.Memory(doc), io.Discard)
			}
		})
	}
}
