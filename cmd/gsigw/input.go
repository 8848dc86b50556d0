package main

import (
	"errors"
	"fmt"

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
	if _, ok := errors.AsType[*spool.Error](err); ok {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read standard input: %w", err)
	}
	return s, nil
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
