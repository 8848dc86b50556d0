package soap

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"gsigw/soap/xmlscan"
)

// linksOf reads the links in Body, each by the text of the elements that it may lead to.
func linksOf(t *testing.T, body string) (found [][]string) {
	t.Helper()
	doc := `<e:Envelope xmlns:e="` + Envelope11 + `" xmlns:c="` + Encoding12 + `"><e:Header><h id="h"/></e:Header><e:Body>` + body + `</e:Body></e:Envelope>`
	m, err := Read(xmlscan.Memory(doc), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for l, err := range m.Links() {
		if err != nil {
			t.Fatal(err)
		}
		names := []string{}
		for _, at := range l.Targets {
			names = append(names, doc[at+1:at+2])
		}
		found = append(found, names)
	}
	return found
}

func TestLinks_FindsWhatAReaderWouldFollow(t *testing.T) {
	for body, want := range map[string]string{
		`<a href="#x"/><b id="x"/>`:                   "[[b]]",
		`<a href="#h"/>`:                              "[[h]]",
		`<a href="#x"/>`:                              "[[]]",
		`<a href="#x"/><b id="x"/><c Id="x"/>`:        "[[b c]]",
		`<a href="#x"/><b id="x" Id="x"/>`:            "[[b]]",
		`<a href=" #x "/><b id=" x "/>`:               "[[b]]",
		`<a href="&#35;x"/><b id="&#120;"/>`:          "[[b]]",
		`<a href="#%78"/><b id="x"/>`:                 "[[] [b]]",
		`<a c:ref="x"/><b c:id="x"/>`:                 "[[b]]",
		`<a ref="#x"/><b ID="x"/>`:                    "[[b]]",
		`<a href="#x"/><b AssertionID="x"/>`:          "[[b]]",
		`<a href="#x"/><b xml:id="x"/><a href="#x"/>`: "[[b] [b]]",
		`<a href="x"/><a ref="x"/><a c:href="#x"/><a href="#"/><a href="http://x/#x"/><b id="x"/>`: "[]",
		`<a href="#x"/><b id="x"/><c id="x"/><d id="x"/>`:                                          "[[b c]]",
	} {
		if got := fmt.Sprint(linksOf(t, body)); got != want {
			t.Errorf("%s: %s, want %s", body, got, want)
		}
	}
}

func TestRead_RefusesLinksOverTheLimit(t *testing.T) {
	doc := `<e:Envelope xmlns:e="` + Envelope11 + `"><e:Body>` + strings.Repeat(`<a href="#x"/>`, 11) + `</e:Body></e:Envelope>`
	_, err := Read(xmlscan.Memory(doc), Limits{IDs: 10})
	if e, ok := errors.AsType[*xmlscan.Error](err); !ok || e.Class != xmlscan.Limit {
		t.Error(err)
	}
}

// failing is a source that fails when it is told to.
type failing struct {
	file
	err error
}

func (f *failing) ReadAt(b []byte, off int64) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	return f.file.ReadAt(b, off)
}

func TestLinks_SaysThatTheMessageCannotBeReadAgain(t *testing.T) {
	doc := `<e:Envelope xmlns:e="` + Envelope11 + `"><e:Body><a href="#x"/></e:Body></e:Envelope>`
	src := &failing{file: file{bytes.NewReader([]byte(doc))}}
	m, err := Read(src, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	src.err = errors.New("gone")
	for l, err := range m.Links() {
		if !errors.Is(err, src.err) {
			t.Errorf("%v, %v", l, err)
		}
	}
}

// What is remembered of each link is little, whatever it leads to.
func TestLinks_TakeLittleMemory(t *testing.T) {
	var b strings.Builder
	b.WriteString(`<e:Envelope xmlns:e="` + Envelope11 + `"><e:Body>`)
	const n = 50_000
	for i := range n {
		fmt.Fprintf(&b, `<a href="#%x" i="1" iD="%[1]x"/>`, i)
	}
	b.WriteString(`</e:Body></e:Envelope>`)
	m, err := Read(xmlscan.Memory(b.String()), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	found := 0
	for l, err := range m.Links() {
		if err != nil || len(l.Targets) != 1 {
			t.Fatal(l, err)
		}
		found++
	}
	runtime.ReadMemStats(&after)
	if got := (after.TotalAlloc - before.TotalAlloc) / n; found != n || got > 40 { // 24, and each id as a string
		t.Errorf("%d links, %d bytes for each", found, got)
	}
}

// A message without links is not read again.
func TestLinks_CostNothingWhereThereAreNone(t *testing.T) {
	m, err := Read(xmlscan.Memory(`<e:Envelope xmlns:e="`+Envelope11+`"><e:Body><a id="x" href="y"/></e:Body></e:Envelope>`), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	look := func() {
		for l, err := range m.Links() {
			t.Error(l, err)
		}
	}
	if n := testing.AllocsPerRun(10, look); n > 1 {
		t.Errorf("%v allocations", n)
	}
}
