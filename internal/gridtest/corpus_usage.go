package gridtest

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"time"

	"gsigw/gsi"
	"gsigw/trust"
)

var idExtKeyUsage = asn1.ObjectIdentifier{2, 5, 29, 37}

func extUsage(critical bool, purposes ...int) pkix.Extension {
	var ids [][]byte
	for _, p := range purposes {
		ids = append(ids, derOID(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, p}))
	}
	return extension(idExtKeyUsage, critical, tlv(tagSeq, ids...))
}

const serverAuth, clientAuth, codeSigning, emailProtection = 1, 2, 3, 4

// usageRows are about keyUsage and extKeyUsage of users and proxies; RFC 3820 (3.6) asks for digitalSignature of who
// issues a proxy, and nothing else.
func usageRows() []row {
	good := func(what string, make func(*bench) *holder) row {
		return row{name: "usage/" + what, rfc: "ok RFC 3820, 3.6", make: make}
	}
	bad := func(what string, make func(*bench) *holder) row {
		return row{name: "usage/" + what, twin: "names/proxy", rfc: "no RFC 3820, 3.6", code: trust.KeyUsage,
			make: make}
	}
	optional := func(e pkix.Extension) pkix.Extension { e.Critical = false; return e }
	return []row{
		good("user with nonRepudiation", func(b *bench) *holder {
			return b.proxy(b.user(having(usage(digitalSignature, nonRepudiation, keyEncipherment))))
		}),
		good("user with digitalSignature alone", func(b *bench) *holder {
			return b.proxy(b.user(having(usage(digitalSignature))))
		}),
		good("user without keyUsage", func(b *bench) *holder { return b.proxy(b.user(without(idKeyUsage))) }),
		good("user whose keyUsage is not critical", func(b *bench) *holder {
			return b.proxy(b.user(having(optional(usage(digitalSignature, keyEncipherment)))))
		}),
		good("neither has keyUsage", func(b *bench) *holder {
			return b.proxy(b.user(without(idKeyUsage)), without(idKeyUsage))
		}),
		good("proxy without keyUsage", func(b *bench) *holder { return b.proxy(b.user(), without(idKeyUsage)) }),
		good("proxy whose keyUsage is not critical", func(b *bench) *holder {
			return b.proxy(b.user(), having(optional(usage(digitalSignature, keyEncipherment))))
		}),
		good("proxy with usages that its user lacks", func(b *bench) *holder {
			return b.proxy(b.user(having(usage(digitalSignature))),
				having(usage(digitalSignature, keyEncipherment, dataEncipherment)))
		}),
		good("proxy with nonRepudiation", func(b *bench) *holder {
			return b.proxy(b.user(), having(usage(digitalSignature, nonRepudiation)))
		}),
		good("proxy with keyCertSign", func(b *bench) *holder {
			return b.proxy(b.user(), having(usage(digitalSignature, keyCertSign)))
		}),
		good("user with keyCertSign that is no CA", func(b *bench) *holder {
			return b.proxy(b.user(having(usage(digitalSignature, keyCertSign))))
		}),
		good("last proxy without digitalSignature", func(b *bench) *holder {
			return b.proxy(b.user(), having(usage(keyEncipherment)))
		}),
		good("user without digitalSignature and no proxy", func(b *bench) *holder {
			return b.user(having(usage(keyEncipherment)))
		}),
		bad("user without digitalSignature", func(b *bench) *holder {
			return b.proxy(b.user(having(usage(keyEncipherment))))
		}),
		bad("user with nonRepudiation alone", func(b *bench) *holder {
			return b.proxy(b.user(having(usage(nonRepudiation))))
		}),
		bad("user with keyCertSign alone", func(b *bench) *holder {
			return b.proxy(b.user(having(usage(keyCertSign))))
		}),
		bad("proxy above without digitalSignature", func(b *bench) *holder {
			return b.proxy(b.proxy(b.user(), having(usage(keyEncipherment))))
		}),
		bad("proxy above without digitalSignature, not critical", func(b *bench) *holder {
			return b.proxy(b.proxy(b.user(), having(optional(usage(keyEncipherment)))))
		}),
		{name: "usage/legacy below a user without digitalSignature", twin: "mixed/legacy", code: trust.KeyUsage,
			make: func(b *bench) *holder { return b.legacy(b.user(having(usage(keyEncipherment))), "proxy") }},
		{name: "usage/no bit at all", twin: "names/proxy", rfc: "no RFC 5280, 4.2.1.3", code: trust.KeyUsage,
			make: func(b *bench) *holder {
				return b.proxy(b.user(having(extension(idKeyUsage, true, tlv(tagBits, []byte{0})))))
			}},
		{name: "usage/not a BIT STRING", twin: "names/proxy", rfc: "no RFC 5280, 4.2.1.3", code: Unreadable,
			make: func(b *bench) *holder { return b.proxy(b.user(having(extension(idKeyUsage, true, tlv(tagNull))))) }},
		good("extended: user for clients", func(b *bench) *holder {
			return b.proxy(b.user(having(extUsage(false, clientAuth))))
		}),
		good("extended: user for clients, critical", func(b *bench) *holder {
			return b.proxy(b.user(having(extUsage(true, clientAuth))))
		}),
		good("extended: user for servers", func(b *bench) *holder {
			return b.proxy(b.user(having(extUsage(false, serverAuth))))
		}),
		good("extended: user for e-mail, critical", func(b *bench) *holder {
			return b.proxy(b.user(having(extUsage(true, emailProtection))))
		}),
		good("extended: proxy for clients", func(b *bench) *holder {
			return b.proxy(b.user(), having(extUsage(false, clientAuth)))
		}),
		good("extended: proxy for what its user is not", func(b *bench) *holder {
			return b.proxy(b.user(having(extUsage(false, clientAuth))), having(extUsage(false, codeSigning)))
		}),
	}
}

