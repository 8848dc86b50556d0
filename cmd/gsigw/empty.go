package main

import (
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// mayBeEmpty are the flags for which no words are a value of their own, by command.
var mayBeEmpty = map[string][]string{
	"gsigw c14n":      {"prefixes"}, // a PrefixList may be empty
	"gsigw ca export": {"password"}, // and so may a password
}

// refuseEmpty makes an empty value of a flag, and an empty argument, a mistake in the use of a command: it is what a
// script gives whose variable is not set (--peer "$PEER"), and would switch off just what was asked for.
func refuseEmpty(c *cobra.Command) {
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if f.NoOptDefVal == "" && !slices.Contains(mayBeEmpty[c.CommandPath()], f.Name) {
			f.Value = neverEmpty{f.Value}
			f.DefValue = strings.TrimPrefix(f.DefValue, "[]") // pflag knows of its own lists alone that they are empty
		}
	})
	judge := c.Args
	c.Args = func(c *cobra.Command, args []string) error {
		if slices.ContainsFunc(args, isBlank) {
			return errors.New("an argument is empty: give it a value, or leave it out")
		}
		if judge == nil {
			return nil
		}
		return judge(c, args)
	}
}

func isBlank(s string) bool { return strings.TrimSpace(s) == "" }

// neverEmpty is a flag that takes each value but an empty one. A list refuses each empty word, wherever it is given.
type neverEmpty struct{ pflag.Value }

func (v neverEmpty) Set(s string) error {
	if isBlank(s) {
		return errors.New("it is empty: give it a value, or leave the flag out")
	}
	return v.Value.Set(s)
}
