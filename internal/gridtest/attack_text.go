package gridtest

import (
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"gsigw/soap"
	"gsigw/wssec/c14n"
)

var inBraces = regexp.MustCompile(`\{[^{}]*\}`)

var escapes = strings.NewReplacer(`\n`, "\n", `\r`, "\r", `\t`, "\t", `\s`, " ")

// expand fills in what stands in braces in a step's text, the innermost first.
func (e *editor) expand(text string) (string, error) {
	text = escapes.Replace(text)
	var failed error
	for failed == nil && inBraces.MatchString(text) {
		text = inBraces.ReplaceAllStringFunc(text, func(s string) string {
			with, err := e.value(s[1 : len(s)-1])
			if err != nil && failed == nil {
				failed = fmt.Errorf("%s: %w", s, err)
			}
			return with
		})
	}
	return text, failed
}

// spaces are the names of namespaces and algorithms.
var spaces = map[string]string{
	"wsse": soap.WSSE, "wsu": soap.WSU, "soap11": soap.Envelope11, "soap12": soap.Envelope12, "ds": "http://www.w3.org/2000/09/xmldsig#",
	"dsmore": "http://www.w3.org/2001/04/xmldsig-more#", "xenc": "http://www.w3.org/2001/04/xmlenc#", "wsa2003": soap.Addressing200403,
	"wsa2004": soap.Addressing200408, "wsa2005": soap.Addressing200508, "exc": c14n.ExclusiveURI, "inc": c14n.InclusiveURI,
	"enc11": "http://schemas.xmlsoap.org/soap/encoding/", "enc12": soap.Encoding12, "xsd": "http://www.w3.org/2001/XMLSchema",
	"xsi": "http://www.w3.org/2001/XMLSchema-instance", "next": "http://schemas.xmlsoap.org/soap/actor/next",
	"token": "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-x509-token-profile-1.0#",
}

// value is what {expr} stands for.
func (e *editor) value(expr string) (string, error) {
	word, args, _ := strings.Cut(expr, " ")
	switch word {
	case "evil":
		return evil(args)
	case "path", "cert":
		return e.token(word, strings.Fields(args))
	case "base64":
		return e.recoded(args)
	case "time":
		return e.time(args)
	case "x":
		b, err := hex.DecodeString(strings.ReplaceAll(args, " ", ""))
		return string(b), err
	case "times":
		n, what, _ := strings.Cut(args, " ")
		count, err := strconv.Atoi(n)
		return strings.Repeat(what, count), err
	}
	if space, ok := spaces[word]; ok && args == "" {
		return space, nil
	}
	name, of, _ := strings.Cut(expr, ".")
	original := &editor{Base: e.Base, doc: e.Message}
	at, err := original.find(name)
	if err != nil {
		return "", err
	}
	switch of {
	case "":
		return e.Message[at.start:at.end], nil
	case "text":
		return e.Message[at.inner:at.endTag], nil
	case "tag":
		return e.Message[at.start:at.inner], nil
	case "id":
		return e.id(name)
	case "space":
		return e.space(name)
	}
	return "", fmt.Errorf("an element has no %s", of)
}

// space is the namespace of an element, as Envelope binds its prefix.
func (b *Base) space(anchor string) (string, error) {
	prefix, _, _ := strings.Cut(anchors[anchor], ":")
	_, rest, ok := strings.Cut(b.Message, " xmlns:"+prefix+`="`)
	space, _, closed := strings.Cut(rest, `"`)
	if !ok || !closed {
		return "", fmt.Errorf("%s has a namespace that Envelope does not bind", anchor)
	}
	return space, nil
}

var idPattern = regexp.MustCompile(` (?:wsu:)?Id="([^"]*)"`)

// id is the id of an element in the message as it was before the attack.
func (b *Base) id(anchor string) (string, error) {
	original := &editor{Base: b, doc: b.Message}
	at, err := original.find(anchor)
	if err != nil {
		return "", err
	}
	m := idPattern.FindStringSubmatch(b.Message[at.start:at.inner])
	if m == nil {
		return "", fmt.Errorf("%s has no id", anchor)
	}
	return m[1], nil
}

// time is a point in time seen from when the base was made: {time +5m}, {time +5m LAYOUT}.
func (e *editor) time(args string) (string, error) {
	offset, layout, ok := strings.Cut(args, " ")
	if !ok {
		layout = time.RFC3339
	}
	d, err := time.ParseDuration(offset)
	return e.At.UTC().Add(d).Format(layout), err
}

// token encodes certificates: a path of them in the order given, or one.
func (e *editor) token(kind string, names []string) (string, error) {
	var body []byte
	for _, name := range names {
		c := e.certificates[name]
		if c == nil {
			return "", fmt.Errorf("nobody is called %s", name)
		}
		body = append(body, c.Raw...)
	}
	if kind == "path" {
		var err error
		if body, err = asn1.Marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: body}); err != nil {
			return "", err
		}
	}
	return base64.StdEncoding.EncodeToString(body), nil
}

// recoded is the token with hexadecimal bytes behind it.
func (e *editor) recoded(more string) (string, error) {
	tail, err := hex.DecodeString(more)
	if err != nil {
		return "", err
	}
	at, err := e.find("BST")
	if err != nil {
		return "", err
	}
	der, err := base64.StdEncoding.DecodeString(e.doc[at.inner:at.endTag])
	return base64.StdEncoding.EncodeToString(append(der, tail...)), err
}

// evils are what the attacker would have instead of an element; %s are attributes.
var evils = map[string]string{
	"Body":      `<soapenv:Body%s><add xmlns="http://counter.com">666</add></soapenv:Body>`,
	"Timestamp": `<wsu:Timestamp xmlns:wsu="` + soap.WSU + `"%s><wsu:Created>2036-01-01T00:00:00Z</wsu:Created><wsu:Expires>2036-01-01T00:05:00Z</wsu:Expires></wsu:Timestamp>`,
	"MessageID": `<wsa:MessageID%s>uuid:666</wsa:MessageID>`,
	"RelatesTo": `<wsa:RelatesTo%s>uuid:666</wsa:RelatesTo>`,
	"To":        `<wsa:To%s>urn:evil</wsa:To>`,
	"Action":    `<wsa:Action%s>urn:evil</wsa:Action>`,
	"From":      `<wsa:From%s><wsa:Address>urn:evil</wsa:Address></wsa:From>`,
	"ReplyTo":   `<wsa:ReplyTo%s><wsa:Address>urn:evil</wsa:Address></wsa:ReplyTo>`,
	"Key":       `<ns1:CounterKey xmlns:ns1="http://counter.com"%s>666</ns1:CounterKey>`,
}

// evil makes one: {evil Body}, {evil Body Id="x"}.
func evil(args string) (string, error) {
	name, attrs, _ := strings.Cut(args, " ")
	format, ok := evils[name]
	if !ok {
		return "", fmt.Errorf("there is no evil %s", name)
	}
	if attrs != "" {
		attrs = " " + attrs
	}
	return fmt.Sprintf(format, attrs), nil
}
