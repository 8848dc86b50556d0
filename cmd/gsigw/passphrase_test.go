package main

import (
	"strings"
	"testing"
)

func TestPassphrases_ReadOneLineEach(t *testing.T) {
	in := strings.NewReader("first\r\nsecond\nlast")
	for _, want := range []string{"first", "second", "last"} {
		if got, err := readLine(in); err != nil || string(got) != want {
			t.Errorf("got %q, %v; want %q", got, err, want)
		}
	}
	if got, err := readLine(in); err == nil {
		t.Errorf("nothing is read as %q", got)
	}
}

func TestPassphrases_AreBounded(t *testing.T) {
	if _, err := readLine(strings.NewReader(strings.Repeat("x", maxPassphrase) + "\n")); err != nil {
		t.Error(err)
	}
	if _, err := readLine(strings.NewReader(strings.Repeat("x", maxPassphrase+1) + "\n")); err == nil {
		t.Error("no limit")
	}
}

func TestPassphrases_MayBeEmpty(t *testing.T) {
	if got, err := readLine(strings.NewReader("\n")); err != nil || len(got) != 0 {
		t.Errorf("%q, %v", got, err)
	}
}
