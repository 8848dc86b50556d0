package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"gsigw/gsi"
	"gsigw/trust"
	"gsigw/voms"
)

type proxyVerifyFlags struct {
	file                 credentialFile
	trust, vomsdir       string
	at                   timeFlag
	crl                  choice
	requireSigningPolicy bool
	requireVOMS          bool
	fqans, hosts         []string
	asJSON               bool
	legacy               legacyFlags
}

func proxyVerify() *cobra.Command {
	f := &proxyVerifyFlags{crl: choice{"if-present", []string{"require", "if-present", "off"}}}
	c := &cobra.Command{
		Use:   "verify [--trust DIR] [--vomsdir DIR] FILE",
		Short: "Verify a proxy's chain and VOMS attributes against grid trust directories",
		Long: `Walks the chain from its CA in the trust directory down to the proxy: signatures, dates, signing policies, revocation
lists and the rules of RFC 3820. The exit code is 0 for a chain that holds and 1 for one that does not; then one line on
stderr says why: reason=CODE: words. It is 2 when there is no verdict: --trust or --vomsdir cannot be read, or there is no
trust directory.

Then each VOMS attribute certificate is checked: its holder, its dates, and its signature by a server that vomsdir
names. One that is refused is named in a warning, and its groups and roles are left out; the chain holds without it, and
the exit code stays 0. With --require-voms it is 1 unless all are believed and there is one; with --fqan it is 1
unless this group or role is believed.

Without --trust the directory is the one that X509_CERT_DIR names, ~/.globus/certificates, or
` + gridTrustDir + `; without --vomsdir, X509_VOMS_DIR or ` + gridVOMSDir + `.

With --json there is one object on stdout whatever the file holds: with "valid": true and the facts, or with
"valid": false, code, certificate, reason and remedy. A file that holds no chain has the code malformed; one with a
certificate whose kind of key nobody here can read, algorithm; a file or directory that cannot be read, unreadable.`,
		Example: `  gsigw proxy verify /tmp/x509up_u1000
  gsigw proxy verify --trust ./certificates --vomsdir ./vomsdir --fqan /testvo/Role=admin proxy.pem
  gsigw proxy verify --trust ./certificates --crl require --require-signing-policy proxy.pem
  gsigw proxy verify --trust ./certificates --at 2026-11-21T18:49:52Z --json proxy.pem`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			f.file.path = args[0]
			return f.run(c)
		},
	}
	f.flags(c)
	return c
}

func (f *proxyVerifyFlags) flags(c *cobra.Command) {
	fs := c.Flags()
	fs.StringVar(&f.trust, "trust", "", "grid trust `DIR`")
	fs.StringVar(&f.vomsdir, "vomsdir", "", "`DIR` of the VOMS servers that are trusted, VO/HOST.lsc")
	fs.Var(&f.at, "at", "verify as of this time (RFC 3339); default: now")
	fs.Var(&f.crl, "crl", "revocation lists: every CA needs one; those that are there count; none is looked at")
	fs.BoolVar(&f.requireSigningPolicy, "require-signing-policy", false, "refuse a CA without signing_policy or namespaces file")
	fs.BoolVar(&f.requireVOMS, "require-voms", false, "exit 1 unless there are attributes and all of them are believed")
	fs.StringArrayVar(&f.fqans, "fqan", nil, "exit 1 unless this `FQAN`, a group or role, is believed; may be repeated")
	fs.StringArrayVar(&f.hosts, "host", thisHost(), "`NAME` of this machine: attributes may be for certain hosts alone; may be repeated")
	fs.BoolVar(&f.asJSON, "json", false, "print JSON")
	f.file.passphraseFlag(c)
	f.legacy.flags(c)
}

func thisHost() []string {
	name, err := os.Hostname()
	if err != nil {
		return nil
	}
	return []string{name}
}

func (f *proxyVerifyFlags) options() (trust.Options, error) {
	o, err := f.legacy.options()
	o.CRL = map[string]trust.CRLPolicy{"require": trust.CRLRequire, "if-present": trust.CRLIfPresent, "off": trust.CRLOff}[f.crl.word]
	o.RequireSigningPolicy = f.requireSigningPolicy
	return o, err
}

func (f *proxyVerifyFlags) run(c *cobra.Command) error {
	wanted, err := parseFQANs(f.fqans)
	if err != nil {
		return err
	}
	o, err := f.options()
	if err != nil {
		return err
	}
	store, vomsdir, err := f.open(c, o)
	if err != nil {
		return f.withoutVerdict(c, err)
	}
	facts, err := f.verify(store)
	if err != nil {
		return f.refuse(c, err)
	}
	facts.verifyAttributes(vomsdir, c.ErrOrStderr())
	if err := facts.demand(f.requireVOMS, wanted); err != nil {
		return f.refuse(c, err)
	}
	if f.asJSON {
		return printJSON(c.OutOrStdout(), acceptance{true, facts})
	}
	facts.print(c.OutOrStdout())
	return nil
}

