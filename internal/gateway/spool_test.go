package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"gsigw/gsi"
	"gsigw/internal/policy"
	"gsigw/soap"
	"gsigw/soap/spool"
	"gsigw/soap/xmlscan"
	"gsigw/wssec"
)

// many is a Body of some 3 MB, larger than every buffer on the way.
var many = strings.Repeat("<n>0123456789</n>", 180_000)

// large makes requests and replies lie in files of several chunks.
func large(b *bench) {
	b.service.inner = "<c:manyResponse xmlns:c=\"http://counter.com\">" + many + "</c:manyResponse>"
}

func TestSpool_LargeMessagesComeThroughAsSmallOnesDo(t *testing.T) {
	request := strings.Replace(add11, ">10<", ">"+many+"<", 1)
	for name, knobs := range map[string][]knob{
		"signed": {large}, "plain": {large, none(policy.TransportNone)}, "in memory": {large, func(b *bench) { b.spool.Threshold = 64 << 20 }},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, knobs...)
			w := b.post(request)
			if w.Code != 200 || !strings.Contains(w.Body.String(), b.service.inner) {
				t.Fatalf("answer %d, %d bytes: %.300s", w.Code, w.Body.Len(), w.Body)
			}
			if !strings.Contains(b.service.only().body, many) {
				t.Error("the service got something else")
			}
		})
	}
}

func TestSpool_GzipUnpacksIntoItUpToTheLimit(t *testing.T) {
	request := strings.Replace(add11, ">10<", ">"+many+"<", 1)
	b := newBench(t, large)
	want(t, b.post(gzipped(request), "Content-Encoding", "gzip"), 200, "manyResponse")
	b = newBench(t, func(b *bench) { b.limits.Message.MessageBytes = 1 << 20 })
	want(t, b.post(gzipped(request), "Content-Encoding", "gzip"), 413, "exceeds the limit message of 1048576")
	if !b.service.untouched() {
		t.Error("the message went out")
	}
}

func TestSpool_WithoutRoomTheCallEndsWithAFault(t *testing.T) {
	request := strings.Replace(add11, ">10<", ">"+many+"<", 1)
	b := newBench(t, func(b *bench) { b.spool.Dir += "/gone" })
	want(t, b.post(request), 500, "the gateway could not keep the message")
	if log := b.log.String(); !strings.Contains(log, `"class":"spool"`) || !strings.Contains(log, "/gone") {
		t.Errorf("log %s", log)
	}
	if !b.service.untouched() {
		t.Error("the message went out")
	}
}

func TestSpool_WithoutRoomForTheReplyTheCallEndsWithAFault(t *testing.T) {
	b := newBench(t, large, func(b *bench) { b.spool.Dir += "/gone" })
	w := b.post(add11) // small enough for memory
	want(t, w, 500, "the gateway could not keep the message")
	if strings.Contains(w.Body.String(), "/gone") {
		t.Error("the engine learns of the gateway's directories")
	}
}

// breaking gives a part of a body, then fails as a connection does that hangs up.
func breaking(body string) io.ReadCloser {
	return io.NopCloser(io.MultiReader(strings.NewReader(body[:len(body)/2]), failingReader{}))
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, errors.New("hung up") }

