package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// maxProblems bounds a report: past it the file is not a config with mistakes, but something else.
const maxProblems = 20

// Problem is one mistake in a config file. Line and Column count from 1; 0 is the file as a whole.
type Problem struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
	Key    string `json:"key"`    // routes.counter.target; empty for the file as a whole
	Text   string `json:"text"`   // what is wrong
	Remedy string `json:"remedy"` // what to do
}

// Error is the mistake in one line: file:line:column: key: what is wrong: what to do.
func (p Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	for _, part := range []string{p.Key, p.Text, p.Remedy} {
		if part != "" {
			b.WriteString(": " + strings.Map(visible, part))
		}
	}
	return b.String()
}

// visible keeps what a config says from moving the cursor of whoever reads the error.
func visible(r rune) rune {
	if unicode.IsControl(r) {
		return '?'
	}
	return r
}

// Problem gives its place in the file to what was found wrong with what a key names, once the config was read: key is
// routes.counter.encrypt-to, and remedy may be empty.
func (c *Config) Problem(key, text, remedy string) Problem {
	p := Problem{File: c.File, Key: key, Text: text, Remedy: remedy}
	if c.read != nil {
		if n := c.read.place(key); n != nil {
			p.Line, p.Column = n.Line, n.Column
		}
	}
	return p
}

// Problems are all mistakes of one file, in their order.
type Problems []Problem

// Error gives a line per mistake, up to a bound.
func (ps Problems) Error() string {
	var lines []string
	for i, p := range ps {
		if i == maxProblems {
			lines = append(lines, fmt.Sprintf("%s: and %d more", p.File, len(ps)-i))
			break
		}
		lines = append(lines, p.Error())
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives the mistakes one by one.
func (ps Problems) Unwrap() []error {
	errs := make([]error, len(ps))
	for i, p := range ps {
		errs[i] = p
	}
	return errs
}

// err is nil without problems, else the problems in the order of the file.
func (ps Problems) err() error {
	if len(ps) == 0 {
		return nil
	}
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), strings.Compare(a.Key, b.Key))
	})
	return ps
}

// plain is an error's text without its package prefix, for use inside a problem.
func plain(err error) error {
	return errors.New(strings.TrimPrefix(err.Error(), "policy: "))
}
