package main

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gsigw/gsi"
	"gsigw/myproxy"
)

// policyFlags say who may do what with a stored credential. How a name is meant depends, as in the MyProxy tools, on
// whether -x or -X stands before it.
type policyFlags struct {
	myproxy.Policy
	wholeDN bool
	onlyCN  bool
}

func (f *policyFlags) flags(c *cobra.Command) {
	fs := c.Flags()
	fs.BoolFuncP("regex-dn-match", "x", "the names that follow are whole DNs, in which * and ? stand for any", func(string) error {
		f.wholeDN, f.onlyCN = true, false
		return nil
	})
	fs.BoolFuncP("match-cn-only", "X", "the names that follow are common names, of whichever CA; so they are without -x but for what starts with /", func(string) error {
		f.wholeDN, f.onlyCN = false, true
		return nil
	})
	fs.VarP(policyName{f, &f.Retrievers}, "retrievable-by", "r", "who may get proxies for the passphrase")
	fs.VarP(policyName{f, &f.Renewers}, "renewable-by", "R", "who may renew proxies of it; there is no passphrase then")
	fs.VarP(policyName{f, &f.TrustedRetrievers}, "retrievable-by-cert", "Z", "who may get proxies without a passphrase")
	anyone := func(who *string) func(string) error {
		return func(string) error { return policyName{f, who}.put("*") }
	}
	fs.BoolFuncP("allow-anonymous-retrievers", "a", "anybody may get proxies for the passphrase, without a certificate", anyone(&f.Retrievers))
	fs.BoolFuncP("allow-anonymous-renewers", "A", "unsafe: anybody with a proxy of it may renew that", anyone(&f.Renewers))
}

// policyName is a flag with a name for one of the policies.
type policyName struct {
	flags *policyFlags
	to    *string
}

func (f policyName) String() string { return "" }
func (f policyName) Type() string   { return "NAME" }

// Set makes a glob over whole DNs, which is what servers take. A common name counts under whichever CA; what starts with
// a slash is a DN, for as a common name it could match nobody.
func (f policyName) Set(name string) error {
	if name == "" {
		return usagef("an empty name is nobody: leave the flag out for what the server does by default")
	}
	if !f.flags.wholeDN && (f.flags.onlyCN || !strings.HasPrefix(name, "/")) {
		name = "*/CN=" + name
	}
	return f.put(name)
}

func (f policyName) put(glob string) error {
	if *f.to != "" {
		return usagef("only one name for each: %s and %s do not go together; a name may hold * and ?", *f.to, glob)
	}
	*f.to = glob
	return nil
}

// withoutPassphrase says whether the credential is for those who give none.
func (f *policyFlags) withoutPassphrase() bool { return f.Renewers != "" || f.TrustedRetrievers != "" }

// sayPolicy tells whom the server was told to let.
func (f *policyFlags) say(c *cobra.Command) {
	for _, p := range [][2]string{
		{f.Retrievers, "Proxies of it are for"}, {f.TrustedRetrievers, "Proxies of it are, without a passphrase, for"},
		{f.Renewers, "It is renewed by"}, {f.KeyRetrievers, "It is itself for"},
	} {
		if p[0] != "" {
			say(c, false, "%s: %s", p[1], p[0])
		}
	}
}

type myproxyPutFlags struct {
	myproxyFlags
	policyFlags
	stored, lifetime hours
	cert, key        string
	description      string
	noPassphrase     bool
}

func myproxyPut() *cobra.Command {
	return myproxyPutWith(&myproxyPutFlags{stored: inHours(myproxy.DefaultStored), lifetime: inHours(myproxy.DefaultLifetime)})
}

func myproxyPutWith(f *myproxyPutFlags) *cobra.Command {
	c := &cobra.Command{
		Use:     "put",
		Aliases: []string{"init"},
		Short:   "Keep a proxy at the server, as myproxy-init does",
		Long: `Has the server keep a proxy of the user's certificate, for a week by default; whoever knows the passphrase can get
proxies of it, for twelve hours each by default. The key is made by the server; the user's own key stays here.

The certificate is that of X509_USER_CERT and X509_USER_KEY, or ~/.globus/usercert.pem and userkey.pem. The server locks
what it keeps with the passphrase. What is to be renewed (-R) has none: the renewer proves who he is, and that he has a
proxy of it.`,
		Example: `  gsigw myproxy put -s myproxy.example.org -l jane
  gsigw myproxy put -l jane -c 72 -t 6
  gsigw myproxy put -l jane -k renewable -R '/C=XX/O=Grid/CN=Portal'`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	f.myproxyFlags.flags(c)
	f.passFlag(c)
	f.policyFlags.flags(c)
	fs := c.Flags()
	fs.VarP(&f.stored, "cred-lifetime", "c", "how long it is kept, in hours or H:M; 0: as long as the certificate lasts")
	fs.VarP(&f.lifetime, "proxy-lifetime", "t", "longest lifetime of the proxies that the server hands out, in hours or H:M")
	fs.StringVarP(&f.cert, "certfile", "C", "", "the certificate, or a proxy, to make it of")
	fs.StringVarP(&f.key, "keyfile", "y", "", "its key, where that is in a file of its own")
	fs.StringVarP(&f.description, "creddesc", "K", "", "description of the credential")
	fs.BoolVarP(&f.noPassphrase, "no-passphrase", "n", false, "lock it with no passphrase: certificates alone give access")
	return c
}

func (f *myproxyPutFlags) run(c *cobra.Command) error {
	if err := f.lifetime.served(); err != nil {
		return err
	}
	issuer, err := (&issuerFlags{cert: f.cert, key: f.key, pass: f.pass}).credential(c)
	if err != nil {
		return err
	}
	r, err := f.request(issuer)
	if err != nil {
		return err
	}
	err = f.ask(gsi.Static(issuer), func(client *myproxy.Client) error { return client.Put(c.Context(), *r) })
	if err != nil {
		return err
	}
	end := time.Now().Add(r.Limits.Lifetime)
	if last := issuer.NotAfter(); last.Before(end) {
		end = last
	}
	say(c, false, "A proxy valid for %s for user %s now exists on %s.", days(time.Until(end)), r.Username, f.asked)
	say(c, false, "It is kept until: %s; a proxy of it lasts for %s hours at most.", date(end), &f.lifetime)
	f.say(c)
	return nil
}

func (f *myproxyPutFlags) request(issuer *gsi.Credential) (*myproxy.PutRequest, error) {
	account, err := f.account(issuer)
	if err != nil {
		return nil, err
	}
	r := &myproxy.PutRequest{Username: account, CredentialName: f.credname, Description: f.description, Policy: f.Policy,
		Lifetime: f.lifetime.Duration, Limits: gsi.Limits{Lifetime: f.stored.Duration}}
	if r.Limits.Lifetime == 0 {
		r.Limits.Lifetime = time.Until(issuer.NotAfter())
	}
	if f.noPassphrase || f.withoutPassphrase() {
		return r, nil
	}
	pass, err := f.pass.askNew("Enter MyProxy pass phrase:")
	if err != nil {
		return nil, err
	}
	warnOfNoLock(f.myproxyFlags.command, pass, ": -n is the way to mean it")
	r.Passphrase = myproxy.Secret(pass)
	return r, nil
}
