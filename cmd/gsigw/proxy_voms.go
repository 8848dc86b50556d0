package main

import (
	"cmp"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gsigw/gsi"
	"gsigw/voms"
)

// serverFlags say how to reach VOMS servers.
type serverFlags struct {
	vomses  []string
	vomsdir string
	timeout int
}

func (f *serverFlags) flags(c *cobra.Command) {
	fs := c.Flags()
	fs.StringArrayVar(&f.vomses, "vomses", nil, "`FILE` with the servers of the VOs, or a directory of such; may be repeated")
	fs.StringVar(&f.vomsdir, "vomsdir", "", "`DIR` of the VOMS servers that are trusted, VO/HOST.lsc")
	fs.IntVar(&f.timeout, "timeout", 30, "`SECONDS` that a server may take")
}

func (f *serverFlags) check() error {
	if f.timeout < 1 {
		return usagef("--timeout is a number of seconds")
	}
	return nil
}

// attributeFlags say which attributes a proxy is to carry.
type attributeFlags struct {
	serverFlags
	voms      []string
	order     []string
	targets   []string
	life      hoursMinutes
	include   string
	includeAC string
	separate  string
}

func (f *attributeFlags) flags(c *cobra.Command) {
	fs := c.Flags()
	fs.StringArrayVar(&f.voms, "voms", nil, "ask the servers of a `VO[:FQAN]` for attributes; may be repeated")
	fs.StringArrayVar(&f.order, "order", nil, "`FQAN` that is to come first; may be repeated")
	fs.StringArrayVar(&f.targets, "target", nil, "`HOST` that alone may use the attributes; may be repeated")
	fs.Var(&f.life, "vomslife", "how long the attributes are valid (default: as the proxy)")
	f.serverFlags.flags(c)
	fs.StringVar(&f.include, "include", "", "include this `FILE` in the proxy")
	fs.StringVar(&f.includeAC, "includeac", "", "include the attribute certificates of this `FILE`, as --separate writes them")
	fs.StringVar(&f.separate, "separate", "", "write the attribute certificates to this `FILE`, and make no proxy")
}

// wishes turns the words of --voms into one request for each VO, in the order of the first word on it.
func (f *attributeFlags) wishes(lifetime time.Duration) ([]voms.Request, error) {
	order, err := parseFQANs(f.order)
	if err != nil {
		return nil, err
	}
	var requests []voms.Request
	for _, word := range f.voms {
		vo, name, hasName := strings.Cut(word, ":")
		if vo == "" || hasName && name == "" {
			return nil, usagef("--voms %s: write VO or VO:FQAN, like testvo:/testvo/Role=admin", word)
		}
		r := requestOf(&requests, vo)
		r.Lifetime, r.Targets = cmp.Or(f.life.Duration, lifetime), f.targets
		if err := ask(r, name); err != nil {
			return nil, err
		}
	}
	for i := range requests {
		requests[i].Order = ofVO(order, requests[i].VO)
	}
	return requests, nil
}

func requestOf(requests *[]voms.Request, vo string) *voms.Request {
	for i := range *requests {
		if (*requests)[i].VO == vo {
			return &(*requests)[i]
		}
	}
	*requests = append(*requests, voms.Request{VO: vo})
	return &(*requests)[len(*requests)-1]
}

// ask adds a name to a request. "all" is voms-proxy-init's word for every attribute of the user's.
func ask(r *voms.Request, name string) error {
	if name == "" {
		return nil
	}
	if strings.EqualFold(name, "all") {
		r.All = true
		return nil
	}
	fqans, err := parseFQANs([]string{name})
	r.FQANs = append(r.FQANs, fqans...)
	return err
}

// ofVO leaves of an order what is about this VO.
func ofVO(order []voms.FQAN, vo string) (own []voms.FQAN) {
	for _, fqan := range order {
		if fqan.VO() == vo {
			own = append(own, fqan)
		}
	}
	return own
}

func parseFQANs(words []string) (fqans []voms.FQAN, err error) {
	for _, w := range words {
		fqan, err := voms.ParseFQAN(w)
		if err != nil {
			return nil, usagef("%s", oneLine(err))
		}
		fqans = append(fqans, fqan)
	}
	return fqans, nil
}

// attributes gets the attribute certificates and makes the extensions of them that the proxy will carry.
func (m *maker) attributes(ctx context.Context, shown *gsi.Credential, wishes []voms.Request, f *attributeFlags) error {
	client := &voms.Client{
		Credential: gsi.Static(shown), Trust: m.trust, Timeout: time.Duration(f.timeout) * time.Second,
	}
	if len(wishes) > 0 {
		client.Servers = voms.FindServers(voms.Search{Paths: f.vomses})
	}
	for _, w := range wishes {
		ac, err := m.contact(ctx, client, w)
		if err != nil {
			return err
		}
		m.acs = append(m.acs, ac)
	}
	if err := m.includeACs(f.includeAC); err != nil {
		return err
	}
	return m.extend(f.include)
}

// contact asks the servers of one VO, with the words of voms-proxy-init.
func (m *maker) contact(ctx context.Context, client *voms.Client, w voms.Request) ([]byte, error) {
	servers, err := client.Servers.For(w.VO)
	if err != nil {
		return nil, err
	}
	say := func(s voms.Server) {
		fmt.Fprintf(m.progress, "Contacting %s [%s] %q", s.Address(), s.DN, s.VO)
	}
	say(servers[0])
	grant, err := client.Request(ctx, w)
	if err != nil {
		fmt.Fprintln(m.progress, " Failed")
		return nil, err
	}
	if grant.Server != servers[0] {
		fmt.Fprintln(m.progress, " Failed")
		say(grant.Server)
	}
	fmt.Fprintln(m.progress, " Done")
	for _, said := range grant.Warnings {
		whose := "the server of %s says: %s"
		if said.Code < 0 { // ours
			whose = "the attributes of %s: %s"
		}
		m.warn(whose, w.VO, said)
	}
	for _, missing := range grant.Missing {
		m.warn("the server of %s has left out %s without a word", w.VO, missing)
	}
	return grant.AC.Raw, nil
}

const acBlock = "ATTRIBUTE CERTIFICATE" // the PEM type that voms-proxy-init has

func (m *maker) includeACs(file string) error {
	if file == "" {
		return nil
	}
	data, err := readBounded(file)
	if err != nil {
		return err
	}
	before := len(m.acs)
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == acBlock {
			m.acs = append(m.acs, block.Bytes)
		}
	}
	if len(m.acs) == before {
		return fmt.Errorf("%s has no attribute certificate in PEM: write one with --separate", file)
	}
	return nil
}

// extend makes the extensions for the proxy.
func (m *maker) extend(include string) error {
	if len(m.acs) > 0 {
		e, err := voms.Extension(m.acs...)
		if err != nil {
			return err
		}
		m.extensions = append(m.extensions, e)
	}
	if include == "" {
		return nil
	}
	content, err := readBounded(include)
	if err != nil {
		return err
	}
	e, err := voms.IncludeFile(content)
	m.extensions = append(m.extensions, e)
	return err
}

func (m *maker) writeSeparate(file string) error {
	if len(m.acs) == 0 {
		return errors.New("there are no attributes to write: ask for some with --voms")
	}
	var out strings.Builder
	for _, ac := range m.acs {
		pem.Encode(&out, &pem.Block{Type: acBlock, Bytes: ac})
	}
	if err := os.WriteFile(file, []byte(out.String()), 0o600); err != nil {
		return err
	}
	fmt.Fprintf(m.progress, "Wrote the attributes to %s\n", file)
	return m.heed()
}
