package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"gsigw/gsi"
	"gsigw/myproxy"
	"gsigw/voms"
)

type myproxyGetFlags struct {
	myproxyFlags
	lifetime      hours
	out, renew    string
	bits          int
	vos           []string
	noPassphrase  bool
	trustroots    bool
	quiet         bool
	authorization *gsi.Credential // what renew holds
}

func myproxyGet() *cobra.Command {
	f := &myproxyGetFlags{lifetime: inHours(myproxy.DefaultLifetime)}
	c := &cobra.Command{
		Use:     "get",
		Aliases: []string{"logon"},
		Short:   "Get a proxy of a credential that the server keeps, as myproxy-logon does",
		Long: `Gets a proxy made of a credential that the server keeps, for its passphrase, and writes it where grid tools look for it:
X509_USER_PROXY, or /tmp/x509up_u<uid>. A credential that is there already is shown to the server; without one, nobody asks.

With -a it is renewal: the passphrase's place is taken by a proof of possession of the proxy that is named, and the
present credential has to be that of a renewer whom the server knows. See also: gsigw myproxy renew.`,
		Example: `  gsigw myproxy get -s myproxy.example.org -l jane -t 12
  gsigw myproxy get -l jane -k renewable -n -a old.pem -o new.pem
  gsigw myproxy get -l jane -T -S < passphrase`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	f.flags(c)
	f.passFlag(c)
	fs := c.Flags()
	fs.VarP(&f.lifetime, "proxy-lifetime", "t", "lifetime of the proxy in hours, or H:M; the server may give less")
	fs.StringVarP(&f.out, "out", "o", "", "file to write, - for standard output; default: X509_USER_PROXY or /tmp/x509up_u<uid>")
	fs.StringVarP(&f.renew, "authorization", "a", "", "the proxy to renew: its possession is proven instead of a passphrase")
	fs.BoolVarP(&f.noPassphrase, "no-passphrase", "n", false, "ask for no passphrase: the present credential is enough")
	fs.BoolVarP(&f.trustroots, "trustroots", "T", false, "get the server's trust roots, too")
	fs.IntVar(&f.bits, "bits", 2048, "size of the key")
	fs.StringArrayVar(&f.vos, "server-voms", nil, "have the server put attributes of this VO into the proxy; may be repeated")
	fs.BoolVarP(&f.quiet, "quiet", "q", false, "say nothing when all goes well")
	return c
}

func (f *myproxyGetFlags) run(c *cobra.Command) error {
	if err := f.lifetime.served(); err != nil {
		return err
	}
	request, caller, err := f.request()
	if err != nil {
		return err
	}
	var got *gsi.Credential
	err = f.ask(caller, func(client *myproxy.Client) (err error) {
		got, err = client.Get(c.Context(), *request)
		return err
	})
	if err != nil {
		return err
	}
	return f.keep(c, request, got)
}

// request is what is asked for, and by whom: nil is nobody.
func (f *myproxyGetFlags) request() (*myproxy.GetRequest, gsi.Source, error) {
	present, of := f.present(), (*gsi.Credential)(nil)
	if of = present; f.renew != "" {
		old, err := gsi.ProxyFile(f.renew, gsi.FileOptions{}).Credential(f.command.Context())
		if err != nil {
			return nil, nil, err
		}
		f.authorization, of = old, old
	}
	account, err := f.account(of)
	if err != nil {
		return nil, nil, err
	}
	r := &myproxy.GetRequest{Username: account, CredentialName: f.credname, Lifetime: f.lifetime.Duration, Bits: f.bits,
		Renew: f.authorization, VONames: f.vos}
	if f.trustroots {
		r.TrustRoots = &myproxy.TrustRoots{}
	}
	if f.renew == "" && !f.noPassphrase {
		pass, err := f.pass.ask("Enter MyProxy pass phrase:")
		if err != nil {
			return nil, nil, err
		}
		r.Passphrase = myproxy.Secret(pass)
	}
	if present == nil {
		return r, nil, nil
	}
	return r, gsi.Static(present), nil
}

// keep writes what came: the proxy last, so that it is there when all is.
func (f *myproxyGetFlags) keep(c *cobra.Command, r *myproxy.GetRequest, got *gsi.Credential) error {
	if r.TrustRoots != nil {
		if err := f.install(*r.TrustRoots, "", f.quiet || f.out == "-"); err != nil {
			return err
		}
	}
	if f.out == "-" {
		text, err := gsi.MarshalProxy(got)
		if err != nil {
			return err
		}
		_, err = c.OutOrStdout().Write(text)
		return err
	}
	out := f.out
	if out == "" {
		out = gsi.ProxyPath()
	}
	if err := gsi.WriteProxyFile(out, got); err != nil {
		return err
	}
	say(c, f.quiet, "A credential has been received for user %s in %s.", r.Username, out)
	say(c, f.quiet, "Your proxy is valid until: %s", date(got.NotAfter()))
	if f.authorization != nil {
		warnOfLostAttributes(c, f.authorization, got)
	}
	return nil
}

// warnOfLostAttributes tells of VOMS attributes, which a MyProxy server does not renew.
func warnOfLostAttributes(c *cobra.Command, old, renewed *gsi.Credential) {
	before, err := voms.ACs(old.Chain)
	if err != nil || len(before) == 0 {
		return
	}
	if after, err := voms.ACs(renewed.Chain); err == nil && len(after) > 0 {
		return
	}
	fmt.Fprintln(c.ErrOrStderr(), "warning: the VOMS attributes of the old proxy are not in the new one: add them with gsigw proxy init --noregen --voms VO")
}

func myproxyTrustRoots() *cobra.Command {
	var f myproxyFlags
	var out string
	var quiet bool
	c := &cobra.Command{
		Use:     "trustroots",
		Aliases: []string{"get-trustroots"},
		Short:   "Get the CAs, policies and revocation lists that the server trusts",
		Long: `Gets the server's trust roots and writes them to -o or where grid tools look: --trust or X509_CERT_DIR, else
~/.globus/certificates, for root ` + gridTrustDir + `. Each file is written whole or not at all; files that the server does not have stay.

Whom the server trusts, this machine will, so the server has to be trusted already: there is no --bootstrap here, which
would believe whoever answers first. Put the CA of the server into the trust directory by hand, once.`,
		Example: `  gsigw myproxy trustroots -s myproxy.example.org`,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var roots myproxy.TrustRoots
			err := f.ask(nil, func(client *myproxy.Client) (err error) {
				roots, err = client.TrustRoots(c.Context())
				return err
			})
			if err != nil {
				return err
			}
			return f.install(roots, out, quiet)
		},
	}
	f.serverFlags(c)
	c.Flags().StringVarP(&out, "out", "o", "", "directory to write; default: see above")
	c.Flags().BoolVarP(&quiet, "quiet", "q", false, "say nothing when all goes well")
	return c
}

func (f *myproxyFlags) install(roots myproxy.TrustRoots, out string, quiet bool) error {
	dir, err := rootsDir(os.Geteuid(), out, f.trust, os.Getenv("X509_CERT_DIR"))
	if err != nil {
		return err
	}
	if err := roots.Write(dir); err != nil {
		return err
	}
	say(f.command, quiet, "Trust roots have been installed in %s.", dir)
	return nil
}

// rootsDir is where trust roots go: what is named, the system's for root, else the user's own.
func rootsDir(uid int, named ...string) (string, error) {
	own := ownTrustDir()
	switch dir := cmp.Or(named...); {
	case dir != "":
		return filepath.Clean(dir), nil
	case uid == 0:
		return gridTrustDir, nil
	case own == "":
		return "", usagef("this user has no home: name a directory with -o or X509_CERT_DIR")
	}
	return own, nil
}

// days writes a length of time as myproxy-init does: "168 hours (7.0 days)".
func days(d time.Duration) string {
	return fmt.Sprintf("%d hours (%.1f days)", int(d.Round(time.Minute).Hours()), d.Hours()/24)
}
