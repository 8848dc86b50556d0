package config

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"gsigw/internal/policy"
)

// check looks at what the keys mean together, and fills in the defaults that depend on other keys.
func (d *document) check(c *Config) {
	d.callers(c)
	d.listeners(c)
	for _, name := range sorted(c.Credentials) {
		d.credential("credentials."+name, c.Credentials[name])
	}
	for _, name := range sorted(c.Routes) {
		d.route(c, name)
	}
	d.policy(c)
}

// callers gives the config its caller where it names none, and checks that each can be told from the others.
func (d *document) callers(c *Config) {
	if len(c.Callers) == 0 {
		c.Callers = map[string]Caller{"self": {UID: &UID{Self: true}}}
	}
	seen := map[string]string{}
	for _, name := range sorted(c.Callers) {
		caller, at := c.Callers[name], "callers."+name
		if caller.Credential == "" && len(c.Credentials) == 1 {
			caller.Credential = sorted(c.Credentials)[0]
			c.Callers[name] = caller
		}
		known(d, at+".credential", "credentials", caller.Credential, c.Credentials)
		signs := caller.signs()
		if len(signs) != 1 {
			d.wrong(at, fmt.Sprintf("a caller is recognised by one sign, not %d", len(signs)),
				"give one of uid, secret-file and client-cert")
			continue
		}
		if other := seen[signs[0]]; other != "" {
			d.wrong(at, "it cannot be told from caller "+other, "give each its own uid, secret or certificate")
		}
		seen[signs[0]] = name
		if caller.ClientCert != "" && c.Listen.TLS.Cert == "" && c.Reverse.TLS.Cert == "" {
			d.wrong(at+".client-cert", "no listener has TLS, so nobody can show a certificate", "give listen.tls or reverse.tls")
		}
	}
}

// signs are the ways in which a caller is recognised.
func (c Caller) signs() (list []string) {
	if c.UID != nil {
		list = append(list, fmt.Sprint("uid ", c.UID.Resolve()))
	}
	if c.SecretFile != "" {
		list = append(list, "secret "+string(c.SecretFile))
	}
	if c.ClientCert != "" {
		list = append(list, "cert "+string(c.ClientCert))
	}
	return list
}

func (d *document) listeners(c *Config) {
	if c.Listen.Proxy.IsZero() && c.Reverse.Listen.IsZero() {
		d.wrong("listen", "the gateway would listen nowhere", "give listen.proxy or reverse.listen")
	}
	d.listener(c, "listen.proxy", c.Listen.Proxy, "listen.tls", c.Listen.TLS)
	d.listener(c, "reverse.listen", c.Reverse.Listen, "reverse.tls", c.Reverse.TLS)
	if !c.Listen.Admin.IsZero() && !c.Listen.Admin.Local() {
		d.wrong("listen.admin", "it can be reached from other machines and asks nobody who they are",
			"use a loopback address or a unix socket")
	}
	if c.Reverse.Listen.IsZero() != (len(c.Reverse.Paths) == 0) {
		d.wrong("reverse", "listen and paths need each other", "give both, or neither")
	}
	d.distinct(c)
}

// listener wants TLS and callers that can be told apart on an address that other machines reach.
func (d *document) listener(c *Config, key string, a Address, tlsKey string, t TLS) {
	if (t.Cert == "") != (t.Key == "") {
		d.wrong(tlsKey, "cert and key need each other", "give both")
	}
	if a.IsZero() || a.Local() {
		return
	}
	if t.Cert == "" {
		d.wrong(key, "it can be reached from other machines without TLS", "use a loopback address, or give "+tlsKey)
	}
	if !slices.ContainsFunc(slices.Collect(maps.Values(c.Callers)), func(c Caller) bool { return c.UID == nil }) {
		d.wrong(key, "it can be reached from other machines, where a uid proves nothing",
			"use a loopback address, or a caller with secret-file or client-cert")
	}
}