// What is held is looked at when each bench is over.
func TestSpool_EveryWayOutGivesBackWhatIsHeld(t *testing.T) {
	request := strings.Replace(add11, ">10<", ">"+many+"<", 1)
	contentType, packed := multipartOf(request, "text/xml", many)
	for name, c := range map[string]struct {
		knobs  []knob
		body   string
		header []string
		change func(*bench, *http.Request)
		status int
	}{
		"hung up in the body": {nil, request, nil, func(_ *bench, r *http.Request) { r.Body = breaking(request) }, 500},
		"broken XML":          {nil, request[:len(request)-20], nil, nil, 500},
		"denied":              {[]knob{func(b *bench) { b.route.Actions = []string{"urn:other"} }}, request, nil, nil, 500},
		"no credential":       {[]knob{func(b *bench) { b.source = unreadableSource{} }}, request, nil, nil, 500},
		"attachments denied":  {nil, packed, []string{"Content-Type", contentType}, nil, 500},
		"attachments":         {[]knob{func(b *bench) { b.route.UnsignedAttachments = true }}, packed, []string{"Content-Type", contentType}, nil, 500}, // the service knows none
		"tampered reply": {[]knob{large, func(b *bench) {
			b.service.tamper = func(reply []byte) []byte { return bytes.Replace(reply, []byte("<n>0"), []byte("<n>1"), 1) }
		}}, request, nil, nil, 500},
		"not SOAP": {[]knob{answering(200, "text/html", many)}, request, nil, nil, 500},
		"a defect": {nil, request, nil, func(b *bench, _ *http.Request) {
			b.gateway.profile = func(*State, *policy.Route) wssec.Profile { panic("a defect") }
		}, 500},
		"the engine left": {[]knob{large}, request, nil, func(_ *bench, r *http.Request) {
			ctx, cancel := context.WithCancel(r.Context())
			cancel()
			*r = *r.WithContext(ctx)
		}, 500},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, c.knobs...)
			r := b.request(c.body, c.header...)
			if c.change != nil {
				c.change(b, r)
			}
			if w := b.do(r); w.Code != c.status {
				t.Errorf("answer %d %.300s", w.Code, w.Body)
			}
		})
	}
}

func TestSpool_ThePeerThatStopsReadingGivesBackWhatIsHeld(t *testing.T) {
	b := newBench(t, large)
	r := b.request(add11)
	b.gateway.Serve(&deaf{ResponseRecorder: httptest.NewRecorder(), after: 100_000}, r, b.callOf(r.URL))
	if log := b.log.String(); !strings.Contains(log, `"result":"hung-up"`) {
		t.Errorf("an answer that nobody took is recorded as %s", log)
	}
}

// deaf takes a part of an answer.
type deaf struct {
	*httptest.ResponseRecorder
	after int
}

func (d *deaf) Write(p []byte) (int, error) {
	if d.after -= len(p); d.after < 0 {
		return 0, errors.New("hung up")
	}
	return d.ResponseRecorder.Write(p)
}

// An answer that fails when it has begun: the engine sees that it is not whole, and the record says why.
func TestGive_AnAnswerThatBreaksOffIsNoAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		fails func() error
		class string
	}{
		"a changed file":         {func() error { return &spool.Error{Err: spool.ErrChanged} }, classSpool},
		"a file read by scanner": {func() error { return &xmlscan.Error{Err: &spool.Error{Err: spool.ErrChanged}} }, classSpool},
		"another message":        {func() error { return errors.New("it is another message") }, ""},
		"a defect":               {func() error { panic("a defect") }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			x := b.gateway.begin(b.request(add11), b.callOf(b.request(add11).URL))
			done := make(chan struct{})
			engine := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				defer close(done)
				x.give(w, &answer{status: 200, header: http.Header{}, body: breaksOff{text(bytes.Repeat([]byte("x"), 1<<20)), c.fails}})
			}))
			defer engine.Close()
			r, err := http.Get(engine.URL)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Body.Close()
			if got, err := io.ReadAll(r.Body); err == nil {
				t.Errorf("the engine takes %d bytes for the whole", len(got))
			}
			if <-done; x.facts.result != resultInternal || x.facts.class != c.class || x.facts.err == nil {
				t.Errorf("recorded as %q %q %v", x.facts.result, x.facts.class, x.facts.err)
			}
		})
	}
}

// breaksOff writes all but a byte.
type breaksOff struct {
	stored
	fails func() error
}

func (c breaksOff) WriteTo(w io.Writer) (int64, error) {
	n, err := io.Copy(w, io.NewSectionReader(c.stored, 0, c.Size()-1))
	if err != nil {
		return n, err
	}
	return n, c.fails()
}