// open opens the directories that say whom to believe. What is wrong with them is no verdict on the proxy.
func (f *proxyVerifyFlags) open(c *cobra.Command, o trust.Options) (*trust.Store, *voms.Dir, error) {
	dir, err := trustDir(f.trust)
	if err != nil {
		return nil, nil, err
	}
	store, err := openTrustDir(c, dir, o)
	if err != nil {
		return nil, nil, atTrustFlag("trust", f.trust, err)
	}
	vomsdir, err := openVOMSDir(c, f.vomsdir, voms.Options{Trust: store, Hosts: f.hosts})
	return store, vomsdir, err
}

func (f *proxyVerifyFlags) verify(store *trust.Store) (proxyFacts, error) {
	chain, err := f.file.chain()
	if err != nil {
		return proxyFacts{}, err
	}
	at := f.at.now()
	id, err := store.Verify(chain, at)
	if err != nil {
		return proxyFacts{}, err
	}
	return readProxyFacts(f.file.path, chain, id, at), nil
}

// acceptance is what --json prints of a chain that holds.
type acceptance struct {
	Valid bool `json:"valid"`
	proxyFacts
}

// refusal is what --json prints of one that does not.
type refusal struct {
	Valid       bool   `json:"valid"`
	Code        string `json:"code"`
	Certificate string `json:"certificate"` // subject; "" when it is about the whole
	Reason      string `json:"reason"`
	Remedy      string `json:"remedy"`
}

// refuse says why a chain is not believed, on stderr for people and with --json for programs. A file that is not there
// is no chain: then nothing is known of it.
func (f *proxyVerifyFlags) refuse(c *cobra.Command, err error) error {
	r, words := refusalOf(err)
	if f.asJSON {
		if err := printJSON(c.OutOrStdout(), r); err != nil {
			return err
		}
	}
	fmt.Fprintf(c.ErrOrStderr(), "reason=%s: %s\n", r.Code, words)
	return errSaid
}

// withoutVerdict ends a command that was told to judge by what it cannot read.
func (f *proxyVerifyFlags) withoutVerdict(c *cobra.Command, err error) error {
	if f.asJSON {
		r := refusal{Code: unreadable, Reason: oneLine(err), Remedy: "name directories that this user may read: --trust, --vomsdir"}
		if err := printJSON(c.OutOrStdout(), r); err != nil {
			return err
		}
	}
	return usagef("nothing was verified: %s", oneLine(err))
}

// unreadable is the code for what could not be looked at.
const unreadable = "unreadable"

func refusalOf(err error) (r refusal, words string) {
	words = oneLine(err)
	if e, ok := errors.AsType[*trust.Error](err); ok {
		r = refusal{Code: string(e.Code), Reason: e.Reason, Remedy: e.Remedy}
		if e.Cert != nil {
			r.Certificate = gsi.OneLine(e.Cert.RawSubject)
		}
		return r, words
	}
	if e, ok := errors.AsType[*attributesError](err); ok {
		return refusal{Code: e.code, Reason: e.reason, Remedy: e.remedy}, words
	}
	if e, ok := errors.AsType[*unreadableError](err); ok {
		return refusal{Code: unreadable, Reason: oneLine(e), Remedy: "name a file that this user may read"}, words
	}
	if strings.Contains(words, "x509: unsupported elliptic curve") { // crypto/x509 has no other word for it
		return refusal{Code: string(trust.Algorithm), Reason: words, Remedy: "have it issued for an RSA key, or one on P-256, P-384 or P-521"}, words
	}
	return refusal{Code: string(trust.Malformed), Reason: words, Remedy: "give a file with certificates in PEM, the proxy's first"}, words
}

// legacyFlags let in what only old grids need.
type legacyFlags struct {
	md5  bool
	bits int
}

func (l *legacyFlags) flags(c *cobra.Command) {
	c.Flags().BoolVar(&l.md5, "legacy-md5", false, "unsafe: believe MD5 signatures")
	c.Flags().IntVar(&l.bits, "rsa-min-bits", 1024, "the smallest RSA key believed: 1024, or unsafely 512")
}

func (l *legacyFlags) options() (trust.Options, error) {
	if l.bits != 512 && l.bits != 1024 {
		return trust.Options{}, usagef("--rsa-min-bits is 1024 or 512")
	}
	return trust.Options{AllowMD5: l.md5, AllowRSA512: l.bits == 512}, nil
}

// openTrust opens a trust directory and names the files in it that cannot be used.
func openTrust(c *cobra.Command, dir string, l legacyFlags) (*trust.Store, error) {
	o, err := l.options()
	if err != nil {
		return nil, err
	}
	return openTrustDir(c, dir, o)
}

func openTrustDir(c *cobra.Command, dir string, o trust.Options) (*trust.Store, error) {
	store, err := trust.Open(dir, o)
	if err != nil {
		return nil, err
	}
	for _, p := range store.Problems() {
		fmt.Fprintf(c.ErrOrStderr(), "warning: the trust directory: %v\n", p)
	}
	return store, nil
}
