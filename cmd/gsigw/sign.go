package main

import (
	"bufio"

	"github.com/spf13/cobra"

	"gsigw/gsi"
	"gsigw/soap"
)

type signFlags struct {
	credential credentialFile
	input      input
	*profileFlags
}

func signCommand() *cobra.Command {
	f := &signFlags{profileFlags: newProfileFlags()}
	c := &cobra.Command{
		Use:   "sign --credential FILE < in > out",
		Short: "Sign or encrypt a SOAP message, as GSI Secure Message or WS-Security",
		Long: `Signs the SOAP message on standard input: Body, a new Timestamp and every header block, in the form that GT4 writes, or
with --profile as services of other kinds want it. With --encrypt-to the content of Body is encrypted, too. Nothing else
of the message changes; addressing headers are not added, so give it those that the service wants.

The profiles wss-username and saml with --confirmation bearer sign nothing: send what comes out over TLS only.`,
		Example: `  gsigw sign --credential /tmp/x509up_u1000 < request.xml > signed.xml
  gsigw sign --credential proxy.pem --digest sha1 < request.xml | curl --data-binary @- -H 'Content-Type: text/xml' URL
  gsigw sign --credential usercert.pem --key userkey.pem --token x509v3 < request.xml
  gsigw sign --credential usercred.p12 --passphrase-file passphrase < request.xml
  gsigw sign --credential proxy.pem --encrypt-to hostcert.pem --cipher aes128-cbc --key-transport rsa-1_5 < request.xml
  gsigw sign --profile wss-x509 --credential proxy.pem --encrypt-to hostcert.pem < request.xml
  gsigw sign --profile wss-username --username alice --password-file password < request.xml
  gsigw sign --profile saml --credential proxy.pem --assertion assertion.xml --trust certificates < request.xml`,
		Args: onStdin,
		RunE: func(c *cobra.Command, _ []string) error { return sign(c, f) },
	}
	c.Flags().StringVar(&f.credential.path, "credential", "", "proxy file, or certificate and key in one PEM file, mode 0600; or PKCS#12")
	c.Flags().StringVar(&f.credential.key, "key", "", "the private key where --credential holds certificates alone")
	f.credential.passphraseFlag(c)
	f.profileFlags.flags(c)
	f.input.flag(c)
	c.MarkFlagsMutuallyExclusive("key", "passphrase-file")
	return c
}

func sign(c *cobra.Command, f *signFlags) error {
	hasCredential := f.credential.path != ""
	if err := f.check(hasCredential); err != nil {
		return err
	}
	profile, err := f.make(c, hasCredential)
	if err != nil {
		return err
	}
	var cred *gsi.Credential
	if hasCredential {
		if cred, err = f.credential.source().Credential(c.Context()); err != nil {
			return atFlag("credential", f.credential.explain(err), "")
		}
	}
	in, err := f.input.read(c)
	if err != nil {
		return err
	}
	defer in.Close()
	src := in.Source()
	m, err := soap.Read(src, f.input.limits())
	if err != nil {
		return placed(src, err)
	}
	if err := f.hidesHeaders(m); err != nil {
		return err
	}
	signed, _, err := profile.Secure(c.Context(), m, cred)
	if err != nil {
		return placed(src, err)
	}
	return writeMessage(c, signed)
}

func writeMessage(c *cobra.Command, e *soap.Edit) error {
	out := bufio.NewWriterSize(c.OutOrStdout(), 64<<10)
	if _, err := e.WriteTo(out); err != nil {
		return err
	}
	return out.Flush()
}
