package config

import (
	"testing"
	"time"

	"gsigw/internal/policy"
)

func TestAddress_LocalIsLoopbackOrASocket(t *testing.T) {
	for text, want := range map[string]bool{
		"127.0.0.1:80": true, "127.9.9.9:80": true, "[::1]:80": true, "[::ffff:127.0.0.1]:80": true,
		"localhost:80": true, "unix:/run/gsigw.sock": true,
		"0.0.0.0:80": false, "[::]:80": false, ":80": false, "10.0.0.1:80": false, "grid.example.org:80": false,
		"localhost.example.org:80": false,
	} {
		a, err := parseAddress(text)
		if err != nil {
			t.Fatal(err)
		}
		if a := a.(Address); a.Local() != want || a.String() != text {
			t.Errorf("%s: local %v, string %s", text, a.Local(), a)
		}
	}
}

func TestValues_TakeOneWritingOnly(t *testing.T) {
	for _, tc := range []struct {
		parse func(string) (any, error)
		text  string
		want  any // nil is a refusal
	}{
		{parseDuration, "1h30m", 90 * time.Minute},
		{parseDuration, "1.5", nil},
		{parseDuration, "0s", nil},
		{parseDuration, "-1s", nil},
		{parseSize, "32MiB", Size(32 << 20)},
		{parseSize, "10MB", Size(10_000_000)},
		{parseSize, "100B", Size(100)},
		{parseSize, "1.5MiB", nil},
		{parseSize, "-1B", nil},
		{parseSize, "9223372036854775807GiB", nil},
		{parseSize, "32M", nil},
		{parseAddress, "127.0.0.1", nil},
		{parseAddress, "127.0.0.1:http", nil},
		{parseAddress, "127.0.0.1:65536", nil},
		{parseAddress, "unix:gsigw.sock", nil},
		{parseUID, "self", UID{Self: true}},
		{parseUID, "1001", UID{ID: 1001}},
		{parseUID, "010", nil},
		{parseUID, "-1", nil},
		{parseUID, "4294967295", nil},
		{parsePath, "a/../b", Path("b")},
		{parsePath, "~/x", nil},
		{parsePath, "$HOME/x", nil},
		{parsePath, "", nil},
		{parseDN, "CN=x", nil},
		{parseDN, "/x", nil},
		{parseName, "add", policy.Name{Local: "add"}},
		{parseName, "{}add", nil},
		{parseName, "{urn:x}", nil},
		{parseName, "{urn:x}a b", nil},
	} {
		got, err := tc.parse(tc.text)
		if got != tc.want || (err == nil) != (tc.want != nil) {
			t.Errorf("%q: got %v, %v; want %v", tc.text, got, err, tc.want)
		}
	}
}

func TestProblem_KeepsControlCharactersOutOfTheTerminal(t *testing.T) {
	_, err := Parse("c.yaml", []byte("\"a\\e[2Jb\\nc\": 1\nroutes: {}\n"))
	for _, r := range err.Error() {
		if r == 0x1b {
			t.Fatalf("%q", err)
		}
	}
}