// timeRows are about the dates of each link.
func timeRows() []row {
	type when struct {
		what string
		span func(now time.Time) (from, to time.Time)
		code trust.Code
	}
	bad := []when{
		{"expired", func(n time.Time) (time.Time, time.Time) { return n.AddDate(-2, 0, 0), n.Add(-time.Hour) },
			trust.Expired},
		{"not valid yet", func(n time.Time) (time.Time, time.Time) { return n.Add(time.Hour), n.AddDate(1, 0, 0) },
			trust.NotYetValid},
		{"ends before it starts", func(n time.Time) (time.Time, time.Time) {
			return n.Add(time.Hour),
				n.Add(-time.Hour)
		}, trust.Expired},
	}
	var rows []row
	for _, w := range bad {
		dates := func(b *bench) change { return valid(w.span(b.now)) }
		for who, make := range map[string]func(*bench) *holder{
			"user":        func(b *bench) *holder { return b.user(dates(b)) },
			"proxy":       func(b *bench) *holder { return b.proxy(b.user(), dates(b)) },
			"proxy above": func(b *bench) *holder { return b.proxy(b.proxy(b.user(), dates(b))) },
			"user above":  func(b *bench) *holder { return b.proxy(b.user(dates(b))) },
			"CA between": func(b *bench) *holder {
				root := b.own()
				return b.proxy(b.userOf(b.sub(root, subName, dates(b))))
			},
			"root":         func(b *bench) *holder { b.own(dates(b)); return b.proxy(b.user()) },
			"legacy proxy": func(b *bench) *holder { return b.legacy(b.user(), "proxy", dates(b)) },
		} {
			twin := map[string]string{"user": "names/user", "proxy": "names/proxy", "proxy above": "paths/2 proxies",
				"user above": "names/proxy",
				"CA between": "ca/below another", "root": "names/proxy", "legacy proxy": "mixed/legacy"}[who]
			rfc := "no RFC 5280, 6.1.3"
			if who == "root" || who == "legacy proxy" {
				rfc = ""
			}
			rows = append(rows, row{name: fmt.Sprintf("times/%s %s", who, w.what), twin: twin, rfc: rfc, code: w.code,
				make: make})
		}
	}
	return append(sortedByName(rows), oddTimes()...)
}

