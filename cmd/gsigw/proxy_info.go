package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"gsigw/gsi"
)

type infoFlags struct {
	file     credentialFile
	facts    map[string]*bool
	rfc2253  bool
	exists   bool
	acExists string
	valid    hoursMinutes
	bits     int
	asJSON   bool
}

func proxyInfo() *cobra.Command {
	f := &infoFlags{facts: map[string]*bool{}}
	c := &cobra.Command{
		Use:   "info [FILE]",
		Short: "Say what is in a proxy file, with the labels of voms-proxy-info",
		Long: `Says what is in a proxy file. Without FILE it is the one that X509_USER_PROXY names, or /tmp/x509up_u<uid>; a user's
certificate is no proxy, and is looked at only when it is named. It believes what the file says: to have it verified use
proxy verify. A credential that cannot be used, for being expired or open to others, is shown with a warning.

A flag that names a fact prints its value alone, times in seconds; several print one a line, in the order of the help.

With --exists nothing is printed: the exit code is 0 for a proxy that can be used now and 1 for none; --valid and
--bits ask for more. --acexists asks for attributes of a VO in the same way. A script that renews in time asks so.`,
		Example: `  gsigw proxy info
  gsigw proxy info --json /tmp/x509up_u1000
  gsigw proxy info --identity --timeleft
  gsigw proxy info --exists --valid 6:00 || gsigw proxy init --voms testvo
  gsigw proxy info --acexists testvo --valid 1:00
  gsigw proxy info --passphrase-file passphrase usercred.p12`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := f.check(args); err != nil {
				return err
			}
			return f.run(c)
		},
	}
	f.flags(c)
	return c
}

func (f *infoFlags) flags(c *cobra.Command) {
	fs := c.Flags()
	fs.SortFlags = false
	fs.StringVarP(&f.file.path, "file", "f", "", "the same as `FILE`, as grid-proxy-info has it")
	for _, fact := range facts {
		f.facts[fact.name] = fs.BoolP(fact.name, fact.short, false, "print "+fact.what)
	}
	fs.BoolVar(&f.rfc2253, "rfc2253", false, "print subject, issuer and identity in the form of RFC 2253")
	fs.Bool("all", false, "print all of it, which is what happens anyway")
	fs.BoolVarP(&f.exists, "exists", "e", false, "print nothing: exit 0 if there is a proxy that can be used, 1 if not")
	fs.StringVar(&f.acExists, "acexists", "", "print nothing: exit 0 if there are attributes of this `VO`, 1 if not")
	fs.VarP(&f.valid, "valid", "v", "with --exists or --acexists: for so long from now")
	fs.Var(wholeHours{&f.valid}, "hours", "the same in hours")
	fs.IntVarP(&f.bits, "bits", "b", 0, "with --exists: with a key of so many `BITS`")
	fs.BoolVar(&f.asJSON, "json", false, "print JSON")
	f.file.passphraseFlag(c)
	c.MarkFlagsMutuallyExclusive("valid", "hours")
}

func (f *infoFlags) check(args []string) error {
	switch {
	case len(args) > 0 && f.file.path != "" && f.file.path != args[0]:
		return usagef("FILE and --file name two files")
	case len(args) > 0:
		f.file.path = args[0]
	case f.file.path == "" && f.file.passphrase != "":
		return usagef("--passphrase-file is for a PKCS#12 file: name it")
	}
	if asks := f.exists || f.acExists != ""; !asks && (f.valid.Duration != 0 || f.bits != 0) {
		return usagef("--valid and --bits go with --exists or --acexists")
	}
	return nil
}

func (f *infoFlags) run(c *cobra.Command) error {
	facts, err := lookAtProxy(c, f.file)
	if f.exists || f.acExists != "" {
		if err != nil || !f.answer(facts) {
			return errSaid // the exit code is the answer
		}
		return nil
	}
	if err != nil {
		return err
	}
	if f.rfc2253 {
		facts.inRFC2253()
	}
	switch {
	case f.asJSON:
		return printJSON(c.OutOrStdout(), facts)
	case f.printFacts(c, facts):
		return nil
	}
	facts.print(c.OutOrStdout())
	if facts.Problem != "" {
		fmt.Fprintln(c.ErrOrStderr(), "warning: "+facts.Problem)
	}
	return nil
}

// answer says whether there is what --exists and --acexists ask for.
func (f *infoFlags) answer(p proxyFacts) bool {
	end := p.at.Add(f.valid.Duration)
	if f.exists && (!p.usable || p.NotAfter.Before(end) || p.Strength < f.bits) {
		return false
	}
	if f.acExists == "" {
		return true
	}
	for _, vo := range p.VOs {
		if vo.VO == f.acExists && vo.NotAfter.After(p.at) && !vo.NotAfter.Before(end) {
			return true
		}
	}
	return false
}

// printFacts prints the facts that flags name, and says whether there were any.
func (f *infoFlags) printFacts(c *cobra.Command, p proxyFacts) (any bool) {
	for _, fact := range facts {
		if !*f.facts[fact.name] {
			continue
		}
		any = true
		for _, value := range fact.of(p) {
			fmt.Fprintln(c.OutOrStdout(), printable(value))
		}
	}
	return any
}

func lookAtProxy(c *cobra.Command, file credentialFile) (proxyFacts, error) {
	if file.path == "" {
		file.path = gsi.ProxyPath()
	}
	cred, problem := file.source().Credential(c.Context())
	if problem != nil {
		chain, err := file.chain()
		if err != nil {
			return proxyFacts{}, file.explain(problem)
		}
		cred = &gsi.Credential{Chain: chain}
	}
	id, err := cred.Identity()
	if err != nil {
		return proxyFacts{}, err
	}
	f := readProxyFacts(file.path, cred.Chain, id, time.Now())
	f.usable = problem == nil
	if problem = errors.Join(problem, f.readClaims(cred.Chain)); problem != nil {
		f.Problem = oneLine(problem)
	}
	return f, nil
}
