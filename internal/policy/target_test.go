package policy

import (
	"errors"
	"net/url"
	"strings"
	"testing"
)

func TestNormalisePath_ReadsInOneWayOrRefuses(t *testing.T) {
	for _, tc := range []struct{ in, want string }{ // an empty want is a refusal
		{"", "/"},
		{"/", "/"},
		{"/a/b", "/a/b"},
		{"/a/b/", "/a/b/"},
		{"//a", ""},
		{"/a//b", ""},
		{"/a//", ""},
		{"//", ""},
		{"/a/./b", ""},
		{"/a/../b", ""},
		{"/a/b/..", ""},
		{"/a/b/.", ""},
		{"/a/%2e%2e/b", ""},
		{"/a/%2E./b", ""},
		{"/a/..", ""},
		{"/...", "/..."},
		{"/a/b.c..d", "/a/b.c..d"},
		{"/%61", "/a"},
		{"/a%20b", "/a b"},
		{"/%c3%a9", "/é"},
		{"a", ""},
		{"/..", ""},
		{"/a/../../b", ""},
		{"/a%2fb", ""},
		{"/a%5cb", ""},
		{`/a\b`, ""},
		{"/a;x=1/b", ""},
		{"/a/..;/b", ""},
		{"/a/..%3bx/b", ""},
		{"/a%25", ""},
		{"/a%c0%ae", ""},
		{"/a%3bx", ""},
		{"/%252e%252e/b", ""},
		{"/a%3Fwsdl", ""},
		{"/a%23b", ""},
		{"/a%00", ""},
		{"/a%0ab", ""},
		{"/a%7f", ""},
		{"/a%ff", ""},
		{"/a%2", ""},
		{"/a%zz", ""},
	} {
		got, err := NormalisePath(tc.in)
		if got != tc.want || (err == nil) != (tc.want != "") {
			t.Errorf("%q: got %q, %v; want %q", tc.in, got, err, tc.want)
		}
	}
}

func TestNormaliseHost_HasOneFormForEachName(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{"Grid.Example.ORG", "grid.example.org"},
		{"grid.example.org.", ""},
		{"localhost", "localhost"},
		{"my_host", "my_host"},
		{"xn--bcher-kva.example", "xn--bcher-kva.example"},
		{"192.0.2.1", "192.0.2.1"},
		{"::1", "::1"},
		{"[2001:DB8:0::1]", "2001:db8::1"},
		{"::ffff:127.0.0.1", ""},
		{"bücher.example", ""},
		{"grid.example.org\u3002", ""},
		{"", ""},
		{".", ""},
		{"grid..example.org", ""},
		{"grid.example.org..", ""},
		{"127.1", ""},
		{"2130706433", ""},
		{"0x7f.1", ""},
		{"0x7f000001", ""},
		{"192.0.2.01", ""},
		{"192.0.2.1.5", ""},
		{"fe80::1%eth0", ""},
		{"[::1", ""},
		{"[h]", ""},
		{"::g", ""},
		{"a b", ""},
		{"a/b", ""},
		{"a%2eb", ""},
		{"user@host", ""},
	} {
		got, err := NormaliseHost(tc.in)
		if got != tc.want || (err == nil) != (tc.want != "") {
			t.Errorf("%q: got %q, %v; want %q", tc.in, got, err, tc.want)
		}
	}
}

func TestNormaliseHost_SaysHowToWriteOtherScripts(t *testing.T) {
	if _, err := NormaliseHost("bücher.example"); err == nil || !strings.Contains(err.Error(), "punycode") {
		t.Error(err)
	}
}

func TestNormalise_ReadsWholeAddresses(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want Target // zero is a refusal
	}{
		{"HTTP://Grid.Example.org", Target{"http", "grid.example.org", 80, "/", false}},
		{"https://h", Target{"https", "h", 443, "/", false}},
		{"https://h:443/a", Target{"https", "h", 443, "/a", false}},
		{"http://h:8080/a/%62", Target{"http", "h", 8080, "/a/b", false}},
		{"http://h:8080/a//b", Target{}},
		{"http://h:08080/a", Target{}},
		{"http://h.:8080/a", Target{}},
		{"https://[::1]:8443/a", Target{"https", "::1", 8443, "/a", false}},
		{"ftp://h/a", Target{}},
		{"//h/a", Target{}},
		{"https:h", Target{}},
		{"https://u:p@h/a", Target{}},
		{"https://h/a#b", Target{}},
		{"https://h:/a", Target{}},
		{"https://h:0/a", Target{}},
		{"https://h:65536/a", Target{}},
		{"https:///a", Target{}},
		{"https://h/a%2fb", Target{}},
	} {
		u, err := url.Parse(tc.in)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Normalise(u)
		if (err == nil) != (tc.want != Target{}) || err == nil && got != tc.want {
			t.Errorf("%q: got %+v, %v", tc.in, got, err)
		}
	}
}

func TestNormalise_RefusalIsADenialWithoutPrefix(t *testing.T) {
	for raw, rule := range map[string]string{"ftp://h/a": "scheme", "https://u@h/a": "address", "https://h./a": "address", "https://h/svc/ok;x": "path"} {
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		_, err = NewCall(Forward, "POST", u)
		no, ok := errors.AsType[*Denied](err)
		if !ok || no.Rule != rule || strings.Contains(no.Reason, "policy: ") {
			t.Errorf("%s: %v", raw, err)
			continue
		}
		if e := no.Explain(); e.Allow || e.Rule != rule || !strings.Contains(e.String(), "denied by rule "+rule+": "+no.Reason) {
			t.Errorf("%s: explained as %s", raw, e)
		}
	}
}

func TestParseTarget_TakesAStarAtTheEndOnly(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{"https://H:443/s/*", "https://h/s/*"},
		{"https://h/a/../s/*", ""},
		{"https://h/s//*", ""},
		{"http://h/*", "http://h/*"},
		{"https://[::1]/s", "https://[::1]/s"},
		{"https://h:8443/s/", "https://h:8443/s/"},
		{"https://h/s*", ""},
		{"https://h/*/s", ""},
		{"https://h/s?x=1", ""},
		{"https://h/s?", ""},
		{"https://%zz/s", ""},
	} {
		got, err := ParseTarget(tc.in)
		if (err == nil) != (tc.want != "") || err == nil && got.String() != tc.want {
			t.Errorf("%q: got %s, %v; want %q", tc.in, got, err, tc.want)
		}
	}
}

func FuzzNormalise_IsStable(f *testing.F) {
	f.Add("https://Grid.example.org:8443/a/b%2dc/")
	f.Add("http://[2001:DB8:0::1]/a%20b/")
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := url.Parse(raw)
		if err != nil {
			return
		}
		first, err := Normalise(u)
		if err != nil {
			return
		}
		again, err := url.Parse(first.String())
		if err != nil {
			t.Fatalf("%q became %q: %v", raw, first, err)
		}
		if second, err := Normalise(again); err != nil || second != first {
			t.Fatalf("%q became %+v, then %+v, %v", raw, first, second, err)
		}
	})
}
