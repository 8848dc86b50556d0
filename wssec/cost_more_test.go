package wssec_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"gsigw/soap"
	. "gsigw/wssec"
	"gsigw/wssec/c14n"
)

// filled puts as many pieces in front of a place as make a message of the size of costly ones.
func filled(doc, before string, piece func(i int) string) string {
	var b strings.Builder
	for i := 0; len(doc)+b.Len() < costSize; i++ {
		b.WriteString(piece(i))
	}
	return strings.Replace(doc, before, b.String()+before, 1)
}

func each(piece string) func(int) string { return func(int) string { return piece } }

// declarations are n namespace declarations with names of so many bytes, and prefixes of so many.
func declarations(n, name, prefix int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `xmlns:%s%03d="urn:%s%d" `, strings.Repeat("n", prefix), i, strings.Repeat("x", name), i)
	}
	return b.String()
}

// costlyContent is what a signer who is trusted, or anybody after one who was, puts into Body: the signature of a small
// message holds for SignedInfo, and Body is digested before it is found to be another.
func costlyContent(t testing.TB, g *grid) map[string]string {
	in := func(decls, open, end string, piece func(int) string) string {
		plain := strings.Replace(plainRequest, "<soapenv:Envelope ", "<soapenv:Envelope "+decls, 1)
		signed := secure(t, &GSIMessage{}, strings.Replace(plain, "5 &amp;", open+"HERE"+end, 1), g.ECUser)
		return strings.Replace(filled(signed, "HERE", piece), "HERE", "", 1)
	}
	resigned := func(decls string, piece func(int) string) string {
		plain := strings.Replace(plainRequest, "<soapenv:Envelope ", "<soapenv:Envelope "+decls, 1)
		edit, _, err := (&GSIMessage{}).Secure(t.Context(), parse(t, filled(plain, "</add>", piece)), g.ECUser)
		if err != nil { // it grows too much to be signed; so it is made after
			return filled(secure(t, &GSIMessage{}, plain, g.ECUser), "</add>", piece)
		}
		return string(must(io.ReadAll(edit.Reader())))
	}
	many := declarations(110, 1, 1)
	deep := strings.Repeat("<d>", 240)
	return map[string]string{
		"a long name declared again by each":      in("", `<p:b xmlns:p="urn:p" xmlns="urn:`+strings.Repeat("x", 500)+`">`, `</p:b>`, each("<a/>")),
		"as much growth as there may be":          in("", `<p:b xmlns:p="urn:p" xmlns="urn:`+strings.Repeat("x", 40)+`">`, `</p:b>`, each("<a/>")),
		"two names in turn":                       in("", "", "", each(`<a xmlns="urn:a"/><a xmlns="urn:b"/>`)),
		"many names for elements":                 resigned(many, func(i int) string { return fmt.Sprintf("<n%03d:a/>", i%110) }),
		"the outermost name for each element":     resigned(many, each("<n000:a/>")),
		"attributes in many names":                resigned(many, func(i int) string { return "<a " + attributes(110) + "/>" }),
		"long names in order":                     resigned(declarations(100, 480, 1), func(i int) string { return "<a " + attributes(100) + "/>" }),
		"colons after what nothing declares":      resigned(many, each("zzzz:")),
		"colons after what is declared outermost": resigned(strings.Replace(many, "n000", "xsd0", 1), each("xsd:")),
		"types":                        resigned(`xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" `+many, each(`<a xsi:type="xsd:int"/>`)),
		"comments in names":            resigned(many, each(`q<!---->`)),
		"CDATA in names":               resigned(many, each(`q<![CDATA[]]>`)),
		"references":                   resigned(many, each(`&#58;`)),
		"prefixes renamed in each":     resigned("", func(i int) string { return fmt.Sprintf(`<p%d:a xmlns:p%[1]d="urn:p"/>`, i%10) }),
		"links":                        resigned("", each(`<a href="#x"/>`)),
		"links and what they point to": resigned("", func(i int) string { return fmt.Sprintf(`<a id="%d" href="#%[1]d"/>`, i) }),
		"links that point to one":      resigned("", func(i int) string { return `<a href="#soapenv"/><b id="soapenv"/>` }),
		"depth":                        in(many, deep, strings.Repeat("</d>", 240), each(`<e/>`)),
		"depth of names":               in("", nested(100), strings.Repeat("</d>", 100), each(`<e a="n:a"/>`)),
		"white space in a tag":         resigned("", each("<a               />")),
		"attributes without a name space, in order": resigned("", func(i int) string { return "<a " + numbered(200) + "/>" }),
	}
}

// costlyHeaders are header blocks and security headers that cost.
func costlyHeaders(t testing.TB, g *grid) map[string]string {
	signed := secure(t, &GSIMessage{}, plainRequest, g.ECUser)
	many := strings.Replace(plainRequest, "<soapenv:Envelope ", "<soapenv:Envelope "+declarations(110, 400, 1), 1)
	listed := `<ec:InclusiveNamespaces xmlns:ec="` + c14n.ExclusiveURI + `" PrefixList="`
	for i := range 110 {
		listed += fmt.Sprintf("n%03d ", i)
	}
	listed += `"/>`
	headers := many
	for i := range 58 {
		headers = strings.Replace(headers, "</soapenv:Header>", fmt.Sprintf(`<x:h%d xmlns:x="urn:x"/></soapenv:Header>`, i), 1)
	}
	seal := sealer{key: g.ECUser.Key}
	all := secure(t, &GSIMessage{}, headers, g.ECUser)
	return map[string]string{
		"all names on each header, listed":   seal.loose(t, everywhere(transformEnd, listed+transformEnd)(all)),
		"all names on each header, anyway":   seal.loose(t, everywhere(c14n.ExclusiveURI, c14n.InclusiveURI)(all)),
		"a list of the same prefix":          filled(strings.Replace(signed, transformEnd, listed[:len(listed)-3]+`LIST"/>`+transformEnd, 1), "LIST", each("p ")),
		"a token of white space":             filled(signed, "</wsse:BinarySecurityToken>", each("\n")),
		"names in the security header":       filled(signed, "<ds:Signature ", func(i int) string { return fmt.Sprintf(`<a xmlns:p%d="urn:p"/>`, i) }),
		"depth in the security header":       filled(signed, "<ds:Signature ", each(nested(60)+strings.Repeat("</d>", 60))),
		"addressing":                         filled(signed, "</wsa:From>", each("<a/>")),
		"relations":                          filled(signed, "</soapenv:Header>", each("<wsa:RelatesTo>a</wsa:RelatesTo>")),
		"ids of the signed parts":            filled(signed, "</add>", each(`<a Id="`+bodyID(signed)+`"/>`)),
		"headers":                            filled(signed, "</soapenv:Header>", each("<a/>")),
		"security headers for somebody else": filled(signed, "</soapenv:Header>", each(`<wsse:Security soapenv:actor="urn:x" xmlns:wsse="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"/>`)),
	}
}

// loose is seal where the references cannot be digested, for their size: the signature holds, whatever they say.
func (s sealer) loose(t testing.TB, doc string) string {
	t.Helper()
	m, sig := signatureOf(t, doc)
	return edited(t, m, soap.Change{Span: sig.Child(DSig, "SignatureValue").Inner(), With: base64Of(s.sign(t, m, sig.Child(DSig, "SignedInfo")))})
}

func attributes(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `n%03d:a="" `, (i*37)%n)
	}
	return b.String()
}

func numbered(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `a%d="" `, (i*37)%n)
	}
	return b.String()
}

func nested(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `<d xmlns:n%d="urn:n%[1]d">`, i)
	}
	return b.String()
}
