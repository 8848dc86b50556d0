package gsi

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"software.sslmate.com/src/go-pkcs12"
)

func TestParseCertificates_SaysWhatAFileIsThatIsNoPEM(t *testing.T) {
	u := user(t, "Jane", noon.AddDate(1, 0, 0))
	p12, err := pkcs12.Modern.Encode(u.Key, u.Leaf(), nil, "")
	if err != nil {
		t.Fatal(err)
	}
	rsaKey := []byte{0x30, 0x82, 4, 0xa4, 2, 1, 0, 2}
	for name, test := range map[string]struct {
		data   []byte
		pkcs12 bool
		word   string
	}{
		"PKCS#12":                   {p12, true, "is PKCS#12"},
		"PKCS#12 of unknown length": {[]byte{0x30, 0x80, 2, 1, 3, 0x30, 0x80}, true, "is PKCS#12"},
		"a certificate in DER":      {u.Leaf().Raw, false, "is binary"},
		"a key in DER":              {rsaKey, false, "is binary"},
		"a length beyond the file":  {[]byte{0x30, 0xff, 0}, false, "is binary"},
		"bytes that are no text":    {[]byte{0x30, 0xff}, false, "is binary"},
		"text":                      {[]byte("0 garbage"), false, "it holds no PEM"},
		"a key alone":               {keyPEM(t, u), false, "no certificate in the file: only PRIVATE KEY"},
		"one byte":                  {[]byte("0"), false, "it holds no PEM"},
		"nothing":                   {[]byte("\n \r\n"), false, "is empty"},
		"a request":                 {pemOf("CERTIFICATE REQUEST"), false, "only CERTIFICATE REQUEST"},
	} {
		_, err := ParseCertificates(test.data)
		if err == nil || errors.Is(err, ErrPKCS12) != test.pkcs12 || !strings.Contains(err.Error(), test.word) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func pemOf(blockType string) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: blockType, Bytes: []byte{1}})
}

func TestParsePEM_TakesFilesAsPeopleKeepThem(t *testing.T) {
	u := user(t, "Jane", noon.AddDate(1, 0, 0))
	cert, key := string(certPEM(u.Chain...)), string(keyPEM(t, u))
	for name, text := range map[string]string{
		"Windows line ends":      strings.ReplaceAll(cert+key, "\n", "\r\n"),
		"a byte order mark":      "\xef\xbb\xbf" + cert + key,
		"text around":            "Bag Attributes\n    friendlyName: Jane\n" + cert + "subject=CN = Jane\n" + key + "that was it\n",
		"garbage at the end":     cert + key + "\x00\xff garbage",
		"spaces at the ends":     strings.ReplaceAll(cert+key, "\n", "  \n"),
		"no line end at the end": strings.TrimSpace(cert + key),
		"EC parameters":          cert + string(pemOf("EC PARAMETERS")) + key,
		"the certificate twice":  cert + cert + key,
	} {
		if c, err := ParsePEM([]byte(text)); err != nil || len(c.Chain) != 1 || !c.Leaf().Equal(u.Leaf()) {
			t.Errorf("%s: %v, %v", name, c, err)
		}
	}
}

func TestParsePEM_FindsTheIssuerByItsNameHoweverThatIsWritten(t *testing.T) {
	jane, loud, john := user(t, "Jane", noon.AddDate(1, 0, 0)), user(t, "JANE", noon.AddDate(1, 0, 0)), user(t, "John", noon.AddDate(1, 0, 0))
	proxy, err := NewProxy(jane, Limits{Now: noon})
	if err != nil {
		t.Fatal(err)
	}
	own := append(certPEM(proxy.Leaf()), keyPEM(t, proxy)...)
	for what, test := range map[string]struct {
		others []*x509.Certificate
		want   *Credential
	}{
		"in another case":                {[]*x509.Certificate{john.Leaf(), loud.Leaf()}, loud},
		"in another case and in its own": {[]*x509.Certificate{loud.Leaf(), jane.Leaf()}, jane},
	} {
		c, err := ParsePEM(append(own[:len(own):len(own)], certPEM(test.others...)...))
		if err != nil || len(c.Chain) != 2 || !c.Chain[1].Equal(test.want.Leaf()) {
			t.Errorf("%s: %v, %v", what, c, err)
		}
	}
	if c, err := ParsePEM(append(own[:len(own):len(own)], certPEM(john.Leaf())...)); err == nil {
		t.Errorf("took somebody else's for the issuer's: %v", c)
	}
}

