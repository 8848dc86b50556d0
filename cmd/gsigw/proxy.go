package main

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"gsigw/gsi"
	"gsigw/voms"
)

func proxyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "proxy",
		Short: "Make, look at, verify, renew or destroy a proxy credential",
		Long: `Does what grid-proxy-init, voms-proxy-init and their siblings do, in one program without libraries. Their words with
one dash are taken too: -valid 12:00, -voms testvo, -rfc.`,
		Example: `  gsigw proxy init --voms testvo:/testvo/Role=admin
  gsigw proxy info
  gsigw proxy verify --trust /etc/grid-security/certificates /tmp/x509up_u1000
  gsigw proxy renew --if-less-than 6:00
  gsigw proxy destroy`,
	}
	c.AddCommand(proxyInit(), proxyInfo(), proxyVerify(), proxyRenew(), proxyDestroy())
	return c
}

// proxyFacts is what the proxy commands tell of a credential.
type proxyFacts struct {
	Subject     string        `json:"subject"`
	Issuer      string        `json:"issuer"`
	Identity    string        `json:"identity"` // OpenSSL one-line form
	Type        gsi.ProxyType `json:"type"`
	Limited     bool          `json:"limited"`
	Depth       int           `json:"depth"`    // number of proxy certificates
	Strength    int           `json:"strength"` // bits of the leaf's key
	Path        string        `json:"path"`
	NotAfter    time.Time     `json:"not_after"`
	Timeleft    int64         `json:"timeleft"`     // seconds, 0 when expired
	UsableUntil time.Time     `json:"usable_until"` // the end of the chain, or of its first attributes
	KeyUsage    []string      `json:"key_usage"`
	FQANs       []string      `json:"fqans"` // VOMS groups and roles: claimed, or verified by proxy verify
	VOs         []voFacts     `json:"vos"`
	Problem     string        `json:"problem,omitempty"` // why it cannot be used

	identity *gsi.Identity
	chain    []*x509.Certificate
	at       time.Time
	usable   bool
	believed []voms.FQAN
}

func readProxyFacts(path string, chain []*x509.Certificate, id *gsi.Identity, at time.Time) proxyFacts {
	leaf := chain[0]
	return proxyFacts{
		Subject: gsi.OneLine(leaf.RawSubject), Issuer: gsi.OneLine(leaf.RawIssuer), Identity: gsi.OneLine(speaksFor(chain, id).RawSubject),
		Type: id.Type, Limited: id.Limited, Depth: id.Depth, Strength: bits(leaf), Path: path,
		NotAfter: id.NotAfter.UTC(), Timeleft: secondsLeft(id.NotAfter, at), UsableUntil: id.NotAfter.UTC(),
		KeyUsage: keyUsage(leaf.KeyUsage), FQANs: []string{}, VOs: []voFacts{},
		identity: id, chain: chain, at: at,
	}
}

// speaksFor returns the certificate whose name the holder has: as grid-proxy-info does it takes a proxy with a policy of
// its own for an identity of its own, since nobody knows how much of the user's that policy passes on.
func speaksFor(chain []*x509.Certificate, id *gsi.Identity) *x509.Certificate {
	for _, cert := range chain[:id.Depth] {
		if kind, err := gsi.Classify(cert); err == nil && (kind.Restricted() || kind.Independent()) {
			return cert
		}
	}
	return id.EndEntity
}

// add puts what one VO says of the holder to the facts: its attributes bound the use of the whole.
func (f *proxyFacts) add(vo voFacts) {
	f.VOs = append(f.VOs, vo)
	f.FQANs = append(f.FQANs, vo.FQANs...)
	if vo.NotAfter.Before(f.UsableUntil) {
		f.UsableUntil = vo.NotAfter
	}
}

// firstEnd returns the VO whose attributes end before the proxy does, and first; "" when none does. The moment between
// the clocks of a VOMS server and ours does not count.
func (f *proxyFacts) firstEnd() string {
	for _, vo := range f.VOs {
		if vo.NotAfter.Equal(f.UsableUntil) && f.NotAfter.Sub(vo.NotAfter) > time.Minute {
			return vo.VO
		}
	}
	return ""
}

// secondsLeft counts whole seconds of the clock, as the grid's tools do.
func secondsLeft(end, at time.Time) int64 {
	return int64(max(0, end.Sub(at.Truncate(time.Second))) / time.Second)
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

// longType says a type as grid-proxy-info does: voms-proxy-info's words do not tell a limited proxy from a full one.
func longType(t gsi.ProxyType) string {
	if t == gsi.EEC {
		return "end entity credential"
	}
	family, kind, _ := strings.Cut(string(t), "/")
	switch family {
	case "rfc":
		return "RFC 3820 compliant " + cmp.Or(kind, "impersonation") + " proxy"
	case "draft":
		return "Proxy draft (pre-RFC) compliant " + cmp.Or(kind, "impersonation") + " proxy"
	}
	return cmp.Or(kind, "full") + " legacy globus proxy"
}

// print writes the facts with the labels of voms-proxy-info -all.
func (f proxyFacts) print(w io.Writer) {
	printLabels(w, [][2]string{
		{"subject", f.Subject}, {"issuer", f.Issuer}, {"identity", f.Identity}, {"type", longType(f.Type)},
		{"strength", fmt.Sprintf("%d bits", f.Strength)}, {"path", f.Path},
		{"timeleft", clock(time.Duration(f.Timeleft) * time.Second)}, {"key usage", strings.Join(f.KeyUsage, ", ")},
	})
	for _, vo := range f.VOs {
		if vo.Code == "" {
			vo.print(w, f.at)
		}
	}
	if vo := f.firstEnd(); vo != "" {
		left := time.Duration(secondsLeft(f.UsableUntil, f.at)) * time.Second
		printLabels(w, [][2]string{{"usable", fmt.Sprintf("%s (the attributes of %s end first)", clock(left), vo)}})
	}
}

// printLabels writes one line for each label: a value from a certificate cannot make another, nor speak to the terminal.
func printLabels(w io.Writer, lines [][2]string) {
	for _, line := range lines {
		fmt.Fprintf(w, "%-9s : %s\n", line[0], printable(line[1]))
	}
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '?'
		}
		return r
	}, s)
}
