package gridtest

import (
	"encoding/asn1"
	"fmt"
	"math/big"
	"slices"

	"gsigw/gsi"
	"gsigw/trust"
)

var (
	idUnknownLanguage = asn1.ObjectIdentifier{1, 2, 3, 4, 5}
	aPolicy           = tlv(tagOctets, []byte("a policy"))
)

// policyOf is a ProxyPolicy: language and, maybe, text.
func policyOf(language asn1.ObjectIdentifier, text ...[]byte) []byte {
	return tlv(tagSeq, append([][]byte{derOID(language)}, text...)...)
}

// proxyRows are about what a proxy's policy may be, of the RFC's kind and of the draft's.
func proxyRows() []row {
	var rows []row
	for _, f := range []struct {
		name, good, bad string
		id              asn1.ObjectIdentifier
	}{
		{"RFC", "ok RFC 3820, 3.8", "no RFC 3820, 3.8", gsi.OIDProxyCertInfo},
		{"draft", "", "", gsi.OIDDraftProxyCertInfo},
	} {
		add := func(what, rfc string, code trust.Code, value []byte) {
			r := row{name: "policy/" + f.name + " " + what, rfc: rfc, code: code, make: func(b *bench) *holder {
				return b.anyProxy(b.user(), nil, having(extension(f.id, true, value)))
			}}
			if code != "" {
				r.twin = "policy/" + f.name + " inherit-all"
			}
			rows = append(rows, r)
		}
		add("inherit-all", f.good, "", info(gsi.OIDInheritAll))
		add("limited", f.good, "", info(gsi.OIDLimited))
		add("independent", f.good, "", info(gsi.OIDIndependent))
		add("limited with a text", f.good, "", tlv(tagSeq, policyOf(gsi.OIDLimited, aPolicy)))
		add("limited with an empty text", f.good, "", tlv(tagSeq, policyOf(gsi.OIDLimited, tlv(tagOctets))))
		add("inherit-all with a text", f.bad, trust.PolicyUnknown, tlv(tagSeq, policyOf(gsi.OIDInheritAll, aPolicy)))
		add("inherit-all with an empty text", f.bad, trust.PolicyUnknown,
			tlv(tagSeq, policyOf(gsi.OIDInheritAll, tlv(tagOctets))))
		add("independent with a text", f.bad, trust.PolicyUnknown, tlv(tagSeq, policyOf(gsi.OIDIndependent, aPolicy)))
		add("in an unknown language", f.bad, trust.PolicyUnknown, tlv(tagSeq, policyOf(idUnknownLanguage, aPolicy)))
		add("in an unknown language without a text", f.bad, trust.PolicyUnknown, info(idUnknownLanguage))
		rows = append(rows, row{name: "policy/" + f.name + " in an unknown language further up",
			twin: "policy/" + f.name + " inherit-all",
			rfc:  f.bad, code: trust.PolicyUnknown, make: func(b *bench) *holder {
				above := b.anyProxy(b.user(), nil, having(extension(f.id, true,
					tlv(tagSeq, policyOf(idUnknownLanguage, aPolicy)))))
				return b.anyProxy(above, nil, having(extension(f.id, true, info(gsi.OIDInheritAll))))
			}})
	}
	return rows
}

