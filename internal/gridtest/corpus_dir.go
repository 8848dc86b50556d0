package gridtest

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gsigw/trust"
)

// revocationRows are about revocation lists. Every CA is to have one, unless the name says if present.
func revocationRows() []row {
	listed := func(make func(b *bench) *holder) func(*bench) *holder {
		return func(b *bench) *holder {
			b.crls, b.options.CRL = true, trust.CRLRequire
			return make(b)
		}
	}
	good := func(what, rfc string, make func(*bench) *holder) row {
		return row{name: "crl/" + what, rfc: rfc, make: listed(make)}
	}
	bad := func(what, rfc string, code trust.Code, make func(*bench) *holder) row {
		return row{name: "crl/" + what, twin: "crl/good", rfc: rfc, code: code, make: listed(make)}
	}
	const found, stale = "no RFC 5280, 6.3.3 (i)", "no RFC 5280, 6.3.3"
	one := func(l func(b *bench, user *holder) crl) func(*bench) *holder {
		return func(b *bench) *holder {
			ca := b.own()
			user := b.user()
			b.crl(ca, l(b, user))
			return b.proxy(user)
		}
	}
	return []row{
		good("good", "ok RFC 5280, 6.3.3", func(b *bench) *holder { b.own(); return b.proxy(b.user()) }),
		good("another revoked", "ok RFC 5280, 6.3.3",
			one(func(b *bench, _ *holder) crl { return crl{revoked: []*holder{b.user()}} })),
		good("good, two CAs", "ok RFC 5280, 6.3.3", belowSub()),
		bad("user revoked", found, trust.Revoked, one(func(_ *bench,
			u *holder) crl {
			return crl{revoked: []*holder{u}}
		})),
		bad("user revoked, no proxy", found, trust.Revoked, func(b *bench) *holder {
			ca := b.own()
			user := b.user()
			b.crl(ca, crl{revoked: []*holder{user}})
			return user
		}),
		bad("user revoked among others", found, trust.Revoked, one(func(b *bench, u *holder) crl {
			return crl{revoked: []*holder{b.user(), u, b.user()}}
		})),
		bad("CA between revoked", found, trust.Revoked, func(b *bench) *holder {
			root := b.own()
			sub := b.sub(root, subName)
			b.crl(root, crl{revoked: []*holder{sub}})
			return b.proxy(b.userOf(sub))
		}),
		bad("user revoked by the CA between", found, trust.Revoked, func(b *bench) *holder {
			sub := b.sub(b.own(), subName)
			user := b.userOf(sub)
			b.crl(sub, crl{revoked: []*holder{user}})
			return b.proxy(user)
		}),
		bad("expired", stale, trust.CRLExpired, one(func(b *bench, _ *holder) crl {
			return crl{thisUpdate: b.now.AddDate(0, -2, 0), nextUpdate: b.now.AddDate(0, -1, 0)}
		})),
		bad("from tomorrow", stale, trust.CRLInvalid,
			one(func(b *bench, _ *holder) crl { return crl{thisUpdate: b.now.AddDate(0, 0, 1)} })),
		bad("signature changed", stale, trust.CRLInvalid, one(func(*bench, *holder) crl { return crl{broken: true} })),
		bad("signed with another key", stale, trust.CRLInvalid,
			one(func(b *bench, _ *holder) crl { return crl{signer: b.authority(OtherName)} })),
		bad("without a next update", "no RFC 5280, 5.1.2.5", trust.CRLInvalid, one(func(*bench, *holder) crl { return crl{endless: true} })),
		bad("another CA's", stale, trust.CRLMissing, one(func(b *bench, _ *holder) crl {
			return crl{signer: b.authority(OtherName), issuer: dn(OtherName)}
		})),
		bad("with an unknown critical extension", "no RFC 5280, 5.2", trust.CRLInvalid, one(func(*bench, *holder) crl {
			return crl{critical: asn1.ObjectIdentifier{1, 2, 3, 4}}
		})),
		bad("missing", "", trust.CRLMissing, func(b *bench) *holder {
			b.remove(b.own(), ".r0")
			return b.proxy(b.user())
		}),
		bad("missing for the CA between", "", trust.CRLMissing, func(b *bench) *holder {
			sub := b.sub(b.own(), subName)
			b.remove(sub, ".r0")
			return b.proxy(b.userOf(sub))
		}),
		bad("not a list", "", trust.CRLInvalid, func(b *bench) *holder {
			b.policy(b.own(), ".r0", "<html>404</html>")
			return b.proxy(b.user())
		}),
		bad("CA without cRLSign", "no RFC 5280, 6.3.3 (f)", trust.CRLInvalid, func(b *bench) *holder {
			b.own(having(usage(keyCertSign)))
			return b.proxy(b.user())
		}),
		good("expired beside a good one", "ok RFC 5280, 6.3.3", func(b *bench) *holder {
			ca := b.own()
			b.crl(ca, crl{thisUpdate: b.now.AddDate(0, -2, 0), nextUpdate: b.now.AddDate(0, -1, 0)})
			for _, hash := range ca.hashes() {
				b.crl(ca, crl{files: []string{hash + ".r1"}})
			}
			return b.proxy(b.user())
		}),
		good("of version 1", "ok RFC 5280, 5.1.2.1", one(func(b *bench, _ *holder) crl {
			return crl{first: true, revoked: []*holder{b.user()}}
		})),
		bad("of version 1, user revoked", found, trust.Revoked, one(func(_ *bench, u *holder) crl {
			return crl{first: true, revoked: []*holder{u}}
		})),
		bad("of version 1, signed with another key", stale, trust.CRLInvalid,
			one(func(b *bench, _ *holder) crl { return crl{first: true, signer: b.authority(OtherName)} })),
		bad("of version 1, without a next update", "no RFC 5280, 5.1.2.5", trust.CRLInvalid,
			one(func(*bench, *holder) crl { return crl{first: true, endless: true} })),
		bad("of version 1, with extensions", "no RFC 5280, 5.1.2.7", trust.CRLInvalid,
			one(func(*bench, *holder) crl { return crl{first: true, extended: true} })),
		{name: "crl/two lists, user revoked by that of tomorrow", twin: "crl/good", code: trust.Revoked,
			why: "a clock that is late is no reason to trust whom the CA revokes",
			make: listed(func(b *bench) *holder {
				user := b.userOf(b.own())
				b.besides(crl{thisUpdate: b.now.AddDate(0, 0, 1), revoked: []*holder{user}}, crl{})
				return b.proxy(user)
			})},
		good("two lists, user revoked by the older", "ok RFC 5280, 6.3.3", func(b *bench) *holder {
			user := b.userOf(b.own())
			b.besides(crl{thisUpdate: b.now.AddDate(0, 0, -2), revoked: []*holder{user}}, crl{})
			return b.proxy(user)
		}),
		bad("two lists, user revoked by the newer", found, trust.Revoked, func(b *bench) *holder {
			user := b.userOf(b.own())
			b.besides(crl{thisUpdate: b.now.AddDate(0, 0, -2)}, crl{revoked: []*holder{user}})
			return b.proxy(user)
		}),
		bad("two lists of one time, user revoked by one", "", trust.Revoked, func(b *bench) *holder {
			user := b.userOf(b.own())
			b.besides(crl{revoked: []*holder{user}}, crl{})
			return b.proxy(user)
		}),
		bad("user revoked by the second of a file", found, trust.Revoked, one(func(b *bench, u *holder) crl {
			return crl{revoked: []*holder{u}, above: b.crlPEM(b.root, crl{thisUpdate: b.now.AddDate(0, 0, -2)})}
		})),
		good("user revoked with the reason removeFromCRL", "ok RFC 5280, 6.3.3 (k)", one(func(b *bench, u *holder) crl {
			removed := pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 21}, Value: tlv(tagEnum, []byte{8})}
			return crl{entries: tlv(tagSeq, Must(asn1.Marshal(u.serial)), derTime(b.now.Add(-time.Hour)),
				Must(asn1.Marshal([]pkix.Extension{removed})))}
		})),
		bad("a delta list alone", "no RFC 5280, 5.2.4", trust.CRLInvalid, one(func(*bench, *holder) crl {
			return crl{critical: asn1.ObjectIdentifier{2, 5, 29, 27}}
		})),
		{name: "crl/if present, missing",
			make: func(b *bench) *holder { b.remove(b.own(), ".r0"); return b.proxy(b.user()) }},
		{name: "crl/if present, user revoked", twin: "names/proxy", rfc: found, code: trust.Revoked,
			make: one(func(_ *bench, u *holder) crl { return crl{revoked: []*holder{u}} })},
		{name: "crl/if present, expired", twin: "names/proxy", code: trust.CRLExpired,
			make: one(func(b *bench, _ *holder) crl {
				return crl{thisUpdate: b.now.AddDate(0, -2, 0), nextUpdate: b.now.AddDate(0, -1, 0)}
			})},
		{name: "crl/off, user revoked", why: "the option turns them off", make: func(b *bench) *holder {
			b.options.CRL = trust.CRLOff
			ca := b.own()
			user := b.user()
			b.crl(ca, crl{revoked: []*holder{user}})
			return b.proxy(user)
		}},
	}
}

