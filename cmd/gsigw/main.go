// Command gsigw is a gateway beside a workflow engine: the engine sends plain SOAP through an HTTP proxy, and each call
// goes out as the workflow user's own, signed with that user's proxy certificate; the reply comes back verified.
//
//	gsigw demo                       see it work, without any set-up
//	gsigw run --config gsigw.yaml    be the gateway
//	gsigw explain --config gsigw.yaml --target https://grid.example.org:8443/wsrf/services/CounterService
//
// The other commands are its parts, one by one: sign, verify, c14n, proxy, ca, config.
//
// Exit codes: 0 done, 1 refused or failed, 2 usage.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"syscall"

	"github.com/spf13/cobra"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends us at once
	c := root()
	c.SetArgs(gridDashes(c, os.Args[1:]))
	used, err := c.ExecuteContextC(ctx)
	return report(os.Stderr, used, err)
}

// The exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// failure is what a command met while it did its work; every other error that cobra gives back is about its use.
type failure struct{ error }

func (f failure) Unwrap() error { return f.error }

// usageError is a mistake in the use of a command that shows only when it runs.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// errSaid is a failure whose words stand on stderr or stdout already, in a form of their own.
var errSaid = errors.New("said already")

// packagePrefix says to programmers which package an error is from; the user of a command does not care.
var packagePrefix = regexp.MustCompile(`^(ca|config|daemon|doctor|gateway|gsi|gss|intercept|myproxy|policy|spool|trust|upstream|voms|wssec): `)

// report writes an error for people and gives the exit code.
func report(w io.Writer, c *cobra.Command, err error) int {
	if err == nil {
		return exitDone
	}
	if _, ok := errors.AsType[failure](err); !ok {
		fmt.Fprintf(w, "gsigw: %v\nsee: %s --help\n", err, c.CommandPath())
		return exitUsage
	}
	if !errors.Is(err, errSaid) {
		fmt.Fprintf(w, "gsigw: %s\n", packagePrefix.ReplaceAllString(err.Error(), ""))
	}
	return exitFailed
}

func root() *cobra.Command {
	c := &cobra.Command{
		Use:   "gsigw",
		Short: "Makes a workflow engine's plain SOAP calls the workflow user's own",
		Long: `gsigw stands beside a workflow engine. The engine sends plain SOAP through an HTTP proxy; each call goes out as the
workflow user's own, signed with that user's proxy certificate, and the reply comes back verified.`,
		Example: `  gsigw demo
  gsigw config example > gsigw.yaml
  gsigw run --config gsigw.yaml`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	c.AddCommand(demoCommand(), runCommand(), configCommand(), explainCommand(), signCommand(), verifyCommand(),
		c14nCommand(), proxyCommand(), myproxyCommand(), doctorCommand(), caCommand(), versionCommand())
	settle(c)
	return c
}

// settle tells what a command meets at work from what cobra finds wrong with its use, has no flag or argument be empty,
// and gives commands that only hold others something to say.
func settle(c *cobra.Command) {
	if c.RunE == nil {
		c.Args = cobra.ArbitraryArgs
		c.RunE = wantsCommand
	}
	refuseEmpty(c)
	work := c.RunE
	c.RunE = func(c *cobra.Command, args []string) error {
		err := work(c, args)
		if _, ok := errors.AsType[*usageError](err); ok || err == nil {
			return err
		}
		return failure{err}
	}
	for _, sub := range c.Commands() {
		settle(sub)
	}
}

func wantsCommand(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("unknown command %q", args[0])
	}
	return usagef("say which command")
}
