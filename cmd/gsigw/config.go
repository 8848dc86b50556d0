package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"gsigw/internal/config"
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
It needs no network. Every mistake is a line with its place and what to do.`,
		Example: `  gsigw config validate /etc/gsigw/gsigw.yaml
  gsigw config validate --json gsigw.yaml`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			_, err := config.Load(args[0])
			if asJSON {
				return printProblems(c, err)
			}
			if err != nil {
				fmt.Fprintln(c.ErrOrStderr(), err)
				return errSaid
			}
			fmt.Fprintf(c.OutOrStdout(), "%s: in order\n", args[0])
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func printProblems(c *cobra.Command, err error) error {
	problems, ok := errors.AsType[config.Problems](err)
	if err != nil && !ok {
		return err
	}
	if problems == nil {
		problems = config.Problems{}
	}
	if err := printJSON(c.OutOrStdout(), struct {
		Valid    bool            `json:"valid"`
		Problems config.Problems `json:"problems"`
	}{err == nil, problems}); err != nil {
		return err
	}
	if len(problems) > 0 {
		return errSaid
	}
	return nil
}
