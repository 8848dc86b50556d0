package gridtest

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"slices"

	"software.sslmate.com/src/go-pkcs12"

	"gsigw/gsi"
	"gsigw/trust"
)

const (
	weak      = "weak: it has to be named in the options"
	unreadKey = "canl and JGlobus read no such key, and were not asked about the chain: that they take where the key is further up"
)

// algorithmRows are about keys and signatures.
func algorithmRows() []row {
	var rows []row
	signed := func(what string, code trust.Code, rsaKeys string, s signature) {
		why := ""
		if code != "" {
			why = weak
		} else if rsaKeys == "ed25519" {
			why = unreadKey
		}
		r := row{name: "algorithms/" + what, code: code, why: why, make: func(b *bench) *holder {
			key := withKey(keyOf(rsaKeys, "all"))
			b.own(key, signedWith(s))
			return b.proxy(b.user(key, signedWith(s)), key, signedWith(s))
		}}
		if code != "" {
			r.twin = "names/proxy"
		}
		rows = append(rows, r)
	}
	signed("MD5", trust.Algorithm, "rsa2048", md5RSA)
	signed("SHA-1", "", "rsa2048", sha1RSA)
	signed("SHA-224", "", "rsa2048", sha224RSA)
	signed("SHA-256", "", "rsa2048", sha256RSA)
	signed("SHA-384", "", "rsa2048", sha384RSA)
	signed("SHA-512", "", "rsa2048", sha512RSA)
	signed("RSA-PSS with SHA-256", "", "rsa2048", pssSignature(1, 5))
	signed("RSA-PSS with SHA-512", "", "rsa2048", pssSignature(3, 7))
	signed("RSA of 512 bits", trust.Algorithm, "rsa512", sha256RSA)
	signed("RSA of 1024 bits", "", "rsa1024", sha256RSA)
	signed("RSA of 4096 bits", "", "rsa4096", sha256RSA)
	signed("P-256", "", "p256", sha256ECDSA)
	signed("P-256 with SHA-1", "", "p256", sha1ECDSA)
	signed("P-256 with SHA-224", "", "p256", ecdsaSignature(crypto.SHA224, 3, 1))
	signed("P-384", "", "p384", sha384ECDSA)
	signed("P-521", "", "p521", ecdsaSignature(7, 3, 4))
	signed("P-224", "", "p224", sha256ECDSA)
	signed("Ed25519", "", "ed25519", pureEd25519)
	return append(rows, signatureRows()...)
}

