package gridtest

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf16"

	"gsigw/wssec"
)

// editor changes a message step by step.
type editor struct {
	*Base
	attack *Attack
	doc    string
	judged bool // want was met
}

// do takes one step.
func (e *editor) do(verb, args string) error {
	switch verb {
	case "want":
		e.judged = true
		switch args {
		case "same":
		case "same-parts":
			e.attack.Differs = true
		default:
			e.attack.Want = wssec.Class(args)
		}
		return nil
	case "signer":
		e.attack.Signer = e.names[args]
		return nil
	case "peer":
		e.attack.Peer = e.names[args]
		return nil
	case "later":
		d, err := time.ParseDuration(args)
		e.attack.After = d
		return err
	case "first":
		e.attack.First = []byte(e.doc)
		return nil
	case "seal":
		return e.seal(args, Seal)
	case "sign":
		return e.seal(args, SealInfo)
	case "swap", "swap-all", "match":
		return e.swap(verb, args)
	case "utf16":
		e.doc = utf16BE(e.doc)
		return nil
	}
	at, text, _ := strings.Cut(args, " ")
	text, err := e.expand(text)
	if err != nil {
		return err
	}
	return e.place(verb, at, text)
}

func (e *editor) seal(who string, seal func(string, Sealer) (string, error)) (err error) {
	e.attack.Differs = true
	s := Sealer{Key: e.Credential.Key}
	if who != "" {
		c := e.credentials[who]
		if c == nil {
			return fmt.Errorf("%s has no key", who)
		}
		s.Key = c.Key
	}
	e.doc, err = seal(e.doc, s)
	return err
}

func (e *editor) swap(verb, args string) error {
	old, new, ok := strings.Cut(args, " => ")
	if !ok {
		old, ok = strings.CutSuffix(args, " =>")
	}
	if !ok {
		return errors.New("not OLD => NEW")
	}
	var err error
	if verb != "match" {
		if old, err = e.expand(old); err != nil {
			return err
		}
	}
	if new, err = e.expand(new); err != nil {
		return err
	}
	re := regexp.MustCompile(regexp.QuoteMeta(old))
	if verb == "match" {
		re = regexp.MustCompile(old)
	} else {
		new = strings.ReplaceAll(new, "$", "$$")
	}
	found := re.FindStringIndex(e.doc)
	switch {
	case found == nil:
		return fmt.Errorf("%q is not in the message", old)
	case verb == "swap-all":
		e.doc = re.ReplaceAllString(e.doc, new)
	default:
		hit := e.doc[found[0]:found[1]]
		e.doc = e.doc[:found[0]] + re.ReplaceAllString(hit, new) + e.doc[found[1]:]
	}
	return nil
}

// place puts text at an element, or in its place.
func (e *editor) place(verb, anchor, text string) error {
	at, err := e.find(anchor)
	if err != nil {
		return err
	}
	switch verb {
	case "before":
		e.put(at.start, at.start, text)
	case "after":
		e.put(at.end, at.end, text)
	case "first-in":
		e.put(at.inner, at.inner, text)
	case "last-in":
		e.put(at.endTag, at.endTag, text)
	case "instead":
		e.put(at.start, at.end, text)
	case "remove":
		e.put(at.start, at.end, "")
	case "text":
		e.put(at.inner, at.endTag, text)
	case "attr":
		e.put(at.name, at.name, " "+text)
	case "unattr":
		return e.unattr(at, text)
	case "rename":
		return e.rename(at, text)
	default:
		return errors.New("no such step")
	}
	return nil
}

func (e *editor) put(from, to int, text string) { e.doc = e.doc[:from] + text + e.doc[to:] }

func (e *editor) unattr(at place, name string) error {
	tag := e.doc[at.start:at.inner]
	re := regexp.MustCompile(` ` + regexp.QuoteMeta(name) + `="[^"]*"`)
	if !re.MatchString(tag) {
		return fmt.Errorf("%s has no %s", tag, name)
	}
	e.put(at.start, at.inner, re.ReplaceAllString(tag, ""))
	return nil
}

