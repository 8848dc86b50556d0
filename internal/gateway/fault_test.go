package gateway

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"gsigw/gsi"
	"gsigw/internal/policy"
	"gsigw/internal/upstream"
	"gsigw/soap"
	"gsigw/soap/spool"
	"gsigw/soap/xmlscan"
	"gsigw/wssec"
)

var update = flag.Bool("update", false, "write the golden files anew")

// plainRoute lets a test of requests do without keys.
func plainRoute(b *bench) {
	none(policy.TransportNone)(b)
	answering(200, "text/xml", add11)(b)
}

// exchanges that fail, a golden file each. Where sent is not set, nothing may have reached the service.
var failures = []struct {
	name string
	knob knob
	send func(b *bench) *httptest.ResponseRecorder
	sent bool
}{
	{"malformed", plainRoute, func(b *bench) *httptest.ResponseRecorder {
		return b.post(strings.Replace(add11, "</c:add>", "</c:sub>", 1))
	}, false},
	{"malformed-soap12", plainRoute, func(b *bench) *httptest.ResponseRecorder {
		return b.post(strings.Replace(add12, "</c:add>", "</c:sub>", 1), "Content-Type", "application/soap+xml")
	}, false},
	{"malformed-dtd", plainRoute, func(b *bench) *httptest.ResponseRecorder {
		return b.post("<!DOCTYPE a>\n" + add11)
	}, false},
	{"malformed-utf16", plainRoute, func(b *bench) *httptest.ResponseRecorder {
		return b.post("\xff\xfe<\x00a\x00", "Content-Type", "application/soap+xml; action=x")
	}, false},
	{"malformed-charset", plainRoute, func(b *bench) *httptest.ResponseRecorder {
		return b.post(add11, "Content-Type", "text/xml; charset=iso-8859-1")
	}, false},
	{"malformed-content-type", plainRoute, func(b *bench) *httptest.ResponseRecorder {
		return b.post(add11, "Content-Type", "application/json")
	}, false},
	{"malformed-two-actions", plainRoute, func(b *bench) *httptest.ResponseRecorder {
		r := b.request(add11)
		r.Header.Add("SOAPAction", "other")
		return b.do(r)
	}, false},
	{"malformed-version", plainRoute, func(b *bench) *httptest.ResponseRecorder {
		return b.post(add12)
	}, false},
	{"malformed-gzip", plainRoute, func(b *bench) *httptest.ResponseRecorder {
		return b.post(add11, "Content-Encoding", "gzip")
	}, false},
	{"too-large", func(b *bench) { plainRoute(b); b.limits.Message.MessageBytes = 64 }, func(b *bench) *httptest.ResponseRecorder {
		return b.post(add11)
	}, false},
	{"too-large-for-the-listener", plainRoute, func(b *bench) *httptest.ResponseRecorder {
		r := b.request(add11)
		r.Body = http.MaxBytesReader(nil, r.Body, 32)
		return b.do(r)
	}, false},
	{"too-large-unpacked", func(b *bench) { plainRoute(b); b.limits.Message.MessageBytes = 1 << 10 }, func(b *bench) *httptest.ResponseRecorder {
		return b.post(gzipped(strings.Repeat(" ", 1<<20)), "Content-Encoding", "gzip")
	}, false},
	{"too-deep", func(b *bench) { plainRoute(b); b.limits.Message.Depth = 2 }, func(b *bench) *httptest.ResponseRecorder {
		return b.post(add11)
	}, false},
	{"id-twice", nil, func(b *bench) *httptest.ResponseRecorder {
		const id = ` u:Id="a" xmlns:u="` + soap.WSU + `"`
		return b.post(strings.NewReplacer("<soapenv:Body>", "<soapenv:Body"+id+">", "<c:add", "<c:add"+id).Replace(add11))
	}, false},
	{"engine-security", nil, func(b *bench) *httptest.ResponseRecorder {
		return b.post(strings.Replace(add11, "<soapenv:Body>", `<soapenv:Header><s:Security xmlns:s="`+soap.WSSE+`"/></soapenv:Header><soapenv:Body>`, 1))
	}, false},
	{"no-action-to-address-with", nil, func(b *bench) *httptest.ResponseRecorder {
		return b.post(add11, "SOAPAction", `""`)
	}, false},
	{"denied", plainRoute, func(b *bench) *httptest.ResponseRecorder {
		r := b.request(add11)
		r.URL.Path = "/elsewhere"
		return b.do(r)
	}, false},
	{"denied-soap12", plainRoute, func(b *bench) *httptest.ResponseRecorder {
		r := b.request(add12, "Content-Type", "application/soap+xml", "SOAPAction", "")
		r.URL.Path = "/elsewhere"
		return b.do(r)
	}, false},
	{"denied-get", plainRoute, func(b *bench) *httptest.ResponseRecorder { return b.get("/wsrf/services/CounterService?wsdl=x&y") }, false},
	{"denied-to", plainRoute, func(b *bench) *httptest.ResponseRecorder {
		return b.post(strings.Replace(addressed("urn:uuid:1"), "<a:Action", `<a:To xmlns:a="`+soap.Addressing200508+`">http://x/wsrf/services/OtherService</a:To><a:Action`, 1))
	}, false},
	{"credential-expired", func(b *bench) {
		at := time.Now().Add(2 * time.Hour)
		b.now = func() time.Time { return at }
	}, func(b *bench) *httptest.ResponseRecorder { return b.post(add11) }, false},
	{"credential-expired-transport", func(b *bench) {
		none(policy.TransportGSI)(b)
		at := time.Now().Add(2 * time.Hour)
		b.now = func() time.Time { return at }
	}, func(b *bench) *httptest.ResponseRecorder { return b.post(add11) }, false},
	{"credential-not-yet-valid", func(b *bench) {
		at := time.Now().Add(-100 * time.Hour)
		b.now = func() time.Time { return at }
	}, func(b *bench) *httptest.ResponseRecorder { return b.post(add11) }, false},
	{"credential-unreadable", func(b *bench) { b.source = unreadableSource{} }, func(b *bench) *httptest.ResponseRecorder { return b.post(add11) }, false},
	{"credential-none", func(b *bench) { b.source = nil }, func(b *bench) *httptest.ResponseRecorder { return b.post(add11) }, false},
	{"credential-nothing", func(b *bench) { b.source = brokenSource{} }, func(b *bench) *httptest.ResponseRecorder { return b.post(add11) }, false},
	{"unreachable", func(b *bench) { plainRoute(b) }, func(b *bench) *httptest.ResponseRecorder {
		b.service.Close()
		return b.post(add11)
	}, false},
	{"timeout", func(b *bench) {
		plainRoute(b)
		b.route.Timeouts.Header = 30 * time.Millisecond
		b.service.answer = func(_ http.ResponseWriter, r *http.Request, _ []byte) { <-r.Context().Done() }
	}, func(b *bench) *httptest.ResponseRecorder { return b.post(add11) }, true},
	{"internal", nil, func(b *bench) *httptest.ResponseRecorder {
		b.gateway.profile = func(*State, *policy.Route) wssec.Profile { return nil }
		return b.post(add11)
	}, false},
	{"failed-check", func(b *bench) {
		b.service.tamper = func(reply []byte) []byte { return bytes.Replace(reply, []byte(">17<"), []byte(">18<"), 1) }
	}, func(b *bench) *httptest.ResponseRecorder { return b.post(add11) }, true},
	{"failed-check-soap12", answering(200, "application/soap+xml", add12), func(b *bench) *httptest.ResponseRecorder {
		return b.post(add12, "Content-Type", `application/soap+xml; action="`+addAction+`"`, "SOAPAction", "")
	}, true},
	{"unverified-fault", answering(500, "text/xml", envelope11(fault11)), func(b *bench) *httptest.ResponseRecorder { return b.post(add11) }, true},
	{"status-503", answering(503, "text/html; charset=utf-8", "<h1>over & out</h1>"+strings.Repeat("é", 1000)), func(b *bench) *httptest.ResponseRecorder { return b.post(add11) }, true},
	{"status-500-no-soap", func(b *bench) { plainRoute(b); answering(500, "image/png", "\x89PNG")(b) }, func(b *bench) *httptest.ResponseRecorder { return b.post(add11) }, true},
	{"empty-reply", answering(202, "", ""), func(b *bench) *httptest.ResponseRecorder { return b.post(add11) }, true},
	{"unreadable-reply", func(b *bench) { plainRoute(b); answering(200, "text/xml", "<a/>")(b) }, func(b *bench) *httptest.ResponseRecorder { return b.post(add11) }, true},
	{"redirect", func(b *bench) {
		plainRoute(b)
		b.service.answer = func(w http.ResponseWriter, r *http.Request, _ []byte) {
			http.Redirect(w, r, "http://elsewhere.example.org/", http.StatusTemporaryRedirect)
		}
	}, func(b *bench) *httptest.ResponseRecorder { return b.post(add11) }, true},
}

