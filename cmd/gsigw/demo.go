package main

import (
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"gsigw/internal/demo"
)

func demoCommand() *cobra.Command {
	var o demo.Options
	c := &cobra.Command{
		Use:   "demo",
		Short: "See it work: no network, no root, no set-up",
		Long: `Verifies a genuine GT4 message and refuses it changed; then makes a throwaway grid on loopback (CA, host, user, proxy, a
strict stand-in for a GT4 service) with the gateway before it, sends an engine's plain call through, and shows what the
engine sent, what went on the wire, whom the service saw and what came back. NO_COLOR is respected.`,
		Example: `  gsigw demo
  gsigw demo --serve`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			o.Out, o.Colour = c.OutOrStdout(), wantsColour()
			return demo.Run(c.Context(), o)
		},
	}
	c.Flags().BoolVar(&o.Serve, "serve", false, "keep service and gateway up until Ctrl-C, to be called")
	return c
}

// wantsColour follows no-color.org.
func wantsColour() bool {
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(os.Stdout.Fd()))
}