// besides puts two lists of the root into the directory, the first as .r0.
func (b *bench) besides(first, second crl) {
	b.crl(b.root, first)
	for _, hash := range b.root.hashes() {
		second.files = append(second.files, hash+".r1")
	}
	b.crl(b.root, second)
}

// policyRows are about signing_policy files.
func policyRows() []row {
	block := func(ca string, rest ...string) string {
		return "access_id_CA X509 '" + ca + "'\npos_rights globus CA:sign\n" + strings.Join(rest, "\n") + "\n"
	}
	const subjects = "cond_subjects globus "
	whys := map[string]string{"neg_rights besides, not to sign": "canl and JGlobus do not see that the right is taken away"}
	file := func(what string, code trust.Code, text string) row {
		return row{name: "policy_file/" + what, why: whys[what], twin: twinOf(code, "policy_file/one pattern"), code: code,
			make: func(b *bench) *holder {
				b.policy(b.own(), ".signing_policy", text)
				return b.proxy(b.user())
			}}
	}
	own := block(CAName, subjects+`'"/O=Grid/*"'`)
	rows := []row{
		file("one pattern", "", own),
		file("several patterns", "", block(CAName, subjects+`'"/O=Other/*" "/O=Grid/*"'`)),
		file("a pattern without double quotes", "", block(CAName, subjects+`'/O=Grid/*'`)),
		file("a whole name", "", block(CAName, subjects+`'"`+UserName+`"'`)),
		file("a star in the middle", "", block(CAName, subjects+`'"/O=Grid/*/CN=Jane Doe"'`)),
		file("a star alone", "", block(CAName, subjects+`'"*"'`)),
		file("question marks", "", block(CAName, subjects+`'"/O=Grid/OU=gsigw test/CN=J??e Doe"'`)),
		file("tabs and comments", "", "# EACL\n\n\t"+strings.ReplaceAll(block(CAName, subjects+`'"/O=Grid/*"'`),
			" X509", "\tX509\t")+"# end\n"),
		file("CRLF", "", strings.ReplaceAll(own, "\n", "\r\n")),
		file("another CA's block first", "", block(OtherName, subjects+`'"/O=Other/*"'`)+own),
		file("two cond_subjects lines, the second", trust.SigningPolicy, block(CAName, subjects+`'"/O=Other/*"'`, subjects+`'"/O=Grid/*"'`)),
		file("two cond_subjects lines, the first", "", block(CAName, subjects+`'"/O=Grid/*"'`, subjects+`'"/O=Other/*"'`)),
		file("something else behind", trust.SigningPolicy, own+"whatever globus x\nglobus\n"),
		file("something else within", trust.SigningPolicy, strings.Replace(own, "pos_rights", "whatever globus x\npos_rights", 1)),
		file("neg_rights besides, not to sign", trust.SigningPolicy, own+"neg_rights globus CA:sign\n"),
		file("two blocks of the CA", "", block(CAName, subjects+`'"/O=Other/*"'`)+own),
		file("CA in double quotes", "", strings.ReplaceAll(own, "'"+CAName+"'", `"`+CAName+`"`)),
		file("a block of another kind first", trust.SigningPolicy, "access_id_GROUP globus '/O=Grid/CN=x'\npos_rights globus read\n"+own),
		file("negative rights besides", "", own+"neg_rights globus CA:revoke\n"),
		file("a dot is a dot", trust.SigningPolicy, block(CAName, subjects+`'"/O.Grid/*"'`)),
		file("another pattern", trust.SigningPolicy, block(CAName, subjects+`'"/O=Other/*"'`)),
		file("a prefix without a star", trust.SigningPolicy, block(CAName, subjects+`'"/O=Grid/"'`)),
		file("another CA's", trust.SigningPolicy, block(OtherName, subjects+`'"/O=Grid/*"'`)),
		file("without cond_subjects", trust.SigningPolicy, block(CAName)),
		file("without pos_rights", trust.SigningPolicy, strings.Replace(own, "pos_rights globus CA:sign\n", "", 1)),
		file("a quote not closed", trust.SigningPolicy, block(CAName, subjects+`'"/O=Grid/*`)),
		file("a file of something else", trust.SigningPolicy, "<html>404</html>\n"),
		file("empty", trust.SigningPolicy, ""),
		file("another case", "", block(CAName, subjects+`'"/o=GRID/*"'`)),
		{name: "policy_file/absent",
			make: func(b *bench) *holder { b.remove(b.own(), ".signing_policy"); return b.proxy(b.user()) }},
		{name: "policy_file/absent and required", twin: "policy_file/one pattern", code: trust.NoSigningPolicy,
			why: "the option asks for one",
			make: func(b *bench) *holder {
				b.options.RequireSigningPolicy = true
				b.remove(b.own(), ".signing_policy")
				return b.proxy(b.user())
			}},
		{name: "policy_file/proxy is not asked", make: func(b *bench) *holder {
			b.signingPolicy(b.own(), UserName)
			return b.proxy(b.user())
		}},
		{name: "policy_file/CA between outside", twin: "ca/below another", code: trust.SigningPolicy,
			make: func(b *bench) *holder {
				b.signingPolicy(b.own(), "/O=Grid/OU=gsigw test/CN=Jane*")
				return b.proxy(b.userOf(b.sub(b.root, subName)))
			}},
		{name: "policy_file/of the CA between, user outside", twin: "ca/below another", code: trust.SigningPolicy,
			make: func(b *bench) *holder {
				sub := b.sub(b.own(), subName)
				b.signingPolicy(sub, "/O=Elsewhere/*")
				return b.proxy(b.userOf(sub))
			}},
	}
	for i, which := range []string{"old", "new"} {
		rows = append(rows, row{name: "policy_file/files under the " + which + " hash only",
			why: "GT4 knows the old hash, OpenSSL since 1.0 the new",
			make: func(b *bench) *holder {
				gone := b.own().hashes()[1-i]
				for _, suffix := range []string{".0", ".r0", ".signing_policy"} {
					b.fail(os.Remove(filepath.Join(b.dir, gone+suffix)))
				}
				return b.proxy(b.user())
			}})
	}
	return rows
}