// infoRows are about the encoding of ProxyCertInfo.
func infoRows() []row {
	all := policyOf(gsi.OIDInheritAll)
	bad := func(what string, code trust.Code, value []byte) row {
		return row{name: "info/" + what, twin: "policy/RFC inherit-all", rfc: "no RFC 3820, 3.8", code: code,
			make: func(b *bench) *holder {
				return b.anyProxy(b.user(), nil, having(extension(gsi.OIDProxyCertInfo, true, value)))
			}}
	}
	draft := func(what, rfc string, code trust.Code, value []byte) row {
		return row{name: "info/draft " + what, twin: twinOf(code, "policy/draft inherit-all"), code: code, rfc: rfc,
			make: func(b *bench) *holder {
				return b.anyProxy(b.user(), nil, having(extension(gsi.OIDDraftProxyCertInfo, true, value)))
			}}
	}
	rows := []row{
		bad("BER, longer length", trust.Malformed, longTLV(tagSeq, all)),
		bad("BER, longer length of the policy", trust.Malformed,
			tlv(tagSeq, longTLV(tagSeq, derOID(gsi.OIDInheritAll)))),
		bad("BER, indefinite length", trust.Malformed, openTLV(tagSeq, all)),
		bad("BER, path length with a zero before it", trust.Malformed, tlv(tagSeq, tlv(tagInt, []byte{0, 5}), all)),
		bad("a byte after it", trust.Malformed, append(info(gsi.OIDInheritAll), 0)),
		bad("a byte less", trust.Malformed, info(gsi.OIDInheritAll)[:10]),
		bad("an element more", trust.Malformed, tlv(tagSeq, all, tlv(tagNull))),
		bad("a policy with an element more", trust.Malformed,
			tlv(tagSeq, policyOf(gsi.OIDInheritAll, aPolicy, aPolicy))),
		bad("empty", trust.Malformed, nil),
		bad("an empty sequence", trust.Malformed, tlv(tagSeq)),
		bad("no policy", trust.Malformed, tlv(tagSeq, derInt(1))),
		bad("no language", trust.Malformed, tlv(tagSeq, tlv(tagSeq, aPolicy))),
		bad("a set", trust.Malformed, tlv(tagSet, all)),
		bad("a policy text that is a UTF8String", trust.Malformed,
			tlv(tagSeq, policyOf(gsi.OIDLimited, tlv(tagUTF8, []byte("x"))))),
		bad("path length after the policy", trust.Malformed, tlv(tagSeq, all, derInt(1))),
		bad("path length in the draft's form", trust.Malformed, tlv(tagSeq, all, tagged(1, derInt(1)))),
		bad("path length a BOOLEAN", trust.Malformed, tlv(tagSeq, tlv(tagBool, []byte{0xff}), all)),
		bad("path length twice", trust.Malformed, tlv(tagSeq, derInt(1), derInt(1), all)),
		bad("path length empty", trust.Malformed, tlv(tagSeq, tlv(tagInt), all)),
		bad("path length negative", trust.Malformed, tlv(tagSeq, derInt(-1), all)),
		bad("path length very negative", trust.Malformed, tlv(tagSeq, derInt(-1<<40), all)),
		draft("with the path length in the RFC's place", "", "", tlv(tagSeq, derInt(1), all)),
		draft("with the path length untagged", "", trust.Malformed, tlv(tagSeq, all, derInt(1))),
		draft("with the path length tagged", "", "", tlv(tagSeq, all, tagged(1, derInt(1)))),
		draft("with a path length of zero", "", "", tlv(tagSeq, all, tagged(1, derInt(0)))),
		draft("with the path length tagged 0", "", trust.Malformed, tlv(tagSeq, all, tagged(0, derInt(1)))),
		draft("with a negative path length", "", "", tlv(tagSeq, all, tagged(1, derInt(-1)))),
		draft("BER", "no RFC 5280, 4.2", trust.Malformed, longTLV(tagSeq, all)),
	}
	for _, n := range []*big.Int{big.NewInt(0), big.NewInt(1), big.NewInt(127), big.NewInt(128), big.NewInt(1<<31 - 1),
		big.NewInt(1 << 31), new(big.Int).Lsh(big.NewInt(1), 70)} {
		value := tlv(tagSeq, Must(asn1.Marshal(n)), all)
		rows = append(rows, row{name: fmt.Sprintf("info/path length %d", n), rfc: "ok RFC 3820, 3.8.1",
			make: func(b *bench) *holder {
				return b.proxy(b.user(), having(extension(gsi.OIDProxyCertInfo, true, value)))
			}})
	}
	return append(rows, placedRows()...)
}

