package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gsigw/gsi"
)

// kindFlags say what kind of proxy to make.
type kindFlags struct {
	valid                hoursMinutes
	bits                 int
	keyType, digest      choice
	rfc, draft, old      bool
	limited, independent bool
	policy, language     string
	pathLength           int
	command              *cobra.Command

	wanted *gsi.Policy // nil: none but what the kind has
}

var digests = map[string]crypto.Hash{"sha256": crypto.SHA256, "sha384": crypto.SHA384, "sha512": crypto.SHA512, "sha1": crypto.SHA1}

func newKindFlags() kindFlags {
	return kindFlags{
		valid:   hoursMinutes{gsi.DefaultLifetime},
		keyType: choice{"rsa", []string{"rsa", "p256"}},
		digest:  choice{"sha256", []string{"sha256", "sha384", "sha512", "sha1"}},
	}
}

func (f *kindFlags) flags(c *cobra.Command) {
	f.command = c
	fs := c.Flags()
	fs.Var(&f.valid, "valid", "how long the proxy is valid")
	fs.Var(wholeHours{&f.valid}, "hours", "the same in hours")
	fs.IntVar(&f.bits, "bits", 0, "`BITS` of the RSA key, 1024 to 8192 (default 2048)")
	fs.Var(&f.keyType, "key-type", "kind of key; stock GT4 and Globus take rsa alone")
	fs.Var(&f.digest, "digest", "what the signature is made over; stock GT4 takes sha1 alone")
	fs.BoolVar(&f.rfc, "rfc", false, "as RFC 3820 has it, which is what happens anyway below a certificate")
	fs.BoolVar(&f.draft, "draft", false, "as the draft that GT3 took")
	fs.BoolVar(&f.old, "old", false, "as GT2 had it")
	fs.BoolVar(&f.limited, "limited", false, "a proxy that may start no jobs")
	fs.BoolVar(&f.independent, "independent", false, "a proxy with an identity of its own")
	fs.StringVar(&f.policy, "policy", "", "`FILE` with the policy of the proxy")
	fs.StringVar(&f.language, "policy-language", "", "`OID` of the language that the policy is in; those of RFC 3820 and of limited proxies need no policy")
	fs.StringVar(&f.language, "pl", "", "the same")
	fs.MarkHidden("pl")
	fs.IntVar(&f.pathLength, "path-length", -1, "`NUMBER` of proxies that may be made below this one (default any)")
	fs.Lookup("path-length").DefValue = "0" // the help should not show -1
	c.MarkFlagsMutuallyExclusive("valid", "hours")
	c.MarkFlagsMutuallyExclusive("rfc", "draft", "old")
	c.MarkFlagsMutuallyExclusive("limited", "independent", "policy")
	c.MarkFlagsMutuallyExclusive("old", "independent")
	c.MarkFlagsMutuallyExclusive("old", "policy")
}

// check refuses what cannot be made whatever it is made of.
func (f *kindFlags) check() error {
	switch {
	case f.valid.Duration == 0:
		return usagef("--valid is no time at all")
	case f.policy != "" && f.language == "":
		return usagef("--policy needs the OID of its language: add --policy-language")
	case f.keyType.word == "p256" && f.bits != 0:
		return usagef("--bits is for RSA keys")
	case f.command.Flags().Changed("bits") && (f.bits < 1024 || f.bits > 8192):
		return usagef("--bits is 1024 to 8192")
	case f.command.Flags().Changed("path-length") && f.pathLength < 0:
		return usagef("--path-length is a number of proxies, 0 or more: leave it out for any number")
	case f.old && f.pathLength >= 0:
		return usagef("--old proxies have no path length")
	case f.language != "" && (f.limited || f.independent || f.old):
		return usagef("--policy-language is for proxies that are not limited, independent or old")
	}
	return f.readLanguage()
}

// readLanguage reads the policy, or finds that its language is one of those that say it all: such a proxy is of the kind
// that another flag makes.
func (f *kindFlags) readLanguage() error {
	oid, err := parseOID(f.language)
	if oid == nil || err != nil {
		return err
	}
	f.wanted = &gsi.Policy{Language: oid}
	if kind := (&gsi.ProxyCertInfo{Policy: *f.wanted}).Type(); !kind.Restricted() {
		if f.policy != "" {
			return usagef("--policy does not go with --policy-language %s, which says it all without a text: leave one out", f.language)
		}
		f.limited, f.independent, f.wanted = kind.Limited(), kind.Independent(), nil
		return nil
	}
	if f.policy == "" {
		return nil
	}
	if f.wanted.Body, err = readBounded(f.policy); err != nil {
		return fmt.Errorf("the file of --policy cannot be used: %w", err)
	}
	return nil
}

