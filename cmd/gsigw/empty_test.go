package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// TestFlags_EmptyIsAMistake walks all flags of all commands: what a script gives whose variable is not set switches
// nothing off.
func TestFlags_EmptyIsAMistake(t *testing.T) {
	tried := 0
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		c.Flags().VisitAll(func(f *pflag.Flag) {
			at := c.CommandPath() + " --" + f.Name
			if f.NoOptDefVal != "" || at == "gsigw c14n --prefixes" || at == "gsigw ca export --password" {
				return
			}
			tried++
			for _, empty := range []string{"", " "} {
				var out, errs strings.Builder
				code := command(strings.NewReader(""), &out, &errs, append(strings.Fields(at)[1:], empty)...)
				if code != exitUsage || !strings.Contains(errs.String(), f.Name) || !strings.Contains(errs.String(), "empty") {
					t.Errorf("%s %q: exit code %d: %s", at, empty, code, &errs)
				}
			}
		})
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(root())
	if tried < 100 {
		t.Errorf("only %d flags were tried", tried)
	}
}

func TestFlags_EmptyInAListIsAMistake(t *testing.T) {
	for _, args := range []string{
		"verify --trust . --require body --require=", "verify --trust . --require= --require body",
		"proxy verify --fqan= --fqan /testvo x", "sign --credential x --encrypt-to=", "proxy info ",
	} {
		var out, errs strings.Builder
		if code := command(strings.NewReader(""), &out, &errs, strings.Split(args, " ")...); code != exitUsage || !strings.Contains(errs.String(), "empty") {
			t.Errorf("%s: exit code %d: %s", args, code, &errs)
		}
	}
}
