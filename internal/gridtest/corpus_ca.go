package gridtest

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"
	"strings"

	"gsigw/gsi"
	"gsigw/trust"
)

func sortedByName(rows []row) []row {
	slices.SortFunc(rows, func(a, b row) int { return strings.Compare(a.name, b.name) })
	return rows
}

// belowSub is a proxy of a user below a CA below the root.
func belowSub(changes ...change) func(*bench) *holder {
	return func(b *bench) *holder { return b.proxy(b.userOf(b.sub(b.own(), subName, changes...))) }
}

// caRows are about CAs between the root and the user.
func caRows() []row {
	bad := func(what, rfc string, code trust.Code, make func(*bench) *holder) row {
		return row{name: "ca/" + what, twin: "ca/below another", rfc: rfc, code: code, make: make}
	}
	good := func(what, rfc string, make func(*bench) *holder) row {
		return row{name: "ca/" + what, rfc: rfc, make: make}
	}
	rows := []row{
		good("below another", "ok RFC 5280, 6.1", belowSub()),
		good("two below another", "ok RFC 5280, 6.1", func(b *bench) *holder {
			return b.proxy(b.userOf(b.sub(b.sub(b.own(), subName), subSubName)))
		}),
		good("in the directory, not in the chain", "ok RFC 5280, 6.1", func(b *bench) *holder {
			sub := b.sub(b.own(), subName)
			b.trusted(sub)
			leaf := b.proxy(b.userOf(sub))
			b.file = slices.Concat(leaf.pem(), keyPEM(leaf.key), leaf.above.pem())
			return leaf
		}),
		good("in the directory and in the chain", "ok RFC 5280, 6.1", func(b *bench) *holder {
			sub := b.sub(b.own(), subName)
			b.trusted(sub)
			return b.proxy(b.userOf(sub))
		}),
		bad("missing", "no RFC 5280, 6.1", trust.UnknownCA, func(b *bench) *holder {
			leaf := b.proxy(b.userOf(b.sub(b.own(), subName)))
			b.file = slices.Concat(leaf.pem(), keyPEM(leaf.key), leaf.above.pem())
			return leaf
		}),
		bad("in the directory without its root", "", trust.UnknownCA, func(b *bench) *holder {
			sub := b.sub(b.own(), subName)
			b.trusted(sub)
			b.remove(b.root, ".0", ".r0", ".signing_policy")
			return b.proxy(b.userOf(sub))
		}),
		bad("without basicConstraints", "no RFC 5280, 6.1.4 (k)", trust.NotCA, belowSub(without(idBasicConstraints))),
		bad("with CA:FALSE", "no RFC 5280, 6.1.4 (k)", trust.NotCA, belowSub(having(noCA()))),
		bad("of version 1", "no RFC 5280, 6.1.4 (k)", trust.NotCA, belowSub(func(c *cert) { c.version, c.extensions = 1, nil })),
		bad("without keyCertSign", "no RFC 5280, 6.1.4 (n)", trust.KeyUsage, belowSub(having(usage(crlSign, digitalSignature)))),
		good("without keyUsage", "ok RFC 5280, 6.1.4 (n)", belowSub(without(idKeyUsage))),
		good("basicConstraints not critical", "ok RFC 5280, 6.1.4 (k)", belowSub(func(c *cert) {
			e := isCA(-1)
			e.Critical = false
			having(e)(c)
		})),
		good("path length 0", "ok RFC 5280, 6.1.4 (l)", belowSub(having(isCA(0)))),
		good("path length 0, three proxies", "ok RFC 5280, 6.1.4 (l)", func(b *bench) *holder {
			return b.proxy(b.proxy(b.proxy(b.userOf(b.sub(b.own(), subName, having(isCA(0)))))))
		}),
		good("path length 1 and a CA below", "ok RFC 5280, 6.1.4 (l)", func(b *bench) *holder {
			return b.proxy(b.userOf(b.sub(b.sub(b.own(), subName, having(isCA(1))), subSubName)))
		}),
		bad("path length 0 and a CA below", "no RFC 5280, 6.1.4 (l)", trust.PathLength, func(b *bench) *holder {
			return b.proxy(b.userOf(b.sub(b.sub(b.own(), subName, having(isCA(0))), subSubName)))
		}),
		bad("signed by somebody else", "no RFC 5280, 6.1.3 (a)(1)", trust.BadSignature, belowSub(signedUnder(keyOf("rsa2048", "somebody")))),
		bad("a user that signs users", "no RFC 5280, 6.1.4 (k)", trust.NotCA, func(b *bench) *holder {
			return b.proxy(b.userOf(b.user(named(dn("/O=Grid/OU=gsigw test/CN=Eve")), withKey(keyOf("rsa2048", "eve")))))
		}),
		bad("a proxy that signs users", "no RFC 5280, 6.1.4 (k)", trust.NotCA, func(b *bench) *holder {
			return b.userOf(b.proxy(b.user()), named(dn(ECUserName)), withKey(keyOf("rsa2048", "eve")))
		}),
		{name: "ca/user with CA:TRUE and a proxy", twin: "names/proxy", rfc: "no RFC 3820, 3.1", code: trust.EndEntityIsCA,
			make: func(b *bench) *holder { return b.proxy(b.user(having(isCA(-1)))) }},
		{name: "ca/user with CA:TRUE and keyCertSign, and a proxy", twin: "names/proxy", rfc: "no RFC 3820, 3.1", code: trust.EndEntityIsCA,
			make: func(b *bench) *holder {
				return b.proxy(b.user(having(isCA(-1)), having(usage(digitalSignature, keyCertSign))))
			}},
		{name: "ca/user with CA:TRUE and no proxy", rfc: "ok RFC 5280, 6.1", make: func(b *bench) *holder { return b.user(having(isCA(-1))) }},
		{name: "ca/alone", rfc: "ok RFC 5280, 6.1", make: func(b *bench) *holder { return b.sub(b.own(), subName) }},
		{name: "root/alone", make: func(b *bench) *holder {
			root := b.own()
			b.file = slices.Concat(root.pem(), keyPEM(root.key))
			return root
		}},
		{name: "ca/CA with a proxy", twin: "names/proxy", rfc: "no RFC 3820, 3.1", code: trust.EndEntityIsCA,
			make: func(b *bench) *holder { return b.proxy(b.sub(b.own(), subName)) }},
		{name: "ca/root with a proxy", twin: "names/proxy", rfc: "no RFC 3820, 3.1", code: trust.EndEntityIsCA,
			make: func(b *bench) *holder { return b.proxy(b.own()) }},
		{name: "ca/proxy with CA:TRUE", twin: "names/proxy", rfc: "no RFC 3820, 3.7", code: trust.EndEntityIsCA,
			make: func(b *bench) *holder { return b.proxy(b.user(), having(isCA(-1))) }},
		{name: "ca/proxy with CA:FALSE", rfc: "ok RFC 3820, 3.7", make: func(b *bench) *holder { return b.proxy(b.user(), having(noCA())) }},
		{name: "ca/user without basicConstraints", rfc: "ok RFC 5280, 4.2.1.9", make: func(b *bench) *holder { return b.proxy(b.user(without(idBasicConstraints))) }},
		{name: "ca/user of version 1", rfc: "ok RFC 5280, 6.1", make: func(b *bench) *holder {
			return b.proxy(b.user(func(c *cert) { c.version, c.extensions = 1, nil }))
		}},
		{name: "ca/legacy proxy with CA:TRUE", twin: "mixed/legacy", code: trust.NotCA,
			make: func(b *bench) *holder { return b.legacy(b.user(), "proxy", having(isCA(-1))) }},
	}
	return rows
}

