package gridtest

import (
	"crypto/x509/pkix"
	"encoding/asn1"

	"gsigw/gsi"
	"gsigw/trust"
)

var (
	idNameConstraints = asn1.ObjectIdentifier{2, 5, 29, 30}
	idSubjectAltName  = asn1.ObjectIdentifier{2, 5, 29, 17}
)

// A generalName is the DER of one of those in RFC 5280, section 4.2.1.6.
func dnsName(s string) []byte  { return taggedString(2, []byte(s)) }
func mailbox(s string) []byte  { return taggedString(1, []byte(s)) }
func uriName(s string) []byte  { return taggedString(6, []byte(s)) }
func ipRange(b ...byte) []byte { return taggedString(7, b) }
func dirName(s string) []byte  { return tagged(4, dn(s)) }

func altNames(critical bool, names ...[]byte) pkix.Extension {
	return extension(idSubjectAltName, critical, tlv(tagSeq, names...))
}

func subtrees(names [][]byte) (trees []byte) {
	for _, n := range names {
		trees = append(trees, tlv(tagSeq, n)...)
	}
	return trees
}

func permitted(names ...[]byte) change {
	return having(extension(idNameConstraints, true, tlv(tagSeq, tagged(0, subtrees(names)))))
}

func excluded(names ...[]byte) change {
	return having(extension(idNameConstraints, true, tlv(tagSeq, tagged(1, subtrees(names)))))
}

