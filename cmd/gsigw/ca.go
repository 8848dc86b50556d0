package main

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gsigw/internal/config"
	"gsigw/internal/intercept/ca"
)

func caCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "ca",
		Short: "Make and export the local CA that opens CONNECT tunnels",
		Long: `For https targets an engine asks its proxy for a CONNECT tunnel. gsigw opens it with a CA of its own, which the engine
must trust. That CA can speak for the hosts that routes name and for no others: its certificate says so.`,
		Example: `  gsigw ca init --config gsigw.yaml
  gsigw ca export --config gsigw.yaml --format pkcs12 --out gsigw-trust.p12`,
	}
	c.AddCommand(caInit(), caReissue(), caShow(), caExport())
	return c
}

// caPlace says where the CA is and for which hosts it may speak: from a config, or outright.
type caPlace struct {
	file, dir, key string
	hosts          []string
}

func (p *caPlace) flags(c *cobra.Command) {
	c.Flags().StringVar(&p.file, "config", "", "config file with ca.dir and the routes")
	c.Flags().StringVar(&p.dir, "dir", "", "directory of the CA; default: ca.dir of the config")
}

func (p *caPlace) read() error {
	if p.file != "" {
		cfg, err := parseConfig(p.file)
		if err != nil {
			return err
		}
		p.take(cfg)
	}
	if p.dir == "" {
		return usagef("say where the CA is: --dir DIR, or --config FILE with ca.dir in it")
	}
	return nil
}

func (p *caPlace) take(cfg *config.Config) {
	if p.dir == "" {
		p.dir = string(cfg.CA.Dir)
	}
	if p.key == "" {
		p.key = cfg.CA.Key.String()
	}
	if len(p.hosts) > 0 {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Routes)) {
		if t := cfg.Routes[name].Target; t.Scheme == "https" && !slices.Contains(p.hosts, t.Host) {
			p.hosts = append(p.hosts, t.Host)
		}
	}
}

func (p *caPlace) load() (*ca.Authority, error) {
	if err := p.read(); err != nil {
		return nil, err
	}
	return ca.Load(p.dir, time.Now)
}

func caInit() *cobra.Command {
	var p caPlace
	var years int
	c := &cobra.Command{
		Use:   "init",
		Short: "Make the CA",
		Example: `  gsigw ca init --config gsigw.yaml
  gsigw ca init --dir /var/lib/gsigw/ca --host grid.example.org --host data.example.org --key rsa`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := p.read(); err != nil {
				return err
			}
			if len(p.hosts) == 0 {
				return usagef("say for which hosts it may speak: --host NAME, or --config FILE with https routes")
			}
			if _, err := os.Lstat(filepath.Join(p.dir, ca.KeyFile)); err == nil {
				return fmt.Errorf("%s has a CA already, and engines may trust it: for other hosts use gsigw ca reissue; for a new one remove the directory", p.dir)
			}
			a, err := ca.New(ca.Options{Hosts: p.hosts, Key: ca.KeyType(p.key), Years: years})
			if err != nil {
				return err
			}
			return p.saved(c, a)
		},
	}
	p.flags(c)
	c.Flags().StringArrayVar(&p.hosts, "host", nil, "a host that it may speak for; default: those of the config's https routes")
	c.Flags().StringVar(&p.key, "key", "", "ecdsa or rsa; default: ca.key of the config, or ecdsa")
	c.Flags().IntVar(&years, "years", 2, "validity, 1 to 5")
	return c
}

func caReissue() *cobra.Command {
	var p caPlace
	c := &cobra.Command{
		Use:     "reissue",
		Short:   "Make the CA's certificate again for the routes of today, with the same key",
		Example: "  gsigw ca reissue --config gsigw.yaml",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			a, err := p.load()
			if err != nil {
				return err
			}
			if len(p.hosts) == 0 {
				return usagef("say for which hosts it may speak: --host NAME, or --config FILE with https routes")
			}
			if a, err = a.Reissue(p.hosts); err != nil {
				return err
			}
			return p.saved(c, a)
		},
	}
	p.flags(c)
	c.Flags().StringArrayVar(&p.hosts, "host", nil, "a host that it may speak for; default: those of the config's https routes")
	return c
}

