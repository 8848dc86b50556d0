package gridtest

import (
	"crypto/x509/pkix"
	"slices"
	"strings"

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
		bad("of version 1", "no RFC 5280, 6.1.4 (k)", trust.NotCA,
			belowSub(func(c *cert) { c.version, c.extensions = 1, nil })),
		bad("without keyCertSign", "no RFC 5280, 6.1.4 (n)", trust.KeyUsage,
			belowSub(having(usage(crlSign, digitalSignature)))),
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
		bad("signed by somebody else", "no RFC 5280, 6.1.3 (a)(1)", trust.BadSignature,
			belowSub(signedUnder(keyOf("rsa2048", "somebody")))),
		bad("a user that signs users", "no RFC 5280, 6.1.4 (k)", trust.NotCA, func(b *bench) *holder {
			return b.proxy(b.userOf(b.user(named(dn("/O=Grid/OU=gsigw test/CN=Eve")),
				withKey(keyOf("rsa2048", "eve")))))
		}),
		bad("a proxy that signs users", "no RFC 5280, 6.1.4 (k)", trust.NotCA, func(b *bench) *holder {
			return b.userOf(b.proxy(b.user()), named(dn(ECUserName)), withKey(keyOf("rsa2048", "eve")))
		}),
		{name: "ca/user with CA:TRUE and a proxy", twin: "names/proxy", rfc: "no RFC 3820, 3.1",
			code: trust.EndEntityIsCA,
			make: func(b *bench) *holder { return b.proxy(b.user(having(isCA(-1)))) }},
		{name: "ca/user with CA:TRUE and keyCertSign, and a proxy", twin: "names/proxy", rfc: "no RFC 3820, 3.1",
			code: trust.EndEntityIsCA,
			make: func(b *bench) *holder {
				return b.proxy(b.user(having(isCA(-1)), having(usage(digitalSignature, keyCertSign))))
			}},
		{name: "ca/user with CA:TRUE and no proxy", rfc: "ok RFC 5280, 6.1",
			make: func(b *bench) *holder { return b.user(having(isCA(-1))) }},
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
		{name: "ca/proxy with CA:FALSE", rfc: "ok RFC 3820, 3.7",
			make: func(b *bench) *holder { return b.proxy(b.user(), having(noCA())) }},
		{name: "ca/user without basicConstraints", rfc: "ok RFC 5280, 4.2.1.9",
			make: func(b *bench) *holder { return b.proxy(b.user(without(idBasicConstraints))) }},
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
		return row{name: "root/" + what, rfc: rfc,
			make: func(b *bench) *holder { b.own(changes...); return b.proxy(b.user()) }}
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
		bad("with CA:FALSE", "names/proxy", "", trust.NotCA, func(b *bench) *holder {
			b.own(having(noCA()))
			return b.proxy(b.user())
		}),
		bad("without keyCertSign", "names/proxy", "", trust.KeyUsage, func(b *bench) *holder {
			b.own(having(usage(crlSign)))
			return b.proxy(b.user())
		}),
		bad("with path length 0 and a CA below", "ca/below another", "", trust.PathLength, func(b *bench) *holder {
			return b.proxy(b.userOf(b.sub(b.own(having(isCA(0))), subName)))
		}),
		{name: "root/a user who signed himself, in the directory", twin: "names/user", code: trust.NotCA,
			make: func(b *bench) *holder {
				self := b.selfSigned()
				b.trusted(self)
				b.file = slices.Concat(self.pem(), keyPEM(self.key))
				return self
			}},
		bad("a user who signed himself, in the directory, with a proxy", "names/proxy", "", trust.EndEntityIsCA,
			func(b *bench) *holder {
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
		bad("of the same name with another key", "names/proxy", "no RFC 5280, 6.1.3 (a)(1)", trust.BadSignature,
			func(b *bench) *holder {
				b.own()
				return b.proxy(b.userOf(b.authority(CAName, withKey(keyOf("rsa2048", "impostor")))))
			}),
		bad("of the same name with another key, and sent along", "names/proxy", "no RFC 5280, 6.1.3 (a)(1)",
			trust.BadSignature, func(b *bench) *holder {
				b.own()
				ca := b.authority(CAName, withKey(keyOf("rsa2048", "impostor")))
				leaf := b.proxy(b.userOf(ca))
				b.file = append(leaf.file(), ca.pem()...)
				return leaf
			}),
		bad("a user who signed himself", "names/user", "no RFC 5280, 6.1", trust.UnknownCA, func(b *bench) *holder {
			return b.selfSigned()
		}),
		bad("a user who signed himself, with a proxy", "names/proxy", "no RFC 5280, 6.1", trust.UnknownCA,
			func(b *bench) *holder {
				self := b.selfSigned()
				leaf := b.proxy(self)
				b.file = append(leaf.file(), self.pem()...)
				return leaf
			}),
		bad("under the name Test-CA.pem alone", "names/proxy", "", trust.UnknownCA, func(b *bench) *holder {
			return b.misnamed("Test-CA.pem")
		}),
		bad("under the name Test-CA.0 alone", "names/proxy", "", trust.UnknownCA, func(b *bench) *holder {
			return b.misnamed("Test-CA.0")
		}),
		bad("under another hash alone", "names/proxy", "", trust.UnknownCA, func(b *bench) *holder {
			return b.misnamed("abcdef01.0")
		}),
		{name: "root/two of one name, user of the first", rfc: "ok RFC 5280, 6.1",
			make: func(b *bench) *holder { b.rolled(); return b.proxy(b.user()) }},
		{name: "root/two of one name, user of the second", rfc: "ok RFC 5280, 6.1",
			make: func(b *bench) *holder { return b.proxy(b.userOf(b.rolled())) }},
		{name: "root/new key certified with the old", twin: "names/proxy", rfc: "ok RFC 5280, 6.1",
			code: trust.BadSignature,
			why:  "the CA of the directory comes before one of its name that is sent along, as with openssl", make: func(b *bench) *holder {
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
		{name: "root/renewed with the same key, the old one expired", rfc: "ok RFC 5280, 6.1",
			make: func(b *bench) *holder {
				old := b.own(valid(b.now.AddDate(-2, 0, 0), b.now.AddDate(0, 0, -1)))
				leaf := b.proxy(b.userOf(old))
				b.second(b.authority(CAName))
				return leaf
			}},
		{name: "root/renewed with the same key, the new one not valid yet", rfc: "ok RFC 5280, 6.1",
			make: func(b *bench) *holder {
				leaf := b.proxy(b.userOf(b.own()))
				b.second(b.authority(CAName, valid(b.now.AddDate(0, 0, 1), b.now.AddDate(9, 0, 0))))
				return leaf
			}},
		{name: "root/cross-certified by an unknown one, which is sent along", rfc: "ok RFC 5280, 6.1",
			make: func(b *bench) *holder {
				leaf := b.proxy(b.userOf(b.own()))
				cross := issue(b.authority(OtherName), b.root.cert)
				b.file = append(leaf.file(), cross.pem()...)
				return leaf
			}},
		{name: "root/renewed with the same key, the old one sent along", rfc: "ok RFC 5280, 6.1",
			make: func(b *bench) *holder {
				old := b.own()
				leaf := b.proxy(b.userOf(old))
				b.file = append(leaf.file(), old.pem()...)
				b.trusted(b.authority(CAName, valid(b.now.AddDate(0, -1, 0), b.now.AddDate(20, 0, 0))))
				return leaf
			}},
	}
}

// misnamed is a proxy below a root that lies in the directory under another name.
func (b *bench) misnamed(name string) *holder {
	root := b.own()
	b.remove(root, ".0")
	b.write(name, root.pem())
	return b.proxy(b.user())
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
		extensions: []pkix.Extension{isCA(-1), usage(keyCertSign, crlSign),
			extension(idKeyID, false, tlv(tagOctets, keyID(key)))},
	})
}
