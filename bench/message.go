package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
)

// The shapes of a message's Body: small elements, as workflow data is; one long text in lines; one blob in base64.
const (
	elements = "elements"
	text     = "text"
	blob     = "base64"
)

const head = `<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:wsa="http://schemas.xmlsoap.org/ws/2004/03/addressing">` +
	`<soapenv:Header><wsa:MessageID>uuid:0d5b8a6e-6b1f-4d0e-9e39-1f5f64a4c2aa</wsa:MessageID>` +
	`<wsa:To>https://localhost:8443/wsrf/services/Echo</wsa:To><wsa:Action>http://example.org/echo</wsa:Action></soapenv:Header>` +
	`<soapenv:Body><m:echo xmlns:m="http://example.org/echo">`

const tail = `</m:echo></soapenv:Body></soapenv:Envelope>`

// message is a request of about so many bytes with three addressing headers.
func message(shape string, size int) []byte {
	var b bytes.Buffer
	b.WriteString(head)
	left := size - len(head) - len(tail)
	switch shape {
	case elements:
		for n := 0; b.Len() < size-len(tail); n++ {
			fmt.Fprintf(&b, `<m:item id="%d" kind="data">value number %[1]d &amp; some text padding here</m:item>`, n)
		}
	case text:
		const line = "Sea surface temperature, 17.25 degrees, as measured off the coast, and what else a text may say.\n"
		b.WriteString("<m:data>" + strings.Repeat(line, left/len(line)) + "</m:data>")
	case blob:
		b.WriteString("<m:data>" + base64.StdEncoding.EncodeToString(randomBytes(left*3/4)) + "</m:data>")
	}
	b.WriteString(tail)
	return b.Bytes()
}

// randomBytes are the same in every run.
func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{}).Read(b)
	return b
}

var filledIn = regexp.MustCompile(`(<ds:DigestValue>|<ds:SignatureValue>)[^<]*`)

// template is a signed message without its digests and its signature value, for xmlsec1 to fill in.
func template(signed []byte) []byte { return filledIn.ReplaceAll(signed, []byte("$1")) }