func signatureRows() []row {
	bad := func(what string, code trust.Code, make func(*bench) *holder) row {
		return row{name: "algorithms/" + what, twin: "names/proxy", rfc: "no RFC 5280, 6.1.3 (a)(1)", code: code,
			make: make}
	}
	even := func(c *cert) {
		k := *c.key.Public().(*rsa.PublicKey)
		k.E = 65536
		c.spki = Must(x509.MarshalPKIXPublicKey(&k))
	}
	return []row{
		bad("proxy's signature changed", trust.BadSignature, func(b *bench) *holder {
			return b.proxy(b.user(), broken)
		}),
		bad("user's signature changed", trust.BadSignature, func(b *bench) *holder { return b.proxy(b.user(broken)) }),
		bad("proxy signed with its own key", trust.BadSignature, func(b *bench) *holder {
			return b.proxy(b.user(), signedUnder(keyOf("rsa2048", "proxy 1")))
		}),
		bad("proxy signed by the CA", trust.BadSignature, func(b *bench) *holder {
			return b.proxy(b.user(), signedUnder(b.ca().key))
		}),
		bad("user signed by somebody else", trust.BadSignature, func(b *bench) *holder {
			return b.proxy(b.user(signedUnder(keyOf("rsa2048", "somebody"))))
		}),
		bad("proxy above signed by somebody else", trust.BadSignature, func(b *bench) *holder {
			return b.proxy(b.proxy(b.user(), signedUnder(keyOf("rsa2048", "somebody"))))
		}),
		bad("user's RSA key with an even exponent", trust.BadSignature, func(b *bench) *holder {
			return b.proxy(b.user(even))
		}),
		bad("two algorithms named", Unreadable, func(b *bench) *holder {
			return b.proxy(b.user(), func(c *cert) { c.inner = &sha1RSA })
		}),
		{name: "algorithms/EC user, RSA proxy",
			make: func(b *bench) *holder { return b.proxy(b.user(withKey(keyOf("p256", "user")))) }},
		{name: "algorithms/RSA user, EC proxy",
			make: func(b *bench) *holder { return b.proxy(b.user(), withKey(keyOf("p256", "proxy"))) }},
		{name: "algorithms/Ed25519 user alone", why: unreadKey,
			make: func(b *bench) *holder { return b.user(withKey(keyOf("ed25519", "user"))) }},
		{name: "algorithms/Ed25519 user, RSA proxy",
			make: func(b *bench) *holder { return b.proxy(b.user(withKey(keyOf("ed25519", "user")))) }},
		{name: "algorithms/RSA user, Ed25519 proxy", why: unreadKey,
			make: func(b *bench) *holder { return b.proxy(b.user(), withKey(keyOf("ed25519", "proxy"))) }},
		{name: "algorithms/RSA user, Ed25519 proxy, RSA proxy",
			make: func(b *bench) *holder { return b.proxy(b.proxy(b.user(), withKey(keyOf("ed25519", "proxy")))) }},
		{name: "algorithms/Ed25519 CA, RSA user",
			make: func(b *bench) *holder { b.own(withKey(keyOf("ed25519", "CA"))); return b.proxy(b.user()) }},
		{name: "algorithms/Ed25519 CA between",
			make: func(b *bench) *holder {
				return b.proxy(b.userOf(b.sub(b.own(), subName, withKey(keyOf("ed25519", "CA")))))
			}},
		{name: "algorithms/SHA-224 in the proxy only",
			make: func(b *bench) *holder { return b.proxy(b.user(), signedWith(sha224RSA)) }},
		{name: "algorithms/SHA-224 in the user only",
			make: func(b *bench) *holder { return b.proxy(b.user(signedWith(sha224RSA))) }},
		bad("SHA-224, signed by somebody else", trust.BadSignature, func(b *bench) *holder {
			return b.proxy(b.user(), signedWith(sha224RSA), signedUnder(keyOf("rsa2048", "somebody")))
		}),
		bad("P-256 with SHA-224, signed by somebody else", trust.BadSignature, func(b *bench) *holder {
			return b.proxy(b.user(withKey(keyOf("p256", "user"))), signedWith(ecdsaSignature(crypto.SHA224, 3, 1)),
				signedUnder(keyOf("p256", "somebody")))
		}),
		bad("Ed25519, signed by somebody else", trust.BadSignature, func(b *bench) *holder {
			return b.proxy(b.user(withKey(keyOf("ed25519", "user"))), signedUnder(keyOf("ed25519", "somebody")))
		}),
		{name: "algorithms/MD5 in the user only", twin: "names/proxy", code: trust.Algorithm, why: weak,
			make: func(b *bench) *holder {
				return b.proxy(b.user(signedWith(md5RSA)))
			}},
		{name: "algorithms/MD5 in the proxy only", twin: "names/proxy", code: trust.Algorithm, why: weak,
			make: func(b *bench) *holder {
				return b.proxy(b.user(), signedWith(md5RSA))
			}},
		{name: "algorithms/MD5 in the root only",
			make: func(b *bench) *holder { b.own(signedWith(md5RSA)); return b.proxy(b.user()) }},
		{name: "algorithms/RSA proxy of 512 bits", twin: "names/proxy", code: trust.Algorithm, why: weak,
			make: func(b *bench) *holder {
				return b.proxy(b.user(), withKey(keyOf("rsa512", "proxy")))
			}},
		{name: "algorithms/RSA proxy of 1024 bits",
			make: func(b *bench) *holder { return b.proxy(b.user(), withKey(keyOf("rsa1024", "proxy"))) }},
		{name: "algorithms/user and proxy have one key",
			make: func(b *bench) *holder { user := b.user(); return b.proxy(user, withKey(user.key)) }},
	}
}

