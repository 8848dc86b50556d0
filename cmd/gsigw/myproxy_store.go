package main

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"gsigw/gsi"
	"gsigw/myproxy"
)

// pairFlags name a certificate and its key; those that proxies are made of by default.
type pairFlags struct{ cert, key string }

func (f *pairFlags) flags(c *cobra.Command, verb string) {
	c.Flags().StringVarP(&f.cert, "certfile", "c", "", "the certificate to "+verb+"; default: ~/.globus/usercert.pem")
	c.Flags().StringVarP(&f.key, "keyfile", "y", "", "its key; default: ~/.globus/userkey.pem")
}

func (f *pairFlags) fill() error {
	home, err := os.UserHomeDir()
	if err != nil && (f.cert == "" || f.key == "") {
		return usagef("this user has no home: name the files with -c and -y")
	}
	if f.cert == "" {
		f.cert = filepath.Join(home, ".globus", "usercert.pem")
	}
	if f.key == "" {
		f.key = filepath.Join(home, ".globus", "userkey.pem")
	}
	return nil
}

type myproxyStoreFlags struct {
	myproxyFlags
	policyFlags
	pairFlags
	lifetime    hours
	description string
}

func myproxyStore() *cobra.Command {
	f := &myproxyStoreFlags{lifetime: inHours(myproxy.DefaultLifetime)}
	c := &cobra.Command{
		Use:   "store",
		Short: "Keep the user's certificate and its locked key at the server, as myproxy-store does",
		Long: `Has the server keep the user's own certificate with its key, from ~/.globus by default. The key goes as it is, locked with
its passphrase, which is then needed to get proxies of it. A key that is not locked is locked first, with a passphrase
that is asked for: no key leaves this machine in clear.`,
		Example: `  gsigw myproxy store -s myproxy.example.org -l jane
  gsigw myproxy store -l jane -k robot -c robotcert.pem -y robotkey.pem -E 'Jane Doe'`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	f.myproxyFlags.flags(c)
	f.passFlag(c)
	f.policyFlags.flags(c)
	f.pairFlags.flags(c, "store")
	fs := c.Flags()
	fs.VarP(&f.lifetime, "proxy-lifetime", "t", "longest lifetime of the proxies that the server hands out, in hours or H:M")
	fs.VarP(policyName{&f.policyFlags, &f.KeyRetrievers}, "retrieve-key", "E", "who may retrieve certificate and key themselves, for the passphrase")
	fs.StringVarP(&f.description, "creddesc", "K", "", "description of the credential")
	return c
}

func (f *myproxyStoreFlags) run(c *cobra.Command) error {
	if err := errors.Join(f.lifetime.served(), f.fill()); err != nil {
		return err
	}
	certs, err := readBounded(f.cert)
	if err != nil {
		return err
	}
	key, err := f.lockedKey()
	if err != nil {
		return err
	}
	caller, err := f.caller()
	if err != nil {
		return err
	}
	account, err := f.account(caller)
	if err != nil {
		return err
	}
	r := myproxy.StoreRequest{Username: account, CredentialName: f.credname, Description: f.description, Policy: f.Policy,
		Lifetime: f.lifetime.Duration, Certificates: certs, Key: key}
	if err := f.ask(gsi.Static(caller), func(client *myproxy.Client) error { return client.Store(c.Context(), r) }); err != nil {
		return err
	}
	say(c, false, "Credentials saved to myproxy server.")
	if chain, err := gsi.ParseCertificates(certs); err == nil {
		say(c, false, "It is kept until: %s; a proxy of it lasts for %s hours at most.", date((&gsi.Credential{Chain: chain}).NotAfter()), &f.lifetime)
	}
	f.policyFlags.say(c)
	return nil
}

// lockedKey reads the key as it lies in its file and, if that is in clear, locks it.
func (f *myproxyStoreFlags) lockedKey() (myproxy.Secret, error) {
	text, err := readBounded(f.key)
	if err != nil {
		return "", err
	}
	block := keyBlock(text)
	if block == nil {
		return "", fmt.Errorf("%s holds no private key in PEM: name the file with -y", f.key)
	}
	if block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "" {
		return myproxy.Secret(pem.EncodeToMemory(block)), nil
	}
	clear, err := gsi.PairFile(f.cert, f.key, gsi.FileOptions{}).Credential(f.command.Context())
	if err != nil {
		return "", err
	}
	pass, err := f.pass.askNew("The key is not locked. Enter a pass phrase to lock it with:")
	if err != nil {
		return "", err
	}
	locked, err := gsi.MarshalEncryptedKey(clear.Key, pass)
	return myproxy.Secret(locked), err
}

func keyBlock(text []byte) *pem.Block {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			return block
		}
	}
	return nil
}

type myproxyRetrieveFlags struct {
	myproxyFlags
	pairFlags
	noPassphrase bool
}

func myproxyRetrieve() *cobra.Command {
	var f myproxyRetrieveFlags
	c := &cobra.Command{
		Use:   "retrieve",
		Short: "Get a stored certificate and its locked key back, as myproxy-retrieve does",
		Long: `Gets back what store kept, certificate and key, and writes each to a file of its own; the key stays locked with its
passphrase, which is needed to get it. Files that are there are not touched: then nothing is asked for.`,
		Example: `  gsigw myproxy retrieve -s myproxy.example.org -l jane
  gsigw myproxy retrieve -l jane -c usercert.pem -y userkey.pem`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	f.myproxyFlags.flags(c)
	f.passFlag(c)
	f.pairFlags.flags(c, "write")
	c.Flags().BoolVarP(&f.noPassphrase, "no-passphrase", "n", false, "ask for no passphrase: the present credential is enough")
	return c
}

func (f *myproxyRetrieveFlags) run(c *cobra.Command) error {
	if err := f.fill(); err != nil {
		return err
	}
	for _, file := range []string{f.cert, f.key} {
		if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is there already, and is not touched: move it away, or name other files with -c and -y", file)
		}
	}
	r, caller, err := f.request()
	if err != nil {
		return err
	}
	var got *myproxy.Retrieved
	err = f.ask(caller, func(client *myproxy.Client) (err error) {
		got, err = client.Retrieve(c.Context(), *r)
		return err
	})
	if err != nil {
		return err
	}
	if err := f.write(got); err != nil {
		return err
	}
	say(c, false, "Credentials for %s have been stored in\n%s and\n%s.", r.Username, f.cert, f.key)
	return nil
}

func (f *myproxyRetrieveFlags) request() (*myproxy.RetrieveRequest, gsi.Source, error) {
	present := f.present()
	account, err := f.account(present)
	if err != nil {
		return nil, nil, err
	}
	r := &myproxy.RetrieveRequest{Username: account, CredentialName: f.credname}
	if !f.noPassphrase {
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

// write makes both files or, as far as can be, none.
func (f *myproxyRetrieveFlags) write(got *myproxy.Retrieved) error {
	key := keyBlock([]byte(got.PEM))
	if key == nil {
		return errors.New("the server sent certificates and no key")
	}
	var certs bytes.Buffer
	for _, cert := range got.Chain {
		pem.Encode(&certs, &pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
	}
	if err := create(f.key, 0o600, pem.EncodeToMemory(key)); err != nil {
		return err
	}
	if err := create(f.cert, 0o644, certs.Bytes()); err != nil {
		return errors.Join(err, os.Remove(f.key))
	}
	return nil
}

// create writes a file that must not be there.
func create(path string, mode fs.FileMode, text []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}