func (e *editor) rename(at place, to string) error {
	if at.endTag == at.end {
		return errors.New("the element is empty")
	}
	e.put(at.endTag, at.end, "</"+to+">")
	e.put(at.start+1, at.name, to)
	return nil
}

func utf16BE(doc string) string {
	out := []byte{0xfe, 0xff}
	for _, u := range utf16.Encode([]rune(doc)) {
		out = append(out, byte(u>>8), byte(u))
	}
	return string(out)
}

// place is where an element stands in the text.
type place struct{ start, name, inner, endTag, end int }

// find finds an element by a path of anchors, A/B: the first B in the first A.
func (e *editor) find(anchor string) (place, error) {
	at := place{inner: 0, endTag: len(e.doc)}
	for part := range strings.SplitSeq(anchor, "/") {
		open, ok := e.opening(part)
		if !ok {
			return at, fmt.Errorf("no element can be called %s", part)
		}
		var err error
		if at, err = locate(e.doc, open, at.inner, at.endTag); err != nil {
			return at, fmt.Errorf("%s: %w", part, err)
		}
	}
	return at, nil
}

// opening is how the start tag of an anchor begins.
func (e *editor) opening(anchor string) (string, bool) {
	if of, ok := strings.CutPrefix(anchor, "ref:"); ok {
		id, err := e.id(of)
		return `<ds:Reference URI="#` + id + `"`, err == nil
	}
	if name, ok := anchors[anchor]; ok {
		return "<" + name, true
	}
	return "<" + anchor, anchor != ""
}

// anchors are the short names of elements, as the bases write them.
var anchors = map[string]string{
	"Envelope": "soapenv:Envelope", "Header": "soapenv:Header", "Body": "soapenv:Body", "Security": "wsse:Security",
	"BST": "wsse:BinarySecurityToken", "STR": "wsse:SecurityTokenReference", "TokenRef": "wsse:Reference",
	"Timestamp": "wsu:Timestamp", "Created": "wsu:Created", "Expires": "wsu:Expires",
	"MessageID": "wsa:MessageID", "To": "wsa:To", "Action": "wsa:Action", "From": "wsa:From", "RelatesTo": "wsa:RelatesTo",
	"ReplyTo": "wsa:ReplyTo", "Key": "ns1:CounterKey", "Signature": "ds:Signature", "SignedInfo": "ds:SignedInfo",
	"SignatureValue": "ds:SignatureValue", "KeyInfo": "ds:KeyInfo", "C14N": "ds:CanonicalizationMethod",
	"SignatureMethod": "ds:SignatureMethod", "Transforms": "ds:Transforms", "Transform": "ds:Transform",
	"DigestMethod": "ds:DigestMethod", "DigestValue": "ds:DigestValue", "EncryptedKey": "xenc:EncryptedKey",
	"EncryptedData": "xenc:EncryptedData",
}

// locate finds an element by how its start tag begins, in a stretch of the text.
func locate(doc, open string, from, to int) (at place, err error) {
	for at.start = from; ; at.start++ {
		i := strings.Index(doc[at.start:to], open)
		if i < 0 {
			return at, errors.New("is not in the message")
		}
		at.start += i
		if strings.ContainsRune(" />\n\t", rune(doc[at.start+len(open)])) {
			break
		}
	}
	name := doc[at.start+1 : at.start+strings.IndexAny(doc[at.start:], " />\n\t")]
	at.name = at.start + 1 + len(name)
	at.inner = at.start + strings.IndexByte(doc[at.start:], '>') + 1
	at.endTag, at.end = at.inner, at.inner
	if doc[at.inner-2] == '/' {
		return at, nil
	}
	tags := regexp.MustCompile(`</?` + regexp.QuoteMeta(name) + `([ \n\t][^>]*)?/?>`)
	depth := 1
	for _, t := range tags.FindAllStringIndex(doc[at.inner:], -1) {
		switch tag := doc[at.inner+t[0] : at.inner+t[1]]; {
		case strings.HasPrefix(tag, "</"):
			depth--
		case !strings.HasSuffix(tag, "/>"):
			depth++
		}
		if depth == 0 {
			at.endTag, at.end = at.inner+t[0], at.inner+t[1]
			return at, nil
		}
	}
	return at, errors.New("has no end")
}
