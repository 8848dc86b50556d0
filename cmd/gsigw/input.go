package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"gsigw/internal/config"
	"gsigw/soap"
	"gsigw/soap/spool"
	"gsigw/wssec"
)

// input is a message on standard input. A large one lies in a sealed file without a name while the command works.
type input struct{ max sizeFlag }

func (in *input) flag(c *cobra.Command) {
	in.max = sizeFlag{"4GiB", 4 << 30}
	c.Flags().Var(&in.max, "max-message", "the largest message taken; a large one needs as much room in $TMPDIR, or /var/tmp")
}

// read reads to the end. An empty input is a document without a root element, as a producer leaves it that failed: not
// a mistake in the use of the command.
func (in *input) read(c *cobra.Command) (*spool.Spool, error) {
	s, err := new(spool.Pool).Read(c.InOrStdin(), in.max.bytes)
	if _, ok := errors.AsType[*spool.LimitError](err); ok {
		return nil, &wssec.Error{Class: wssec.ClassLimit, Msg: fmt.Sprintf("the message is larger than %s: allow more with --max-message", in.max.word)}
	}
	if e, ok := errors.AsType[*spool.Error](err); ok {
		return nil, noPlace(e)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read standard input: %w", err)
	}
	return s, nil
}

// noPlace says who chose the directory in which a large message finds no place.
func noPlace(err *spool.Error) error {
	says := "have TMPDIR name"
	if os.Getenv("TMPDIR") != "" {
		says = "TMPDIR names it: have it name"
	}
	return fmt.Errorf("%w: a large message lies in a file there, and %s a directory that can be written to, on a disk with room", err, says)
}

// onStdin takes no arguments: a message comes on standard input.
func onStdin(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return fmt.Errorf("there is no argument %q: the message comes on standard input: write < %s", args[0], args[0])
}

func (in *input) limits() soap.Limits { return soap.Limits{MessageBytes: in.max.bytes} }

// sizeFlag is a number of bytes with its unit.
type sizeFlag struct {
	word  string
	bytes int64
}

func (f *sizeFlag) String() string { return f.word }
func (f *sizeFlag) Type() string   { return "SIZE" }

func (f *sizeFlag) Set(s string) error {
	n, err := config.ParseSize(s)
	if err != nil {
		return fmt.Errorf("%w: write it like 64MiB", err)
	}
	*f = sizeFlag{s, int64(n)}
	return nil
}
