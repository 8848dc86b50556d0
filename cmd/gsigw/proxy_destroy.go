package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"gsigw/gsi"
)

func proxyDestroy() *cobra.Command {
	var file string
	var dryRun bool
	c := &cobra.Command{
		Use:     "destroy [FILE]...",
		Aliases: []string{"delete"},
		Short:   "Overwrite and remove a proxy file",
		Long: `Overwrites proxy files and removes them. Without FILE it is the one that X509_USER_PROXY names, or
/tmp/x509up_u<uid>. Symbolic links and other users' files are left alone. A proxy that was given on lives on: it ends when
it expires.`,
		Example: `  gsigw proxy destroy
  gsigw proxy destroy --dry-run /tmp/x509up_u1000`,
		RunE: func(c *cobra.Command, args []string) error {
			if file != "" {
				args = append(args, file)
			}
			if len(args) == 0 {
				args = []string{gsi.ProxyPath()}
			}
			return destroyProxies(c, args, dryRun)
		},
	}
	c.Flags().StringVar(&file, "file", "", "the same as `FILE`, as voms-proxy-destroy has it")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be removed, and remove nothing")
	c.Flags().BoolVar(&dryRun, "dryrun", false, "the same")
	c.Flags().BoolVar(&dryRun, "dry", false, "the same")
	for _, hidden := range []string{"dryrun", "dry"} {
		c.Flags().MarkHidden(hidden)
	}
	return c
}

// destroyProxies goes on when one file cannot be destroyed: the others should not stay for it.
func destroyProxies(c *cobra.Command, files []string, dryRun bool) error {
	var problems []error
	for _, file := range files {
		if !dryRun {
			problems = append(problems, gsi.DestroyProxyFile(file))
			continue
		}
		if _, err := os.Lstat(file); err != nil {
			problems = append(problems, err)
			continue
		}
		fmt.Fprintf(c.OutOrStdout(), "Would remove %s\n", file)
	}
	return errors.Join(problems...)
}