func oddTimes() []row {
	good := func(what, rfc string, make func(*bench) *holder) row {
		return row{name: "times/" + what, rfc: rfc, make: make}
	}
	return []row{
		good("proxy outlives its user", "ok RFC 3820, 4.1.3", func(b *bench) *holder {
			return b.proxy(b.user(valid(b.now.Add(-time.Hour), b.now.Add(time.Hour))))
		}),
		good("user outlives the CA", "ok RFC 5280, 6.1", func(b *bench) *holder {
			b.own(valid(b.now.AddDate(-1, 0, 0), b.now.AddDate(0, 0, 7)))
			return b.proxy(b.user())
		}),
		good("proxy older than its user", "ok RFC 3820, 4.1.3", func(b *bench) *holder {
			return b.proxy(b.user(), valid(b.now.AddDate(-1, 0, 0), b.now.Add(time.Hour)))
		}),
		good("no end (9999)", "ok RFC 5280, 4.1.2.5", func(b *bench) *holder {
			return b.proxy(b.user(valid(b.now.Add(-time.Hour), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC))))
		}),
		good("root until 2060", "ok RFC 5280, 4.1.2.5", func(b *bench) *holder {
			b.own(valid(b.now.AddDate(-1, 0, 0), time.Date(2060, 1, 1, 0, 0, 0, 0, time.UTC)))
			return b.proxy(b.user())
		}),
		good("GeneralizedTime before 2050", "", func(b *bench) *holder {
			return b.proxy(b.user(func(c *cert) {
				c.notBefore, c.notAfter = generalTime(b.now.Add(-time.Hour)), generalTime(b.now.AddDate(1, 0, 0))
			}))
		}),
		good("root from 1960", "ok RFC 5280, 4.1.2.5", func(b *bench) *holder {
			b.own(valid(time.Date(1960, 1, 1, 0, 0, 0, 0, time.UTC), b.now.AddDate(1, 0, 0)))
			return b.proxy(b.user())
		}),
		{name: "times/UTCTime meant for 2060", twin: "names/proxy", rfc: "no RFC 5280, 4.1.2.5", code: trust.Expired,
			make: func(b *bench) *holder {
				return b.proxy(b.user(func(c *cert) {
					c.notAfter = utcTime(time.Date(2060, 1, 1, 0, 0, 0, 0,
						time.UTC))
				}))
			}},
		{name: "times/UTCTime without seconds", twin: "names/proxy", rfc: "no RFC 5280, 4.1.2.5.1",
			code: trust.Malformed,
			make: func(b *bench) *holder {
				return b.proxy(b.user(func(c *cert) {
					c.notAfter = tlv(tagUTCTime,
						[]byte(b.now.AddDate(1, 0, 0).Format("0601021504Z")))
				}))
			}},
		{name: "times/UTCTime with an offset", twin: "names/proxy", rfc: "no RFC 5280, 4.1.2.5.1",
			code: trust.Malformed,
			make: func(b *bench) *holder {
				return b.proxy(b.user(func(c *cert) {
					c.notAfter = tlv(tagUTCTime, []byte(b.now.AddDate(1, 0, 0).Format("060102150405")+"+0100"))
				}))
			}},
		{name: "times/GeneralizedTime with a fraction", twin: "names/proxy", rfc: "no RFC 5280, 4.1.2.5.2",
			code: Unreadable,
			make: func(b *bench) *holder {
				return b.proxy(b.user(func(c *cert) {
					c.notAfter = tlv(tagGeneralTime, []byte(b.now.AddDate(1, 0, 0).Format("20060102150405")+".5Z"))
				}))
			}},
	}
}

// serialRows are about serial numbers.
func serialRows() []row {
	var rows []row
	for _, s := range []struct {
		name string
		n    *big.Int
		rfc  string
		code trust.Code
	}{
		{"zero", big.NewInt(0), "ok RFC 5280, 4.1.2.2", ""},
		{"negative", big.NewInt(-4711), "ok RFC 5280, 4.1.2.2", ""},
		{"of 20 octets", new(big.Int).Lsh(big.NewInt(1), 158), "ok RFC 5280, 4.1.2.2", ""},
		{"of 30 octets", new(big.Int).Lsh(big.NewInt(1), 238), "", ""},
	} {
		rows = append(rows,
			row{name: "serials/user's " + s.name, rfc: s.rfc, code: s.code,
				make: func(b *bench) *holder { return b.proxy(b.user(withSerial(s.n))) }},
			row{name: "serials/proxy's " + s.name, rfc: s.rfc, code: s.code,
				make: func(b *bench) *holder { return b.proxy(b.user(), withSerial(s.n)) }},
			row{name: "serials/root's " + s.name, rfc: s.rfc, code: s.code,
				make: func(b *bench) *holder { b.own(withSerial(s.n)); return b.proxy(b.user()) }})
	}
	return append(rows, row{name: "serials/proxy's is its user's", rfc: "ok RFC 3820, 3.3",
		make: func(b *bench) *holder {
			user := b.user()
			return b.proxy(user, withSerial(user.serial),
				having(extension(gsi.OIDProxyCertInfo, true, info(gsi.OIDInheritAll))))
		}})
}
