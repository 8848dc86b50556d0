package voms

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"
)

func TestParseAnswer_RefusesWhatServersDoNotWrite(t *testing.T) {
	ac := "<ac>" + base64.StdEncoding.EncodeToString([]byte{0x30, 1, 0}) + "</ac>"
	for name, text := range map[string]string{
		"nothing":             "",
		"text":                "Service unavailable",
		"a document type":     "<!DOCTYPE vomsans [<!ENTITY a 'b'>]><vomsans>" + ac + "</vomsans>",
		"one within":          "<vomsans><!DOCTYPE x>" + ac + "</vomsans>",
		"an unknown entity":   "<vomsans>" + ac + "<warning>&a;</warning></vomsans>",
		"an element after it": "<vomsans>" + ac + "</vomsans><vomsans/>",
		"text after it":       "<vomsans>" + ac + "</vomsans>x",
		"markup in a message": "<vomsans><error><item><number>1005</number><message>Unable to interpret command: <vms</message></item></error>" + ac + "</vomsans>",
		"another charset":     `<?xml version="1.0" encoding="UTF-16"?><vomsans>` + ac + "</vomsans>",
		"a namespace":         `<vomsans xmlns="urn:x">` + ac + "</vomsans>",
		"REST's root":         "<voms>" + ac + "</voms>",
		"an open element":     "<vomsans>" + ac,
		"bytes after the DER": "<vomsans><ac>" + base64.StdEncoding.EncodeToString([]byte{0x30, 1, 0, 0}) + "</ac></vomsans>",
	} {
		if a, err := parseAnswer("vomsans", []byte(text)); err == nil {
			t.Errorf("%s: taken for %+v", name, a)
		}
	}
	good := `<?xml version="1.0" encoding = "US-ASCII"?><vomsans>` + ac + "</vomsans>\n<!-- end -->\n"
	if _, err := parseAnswer("vomsans", []byte(good)); err != nil {
		t.Error(err)
	}
}

// What a stranger writes is quoted, and not at length.
func TestParseAnswer_QuotesTheBeginning(t *testing.T) {
	_, err := parseAnswer("vomsans", []byte("\x1b[31m"+strings.Repeat("x", 10_000)))
	if err == nil || len(err.Error()) > 400 || strings.Contains(err.Error(), "\x1b") {
		t.Errorf("got %v", err)
	}
	a, err := parseAnswer("vomsans", []byte("<vomsans><error><item><number>1001</number><message>"+strings.Repeat("é", 10_000)+"</message></item></error></vomsans>"))
	if err != nil || len(a.messages[0].Text) > 1010 {
		t.Errorf("got %v", err)
	}
}

// A message may have any bytes in it: servers copy it from their database.
func TestParseAnswer_ReadsMessagesInOtherCharacters(t *testing.T) {
	a, err := parseAnswer("vomsans", []byte(`<?xml version="1.0" encoding="US-ASCII"?><vomsans><error><item><number>1004</number><message>scad`+"\xf9"+`to é</message></item></error></vomsans>`))
	if err != nil || a.messages[0].Text != "scad?to é" {
		t.Errorf("got %+v, %v", a, err)
	}
}

func TestParseAnswer_LeavesOnlyTextInMessages(t *testing.T) {
	for _, r := range "\t\r\n\u007f\u0080\u0085\u009b\u00ad\u200e\u200f\u2028\u2029\u202e\u2066\ufeff\U000e0001" {
		for _, text := range []string{"<error><message>a" + string(r) + "é中</message></error>", "<warning>a" + string(r) + "é中</warning>"} {
			a, err := parseAnswer("voms", []byte("<voms>"+text+"</voms>"))
			if err != nil || a.messages[0].Text != "a é中" {
				t.Errorf("%U: %+q, %v", r, a, err)
			}
		}
	}
}

func TestParseAnswer_KeepsSomeOfManyMessagesAndTheErrors(t *testing.T) {
	const item, last = "<item><number>2</number><message>short</message></item>", "<item><number>1004</number><message>suspended</message></item>"
	a, err := parseAnswer("vomsans", []byte("<vomsans><error>"+strings.Repeat(item, 10_000)+last+"</error><ac>MAA=</ac></vomsans>"))
	if err != nil || a.ac != nil || len(a.messages) != 32 || a.messages[0] != (Message{ErrSuspended, "suspended"}) {
		t.Errorf("%+v, %v", a, err)
	}
	a, err = parseAnswer("vomsans", []byte("<vomsans><error>"+strings.Repeat(last, 10_000)+"</error></vomsans>"))
	if err != nil || len(a.refusal().Error()) > 1000 {
		t.Errorf("%v, %v", a.refusal(), err)
	}
}

// Servers that are not asked for base64 write an alphabet of their own (src/common/xmlcc.cc).
func TestDecodeAC_ReadsBothAlphabets(t *testing.T) {
	der := append([]byte{0x30, 0x82, 0x01, 0x00}, bytes.Repeat([]byte{0xff, 0xfe, 0x03, 0xe9}, 64)...)
	for name, text := range map[string]string{
		"base64 in lines":   mime(der),
		"base64 in one":     base64.StdEncoding.EncodeToString(der),
		"without padding":   base64.RawStdEncoding.EncodeToString(der),
		"VOMS's own":        vomsBase64.EncodeToString(der),
		"VOMS's own, lines": " " + vomsBase64.EncodeToString(der)[:10] + "\r\n" + vomsBase64.EncodeToString(der)[10:],
	} {
		if got, err := decodeAC(text); err != nil || !bytes.Equal(got, der) {
			t.Errorf("%s: %x, %v", name, got, err)
		}
	}
	// From the Debian server's answer to a request without <base64>.
	if got, err := vomsBase64.DecodeString("miigFZccbwCcaqeWv6bvmd2K"); err != nil || !bytes.HasPrefix(got, []byte{0x30, 0x82, 0x06, 0x7f, 0x30, 0x82, 0x05, 0x67, 2, 1, 1}) {
		t.Errorf("got %x, %v", got, err)
	}
}

func FuzzParseAnswer(f *testing.F) {
	f.Add([]byte(legacyAnswer([]byte("A"), "<item><number>1001</number><message>no</message></item>")))
	f.Add([]byte(restAnswer([]byte{0x30, 0}, "<warning>short</warning>")))
	f.Add([]byte("<vomsans><error/><ac>mia</ac></vomsans>"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, root := range []string{"vomsans", "voms"} {
			a, err := parseAnswer(root, data)
			if err == nil && a.refusal() == nil && len(a.ac) == 0 {
				t.Error("neither a certificate nor a refusal")
			}
		}
	})
}