func TestTrace_TakesTheBeginningOfALargeMessageAndNoMore(t *testing.T) {
	b := newBench(t, large)
	dir := tracing(t, b)
	want(t, b.post(strings.Replace(add11, ">10<", ">"+many+"<", 1)), 200, "manyResponse")
	for _, name := range []string{"1-request", "2-sent", "3-reply", "4-given"} {
		kept, err := os.ReadFile(dir + "/EXCHANGE." + name + ".http")
		if err != nil || len(kept) < traceBody || len(kept) > traceBody+2000 || !bytes.HasSuffix(kept, []byte(" more bytes]")) {
			t.Errorf("%s: %d bytes, %v", name, len(kept), err)
		}
	}
}

// A secret across the place where a trace ends is cut as if it had no end.
func TestTrace_CutsASecretThatItsEndCutsThrough(t *testing.T) {
	secret := "<Password>" + strings.Repeat("MARKER", 100) + "</Password>"
	for _, at := range []int{traceBody - 300, traceBody - 12, traceBody - 5} {
		body := strings.Repeat("x", at) + secret
		if kept := withoutSecrets(first(stored{xmlscan.Memory(body)}, traceBody)); bytes.Contains(kept, []byte("MARK")) {
			t.Errorf("a secret at %d is kept", at)
		}
	}
}

// The file is changed while the service works: the reply to come is refused, and as what it is.
func TestSpool_AFileThatIsChangedEndsTheCallAsAFailureOfTheGateway(t *testing.T) {
	b := newBench(t)
	b.gateway.profile = func(*State, *policy.Route) wssec.Profile { return lost{} }
	want(t, b.post(add11), 500, "the gateway could not keep the message")
	if !strings.Contains(b.log.String(), `"class":"spool"`) {
		t.Errorf("log %s", b.log)
	}
}

// lost is a profile whose message cannot be read any more.
type lost struct{ wssec.Profile }

func (lost) Secure(context.Context, *soap.Message, *gsi.Credential) (*soap.Edit, wssec.Pending, error) {
	return nil, nil, &xmlscan.Error{Class: xmlscan.Unreadable, Err: &spool.Error{Err: spool.ErrChanged}}
}

// Many small parts are as much memory as one large message: what there is no room for lies in files.
func TestSpool_SmallPartsCountTogether(t *testing.T) {
	parts := make([]string, 50)
	for i := range parts {
		parts[i] = strings.Repeat("x", 1000)
	}
	kind, body := multipartOf(add11, "text/xml", parts...)
	for room, want := range map[int64]int{1: 51, 1 << 30: 0} { // with the root
		b := newBench(t, none(policy.TransportNone), func(b *bench) {
			b.spool.Memory, b.spool.Threshold = room, 1<<20
			b.service.answer = func(w http.ResponseWriter, _ *http.Request, _ []byte) {
				if _, files := b.spool.Held(); files != want {
					t.Errorf("with room for %d bytes %d parts lie in files, want %d", room, files, want)
				}
				w.Header().Set("Content-Type", "text/xml")
				io.WriteString(w, add11)
			}
		})
		if w := b.post(body, "Content-Type", kind); w.Code != 200 {
			t.Errorf("answer %d %.300s", w.Code, w.Body)
		}
	}
}

// The dialler reads what is sent in a goroutine of its own, whose panic nobody but the reader can stop.
func TestSend_ADefectInWhatIsSentEndsTheCallAlone(t *testing.T) {
	b := newBench(t)
	b.gateway.profile = func(*State, *policy.Route) wssec.Profile { return defective{} }
	want(t, b.post(add11), 500, "internal error in the gateway")
	if log := b.log.String(); !strings.Contains(log, `"result":"internal"`) || !strings.Contains(log, `"msg":"defect"`) {
		t.Errorf("log %s", log)
	}
}

// defective is a profile whose message has a defect far behind its start.
type defective struct {
	wssec.Profile
	wssec.Pending
}

func (d defective) Secure(_ context.Context, m *soap.Message, _ *gsi.Credential) (*soap.Edit, wssec.Pending, error) {
	edit, err := m.Edit(soap.Change{Span: xmlscan.Span{Start: m.Size(), End: m.Size()}, From: trap{}})
	return edit, d, err
}

type trap struct{}

func (trap) Size() int64                       { return 1 << 20 }
func (trap) ReadAt([]byte, int64) (int, error) { panic("a defect") }
