package wssec_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gsigw/gsi"
	. "gsigw/wssec"
	"gsigw/wssec/xmlenc"
)

// decrypterFromFiles reads a key and the first certificate.
func decrypterFromFiles(t testing.TB, keyFile, certFile string) (crypto.Decrypter, *x509.Certificate) {
	t.Helper()
	block := func(file, suffix string) []byte {
		rest, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for {
			var b *pem.Block
			if b, rest = pem.Decode(rest); b == nil {
				t.Fatal(file, "has no", suffix)
			} else if strings.HasSuffix(b.Type, suffix) {
				return b.Bytes
			}
		}
	}
	der := block(keyFile, "PRIVATE KEY")
	var key any
	key, err := x509.ParsePKCS1PrivateKey(der)
	if err != nil {
		if key, err = x509.ParsePKCS8PrivateKey(der); err != nil {
			t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(block(certFile, "CERTIFICATE"))
	if err != nil {
		t.Fatal(err)
	}
	return key.(crypto.Decrypter), cert
}

// gt4Decrypter verifies as gt4Verifier, with the key of who received the capture.
func gt4Decrypter(t testing.TB, doc []byte, role Role) *Verifier {
	v := gt4Verifier(t, doc)
	d := &Decryption{CBC: true, RSA15: true}
	var cert *x509.Certificate
	if role == Request {
		d.Key, cert = decrypterFromFiles(t, "testdata/gt4/host/key.pem", "testdata/gt4/host/cert.pem")
	} else {
		d.Key, cert = decrypterFromFiles(t, "testdata/gt4/proxy-user-rfc.pem", "testdata/gt4/proxy-user-rfc.pem")
	}
	d.Certificates = []*x509.Certificate{cert}
	v.Decrypt = d
	return v
}

func TestVerify_OpensWhatGT4Encrypted(t *testing.T) {
	files := gt4Captures(t, "03-*.xml")
	if len(files) != 8 {
		t.Fatalf("%d captures", len(files))
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			doc, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			v := gt4Decrypter(t, doc, roleOf(f))
			got, err := verifyBytes(v, doc, Expect{Role: roleOf(f), Encrypted: true})
			if err != nil {
				t.Fatal(err)
			}
			if got.Operation().Space == xmlenc.Space {
				t.Error("Body is still encrypted")
			}
			plain, err := got.Message(nil)
			if err != nil && roleOf(f) == Reply {
				t.Fatal(err)
			}
			if bytes.Contains(plain, []byte("EncryptedData")) {
				t.Errorf("%s", plain)
			}
		})
	}
}

func TestVerify_OpensTheRecordedPlaintext(t *testing.T) {
	want, err := os.ReadFile("testdata/gt4/03-msg-enc.02-addRequest.request.body-plaintext.txt")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("testdata/gt4/03-msg-enc.02-addRequest.request.xml")
	if err != nil {
		t.Fatal(err)
	}
	got, err := verifyBytes(gt4Decrypter(t, doc, Request), doc, Expect{Encrypted: true})
	if err != nil {
		t.Fatal(err)
	}
	var body bytes.Buffer
	if err := got.WriteBody(&body); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(body.String(), strings.TrimSpace(string(want))) {
		t.Errorf("got %s, want it to hold %s", body.String(), want)
	}
	if text, err := got.Text(); err != nil || text != "5" {
		t.Errorf("text %q, %v", text, err)
	}
	if got.Addressing.Action != "http://counter.com/CounterPortType/addRequest" || got.MessageID == "" {
		t.Errorf("addressing %+v", got.Addressing)
	}
	if len(got.Parts()) != 6 {
		t.Errorf("parts %v", got.Parts())
	}
}

func TestSecure_EncryptsInTheFormOfGT4(t *testing.T) {
	capture, err := os.ReadFile("testdata/gt4/03-msg-enc.02-addRequest.request.xml")
	if err != nil {
		t.Fatal(err)
	}
	want, _ := securityOutline(t, string(capture))
	g := newGrid(t)
	p := &GSIMessage{Digest: SHA1, Privacy: &Encryption{To: g.Host.Leaf(), Cipher: xmlenc.AES128CBC, KeyTransport: xmlenc.RSA15}}
	secured := secure(t, p, plainRequest, g.proxy(t, gsi.Limits{}))
	got, _ := securityOutline(t, secured)
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got, want := bodyOutline(t, secured), bodyOutline(t, string(capture)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func bodyOutline(t *testing.T, doc string) string {
	m := parse(t, doc)
	tree, err := m.Tree(&m.Body)
	if err != nil {
		t.Fatal(err)
	}
	return outline(tree, 0)
}

// TestSecure_NamesTheIssuerAsGT4Does is about the order of the name: the certificate's.
func TestSecure_NamesTheIssuerAsGT4Does(t *testing.T) {
	_, host := decrypterFromFiles(t, "testdata/gt4/host/key.pem", "testdata/gt4/host/cert.pem")
	g := newGrid(t)
	for reference, want := range map[KeyReference]string{
		ReferenceDefault: "<ds:X509IssuerName>O=Grid,OU=GT4Lab,CN=GT4Lab CA</ds:X509IssuerName><ds:X509SerialNumber>16</ds:X509SerialNumber>",
		Thumbprint:       "#ThumbprintSHA1\">",
	} {
		p := &GSIMessage{Privacy: &Encryption{To: host, KeyReference: reference}}
		if got := secure(t, p, plainRequest, g.User); !strings.Contains(got, want) {
			t.Errorf("%s is not in\n%s", want, got)
		}
	}
}