// limits turns the flags into what a proxy of this issuer's is made with.
func (f *kindFlags) limits(issuer *gsi.Credential) (gsi.Limits, error) {
	l := gsi.Limits{Now: time.Now(), Lifetime: f.valid.Duration, Digest: digests[f.digest.word], Bits: f.bits}
	if f.keyType.word == "p256" {
		l.KeyType = gsi.P256
	}
	if f.pathLength >= 0 {
		l.PathLen = &f.pathLength
	}
	above, err := gsi.Classify(issuer.Leaf())
	if err != nil {
		return l, err
	}
	l.Policy, l.Type = f.wanted, f.proxyType(above)
	return l, nil
}

// proxyType joins family and kind. Without a word on the kind a limited proxy is followed by a limited one.
func (f *kindFlags) proxyType(above gsi.ProxyType) gsi.ProxyType {
	family := "rfc"
	switch {
	case f.draft:
		family = "draft"
	case f.old:
		family = "legacy"
	case above != gsi.EEC && !f.rfc:
		family = above.Family()
	}
	switch {
	case f.wanted != nil:
		return gsi.ProxyType(family + "/restricted")
	case f.independent:
		return gsi.ProxyType(family + "/independent")
	case f.limited, above.Limited():
		return gsi.ProxyType(family + "/limited")
	}
	return gsi.ProxyType(family)
}

func parseOID(s string) (asn1.ObjectIdentifier, error) {
	if s == "" {
		return nil, nil
	}
	var oid asn1.ObjectIdentifier
	for part := range strings.SplitSeq(s, ".") {
		n, err := strconv.ParseUint(part, 10, 31)
		if err != nil {
			return nil, usagef("--policy-language: %q is no OID: write it like 1.3.6.1.4.1.99999.1", s)
		}
		oid = append(oid, int(n))
	}
	if _, err := asn1.Marshal(oid); err != nil {
		return nil, usagef("--policy-language: %q is no OID: %v", s, err)
	}
	return oid, nil
}

// again says how to make one more proxy like this.
func again(old *gsi.Credential) (gsi.Limits, error) {
	leaf := old.Leaf()
	kind, err := gsi.Classify(leaf)
	if err != nil {
		return gsi.Limits{}, err
	}
	l := gsi.Limits{Now: time.Now(), Type: kind, Lifetime: lifetimeOf(old), Digest: digestOf(leaf)}
	switch key := leaf.PublicKey.(type) {
	case *ecdsa.PublicKey:
		l.KeyType = gsi.P256
	case *rsa.PublicKey:
		l.Bits = min(max(key.N.BitLen(), 1024), 8192)
	}
	info, err := gsi.ProxyCertInfoOf(leaf)
	if err != nil || info == nil {
		return l, err
	}
	l.PathLen = info.PathLen
	if kind.Restricted() {
		l.Policy = &info.Policy
	}
	return l, nil
}

// lifetimeOf is how long a proxy was made for. All of the grid's tools let one begin five minutes back, unless its issuer
// was not valid then.
func lifetimeOf(c *gsi.Credential) time.Duration {
	const backdate = 5 * time.Minute
	leaf := c.Leaf()
	d := leaf.NotAfter.Sub(leaf.NotBefore)
	for _, above := range c.Chain[1:] {
		if !above.NotBefore.Before(leaf.NotBefore) {
			return d
		}
	}
	return max(d-backdate, time.Minute)
}

func digestOf(proxy *x509.Certificate) crypto.Hash {
	switch proxy.SignatureAlgorithm {
	case x509.SHA1WithRSA, x509.ECDSAWithSHA1:
		return crypto.SHA1
	case x509.SHA384WithRSA, x509.ECDSAWithSHA384:
		return crypto.SHA384
	case x509.SHA512WithRSA, x509.ECDSAWithSHA512:
		return crypto.SHA512
	}
	return crypto.SHA256
}