// anchorRows are about the root: RFC 5280 leaves to each how it comes to be trusted.
func anchorRows() []row {
	good := func(what, rfc string, changes ...change) row {
		return row{name: "root/" + what, rfc: rfc, make: func(b *bench) *holder { b.own(changes...); return b.proxy(b.user()) }}
	}
	bad := func(what, twin, rfc string, code trust.Code, make func(*bench) *holder) row {
		return row{name: "root/" + what, twin: twin, rfc: rfc, code: code, make: make}
	}
	other := func(b *bench) *holder { return b.authority(OtherName) }
	return []row{
		good("of version 1", "", func(c *cert) { c.version, c.extensions = 1, nil }),
		good("without keyUsage", "ok RFC 5280, 6.1.4 (n)", without(idKeyUsage)),
		good("with path length 0", "ok RFC 5280, 6.1.4 (l)", having(isCA(0))),
		good("without a key identifier", "ok RFC 5280, 6.1", without(idKeyID)),
		good("whose own signature is wrong", "ok RFC 5280, 6.1.1 (d)", broken),
		good("without basicConstraints", "", without(idBasicConstraints)),
		bad("with CA:FALSE", "names/proxy", "", trust.NotCA, func(b *bench) *holder { b.own(having(noCA())); return b.proxy(b.user()) }),
		bad("without keyCertSign", "names/proxy", "", trust.KeyUsage, func(b *bench) *holder {
			b.own(having(usage(crlSign)))
			return b.proxy(b.user())
		}),
		bad("with path length 0 and a CA below", "ca/below another", "", trust.PathLength, func(b *bench) *holder {
			return b.proxy(b.userOf(b.sub(b.own(having(isCA(0))), subName)))
		}),
		{name: "root/a user who signed himself, in the directory", twin: "names/user", code: trust.NotCA, make: func(b *bench) *holder {
			self := b.selfSigned()
			b.trusted(self)
			b.file = slices.Concat(self.pem(), keyPEM(self.key))
			return self
		}},
		bad("a user who signed himself, in the directory, with a proxy", "names/proxy", "", trust.EndEntityIsCA, func(b *bench) *holder {
			self := b.selfSigned()
			b.trusted(self)
			leaf := b.proxy(self)
			b.file = append(leaf.file(), self.pem()...)
			return leaf
		}),
		bad("unknown", "names/proxy", "no RFC 5280, 6.1", trust.UnknownCA, func(b *bench) *holder {
			b.own()
			return b.proxy(b.userOf(other(b)))
		}),
		bad("unknown, and sent along", "names/proxy", "no RFC 5280, 6.1", trust.UnknownCA, func(b *bench) *holder {
			b.own()
			ca := other(b)
			leaf := b.proxy(b.userOf(ca))
			b.file = append(leaf.file(), ca.pem()...)
			return leaf
		}),
		bad("of the same name with another key", "names/proxy", "no RFC 5280, 6.1.3 (a)(1)", trust.BadSignature, func(b *bench) *holder {
			b.own()
			return b.proxy(b.userOf(b.authority(CAName, withKey(keyOf("rsa2048", "impostor")))))
		}),
		bad("of the same name with another key, and sent along", "names/proxy", "no RFC 5280, 6.1.3 (a)(1)", trust.BadSignature, func(b *bench) *holder {
			b.own()
			ca := b.authority(CAName, withKey(keyOf("rsa2048", "impostor")))
			leaf := b.proxy(b.userOf(ca))
			b.file = append(leaf.file(), ca.pem()...)
			return leaf
		}),
		bad("a user who signed himself", "names/user", "no RFC 5280, 6.1", trust.UnknownCA, func(b *bench) *holder { return b.selfSigned() }),
		bad("a user who signed himself, with a proxy", "names/proxy", "no RFC 5280, 6.1", trust.UnknownCA, func(b *bench) *holder {
			self := b.selfSigned()
			leaf := b.proxy(self)
			b.file = append(leaf.file(), self.pem()...)
			return leaf
		}),
		{name: "root/two of one name, user of the first", rfc: "ok RFC 5280, 6.1", make: func(b *bench) *holder { b.rolled(); return b.proxy(b.user()) }},
		{name: "root/two of one name, user of the second", rfc: "ok RFC 5280, 6.1", make: func(b *bench) *holder { return b.proxy(b.userOf(b.rolled())) }},
		{name: "root/new key certified with the old", twin: "names/proxy", rfc: "ok RFC 5280, 6.1", code: trust.BadSignature,
			why: "the CA of the directory comes before one of its name that is sent along, as with openssl", make: func(b *bench) *holder {
				b.own()
				return b.proxy(b.userOf(b.rollover()))
			}},
		{name: "root/cross-certified", rfc: "ok RFC 5280, 6.1", make: func(b *bench) *holder {
			b.own()
			ca := other(b)
			return b.proxy(b.userOf(b.sub(b.root, OtherName, withKey(ca.key))))
		}},
		{name: "root/renewed with the same key", rfc: "ok RFC 5280, 6.1", make: func(b *bench) *holder {
			leaf := b.proxy(b.userOf(b.own()))
			b.trusted(b.authority(CAName, valid(b.now.AddDate(0, -1, 0), b.now.AddDate(20, 0, 0))))
			return leaf
		}},
		{name: "root/renewed with the same key, the old one expired", rfc: "ok RFC 5280, 6.1", make: func(b *bench) *holder {
			old := b.own(valid(b.now.AddDate(-2, 0, 0), b.now.AddDate(0, 0, -1)))
			leaf := b.proxy(b.userOf(old))
			b.second(b.authority(CAName))
			return leaf
		}},
		{name: "root/renewed with the same key, the new one not valid yet", rfc: "ok RFC 5280, 6.1", make: func(b *bench) *holder {
			leaf := b.proxy(b.userOf(b.own()))
			b.second(b.authority(CAName, valid(b.now.AddDate(0, 0, 1), b.now.AddDate(9, 0, 0))))
			return leaf
		}},
		{name: "root/cross-certified by an unknown one, which is sent along", rfc: "ok RFC 5280, 6.1", make: func(b *bench) *holder {
			leaf := b.proxy(b.userOf(b.own()))
			cross := issue(b.authority(OtherName), b.root.cert)
			b.file = append(leaf.file(), cross.pem()...)
			return leaf
		}},
		{name: "root/renewed with the same key, the old one sent along", rfc: "ok RFC 5280, 6.1", make: func(b *bench) *holder {
			old := b.own()
			leaf := b.proxy(b.userOf(old))
			b.file = append(leaf.file(), old.pem()...)
			b.trusted(b.authority(CAName, valid(b.now.AddDate(0, -1, 0), b.now.AddDate(20, 0, 0))))
			return leaf
		}},
	}
}

