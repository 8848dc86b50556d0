package main

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gsigw/gsi"
	"gsigw/trust"
)

func proxyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "proxy",
		Short: "Look at a proxy credential, or verify one",
		Example: `  gsigw proxy info
  gsigw proxy verify --trust /etc/grid-security/certificates /tmp/x509up_u1000`,
	}
	c.AddCommand(proxyInfo(), proxyVerify())
	return c
}

// proxyFacts is what proxy info and proxy verify tell.
type proxyFacts struct {
	Subject  string        `json:"subject"`
	Issuer   string        `json:"issuer"`
	Identity string        `json:"identity"` // OpenSSL one-line form
	Type     gsi.ProxyType `json:"type"`
	Limited  bool          `json:"limited"`
	Depth    int           `json:"depth"`    // number of proxy certificates
	Strength int           `json:"strength"` // bits of the leaf's key
	Path     string        `json:"path"`
	NotAfter time.Time     `json:"not_after"`
	Timeleft int64         `json:"timeleft"` // seconds, 0 when expired
	KeyUsage []string      `json:"key_usage"`
	FQANs    []string      `json:"fqans"`             // VOMS groups and roles
	Problem  string        `json:"problem,omitempty"` // why it cannot be used
}

func readProxyFacts(path string, chain []*x509.Certificate, id *gsi.Identity, at time.Time) proxyFacts {
	leaf := chain[0]
	return proxyFacts{
		Subject: gsi.OneLine(leaf.RawSubject), Issuer: gsi.OneLine(leaf.RawIssuer), Identity: id.DN,
		Type: id.Type, Limited: id.Limited, Depth: id.Depth, Strength: bits(leaf), Path: path,
		NotAfter: id.NotAfter.UTC(), Timeleft: int64(max(0, id.NotAfter.Sub(at)) / time.Second),
		KeyUsage: keyUsage(leaf.KeyUsage), FQANs: []string{},
	}
}

func bits(cert *x509.Certificate) int {
	switch key := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		return key.N.BitLen()
	case *ecdsa.PublicKey:
		return key.Params().BitSize
	}
	return 0
}

// keyUsage names the bits as OpenSSL and voms-proxy-info do.
func keyUsage(u x509.KeyUsage) []string {
	words := []string{"Digital Signature", "Non Repudiation", "Key Encipherment", "Data Encipherment", "Key Agreement",
		"Certificate Sign", "CRL Sign", "Encipher Only", "Decipher Only"}
	list := []string{}
	for i, w := range words {
		if u&(1<<i) != 0 {
			list = append(list, w)
		}
	}
	return list
}

// longType says a type as voms-proxy-info does.
func longType(t gsi.ProxyType) string {
	if t == gsi.EEC {
		return "end entity certificate"
	}
	family, kind, _ := strings.Cut(string(t), "/")
	switch family {
	case "rfc":
		return "RFC3820 compliant " + cmp.Or(kind, "impersonation") + " proxy"
	case "draft":
		return "Proxy draft (pre-RFC) compliant " + cmp.Or(kind, "impersonation") + " proxy"
	}
	return cmp.Or(kind, "full") + " legacy globus proxy"
}

func (f proxyFacts) print(c *cobra.Command) {
	left := time.Duration(f.Timeleft) * time.Second
	for _, line := range [][2]string{
		{"subject", f.Subject}, {"issuer", f.Issuer}, {"identity", f.Identity}, {"type", longType(f.Type)},
		{"strength", fmt.Sprint(f.Strength)}, {"path", f.Path},
		{"timeleft", fmt.Sprintf("%d:%02d:%02d", int(left.Hours()), int(left.Minutes())%60, int(left.Seconds())%60)},
		{"key usage", strings.Join(f.KeyUsage, ", ")},
	} {
		fmt.Fprintf(c.OutOrStdout(), "%-9s : %s\n", line[0], line[1])
	}
}

func proxyInfo() *cobra.Command {
	var file credentialFile
	var asJSON bool
	c := &cobra.Command{
		Use:   "info [FILE]",
		Short: "Say what is in a proxy file, with the labels of voms-proxy-info",
		Long: `Says what is in a proxy file. Without FILE it looks where grid tools do: X509_USER_PROXY, then X509_USER_CERT and
X509_USER_KEY, then /tmp/x509up_u<uid>, then ~/.globus. It believes what the file says: to have it verified use proxy
verify. A credential that cannot be used, for being expired or open to others, is shown with a warning.`,
		Example: `  gsigw proxy info
  gsigw proxy info --json /tmp/x509up_u1000
  gsigw proxy info --passphrase-file passphrase usercred.p12`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				file.path = args[0]
			} else if file.passphrase != "" {
				return usagef("--passphrase-file is for a PKCS#12 file: name it")
			}
			f, err := lookAtProxy(c, file)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), f)
			}
			f.print(c)
			if f.Problem != "" {
				fmt.Fprintln(c.ErrOrStderr(), "warning: "+f.Problem)
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	file.passphraseFlag(c)
	return c
}