func twinOf(code trust.Code, name string) string {
	if code == "" {
		return ""
	}
	return name
}

// namespaceRows are about EUGridPMA's namespaces files.
func namespaceRows() []row {
	rule := func(issuer, verb, subject string) string {
		return fmt.Sprintf("TO Issuer %s %s Subject \"%s\"\n", issuer, verb, subject)
	}
	quoted := `"` + CAName + `"`
	const unusable = "a policy file that cannot be used permits nothing"
	whys := map[string]string{
		"DENY of another CA": "the rule names another CA", "another CA": unusable, "empty": unusable, "not an expression": unusable,
		"neither PERMIT nor DENY": unusable,
	}
	file := func(what string, code trust.Code, text string) row {
		return row{name: "namespaces/" + what, why: whys[what], twin: twinOf(code, "namespaces/by name"), code: code,
			make: func(b *bench) *holder {
				b.policy(b.own(), ".namespaces", text)
				return b.proxy(b.user())
			}}
	}
	grid := rule(quoted, "PERMIT", "/O=Grid/.*")
	return []row{
		file("by name", "", grid),
		file("SELF", "", rule("SELF", "PERMIT", "/O=Grid/.*")),
		file("over two lines", "", strings.Replace(grid, " PERMIT", " \\\n  PERMIT", 1)),
		file("version and comments", "", "#NAMESPACES-VERSION: 1.0\n\n# all of it\n"+grid),
		file("in lower case", "", strings.NewReplacer("TO Issuer", "to issuer", "PERMIT Subject",
			"permit subject").Replace(grid)),
		file("a comment behind", "", strings.TrimSpace(grid)+" # all\n"),
		file("second rule", "", rule("SELF", "PERMIT", "/O=X/.*")+grid),
		file("DENY of another", "", grid+rule("SELF", "DENY", "/O=Grid/OU=other/.*")),
		file("DENY before PERMIT", trust.SigningPolicy, rule("SELF", "DENY", "/O=Grid/OU=gsigw test/.*")+grid),
		file("DENY after PERMIT", trust.SigningPolicy, grid+rule("SELF", "DENY", "/O=Grid/OU=gsigw test/.*")),
		file("DENY only, of another", trust.SigningPolicy, rule("SELF", "DENY", "/O=Other/.*")),
		file("DENY of another CA", "", grid+rule(`"`+OtherName+`"`, "DENY", ".*")),
		file("another subject", trust.SigningPolicy, rule("SELF", "PERMIT", "/O=Other/.*")),
		file("a prefix", trust.SigningPolicy, rule("SELF", "PERMIT", "/O=Grid/")),
		file("a suffix", trust.SigningPolicy, rule("SELF", "PERMIT", "CN=Jane Doe")),
		file("another CA", trust.SigningPolicy, rule(`"`+OtherName+`"`, "PERMIT", ".*")),
		file("not an expression", trust.SigningPolicy, rule("SELF", "PERMIT", "/O=Grid/(.*")),
		file("neither PERMIT nor DENY", trust.SigningPolicy, grid+rule("SELF", "ALLOW", "/O=Grid/.*")),
		file("empty", trust.SigningPolicy, ""),
		{name: "namespaces/permits, signing_policy does not",
			why: "canl asks the first file that it finds, we ask both", twin: "namespaces/by name", code: trust.SigningPolicy,
			make: func(b *bench) *holder {
				ca := b.own()
				b.policy(ca, ".namespaces", grid)
				b.signingPolicy(ca, "/O=Other/*")
				return b.proxy(b.user())
			}},
		{name: "namespaces/does not permit, signing_policy does", twin: "namespaces/by name", code: trust.SigningPolicy,
			make: func(b *bench) *holder {
				b.policy(b.own(), ".namespaces", rule("SELF", "PERMIT", "/O=Other/.*"))
				return b.proxy(b.user())
			}},
		{name: "namespaces/without signing_policy", why: "JGlobus reads no namespaces", make: func(b *bench) *holder {
			ca := b.own()
			b.policy(ca, ".namespaces", grid)
			b.remove(ca, ".signing_policy")
			return b.proxy(b.user())
		}},
		{name: "namespaces/of the root speak of the CA between", make: func(b *bench) *holder {
			root := b.own()
			sub := b.sub(root, subName)
			b.policy(root, ".namespaces", grid+rule(`"`+subName+`"`, "PERMIT", "/O=Grid/.*"))
			b.remove(sub, ".signing_policy")
			return b.proxy(b.userOf(sub))
		}},
		{name: "namespaces/of the root forbid what the CA between does", make: func(b *bench) *holder {
			root := b.own()
			sub := b.sub(root, subName)
			b.policy(root, ".namespaces", grid+rule(`"`+subName+`"`, "PERMIT", "/O=Other/.*"))
			b.remove(sub, ".signing_policy")
			return b.proxy(b.userOf(sub))
		}},
	}
}