func envelope11(inner string) string {
	return `<soapenv:Envelope xmlns:soapenv="` + soap.Envelope11 + `"><soapenv:Body>` + inner + `</soapenv:Body></soapenv:Envelope>`
}

type unreadableSource struct{}

func (unreadableSource) Credential(context.Context) (*gsi.Credential, error) {
	return nil, &gsi.UnusableError{Source: "/home/jane/MARKER", Reason: errors.New("/home/jane/MARKER has mode 0644"), Remedy: "chmod 0600 it"}
}

type brokenSource struct{}

func (brokenSource) Credential(context.Context) (*gsi.Credential, error) { return nil, nil }

func (b *bench) get(path string) *httptest.ResponseRecorder {
	b.t.Helper()
	return b.do(httptest.NewRequest("GET", b.service.URL+path, nil))
}

var ports = regexp.MustCompile(`127\.0\.0\.1:\d+|\d{4}-\d\d-\d\dT[\d:]+Z`)

func TestFault_HasAGoldenFilePerRow(t *testing.T) {
	for _, f := range failures {
		t.Run(f.name, func(t *testing.T) {
			knobs := []knob{}
			if f.knob != nil {
				knobs = append(knobs, f.knob)
			}
			b := newBench(t, knobs...)
			w := f.send(b)
			if b.service.untouched() == f.sent {
				t.Errorf("the service got the message: %v", !f.sent)
			}
			if strings.Contains(w.Body.String(), "MARKER") {
				t.Error("the fault names a file")
			}
			text := http.StatusText(w.Code) + "\n" + w.Header().Get("Content-Type") + "\n" + w.Body.String()
			golden(t, filepath.Join("testdata", "faults", f.name+".golden"), ports.ReplaceAllString(text, "HOST:PORT"))
			wellFormed(t, w)
		})
	}
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// wellFormed wants a fault that our own reader takes, with the exchange's id.
func wellFormed(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	if !strings.Contains(w.Body.String(), "EXCHANGE") {
		t.Error("the exchange's id is missing")
	}
	if strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain") {
		return
	}
	m, err := soap.Read(xmlscan.Memory(w.Body.Bytes()), soap.Limits{})
	if err != nil || !m.IsFault() || m.Version.ContentType() != w.Header().Get("Content-Type") {
		t.Errorf("no fault of its version: %v", err)
	}
}

