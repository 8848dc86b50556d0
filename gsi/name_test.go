package gsi_test

import (
	"encoding/hex"
	"testing"

	"gsigw/gsi"
)

// names were written by OpenSSL 3.0 (openssl req -utf8, -multivalue-rdn):
// -nameopt compat without the escapes that version 3 added, -nameopt RFC2253,
// -subject_hash, -subject_hash_old.
var names = []struct{ der, oneLine, rfc2253, hash, hashOld string }{
	{"3036310b30090603550406130258583110300e060355040a0c07506565724c61623115301306035504030c0c416c69636520546573746572",
		`/C=XX/O=PeerLab/CN=Alice Tester`,
		`CN=Alice Tester,O=PeerLab,C=XX`, "e8bedc01", "5c4dab41"},
	{"30818a31133011060a0992268993f22c64011916036f726731173015060a0992268993f22c64011916076578616d706c65310f300d060355040b0c0650656f706c6531143012060a0992268993f22c6401010c046a616e653112301006035504030c094a616e652044c3b665311f301d06092a864886f70d01090116104a616e65404578616d706c652e6f7267",
		`/DC=org/DC=example/OU=People/UID=jane/CN=Jane D\xC3\xB6e/emailAddress=Jane@Example.org`,
		`emailAddress=Jane@Example.org,CN=Jane D\C3\B6e,UID=jane,OU=People,DC=example,DC=org`, "47e1b5b5", "7498490a"},
	{"302c310d300b060355040a0c0447726964311b301906035504030c12686f73742f612e6578616d706c652e6f7267",
		`/O=Grid/CN=host/a.example.org`,
		`CN=host/a.example.org,O=Grid`, "6b651d06", "86503eeb"},
	{"3031310d300b060355040a0c04477269643120300c06035504030c054d756c74693010060a0992268993f22c6401010c026d31",
		`/O=Grid/CN=Multi/UID=m1`,
		`UID=m1+CN=Multi,O=Grid`, "d76e97ef", "bf171f35"},
	{"3046310d300b060355040a0c0447726964310b3009060355040513023432310c300a06035504040c03446f65310d300b060355042a0c044a616e65310b3009060355040c0c024472",
		`/O=Grid/serialNumber=42/SN=Doe/GN=Jane/title=Dr`,
		`title=Dr,GN=Jane,SN=Doe,serialNumber=42,O=Grid`, "d4d40d35", "0aaad305"},
	{"3063310b3009060355040613024445310f300d06035504080c0642617965726e3110300e06035504070c075ac3bc72696368310c300a06035504090c03582031310a300806035504110c0138310a300806035504290c016e310b300906035504030c02c3a9",
		`/C=DE/ST=Bayern/L=Z\xC3\xBCrich/street=X 1/postalCode=8/name=n/CN=\xC3\xA9`,
		`CN=\C3\A9,name=n,postalCode=8,street=X 1,L=Z\C3\BCrich,ST=Bayern,C=DE`, "b9b7d55e", "adc6cb7a"},
	{"303231193017060355040a1310202054776f2020205350414345532020311530130603550403140c23612c20625c22643c653e3b",
		`/O=  Two   SPACES  /CN=#a, b\"d<e>;`,
		`CN=\#a\, b\\\"d\<e\>\;,O=\  Two   SPACES \ `, "cc2c7446", "4b7c6655"},
}

func parseName(t *testing.T, der string) (gsi.Name, []byte) {
	t.Helper()
	raw, err := hex.DecodeString(der)
	if err != nil {
		t.Fatal(err)
	}
	name, err := gsi.ParseName(raw)
	if err != nil {
		t.Fatal(err)
	}
	return name, raw
}

func TestName_WritesAndHashesAsOpenSSLDoes(t *testing.T) {
	for _, want := range names {
		name, raw := parseName(t, want.der)
		if got := name.OneLine(); got != want.oneLine {
			t.Errorf("one line %s, want %s", got, want.oneLine)
		}
		if got := name.RFC2253(); got != want.rfc2253 {
			t.Errorf("RFC 2253 %s, want %s", got, want.rfc2253)
		}
		if got, err := gsi.SubjectHash(raw); err != nil || got != want.hash {
			t.Errorf("%s: hash %s %v, want %s", want.oneLine, got, err, want.hash)
		}
		if got := gsi.SubjectHashOld(raw); got != want.hashOld {
			t.Errorf("%s: old hash %s, want %s", want.oneLine, got, want.hashOld)
		}
	}
}

func TestName_ReadsBackBothForms(t *testing.T) {
	for _, want := range names {
		name, _ := parseName(t, want.der)
		again, err := gsi.ParseDN(want.rfc2253)
		if err != nil || !name.Equal(again) {
			t.Errorf("RFC 2253 %s reads as %v, %v", want.rfc2253, again, err)
		}
		multi := want.rfc2253 == `UID=m1+CN=Multi,O=Grid`
		if again, err = gsi.ParseDN(want.oneLine); err != nil || name.Equal(again) == multi {
			t.Errorf("one line %s reads as %v, %v", want.oneLine, again, err)
		}
	}
}

