package main

import (
	"slices"
	"strings"
	"testing"
)

func TestGridDashes_TakesWordsWithOneDash(t *testing.T) {
	for _, c := range []struct{ typed, read string }{
		{"proxy init -valid 12:00 -voms testvo -rfc", "proxy init --valid 12:00 --voms testvo --rfc"},
		{"proxy init -valid=12:00 -pl 1.2.3", "proxy init --valid=12:00 --pl 1.2.3"},
		{"proxy init --valid 12:00 -q", "proxy init --valid 12:00 -q"},
		{"proxy info -help", "proxy info --help"},
		{"proxy info -e -file x", "proxy info -e --file x"},
		{"proxy info -f -file", "proxy info -f -file"},          // the value of -f
		{"proxy init -out -rfc -q", "proxy init --out -rfc -q"}, // the value of -out
		{"proxy init -frob -rfc", "proxy init -frob --rfc"},     // for pflag to refuse
		{"proxy info -- -file", "proxy info -- -file"},          // no flags after --
		{"proxy info - -type", "proxy info - --type"},           // standard input
		{"proxy frob -valid 1:00", "proxy frob -valid 1:00"},    // no such command
		{"verify -trust x", "verify -trust x"},                  // not one of the grid's
		{"proxy -help", "proxy -help"},
		{"", ""},
	} {
		if got := gridDashes(root(), strings.Fields(c.typed)); !slices.Equal(got, strings.Fields(c.read)) {
			t.Errorf("%s is read as %s, want %s", c.typed, strings.Join(got, " "), c.read)
		}
	}
}