// placedRows are about where the extension is, and how often.
func placedRows() []row {
	pci := extension(gsi.OIDProxyCertInfo, true, info(gsi.OIDInheritAll))
	draft := extension(gsi.OIDDraftProxyCertInfo, true, info(gsi.OIDInheritAll))
	notCritical := pci
	notCritical.Critical = false
	draftNotCritical := draft
	draftNotCritical.Critical = false
	return []row{
		{name: "info/not critical", twin: "policy/RFC inherit-all", rfc: "no RFC 3820, 3.8", code: trust.ProxyExtension,
			make: func(b *bench) *holder { return b.proxy(b.user(), having(notCritical)) }},
		{name: "info/not critical, said outright", twin: "policy/RFC inherit-all", rfc: "no RFC 3820, 3.8",
			code: trust.ProxyExtension,
			make: func(b *bench) *holder { return b.proxy(b.user(), having(notCritical), saidFalse) }},
		{name: "info/draft not critical", twin: "policy/draft inherit-all", code: trust.ProxyExtension,
			make: func(b *bench) *holder { return b.draft(b.user(), having(draftNotCritical)) }},
		{name: "info/twice", twin: "policy/RFC inherit-all", rfc: "no RFC 5280, 4.2", code: Unreadable,
			make: func(b *bench) *holder { return b.proxy(b.user(), twice(pci)) }},
		{name: "info/RFC and draft", twin: "policy/RFC inherit-all", code: trust.Malformed,
			make: func(b *bench) *holder { return b.proxy(b.user(), having(draft)) }},
		{name: "info/RFC and draft, the draft first", twin: "policy/draft inherit-all", code: trust.Malformed,
			make: func(b *bench) *holder { return b.draft(b.user(), having(pci)) }},
		{name: "info/on a certificate that a CA issued", twin: "names/user", rfc: "no RFC 3820, 3.1",
			code: trust.EndEntityIsCA,
			make: func(b *bench) *holder {
				ca := b.ca()
				return b.userOf(ca, having(pci), named(below(ca.subject, cn("4711"))))
			}},
		{name: "info/on a user", twin: "names/user", rfc: "no RFC 3820, 3.4", code: trust.EndEntityIsCA,
			make: func(b *bench) *holder { return b.user(having(pci)) }},
		{name: "info/on a CA", twin: "ca/below another", rfc: "no RFC 3820, 3.7", code: trust.NotCA,
			make: func(b *bench) *holder {
				root := b.own()
				return b.proxy(b.userOf(b.sub(root, subName, having(pci))))
			}},
		{name: "info/missing on one below a proxy", twin: "paths/2 proxies", rfc: "no RFC 5280, 6.1.4",
			code: trust.NotCA,
			make: func(b *bench) *holder { return b.proxy(b.proxy(b.user()), without(gsi.OIDProxyCertInfo)) }},
		{name: "info/missing on one below a user", twin: "names/proxy", rfc: "no RFC 5280, 6.1.4", code: trust.NotCA,
			make: func(b *bench) *holder { return b.proxy(b.user(), without(gsi.OIDProxyCertInfo)) }},
		{name: "info/missing between two proxies", twin: "paths/3 proxies", rfc: "no RFC 5280, 6.1.4",
			code: trust.NotCA,
			make: func(b *bench) *holder { return b.proxy(b.proxy(b.proxy(b.user()), without(gsi.OIDProxyCertInfo))) }},
	}
}

// saidFalse writes out that extensions are not critical, which DER leaves away.
func saidFalse(c *cert) {
	c.raw = func(tbs []byte) []byte {
		plain := Must(asn1.Marshal(c.extensions))
		var said [][]byte
		for _, e := range c.extensions {
			critical := byte(0)
			if e.Critical {
				critical = 0xff
			}
			said = append(said, tlv(tagSeq, derOID(e.Id), tlv(tagBool, []byte{critical}), tlv(tagOctets, e.Value)))
		}
		var whole asn1.RawValue
		Must(asn1.Unmarshal(tbs, &whole))
		body := whole.Bytes[:len(whole.Bytes)-len(tagged(3, plain))]
		return tlv(tagSeq, slices.Clone(body), tagged(3, tlv(tagSeq, said...)))
	}
}

