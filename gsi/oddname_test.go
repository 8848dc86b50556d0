package gsi_test

import (
	"bytes"
	"encoding/asn1"
	"encoding/hex"
	"strings"
	"testing"

	"gsigw/gsi"
)

// oddNames, and what OpenSSL 3.0 says of certificates with them as subject: x509
// -subject -nameopt compat (which is X509_NAME_oneline, that grid-proxy-info prints)
// without the escapes and the '+' that version 3 added, -nameopt RFC2253, -subject_hash,
// -subject_hash_old. Those without a hash OpenSSL does not read.
var oddNames = []struct{ what, der, oneLine, rfc2253, hash, hashOld string }{
	{"BMPString", "302a310d300b060355040a1304477269643119301706035504031e10004a00e4006e006500200044006f0065",
		`/O=Grid/CN=\x00J\x00\xE4\x00n\x00e\x00 \x00D\x00o\x00e`, `CN=J\C3\A4ne Doe,O=Grid`, "37c3f118", "e6acdf76"},
	{"T61String", "301e310d300b060355040a14044772fc6e310d300b060355040314044a616e65",
		`/O=Gr\xFCn/CN=Jane`, `CN=Jane,O=Gr\C3\BCn`, "40f5347a", "d7bb0533"},
	{"UniversalString", "30133111300f06035504031c080000004a000000f6",
		`/CN=\x00\x00\x00J\x00\x00\x00\xF6`, `CN=J\C3\B6`, "1eef4537", "bc94f79a"},
	{"VisibleString", "300f310d300b06035504031a044a616e65", `/CN=Jane`, `CN=Jane`, "", ""},
	{"empty values", "301631093007060355040a13003109300706035504030c00", `/O=/CN=`, `CN=,O=`, "233e4783", "bc0399ba"},
	{"no attribute", "3000", ``, ``, "eea339da", "543b6ca4"},
	{"what RFC 2253 escapes", "302d311c301a060355040a0c13612c622b6322645c653c663e673b683d69236a310d300b06035504030c0423207820",
		`/O=a,b+c"d\e<f>g;h=i#j/CN=# x `, `CN=\# x\ ,O=a\,b\+c\"d\\e\<f\>g\;h=i#j`, "d8f5aceb", "2d1f70e1"},
	{"slash and plus", "3021310c300a060355040a0c03612f623111300f06035504030c08782f434e3d792b7a",
		`/O=a/b/CN=x/CN=y+z`, `CN=x/CN=y\+z,O=a/b`, "4e36e62a", "a5513e55"},
	{"control characters", "30133111300f06035504030c08610a6209637f0064", `/CN=a\x0Ab\x09c\x7F\x00d`, `CN=a\0Ab\09c\7F\00d`, "939135d8", "6f38e86d"},
	{"three values in one RDN", "3036310d300b060355040a1304477269643125300806035504031301413008060355040b130142300f060a0992268993f22c640101130175",
		`/O=Grid/CN=A/OU=B/UID=u`, `UID=u+OU=B+CN=A,O=Grid`, "9bfbe257", "60e69d60"},
	{"a type without a name", "301e3110300e06092b06010401868d1f010c0178310a30080603550403130179",
		`/1.3.6.1.4.1.99999.1=x/CN=y`, `CN=y,1.3.6.1.4.1.99999.1=#0C0178`, "c29d19a7", "98832b0c"},
	{"IA5String", "303931133011060a0992268993f22c64011916036f72673116301406092a864886f70d01090116076a40782e6f7267310a30080603550405130131",
		`/DC=org/emailAddress=j@x.org/serialNumber=1`, `serialNumber=1,emailAddress=j@x.org,DC=org`, "93d7469e", "23861c4a"},
	{"beyond 16 bits", "3010310e300c06035504030c0578f09d849e", `/CN=x\xF0\x9D\x84\x9E`, `CN=x\F0\9D\84\9E`, "5a5a7ba2", "f7f22dcf"},
	{"UTF-16 in a BMPString", "3011310f300d06035504031e060078d834dd1e", `/CN=\x00x\xD84\xDD\x1E`, `CN=x\F0\9D\84\9E`, "", ""},
	{"spaces only", "300d310b300906035504030c022020", `/CN=  `, `CN=\ \ `, "5da78770", "66c62389"},
	{"one space", "300c310a300806035504030c0120", `/CN= `, `CN=\ `, "5da78770", "e081adca"},
}

