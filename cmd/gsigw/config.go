package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"gsigw/internal/config"
	"gsigw/internal/daemon"
)

func configCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "config",
		Short: "Check a config file, or show what one can hold",
		Example: `  gsigw config example > gsigw.yaml
  gsigw config validate gsigw.yaml`,
	}
	c.AddCommand(configValidate(),
		configPrint("example", "Print a commented config with every key", config.Example),
		configPrint("schema", "Print the JSON Schema of the config", config.Schema))
	return c
}

func configPrint(name, short string, text func() []byte) *cobra.Command {
	return &cobra.Command{
		Use:     name,
		Short:   short,
		Example: "  gsigw config " + name,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := c.OutOrStdout().Write(text())
			return err
		},
	}
}

func configValidate() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "validate FILE",
		Short: "Check a config file and the files that it names",
		Long: `Checks a config file and the files that it names: that they are there, and that nobody else can read what is secret.
It needs no network. Every mistake is a line with its place and what to do. What may come right by itself is a warning,
and the config in order: a credential that cannot sign now is one, for a proxy may come later.`,
		Example: `  gsigw config validate /etc/gsigw/gsigw.yaml
  gsigw config validate --json gsigw.yaml`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			warnings, err := daemon.Check(c.Context(), args[0])
			if asJSON {
				return printProblems(c, warnings, err)
			}
			if _, ok := errors.AsType[config.Problems](err); ok {
				fmt.Fprintln(c.ErrOrStderr(), err)
				return errSaid
			}
			if err != nil {
				return err
			}
			for _, w := range warnings {
				fmt.Fprintln(c.ErrOrStderr(), "warning: "+w)
			}
			but := ""
			if len(warnings) > 0 {
				but = ", but for the warnings"
			}
			fmt.Fprintf(c.OutOrStdout(), "%s: in order%s\n", args[0], but)
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func printProblems(c *cobra.Command, warnings []string, err error) error {
	problems, ok := errors.AsType[config.Problems](err)
	if err != nil && !ok {
		problems = config.Problems{{File: c.Flags().Arg(0), Text: packagePrefix.ReplaceAllString(err.Error(), "")}}
	}
	if err := printJSON(c.OutOrStdout(), struct {
		Valid    bool            `json:"valid"`
		Problems config.Problems `json:"problems"`
		Warnings []string        `json:"warnings"`
	}{err == nil, append(config.Problems{}, problems...), append([]string{}, warnings...)}); err != nil {
		return err
	}
	if err != nil {
		return errSaid
	}
	return nil
}
