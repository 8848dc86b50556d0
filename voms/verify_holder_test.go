package voms_test

import (
	"crypto/x509"
	"math/big"
	"strings"
	"testing"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
	"gsigw/voms"
)

// RFC 3820, section 3.8.2: nothing of what its issuer may passes to an independent proxy. Whoever makes one chooses its
// serial number and its last CN, and so could make it fit what was said of others: of its issuer, whose name is that of
// its issuer indeed, and of anybody whose name is the issuer's and a CN.
func TestVerify_BelievesNothingOfAnIndependentProxy(t *testing.T) {
	g := newGrid(t)
	dir := open(t, g, voms.Options{})
	independent := gridtest.Must(g.ProxyOf(g.User, gsi.Limits{Type: gsi.RFCIndependent}))
	leaf := independent.Leaf()
	for name, holder := range map[string][]byte{
		"the user's":                          gridtest.HolderOf(g.User.Leaf().RawSubject, g.User.Leaf().SerialNumber),
		"the user's, with the serial chosen":  gridtest.HolderOf(g.User.Leaf().RawSubject, leaf.SerialNumber),
		"another's, with name and serial":     gridtest.HolderOf(leaf.RawSubject, leaf.SerialNumber),
		"another's, by the name that he took": gridtest.NamedHolder(leaf.RawSubject),
	} {
		ac := g.Good()
		ac.Change = func(p *gridtest.ACParts) { p.Holder = holder }
		der := gridtest.Must(g.AA.Issue(ac))
		for where, carrier := range map[string]*gsi.Credential{
			"carried by a proxy of it": g.Carry(independent, der),
			"carried above it":         gridtest.Must(g.ProxyOf(g.Carry(g.User, der), gsi.Limits{Type: gsi.RFCIndependent})),
		} {
			result := verify(t, dir, carrier.Chain)
			if len(result.Attributes) != 0 || len(result.Refused) != 1 || result.Refused[0].Code != voms.IndependentProxy {
				t.Errorf("%s, %s: %+v", name, where, result)
			}
		}
	}
}

// A holder by the names of two certificates has to be both.
func TestVerify_HolderInTwoFormsHasToMatchBoth(t *testing.T) {
	g := newGrid(t)
	user, other := g.User.Leaf(), g.ECUser.Leaf()
	dir := open(t, g, voms.Options{})
	for _, test := range []struct {
		serialOf, name *x509.Certificate
		ok             bool
	}{{user, user, true}, {user, other, false}, {other, user, false}} {
		ac := g.Good()
		ac.Change = func(p *gridtest.ACParts) {
			base := gridtest.HolderOf(test.serialOf.RawIssuer, test.serialOf.SerialNumber)
			name := gridtest.NamedHolder(test.name.RawSubject)
			p.Holder = gridtest.Wrap(0x30, base[2:], name[2:])
		}
		if result := verify(t, dir, g.Chain(ac)); (len(result.Attributes) == 1) != test.ok {
			t.Errorf("%+v: %v", test, result.Refused)
		}
	}
}

func TestVerify_NamesTheHolderInEveryForm(t *testing.T) {
	g := newGrid(t)
	dir := open(t, g, voms.Options{})
	base := gridtest.HolderOf(g.CA.Cert.RawSubject, big.NewInt(4711))
	name := gridtest.NamedHolder(g.ECUser.Leaf().RawSubject)
	for want, holder := range map[string][]byte{
		"they belong to the certificate 4711 of " + gridtest.CAName + ",":                                       base,
		"they belong to " + gridtest.ECUserName + ", and not":                                                   name,
		"they belong to " + gridtest.ECUserName + ", with the certificate 4711 of " + gridtest.CAName + ", and": gridtest.Wrap(0x30, base[2:], name[2:]),
	} {
		ac := g.Good()
		ac.Change = func(p *gridtest.ACParts) { p.Holder = holder }
		if refused := verify(t, dir, g.Chain(ac)).Refused; len(refused) != 1 || !strings.Contains(refused[0].Error(), want) {
			t.Errorf("%s: %v", want, refused)
		}
	}
}