func lookAtProxy(c *cobra.Command, file credentialFile) (proxyFacts, error) {
	source := file.source()
	if file.path == "" {
		var err error
		if source, err = gsi.Discover(gsi.FileOptions{}); err != nil {
			return proxyFacts{}, err
		}
		file.path = source.String()
	}
	cred, problem := source.Credential(c.Context())
	if problem != nil {
		chain, err := file.chain()
		if err != nil {
			return proxyFacts{}, file.explain(problem)
		}
		cred = &gsi.Credential{Chain: chain}
	}
	id, err := cred.Identity()
	if err != nil {
		return proxyFacts{}, err
	}
	f := readProxyFacts(file.path, cred.Chain, id, time.Now())
	if problem != nil {
		f.Problem = strings.TrimPrefix(problem.Error(), "gsi: ")
	}
	return f, nil
}

func proxyVerify() *cobra.Command {
	var file credentialFile
	var dir, vomsdir string
	var at timeFlag
	var asJSON bool
	var legacy legacyFlags
	c := &cobra.Command{
		Use:   "verify --trust DIR FILE",
		Short: "Verify a proxy's chain against a grid trust directory",
		Long: `Walks the chain from its CA in the trust directory down to the proxy: signatures, dates, signing policies, revocation
lists and the rules of RFC 3820. The exit code is 0 for a chain that holds and 1 for one that does not; then one line on
stderr says why: reason=CODE: words.`,
		Example: `  gsigw proxy verify --trust /etc/grid-security/certificates /tmp/x509up_u1000
  gsigw proxy verify --trust ./certificates --at 2026-11-21T18:49:52Z --json proxy.pem`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if vomsdir != "" {
				return usagef("--vomsdir comes with a later release: VOMS attributes come with the issue on credentials")
			}
			file.path = args[0]
			f, err := verifyProxy(c, file, dir, at.now(), legacy)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), f)
			}
			f.print(c)
			return nil
		},
	}
	c.Flags().StringVar(&dir, "trust", "", "grid trust directory")
	c.Flags().StringVar(&vomsdir, "vomsdir", "", "comes with a later release")
	c.Flags().Var(&at, "at", "verify as of this time (RFC 3339); default: now")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	file.passphraseFlag(c)
	legacy.flags(c)
	c.MarkFlagRequired("trust")
	return c
}

// legacyFlags let in what only old grids need.
type legacyFlags struct {
	md5  bool
	bits int
}

func (l *legacyFlags) flags(c *cobra.Command) {
	c.Flags().BoolVar(&l.md5, "legacy-md5", false, "unsafe: believe MD5 signatures")
	c.Flags().IntVar(&l.bits, "rsa-min-bits", 1024, "the smallest RSA key believed: 1024, or unsafely 512")
}

func (l *legacyFlags) options() (trust.Options, error) {
	if l.bits != 512 && l.bits != 1024 {
		return trust.Options{}, usagef("--rsa-min-bits is 1024 or 512")
	}
	return trust.Options{AllowMD5: l.md5, AllowRSA512: l.bits == 512}, nil
}

// openTrust opens a trust directory and names the files in it that cannot be used.
func openTrust(c *cobra.Command, dir string, l legacyFlags) (*trust.Store, error) {
	o, err := l.options()
	if err != nil {
		return nil, err
	}
	store, err := trust.Open(dir, o)
	if err != nil {
		return nil, err
	}
	for _, p := range store.Problems() {
		fmt.Fprintf(c.ErrOrStderr(), "warning: %s in the trust directory: %v\n", p.File, p.Err)
	}
	return store, nil
}

func verifyProxy(c *cobra.Command, file credentialFile, dir string, at time.Time, l legacyFlags) (proxyFacts, error) {
	store, err := openTrust(c, dir, l)
	if err != nil {
		return proxyFacts{}, err
	}
	chain, err := file.chain()
	if err != nil {
		return proxyFacts{}, err
	}
	id, err := store.Verify(chain, at)
	if refusal, ok := errors.AsType[*trust.Error](err); ok {
		fmt.Fprintf(c.ErrOrStderr(), "reason=%s: %s\n", string(refusal.Code), strings.TrimPrefix(refusal.Error(), "trust: "))
		return proxyFacts{}, errSaid
	}
	if err != nil {
		return proxyFacts{}, err
	}
	return readProxyFacts(file.path, chain, id, at), nil
}
