package main

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// verifyFile runs gsigw proxy verify --json on a file that holds this.
func verifyFile(t *testing.T, dir string, content []byte) (code int, answer map[string]any) {
	t.Helper()
	file := filepath.Join(dir, "file.pem")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	code = command(nil, &out, &errs, "proxy", "verify", "--json", "--trust", filepath.Join(dir, "certificates"), file)
	d := json.NewDecoder(&out)
	if err := d.Decode(&answer); err != nil {
		t.Fatalf("%v\n%s", err, &errs)
	}
	if _, err := d.Token(); err != io.EOF {
		t.Fatalf("more than one value: %v", err)
	}
	if valid, ok := answer["valid"].(bool); !ok || valid != (code == exitDone) {
		t.Fatalf("exit code %d for %v", code, answer)
	}
	return code, answer
}

func TestProxyVerify_AnswersOneObjectWhateverTheFileHolds(t *testing.T) {
	dir := t.TempDir()
	pki := filepath.Join(dir, "pki")
	if err := makePKI(pki); err != nil {
		t.Fatal(err)
	}
	good := read(t, filepath.Join(pki, "voms.pem"))
	if code, answer := verifyFile(t, pki, good); code != exitDone {
		t.Fatal(answer)
	}
	key := read(t, filepath.Join(pki, "userkey.pem"))
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("no certificate")})
	for name, content := range map[string][]byte{
		"empty": nil, "text": []byte("garbage"), "zeros": make([]byte, 4096), "large": bytes.Repeat([]byte("x"), maxCredential+1),
		"key alone": key, "no certificate in PEM": cert, "and behind a good one": slices.Concat(good, cert),
		"somebody's key": slices.Concat(read(t, filepath.Join(pki, "hostcert.pem")), key),
		"half":           good[:len(good)/2],
	} {
		if code, answer := verifyFile(t, pki, content); code != exitFailed || answer["code"] != "malformed" {
			t.Errorf("%s: %v", name, answer)
		}
	}
	for range 200 {
		changed := slices.Clone(good)
		changed[rand.IntN(len(changed))] ^= 1 << rand.IntN(7)
		verifyFile(t, pki, changed)
	}
}

// A curve that crypto/x509 does not know makes a certificate none the less: it is the kind of key that is refused.
func TestProxyVerify_SaysAlgorithmOfACurveThatNobodyHereReads(t *testing.T) {
	pki := filepath.Join(t.TempDir(), "pki")
	if err := makePKI(pki); err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(read(t, filepath.Join(pki, "ecusercert.pem")))
	p256, unknown := []byte{6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7}, []byte{6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 99}
	block.Bytes = bytes.ReplaceAll(block.Bytes, p256, unknown)
	if code, answer := verifyFile(t, pki, pem.EncodeToMemory(block)); code != exitFailed || answer["code"] != "algorithm" {
		t.Error(answer)
	}
}
