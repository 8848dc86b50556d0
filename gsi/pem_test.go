package gsi

import (
	"errors"
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
		"text":                      {[]byte("0 garbage"), false, "no certificate"},
		"a key alone":               {keyPEM(t, u), false, "no certificate"},
		"one byte":                  {[]byte("0"), false, "no certificate"},
	} {
		_, err := ParseCertificates(test.data)
		if err == nil || errors.Is(err, ErrPKCS12) != test.pkcs12 || !strings.Contains(err.Error(), test.word) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
