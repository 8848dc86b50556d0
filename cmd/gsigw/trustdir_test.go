package main

import (
	"errors"
	"testing"
)

func TestTrustDir_IsTheNamedOneThenTheUsersThenTheGrids(t *testing.T) {
	own, grid, missing := t.TempDir(), t.TempDir(), t.TempDir()+"/nowhere"
	for _, c := range []struct{ named, own, grid, want string }{
		{"named", own, grid, "named"},
		{missing, own, grid, missing},
		{"", own, grid, own},
		{"", missing, grid, grid},
		{"", "", grid, grid},
	} {
		if got, err := firstTrustDir(c.named, c.own, c.grid); got != c.want || err != nil {
			t.Errorf("%v: %s, %v", c, got, err)
		}
	}
	if _, err := firstTrustDir("", missing, missing); err == nil {
		t.Error("there is none")
	} else if _, ok := errors.AsType[*usageError](err); !ok {
		t.Error("not a mistake in the use:", err)
	}
}

func TestTrustDir_TakesTheFlagBeforeTheVariable(t *testing.T) {
	t.Setenv("X509_CERT_DIR", "variable")
	for flag, want := range map[string]string{"flag": "flag", "": "variable"} {
		if got, err := trustDir(flag); got != want || err != nil {
			t.Errorf("%q: %s, %v", flag, got, err)
		}
	}
}
