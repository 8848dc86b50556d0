package wssec_test

import (
	"os"
	"testing"

	"gsigw/soap"
	"gsigw/soap/xmlscan"
	. "gsigw/wssec"
)

// FuzzVerify looks for a message that makes the verifier panic, or that it accepts with another payload than the
// capture's.
func FuzzVerify(f *testing.F) {
	payloads := map[string]bool{}
	files := signedCaptures(f)
	for _, file := range files {
		doc, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(doc)
		v, err := verifyBytes(gt4Verifier(f, doc), doc, Expect{Role: roleOf(file)})
		if err != nil {
			f.Fatal(err)
		}
		payloads[payload(f, v)] = true
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		for _, role := range []Role{Request, Reply} {
			v, err := verifyBytes(gt4Verifier(t, doc), doc, Expect{Role: role})
			if err != nil {
				continue
			}
			if p := payload(t, v); p != "" && !payloads[p] {
				t.Fatalf("accepted with a payload that nobody signed:\n%s", p)
			}
			m, err := v.Message(nil)
			if err != nil {
				continue
			}
			if _, err := soap.Read(xmlscan.Memory(m), soap.Limits{}); err != nil {
				t.Fatalf("rebuilt to something that is no message: %v\n%s", err, m)
			}
		}
	})
}

// payload is what is given back; empty where that is refused.
func payload(t testing.TB, v *Verified) string {
	b, err := v.Digested()
	if err != nil {
		return ""
	}
	return string(b)
}
