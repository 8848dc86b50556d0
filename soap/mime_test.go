package soap

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"gsigw/soap/xmlscan"
)

func TestParseContentType(t *testing.T) {
	for _, c := range []struct {
		in        string
		version   Version
		action    string
		multipart bool
	}{
		{`text/xml`, V11, "", false},
		{`Text/XML; charset="UTF-8"`, V11, "", false},
		{`application/soap+xml; charset=utf-8; action="urn:do"`, V12, "urn:do", false},
		{`multipart/related; boundary=b; type="text/xml"; start="<r>"`, V11, "", true},
		{`multipart/related; boundary=b`, 0, "", true},
		{`multipart/related; boundary=b; type="application/xop+xml"; start-info="application/soap+xml; action=\"urn:do\""`, V12, "urn:do", true},
		{`multipart/related; boundary=b; type="application/xop+xml"; start-info="application/soap+xml"; action="urn:do"`, V12, "urn:do", true},
		{`multipart/related; boundary=b; type="application/xop+xml"`, 0, "", true},
	} {
		v, a, m, err := ParseContentType(c.in)
		if err != nil || v != c.version || a != c.action || m != c.multipart {
			t.Errorf("%s: %v %q %v %v", c.in, v, a, m, err)
		}
	}
}

func TestParseContentType_Refuses(t *testing.T) {
	for _, in := range []string{
		``, `xml`, `text/html`, `application/json`, `multipart/form-data; boundary=b`, `multipart/mixed; boundary=b`,
		`text/xml; charset=iso-8859-1`, `text/xml; charset=utf-16`, `text/xml; charset=utf-8; charset=utf-16`, `text/xml; charset=""`,
		`application/soap+xml; charset=us-ascii`, `multipart/related; boundary=b; type="image/png"`,
		`multipart/related; boundary=b; type="text/xml; charset=utf-16"`,
		`multipart/related; boundary=b; type="application/xop+xml"; start-info="application/xop+xml"`,
	} {
		if v, _, m, err := ParseContentType(in); err == nil {
			t.Errorf("%q accepted as %v, multipart %v", in, v, m)
		}
	}
}

const swa = `multipart/related; boundary=b; type="text/xml"; start="<root>"`

var small = envelope(Envelope11, `<e:Body><x xmlns="urn:x"/></e:Body>`)

// mimeBody joins parts, each a header, an empty line and content, with CRLF line ends in the framing.
func mimeBody(parts ...string) string {
	var b strings.Builder
	b.WriteString("preamble\r\n")
	for _, p := range parts {
		head, content, _ := strings.Cut(p, "\n\n")
		b.WriteString("--b\r\n" + strings.ReplaceAll(head, "\n", "\r\n") + "\r\n\r\n" + content + "\r\n")
	}
	return b.String() + "--b--\r\n"
}

var (
	rootPart = "Content-Type: text/xml; charset=utf-8\nContent-ID: <root>\n\n" + small
	attached = "Content-Type: image/png\nContent-ID: <a@b>\n\n\x00\r\n--c\xff"
)

func contentOf(t *testing.T, p *Part) string {
	t.Helper()
	return bytesOf(t, &Message{Source: p.Content})
}

