package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// maxPassphrase bounds what is read as one passphrase, in bytes.
const maxPassphrase = 1024

// passphrases asks for passphrases: at the terminal without echo, or line by line on standard input with --pwstdin.
// They never come as arguments, which every user of a machine can read.
type passphrases struct {
	onStdin bool
	command *cobra.Command
}

func (p *passphrases) flag(c *cobra.Command) {
	p.command = c
	c.Flags().BoolVar(&p.onStdin, "pwstdin", false, "take the passphrase from standard input, one line each")
}

// ask asks for one passphrase; the prompt goes to the terminal.
func (p *passphrases) ask(prompt string) ([]byte, error) {
	if p.onStdin {
		return readLine(p.command.InOrStdin())
	}
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, errors.New("a passphrase is needed and there is no terminal to ask at: give it on standard input with --pwstdin")
	}
	defer tty.Close()
	return readUnseen(p.command.Context(), tty, prompt)
}

// askNew asks for a new passphrase, twice at a terminal, so that nobody locks himself out with a slip.
func (p *passphrases) askNew(prompt string) ([]byte, error) {
	first, err := p.ask(prompt)
	if err != nil || p.onStdin {
		return first, err
	}
	again, err := p.ask("Verifying - " + prompt)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(first, again) {
		return nil, errors.New("the two passphrases differ: start again")
	}
	return first, nil
}

// unlock asks for the passphrase of a key, in the words of the grid's tools.
func (p *passphrases) unlock(string) ([]byte, error) {
	return p.ask("Enter GRID pass phrase for this identity:")
}

// readUnseen reads a line of a terminal without echo, and gives the terminal its echo back when it is interrupted, by
// whatever key: the read itself cannot be, and ends with the process.
func readUnseen(ctx context.Context, tty *os.File, prompt string) ([]byte, error) {
	ctx, stop := heed(ctx)
	defer stop()
	fd := int(tty.Fd())
	state, err := term.GetState(fd)
	if err != nil {
		return nil, fmt.Errorf("cannot ask at the terminal: %w", err)
	}
	defer term.Restore(fd, state)
	if err := hush(fd); err != nil {
		return nil, fmt.Errorf("cannot ask at the terminal: %w", err)
	}
	fmt.Fprint(tty, prompt+" ")
	defer fmt.Fprintln(tty)
	type answer struct {
		line []byte
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		line, err := readLine(tty)
		answers <- answer{line, err}
	}()
	select {
	case a := <-answers:
		if errors.Is(a.err, errNoLine) {
			return nil, errors.New("the input at the terminal ended without a passphrase")
		}
		return a.line, a.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// hush takes its echo from a terminal. Lines and keys for signals stay.
func hush(fd int) error {
	t, err := unix.IoctlGetTermios(fd, readTermios)
	if err != nil {
		return err
	}
	t.Lflag &^= unix.ECHO
	t.Lflag |= unix.ICANON | unix.ISIG
	t.Iflag |= unix.ICRNL
	return unix.IoctlSetTermios(fd, writeTermios, t)
}

// heed ends the context at a signal that would end the process and leave the terminal without echo. To stop is not
// possible meanwhile: when the shell brings a process back it lets the terminal echo.
func heed(ctx context.Context) (context.Context, func()) {
	ends := []os.Signal{syscall.SIGQUIT}
	if !signal.Ignored(syscall.SIGHUP) { // as it is under nohup
		ends = append(ends, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(ctx, ends...)
	unheeded := make(chan os.Signal, 1)
	signal.Notify(unheeded, syscall.SIGTSTP)
	return ctx, func() {
		signal.Stop(unheeded)
		stop()
	}
}

// errNoLine says that there was nothing to read.
var errNoLine = errors.New("standard input ended before the passphrase: --pwstdin takes it from there, one line each")

// readLine reads one line and not a byte more: the next belongs to the next question.
func readLine(r io.Reader) ([]byte, error) {
	var line []byte
	for b := make([]byte, 1); len(line) <= maxPassphrase; {
		n, err := r.Read(b)
		switch {
		case n == 1 && b[0] == '\n', err == io.EOF && len(line) > 0:
			return bytes.TrimSuffix(line, []byte("\r")), nil
		case n == 1:
			line = append(line, b[0])
		case err == io.EOF:
			return nil, errNoLine
		case err != nil:
			return nil, fmt.Errorf("cannot read the passphrase: %w", err)
		}
	}
	return nil, fmt.Errorf("the passphrase has more than %d bytes", maxPassphrase)
}