func (b *bench) selfSigned() *holder {
	b.own()
	return b.userOf(nil, named(dn(UserName)))
}

// rolled puts a second CA of the root's name beside it and returns that.
func (b *bench) rolled() *holder {
	b.own()
	second := b.authority(CAName, withKey(keyOf("rsa2048", "rolled")))
	b.second(second)
	return second
}

// second puts a CA beside that of its name in the trust directory.
func (b *bench) second(ca *holder) {
	for _, hash := range ca.hashes() {
		b.write(hash+".1", ca.pem())
		b.crl(ca, crl{files: []string{hash + ".r1"}})
	}
}

// rollover is a CA with the root's name and a new key, which the root certified with the old.
func (b *bench) rollover() *holder {
	key := keyOf("rsa2048", "rolled")
	return issue(b.root, cert{
		subject: dn(CAName), key: key,
		notBefore: derTime(b.now.AddDate(0, -6, 0)), notAfter: derTime(b.now.AddDate(5, 0, 0)),
		extensions: []pkix.Extension{isCA(-1), usage(keyCertSign, crlSign), extension(idKeyID, false, tlv(tagOctets, keyID(key)))},
	})
}

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
		bad("directory name excluded, in another case", "another directory name excluded", excluded(dirName("/O=GRID"))),
		bad("directory name not permitted, not critical", "directory name permitted", notCritical(permitted(dirName("/O=Elsewhere")))),
		good("permitted and excluded elsewhere", func(c *cert) {
			having(extension(idNameConstraints, true, tlv(tagSeq, tagged(0, subtrees([][]byte{dirName("/O=Grid")})), tagged(1, subtrees([][]byte{dirName("/O=Grid/OU=other")})))))(c)
		}),
		good("DNS name permitted", permitted(dnsName("example.org")), host("grid.example.org")),
		good("DNS name permitted, user without any", permitted(dnsName("example.org"))),
		good("DNS name excluded, user elsewhere", excluded(dnsName("example.org")), host("grid.example.com")),
		bad("DNS name not permitted", "DNS name permitted", permitted(dnsName("example.org")), host("grid.example.com")),
		bad("DNS name not permitted, a suffix only", "DNS name permitted", permitted(dnsName("example.org")), host("gridexample.org")),
		bad("DNS name excluded", "DNS name excluded, user elsewhere", excluded(dnsName("example.org")), host("grid.example.org")),
		good("mailbox permitted", permitted(mailbox("example.org")), having(altNames(false, mailbox("jane@example.org")))),
		good("mailbox permitted, below a host", permitted(mailbox(".example.org")), having(altNames(false, mailbox("jane@mail.example.org")))),
		bad("mailbox not permitted", "mailbox permitted", permitted(mailbox("example.org")), having(altNames(false, mailbox("jane@example.com")))),
		bad("mailbox not permitted, below a host", "mailbox permitted", permitted(mailbox("example.org")), having(altNames(false, mailbox("jane@mail.example.org")))),
		bad("emailAddress not permitted", "mailbox permitted", permitted(mailbox("example.org")), named(in(attr{oidCN, tagUTF8, "Jane"}, attr{oidEmail, tagIA5, "jane@example.com"}))),
		good("address permitted", permitted(ipRange(192, 0, 2, 0, 255, 255, 255, 0)), having(altNames(false, ipRange(192, 0, 2, 7)))),
		bad("address not permitted", "address permitted", permitted(ipRange(192, 0, 2, 0, 255, 255, 255, 0)), having(altNames(false, ipRange(198, 51, 100, 7)))),
		good("URI permitted", permitted(uriName(".example.org")), having(altNames(false, uriName("https://grid.example.org/x")))),
		bad("URI not permitted", "URI permitted", permitted(uriName(".example.org")), having(altNames(false, uriName("https://grid.example.com/x")))),
		bad("of a form that is not known", "directory name permitted", permitted(taggedString(8, []byte{42, 3})), having(altNames(false, taggedString(8, []byte{42, 3, 4})))),
		good("of a form that is not there", permitted(taggedString(8, []byte{42, 3}))),
		bad("with a minimum", "directory name permitted", having(extension(idNameConstraints, true, tlv(tagSeq, tagged(0, tlv(tagSeq, dirName("/O=Grid"), taggedString(0, []byte{1}))))))),
		as(Unreadable, bad("that are empty", "directory name permitted", having(extension(idNameConstraints, true, tlv(tagSeq, tagged(0, tlv(tagSeq))))))),
		{name: "constraints/of the root, directory name permitted", rfc: "ok RFC 5280, 4.2.1.10", make: func(b *bench) *holder {
			b.own(permitted(dirName("/O=Grid")))
			return b.proxy(b.user())
		}},
		{name: "constraints/of the root, directory name not permitted", twin: "constraints/of the root, directory name permitted",
			code: trust.NameConstraints, make: func(b *bench) *holder { b.own(permitted(dirName("/O=Elsewhere"))); return b.proxy(b.user()) }},
		{name: "constraints/of the root, CA between not permitted", twin: "constraints/of the root, directory name permitted",
			code: trust.NameConstraints, make: func(b *bench) *holder {
				b.own(permitted(dirName("/O=Grid/OU=gsigw test/CN=Jane Doe")))
				return b.proxy(b.userOf(b.sub(b.root, subName)))
			}},
		{name: "constraints/on a user", make: func(b *bench) *holder { return b.proxy(b.user(permitted(dirName("/O=Grid")))) }},
		{name: "constraints/on a proxy", make: func(b *bench) *holder { return b.proxy(b.user(), permitted(dirName("/O=Grid"))) }},
		{name: "constraints/that only the proxy's CN breaks", twin: "constraints/another directory name excluded", code: trust.NameConstraints, make: func(b *bench) *holder {
			user := b.userOf(b.sub(b.own(), subName, excluded(dirName(UserName+"/CN=4711"))))
			return b.proxy(user, named(below(user.subject, cn("4711"))), having(extension(gsi.OIDProxyCertInfo, true, info(gsi.OIDLimited))))
		}},
	}
}
