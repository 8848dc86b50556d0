package gridtest

import (
	"encoding/asn1"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"unicode/utf16"

	"gsigw/gsi"
	"gsigw/trust"
)

const rfcNames = "ok RFC 5280, 7.1"

// nameRows are about the structure of names.
func nameRows() []row {
	rows := []row{
		{name: "names/user", rfc: "ok RFC 5280, 6.1", make: func(b *bench) *holder { return b.user() }},
		{name: "names/proxy", rfc: "ok RFC 3820, 3.4", make: func(b *bench) *holder { return b.proxy(b.user()) }},
	}
	for what, name := range map[string][]byte{
		"email":               in(attr{oidCN, tagUTF8, "Jane"}, attr{oidEmail, tagIA5, "jane@example.org"}),
		"email as UTF8String": in(attr{oidCN, tagUTF8, "Jane"}, attr{oidEmail, tagUTF8, "jane@example.org"}),
		"UID":                 in(attr{oidUID, tagUTF8, "jane"}, attr{oidCN, tagUTF8, "Jane"}),
		"DC":                  in(attr{oidDC, tagIA5, "example"}, attr{oidCN, tagUTF8, "Jane"}),
		"unknown attribute": in(attr{asn1.ObjectIdentifier{1, 2, 3, 4, 5}, tagUTF8, "x"},
			attr{oidCN, tagUTF8, "Jane"}),
		"two CNs":                    in(attr{oidCN, tagUTF8, "Jane"}, attr{oidCN, tagUTF8, "12345"}),
		"no CN":                      in(attr{oidOU, tagUTF8, "robots"}),
		"service":                    in(attr{oidCN, tagUTF8, "host/grid.example.org"}),
		"empty CN":                   in(attr{oidCN, tagUTF8, ""}),
		"slash and equals":           in(attr{oidCN, tagUTF8, "x/CN=root"}),
		"plus, comma and semicolon":  in(attr{oidCN, tagUTF8, "a+b, c; d"}),
		"quotes and backslash":       in(attr{oidCN, tagUTF8, `"Jane" \ 'D' <x>`}),
		"backslash x":                in(attr{oidCN, tagUTF8, `\x2F`}),
		"leading and trailing space": in(attr{oidCN, tagUTF8, " Jane "}),
		"hash first":                 in(attr{oidCN, tagUTF8, "#Jane"}),
		"accents":                    in(attr{oidCN, tagUTF8, "José Müller"}),
		"long CN":                    in(attr{oidCN, tagUTF8, strings.Repeat("long ", 40) + "name"}),
		"digits in CN":               in(attr{oidCN, tagUTF8, "4711"}),
		"multi-valued RDN": below(dn("/O=Grid/OU=gsigw test"), tlv(tagSet,
			attr{oidCN, tagUTF8, "Jane"}.der(), attr{oidUID, tagUTF8, "jane"}.der())),
	} {
		rows = append(rows, row{name: "names/user with " + what, rfc: "ok RFC 5280, 4.1.2.6",
			make: func(b *bench) *holder { return b.proxy(b.user(named(name))) }})
	}
	slices.SortFunc(rows[2:], func(a, b row) int { return strings.Compare(a.name, b.name) })
	return append(rows, subjectRows()...)
}

