package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"gsigw/soap"
	"gsigw/soap/xmlscan"
)

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// placed puts line and column to what the scanner has against a document.
func placed(src xmlscan.Source, err error) error {
	e, ok := errors.AsType[*xmlscan.Error](err)
	if !ok {
		return err
	}
	if src.Size() == 0 {
		return errors.New("nothing came on standard input: the document has no root element")
	}
	line, column := soap.Place(src, e.Offset)
	return fmt.Errorf("the document %s (line %d, column %d)", e.Msg, line, column)
}

// caDirectory is what to do about a trust directory that is none.
const caDirectory = "name the directory with the CA certificates"

// atFlag says which flag named what cannot be used. The remedy is for a file that is not there or cannot be read; what
// is wrong in a file has words of its own.
func atFlag(flag string, err error, remedy string) error {
	if _, ok := errors.AsType[*usageError](err); ok || err == nil {
		return err
	}
	text := packagePrefix.ReplaceAllString(err.Error(), "")
	if _, ok := errors.AsType[*fs.PathError](err); ok && remedy != "" {
		text += ": " + remedy
	}
	return &flagError{flag, text, err}
}

// flagError is about what a flag named.
type flagError struct {
	flag, text string
	err        error
}

func (e *flagError) Error() string { return "--" + e.flag + ": " + e.text }
func (e *flagError) Unwrap() error { return e.err }

// timeFlag is a point in time as RFC 3339 writes it.
type timeFlag struct{ time.Time }

func (f *timeFlag) String() string {
	if f.IsZero() {
		return ""
	}
	return f.Format(time.RFC3339)
}

func (f *timeFlag) Type() string { return "TIME" }

func (f *timeFlag) Set(s string) error {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z07:00", time.DateOnly} {
		if t, err := time.Parse(layout, strings.TrimSpace(s)); err == nil {
			f.Time = t.UTC()
			return nil
		}
	}
	return fmt.Errorf("%q is no time: write it like 2026-11-21T18:49:52Z", s)
}

// now is the time of the flag, or the time of day.
func (f *timeFlag) now() time.Time {
	if f.IsZero() {
		return time.Now()
	}
	return f.Time
}

// choice is a flag with a few words to choose from.
type choice struct {
	word  string
	words []string
}

func (f *choice) String() string { return f.word }
func (f *choice) Type() string   { return strings.Join(f.words, "|") }

func (f *choice) Set(s string) error {
	for _, w := range f.words {
		if s == w {
			f.word = s
			return nil
		}
	}
	return fmt.Errorf("%q is not a choice: write %s", s, strings.Join(f.words, ", "))
}