func TestName_WritesOddNamesAsOpenSSLDoes(t *testing.T) {
	for _, want := range oddNames {
		name, raw := parseName(t, want.der)
		if got := name.OneLine(); got != want.oneLine {
			t.Errorf("%s: one line %s, want %s", want.what, got, want.oneLine)
		}
		if got := name.RFC2253(); got != want.rfc2253 {
			t.Errorf("%s: RFC 2253 %s, want %s", want.what, got, want.rfc2253)
		}
		if want.hash == "" {
			continue
		}
		if got, err := gsi.SubjectHash(raw); err != nil || got != want.hash {
			t.Errorf("%s: hash %s %v, want %s", want.what, got, err, want.hash)
		}
		if got := gsi.SubjectHashOld(raw); got != want.hashOld {
			t.Errorf("%s: old hash %s, want %s", want.what, got, want.hashOld)
		}
	}
}

func TestParseDN_ReadsOddNamesBack(t *testing.T) {
	for _, want := range oddNames {
		name, _ := parseName(t, want.der)
		again, err := gsi.ParseDN(want.rfc2253)
		if want.rfc2253 == "" {
			if err == nil {
				t.Error("a name of nothing is read")
			}
			continue
		}
		if err != nil || !name.Equal(again) {
			t.Errorf("%s: %s reads as %v, %v", want.what, want.rfc2253, again, err)
		}
	}
	for _, bad := range []string{"CN=#", "CN=#0", "CN=#0C", "CN=#0C0178ff", "CN=#zz", "CN=#3000", "CN=#a00178", `CN="x"`} {
		if name, err := gsi.ParseDN(bad); err == nil {
			t.Errorf("%s is read as %v", bad, name)
		}
	}
}

// valued is the DER of a name with one CN: a value of the tag and the class.
func valued(t *testing.T, class, tag int, value string) []byte {
	t.Helper()
	tlv := func(v asn1.RawValue) []byte {
		der, err := asn1.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	pair := append([]byte{6, 3, 0x55, 4, 3}, tlv(asn1.RawValue{Class: class, Tag: tag, Bytes: []byte(value)})...)
	set := tlv(asn1.RawValue{Tag: asn1.TagSet, IsCompound: true, Bytes: tlv(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: pair})})
	return tlv(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: set})
}

