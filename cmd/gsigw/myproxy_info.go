package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"gsigw/gsi"
	"gsigw/myproxy"
)

// storedFacts is what the server tells of one credential.
type storedFacts struct {
	Name              string    `json:"name"` // "" is the account's default one
	Description       string    `json:"description"`
	Owner             string    `json:"owner"`
	NotBefore         time.Time `json:"not_before"`
	NotAfter          time.Time `json:"not_after"`
	Timeleft          int64     `json:"timeleft"` // seconds, 0 when expired
	Retrievers        string    `json:"retrievers"`
	TrustedRetrievers string    `json:"trusted_retrievers"`
	KeyRetrievers     string    `json:"key_retrievers"`
	Renewers          string    `json:"renewers"`
	Locked            string    `json:"locked"` // why it is
}

func factsOfStored(s myproxy.StoredCredential, at time.Time) storedFacts {
	return storedFacts{
		Name: s.Name, Description: s.Description, Owner: s.Owner, NotBefore: s.Start.UTC(), NotAfter: s.End.UTC(),
		Timeleft: secondsLeft(s.End, at), Retrievers: s.Retrievers, TrustedRetrievers: s.TrustedRetrievers,
		KeyRetrievers: s.KeyRetrievers, Renewers: s.Renewers, Locked: s.Locked,
	}
}

// print writes what myproxy-info does.
func (f storedFacts) print(w io.Writer) {
	fmt.Fprintf(w, "owner: %s\n", f.Owner)
	for _, l := range [][2]string{
		{"name", f.Name}, {"description", f.Description}, {"retrieval policy", f.Retrievers}, {"renewal policy", f.Renewers},
		{"key retrieval policy", f.KeyRetrievers}, {"trusted retrieval policy", f.TrustedRetrievers}, {"locked", f.Locked},
	} {
		if l[1] != "" {
			fmt.Fprintf(w, "  %s: %s\n", l[0], l[1])
		}
	}
	left := time.Duration(f.Timeleft) * time.Second
	fmt.Fprintf(w, "  timeleft: %s  (%.1f days)\n", clock(left), left.Hours()/24)
}

func myproxyInfo() *cobra.Command {
	var f myproxyFlags
	var asJSON bool
	c := &cobra.Command{
		Use:   "info",
		Short: "Say what the server keeps for a user, as myproxy-info does",
		Example: `  gsigw myproxy info -s myproxy.example.org -l jane
  gsigw myproxy info -d --json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			list, account, err := f.stored()
			if err != nil {
				return err
			}
			facts, now := []storedFacts{}, time.Now()
			for _, s := range list {
				if f.credname == "" || s.Name == f.credname {
					facts = append(facts, factsOfStored(s, now))
				}
			}
			if f.credname != "" && len(facts) == 0 {
				return fmt.Errorf("the server keeps no credential called %s for user %s", f.credname, account)
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), facts)
			}
			say(c, false, "username: %s", account)
			for _, s := range facts {
				s.print(c.OutOrStdout())
			}
			return nil
		},
	}
	f.flags(c)
	f.passFlag(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func (f *myproxyFlags) stored() (list []myproxy.StoredCredential, account string, err error) {
	caller, err := f.caller()
	if err != nil {
		return nil, "", err
	}
	if account, err = f.account(caller); err != nil {
		return nil, "", err
	}
	return list, account, f.ask(gsi.Static(caller), func(client *myproxy.Client) (err error) {
		list, err = client.Info(f.command.Context(), myproxy.InfoRequest{Username: account})
		return err
	})
}

func myproxyDestroy() *cobra.Command {
	var f myproxyFlags
	c := &cobra.Command{
		Use:   "destroy",
		Short: "Remove a credential from the server, as myproxy-destroy does",
		Long: `Removes a credential from the server, which its owner alone may. Proxies that were given out live on: they end when they
expire.`,
		Example: `  gsigw myproxy destroy -s myproxy.example.org -l jane -k renewable`,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			caller, err := f.caller()
			if err != nil {
				return err
			}
			account, err := f.account(caller)
			if err != nil {
				return err
			}
			err = f.ask(gsi.Static(caller), func(client *myproxy.Client) error {
				return client.Destroy(c.Context(), myproxy.DestroyRequest{Username: account, CredentialName: f.credname})
			})
			switch {
			case err != nil:
				return err
			case f.credname == "":
				say(c, false, "Default MyProxy credential for user %s was successfully removed.", account)
			default:
				say(c, false, "MyProxy credential '%s' for user %s was successfully removed.", f.credname, account)
			}
			return nil
		},
	}
	f.flags(c)
	f.passFlag(c)
	return c
}

func myproxyPasswd() *cobra.Command {
	var f myproxyFlags
	c := &cobra.Command{
		Use:     "passwd",
		Aliases: []string{"change-pass-phrase"},
		Short:   "Change the passphrase of a credential at the server, as myproxy-change-pass-phrase does",
		Long: `Changes the passphrase with which the server locks a credential. Its owner alone may, with the old passphrase. With -S
the old and the new passphrase are a line each on standard input, after that of the user's key if it takes one.`,
		Example: `  gsigw myproxy passwd -s myproxy.example.org -l jane`,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			caller, err := f.caller()
			if err != nil {
				return err
			}
			r := myproxy.ChangePassphraseRequest{CredentialName: f.credname}
			if r.Username, err = f.account(caller); err != nil {
				return err
			}
			old, err := f.pass.ask("Enter (current) MyProxy pass phrase:")
			if err != nil {
				return err
			}
			renewed, err := f.pass.askNew("Enter new MyProxy pass phrase:")
			if err != nil {
				return err
			}
			warnOfNoLock(c, renewed, "")
			r.Old, r.New = myproxy.Secret(old), myproxy.Secret(renewed)
			if err := f.ask(gsi.Static(caller), func(client *myproxy.Client) error { return client.ChangePassphrase(c.Context(), r) }); err != nil {
				return err
			}
			say(c, false, "Pass phrase changed.")
			return nil
		},
	}
	f.flags(c)
	f.passFlag(c)
	return c
}
