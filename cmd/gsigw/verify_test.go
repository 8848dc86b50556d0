package main

import (
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gsigw/internal/gridtest"
)

const gt4 = "../../wssec/testdata/gt4"

// command runs gsigw in this process.
func command(in io.Reader, out, errs io.Writer, args ...string) int {
	c := root()
	c.SetArgs(gridDashes(c, args))
	c.SetIn(in)
	c.SetOut(out)
	c.SetErr(errs)
	used, err := c.ExecuteC()
	return report(errs, used, err)
}

var created = regexp.MustCompile(`Created>([^<]*)<`)

// signedCaptures are the requests and replies of X.509 Secure Message: signed (02), signed around an encrypted body
// (03), delegation (11), and with a legacy proxy (16).
func signedCaptures(t *testing.T) []string {
	t.Helper()
	var files []string
	for _, pattern := range []string{"02-*.xml", "03-*.xml", "11-*.xml", "16-*.xml"} {
		found, err := filepath.Glob(filepath.Join(gt4, pattern))
		if err != nil || len(found) < 4 {
			t.Fatalf("only %d captures %s: %v", len(found), pattern, err)
		}
		files = append(files, found...)
	}
	return slices.DeleteFunc(files, func(f string) bool { return !bytes.Contains(read(t, f), []byte("SignatureValue>")) })
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	doc, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// verifyCapture verifies as of the time at which a capture was signed.
func verifyCapture(file string, original, doc []byte, more ...string) (code int, out, errs string) {
	at := created.FindSubmatch(original)
	role := "request"
	if strings.HasSuffix(file, ".response.xml") {
		role = "reply"
	}
	args := append([]string{"verify", "--trust", gt4 + "/certificates", "--role", role, "--at", string(at[1])}, more...)
	var o, e strings.Builder
	code = command(bytes.NewReader(doc), &o, &e, args...)
	return code, o.String(), e.String()
}

func TestVerify_AcceptsEverySignedGT4Capture(t *testing.T) {
	for _, f := range signedCaptures(t) {
		doc := read(t, f)
		if code, _, errs := verifyCapture(f, doc, doc); code != exitDone {
			t.Errorf("%s: exit code %d: %s", filepath.Base(f), code, errs)
		}
	}
}

func TestVerify_PrintsAnEncryptedBodyAsSuch(t *testing.T) {
	f := filepath.Join(gt4, "03-msg-enc.02-addRequest.request.xml")
	doc := read(t, f)
	code, body, errs := verifyCapture(f, doc, doc, "--print", "body")
	if code != exitDone || !strings.Contains(body, "EncryptedData") {
		t.Errorf("exit code %d: %s %s", code, body, errs)
	}
	if code, out, errs := verifyCapture(f, doc, doc, "--print", "text"); code != exitDone || out != body {
		t.Errorf("as text: exit code %d: %s %s", code, out, errs)
	}
	if code, out, errs := verifyCapture(f, doc, doc, "--json"); code != exitDone || !strings.Contains(out, `"encrypted": true`) {
		t.Errorf("as JSON: exit code %d: %s %s", code, out, errs)
	}
}

// GT4 leaves InclusiveNamespaces out of what it signs of SignedInfo, which nobody else does: each way of signing is
// refused where the other is expected.
func TestVerify_TakesGT4sSignedInfoWhereAskedAlone(t *testing.T) {
	pki := gridtest.Must(gridtest.NewPKI(t.TempDir(), gridtest.PKIOptions{}))
	base := gridtest.Must(gridtest.AttackBases(pki))["gt4"]
	const end = "</ds:CanonicalizationMethod>"
	const list = `<x:InclusiveNamespaces xmlns:x="http://www.w3.org/2001/10/xml-exc-c14n#" PrefixList="wsse soapenv"/>`
	listed := strings.Replace(base.Message, end, list+end, 1)
	for _, quirk := range []bool{true, false} {
		doc := gridtest.Must(gridtest.Seal(listed, gridtest.Sealer{Key: base.Credential.Key, Quirk: quirk}))
		for _, stack := range []string{"gt4", "any", ""} {
			args := []string{"verify", "--trust", pki.TrustDir}
			if stack != "" {
				args = append(args, "--for", stack)
			}
			code, out, errs := gsigw([]byte(doc), args)
			if want := quirk == (stack == "gt4"); (code == exitDone) != want || !want && (out != "" || !strings.HasPrefix(errs, "reason=signature: ")) {
				t.Errorf("signed as GT4 does: %t, --for %q: exit code %d: %s", quirk, stack, code, errs)
			}
		}
	}
}

// TestVerify_RefusesChangedGT4Capture changes a sample of the bytes; package wssec's own test changes every one.
func TestVerify_RefusesChangedGT4Capture(t *testing.T) {
	f := filepath.Join(gt4, "02-msg-sig.02-addRequest.request.xml")
	doc := read(t, f)
	_, want, _ := verifyCapture(f, doc, doc)
	for _, part := range []string{"soapenv:Body", "ds:SignedInfo"} {
		start, end := bytes.Index(doc, []byte("<"+part)), bytes.Index(doc, []byte("</"+part))
		for range 40 {
			i := start + rand.IntN(end-start)
			changed := slices.Clone(doc)
			changed[i] ^= 1 << rand.IntN(7)
			code, out, errs := verifyCapture(f, doc, changed)
			if code == exitDone && out != want || code != exitDone && out != "" {
				t.Errorf("%s, byte %d made %q: exit code %d, printed %s%s", part, i, changed[i], code, out, errs)
			}
		}
	}
}