// subjectRows are about the one CN that a proxy adds.
func subjectRows() []row {
	bad := func(what string, subject func(*holder) []byte) row {
		return row{name: "names/proxy " + what, twin: "names/proxy", rfc: "no RFC 3820, 3.4", code: trust.ProxySubject,
			make: func(b *bench) *holder { user := b.user(); return b.proxy(user, named(subject(user))) }}
	}
	return []row{
		bad("with an OU more", func(h *holder) []byte {
			return below(h.subject,
				tlv(tagSet, attr{oidOU, tagUTF8, "4711"}.der()))
		}),
		bad("with two CNs more", func(h *holder) []byte { return below(h.subject, cn("1"), cn("2")) }),
		bad("with CN and UID in one RDN", func(h *holder) []byte {
			return below(h.subject, tlv(tagSet, attr{oidCN, tagUTF8, "1"}.der(), attr{oidUID, tagUTF8, "1"}.der()))
		}),
		bad("with the CN before", func(*holder) []byte {
			return below(tlv(tagSeq),
				append([][]byte{cn("1")}, setsOf(dn(UserName))...)...)
		}),
		bad("with RDNs in another order", func(*holder) []byte {
			sets := setsOf(dn(UserName))
			slices.Reverse(sets)
			return below(tlv(tagSeq), append(sets, cn("1"))...)
		}),
		bad("of another user", func(*holder) []byte { return below(dn(ECUserName), cn("1")) }),
		bad("with one RDN less", func(*holder) []byte { return below(dn("/O=Grid/OU=gsigw test"), cn("1")) }),
		bad("with an empty name", func(*holder) []byte { return tlv(tagSeq) }),
		bad("with a CN alone", func(*holder) []byte { return below(tlv(tagSeq), cn("1")) }),
		{name: "names/proxy with its issuer's name", twin: "names/proxy", rfc: "no RFC 3820, 3.4",
			code: trust.ProxySubject,
			make: func(b *bench) *holder { user := b.user(); return b.proxy(user, named(user.subject)) }},
		{name: "names/proxy with an empty CN", make: func(b *bench) *holder {
			user := b.user()
			return b.proxy(user, named(below(user.subject, cn(""))))
		}},
		{name: "names/proxy with words for CN", rfc: "ok RFC 3820, 3.4", make: func(b *bench) *holder {
			user := b.user()
			return b.proxy(user, named(below(user.subject, cn("my proxy"))))
		}},
		{name: "names/RFC proxy called proxy", rfc: "ok RFC 3820, 3.4", make: func(b *bench) *holder {
			user := b.user()
			return b.proxy(user, named(below(user.subject, cn("proxy"))))
		}},
		{name: "names/RFC proxy called limited proxy", rfc: "ok RFC 3820, 3.4", make: func(b *bench) *holder {
			user := b.user()
			return b.proxy(user, named(below(user.subject, cn("limited proxy"))))
		}},
		{name: "names/proxy of somebody else's user", twin: "names/proxy", rfc: "no RFC 3820, 4.1.3",
			code: trust.NameChaining,
			make: func(b *bench) *holder {
				other := b.user(named(dn(ECUserName)))
				return b.proxy(b.user(), issuedBy(other.subject), named(below(other.subject, cn("1"))))
			}},
		{name: "names/user with an empty name", twin: "names/user", code: trust.NoName,
			why:  "it would speak for nobody",
			make: func(b *bench) *holder { return b.user(named(tlv(tagSeq))) }},
		{name: "names/proxy of a user with an empty name", twin: "names/proxy", rfc: "no RFC 3820, 3.1",
			code: trust.NoName,
			make: func(b *bench) *holder { return b.proxy(b.user(named(tlv(tagSeq)))) }},
	}
}

func setsOf(name []byte) (sets [][]byte) {
	var seq asn1.RawValue
	Must(asn1.Unmarshal(name, &seq))
	for rest := seq.Bytes; len(rest) > 0; {
		var set asn1.RawValue
		rest = Must(asn1.Unmarshal(rest, &set))
		sets = append(sets, set.FullBytes)
	}
	return sets
}