func TestEqualDN(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want bool
	}{
		{"/O=Grid/CN=Jane", "/O=Grid/CN=Jane", true},
		{"/O=Grid/CN=Jane", "CN=Jane,O=Grid", true},
		{"/O=Grid/CN=Jane", "cn=Jane, o=Grid", true},
		{"/O=Grid/CN=Jane", "/O=Grid/CN=jane", false},
		{"/O=Grid/CN=Jane", "/CN=Jane/O=Grid", false},
		{"/O=Grid/CN=Jane", "/O=Grid/CN=Jane ", false},
		{"/O=Grid/CN=Jane", "/O=Grid/CN=Jane/CN=proxy", false},
		{"/O=Grid/emailAddress=a@b", "/O=Grid/Email=a@b", true},
		{"/O=Grid/emailAddress=a@b", "/O=Grid/E=a@b", true},
		{"/O=Grid/UID=jane", "/O=Grid/USERID=jane", true},
		{"/O=Grid/UID=jane", "/O=Grid/CN=jane", false},
		{"/O=Grid/1.2.3.4=x", "1.2.3.4=x,O=Grid", true},
		{"/O=Grid/CN=host/a.org", "CN=host/a.org,O=Grid", true},
		{`/O=Grid/CN=host\/a.org`, "/O=Grid/CN=host/a.org", true},
		{"/O=Grid/CN=x/CN=Jane", `CN=x/CN\=Jane,O=Grid`, false},
		{`/O=Grid/CN=x\/CN=Jane`, `CN=x/CN=Jane,O=Grid`, true},
		{`/CN=J\xC3\xB6`, "CN=J\xc3\xb6", true},
		{`/CN=J\xC3\xB6`, `CN=J\C3\B6`, true},
		{"CN=a+UID=b", "UID=b+CN=a", false},
		{"Grid", "Grid", false},
		{"/Grid", "/Grid", false},
		{"", "", false},
		{`CN=a\`, `CN=a\`, false},
		{`CN="a"`, `CN="a"`, false},
	} {
		if got := gsi.EqualDN(test.a, test.b); got != test.want {
			t.Errorf("EqualDN(%q, %q) = %v", test.a, test.b, got)
		}
	}
}

func TestName_UnambiguousOnlyWhenTheOneLineFormMeansNoOther(t *testing.T) {
	for dn, want := range map[string]bool{
		"CN=Jane Doe,O=Grid":          true,
		"CN=host/a.org,O=Grid":        true,
		`CN=x/CN\=Jane,O=Grid`:        false,
		`CN=x/y\=Jane,O=Grid`:         true,
		"CN=Jane+UID=j,O=Grid":        false,
		`CN=J\C3\B6,O=Grid`:           true,
		`CN=J\\xC3,O=Grid`:            false,
		`CN=a\\/b,O=Grid`:             false,
		`CN=x,O=Grid/emailaddress\=y`: false,
	} {
		name, err := gsi.ParseDN(dn)
		if err != nil {
			t.Fatal(err)
		}
		if got := name.Unambiguous(); got != want {
			t.Errorf("%s: %v", dn, got)
		}
	}
}

// Two bytes a character that are four letters as one byte each.
func TestName_UTF16ThatReadsAsAnotherNameIsAmbiguous(t *testing.T) {
	der := []byte{0x30, 0x0f, 0x31, 0x0d, 0x30, 0x0b, 0x06, 0x03, 0x55, 0x04, 0x03, 0x1e, 0x04, 'J', 'a', 'n', 'e'}
	name, err := gsi.ParseName(der)
	if err != nil {
		t.Fatal(err)
	}
	if name.Unambiguous() {
		t.Errorf("%s is taken for %s", name.RFC2253(), name.OneLine())
	}
}

func TestOneLine_ShowsWhatIsNotAName(t *testing.T) {
	if got := gsi.OneLine([]byte{1, 2, 3}); got != "(not a name: 010203)" {
		t.Error(got)
	}
}

func TestParseName_RefusesWhatIsNoName(t *testing.T) {
	for what, der := range map[string]string{
		"nothing":               "",
		"a set":                 "310d300b06035504030c046a616e65",
		"bytes after it":        "300f310d300b06035504030c046a616e6500",
		"a sequence for a set":  "300f300d300b06035504030c046a616e65",
		"a tagged set":          "300fb10d300b06035504030c046a616e65",
		"a tagged sequence":     "b00f310d300b06035504030c046a616e65",
		"an empty set":          "30023100",
		"a type without value":  "30093107300506035504" + "03",
		"half an attribute":     "300f310d300b06035504030c056a616e65",
		"a number for the pair": "30053103020101",
	} {
		raw, err := hex.DecodeString(der)
		if err != nil {
			t.Fatal(err)
		}
		if name, err := gsi.ParseName(raw); err == nil {
			t.Errorf("%s: %v", what, name)
		}
	}
}
