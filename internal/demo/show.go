package demo

import (
	"encoding/base64"
	"fmt"
	"io"
	"strings"

	"github.com/beevik/etree"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
)

const (
	createAction = "http://counter.com/CounterPortType/createCounterRequest"
	addAction    = "http://counter.com/CounterPortType/addRequest"

	addRequest = `<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/">
  <soapenv:Header>
    <CounterKey xmlns="http://counter.com">%s</CounterKey>
  </soapenv:Header>
  <soapenv:Body>
    <add xmlns="http://counter.com">5</add>
  </soapenv:Body>
</soapenv:Envelope>
`
)

var createRequest = []byte(`<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/">
  <soapenv:Body>
    <createCounter xmlns="http://counter.com"/>
  </soapenv:Body>
</soapenv:Envelope>
`)

// printer writes for people.
type printer struct {
	w        io.Writer
	colour   bool
	chapters int
}

func (p *printer) chapter(title string) {
	p.chapters++
	fmt.Fprintf(p.w, "\n%s\n", p.in("1", fmt.Sprintf("%d  %s", p.chapters, title)))
}

func (p *printer) line(format string, args ...any) { fmt.Fprintf(p.w, "   "+format+"\n", args...) }

func (p *printer) good(format string, args ...any) {
	fmt.Fprintf(p.w, "   %s %s\n", p.in("32", "ok"), fmt.Sprintf(format, args...))
}

func (p *printer) bad(format string, args ...any) {
	fmt.Fprintf(p.w, "   %s %s\n", p.in("31", "no"), fmt.Sprintf(format, args...))
}

// listing shows text that is not ours, indented.
func (p *printer) listing(text string) {
	for line := range strings.Lines(strings.TrimRight(text, "\n") + "\n") {
		fmt.Fprintf(p.w, "     %s\n", p.in("36", strings.TrimRight(line, "\n")))
	}
}

func (p *printer) in(code, text string) string {
	if !p.colour {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// outlineOf is a message by its elements, an element with text in one line; what is signed has a plus.
func outlineOf(message []byte) (string, error) {
	doc := etree.NewDocument()
	if err := doc.ReadFromBytes(message); err != nil {
		return "", fmt.Errorf("demo: %w", err)
	}
	o := &outline{signed: map[string]bool{}}
	for _, r := range doc.FindElements("//Reference[@URI]") {
		if r.SelectElement("DigestValue") != nil {
			o.signed[strings.TrimPrefix(r.SelectAttrValue("URI", ""), "#")] = true
		}
	}
	o.element(doc.Root(), 0)
	return o.String(), nil
}

type outline struct {
	strings.Builder
	signed map[string]bool // ids
}

func (o *outline) element(e *etree.Element, depth int) {
	mark := " "
	if id := e.SelectAttrValue("wsu:Id", ""); o.signed[id] {
		mark = "+"
	}
	line := fmt.Sprintf("%s %s%s  %s", mark, strings.Repeat("  ", depth), e.Tag, summary(e))
	o.WriteString(strings.TrimRight(line, " ") + "\n")
	if e.Tag == "Signature" || e.Tag == "EncryptedData" || e.Tag == "EncryptedKey" {
		return
	}
	for _, child := range e.ChildElements() {
		o.element(child, depth+1)
	}
}

// summary is what an element says, in one line.
func summary(e *etree.Element) string {
	switch e.Tag {
	case "BinarySecurityToken":
		return tokenSummary(e)
	case "Signature":
		method := e.FindElement("SignedInfo/SignatureMethod")
		return fmt.Sprintf("%s over %d parts", afterHash(method.SelectAttrValue("Algorithm", "")), len(e.FindElements("SignedInfo/Reference")))
	case "EncryptedData", "EncryptedKey":
		return afterHash(e.FindElement("EncryptionMethod").SelectAttrValue("Algorithm", ""))
	}
	return strings.Join(strings.Fields(e.Text()), " ")
}

func tokenSummary(e *etree.Element) string {
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(e.Text()), ""))
	if err != nil {
		return "not base64"
	}
	chain, err := gsi.ParsePKIPath(der, 16)
	if err != nil {
		return "not a PKIPath"
	}
	return fmt.Sprintf("%s: the certificates of %s and of %d proxy", afterHash(e.SelectAttrValue("ValueType", "")), gridtest.UserName, len(chain)-1)
}

func afterHash(uri string) string { return uri[strings.LastIndex(uri, "#")+1:] }

func between(s, before, after string) string {
	_, s, ok := strings.Cut(s, before)
	if !ok {
		return ""
	}
	s, _, _ = strings.Cut(s, after)
	return s
}
