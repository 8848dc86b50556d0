package main

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"gsigw/gsi"
	"gsigw/myproxy"
	"gsigw/trust"
)

func myproxyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "myproxy",
		Short: "Keep credentials at a MyProxy server, and get proxies from it",
		Long: `Does what myproxy-init, myproxy-logon and their siblings do; their short flags and their long words are taken, too.

The server is that of -s or MYPROXY_SERVER, several separated by commas: the next is asked when one cannot be reached. It
has to show the certificate of its host, or the name in MYPROXY_SERVER_DN, under a CA of the trust directory: --trust,
X509_CERT_DIR, ~/.globus/certificates or ` + gridTrustDir + `.`,
		Example: `  export MYPROXY_SERVER=myproxy.example.org
  gsigw myproxy put -l jane
  gsigw myproxy get -l jane
  gsigw myproxy info -l jane
  gsigw myproxy put -n -R '/C=XX/O=Grid/CN=Portal' -k renewable
  gsigw myproxy renew -k renewable --keep proxy.pem`,
	}
	c.AddCommand(myproxyPut(), myproxyGet(), myproxyRenew(), myproxyInfo(), myproxyDestroy(), myproxyPasswd(),
		myproxyStore(), myproxyRetrieve(), myproxyTrustRoots())
	return c
}

// myproxyFlags are those of every command below myproxy.
type myproxyFlags struct {
	server, port, trust string
	username, credname  string
	dnAsUsername        bool
	timeout             int // seconds
	pass                passphrases

	command *cobra.Command
	store   *trust.Store
	asked   string // the server that answered
}

// serverFlags are the flags for commands that are not about one user.
func (f *myproxyFlags) serverFlags(c *cobra.Command) {
	f.command = c
	fs := c.Flags()
	fs.SetNormalizeFunc(myproxyWords)
	fs.StringVarP(&f.server, "server", "s", "", "HOST[:PORT] of the server; default: MYPROXY_SERVER")
	fs.StringVarP(&f.port, "port", "p", "", "its port; default: MYPROXY_SERVER_PORT or "+myproxy.DefaultPort)
	fs.StringVar(&f.trust, "trust", "", "grid trust directory")
	fs.IntVar(&f.timeout, "timeout", 30, "`SECONDS` that a server may take")
}

func (f *myproxyFlags) flags(c *cobra.Command) {
	f.serverFlags(c)
	fs := c.Flags()
	fs.StringVarP(&f.username, "username", "l", "", "name of the account at the server; default: LOGNAME, or the login name")
	fs.StringVarP(&f.credname, "credname", "k", "", "name of the credential; default: the account's default one")
	fs.BoolVarP(&f.dnAsUsername, "dn-as-username", "d", false, "the subject of the credential is the name of the account")
}

// passFlag is --pwstdin under the names that the MyProxy tools have for it as well.
func (f *myproxyFlags) passFlag(c *cobra.Command) {
	f.pass.command = c
	c.Flags().BoolVarP(&f.pass.onStdin, "pwstdin", "S", false, "take passphrases from standard input, one line each")
}

// myproxyWords lets the long flags of the MyProxy tools mean ours.
func myproxyWords(_ *pflag.FlagSet, name string) pflag.NormalizedName {
	name = strings.ReplaceAll(name, "_", "-")
	return pflag.NormalizedName(cmp.Or(map[string]string{"pshost": "server", "psport": "port", "stdin-pass": "pwstdin"}[name], name))
}

// ask runs one exchange with the first of the servers that can be reached.
func (f *myproxyFlags) ask(caller gsi.Source, exchange func(*myproxy.Client) error) error {
	if f.timeout < 1 {
		return usagef("--timeout is a number of seconds")
	}
	addresses, err := f.addresses()
	if err != nil {
		return err
	}
	store, err := f.openTrust()
	if err != nil {
		return err
	}
	var unreached []error
	for _, address := range addresses {
		f.asked = hostOf(address)
		err := exchange(&myproxy.Client{
			Addr: address, ServerDN: os.Getenv("MYPROXY_SERVER_DN"), Trust: store, Credential: caller,
			Timeout: time.Duration(f.timeout) * time.Second,
		})
		if op, ok := errors.AsType[*net.OpError](err); !ok || op.Op != "dial" {
			return err
		}
		unreached = append(unreached, err)
	}
	return errors.Join(unreached...)
}