func TestEqual_TakesForTextWhatIsAWellFormedStringAlone(t *testing.T) {
	const universal, context = asn1.ClassUniversal, asn1.ClassContextSpecific
	for what, test := range map[string]struct {
		class, tag  int
		value, text string
		equal       bool
	}{
		"a UTF8String":      {universal, asn1.TagUTF8String, "Jane", "Jane", true},
		"a PrintableString": {universal, asn1.TagPrintableString, "Jane", "Jane", true},
		"an IA5String":      {universal, asn1.TagIA5String, "Jane", "Jane", true},
		"a NumericString":   {universal, asn1.TagNumericString, "42", "42", true},
		"a VisibleString":   {universal, 26, "Jane", "Jane", true},
		"a T61String":       {universal, asn1.TagT61String, "J\xe4ne", "J\u00e4ne", true},
		"a BMPString":       {universal, asn1.TagBMPString, "\x00J\x00\xe4", "J\u00e4", true},
		"a UniversalString": {universal, 28, "\x00\x00\x00J\x00\x01\xd1\x1e", "J\U0001d11e", true},

		"an INTEGER":                      {universal, asn1.TagInteger, "Jane", "Jane", false},
		"an OCTET STRING":                 {universal, asn1.TagOctetString, "Jane", "Jane", false},
		"a tag of the context":            {context, asn1.TagUTF8String, "Jane", "Jane", false},
		"half a character of two bytes":   {universal, asn1.TagBMPString, "\x00J\x01", "J", false},
		"half a character of four bytes":  {universal, 28, "\x00\x00\x00J\x00", "J", false},
		"a lone surrogate":                {universal, asn1.TagBMPString, "\xd8\x00", "\ufffd", false},
		"a lone surrogate in four bytes":  {universal, 28, "\x00\x00\xd8\x00", "\ufffd", false},
		"a character that does not exist": {universal, 28, "\x00\x11\x00\x00", "\ufffd", false},
		"one beyond 31 bits":              {universal, 28, "\x80\x00\x00J", "J", false},
	} {
		der := valued(t, test.class, test.tag, test.value)
		name, err := gsi.ParseName(der)
		if err != nil {
			t.Fatal(err)
		}
		text, err := gsi.ParseName(valued(t, universal, asn1.TagUTF8String, test.text))
		if err != nil {
			t.Fatal(err)
		}
		raw, err := gsi.ParseName(valued(t, universal, asn1.TagUTF8String, test.value))
		if err != nil {
			t.Fatal(err)
		}
		if name.Equal(text) != test.equal || text.Equal(name) != test.equal || !test.equal && (name.Equal(raw) || raw.Equal(name)) {
			t.Errorf("%s is %s: %t", what, text.OneLine(), !test.equal)
		}
		if test.equal != (name.CommonName() == test.text) || test.equal == strings.HasPrefix(name.RFC2253(), "CN=#") {
			t.Errorf("%s: %q, %s", what, name.CommonName(), name.RFC2253())
		}
		if again, err := name.DER(); err != nil || !bytes.Equal(again, der) {
			t.Errorf("%s is written as %x, %v", what, again, err)
		}
		if !test.equal && name.Unambiguous() {
			t.Errorf("%s: %s passes for text", what, name.OneLine())
		}
		if test.class == universal {
			if again, err := gsi.ParseDN(name.RFC2253()); err != nil || !again.Equal(name) {
				t.Errorf("%s: %s reads as %v, %v", what, name.RFC2253(), again, err)
			}
		}
	}
}

func TestEqual_TellsTwoLoneSurrogatesApart(t *testing.T) {
	high, _ := gsi.ParseName(valued(t, asn1.ClassUniversal, asn1.TagBMPString, "\xd8\x00"))
	low, _ := gsi.ParseName(valued(t, asn1.ClassUniversal, asn1.TagBMPString, "\xdc\x01"))
	if high.Equal(low) || !high.Equal(high) {
		t.Error(high, low)
	}
}

func FuzzParseName(f *testing.F) {
	for _, n := range names {
		raw, _ := hex.DecodeString(n.der)
		f.Add(raw)
	}
	for _, n := range oddNames {
		raw, _ := hex.DecodeString(n.der)
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		name, err := gsi.ParseName(der)
		if err != nil || len(name) == 0 {
			return
		}
		gsi.SubjectHash(der)
		if one, err := gsi.ParseDN(name.OneLine()); name.Unambiguous() && (err != nil || one.OneLine() != name.OneLine()) {
			t.Errorf("%s reads as %v, %v", name.OneLine(), one, err)
		}
		name.RFC2253()
	})
}

func FuzzParseDN(f *testing.F) {
	for _, n := range names {
		f.Add(n.oneLine)
		f.Add(n.rfc2253)
	}
	for _, n := range oddNames {
		f.Add(n.oneLine)
		f.Add(n.rfc2253)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, err := gsi.ParseDN(s)
		if err != nil {
			return
		}
		again, err := gsi.ParseDN(name.RFC2253())
		if err != nil || !again.Equal(name) {
			t.Errorf("%q is %s, which reads as %v, %v", s, name.RFC2253(), again, err)
		}
	})
}
