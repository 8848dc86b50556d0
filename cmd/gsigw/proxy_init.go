package main

import (
	"cmp"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"gsigw/gsi"
	"gsigw/trust"
	"gsigw/voms"
)

type initFlags struct {
	issuer     issuerFlags
	kind       kindFlags
	attributes attributeFlags
	certdir    string
	out        string
	verify     bool
	failOnWarn bool
	ignoreWarn bool
	quiet      bool
	debug      bool
	asJSON     bool
}

func proxyInit() *cobra.Command {
	f := &initFlags{kind: newKindFlags()}
	c := &cobra.Command{
		Use:   "init",
		Short: "Make a proxy of the user's certificate, with VOMS attributes if wanted",
		Long: `Makes a proxy certificate of the user's, valid for 12 hours, with a new RSA key of 2048 bits, in the form of RFC 3820
unless a flag says otherwise, and writes it, mode 0600, where grid tools look for it: to the file that X509_USER_PROXY
names, or /tmp/x509up_u<uid>.

The user's certificate and key are those that X509_USER_CERT and X509_USER_KEY name, ~/.globus/usercert.pem and
userkey.pem, or ~/.globus/usercred.p12. A locked key asks for its passphrase at the terminal; with --pwstdin it is the
first line of standard input. A proxy can be made of a proxy too: name it as --cert, or take the present one with
--noregen.

--voms asks the servers of a VO for attributes: VO or VO:FQAN, repeated for more. The servers are found in vomses files:
that of --vomses, VOMS_USERCONF or X509_VOMSES, or else ~/.voms/vomses, ~/.glite/vomses and /etc/vomses. What a server
gives is believed later by those whose vomsdir names it.

Before it is written the proxy is verified against the trust directory, --certdir, X509_CERT_DIR,
~/.globus/certificates or ` + gridTrustDir + `, and its attributes against the vomsdir, --vomsdir, X509_VOMS_DIR or
` + gridVOMSDir + `, where there are such. What is wrong is a warning, and an error with --verify; --failonwarn
makes every warning an error, and then nothing is written.`,
		Example: `  gsigw proxy init
  gsigw proxy init --valid 24:00 --voms testvo:/testvo/Role=admin
  gsigw proxy init -voms atlas:/atlas/Role=production -voms ops -order /atlas/Role=production
  gsigw proxy init --pwstdin --out proxy.pem < passphrase
  gsigw proxy init --noregen --limited --valid 1:00 --out limited.pem
  gsigw proxy init --policy policy.xml --policy-language 1.3.6.1.4.1.99999.1`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	f.flags(c)
	return c
}

func (f *initFlags) flags(c *cobra.Command) {
	fs := c.Flags()
	fs.SortFlags = false
	f.attributes.flags(c)
	f.kind.flags(c)
	f.issuer.flags(c)
	f.issuer.noregenFlag(c)
	fs.StringVar(&f.certdir, "certdir", "", "grid trust `DIR`")
	fs.StringVar(&f.out, "out", "", "`FILE` to write the proxy to")
	fs.BoolVar(&f.verify, "verify", false, "write nothing unless the proxy can be verified")
	fs.BoolVar(&f.failOnWarn, "failonwarn", false, "take warnings for errors")
	fs.BoolVar(&f.ignoreWarn, "ignorewarn", false, "leave warnings out")
	fs.BoolVarP(&f.quiet, "quiet", "q", false, "say nothing but warnings")
	fs.BoolVar(&f.debug, "debug", false, "say which files are used")
	fs.BoolVar(&f.asJSON, "json", false, "print JSON")
	c.MarkFlagsMutuallyExclusive("failonwarn", "ignorewarn")
}

func (f *initFlags) run(c *cobra.Command) error {
	m, err := f.maker(c)
	if err != nil {
		return err
	}
	source, err := f.issuer.source()
	if err != nil {
		return err
	}
	if f.debug {
		fmt.Fprintf(c.ErrOrStderr(), "User Cert and Key: %s\nOutput File: %s\n", source, m.out)
	}
	issuer, err := f.issuer.open(c, source)
	if err != nil {
		return err
	}
	id, err := issuer.Identity()
	if err != nil {
		return err
	}
	limits, err := f.kind.limits(issuer)
	if err != nil {
		return err
	}
	fmt.Fprintf(m.progress, "Your identity: %s\n", id.DN)
	wishes, err := f.attributes.wishes(min(limits.Lifetime, time.Until(issuer.NotAfter())))
	if err != nil {
		return err
	}
	if err := m.attributes(c.Context(), issuer, wishes, &f.attributes); err != nil {
		return err
	}
	if f.attributes.separate != "" {
		return m.writeSeparate(f.attributes.separate)
	}
	facts, err := m.make(c.Context(), issuer, limits)
	if err != nil {
		return err
	}
	if f.asJSON {
		return printJSON(c.OutOrStdout(), facts)
	}
	return nil
}

// maker gets ready whatever a proxy is made with besides its issuer, so that mistakes show before a passphrase is asked.
func (f *initFlags) maker(c *cobra.Command) (*maker, error) {
	if err := cmp.Or(f.kind.check(), f.attributes.check()); err != nil {
		return nil, err
	}
	m := &maker{progress: c.OutOrStdout(), warnTo: c.ErrOrStderr(), mustVerify: f.verify, failOnWarn: f.failOnWarn}
	if f.quiet || f.asJSON {
		m.progress = io.Discard
	}
	if f.ignoreWarn {
		m.warnTo = io.Discard
	}
	m.out = f.out
	if m.out == "" {
		m.out = gsi.ProxyPath()
	}
	return m, m.openTrust(c, f.certdir, f.attributes.vomsdir, f.verify || len(f.attributes.voms) > 0)
}

// openTrust opens the trust directory and the vomsdir if they are there: without them a proxy can be made, and not be
// verified.
func (m *maker) openTrust(c *cobra.Command, certdir, vomsdir string, needed bool) error {
	dir, err := trustDir(certdir)
	if !needed && certdir == "" && (err != nil || !isThere(dir)) {
		return nil
	}
	if err != nil {
		return err
	}
	if m.trust, err = openTrustDir(c, dir, trust.Options{}); err != nil {
		return atTrustFlag("certdir", certdir, err)
	}
	m.vomsdir, err = openVOMSDir(c, vomsdir, voms.Options{Trust: m.trust, AnyTarget: true})
	return err
}