func TestParsePEM_SaysWhatIsBroken(t *testing.T) {
	u, other := user(t, "Jane", noon.AddDate(1, 0, 0)), user(t, "John", noon.AddDate(1, 0, 0))
	cert, key := string(certPEM(u.Chain...)), string(keyPEM(t, u))
	lines := strings.Count(cert, "\n")
	for name, test := range map[string]struct{ text, word string }{
		"a certificate cut off":      {"text\n" + cert[:len(cert)/2], "begins in line 2 of"},
		"a certificate cut, and key": {cert[:len(cert)/2] + "\n" + key, "begins in line 1 of"},
		"a key cut off":              {cert + key[:len(key)/2], fmt.Sprintf("begins in line %d of", lines+1)},
		"garbage inside":             {strings.Replace(cert, "M", "!M", 1) + key, "begins in line 1 of"},
		"another END":                {strings.Replace(cert, "END CERT", "END X509 CERT", 1) + key, "begins in line 1 of"},
		"no certificate in it":       {string(pemOf("CERTIFICATE")) + key, "certificate 1 of the file does not parse"},
		"the second one broken":      {cert + string(pemOf("CERTIFICATE")) + key, "certificate 2 of the file does not parse"},
		"no key":                     {cert + string(pemOf("OPENSSH PRIVATE KEY")), "only CERTIFICATE, OPENSSH PRIVATE KEY"},
		"two keys":                   {cert + key + string(keyPEM(t, other)), "leave the one"},
		"another's key":              {cert + string(keyPEM(t, other)), "neither to /CN=Jane nor to another"},
		"a key of no kind":           {cert + string(pemOf("RSA PRIVATE KEY")), "RSA PRIVATE KEY does not parse"},
	} {
		if c, err := ParsePEM([]byte(test.text)); err == nil || !strings.Contains(err.Error(), test.word) {
			t.Errorf("%s: %v, %v, want %q", name, c, err, test.word)
		}
	}
}

func TestPairFile_NamesTheFileThatIsBroken(t *testing.T) {
	u := user(t, "Jane", noon.AddDate(1, 0, 0))
	dir := t.TempDir()
	cert := writeFile(t, filepath.Join(dir, "cert"), certPEM(u.Chain...), 0o644)
	key := writeFile(t, filepath.Join(dir, "key"), keyPEM(t, u), 0o600)
	broken := writeFile(t, filepath.Join(dir, "broken"), certPEM(u.Chain...)[:200], 0o600)
	for _, test := range []struct{ cert, key, word string }{
		{broken, key, broken + ": the PEM block that begins in line 1"},
		{cert, broken, broken + ": the PEM block that begins in line 1"},
		{key, key, key + ": no certificate in the file: only PRIVATE KEY"},
		{cert, cert, cert + ": its mode is 0644"},
		{cert, dir + "/none", dir + "/none: "},
	} {
		_, err := PairFile(test.cert, test.key, FileOptions{Now: clock(noon)}).Credential(t.Context())
		if err == nil || !strings.Contains(err.Error(), test.word) || strings.Count(err.Error(), "gsi:") != 1 {
			t.Errorf("got %v, want %q", err, test.word)
		}
	}
}

func TestParseKeyWith_ReadsAKeyAloneAndAsksForThePassphrase(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	locked, err := MarshalEncryptedKey(key, []byte("open sesame"))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := MarshalKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range [][]byte{plain, locked} {
		got, err := ParseKeyWith(text, func() ([]byte, error) { return []byte("open sesame"), nil })
		if err != nil || !key.PublicKey.Equal(got.Public()) {
			t.Errorf("%v, %v", got, err)
		}
	}
	if _, err := ParseKeyWith(locked, nil); !errors.Is(err, ErrEncryptedKey) {
		t.Error(err)
	}
	if _, err := ParseKeyWith(locked, func() ([]byte, error) { return []byte("wrong"), nil }); !errors.Is(err, ErrPassphrase) {
		t.Error(err)
	}
	if _, err := ParseKeyWith(append(plain, plain...), nil); err == nil {
		t.Error("which of two keys is meant cannot be known")
	}
}
