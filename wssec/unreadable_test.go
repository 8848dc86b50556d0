package wssec_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"gsigw/soap"
	"gsigw/soap/spool"
	"gsigw/soap/xmlscan"
	. "gsigw/wssec"
)

// faulty is a source of which one read fails, as of a disk that fails for a moment. All others succeed.
type faulty struct {
	*strings.Reader
	reads int // so far
	fails int // which, from 1 on; 0 for none
}

var errDisk = &spool.Error{Err: errors.New("the disk failed")}

func (f *faulty) ReadAt(b []byte, off int64) (int, error) {
	if f.reads++; f.reads == f.fails {
		n, _ := f.Reader.ReadAt(b[:len(b)/2], off)
		return n, errDisk
	}
	return f.Reader.ReadAt(b, off)
}

// failEach does something over a source that does not fail, and then again with one read or another of it that fails: it
// must say so, since what was not read was not looked at.
func failEach(t *testing.T, doc string, do func(src xmlscan.Source) (string, error)) {
	t.Helper()
	sound := &faulty{Reader: strings.NewReader(doc)}
	want, err := do(sound)
	if err != nil {
		t.Fatal(err)
	}
	const most = 15
	for i := range min(most, sound.reads) {
		n := 1 + i
		if sound.reads > most {
			n += i * (sound.reads - most) / (most - 1) // the first and the last among them
		}
		got, err := do(&faulty{Reader: strings.NewReader(doc), fails: n})
		e, _ := errors.AsType[*Error](err)
		if isDecrypt := e != nil && e.Class == ClassDecrypt; !errors.Is(err, errDisk) && !isDecrypt { // that one has constant words
			t.Errorf("read %d of %d fails, and what comes of it is %v (%d bytes, %d when all is read)", n, sound.reads, err, len(got), len(want))
		}
	}
}

func TestVerify_SaysThatTheMessageCouldNotBeRead(t *testing.T) {
	g := newGrid(t)
	content := fewElements + strings.Repeat(`<c:item  xmlns:c='urn:c' href="#x" n='1'><d>&lt;text&#13;</d></c:item>`, 1200)
	planned := "<a>" + strings.Repeat("text", 40_000) + "</a>" // is not scanned again to be digested
	profiles := orders(Encryption{To: g.User.Leaf()})
	profiles["signed"] = &GSIMessage{}
	profiles["signed, with a plan"] = &GSIMessage{}
	for name, p := range profiles {
		t.Run(name, func(t *testing.T) {
			doc := requestWith(content)
			if name == "signed, with a plan" {
				doc = requestWith(planned)
			}
			failEach(t, secureBy(t, p, doc, g.User), func(src xmlscan.Source) (string, error) {
				m, err := soap.Read(src, soap.Limits{})
				if err != nil {
					return "", err
				}
				v, err := g.opener(g.User).Verify(t.Context(), m, Expect{})
				if err != nil {
					return "", err
				}
				rebuilt, err := v.RebuildDigested()
				if err != nil {
					return "", err
				}
				var out bytes.Buffer
				if _, err := rebuilt.WriteTo(&out); err != nil {
					return out.String(), err
				}
				_, err = v.Text()
				return out.String(), err
			})
		})
	}
}

func TestSecure_SaysThatTheMessageCouldNotBeRead(t *testing.T) {
	g := newGrid(t)
	profiles := orders(Encryption{To: g.User.Leaf()})
	profiles["signed"] = &GSIMessage{}
	for name, p := range profiles {
		t.Run(name, func(t *testing.T) {
			failEach(t, requestWith(strings.Repeat(fewElements, 2000)), func(src xmlscan.Source) (string, error) {
				m, err := soap.Read(src, soap.Limits{})
				if err != nil {
					return "", err
				}
				edit, _, err := p.Secure(t.Context(), m, g.User)
				if err != nil {
					return "", err
				}
				var out bytes.Buffer
				_, err = edit.WriteTo(&out)
				return out.String(), err
			})
		})
	}
}