// constraintRows are about name constraints of CAs.
func constraintRows() []row {
	good := func(what string, constraint change, user ...change) row {
		return row{name: "constraints/" + what, rfc: "ok RFC 5280, 4.2.1.10", make: func(b *bench) *holder {
			return b.proxy(b.userOf(b.sub(b.own(), subName, constraint), user...))
		}}
	}
	bad := func(what, twin string, constraint change, user ...change) row {
		r := good(what, constraint, user...)
		r.twin, r.rfc, r.code = "constraints/"+twin, "no RFC 5280, 4.2.1.10", trust.NameConstraints
		return r
	}
	as := func(code trust.Code, r row) row { r.code = code; return r }
	stricter := func(r row, why string) row { r.rfc, r.why = "ok RFC 5280, 4.2.1.10", why; return r }
	notCritical := func(c change) change {
		return func(to *cert) {
			c(to)
			to.extensions[len(to.extensions)-1].Critical = false
		}
	}
	host := func(s string) change { return having(altNames(false, dnsName(s))) }
	return []row{
		good("directory name permitted", permitted(dirName("/O=Grid/OU=gsigw test"))),
		good("directory name permitted, in another case", permitted(dirName("/O=GRID/OU=GSIGW test"))),
		good("directory name permitted, the user's own", permitted(dirName(UserName))),
		good("another directory name excluded", excluded(dirName("/O=Elsewhere"))),
		bad("directory name not permitted", "directory name permitted", permitted(dirName("/O=Elsewhere"))),
		bad("directory name excluded", "another directory name excluded", excluded(dirName("/O=Grid"))),
		bad("directory name excluded, in another case", "another directory name excluded",
			excluded(dirName("/O=GRID"))),
		bad("directory name not permitted, not critical", "directory name permitted",
			notCritical(permitted(dirName("/O=Elsewhere")))),
		good("permitted and excluded elsewhere", func(c *cert) {
			having(extension(idNameConstraints, true,
				tlv(tagSeq, tagged(0, subtrees([][]byte{dirName("/O=Grid")})),
					tagged(1, subtrees([][]byte{dirName("/O=Grid/OU=other")})))))(c)
		}),
		good("DNS name permitted", permitted(dnsName("example.org")), host("grid.example.org")),
		good("DNS name permitted, user without any", permitted(dnsName("example.org"))),
		good("DNS name excluded, user elsewhere", excluded(dnsName("example.org")), host("grid.example.com")),
		bad("DNS name not permitted", "DNS name permitted", permitted(dnsName("example.org")),
			host("grid.example.com")),
		bad("DNS name not permitted, a suffix only", "DNS name permitted", permitted(dnsName("example.org")),
			host("gridexample.org")),
		bad("DNS name excluded", "DNS name excluded, user elsewhere", excluded(dnsName("example.org")),
			host("grid.example.org")),
		bad("DNS name excluded, with a dot behind it", "DNS name excluded, user elsewhere",
			excluded(dnsName("example.org")), host("grid.example.org.")),
		bad("DNS name excluded, under a wildcard", "DNS name excluded, user elsewhere",
			excluded(dnsName("grid.example.org")), host("*.example.org")),
		good("host in the CN permitted", permitted(dnsName("example.org")),
			named(in(attr{oidCN, tagUTF8, "host/grid.example.org"}))),
		stricter(bad("host in the CN not permitted", "host in the CN permitted", permitted(dnsName("example.org")),
			named(in(attr{oidCN, tagUTF8, "host/grid.example.com"}))), "HostMatches takes the CN for a host"),
		stricter(bad("host in the CN excluded", "host in the CN permitted", excluded(dnsName("example.org")),
			named(in(attr{oidCN, tagUTF8, "grid.example.org"}))), "HostMatches takes the CN for a host"),
		good("mailbox permitted", permitted(mailbox("example.org")),
			having(altNames(false, mailbox("jane@example.org")))),
		good("mailbox permitted, below a host", permitted(mailbox(".example.org")),
			having(altNames(false, mailbox("jane@mail.example.org")))),
		bad("mailbox not permitted", "mailbox permitted", permitted(mailbox("example.org")),
			having(altNames(false, mailbox("jane@example.com")))),
		bad("mailbox not permitted, below a host", "mailbox permitted", permitted(mailbox("example.org")),
			having(altNames(false, mailbox("jane@mail.example.org")))),
		bad("emailAddress not permitted", "mailbox permitted", permitted(mailbox("example.org")),
			named(in(attr{oidCN, tagUTF8, "Jane"}, attr{oidEmail, tagIA5, "jane@example.com"}))),
		stricter(bad("emailAddress not permitted, mailbox permitted", "mailbox permitted", permitted(mailbox("example.org")),
			named(in(attr{oidCN, tagUTF8, "Jane"}, attr{oidEmail, tagIA5, "jane@example.com"})),
			having(altNames(false, mailbox("jane@example.org")))), "a name that may be believed is a name"),
		good("all mailboxes excluded, user without any", excluded(mailbox(""))),
		bad("all mailboxes excluded", "all mailboxes excluded, user without any", excluded(mailbox("")),
			having(altNames(false, mailbox("jane@example.org")))),
		good("address excluded, user elsewhere", excluded(ipRange(192, 0, 2, 0, 255, 255, 255, 0)),
			having(altNames(false, ipRange(198, 51, 100, 7)))),
		bad("address excluded, as IPv6", "address excluded, user elsewhere",
			excluded(ipRange(192, 0, 2, 0, 255, 255, 255, 0)),
			having(altNames(false, ipRange(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 7)))),
		good("address permitted", permitted(ipRange(192, 0, 2, 0, 255, 255, 255, 0)),
			having(altNames(false, ipRange(192, 0, 2, 7)))),
		bad("address not permitted", "address permitted", permitted(ipRange(192, 0, 2, 0, 255, 255, 255, 0)),
			having(altNames(false, ipRange(198, 51, 100, 7)))),
		good("URI permitted", permitted(uriName(".example.org")),
			having(altNames(false, uriName("https://grid.example.org/x")))),
		bad("URI not permitted", "URI permitted", permitted(uriName(".example.org")),
			having(altNames(false, uriName("https://grid.example.com/x")))),
		bad("of a form that is not known", "directory name permitted", permitted(taggedString(8, []byte{42, 3})),
			having(altNames(false, taggedString(8, []byte{42, 3, 4})))),
		good("of a form that is not there", permitted(taggedString(8, []byte{42, 3}))),
		bad("with a minimum", "directory name permitted",
			having(extension(idNameConstraints, true,
				tlv(tagSeq, tagged(0, tlv(tagSeq, dirName("/O=Grid"), taggedString(0, []byte{1}))))))),
		as(Unreadable, bad("that are empty", "directory name permitted",
			having(extension(idNameConstraints, true, tlv(tagSeq, tagged(0, tlv(tagSeq))))))),
		{name: "constraints/of the root, directory name permitted", rfc: "ok RFC 5280, 4.2.1.10",
			make: func(b *bench) *holder {
				b.own(permitted(dirName("/O=Grid")))
				return b.proxy(b.user())
			}},
		{name: "constraints/of the root, directory name not permitted",
			twin: "constraints/of the root, directory name permitted",
			code: trust.NameConstraints, make: func(b *bench) *holder {
				b.own(permitted(dirName("/O=Elsewhere")))
				return b.proxy(b.user())
			}},
		{name: "constraints/of the root, CA between not permitted",
			twin: "constraints/of the root, directory name permitted",
			code: trust.NameConstraints, make: func(b *bench) *holder {
				b.own(permitted(dirName("/O=Grid/OU=gsigw test/CN=Jane Doe")))
				return b.proxy(b.userOf(b.sub(b.root, subName)))
			}},
		{name: "constraints/on a user",
			make: func(b *bench) *holder { return b.proxy(b.user(permitted(dirName("/O=Grid")))) }},
		{name: "constraints/on a proxy",
			make: func(b *bench) *holder { return b.proxy(b.user(), permitted(dirName("/O=Grid"))) }},
		{name: "constraints/that only the proxy's CN breaks", twin: "constraints/another directory name excluded",
			code: trust.NameConstraints,
			make: func(b *bench) *holder {
				user := b.userOf(b.sub(b.own(), subName, excluded(dirName(UserName+"/CN=4711"))))
				return b.proxy(user, named(below(user.subject, cn("4711"))),
					having(extension(gsi.OIDProxyCertInfo, true, info(gsi.OIDLimited))))
			}},
	}
}