func (p *caPlace) saved(c *cobra.Command, a *ca.Authority) error {
	if err := a.Save(p.dir); err != nil {
		return err
	}
	fmt.Fprintf(c.OutOrStdout(), "The CA is in %s and speaks for %s.\nNow let the engine trust it:\n    %s\n",
		p.dir, strings.Join(p.hosts, ", "), ca.KeytoolLine(filepath.Join(p.dir, ca.CertFile), "TRUSTSTORE"))
	return nil
}

type caFacts struct {
	Subject   string    `json:"subject"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	Hosts     []string  `json:"hosts"`
	SHA256    string    `json:"sha256"`
}

func factsOf(a *ca.Authority) caFacts {
	cert := a.Certificate()
	f := caFacts{
		Subject: cert.Subject.String(), NotBefore: cert.NotBefore.UTC(), NotAfter: cert.NotAfter.UTC(),
		SHA256: fmt.Sprintf("%x", sha256.Sum256(cert.Raw)), Hosts: []string{},
	}
	for _, h := range cert.PermittedDNSDomains {
		if h != "invalid" { // stands for "no name" where the CA may speak for addresses only
			f.Hosts = append(f.Hosts, h)
		}
	}
	for _, ip := range cert.PermittedIPRanges {
		f.Hosts = append(f.Hosts, ip.IP.String())
	}
	return f
}

func caShow() *cobra.Command {
	var p caPlace
	var asJSON bool
	c := &cobra.Command{
		Use:     "show",
		Short:   "Say what the CA is and for whom it may speak",
		Example: "  gsigw ca show --dir /var/lib/gsigw/ca --json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			a, err := p.load()
			if err != nil {
				return err
			}
			f := factsOf(a)
			if asJSON {
				return printJSON(c.OutOrStdout(), f)
			}
			fmt.Fprintf(c.OutOrStdout(), "subject   : %s\nuntil     : %s\nhosts     : %s\nsha256    : %s\n",
				f.Subject, f.NotAfter.Format(time.RFC3339), strings.Join(f.Hosts, ", "), f.SHA256)
			return nil
		},
	}
	p.flags(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func caExport() *cobra.Command {
	var p caPlace
	var out, password string
	format := choice{"pem", []string{"pem", "pkcs12"}}
	c := &cobra.Command{
		Use:   "export",
		Short: "Write the CA's certificate for an engine's truststore",
		Long: `Writes the CA's certificate, never its key: PEM, or a PKCS#12 truststore for -Djavax.net.ssl.trustStore. The password
of such a truststore guards nothing, for the certificate is public; Java wants one.`,
		Example: `  gsigw ca export --dir /var/lib/gsigw/ca > gsigw-ca.pem
  gsigw ca export --config gsigw.yaml --format pkcs12 --out gsigw-trust.p12
  java -Djavax.net.ssl.trustStore=gsigw-trust.p12 -Djavax.net.ssl.trustStoreType=PKCS12 \
       -Djavax.net.ssl.trustStorePassword=changeit ...`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			a, err := p.load()
			if err != nil {
				return err
			}
			text := a.PEM()
			if format.word == "pkcs12" {
				if text, err = a.TrustStore(password); err != nil {
					return err
				}
			}
			if out == "" {
				_, err = c.OutOrStdout().Write(text)
				return err
			}
			return os.WriteFile(out, text, 0o644)
		},
	}
	p.flags(c)
	c.Flags().Var(&format, "format", "form of the certificate")
	c.Flags().StringVar(&out, "out", "", "file to write; default: standard output")
	c.Flags().StringVar(&password, "password", "changeit", "password of the truststore")
	return c
}
