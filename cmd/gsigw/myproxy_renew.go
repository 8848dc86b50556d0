package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"gsigw/gsi"
	"gsigw/myproxy"
)

type myproxyRenewFlags struct {
	myproxyFlags
	lifetime  hours
	threshold hoursMinutes
	cert, key string
	bits      int
	file      string
	keep      bool
	quiet     bool
}

func myproxyRenew() *cobra.Command {
	f := &myproxyRenewFlags{lifetime: inHours(myproxy.DefaultLifetime)}
	c := &cobra.Command{
		Use:   "renew [FILE]",
		Short: "Renew a user's proxy file as one whom the server lets renew",
		Long: `Gets a new proxy for the one in FILE, and puts it into its place, all of it or nothing. Without FILE it is the one that
X509_USER_PROXY names, or /tmp/x509up_u<uid>. The server keeps a credential for it that somebody put with -R and the name
of the renewer. It wants two proofs: the renewer's own credential, of -C and -y or X509_USER_CERT and X509_USER_KEY, and
the proxy, while that is still valid. What comes is of the same user and lasts longer, or FILE stays as it is.

With --if-less-than nothing is done while the proxy has that much left: for cron. With --keep the command stays and renews
for as long as it runs, each time half of the proxy's life is over or --if-less-than says so; what fails is told on stderr
and tried again. It ends with 1 when the proxy has expired for all that.`,
		Example: `  gsigw myproxy renew -C robotcert.pem -y robotkey.pem -k renewable -l jane /var/lib/jobs/proxy.pem
  gsigw myproxy renew --if-less-than 6:00 -q -d proxy.pem
  gsigw myproxy renew --keep -d proxy.pem`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			f.file = gsi.ProxyPath()
			if len(args) > 0 {
				f.file = args[0]
			}
			if err := f.lifetime.served(); err != nil {
				return err
			}
			return f.run(c)
		},
	}
	f.flags(c)
	fs := c.Flags()
	fs.VarP(&f.lifetime, "proxy-lifetime", "t", "lifetime of the new proxy in hours, or H:M; the server may give less")
	fs.Var(&f.threshold, "if-less-than", "renew when the proxy has less than this left")
	fs.StringVarP(&f.cert, "certfile", "C", "", "the renewer's own certificate, or a proxy")
	fs.StringVarP(&f.key, "keyfile", "y", "", "its key, where that is in a file of its own")
	fs.IntVar(&f.bits, "bits", 2048, "size of the key")
	fs.BoolVar(&f.keep, "keep", false, "stay, and keep the file renewed")
	fs.BoolVarP(&f.quiet, "quiet", "q", false, "say nothing when all goes well")
	return c
}

func (f *myproxyRenewFlags) run(c *cobra.Command) error {
	if !f.keep {
		old, err := f.old(c.Context())
		if err != nil {
			return err
		}
		if left := time.Until(old.NotAfter()); f.threshold.Duration > 0 && left >= f.threshold.Duration {
			say(c, f.quiet, "The proxy in %s has %s left: it is not renewed.", f.file, clock(left))
			return nil
		}
		return f.renew(c, old)
	}
	k := keeper{
		old: f.old, threshold: f.threshold.Duration, renew: func(old *gsi.Credential) error { return f.renew(c, old) },
		failed: func(err error) { fmt.Fprintf(c.ErrOrStderr(), "warning: not renewed: %s\n", oneLine(err)) },
	}
	return k.run(c.Context())
}

// old is the proxy as it lies in the file now.
func (f *myproxyRenewFlags) old(ctx context.Context) (*gsi.Credential, error) {
	return gsi.ProxyFile(f.file, gsi.FileOptions{}).Credential(ctx)
}

