package main

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"gsigw/gsi"
	"gsigw/voms"
)

type renewFlags struct {
	lessThan hoursMinutes
	valid    hoursMinutes
	issuer   issuerFlags
	servers  serverFlags
	myproxy  myproxyFlags
	certdir  string
	quiet    bool
	asJSON   bool
}

func proxyRenew() *cobra.Command {
	f := &renewFlags{}
	c := &cobra.Command{
		Use:   "renew [FILE]",
		Short: "Make a proxy anew as it was, from the certificate or from a MyProxy server",
		Long: `Makes the proxy in FILE anew, of the same type, length, key size and VOMS attributes as it was made with. Without FILE
it is the one that X509_USER_PROXY names, or /tmp/x509up_u<uid>. It may have expired.

It is made of the user's own certificate, found as proxy init finds it, if that is there. Otherwise, with --myproxy or
MYPROXY_SERVER, it comes from that MyProxy server: the certificate that is found is then the renewer's, whom the server
must know, and the old proxy, which must be valid still, proves that it may be renewed. Attributes are asked for anew
either way. The server must have the name of its host in its certificate, or the DN that MYPROXY_SERVER_DN says.

The new proxy takes the place of the old one in one step, and is read back. When it cannot be had, would end sooner,
speak for somebody else or lack attributes, the old one stays and the exit code is 1.

With --if-less-than nothing happens while the proxy and its attributes last so long: for cron.`,
		Example: `  gsigw proxy renew
  gsigw proxy renew --if-less-than 6:00 --quiet
  gsigw proxy renew --pwstdin /tmp/x509up_u1000 < passphrase
  gsigw proxy renew --myproxy myproxy.example.org --username jane \
    --cert /etc/grid-security/hostcert.pem --key /etc/grid-security/hostkey.pem /var/lib/portal/jane.pem`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			path := gsi.ProxyPath()
			if len(args) > 0 {
				path = args[0]
			}
			return f.run(c, path)
		},
	}
	f.flags(c)
	return c
}

func (f *renewFlags) flags(c *cobra.Command) {
	fs := c.Flags()
	fs.SortFlags = false
	fs.Var(&f.lessThan, "if-less-than", "do nothing unless less time than this is left")
	fs.Var(&f.valid, "valid", "how long the new proxy is valid (default: as the old one was)")
	f.issuer.flags(c)
	f.myproxy.renewalFlags(c)
	f.servers.flags(c)
	fs.StringVar(&f.certdir, "certdir", "", "grid trust `DIR`")
	fs.BoolVarP(&f.quiet, "quiet", "q", false, "say nothing but warnings")
	fs.BoolVar(&f.asJSON, "json", false, "print JSON")
}

func (f *renewFlags) run(c *cobra.Command, path string) error {
	if err := f.servers.check(); err != nil {
		return err
	}
	progress := c.OutOrStdout()
	if f.quiet || f.asJSON {
		progress = io.Discard
	}
	facts, err := f.look(c, path)
	if err != nil {
		return err
	}
	if left := facts.UsableUntil.Sub(facts.at); f.lessThan.Duration > 0 && left >= f.lessThan.Duration {
		fmt.Fprintf(progress, "Nothing to do: %s is valid for %s\n", path, clock(left))
		return f.print(c, facts)
	}
	r := &renewal{
		maker: maker{progress: progress, warnTo: c.ErrOrStderr(), out: path, old: &facts},
		flags: f, command: c,
	}
	renewed, err := r.run()
	if err != nil {
		return fmt.Errorf("the proxy was not renewed, and %s is as it was: %w", path, err)
	}
	if left := renewed.UsableUntil.Sub(renewed.at); left < f.lessThan.Duration {
		return fmt.Errorf("the proxy was renewed, and lasts for %s only: renew what it is made of", clock(left))
	}
	return f.print(c, renewed)
}

func (f *renewFlags) print(c *cobra.Command, facts proxyFacts) error {
	if !f.asJSON {
		return nil
	}
	return printJSON(c.OutOrStdout(), facts)
}

// look reads the old proxy. What it says of its attributes has to be whole, to be asked for again.
func (f *renewFlags) look(c *cobra.Command, path string) (proxyFacts, error) {
	facts, err := lookAtProxy(c, credentialFile{path: path})
	if err != nil {
		return facts, err
	}
	if facts.Type == gsi.EEC {
		return facts, fmt.Errorf("%s holds no proxy: a certificate is renewed by its CA", path)
	}
	return facts, nil
}

// renewal is one proxy's: the maker of the new one knows the old.
type renewal struct {
	maker
	flags   *renewFlags
	command *cobra.Command
}