// extensionRows are about extensions that are none of the above.
func extensionRows() []row {
	odd := asn1.ObjectIdentifier{1, 2, 3, 4, 5, 6}
	ac := asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 8005, 100, 100, 5} // VOMS
	std := func(n int) asn1.ObjectIdentifier { return asn1.ObjectIdentifier{2, 5, 29, n} }
	null := tlv(tagNull)
	good := func(what, rfc string, make func(*bench) *holder) row {
		return row{name: "extensions/" + what, rfc: rfc, make: make}
	}
	proxy := func(what, rfc string, e pkix.Extension) row {
		return good("proxy with "+what, rfc, func(b *bench) *holder { return b.proxy(b.user(), having(e)) })
	}
	user := func(what, rfc string, e pkix.Extension) row {
		return good("user with "+what, rfc, func(b *bench) *holder { return b.proxy(b.user(having(e))) })
	}
	ca := func(what, rfc string, e pkix.Extension) row { return good("CA with "+what, rfc, belowSub(having(e))) }
	refused := func(r row, code trust.Code) row {
		r.twin, r.code = "names/proxy", code
		if bytes.HasPrefix([]byte(r.name), []byte("extensions/CA")) {
			r.twin = "ca/below another"
		}
		return r
	}
	const unknown = "no RFC 5280, 4.2"
	policies := tlv(tagSeq, tlv(tagSeq, derOID(asn1.ObjectIdentifier{1, 2, 3, 4})))
	points := tlv(tagSeq, tlv(tagSeq, tagged(0, tagged(0, uriName("http://example.org/ca.crl")))))
	keyIDOf := tlv(tagSeq, taggedString(0, []byte("not the issuer's key")))
	return []row{
		proxy("an unknown extension", "ok RFC 5280, 4.2", extension(odd, false, null)),
		user("an unknown extension", "ok RFC 5280, 4.2", extension(odd, false, null)),
		refused(proxy("an unknown critical extension", unknown, extension(odd, true, null)), trust.CriticalExtension),
		refused(user("an unknown critical extension", unknown, extension(odd, true, null)), trust.CriticalExtension),
		refused(ca("an unknown critical extension", unknown, extension(odd, true, null)), trust.CriticalExtension),
		refused(good("root with an unknown critical extension", "", func(b *bench) *holder {
			b.own(having(extension(odd, true, null)))
			return b.proxy(b.user())
		}), trust.CriticalExtension),
		refused(good("user with one twice", unknown, func(b *bench) *holder {
			return b.proxy(b.user(having(extension(odd, false, null)), twice(extension(odd, false, null))))
		}), Unreadable),
		refused(proxy("a subjectAltName", "no RFC 3820, 3.5", altNames(false, dnsName("grid.example.org"))),
			trust.ProxyExtension),
		refused(proxy("a critical subjectAltName", "no RFC 3820, 3.5", altNames(true, dnsName("grid.example.org"))),
			trust.ProxyExtension),
		refused(proxy("an issuerAltName", "no RFC 3820, 3.2",
			extension(std(18), false, tlv(tagSeq, dnsName("grid.example.org")))), trust.ProxyExtension),
		refused(good("legacy proxy with a subjectAltName", "", func(b *bench) *holder {
			return b.legacy(b.user(), "proxy", having(altNames(false, dnsName("grid.example.org"))))
		}), trust.ProxyExtension),
		user("a subjectAltName", "ok RFC 5280, 4.2.1.6",
			altNames(false, dnsName("grid.example.org"), mailbox("jane@example.org"))),
		user("a critical subjectAltName", "ok RFC 5280, 4.2.1.6", altNames(true, dnsName("grid.example.org"))),
		user("an issuerAltName", "ok RFC 5280, 4.2.1.7",
			extension(std(18), false, tlv(tagSeq, dnsName("ca.example.org")))),
		user("certificate policies", "ok RFC 5280, 4.2.1.4", extension(std(32), false, policies)),
		user("critical certificate policies", "ok RFC 5280, 4.2.1.4", extension(std(32), true, policies)),
		user("CRL distribution points", "ok RFC 5280, 4.2.1.13", extension(std(31), false, points)),
		refused(user("critical CRL distribution points", "", extension(std(31), true, points)),
			trust.CriticalExtension),
		user("another authority key identifier", "ok RFC 5280, 4.2.1.1", extension(std(35), false, keyIDOf)),
		proxy("another authority key identifier", "ok RFC 5280, 4.2.1.1", extension(std(35), false, keyIDOf)),
		user("a Netscape certificate type", "ok RFC 5280, 4.2",
			extension(asn1.ObjectIdentifier{2, 16, 840, 1, 113730, 1, 1}, false, tlv(tagBits, []byte{4, 0xb0}))),
		ca("critical inhibitAnyPolicy", "ok RFC 5280, 4.2.1.14", extension(std(54), true, derInt(0))),
		ca("policy mappings", "ok RFC 5280, 4.2.1.5", extension(std(33), true, tlv(tagSeq, tlv(tagSeq,
			derOID(asn1.ObjectIdentifier{1, 2, 3, 4}), derOID(asn1.ObjectIdentifier{1, 2, 3, 5}))))),
		ca("policy constraints that inhibit mappings", "ok RFC 5280, 4.2.1.11",
			extension(std(36), true, tlv(tagSeq, taggedString(1, []byte{0})))),
		refused(ca("policy constraints that require a policy", "no RFC 5280, 6.1.5 (g)",
			extension(std(36), true, tlv(tagSeq, taggedString(0, []byte{0})))), trust.CriticalExtension),
		proxy("an attribute certificate that is none", "ok RFC 5280, 4.2", extension(ac, false, []byte("garbage"))),
		proxy("an empty attribute certificate", "ok RFC 5280, 4.2", extension(ac, false, nil)),
		proxy("attribute certificates, no AC in them", "ok RFC 5280, 4.2",
			extension(ac, false, tlv(tagSeq, tlv(tagSeq)))),
		refused(proxy("critical attribute certificates", unknown, extension(ac, true, tlv(tagSeq, tlv(tagSeq)))),
			trust.CriticalExtension),
	}
}