// pathRows are about path lengths, of proxies and of CAs.
func pathRows() []row {
	limit := func(n int64) change {
		return having(extension(gsi.OIDProxyCertInfo, true, tlv(tagSeq, derInt(n), policyOf(gsi.OIDInheritAll))))
	}
	draftLimit := func(n int64) change {
		return having(extension(gsi.OIDDraftProxyCertInfo, true,
			tlv(tagSeq, policyOf(gsi.OIDInheritAll), tagged(1, derInt(n)))))
	}
	bad := func(what, rfc string, make func(*bench) *holder) row {
		return row{name: "paths/" + what, twin: "paths/2 proxies", rfc: rfc, code: trust.PathLength, make: make}
	}
	rows := []row{
		{name: "paths/1 below 1", rfc: "ok RFC 3820, 4.1.4",
			make: func(b *bench) *holder { return b.proxy(b.proxy(b.user(), limit(1))) }},
		{name: "paths/2 below 2", rfc: "ok RFC 3820, 4.1.4",
			make: func(b *bench) *holder { return b.proxy(b.proxy(b.proxy(b.user(), limit(2)))) }},
		{name: "paths/1 below 1, then 0", rfc: "ok RFC 3820, 4.1.4",
			make: func(b *bench) *holder { return b.proxy(b.proxy(b.user(), limit(1)), limit(0)) }},
		{name: "paths/draft, 1 below 1", why: oldProxies,
			make: func(b *bench) *holder { return b.draft(b.draft(b.user(), draftLimit(1))) }},
		bad("1 below 0", "no RFC 3820, 4.1.4", func(b *bench) *holder { return b.proxy(b.proxy(b.user(), limit(0))) }),
		bad("2 below 0", "no RFC 3820, 4.1.4", func(b *bench) *holder {
			return b.proxy(b.proxy(b.proxy(b.user(), limit(0))))
		}),
		bad("2 below 1", "no RFC 3820, 4.1.4", func(b *bench) *holder {
			return b.proxy(b.proxy(b.proxy(b.user(), limit(1))))
		}),
		bad("2 below 1, then 5", "no RFC 3820, 4.1.4", func(b *bench) *holder {
			return b.proxy(b.proxy(b.proxy(b.user(), limit(1)), limit(5)))
		}),
		bad("1 below 5, then 0", "no RFC 3820, 4.1.4", func(b *bench) *holder {
			return b.proxy(b.proxy(b.proxy(b.user(), limit(5)), limit(0)))
		}),
		bad("draft, 1 below -1", "", func(b *bench) *holder { return b.draft(b.draft(b.user(), draftLimit(-1))) }),
		bad("draft, 1 below 0 in the RFC's place", "", func(b *bench) *holder {
			return b.draft(b.draft(b.user(), having(extension(gsi.OIDDraftProxyCertInfo, true,
				tlv(tagSeq, derInt(0), policyOf(gsi.OIDInheritAll))))))
		}),
		bad("draft, 1 below 0", "", func(b *bench) *holder { return b.draft(b.draft(b.user(), draftLimit(0))) }),
		bad("draft, 2 below 1", "", func(b *bench) *holder {
			return b.draft(b.draft(b.draft(b.user(), draftLimit(1))))
		}),
	}
	for _, n := range []int{1, 2, 3, 5, 10, 20} {
		code, why, twin := trust.Code(""), "", ""
		if n > 14 {
			code, why, twin = trust.TooLarge, "a bound on the work, which MaxCertificates moves", "paths/10 proxies"
		}
		rows = append(rows, row{name: fmt.Sprintf("paths/%d proxies", n), twin: twin, rfc: "ok RFC 3820, 4.1.4",
			code: code, why: why,
			make: func(b *bench) *holder {
				h := b.user()
				for range n {
					h = b.proxy(h)
				}
				return h
			}})
	}
	return rows
}
