package policy

import (
	"strings"
	"testing"
)

func TestNew_RefusesProfilesThatCannotBe(t *testing.T) {
	for name, test := range map[string]struct {
		target string
		route  Route
		want   string // empty: it can be
	}{
		"a password over TLS":           {"https://a.example.org/s", Route{Message: MessageUsername, Transport: TransportHTTPS}, ""},
		"a password over the user's":    {"https://a.example.org/s", Route{Message: MessageUsername, Transport: TransportGSI}, ""},
		"a password in the clear":       {"http://a.example.org/s", Route{Message: MessageUsername}, "message: the password would travel in the clear"},
		"a bearer over TLS":             {"https://a.example.org/s", Route{Message: MessageSAML, Confirmation: Bearer, Transport: TransportHTTPS}, ""},
		"a bearer in the clear":         {"http://a.example.org/s", Route{Message: MessageSAML, Confirmation: Bearer}, "confirmation: whoever reads a bearer's assertion"},
		"a signed bearer in the clear":  {"http://a.example.org/s", Route{Message: MessageSAML, Confirmation: SignedBearer}, "confirmation: whoever reads a bearer's assertion"},
		"a holder of key in the clear":  {"http://a.example.org/s", Route{Message: MessageSAML}, ""},
		"wss-x509 in the clear":         {"http://a.example.org/s", Route{Message: MessageX509}, ""},
		"wss-x509 with sha1":            {"http://a.example.org/s", Route{Message: MessageX509, Digest: SHA1}, "digest: sha1 is for gsi-message"},
		"saml with sha1":                {"http://a.example.org/s", Route{Message: MessageSAML, Digest: SHA1}, "digest: sha1 is for gsi-message"},
		"gsi-message with sha1":         {"http://a.example.org/s", Route{Message: MessageGSI, Digest: SHA1}, ""},
		"wss-x509 for gt4":              {"http://a.example.org/s", Route{Message: MessageX509, For: StackGT4}, "message: GT4 does not know wss-x509"},
		"a password for gt4":            {"https://a.example.org/s", Route{Message: MessageUsername, For: StackGT4, Transport: TransportHTTPS}, "message: GT4 does not know wss-username"},
		"gt4 with sha512":               {"http://a.example.org/s", Route{Message: MessageGSI, For: StackGT4, Digest: SHA512}, "digest: GT4 knows sha1 and sha256 alone"},
		"privacy with a password":       {"https://a.example.org/s", Route{Message: MessageUsername, Privacy: true, Transport: TransportHTTPS}, "privacy: it comes with a signature"},
		"privacy without security":      {"http://a.example.org/s", Route{Privacy: true}, "privacy: it comes with a signature"},
		"privacy":                       {"http://a.example.org/s", Route{Message: MessageGSI, Privacy: true}, ""},
		"privacy but for attachments":   {"http://a.example.org/s", Route{Message: MessageX509, Privacy: true, UnsignedAttachments: true}, "unsigned-attachments: nothing encrypts attachments"},
		"unsigned beside what is never": {"https://a.example.org/s", Route{Message: MessageUsername, UnsignedAttachments: true, Transport: TransportHTTPS}, "unsigned-attachments: nothing is signed"},
	} {
		t.Run(name, func(t *testing.T) {
			test.route.Name, test.route.Target = "r", target(t, test.target)
			_, err := New([]Route{test.route}, nil)
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("%v, want %s", err, test.want)
			}
		})
	}
}

func TestRoute_NeedsACredentialWhereItSignsOrIsTheUserInTLS(t *testing.T) {
	for _, test := range []struct {
		route           Route
		signed, secured bool
	}{
		{Route{}, false, false},
		{Route{Transport: TransportHTTPS}, false, false},
		{Route{Transport: TransportGSI}, false, true},
		{Route{Message: MessageGSI}, true, true},
		{Route{Message: MessageX509}, true, true},
		{Route{Message: MessageUsername, Transport: TransportHTTPS}, false, false},
		{Route{Message: MessageUsername, Transport: TransportGSI}, false, true},
		{Route{Message: MessageSAML}, true, true},
		{Route{Message: MessageSAML, Confirmation: Bearer, Transport: TransportHTTPS}, false, false},
		{Route{Message: MessageSAML, Confirmation: SignedBearer, Transport: TransportHTTPS}, true, true},
	} {
		if r := test.route; r.Signed() != test.signed || r.Secured() != test.secured {
			t.Errorf("%s: signed %t, secured %t", r.treatment("POST"), r.Signed(), r.Secured())
		}
	}
}

// What does not notice a change, and what old attacks know, has to be named.
func TestEnums_ZeroValuesAreNotWeak(t *testing.T) {
	if Cipher(0).CBC() || KeyTransport(0) == RSA15 || Confirmation(0) == Bearer || PasswordType(0) == PasswordText || Digest(0) == SHA1 {
		t.Error("a zero value is weak")
	}
	for i, name := range Ciphers {
		if Cipher(i).CBC() != strings.HasSuffix(name, "-cbc") {
			t.Errorf("%s: CBC is %t", name, Cipher(i).CBC())
		}
	}
}