func (d *document) distinct(c *Config) {
	seen := map[Address]string{}
	for _, l := range []struct {
		key  string
		addr Address
	}{{"listen.proxy", c.Listen.Proxy}, {"listen.admin", c.Listen.Admin}, {"reverse.listen", c.Reverse.Listen}} {
		if l.addr.IsZero() || strings.HasSuffix(l.addr.Addr, ":0") {
			continue
		}
		if other := seen[l.addr]; other != "" {
			d.wrong(l.key, "it is the same address as "+other, "give each listener its own")
		}
		seen[l.addr] = l.key
	}
}

func (d *document) credential(at string, c Credential) {
	kinds := 0
	for _, is := range []bool{c.Proxy != "", c.Cert != "" || c.Key != "", c.PKCS12 != "", c.Discover} {
		if is {
			kinds++
		}
	}
	if kinds != 1 {
		d.wrong(at, fmt.Sprintf("a credential has one source, not %d", kinds),
			"give one of proxy, cert with key, pkcs12 and discover: true")
		return
	}
	if (c.Cert == "") != (c.Key == "") {
		d.wrong(at, "cert and key need each other", "give both")
	}
	switch {
	case c.PKCS12 != "" && c.PassphraseFile == "":
		d.wrong(at+".pkcs12", "a PKCS#12 file has a passphrase", "give passphrase-file; its first line may be empty")
	case c.PKCS12 == "" && c.PassphraseFile != "":
		d.wrong(at+".passphrase-file", "only pkcs12 has a passphrase here: encrypted PEM keys are not read",
			"remove it; put certificate and key into a PKCS#12 file, or make a proxy")
	}
}

func (d *document) route(c *Config, name string) {
	r, at := c.Routes[name], "routes."+name
	if r.Message == nil && r.Transport == nil {
		d.wrong(at, "it does not say how it is secured",
			"give message: gsi-message or another profile, or transport: gsi-transport; message: none if plain is meant")
	}
	known(d, at+".credential", "credentials", r.Credential, c.Credentials)
	for i, caller := range r.Callers {
		known(d, fmt.Sprintf("%s.callers[%d]", at, i), "callers", caller, c.Callers)
	}
	if isLoopback(r.Target.Host) && !r.Loopback {
		d.wrong(at+".target", "it is a loopback address", "add loopback: true if it is meant")
	}
	full := c.route(name)
	d.profile(at, r, full)
	if full.Secured() && r.Credential == "" {
		d.needsCredential(c, name, full)
	}
}

// needsCredential checks that whoever may use a secured route has a credential to use on it.
func (d *document) needsCredential(c *Config, name string, r policy.Route) {
	for _, caller := range sorted(c.Callers) {
		if c.Callers[caller].Credential == "" && (len(r.Callers) == 0 || slices.Contains(r.Callers, caller)) {
			d.wrong("routes."+name, "caller "+caller+" may use it and has no credential",
				"give callers."+caller+".credential, or credential here")
		}
	}
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && ip.IsLoopback()
}

// policy reports what the routes and listen paths get wrong together.
func (d *document) policy(c *Config) {
	_, err := c.Policy()
	var joined interface{ Unwrap() []error }
	if !errors.As(err, &joined) {
		return
	}
	for _, err := range joined.Unwrap() {
		var re *policy.RouteError
		if !errors.As(err, &re) {
			d.wrong("routes", err.Error(), "")
			continue
		}
		key := "routes." + re.Route + "." + re.Field
		if re.Field == "paths" {
			key = "reverse.paths"
		}
		if !slices.ContainsFunc(d.problems, func(p Problem) bool { return p.Key == key }) { // once is enough
			d.wrong(key, plain(errors.New(re.Text)).Error(), "")
		}
	}
}

// known checks that a name, if there is one, is a key of the map.
func known[V any](d *document, at, what, name string, in map[string]V) {
	if _, ok := in[name]; ok || name == "" {
		return
	}
	remedy := "there are none yet: add it under " + what
	if len(in) > 0 {
		remedy = "there is " + strings.Join(sorted(in), ", ")
	}
	d.wrong(at, fmt.Sprintf("%q is not among the %s", name, what), remedy)
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
