package main

import (
	"bufio"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"gsigw/soap"
	"gsigw/soap/xmlscan"
	"gsigw/wssec/c14n"
)

func c14nCommand() *cobra.Command {
	var method c14n.Method
	var prefixes, id string
	var in input
	c := &cobra.Command{
		Use:   "c14n < in",
		Short: "Write the canonical form of an XML document or of one element",
		Long: `Writes Canonical XML 1.0, or with --exclusive Exclusive XML Canonicalization 1.0, of the document on standard input:
the very bytes that a signature's digest is made of.`,
		Example: `  gsigw c14n < message.xml
  gsigw c14n --exclusive --id Body-1 < message.xml | sha1sum
  gsigw c14n --exclusive --prefixes "soapenv #default" < message.xml`,
		Args: onStdin,
		RunE: func(c *cobra.Command, _ []string) error {
			if prefixes != "" && !method.Exclusive {
				return usagef("--prefixes belongs to the exclusive form: add --exclusive")
			}
			method.Prefixes = strings.Fields(prefixes)
			read, err := in.read(c)
			if err != nil {
				return err
			}
			defer read.Close()
			src := read.Source()
			s := xmlscan.New(src, xmlscan.Limits{})
			if c.Flags().Changed("id") {
				if s, err = scanByID(src, id); err != nil {
					return placed(src, err)
				}
			}
			out := bufio.NewWriterSize(c.OutOrStdout(), 64<<10)
			if err := c14n.Write(out, s, method); err != nil {
				return placed(src, err)
			}
			return out.Flush()
		},
	}
	in.flag(c)
	c.Flags().BoolVar(&method.Exclusive, "exclusive", false, "the exclusive form, as WS-Security uses it")
	c.Flags().BoolVar(&method.Comments, "comments", false, "keep comments")
	c.Flags().StringVar(&prefixes, "prefixes", "", "the InclusiveNamespaces PrefixList, separated by spaces")
	c.Flags().StringVar(&id, "id", "", "the element whose wsu:Id or Id it is, instead of the whole document")
	return c
}

// scanByID scans the one element with an id.
func scanByID(src xmlscan.Source, id string) (*xmlscan.Scanner, error) {
	f := &idFinder{s: xmlscan.New(src, xmlscan.Limits{}), id: id, scopes: []*xmlscan.Scope{{}}}
	for {
		kind, err := f.s.Next()
		if err != nil {
			return nil, err
		}
		switch kind {
		case xmlscan.StartElement:
			f.start()
		case xmlscan.EndElement:
			f.end()
		case xmlscan.EOF:
			switch f.found {
			case 0:
				return nil, fmt.Errorf("no element has the wsu:Id or Id %q", id)
			case 1:
			default:
				return nil, fmt.Errorf("%d elements have the id %q: which one a signature means cannot be known", f.found, id)
			}
			return xmlscan.NewElement(src, f.span, f.scope, xmlscan.Limits{}), nil
		}
	}
}

type idFinder struct {
	s      *xmlscan.Scanner
	id     string
	scopes []*xmlscan.Scope // what the children of the open elements inherit; the document's first

	found int
	open  int // depth of the element found, while its end is to come
	span  xmlscan.Span
	scope *xmlscan.Scope
}

func (f *idFinder) start() {
	outer := f.scopes[len(f.scopes)-1]
	if slices.ContainsFunc(f.s.Attrs, f.matches) {
		f.found++
		f.span, f.scope = f.s.Span, outer
		if !f.s.Empty {
			f.open = f.s.Depth()
		}
	}
	if !f.s.Empty {
		f.scopes = append(f.scopes, f.s.ScopeIn(outer))
	}
}

func (f *idFinder) matches(a xmlscan.Attr) bool {
	space := f.s.URI(a.Space)
	return string(a.Local) == "Id" && (space == "" || space == soap.WSU) && string(xmlscan.AppendAttr(nil, a.Value)) == f.id
}

func (f *idFinder) end() {
	f.scopes = f.scopes[:len(f.scopes)-1]
	if f.open > 0 && f.s.Depth() == f.open-1 {
		f.span.End, f.open = f.s.Span.End, 0
	}
}
