package voms_test

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
	"gsigw/trust"
	"gsigw/voms"
)

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func newGrid(t testing.TB) *gridtest.VOMSGrid {
	t.Helper()
	g, err := gridtest.NewVOMSGrid(t.TempDir(), gridtest.PKIOptions{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// open reads the grid's vomsdir as it now is.
func open(t testing.TB, g *gridtest.VOMSGrid, o voms.Options) *voms.Dir {
	t.Helper()
	store, err := trust.Open(g.TrustDir, trust.Options{})
	if err != nil {
		t.Fatal(err)
	}
	o.Trust = store
	dir, err := voms.Open(g.VOMSDir, o)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func verify(t testing.TB, d *voms.Dir, chain []*x509.Certificate) *voms.Result {
	t.Helper()
	result, err := d.Verify(chain, now)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func TestVerify_ChecksEveryRule(t *testing.T) {
	for _, c := range gridtest.VOMSCases {
		t.Run(c.Name, func(t *testing.T) {
			g := newGrid(t)
			chain := c.Make(g)
			result := verify(t, open(t, g, voms.Options{Hosts: []string{gridtest.VOMSTarget}}), chain)
			var code voms.Code
			for _, refused := range result.Refused {
				code = refused.Code
				t.Log(refused)
				if refused.Remedy == "" {
					t.Error("without a remedy")
				}
			}
			if string(code) != c.Code {
				t.Errorf("refused for %q, want %q", code, c.Code)
			}
			if (len(result.Attributes) > 0) != (c.Code == "") {
				t.Error("believed:", result.Attributes)
			}
		})
	}
}

func TestPseudos_AreNeverBelieved(t *testing.T) {
	g := newGrid(t)
	proxy := gridtest.Must(g.Proxy(gsi.Limits{Extensions: []pkix.Extension{{Id: voms.OIDPseudo, Value: []byte("SIGLEN: 0")}}}))
	if result := verify(t, open(t, g, voms.Options{}), proxy.Chain); result.Attributes != nil || result.Refused != nil {
		t.Errorf("%+v", result)
	}
}

func TestVerify_SaysWhatTheAuthoritySays(t *testing.T) {
	g := newGrid(t)
	ac := g.Good()
	ac.Generic = []gridtest.Tag{{Name: "nickname", Value: "jane", Qualifier: "testvo"}}
	ac.Targets = []string{"GSIGW.example.org"}
	a := verify(t, open(t, g, voms.Options{Hosts: []string{"localhost", gridtest.VOMSTarget}}), g.Chain(ac)).Attributes[0]
	if a.VO != gridtest.VO || a.Server != gridtest.VOMSServer || a.Holder != gridtest.UserName || a.Issuer != gridtest.VOMSName {
		t.Errorf("%+v", a)
	}
	if want := []voms.FQAN{{Group: "/testvo"}, {Group: "/testvo/prod", Role: "admin"}}; !slices.Equal(a.FQANs, want) {
		t.Error(a.FQANs)
	}
	if want := []voms.GenericAttribute{{Name: "nickname", Value: "jane", Qualifier: "testvo"}}; !slices.Equal(a.Generic, want) {
		t.Error(a.Generic)
	}
	if !a.NotBefore.Equal(now.Add(-time.Hour)) || !a.NotAfter.Equal(now.Add(11*time.Hour)) || !a.Until.Equal(a.NotAfter) {
		t.Error(a.NotBefore, a.NotAfter, a.Until)
	}
	if !slices.Equal(a.Targets, ac.Targets) || a.Serial.Sign() <= 0 {
		t.Error(a.Targets, a.Serial)
	}
}

// dCache#7413: an error that does not say who was to vouch for what helps nobody.
func TestVerify_NamesAuthorityVOAndFQANsInARefusal(t *testing.T) {
	g := newGrid(t)
	ac := g.Good()
	ac.FQANs = []string{"/testvo/a", "/testvo/b", "/testvo/c", "/testvo/d/Role=r", "/testvo/e", "/testvo/f"}
	chain := g.Chain(ac)
	g.AA.WriteVOMSFile(g.VOMSDir, gridtest.VOMSHost+".lsc", gridtest.HostName+"\n"+gridtest.CAName+"\n")
	refused := verify(t, open(t, g, voms.Options{}), chain).Refused[0]
	if refused.VO != gridtest.VO || refused.Issuer != gridtest.VOMSName || len(refused.FQANs) != 6 {
		t.Errorf("%+v", refused)
	}
	for _, word := range []string{gridtest.VOMSName, "the VO testvo", "/testvo/d/Role=r, and 2 more", "testvo/voms.example.org.lsc", gridtest.VOMSName + " | " + gridtest.CAName} {
		if !strings.Contains(refused.Error(), word) {
			t.Errorf("%q is not in: %v", word, refused)
		}
	}
}

// A qualifier says with what of the VO an attribute was given: another VO's is not the authority's to give.
func TestVerify_RefusesGenericAttributesOfAnotherVO(t *testing.T) {
	g := newGrid(t)
	dir := open(t, g, voms.Options{})
	for qualifier, code := range map[string]voms.Code{
		"testvo": "", "": "", "/testvo": "", "/testvo/prod": "", "/testvo/prod/Role=admin": "",
		"atlas": voms.ForeignFQAN, "/atlas": voms.ForeignFQAN, "/atlas/testvo": voms.ForeignFQAN, "testvo2": voms.ForeignFQAN,
		"/testvo2": voms.ForeignFQAN, "testvo/prod": voms.ForeignFQAN, "any words": voms.ForeignFQAN,
	} {
		ac := g.Good()
		ac.Generic = []gridtest.Tag{{Name: "nickname", Value: "jane", Qualifier: gridtest.VO}, {Name: "nickname", Value: "jane", Qualifier: qualifier}}
		result := verify(t, dir, g.Chain(ac))
		if code == "" && len(result.Attributes) != 1 || code != "" && (len(result.Refused) != 1 || result.Refused[0].Code != code) {
			t.Errorf("%q: %+v", qualifier, result)
		}
	}
}

func TestVerify_RefusesAKeyIdentifierOfAnotherCA(t *testing.T) {
	g := newGrid(t)
	ac := g.Good()
	ac.Change = func(p *gridtest.ACParts) {
		issuer := gridtest.Wrap(0xa1, gridtest.DirectoryName(g.Other.Cert.RawSubject))
		p.Set(pkix.Extension{Id: gridtest.OIDKeyID, Value: gridtest.Wrap(0x30, issuer, gridtest.Wrap(0x82, g.AA.Leaf().SerialNumber.Bytes()))})
	}
	if refused := verify(t, open(t, g, voms.Options{}), g.Chain(ac)).Refused; len(refused) != 1 || refused[0].Code != voms.KeyMismatch {
		t.Error(refused)
	}
}

func TestVerify_OneRefusedLeavesTheOthers(t *testing.T) {
	g := newGrid(t)
	expired, foreign := g.Good(), g.Good()
	expired.NotAfter = now.Add(-time.Second)
	foreign.FQANs = []string{"/atlas"}
	result := verify(t, open(t, g, voms.Options{}), g.Chain(expired, g.Good(), foreign))
	if len(result.Attributes) != 1 || len(result.Refused) != 2 {
		t.Fatalf("%+v", result)
	}
	if !errors.Is(result.Refused[0], voms.Expired) || !errors.Is(result.Refused[0], gsi.ErrExpired) || !errors.Is(result.Refused[1], voms.ForeignFQAN) {
		t.Error(result.Refused)
	}
	if errors.Is(result.Refused[1], gsi.ErrExpired) {
		t.Error("everything is out of time")
	}
}

func TestVerify_NearestProxyReplacesThoseAbove(t *testing.T) {
	g := newGrid(t)
	above := g.Carry(g.User, gridtest.Must(g.AA.Issue(g.Good())))
	ac := g.Good()
	ac.FQANs = []string{"/testvo/near"}
	below := g.Carry(above, gridtest.Must(g.AA.Issue(ac)))
	further := gridtest.Must(g.ProxyOf(below, gsi.Limits{}))
	result := verify(t, open(t, g, voms.Options{}), further.Chain)
	if len(result.Attributes) != 1 || result.Attributes[0].FQANs[0].Group != "/testvo/near" {
		t.Errorf("%+v", result.Attributes)
	}
}

// What a CA certifies is not the user's to fill.
func TestACs_AreNotTakenFromAnEndEntity(t *testing.T) {
	g := newGrid(t)
	extension := gridtest.ACExtension(gridtest.Must(g.AA.Issue(g.Good())))
	c := gridtest.Must(g.CA.Issue(gridtest.Request{Name: gridtest.UserName, Change: func(t *x509.Certificate) { t.ExtraExtensions = []pkix.Extension{extension} }}))
	if acs, err := voms.ACs(c.Chain); len(acs) != 0 || err != nil {
		t.Error(acs, err)
	}
	if acs, err := voms.ACs(g.User.Chain); len(acs) != 0 || err != nil {
		t.Error(acs, err)
	}
}

// An authority's own end is the attributes' too: indigo-iam/iam#1214.
func TestVerify_UntilIsTheAuthoritysEndWhenThatIsEarlier(t *testing.T) {
	g := newGrid(t)
	end := now.Add(time.Hour)
	g.AA.Credential = gridtest.Must(g.CA.Issue(gridtest.Request{Name: gridtest.VOMSName, Key: g.AA.Key, NotAfter: end}))
	chain, dir := g.Chain(g.Good()), open(t, g, voms.Options{})
	result := verify(t, dir, chain)
	if a := result.Attributes[0]; !a.Until.Equal(end) || !a.NotAfter.Equal(now.Add(11*time.Hour)) {
		t.Error(a.Until, a.NotAfter)
	}
	if !result.NotAfter().Equal(end) {
		t.Error(result.NotAfter())
	}
	later, err := dir.Verify(chain, end.Add(time.Second))
	if err != nil || len(later.Attributes) != 0 || later.Refused[0].Code != voms.Untrusted {
		t.Error(later, err)
	}
	var cause *trust.Error
	if !errors.As(later.Refused[0], &cause) || cause.Code != trust.Expired {
		t.Error(later.Refused[0])
	}
}

func TestResult_NotAfterIsTheFirstEnd(t *testing.T) {
	g := newGrid(t)
	dir := open(t, g, voms.Options{})
	long, short := g.Good(), g.Good()
	long.NotAfter, short.NotAfter = now.Add(40*time.Hour), now.Add(3*time.Hour)
	if end := verify(t, dir, g.Chain(long)).NotAfter(); !end.Equal(now.Add(12 * time.Hour)) {
		t.Error("the proxy ends first:", end)
	}
	if end := verify(t, dir, g.Chain(long, short, long)).NotAfter(); !end.Equal(short.NotAfter) {
		t.Error("the second attributes end first:", end)
	}
}

func TestVerify_StretchesTheDatesByTheSkewAndNoMore(t *testing.T) {
	g := newGrid(t)
	early, late := g.Good(), g.Good()
	early.NotBefore, late.NotAfter = now.Add(time.Minute), now.Add(-time.Minute)
	chain := g.Chain(early, late)
	for skew, believed := range map[time.Duration]int{0: 0, 59 * time.Second: 0, time.Minute: 2} {
		if result := verify(t, open(t, g, voms.Options{Skew: skew}), chain); len(result.Attributes) != believed {
			t.Errorf("%v: %v", skew, result.Refused)
		}
	}
}

func TestVerify_RefusesSHA1WhereTheOptionsDo(t *testing.T) {
	g := newGrid(t)
	ac := g.Good()
	ac.Digest = crypto.SHA1
	chain := g.Chain(ac)
	if result := verify(t, open(t, g, voms.Options{RefuseSHA1: true}), chain); len(result.Refused) != 1 || result.Refused[0].Code != voms.Algorithm {
		t.Errorf("%+v", result)
	}
}

func TestVerify_AnyTargetIsForThosePassingOn(t *testing.T) {
	g := newGrid(t)
	ac := g.Good()
	ac.Targets = []string{"other.example.org"}
	chain := g.Chain(ac)
	if result := verify(t, open(t, g, voms.Options{AnyTarget: true}), chain); len(result.Attributes) != 1 {
		t.Error(result.Refused)
	}
	refused := verify(t, open(t, g, voms.Options{}), chain).Refused
	if len(refused) != 1 || !strings.Contains(refused[0].Error(), "called nothing here") {
		t.Error(refused)
	}
}

// An AA whose chain has a CA between it and the root names both in its LSC file.
func TestVerify_TakesAuthorityBelowAnIntermediateCA(t *testing.T) {
	g := newGrid(t)
	middle := gridtest.Must(g.CA.Issue(gridtest.Request{Name: "/O=Grid/OU=gsigw test/CN=Middle CA", CA: true}))
	ca := &gridtest.Authority{Cert: middle.Leaf(), Key: middle.Key}
	aa := gridtest.Must(ca.Issue(gridtest.Request{Name: gridtest.VOMSName, Key: g.AA.Key, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour)}))
	g.AA.Credential = &gsi.Credential{Chain: append(aa.Chain, middle.Leaf()), Key: aa.Key}
	chain := g.Chain(g.Good())
	const leaf, inner = gridtest.VOMSName + "\n/O=Grid/OU=gsigw test/CN=Middle CA\n", "/O=Grid/OU=gsigw test/CN=Middle CA\n" + gridtest.CAName + "\n"
	for _, test := range []struct {
		lsc  string
		code voms.Code
	}{{leaf + inner, ""}, {leaf, voms.LSCMismatch}, {inner + leaf, voms.LSCMismatch}, {leaf + inner + inner, voms.LSCMismatch}} {
		g.AA.WriteVOMSFile(g.VOMSDir, gridtest.VOMSHost+".lsc", test.lsc)
		result := verify(t, open(t, g, voms.Options{}), chain)
		if test.code == "" && len(result.Attributes) != 1 || test.code != "" && result.Refused[0].Code != test.code {
			t.Errorf("%q: %+v", test.lsc, result.Refused)
		}
	}
}

// An authority that has a new key, and sends the old certificate along: the local one decides.
func TestVerify_TriesTheLocalCertificateToo(t *testing.T) {
	g := newGrid(t)
	stale := gridtest.Must(g.CA.Issue(gridtest.Request{Name: gridtest.VOMSName, Key: g.Host.Key}))
	ac := g.Good()
	ac.Change = func(p *gridtest.ACParts) {
		p.Set(pkix.Extension{Id: gridtest.OIDCertificates, Value: gridtest.Certificates(stale.Leaf())})
	}
	chain := g.Chain(ac)
	if refused := verify(t, open(t, g, voms.Options{}), chain).Refused; len(refused) != 1 || refused[0].Code != voms.BadSignature {
		t.Error(refused)
	}
	writeFile(t, g.VOMSDir+"/testvo/local.pem", pemOf(g.AA.Leaf()))
	if result := verify(t, open(t, g, voms.Options{}), chain); len(result.Attributes) != 1 {
		t.Error(result.Refused)
	}
}

func TestVerify_RefusesTheChainBeforeItsAttributes(t *testing.T) {
	g := newGrid(t)
	stranger := gridtest.Must(g.Other.Issue(gridtest.Request{Name: gridtest.UserName, Key: g.User.Key, Change: func(c *x509.Certificate) { c.SerialNumber = g.User.Leaf().SerialNumber }}))
	chain := g.Carry(stranger, gridtest.Must(g.AA.Issue(g.Good()))).Chain
	result, err := open(t, g, voms.Options{}).Verify(chain, now)
	if result != nil || !errors.Is(err, trust.UnknownCA) {
		t.Error(result, err)
	}
}

func TestVerify_BelievesNothingWithoutATrustStore(t *testing.T) {
	g := newGrid(t)
	dir := gridtest.Must(voms.Open(g.VOMSDir, voms.Options{}))
	chain := g.Chain(g.Good())
	if result, err := dir.Verify(chain, now); result != nil || err == nil {
		t.Error(result, err)
	}
	id := gridtest.Must(gsi.IdentityOf(chain))
	if a, err := dir.VerifyAC(gridtest.Must(voms.ACs(chain))[0], id, now); a != nil || err == nil {
		t.Error(a, err)
	}
}
