package main

import (
	"cmp"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"gsigw/gsi"
	"gsigw/myproxy"
	"gsigw/voms"
)

// renewalFlags say where a proxy is renewed whose owner has left a credential with a MyProxy server.
func (f *myproxyFlags) renewalFlags(c *cobra.Command) {
	f.command = c
	fs := c.Flags()
	fs.StringVar(&f.server, "myproxy", "", "MyProxy server, `HOST[:PORT]` (default: MYPROXY_SERVER and MYPROXY_SERVER_PORT)")
	fs.StringVarP(&f.username, "username", "l", "", "`NAME` under which the server keeps the credential (default: LOGNAME)")
	fs.StringVarP(&f.credname, "credname", "k", "", "`NAME` of one of the user's credentials there")
}

// named says whether there is a server to ask.
func (f *myproxyFlags) named() bool { return cmp.Or(f.server, os.Getenv("MYPROXY_SERVER")) != "" }

// fromMyProxy gets the proxy from the server as a renewer, and puts the attributes into one below it.
func (r *renewal) fromMyProxy(renewer *gsi.Credential, l gsi.Limits, wishes []voms.Request) (proxyFacts, error) {
	got, err := r.get(renewer, l)
	if err != nil {
		return proxyFacts{}, err
	}
	kind, err := gsi.Classify(got.Leaf())
	if err != nil {
		return proxyFacts{}, err
	}
	if len(wishes) == 0 && kind == l.Type {
		return r.keep(r.command.Context(), got, l)
	}
	return r.from(got, l, wishes)
}

func (r *renewal) get(renewer *gsi.Credential, l gsi.Limits) (*gsi.Credential, error) {
	ctx, server := r.command.Context(), &r.flags.myproxy
	old, err := gsi.ProxyFile(r.out, gsi.FileOptions{}).Credential(ctx)
	if err != nil {
		return nil, fmt.Errorf("a MyProxy server renews only a proxy that can still be used: %w", err)
	}
	username, err := server.account(old)
	if err != nil {
		return nil, err
	}
	var got *gsi.Credential
	server.store, server.timeout = r.trust, r.flags.servers.timeout
	err = server.ask(gsi.Static(renewer), func(client *myproxy.Client) error {
		fmt.Fprintf(r.progress, "Contacting MyProxy server %s\n", client.Addr)
		var err error
		got, err = client.Get(ctx, myproxy.GetRequest{
			Username: username, CredentialName: server.credname, Lifetime: l.Lifetime, Bits: l.Bits, Renew: old,
		})
		return err
	})
	return got, err
}
