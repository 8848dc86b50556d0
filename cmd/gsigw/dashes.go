package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// gridDashes lets grid users type what their fingers know: below proxy and myproxy, words with one dash are words with
// two (-valid 12:00, -voms testvo, -rfc). What is no flag of the command, a shorthand such as -q or the value of a flag
// stays as it is.
func gridDashes(root *cobra.Command, args []string) []string {
	c, rest := gridCommand(root, args)
	if c == nil {
		return args
	}
	c.InitDefaultHelpFlag()
	out := append([]string{}, args[:len(args)-len(rest)]...)
	for i := 0; i < len(rest); i++ {
		if rest[i] == "--" {
			return append(out, rest[i:]...)
		}
		arg, flag := twoDashes(c.Flags(), rest[i])
		out = append(out, arg)
		if takesNext(flag, arg) && i+1 < len(rest) {
			i++
			out = append(out, rest[i])
		}
	}
	return out
}

// gridCommand finds the command below proxy or myproxy that the arguments start with, and what follows its name.
func gridCommand(root *cobra.Command, args []string) (*cobra.Command, []string) {
	if len(args) < 2 || args[0] != "proxy" && args[0] != "myproxy" {
		return nil, nil
	}
	c := root
	for _, name := range args[:2] {
		if c = child(c, name); c == nil {
			return nil, nil
		}
	}
	return c, args[2:]
}

func child(c *cobra.Command, name string) *cobra.Command {
	for _, sub := range c.Commands() {
		if sub.Name() == name || sub.HasAlias(name) {
			return sub
		}
	}
	return nil
}

// twoDashes returns an argument as pflag wants it, and the flag that it names in full, if any.
func twoDashes(flags *pflag.FlagSet, arg string) (string, *pflag.Flag) {
	word, isFlag := strings.CutPrefix(arg, "-")
	if !isFlag {
		return arg, nil
	}
	word = strings.TrimPrefix(word, "-")
	name, _, _ := strings.Cut(word, "=")
	if flag := flags.Lookup(name); flag != nil && len(name) > 1 {
		return "--" + word, flag
	}
	if flag := shorthand(flags, word); flag != nil && !strings.HasPrefix(arg, "--") {
		return arg, flag
	}
	return arg, nil
}

// shorthand finds the flag of a shorthand that stands alone.
func shorthand(flags *pflag.FlagSet, word string) *pflag.Flag {
	if len(word) != 1 {
		return nil
	}
	return flags.ShorthandLookup(word)
}

// takesNext says whether the value of a flag is the next argument.
func takesNext(flag *pflag.Flag, arg string) bool {
	return flag != nil && flag.NoOptDefVal == "" && !strings.Contains(arg, "=")
}
