package main

import (
	"bufio"
	"errors"

	"github.com/spf13/cobra"

	"gsigw/soap"
	"gsigw/wssec"
)

type signFlags struct {
	credential    credentialFile
	digest, token choice
}

func signCommand() *cobra.Command {
	f := signFlags{
		digest: choice{"sha256", []string{"sha1", "sha256"}},
		token:  choice{"auto", []string{"auto", "pkipath", "x509v3"}},
	}
	c := &cobra.Command{
		Use:   "sign --credential FILE < in > out",
		Short: "Sign a SOAP message as GSI Secure Message does",
		Long: `Signs the SOAP message on standard input: Body, a new Timestamp and every header block, in the form that GT4 writes.
Nothing else of the message changes; addressing headers are not added, so give it those that the service wants.`,
		Example: `  gsigw sign --credential /tmp/x509up_u1000 < request.xml > signed.xml
  gsigw sign --credential proxy.pem --digest sha1 < request.xml | curl --data-binary @- -H 'Content-Type: text/xml' URL
  gsigw sign --credential usercert.pem --key userkey.pem --token x509v3 < request.xml
  gsigw sign --credential usercred.p12 --passphrase-file passphrase < request.xml`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return sign(c, f) },
	}
	c.Flags().StringVar(&f.credential.path, "credential", "", "proxy file, or certificate and key in one PEM file, mode 0600; or PKCS#12")
	c.Flags().StringVar(&f.credential.key, "key", "", "the private key where --credential holds certificates alone")
	f.credential.passphraseFlag(c)
	c.Flags().Var(&f.digest, "digest", "hash of digests and signature; stock GT4 has certificates with sha1, takes both in messages")
	c.Flags().Var(&f.token, "token", "form of the certificates; auto: pkipath for a proxy, x509v3 for an end entity")
	c.MarkFlagRequired("credential")
	c.MarkFlagsMutuallyExclusive("key", "passphrase-file")
	return c
}

func sign(c *cobra.Command, f signFlags) error {
	profile := wssec.GSIMessage{Unanswered: true}
	var digestErr, tokenErr error
	profile.Digest, digestErr = wssec.ParseDigest(f.digest.word)
	profile.Token, tokenErr = wssec.ParseToken(f.token.word)
	if err := errors.Join(digestErr, tokenErr); err != nil {
		return err
	}
	cred, err := f.credential.source().Credential(c.Context())
	if err != nil {
		return f.credential.explain(err)
	}
	src, err := stdin(c)
	if err != nil {
		return err
	}
	m, err := soap.Read(src, soap.Limits{})
	if err != nil {
		return placed(src, err)
	}
	signed, _, err := profile.Secure(c.Context(), m, cred)
	if err != nil {
		return placed(src, err)
	}
	return writeMessage(c, signed)
}

func writeMessage(c *cobra.Command, e *soap.Edit) error {
	out := bufio.NewWriter(c.OutOrStdout())
	if _, err := e.WriteTo(out); err != nil {
		return err
	}
	return out.Flush()
}
