package main

import (
	"errors"
	"testing"
)

func TestTrustDir_IsTheFlagsThenTheVariablesThenTheGrids(t *testing.T) {
	there, missing := t.TempDir(), t.TempDir()+"/nowhere"
	for _, c := range []struct{ flag, variable, usual, want string }{
		{"flag", "variable", there, "flag"},
		{"", "variable", there, "variable"},
		{"", "", there, there},
		{"flag", "", missing, "flag"},
	} {
		if got, err := trustDir(c.flag, c.variable, c.usual); got != c.want || err != nil {
			t.Errorf("%v: %s, %v", c, got, err)
		}
	}
	if _, err := trustDir("", "", missing); err == nil {
		t.Error("there is none")
	} else if _, ok := errors.AsType[*usageError](err); !ok {
		t.Error("not a mistake in the use:", err)
	}
}
