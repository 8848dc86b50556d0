package wssec_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"gsigw/soap"
	. "gsigw/wssec"
)

// wrapped are the elements that are moved, each with what the attacker would have instead.
var wrapped = []struct{ name, evil string }{
	{"soapenv:Body", `<soapenv:Body%s><add xmlns="http://counter.com">666</add></soapenv:Body>`},
	{"wsu:Timestamp", `<wsu:Timestamp xmlns:wsu="` + soap.WSU + `"%s><wsu:Created>2036-01-01T00:00:00Z</wsu:Created><wsu:Expires>2036-01-01T00:05:00Z</wsu:Expires></wsu:Timestamp>`},
	{"wsa:MessageID", `<wsa:MessageID%s>uuid:666</wsa:MessageID>`},
	{"wsa:To", `<wsa:To%s>urn:evil</wsa:To>`},
	{"wsa:Action", `<wsa:Action%s>urn:evil</wsa:Action>`},
	{"wsa:From", `<wsa:From%s><wsa:Address>urn:evil</wsa:Address></wsa:From>`},
	{"ns1:CounterKey", `<ns1:CounterKey xmlns:ns1="http://counter.com"%s>666</ns1:CounterKey>`},
}

// left is what stands where the element was.
var left = map[string]string{
	"nothing":        "",
	"evil":           "",
	"evil, own id":   ` xmlns:u="` + soap.WSU + `" u:Id="evil"`,
	"evil, same id":  ` xmlns:u="` + soap.WSU + `" u:Id="%s"`,
	"evil, plain Id": ` Id="%s"`,
	"evil, ID":       ` ID="%s"`,
	"evil, xml:id":   ` xml:id="%s"`,
	"evil, encoded":  ` xmlns:u="` + soap.WSU + `" u:Id="%s"`, // its '-' as a reference
}

// places are where it is moved to, by the text in front of which it is put; block says that a header block is
// one there, too.
var places = []struct {
	name, before, open, end string
	block                   bool
}{
	{"first header block", "<wsse:Security ", "", "", true},
	{"last header block", "</soapenv:Header>", "", "", true},
	{"in a header block", "</soapenv:Header>", `<x:wrap xmlns:x="urn:x">`, `</x:wrap>`, false},
	{"deep in a header block", "</soapenv:Header>", `<x:wrap xmlns:x="urn:x"><x:a><x:b>`, `</x:b></x:a></x:wrap>`, false},
	{"in another's header block", "</soapenv:Header>", `<x:wrap xmlns:x="urn:x" soapenv:actor="urn:other">`, `</x:wrap>`, false},
	{"in another's Security", "</soapenv:Header>", `<s:Security xmlns:s="` + soap.WSSE + `" soapenv:actor="urn:other">`, `</s:Security>`, false},
	{"in an envelope in a header block", "</soapenv:Header>", `<soapenv:Envelope><soapenv:Header/>`, `</soapenv:Envelope>`, false},
	{"in a header in the header", "</soapenv:Header>", `<soapenv:Header>`, `</soapenv:Header>`, false},
	{"in Security", "</wsse:Security>", "", "", false},
	{"first in Security", "<wsse:BinarySecurityToken", "", "", false},
	{"wrapped in Security", "</wsse:Security>", `<x:wrap xmlns:x="urn:x">`, `</x:wrap>`, false},
	{"in Security in Security", "</wsse:Security>", `<wsse:Security>`, `</wsse:Security>`, false},
	{"in the signature", "</ds:Signature>", `<ds:Object>`, `</ds:Object>`, false},
	{"in KeyInfo", "</ds:KeyInfo>", "", "", false},
	{"in the token reference", "</wsse:SecurityTokenReference>", "", "", false},
	{"in the token", "</wsse:BinarySecurityToken>", "", "", false},
	{"in SignedInfo", "</ds:SignedInfo>", "", "", false},
	{"in To", "</wsa:To>", "", "", false},
	{"in Body", "</soapenv:Body>", "", "", false},
	{"in the operation", "</add>", "", "", false},
	{"before Header", "<soapenv:Header>", "", "", false},
	{"after Header", "<soapenv:Body", "", "", false},
	{"after Body", "</soapenv:Envelope>", "", "", false},
	{"in the envelope", "</soapenv:Envelope>", `<x:wrap xmlns:x="urn:x">`, `</x:wrap>`, false},
}

