package gateway

import (
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strings"
	"testing"

	"gsigw/internal/gridtest"
	"gsigw/internal/policy"
	"gsigw/soap"
	"gsigw/soap/xmlscan"
	"gsigw/wssec"
)

// multipartOf is a SOAP message with attachments; its root comes first.
func multipartOf(root, rootType string, attachments ...string) (contentType, body string) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	w.SetBoundary("frontier")
	part := func(id, kind, text string) {
		p := gridtest.Must(w.CreatePart(textproto.MIMEHeader{"Content-Type": {kind}, "Content-Id": {"<" + id + ">"}, "Content-Transfer-Encoding": {"binary"}}))
		io.WriteString(p, text)
	}
	part("root", rootType, root)
	for i, a := range attachments {
		part(fmt.Sprint("part", i), "application/octet-stream", a)
	}
	w.Close()
	media, _, _ := strings.Cut(rootType, ";")
	return `multipart/related; boundary=frontier; type="` + media + `"; start="<root>"`, b.String()
}

func TestMIME_AttachmentsNeedTheRoutesWord(t *testing.T) {
	kind, body := multipartOf(add11, "text/xml; charset=utf-8", "attached")
	b := newBench(t)
	want(t, b.post(body, "Content-Type", kind), 500, "denied by rule attachments")
	if !b.service.untouched() {
		t.Error("the message went out")
	}
	b = newBench(t, func(b *bench) {
		b.route.UnsignedAttachments = true
		b.service.answer = func(w http.ResponseWriter, r *http.Request, body []byte) {
			parts, err := soap.ReadMultipart(r.Header.Get("Content-Type"), bytes.NewReader(body), soap.Limits{}, nil)
			if err != nil || len(parts.Attachments) != 1 || read(t, parts.Attachments[0].Content) != "attached" {
				t.Errorf("the service got %s: %v", body, err)
				return
			}
			v := &wssec.Verifier{Trust: b.store}
			if _, err := v.Verify(r.Context(), parts.Root, wssec.Expect{}); err != nil {
				t.Errorf("the root is not signed: %v", err)
			}
			w.Header().Set("Content-Type", "text/xml")
			w.Write(b.service.reply(gridtest.Must(io.ReadAll(io.NewSectionReader(parts.Root, 0, parts.Root.Size())))))
		}
	})
	want(t, b.post(body, "Content-Type", kind), 200, sum11)
}

func TestMIME_XOPIsInlinedAndSigned(t *testing.T) {
	root := strings.Replace(add11, ">10<", `><x:Include xmlns:x="http://www.w3.org/2004/08/xop/include" href="cid:part0"/><`, 1)
	kind, body := multipartOf(root, `application/xop+xml; charset=utf-8; type="text/xml"`, "hello")
	b := newBench(t)
	want(t, b.post(body, "Content-Type", kind), 200, sum11)
	got := b.service.only()
	if !strings.Contains(got.body, ">aGVsbG8=</c:add>") || got.header.Get("Content-Type") != soap.V11.ContentType() {
		t.Errorf("the service got %s %s", got.header.Get("Content-Type"), got.body)
	}
}

func TestMIME_PassesAsReceivedWithoutMessageSecurity(t *testing.T) {
	kind, body := multipartOf(add11, "text/xml", "attached")
	b := newBench(t, none(policy.TransportNone), answering(200, kind, body))
	w := b.post(body, "Content-Type", kind)
	if got := b.service.only(); got.body != body || got.header.Get("Content-Type") != kind {
		t.Errorf("the service got %s %s", got.header.Get("Content-Type"), got.body)
	}
	if w.Body.String() != body || w.Header().Get("Content-Type") != kind {
		t.Errorf("the engine got %v %s", w.Header(), w.Body)
	}
}

func TestMIME_AttachmentsOfAReplyNeedTheRoutesWord(t *testing.T) {
	answer := func(b *bench) {
		b.service.answer = func(w http.ResponseWriter, _ *http.Request, body []byte) {
			kind, reply := multipartOf(string(b.service.reply(body)), "text/xml", "MARKER")
			w.Header().Set("Content-Type", kind)
			io.WriteString(w, reply)
		}
	}
	b := newBench(t, answer)
	w := b.post(add11)
	want(t, w, 500, "FailedCheck")
	if strings.Contains(w.Body.String(), "MARKER") {
		t.Error("the attachment passed")
	}
	b = newBench(t, answer, func(b *bench) { b.route.UnsignedAttachments = true })
	w = b.post(add11)
	parts, err := soap.ReadMultipart(w.Header().Get("Content-Type"), w.Body, soap.Limits{}, nil)
	if err != nil || len(parts.Attachments) != 1 || w.Code != 200 {
		t.Fatalf("answer %d %s: %v", w.Code, w.Body, err)
	}
	for _, block := range parts.Root.Blocks {
		if block.Name.Space == soap.WSSE {
			t.Error("the security header came along")
		}
	}
}

// Two actions in one message are two messages to two readers.
func TestMIME_RefusesASecondActionInTheRootPart(t *testing.T) {
	kind, body := multipartOf(add12, `application/soap+xml; action="urn:evil"`)
	b := newBench(t, none(policy.TransportNone), func(b *bench) { b.route.Actions = []string{addAction} })
	want(t, b.post(body, "Content-Type", kind+`; action="`+addAction+`"`, "SOAPAction", ""), 500, "names the action")
	want(t, b.post(body, "Content-Type", kind, "SOAPAction", ""), 500, "denied by rule actions")
	if !b.service.untouched() {
		t.Error("the message went out")
	}
}

func TestMIME_ActionOfTheRootPartCounts(t *testing.T) {
	kind, body := multipartOf(add12, `application/soap+xml; action="`+addAction+`"`)
	b := newBench(t, none(policy.TransportNone), answering(200, "text/xml", add11), func(b *bench) { b.route.Actions = []string{addAction} })
	want(t, b.post(body, "Content-Type", kind, "SOAPAction", ""), 200, "")
}

func read(t *testing.T, s xmlscan.Source) string {
	t.Helper()
	b, err := io.ReadAll(io.NewSectionReader(s, 0, s.Size()))
	if err != nil {
		t.Error(err)
	}
	return string(b)
}
