package wssec_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gsigw/soap"
	"gsigw/soap/xmlscan"
	"gsigw/trust"
	. "gsigw/wssec"
	"gsigw/wssec/c14n"
)

var createdPattern = regexp.MustCompile(`<wsu:Created>([^<]*)</wsu:Created>`)

var gt4Trust = sync.OnceValues(func() (*trust.Store, error) {
	return trust.Open("testdata/gt4/certificates", trust.Options{})
})

// gt4Verifier verifies as at the time a capture was taken.
func gt4Verifier(t testing.TB, doc []byte) *Verifier {
	t.Helper()
	store, err := gt4Trust()
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 21, 18, 50, 0, 0, time.UTC)
	if m := createdPattern.FindSubmatch(doc); m != nil {
		at, _ = time.Parse(time.RFC3339, string(m[1]))
	}
	return &Verifier{Trust: store, Now: func() time.Time { return at }, Algorithms: Algorithms{SHA1: true}}
}

func gt4Captures(t testing.TB, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/gt4/" + pattern)
	if err != nil || len(files) == 0 {
		t.Fatal("no captures", pattern, err)
	}
	return files
}

func verifyBytes(v *Verifier, doc []byte, e Expect) (*Verified, error) {
	m, err := soap.Read(xmlscan.Memory(doc), soap.Limits{})
	if err != nil {
		return nil, ReadError(err)
	}
	return v.Verify(context.Background(), m, e)
}

func roleOf(file string) Role {
	if strings.HasSuffix(file, ".response.xml") {
		return Reply
	}
	return Request
}

// signedCaptures are the requests and replies that a GT4 client or container signed.
func signedCaptures(t testing.TB) []string {
	files := slices.Concat(gt4Captures(t, "02-*"), gt4Captures(t, "03-*"), gt4Captures(t, "11-*"), gt4Captures(t, "16-*"))
	return slices.DeleteFunc(files, func(f string) bool {
		doc, err := os.ReadFile(f)
		return err != nil || !bytes.Contains(doc, []byte("<ds:Signature"))
	})
}

func TestVerify_AcceptsGenuineGT4(t *testing.T) {
	files := signedCaptures(t)
	if len(files) < 34 {
		t.Fatalf("only %d signed captures", len(files))
	}
	for _, f := range files {
		doc, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		got, err := verifyBytes(gt4Verifier(t, doc), doc, Expect{Role: roleOf(f)})
		if err != nil {
			t.Errorf("%s: %v", f, err)
			continue
		}
		want := "/O=Grid/OU=GT4Lab/CN=Test User"
		if roleOf(f) == Reply {
			want = "/O=Grid/OU=GT4Lab/CN=host/localhost"
		}
		if got.Signer.DN != want {
			t.Errorf("%s: signed by %s", f, got.Signer.DN)
		}
		if roleOf(f) == Reply {
			if _, err := got.Message(nil); err != nil {
				t.Errorf("%s: rebuilding: %v", f, err)
			}
		}
	}
}

func TestVerify_RefusesGT4Faults(t *testing.T) {
	for pattern, want := range map[string]Class{
		"40-*.request.xml":  ClassNoSecurity,
		"40-*.response.xml": ClassNoSecurity,
		"44-*.request.xml":  ClassExpired,
		"46-*.request.xml":  ClassUntrusted,
	} {
		for _, f := range gt4Captures(t, pattern) {
			doc, _ := os.ReadFile(f)
			_, err := verifyBytes(gt4Verifier(t, doc), doc, Expect{Role: roleOf(f)})
			if e, ok := errors.AsType[*Error](err); !ok || e.Class != want {
				t.Errorf("%s: %v, want %s", f, err, want)
			}
		}
	}
}

// canonicalParts is what the signature covers of a capture, by its own bytes.
func canonicalParts(t *testing.T, doc []byte, e func(*soap.Message) *soap.Element) []byte {
	m, err := soap.Read(xmlscan.Memory(doc), soap.Limits{})
	if err != nil {
		return nil
	}
	el := e(m)
	if el == nil {
		return nil
	}
	var b bytes.Buffer
	if c14n.Write(&b, m.Scan(el), c14n.Method{Exclusive: true}) != nil {
		return nil
	}
	return b.Bytes()
}

func body(m *soap.Message) *soap.Element { return &m.Body }

func signedInfo(m *soap.Message) *soap.Element {
	for _, b := range m.Blocks {
		if IsSecurity(b) {
			if tree, err := m.Tree(&b.Element); err == nil {
				if sig := tree.Child(DSig, "Signature"); sig != nil && sig.Child(DSig, "SignedInfo") != nil {
					return &sig.Child(DSig, "SignedInfo").Element
				}
			}
		}
	}
	return nil
}

// Every byte of Body and SignedInfo is changed in turn: the message is refused, or nothing that the signature covers
// and nothing that is given back has changed.
func TestVerify_NoChangedByteGetsThrough(t *testing.T) {
	thorough := []string{"02-msg-sig.02-addRequest.request.xml", "02-msg-sig.03-GetResourceProperty.request.xml", "02-msg-sig.02-addRequest.response.xml", "11-deleg-msg-sig.02-RequestSecurityTokenRequest.response.xml"}
	for _, f := range signedCaptures(t) {
		t.Run(filepath.Base(f), func(t *testing.T) {
			t.Parallel()
			to := func(b byte) []byte { return []byte{b ^ 1} }
			if slices.Contains(thorough, filepath.Base(f)) {
				to = func(b byte) []byte { return []byte{b ^ 1, b ^ 0x20, ' ', '<', 'x'} }
			}
			changeEveryByte(t, f, to)
		})
	}
}

func changeEveryByte(t *testing.T, file string, to func(byte) []byte) {
	doc, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	v, role := gt4Verifier(t, doc), roleOf(file)
	want, err := verifyBytes(v, doc, Expect{Role: role})
	if err != nil {
		t.Fatal(err)
	}
	m, _ := soap.Read(xmlscan.Memory(doc), soap.Limits{})
	for _, part := range []func(*soap.Message) *soap.Element{body, signedInfo} {
		span, canon := part(m).Span, canonicalParts(t, doc, part)
		for at := span.Start; at < span.End; at++ {
			for _, b := range to(doc[at]) {
				changed := bytes.Clone(doc)
				changed[at] = b
				got, err := verifyBytes(v, changed, Expect{Role: role})
				if err != nil || b == doc[at] {
					continue
				}
				if !bytes.Equal(canonicalParts(t, changed, part), canon) {
					t.Fatalf("byte %d changed to %q: accepted with another canonical form", at, b)
				}
				if p := givenBackOf(got); p != "refused" && p != givenBackOf(want) {
					t.Fatalf("byte %d changed to %q: accepted and given back otherwise:\n%s", at, b, p)
				}
			}
		}
	}
}

func givenBackOf(v *Verified) string {
	b, err := v.Digested()
	if err != nil {
		return "refused"
	}
	return string(b)
}