func TestReadMultipart_FindsRootAndAttachments(t *testing.T) {
	for name, c := range map[string]struct{ contentType, body string }{
		"start names a later part":  {swa, mimeBody(attached, rootPart)},
		"without start, the first":  {`multipart/related; boundary=b; type="text/xml"`, mimeBody(rootPart, attached)},
		"without type, the part's":  {`multipart/related; boundary=b`, mimeBody(rootPart, attached)},
		"start without its bracket": {`multipart/related; boundary=b; type="text/xml"; start=root`, mimeBody(attached, rootPart)},
	} {
		p, err := ReadMultipart(c.contentType, strings.NewReader(c.body), Limits{}, nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if bytesOf(t, p.Root) != small || p.XOP || len(p.Attachments) != 1 {
			t.Fatalf("%s: %+v", name, p)
		}
		if a := p.Attachments[0]; a.ID != "a@b" || contentOf(t, a) != "\x00\r\n--c\xff" || a.Header.Get("Content-Type") != "image/png" {
			t.Errorf("%s: attachment %+v", name, a)
		}
	}
}

func TestReadMultipart_UndoesTransferEncodings(t *testing.T) {
	p, err := ReadMultipart(swa, strings.NewReader(mimeBody(
		"Content-Type: text/xml\nContent-ID: <root>\nContent-Transfer-Encoding: base64\n\n"+base64.StdEncoding.EncodeToString([]byte(small)),
		"Content-Transfer-Encoding: Quoted-Printable\n\na=3Db",
	)), Limits{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if bytesOf(t, p.Root) != small || contentOf(t, p.Attachments[0]) != "a=b" {
		t.Errorf("root %s, attachment %q", bytesOf(t, p.Root), contentOf(t, p.Attachments[0]))
	}
}

func TestReadMultipart_Refuses(t *testing.T) {
	whole := mimeBody(rootPart, attached)
	root12 := "Content-Type: application/soap+xml\nContent-ID: <root>\n\n" + envelope(Envelope12, `<e:Body/>`)
	for name, c := range map[string]struct{ contentType, body string }{
		"another type":              {`multipart/mixed; boundary=b`, whole},
		"no boundary":               {`multipart/related; type="text/xml"`, whole},
		"a boundary of 71":          {`multipart/related; boundary=` + strings.Repeat("b", 71), whole},
		"a boundary with a bracket": {`multipart/related; boundary="b<"`, whole},
		"a boundary ending blank":   {`multipart/related; boundary="b "`, whole},
		"no closing delimiter":      {swa, strings.TrimSuffix(whole, "--b--\r\n")},
		"cut inside a part":         {swa, whole[:len(whole)/2]},
		"no parts":                  {swa, mimeBody()},
		"no part that start names":  {swa, mimeBody(attached)},
		"two parts of one id":       {swa, mimeBody(rootPart, attached, attached)},
		"two roots":                 {swa, mimeBody(rootPart, rootPart)},
		"root of another type":      {`multipart/related; boundary=b; type="application/soap+xml"`, mimeBody(rootPart)},
		"root without a type":       {`multipart/related; boundary=b`, mimeBody("X: y\n\n" + small)},
		"root of a foreign type":    {`multipart/related; boundary=b`, mimeBody("Content-Type: text/html\n\n" + small)},
		"root in another charset":   {`multipart/related; boundary=b`, mimeBody("Content-Type: text/xml; charset=utf-16\n\n" + small)},
		"envelope of other version": {`multipart/related; boundary=b`, mimeBody("Content-Type: application/soap+xml\n\n" + small)},
		"start-info of another":     {`multipart/related; boundary=b; type="application/xop+xml"; start-info="text/xml"`, mimeBody("Content-Type: application/xop+xml; type=\"application/soap+xml\"\n\n" + envelope(Envelope12, `<e:Body/>`))},
		"type in a type":            {swa, mimeBody(root12)},
		"malformed root":            {swa, mimeBody("Content-Type: text/xml\nContent-ID: <root>\n\n<a")},
		"unknown transfer encoding": {swa, mimeBody(rootPart, "Content-Transfer-Encoding: x-zip\n\nx")},
		"broken base64":             {swa, mimeBody(rootPart, "Content-Transfer-Encoding: base64\n\n*")},
		"two types on a part":       {swa, mimeBody("Content-Type: text/html\n"+rootPart, attached)},
		"two ids on a part":         {swa, mimeBody("Content-ID: <x>\n"+rootPart, attached)},
	} {
		_, err := ReadMultipart(c.contentType, strings.NewReader(c.body), Limits{}, nil)
		if e, ok := errors.AsType[*xmlscan.Error](err); !ok || e.Class != xmlscan.Malformed && e.Class != xmlscan.Encoding {
			t.Errorf("%s: %v", name, err)
		} else if f := Refusal(xmlscan.Memory(""), err); !f.Sender || strings.Contains(f.Reason, "line") {
			t.Errorf("%s: fault %q", name, f.Reason)
		}
	}
}

func TestReadMultipart_LimitsNameThemselves(t *testing.T) {
	big := "X-Big: " + strings.Repeat("x", 9<<10) + "\n\n"
	for name, c := range map[string]struct {
		l    Limits
		body string
	}{
		"parts":             {Limits{Parts: 2}, mimeBody(rootPart, attached, "A: b\n\nc")},
		"message":           {Limits{MessageBytes: 400}, mimeBody(rootPart, "A: b\n\n"+strings.Repeat("x", 400))},
		"part-header-bytes": {Limits{}, mimeBody(rootPart, big)},
		"depth":             {Limits{Limits: xmlscan.Limits{Depth: 2}}, mimeBody(rootPart)},
	} {
		_, err := ReadMultipart(swa, strings.NewReader(c.body), c.l, nil)
		if e, ok := errors.AsType[*xmlscan.Error](err); !ok || e.Limit != name {
			t.Errorf("%s: %v", name, err)
		}
	}
	whole := mimeBody(rootPart, attached)
	if _, err := ReadMultipart(swa, strings.NewReader(whole), Limits{MessageBytes: int64(len(whole))}, nil); err != nil {
		t.Errorf("a body of exactly the limit: %v", err)
	}
}

func TestReadMultipart_AFailureToKeepIsNotTheMessages(t *testing.T) {
	full := errors.New("disk full")
	_, err := ReadMultipart(swa, strings.NewReader(mimeBody(rootPart)), Limits{}, func(io.Reader) (xmlscan.Source, error) { return nil, full })
	if e, ok := errors.AsType[*xmlscan.Error](err); !ok || e.Class != xmlscan.Unreadable || !errors.Is(err, full) {
		t.Errorf("%v", err)
	}
}

func TestMultipart_WritesWhatItRead(t *testing.T) {
	p, err := ReadMultipart(swa, strings.NewReader(mimeBody(attached, rootPart)), Limits{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	root, err := p.Root.AddAddressing(Addressing200403, "urn:to", "urn:do", fixedUUID)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	contentType, err := p.Write(&out, root)
	if err != nil {
		t.Fatal(err)
	}
	q, err := ReadMultipart(contentType, &out, Limits{}, nil)
	if err != nil {
		t.Fatal(contentType, err)
	}
	if bytesOf(t, q.Root) != bytesOf(t, root) || len(q.Attachments) != 1 || contentOf(t, q.Attachments[0]) != contentOf(t, p.Attachments[0]) || q.Attachments[0].ID != "a@b" {
		t.Errorf("read back %+v", q)
	}
}

const xop = `multipart/related; boundary=b; type="application/xop+xml"; start="<root>"; start-info="text/xml"`

func include(href string) string {
	return `<x:Include xmlns:x="` + xopInclude + `" href="` + href + `"/>`
}

func xopMessage(t *testing.T, body string, parts ...string) *Multipart {
	t.Helper()
	root := "Content-Type: application/xop+xml; type=\"text/xml\"\nContent-ID: <root>\n\n" + envelope(Envelope11, `<e:Body>`+body+`</e:Body>`)
	p, err := ReadMultipart(xop, strings.NewReader(mimeBody(append([]string{root}, parts...)...)), Limits{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !p.XOP || p.Root.Version != V11 {
		t.Fatalf("not read as an XOP package: %+v", p)
	}
	return p
}

func TestInlineXOP_ReplacesEveryInclude(t *testing.T) {
	p := xopMessage(t, `<p a="1">`+include("cid:a%40b")+`</p> <p>`+strings.Replace(include("CID:c"), "/>", "></x:Include>", 1)+`</p>`,
		attached, "Content-ID: <c>\n\n", "Content-ID: <unused>\n\nu", "A: nameless\n\nn")
	m, rest, err := InlineXOP(p.Root, p.Attachments)
	if err != nil {
		t.Fatal(err)
	}
	want := envelope(Envelope11, `<e:Body><p a="1">`+base64.StdEncoding.EncodeToString([]byte("\x00\r\n--c\xff"))+`</p> <p></p></e:Body>`)
	if got := bytesOf(t, m); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if ids := slices.Collect(func(yield func(string) bool) {
		for _, r := range rest {
			yield(r.ID)
		}
	}); !slices.Equal(ids, []string{"unused", ""}) {
		t.Errorf("rest %q", ids)
	}
}

func TestInlineXOP_Refuses(t *testing.T) {
	in := include("cid:a@b")
	for name, body := range map[string]string{
		"text before":         `<p>x` + in + `</p>`,
		"white space before":  `<p> ` + in + `</p>`,
		"text behind":         `<p>` + in + `x</p>`,
		"an element behind":   `<p>` + in + `<q/></p>`,
		"an element before":   `<p><q/>` + in + `</p>`,
		"a comment behind":    `<p>` + in + `<!-- --></p>`,
		"content in Include":  `<p>` + strings.Replace(in, "/>", ">x</x:Include>", 1) + `</p>`,
		"a part that is not":  `<p>` + include("cid:nobody") + `</p>`,
		"the root itself":     `<p>` + include("cid:root") + `</p>`,
		"a part twice":        `<p>` + in + `</p><p>` + in + `</p>`,
		"no href":             `<p>` + strings.Replace(in, "href", "hr", 1) + `</p>`,
		"an href elsewhere":   `<p>` + include("http://h/a@b") + `</p>`,
		"an escape cut short": `<p>` + include("cid:a%4") + `</p>`,
		"an empty href":       `<p>` + include("cid:") + `</p>`,
	} {
		p := xopMessage(t, body, attached, "A: nameless\n\nn")
		if m, _, err := InlineXOP(p.Root, p.Attachments); err == nil {
			t.Errorf("%s: accepted: %s", name, bytesOf(t, m))
		}
	}
}

func TestInlineXOP_StaysWithinMessageBytes(t *testing.T) {
	p := xopMessage(t, `<p>`+include("cid:c")+`</p>`, "Content-ID: <c>\n\n"+strings.Repeat("x", 3000))
	p.Root.limits.MessageBytes = 4000
	_, _, err := InlineXOP(p.Root, p.Attachments)
	if e, ok := errors.AsType[*xmlscan.Error](err); !ok || e.Limit != "message" {
		t.Errorf("%v", err)
	}
}