// fileRows are about the layout of the file.
func fileRows() []row {
	good := func(what string, layout func(b *bench, leaf *holder) []byte) row {
		return row{name: "files/" + what, make: func(b *bench) *holder {
			leaf := b.proxy(b.proxy(b.user()))
			b.file = layout(b, leaf)
			return leaf
		}}
	}
	bad := func(what string, code trust.Code, layout func(b *bench, leaf *holder) []byte) row {
		r := good(what, layout)
		r.twin, r.code = "paths/2 proxies", code
		return r
	}
	noted := func(why string, r row) row { r.why = why; return r }
	key := func(h *holder) []byte { return keyPEM(h.key) }
	return []row{
		good("root sent along", func(b *bench, h *holder) []byte { return append(h.file(), b.ca().pem()...) }),
		good("key first", func(_ *bench, h *holder) []byte {
			return slices.Concat(key(h), h.pem(), h.above.pem(), h.above.above.pem())
		}),
		good("key last", func(_ *bench, h *holder) []byte {
			return slices.Concat(h.pem(), h.above.pem(), h.above.above.pem(), key(h))
		}),
		good("user before the proxy above", func(_ *bench, h *holder) []byte {
			return slices.Concat(h.pem(), key(h), h.above.above.pem(), h.above.pem())
		}),
		noted("the key says which certificate is the leaf",
			good("user first, proxy last", func(_ *bench, h *holder) []byte {
				return slices.Concat(h.above.above.pem(), h.above.pem(), h.pem(), key(h))
			})),
		good("user twice", func(_ *bench, h *holder) []byte { return append(h.file(), h.above.above.pem()...) }),
		good("proxy twice", func(_ *bench, h *holder) []byte { return append(h.file(), h.pem()...) }),
		good("root before the user", func(b *bench, h *holder) []byte {
			return slices.Concat(h.pem(), key(h), h.above.pem(), b.ca().pem(), h.above.above.pem())
		}),
		good("somebody else's certificate in it", func(b *bench, h *holder) []byte {
			return append(h.file(), b.user(named(dn(ECUserName))).pem()...)
		}),
		good("CRLF line ends", func(_ *bench, h *holder) []byte {
			return bytes.ReplaceAll(h.file(), []byte("\n"), []byte("\r\n"))
		}),
		good("text between the blocks", func(_ *bench, h *holder) []byte {
			return bytes.ReplaceAll(h.file(), []byte("-----BEGIN"), []byte("subject=/O=Grid\nissuer : x\n\n-----BEGIN"))
		}),
		good("Bag Attributes", func(_ *bench, h *holder) []byte {
			return bytes.ReplaceAll(h.file(), []byte("-----BEGIN"),
				[]byte("Bag Attributes\n    localKeyID: 01 00\n-----BEGIN"))
		}),
		good("blanks after the lines", func(_ *bench, h *holder) []byte {
			return bytes.ReplaceAll(h.file(), []byte("\n"), []byte("  \n"))
		}),
		good("lines of 76", func(_ *bench, h *holder) []byte { return wide(h.file()) }),
		good("no newline at the end", func(_ *bench, h *holder) []byte { return bytes.TrimSpace(h.file()) }),
		good("PKCS#8 key", func(_ *bench, h *holder) []byte {
			return slices.Concat(h.pem(), pkcs8PEM(h.key), h.above.pem(), h.above.above.pem())
		}),
		good("X509 CERTIFICATE", func(_ *bench, h *holder) []byte {
			return bytes.ReplaceAll(h.file(), []byte(" CERTIFICATE"), []byte(" X509 CERTIFICATE"))
		}),
		good("TRUSTED CERTIFICATE beside", func(b *bench, h *holder) []byte {
			return append(h.file(), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: b.ca().der})...)
		}),
		noted("none of the others was asked", good("PKCS#12", func(b *bench, h *holder) []byte { return b.pkcs12(h) })),
		bad("user left out", trust.UnknownCA, func(_ *bench, h *holder) []byte {
			return slices.Concat(h.pem(), key(h), h.above.pem())
		}),
		bad("proxy above left out", trust.NameChaining, func(_ *bench, h *holder) []byte {
			return slices.Concat(h.pem(), key(h), h.above.above.pem())
		}),
		bad("another's key", Unreadable, func(b *bench, h *holder) []byte {
			return slices.Concat(h.pem(), keyPEM(keyOf("rsa2048", "somebody")), h.above.pem(), h.above.above.pem())
		}),
		bad("no certificate", Unreadable, func(_ *bench, h *holder) []byte { return key(h) }),
		bad("empty", Unreadable, func(*bench, *holder) []byte { return []byte{} }),
		bad("a certificate cut off", Unreadable, func(_ *bench, h *holder) []byte {
			return slices.Concat(h.pem()[:400], key(h))
		}),
		noted("what follows is part of nothing", bad("bytes after a certificate", Unreadable,
			func(_ *bench, h *holder) []byte {
				longer := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: append(slices.Clone(h.der), 0)})
				return slices.Concat(longer, key(h), h.above.pem(), h.above.above.pem())
			})),
		{name: "files/serial of the key's certificate changed", twin: "names/proxy", code: trust.BadSignature,
			make: func(b *bench) *holder {
				leaf := b.proxy(b.user(), having(extension(gsi.OIDProxyCertInfo, true, info(gsi.OIDLimited))),
					withSerial(big.NewInt(0x01020304)))
				leaf.der = bytes.Replace(leaf.der, []byte{1, 2, 3, 4}, []byte{1, 2, 3, 5}, 1)
				return leaf
			}},
	}
}

// wide writes PEM in longer lines than is usual.
func wide(file []byte) []byte {
	var out []byte
	for block, rest := pem.Decode(file); block != nil; block, rest = pem.Decode(rest) {
		lines := bytes.Split(bytes.TrimSpace(pem.EncodeToMemory(block)), []byte("\n"))
		body := bytes.Join(lines[1:len(lines)-1], nil)
		out = append(append(out, lines[0]...), '\n')
		for part := range slices.Chunk(body, 76) {
			out = append(append(out, part...), '\n')
		}
		out = append(append(out, lines[len(lines)-1]...), '\n')
	}
	return out
}

func (b *bench) pkcs12(h *holder) []byte {
	var more []*x509.Certificate
	for _, above := range h.chain()[1:] {
		more = append(more, Must(x509.ParseCertificate(above.der)))
	}
	return Must(pkcs12.Modern.WithRand(rand.Reader).Encode(h.key, Must(x509.ParseCertificate(h.der)), more, Passphrase))
}