func (r *renewal) run() (proxyFacts, error) {
	limits, err := again(&gsi.Credential{Chain: r.old.chain})
	if err != nil {
		return proxyFacts{}, err
	}
	if r.flags.valid.Duration != 0 {
		limits.Lifetime = r.flags.valid.Duration
	}
	wishes, err := sameAttributes(r.old.chain)
	if err != nil {
		return proxyFacts{}, err
	}
	hasServer := r.flags.myproxy.named()
	if err := r.openTrust(r.command, r.flags.certdir, r.flags.servers.vomsdir, len(wishes) > 0 || hasServer); err != nil {
		return proxyFacts{}, err
	}
	own, err := r.own()
	if err != nil {
		return proxyFacts{}, err
	}
	switch {
	case r.flags.myproxy.server == "" && r.isOfOldUser(own):
		return r.from(own, limits, wishes)
	case hasServer:
		return r.fromMyProxy(own, limits, wishes)
	}
	return proxyFacts{}, fmt.Errorf("the certificate found is %s's: name that of %s with --cert, or a MyProxy server with --myproxy",
		gsi.OneLine(own.EndEntity().RawSubject), gsi.OneLine(r.oldUser().RawSubject))
}

func (r *renewal) oldUser() *x509.Certificate {
	return (&gsi.Credential{Chain: r.old.chain}).EndEntity()
}

// isOfOldUser says whether a credential is of the user whose proxy is renewed.
func (r *renewal) isOfOldUser(c *gsi.Credential) bool {
	return bytes.Equal(c.EndEntity().RawSubject, r.oldUser().RawSubject)
}

// own opens the certificate of the user, or of a renewer.
func (r *renewal) own() (*gsi.Credential, error) {
	cred, err := r.flags.issuer.credential(r.command)
	if err == nil && cred.EndEntity() == nil {
		return nil, errors.New("the certificate of the user is missing from the file with the proxy that is to be used")
	}
	return cred, err
}

// from makes the proxy of a credential of the same user.
func (r *renewal) from(issuer *gsi.Credential, l gsi.Limits, wishes []voms.Request) (proxyFacts, error) {
	ctx := r.command.Context()
	if err := r.attributes(ctx, issuer, wishes, &attributeFlags{serverFlags: r.flags.servers}); err != nil {
		return proxyFacts{}, err
	}
	if included := voms.IncludedFile(r.old.chain); included != nil {
		e, err := voms.IncludeFile(included)
		if err != nil {
			return proxyFacts{}, err
		}
		r.extensions = append(r.extensions, e)
	}
	return r.make(ctx, issuer, l)
}

// sameAttributes asks for what a proxy has: the same groups and roles, in the same order, for as long.
func sameAttributes(chain []*x509.Certificate) ([]voms.Request, error) {
	acs, err := voms.ACs(chain)
	if err != nil {
		return nil, err
	}
	var requests []voms.Request
	for _, der := range acs {
		ac, err := voms.ParseAC(der)
		if err != nil {
			return nil, err
		}
		r := voms.Request{VO: ac.VO, Targets: ac.Targets, Lifetime: ac.NotAfter.Sub(ac.NotBefore)}
		for _, fqan := range ac.FQANs {
			r.FQANs = append(r.FQANs, voms.FQAN{Group: fqan.Group, Role: fqan.Role})
		}
		requests = append(requests, r)
	}
	return requests, nil
}

// lossIn says what the old proxy has that a new one lacks: then it stays.
func (f *proxyFacts) lossIn(renewed proxyFacts) error {
	switch {
	case renewed.identity.DN != f.identity.DN && !f.identity.Independent:
		return fmt.Errorf("the new proxy is of %s, and the old one of %s", renewed.identity.DN, f.identity.DN)
	case f.Limited && !renewed.Limited:
		return errors.New("the old proxy is limited, and the new one is not")
	case renewed.UsableUntil.Before(f.UsableUntil):
		return fmt.Errorf("the new proxy would end before the old, at %s", date(renewed.UsableUntil))
	}
	for _, old := range f.VOs {
		for _, fqan := range old.fqans {
			if !renewed.claims(fqan) {
				return fmt.Errorf("the new proxy does not have %s: the VO may have taken it away; make one without it with proxy init", fqan)
			}
		}
	}
	return nil
}

func (f *proxyFacts) claims(fqan voms.FQAN) bool {
	return slices.ContainsFunc(f.VOs, func(vo voFacts) bool { return slices.Contains(vo.fqans, fqan) })
}