// Every row of the table has an exchange above that meets it.
func TestFault_EveryRowIsInTheTable(t *testing.T) {
	errs := []error{
		&crash{}, &spool.Error{Err: errors.New("x")}, &malformed{}, &unreadable{nil, errors.New("x")}, &policy.Denied{}, &unusable{errors.New("x"), ""}, &unsecurable{errors.New("x")},
		&unverified{errors.New("x")}, &unsignedFault{}, &badAnswer{}, &upstream.Error{Err: errors.New("x")},
	}
	if len(errs) != len(rows) {
		t.Fatalf("%d errors for %d rows", len(errs), len(rows))
	}
	for i, err := range errs {
		if _, ok := rows[i](err); !ok {
			t.Errorf("row %d does not know %T", i, err)
		}
		if judge(err).result == resultInternal && i > 1 && i != 6 {
			t.Errorf("%T is an internal error", err)
		}
	}
}

func TestFault_NamesOfFilesStayInTheLog(t *testing.T) {
	b := newBench(t, func(b *bench) { b.source = unreadableSource{} })
	b.post(add11)
	if !strings.Contains(b.log.String(), "/home/jane/MARKER") {
		t.Error("the operator does not learn which file")
	}
}

func TestFault_TellsAnAttackerNothingButTheLogTheClass(t *testing.T) {
	b := newBench(t, func(b *bench) {
		b.service.tamper = func(reply []byte) []byte { return bytes.Replace(reply, []byte(">17<"), []byte(">18<"), 1) }
	})
	w := b.post(add11)
	if strings.Contains(w.Body.String(), "digest") || !strings.Contains(b.log.String(), `"class":"digest"`) {
		t.Errorf("fault %s, log %s", w.Body, b.log)
	}
	if len(b.counted.refused) != 1 || b.counted.refused[0] != "digest" {
		t.Errorf("counted %q", b.counted.refused)
	}
}

func TestWords_TellTheLogAloneWhatIsHidden(t *testing.T) {
	err := &unverified{&wssec.Error{Class: wssec.ClassDecrypt, Msg: "it does not decrypt", Hidden: errors.New("an unknown CA")}}
	if got := (&facts{err: err}).words(); !strings.Contains(got, "it decrypts, but: an unknown CA") {
		t.Error(got)
	}
	if strings.Contains(err.Error(), "CA") {
		t.Error(err)
	}
}