// addresses lists the servers, each with its port where one is said.
func (f *myproxyFlags) addresses() ([]string, error) {
	port, err := f.usualPort()
	if err != nil {
		return nil, err
	}
	var list []string
	for s := range strings.SplitSeq(cmp.Or(f.server, os.Getenv("MYPROXY_SERVER")), ",") {
		if s = strings.TrimSpace(s); s == "" {
			continue
		}
		if port != "" && hostOf(s) == strings.Trim(s, "[]") {
			s = net.JoinHostPort(hostOf(s), port)
		}
		list = append(list, s)
	}
	if len(list) == 0 {
		return nil, usagef("say which server: -s HOST, or set MYPROXY_SERVER")
	}
	return list, nil
}

// usualPort is that of servers which are named without one; "" for that of the protocol.
func (f *myproxyFlags) usualPort() (string, error) {
	port, name := f.port, "--port"
	if port == "" {
		port, name = os.Getenv("MYPROXY_SERVER_PORT"), "MYPROXY_SERVER_PORT"
	}
	if n, err := strconv.ParseUint(port, 10, 16); port != "" && (err != nil || n == 0) {
		return "", usagef("%s is %q, and no port: give a number from 1 to 65535", name, port)
	}
	return port, nil
}

func hostOf(address string) string {
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return strings.Trim(address, "[]")
}

func (f *myproxyFlags) openTrust() (*trust.Store, error) {
	if f.store != nil {
		return f.store, nil
	}
	dir, err := trustDir(f.trust)
	if err != nil {
		return nil, err
	}
	f.store, err = openTrustDir(f.command, dir, trust.Options{})
	return f.store, atTrustFlag("trust", f.trust, err)
}

// caller is the user's credential: the one that grid tools find or, where that cannot be used, the one that proxies are
// made of, which may take a passphrase to unlock.
func (f *myproxyFlags) caller() (*gsi.Credential, error) {
	if c := f.present(); c != nil {
		return c, nil
	}
	return (&issuerFlags{pass: f.pass}).credential(f.command)
}

// present is the credential that can be used as it is, nil without one.
func (f *myproxyFlags) present() *gsi.Credential {
	source, err := gsi.Discover(gsi.FileOptions{})
	if err != nil {
		return nil
	}
	c, err := source.Credential(f.command.Context())
	if err != nil {
		return nil
	}
	return c
}

// account is the name of the account at the server; of is whose subject it is with -d.
func (f *myproxyFlags) account(of *gsi.Credential) (string, error) {
	switch {
	case f.username != "":
		return f.username, nil
	case f.dnAsUsername && of == nil:
		return "", errors.New("-d takes the name of the account from a credential, and there is none that can be used: give -l NAME, or make a proxy with gsigw proxy init")
	case f.dnAsUsername:
		id, err := of.Identity()
		if err != nil {
			return "", err
		}
		return id.DN, nil
	}
	if name := os.Getenv("LOGNAME"); name != "" {
		return name, nil
	}
	u, err := user.Current()
	if err != nil {
		return "", usagef("this user has no login name: give -l NAME")
	}
	return u.Username, nil
}

// hours is a flag with a length of time as the MyProxy tools write it, in hours; H:M is taken, too.
type hours struct{ hoursMinutes }

func (f *hours) Type() string { return "HOURS" }

func (f *hours) Set(s string) error {
	if strings.Contains(s, ":") {
		return f.hoursMinutes.Set(s)
	}
	return wholeHours{&f.hoursMinutes}.Set(s)
}

func inHours(d time.Duration) hours { return hours{hoursMinutes{d}} }

// served checks the lifetime of proxies that a server hands out.
func (f *hours) served() error {
	if f.Duration <= 0 {
		return usagef("-t is the lifetime of a proxy: give one hour or more, or H:M")
	}
	return nil
}

// warnOfNoLock tells of a passphrase that locks nothing, however it came about.
func warnOfNoLock(c *cobra.Command, passphrase []byte, instead string) {
	if len(passphrase) == 0 {
		fmt.Fprintln(c.ErrOrStderr(), "warning: the passphrase is empty: the server keeps the key in clear, and whom it lets gets proxies without one"+instead)
	}
}

// say writes a line, unless -q asked for silence.
func say(c *cobra.Command, quiet bool, format string, args ...any) {
	if !quiet {
		fmt.Fprintf(c.OutOrStdout(), format+"\n", args...)
	}
}