// stringRows are about one name in two encodings.
func stringRows() []row {
	var rows []row
	for _, s := range []struct {
		name string
		tag  byte
		why  string
	}{{"PrintableString", tagPrintable, ""}, {"T61String", tagT61, ""}, {"IA5String", tagIA5, ""},
		{"BMPString", tagBMP, "OpenSSL's one-line form, which signing policies are about, writes UTF-16 in hexadecimal"}} {
		rows = append(rows,
			row{name: "strings/names all in " + s.name, rfc: rfcNames,
				code: codeIf(s.tag == tagBMP, trust.SigningPolicy), why: s.why,
				make: func(b *bench) *holder {
					b.own(named(retag(dn(CAName), s.tag)))
					return b.proxy(b.user(named(retag(dn(UserName), s.tag))))
				}},
			row{name: "strings/CA in UTF8String, user's issuer in " + s.name, rfc: rfcNames,
				make: func(b *bench) *holder {
					return b.proxy(b.user(issuedBy(retag(dn(CAName), s.tag))))
				}},
			row{name: "strings/user in UTF8String, proxy's issuer in " + s.name, rfc: rfcNames,
				make: func(b *bench) *holder {
					return b.proxy(b.user(), issuedBy(retag(dn(UserName), s.tag)))
				}},
			row{name: "strings/user in UTF8String, proxy's subject in " + s.name, rfc: rfcNames,
				make: func(b *bench) *holder {
					return b.proxy(b.user(), named(below(retag(dn(UserName), s.tag), cn("4711"))))
				}},
			row{name: "strings/proxy's CN in " + s.name, rfc: rfcNames, make: func(b *bench) *holder {
				user := b.user()
				return b.proxy(user, named(below(user.subject,
					tlv(tagSet, attr{oidCN, s.tag, encoded(s.tag, "4711")}.der()))))
			}})
	}
	return append(rows,
		row{name: "strings/proxy's issuer in another case", rfc: rfcNames, make: func(b *bench) *holder {
			return b.proxy(b.user(), issuedBy(dn(strings.ToUpper(UserName))))
		}},
		row{name: "strings/proxy's subject in another case", rfc: rfcNames, make: func(b *bench) *holder {
			return b.proxy(b.user(), named(below(dn(strings.ReplaceAll(UserName, "Jane", "JANE")), cn("4711"))))
		}},
		row{name: "strings/user's issuer in another case", rfc: rfcNames, make: func(b *bench) *holder {
			return b.proxy(b.user(issuedBy(dn(strings.ReplaceAll(CAName, "Test", "TEST")))))
		}},
		row{name: "strings/user's issuer with two spaces for one", rfc: rfcNames, make: func(b *bench) *holder {
			return b.proxy(b.user(issuedBy(dn(strings.ReplaceAll(CAName, "Test ", "Test  ")))))
		}},
		row{name: "strings/legacy proxy's subject in PrintableString",
			make: func(b *bench) *holder {
				return b.legacy(b.user(), "proxy", named(below(retag(dn(UserName), tagPrintable), cn("proxy"))))
			}},
		row{name: "strings/proxy's CN in UniversalString", rfc: rfcNames, code: Unreadable, why: "crypto/x509 does not parse it",
			make: func(b *bench) *holder {
				user := b.user()
				return b.proxy(user, named(below(user.subject,
					tlv(tagSet, attr{oidCN, tagUniversal, "\x00\x00\x004\x00\x00\x002"}.der()))))
			}},
		row{name: "strings/at sign in a PrintableString", twin: "names/user with email", rfc: "no RFC 5280, 4.1.2.4",
			code: Unreadable,
			make: func(b *bench) *holder {
				return b.proxy(b.user(named(in(attr{oidCN, tagPrintable, "jane@example.org"}))))
			}},
		row{name: "strings/UTF8String that is not UTF-8", twin: "names/proxy", rfc: "no RFC 5280, 4.1.2.4",
			code: Unreadable,
			make: func(b *bench) *holder {
				return b.proxy(b.user(named(in(attr{oidCN, tagUTF8, "Jos\xe9"}))))
			}},
		row{name: "strings/NUL in a name", make: func(b *bench) *holder {
			return b.proxy(b.user(named(in(attr{oidCN, tagUTF8, "Jane\x00Doe"}))))
		}},
	)
}

// retag writes each value of a name as another kind of string.
func retag(name []byte, tag byte) []byte {
	var attrs []attr
	for _, set := range setsOf(name) {
		var pairs []struct {
			Type  asn1.ObjectIdentifier
			Value asn1.RawValue
		}
		Must(asn1.UnmarshalWithParams(set, &pairs, "set"))
		for _, p := range pairs {
			attrs = append(attrs, attr{p.Type, tag, encoded(tag, string(p.Value.Bytes))})
		}
	}
	return rdns(attrs...)
}

