package wssec_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"gsigw/soap"
	"gsigw/soap/spool"
	"gsigw/soap/xmlscan"
	. "gsigw/wssec"
)

// requestWith is plainRequest with another Body.
func requestWith(content string) string {
	return strings.Replace(plainRequest, cut(plainRequest, "soapenv:Body"), "<soapenv:Body>"+content+"</soapenv:Body>", 1)
}

const (
	fewElements  = `<a xmlns:xsd="http://www.w3.org/2001/XMLSchema">xsd:int</a>`
	outerUnknown = `<p:a xmlns:p="urn:p"><b xmlns:q="urn:q">q:name</b></p:a>`
)

func manyElements() string {
	return fewElements + strings.Repeat(`<c:item  xmlns:c='urn:c' n='1'><d>&lt;text&#13;</d></c:item>`, 20_000)
}

// verifySpooled verifies what lies in a file.
func verifySpooled(t *testing.T, g *grid, doc string) (*Verified, error) {
	t.Helper()
	pool := &spool.Pool{Dir: t.TempDir(), Threshold: 1}
	s, err := pool.Read(strings.NewReader(doc), 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	m, err := soap.Read(s.Source(), soap.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return g.verifier.Verify(t.Context(), m, Expect{})
}

func TestRebuild_WritesWhatMessageGives(t *testing.T) {
	g := newGrid(t)
	for name, content := range map[string]string{"small": fewElements, "large": manyElements()} {
		t.Run(name, func(t *testing.T) {
			signed := secure(t, &GSIMessage{}, requestWith(content), g.User)
			inMemory, err := verifyBytes(g.verifier, []byte(signed), Expect{})
			if err != nil {
				t.Fatal(err)
			}
			spooled, err := verifySpooled(t, g, signed)
			if err != nil {
				t.Fatal(err)
			}
			sameAs(t, inMemory.Message, inMemory.Rebuild)
			sameAs(t, inMemory.Message, spooled.Rebuild)
			digested := func([]string) ([]byte, error) { return inMemory.Digested() }
			sameAs(t, digested, func([]string) (*Rebuilt, error) { return spooled.RebuildDigested() })
		})
	}
}

func sameAs(t *testing.T, at func([]string) ([]byte, error), later func([]string) (*Rebuilt, error)) {
	t.Helper()
	want, err := at(nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := later(nil)
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	n, err := r.WriteTo(&got)
	if err != nil || n != r.Size() || !bytes.Equal(got.Bytes(), want) {
		t.Errorf("%d bytes, Size %d, %v; want %d, and the same", n, r.Size(), err, len(want))
	}
}

func TestRebuild_RefusesWhatMessageRefuses(t *testing.T) {
	g := newGrid(t)
	for name, content := range map[string]string{"small": outerUnknown, "large": manyElements() + outerUnknown} {
		t.Run(name, func(t *testing.T) {
			v, err := verifySpooled(t, g, secure(t, &GSIMessage{}, requestWith(content), g.User))
			if err != nil {
				t.Fatal(err)
			}
			_, err = v.Rebuild(nil)
			wantClass(t, err, ClassUnsignedPart)
			if _, err := v.Rebuild([]string{"urn:q"}); err != nil {
				t.Errorf("with the namespace named: %v", err)
			}
		})
	}
}

func TestRebuilt_FailsWhereItsWriterDoes(t *testing.T) {
	g := newGrid(t)
	v, err := verifySpooled(t, g, secure(t, &GSIMessage{}, requestWith(manyElements()), g.User))
	if err != nil {
		t.Fatal(err)
	}
	r, err := v.Rebuild(nil)
	if err != nil {
		t.Fatal(err)
	}
	gone := errors.New("gone")
	if _, err := r.WriteTo(&failing{left: 100_000, err: gone}); !errors.Is(err, gone) {
		t.Errorf("%v", err)
	}
}

type failing struct {
	left int
	err  error
}

func (f *failing) Write(b []byte) (int, error) {
	if f.left -= len(b); f.left < 0 {
		return 0, f.err
	}
	return len(b), nil
}

func TestWriteText_IsTheTextWithItsLineEnds(t *testing.T) {
	g := newGrid(t)
	v, err := verifySpooled(t, g, secure(t, &GSIMessage{}, requestWith("<a>1&lt;2\r\n<b>3</b><![CDATA[4\r5]]></a>"), g.User))
	if err != nil {
		t.Fatal(err)
	}
	text, err := v.Text()
	if want := "1<2\n34\n5"; err != nil || text != want {
		t.Errorf("%q, %v; want %q", text, err, want)
	}
	if err := v.WriteText(&failing{err: io.ErrClosedPipe}); err != io.ErrClosedPipe {
		t.Errorf("%v", err)
	}
}

// A spool that fails is no fault of the message's: the reason must reach whoever can do something about it.
func TestReadError_KeepsTheReasonOfASourceThatFails(t *testing.T) {
	lost := &spool.Error{Err: spool.ErrChanged}
	err := ReadError(&xmlscan.Error{Class: xmlscan.Unreadable, Err: lost})
	if got, ok := errors.AsType[*spool.Error](err); !ok || got != lost {
		t.Errorf("%v", err)
	}
}