// Every signed element is moved to every place, with everything in its stead: only where it counts as before, with
// nothing in its stead, is it as good as before.
func TestVerify_RefusesEveryWrapping(t *testing.T) {
	g := newGrid(t)
	signed := secure(t, &GSIMessage{}, plainRequest, g.User)
	original, err := verifyBytes(g.verifier, []byte(signed), Expect{})
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, w := range wrapped {
		for leftName, attr := range left {
			for _, p := range places {
				doc, ok := wrap(signed, w.name, evil(signed, w.name, w.evil, leftName, attr), p.open, p.end, p.before)
				if !ok {
					continue // into itself
				}
				count++
				name := fmt.Sprintf("%s %s, %s left", w.name, p.name, leftName)
				got, err := verifyBytes(g.verifier, []byte(doc), Expect{})
				if leftName == "nothing" && isHome(w.name, p.name, p.block) {
					if err != nil || !sameParts(got, original) {
						t.Errorf("%s: %v", name, err)
					}
					continue
				}
				e, ok := errors.AsType[*Error](err)
				if !ok {
					t.Errorf("%s: accepted", name)
					continue
				}
				if want := classesOf(leftName, p.block); !slices.Contains(want, e.Class) {
					t.Errorf("%s: %s (%v), want one of %s", name, e.Class, e, want)
				}
			}
		}
	}
	t.Logf("%d wrappings", count)
}

// isHome reports whether the place is one where such an element counts.
func isHome(name, place string, block bool) bool {
	switch name {
	case "soapenv:Body":
		return place == "after Header" || place == "after Body"
	case "wsu:Timestamp":
		return place == "in Security" || place == "first in Security"
	}
	return block
}

// classesOf are the classes that fit. A message that is no envelope any more is malformed, and so is a signature with
// something in it; what was put into a signed element changed that.
func classesOf(leftName string, block bool) []Class {
	classes := []Class{ClassMalformed, ClassDigest, ClassSignature}
	switch leftName {
	case "evil, same id", "evil, plain Id", "evil, ID", "evil, xml:id", "evil, encoded":
		return append(classes, ClassDuplicateID)
	}
	if block {
		classes = append(classes, ClassUnsignedPart) // a second resource key
	}
	return append(classes, ClassWrapped)
}

func evil(doc, name, format, leftName, attr string) string {
	if leftName == "nothing" {
		return ""
	}
	id := idOf(doc, name)
	if leftName == "evil, encoded" {
		id = strings.Replace(id, "-", "&#x2d;", 1)
	}
	return fmt.Sprintf(format, strings.ReplaceAll(attr, "%s", id))
}

// wrap moves the element, and puts other where it was.
func wrap(doc, name, other, open, end, before string) (string, bool) {
	el := cut(doc, name)
	if strings.Contains(el, before) && !strings.HasPrefix(el, before) {
		return "", false
	}
	const here = "<!--here-->"
	doc = strings.Replace(doc, el, here, 1)
	at := strings.LastIndex(doc, before)
	if at < 0 {
		at = strings.Index(doc, here)
	}
	doc = doc[:at] + open + el + end + doc[at:]
	return strings.Replace(doc, here, other, 1), true
}

func sameParts(a, b *Verified) bool {
	names := func(v *Verified) (n []string) {
		for _, p := range v.Parts() {
			n = append(n, p.String())
		}
		slices.Sort(n)
		return n
	}
	textA, _ := a.Text()
	textB, _ := b.Text()
	return textA == textB && slices.Equal(names(a), names(b))
}