func encoded(tag byte, s string) string {
	if tag != tagBMP {
		return s
	}
	var b []byte
	for _, unit := range utf16.Encode([]rune(s)) {
		b = append(b, byte(unit>>8), byte(unit))
	}
	return string(b)
}

// mixedRows are about proxies of one kind below those of another.
func mixedRows() []row {
	var rows []row
	make := func(kind string) func(*bench, *holder) *holder {
		return func(b *bench, above *holder) *holder {
			switch kind {
			case "legacy":
				return b.legacy(above, "proxy")
			case "limited legacy":
				return b.legacy(above, "limited proxy")
			}
			family, id := "RFC", gsi.OIDProxyCertInfo
			if strings.HasSuffix(kind, "draft") {
				family, id = "draft", gsi.OIDDraftProxyCertInfo
			}
			language := languages[strings.TrimSuffix(kind, " "+family)]
			return b.anyProxy(above, nil, having(extension(id, true, info(language))))
		}
	}
	kinds := []string{"full RFC", "limited RFC", "independent RFC", "full draft", "limited draft", "legacy",
		"limited legacy"}
	for _, above := range kinds {
		rows = append(rows, row{name: "mixed/" + above, rfc: rfcOf(above),
			make: func(b *bench) *holder { return make(above)(b, b.user()) }})
		for _, under := range kinds {
			r := row{name: fmt.Sprintf("mixed/%s under %s", under, above), twin: "mixed/" + above, rfc: "",
				make: func(b *bench) *holder { return make(under)(b, make(above)(b, b.user())) }}
			switch {
			case family(above) != family(under):
				r.code = trust.MixedTypes
			case strings.HasPrefix(above, "limited") && !strings.HasPrefix(under, "limited"):
				r.code = trust.LimitedProxy
			default:
				r.twin, r.rfc = "", rfcOf(under)
				if r.rfc == "" {
					r.why = oldProxies
				}
			}
			rows = append(rows, r)
		}
	}
	return append(rows,
		row{name: "mixed/legacy with a serial number of its own", make: func(b *bench) *holder {
			return b.legacy(b.user(), "proxy", withSerial(big.NewInt(serial.Add(1)+9000)))
		}},
		row{name: "mixed/legacy under another name", twin: "mixed/legacy", rfc: "no RFC 5280, 6.1.4", code: trust.NotCA,
			make: func(b *bench) *holder { return b.legacy(b.user(), "Proxy of mine") }},
		row{name: "mixed/legacy called Proxy",
			make: func(b *bench) *holder { return b.legacy(b.user(), "Proxy") }},
		row{name: "mixed/legacy called LIMITED PROXY",
			make: func(b *bench) *holder { return b.legacy(b.user(), "LIMITED PROXY") }},
		row{name: "mixed/legacy called LIMITED PROXY, a full one below", twin: "mixed/legacy called LIMITED PROXY",
			code: trust.LimitedProxy,
			make: func(b *bench) *holder { return b.legacy(b.legacy(b.user(), "LIMITED PROXY"), "proxy") }},
		row{name: "mixed/legacy below a user without keyUsage", make: func(b *bench) *holder {
			return b.legacy(b.user(without(idKeyUsage)), "proxy", without(idKeyUsage))
		}},
		row{name: "mixed/legacy four deep", why: oldProxies, make: func(b *bench) *holder {
			return b.legacy(b.legacy(b.legacy(b.legacy(b.user(), "proxy"), "proxy"), "proxy"), "limited proxy")
		}},
	)
}

const oldProxies = "delegation in GT2 and GT3 makes them, and the gatekeeper takes them; openssl knows none, verify-proxy-tool one"

var languages = map[string]asn1.ObjectIdentifier{"full": gsi.OIDInheritAll, "limited": gsi.OIDLimited,
	"independent": gsi.OIDIndependent}

func family(kind string) string { return kind[strings.LastIndexByte(kind, ' ')+1:] }

func rfcOf(kind string) string {
	if family(kind) == "RFC" {
		return "ok RFC 3820, 4.1"
	}
	return ""
}

func codeIf(is bool, code trust.Code) trust.Code {
	if is {
		return code
	}
	return ""
}
