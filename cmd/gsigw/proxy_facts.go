package main

import (
	"fmt"
	"strings"

	"gsigw/gsi"
	"gsigw/voms"
)

// facts are what proxy info prints alone, each under the name that grid-proxy-info or voms-proxy-info has for it.
var facts = []struct {
	name, short, what string
	of                func(proxyFacts) []string
}{
	{"subject", "s", "the subject", func(p proxyFacts) []string { return []string{p.Subject} }},
	{"issuer", "i", "the issuer", func(p proxyFacts) []string { return []string{p.Issuer} }},
	{"identity", "", "in whose name it speaks", func(p proxyFacts) []string { return []string{p.Identity} }},
	{"type", "", "the type", func(p proxyFacts) []string { return []string{longType(p.Type)} }},
	{"strength", "", "the bits of the key", func(p proxyFacts) []string { return []string{fmt.Sprint(p.Strength)} }},
	{"path", "", "the file", func(p proxyFacts) []string { return []string{p.Path} }},
	{"timeleft", "", "the seconds until it expires", func(p proxyFacts) []string { return []string{fmt.Sprint(p.Timeleft)} }},
	{"keyusage", "", "what the key is for", func(p proxyFacts) []string { return p.KeyUsage }},
	{"vo", "", "the VOs", ofEach(func(vo voFacts) []string { return []string{vo.VO} })},
	{"fqan", "", "the groups and roles", ofEach(func(vo voFacts) []string { return vo.FQANs })},
	{"acsubject", "", "the holders of the attributes", ofEach(func(vo voFacts) []string { return []string{vo.Holder} })},
	{"acissuer", "", "the issuers of the attributes", ofEach(func(vo voFacts) []string { return []string{vo.Issuer} })},
	{"serial", "", "the serial numbers of the attributes", ofEach(func(vo voFacts) []string { return []string{vo.Serial} })},
	{"uri", "", "the servers of the VOs", ofEach(func(vo voFacts) []string { return []string{vo.URI} })},
	{"included", "", "the file that is included", func(p proxyFacts) []string { return lines(voms.IncludedFile(p.chain)) }},
	{"actimeleft", "", "the seconds until the attributes end", acTimeleft},
}

// ofEach prints a fact of each VO.
func ofEach(of func(voFacts) []string) func(proxyFacts) []string {
	return func(p proxyFacts) (all []string) {
		for _, vo := range p.VOs {
			all = append(all, of(vo)...)
		}
		return all
	}
}

func acTimeleft(p proxyFacts) (all []string) {
	for _, vo := range p.VOs {
		all = append(all, fmt.Sprint(secondsLeft(vo.NotAfter, p.at)))
	}
	return all
}

// inRFC2253 turns the names of the proxy to the form of RFC 2253.
func (f *proxyFacts) inRFC2253() {
	for _, name := range []struct {
		to  *string
		der []byte
	}{
		{&f.Subject, f.identity.Leaf.RawSubject}, {&f.Issuer, f.identity.Leaf.RawIssuer}, {&f.Identity, speaksFor(f.chain, f.identity).RawSubject},
	} {
		if parsed, err := gsi.ParseName(name.der); err == nil {
			*name.to = parsed.RFC2253()
		}
	}
}

func lines(text []byte) []string {
	if len(text) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}