// renew gets a new proxy and puts it into the place of the old one, if it is of more use.
func (f *myproxyRenewFlags) renew(c *cobra.Command, old *gsi.Credential) error {
	renewer, err := f.renewer(c, old)
	if err != nil {
		return err
	}
	account, err := f.account(old)
	if err != nil {
		return err
	}
	r := myproxy.GetRequest{Username: account, CredentialName: f.credname, Lifetime: f.lifetime.Duration, Bits: f.bits, Renew: old}
	var got *gsi.Credential
	err = f.ask(gsi.Static(renewer), func(client *myproxy.Client) (err error) {
		got, err = client.Get(c.Context(), r)
		return err
	})
	if err != nil {
		return err
	}
	if !got.NotAfter().After(old.NotAfter()) {
		return fmt.Errorf("the new proxy would end at %s and the one in %s at %s: it stays; what the server keeps may be at its end",
			date(got.NotAfter()), f.file, date(old.NotAfter()))
	}
	if err := gsi.WriteProxyFile(f.file, got); err != nil {
		return err
	}
	say(c, f.quiet, "A credential has been received for user %s in %s.", account, f.file)
	say(c, f.quiet, "Your proxy is valid until: %s", date(got.NotAfter()))
	warnOfLostAttributes(c, old, got)
	return nil
}

// renewer is the credential of whoever renews, which is another than the one that is renewed.
func (f *myproxyRenewFlags) renewer(c *cobra.Command, old *gsi.Credential) (*gsi.Credential, error) {
	own, err := f.ownCredential(c)
	if err != nil {
		return nil, err
	}
	if bytes.Equal(own.Leaf().Raw, old.Leaf().Raw) {
		return nil, errors.New("the renewer's credential is the very proxy that is to be renewed: name his own with -C and -y, or X509_USER_CERT and X509_USER_KEY")
	}
	return own, nil
}

// ownCredential prefers, as Globus clients do, certificate and key to a proxy: X509_USER_PROXY may well name the file that
// is renewed.
func (f *myproxyRenewFlags) ownCredential(c *cobra.Command) (*gsi.Credential, error) {
	own, err := (&issuerFlags{cert: f.cert, key: f.key, pass: f.pass}).credential(c)
	if err != nil && f.cert == "" && f.key == "" {
		if present := f.present(); present != nil {
			return present, nil
		}
	}
	return own, err
}

// keeper renews a proxy for as long as it runs.
type keeper struct {
	old       func(context.Context) (*gsi.Credential, error)
	renew     func(old *gsi.Credential) error
	failed    func(error)
	threshold time.Duration // renew with less than this left; 0: when half of the proxy's life is over
}

// The pause after what failed, the first and, each twice as long as the one before, the longest.
const (
	retry     = time.Minute
	mostRetry = 10 * time.Minute
)

// run ends when ctx does, or when there is no valid proxy any more: then nothing can be renewed. A file that cannot be read
// for a while is tried again, as a server is that does not answer.
func (k *keeper) run(ctx context.Context) error {
	var last *gsi.Credential
	for pause := retry; ; {
		old, err := k.old(ctx)
		if err == nil {
			last = old
		} else if last == nil || !time.Now().Before(last.NotAfter()) {
			return err
		}
		wait := retry
		if err == nil {
			wait, err = k.step(old)
		}
		if err != nil && ctx.Err() == nil {
			k.failed(err)
			wait, pause = pause, min(2*pause, mostRetry)
		} else {
			pause = retry
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(min(wait, time.Until(last.NotAfter())+time.Second)):
		}
	}
}

// step renews a proxy that is due, and says when to look again.
func (k *keeper) step(old *gsi.Credential) (time.Duration, error) {
	if wait := k.due(old); wait > 0 {
		return wait, nil
	}
	return retry, k.renew(old)
}

// due is how long the proxy is good for before it is to be renewed.
func (k *keeper) due(c *gsi.Credential) time.Duration {
	threshold, life := k.threshold, c.NotAfter().Sub(c.NotBefore())
	if threshold == 0 || threshold > life { // the server may give less than the threshold
		threshold = life / 2
	}
	return time.Until(c.NotAfter().Add(-threshold))
}
