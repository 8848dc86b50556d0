package main

import (
	"github.com/spf13/cobra"

	"gsigw/internal/daemon"
)

func runCommand() *cobra.Command {
	o := daemon.Options{Version: readVersion().Version}
	c := &cobra.Command{
		Use:   "run --config FILE",
		Short: "Be the gateway",
		Long: `Listens where the config says, until it is interrupted; then calls under way may end. SIGHUP, or a change of the config
or of a file that it names, has everything read again; what cannot be used leaves the old in place, and the log says so.
Under systemd it says when it is ready, and takes sockets named proxy, reverse and admin.`,
		Example: `  gsigw run --config /etc/gsigw/gsigw.yaml
  gsigw run --config gsigw.yaml --trace ./trace`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			o.LogTo = c.ErrOrStderr()
			d, err := daemon.New(o)
			if err != nil {
				return err
			}
			return d.Run(c.Context())
		},
	}
	c.Flags().StringVar(&o.File, "config", "", "the config file")
	c.Flags().StringVar(&o.Trace, "trace", "", "write messages, secrets cut out, to files in this directory (mode 0700)")
	c.MarkFlagRequired("config")
	return c
}
