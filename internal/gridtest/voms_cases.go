package gridtest

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	der "golang.org/x/crypto/cryptobyte/asn1"

	"gsigw/gsi"
)

// VOMSGrid is a test PKI with an attribute authority and a vomsdir that trusts it.
type VOMSGrid struct {
	*PKI
	AA      *AA
	VOMSDir string
	Now     time.Time
}

// NewVOMSGrid makes one in a directory.
func NewVOMSGrid(dir string, o PKIOptions) (*VOMSGrid, error) {
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	pki, err := NewPKI(dir, o)
	if err != nil {
		return nil, err
	}
	aa, err := pki.NewAA()
	if err != nil {
		return nil, err
	}
	if pki.User, err = pki.identified(UserName); err != nil {
		return nil, err
	}
	g := &VOMSGrid{PKI: pki, AA: aa, VOMSDir: filepath.Join(dir, "vomsdir"), Now: o.Now}
	return g, errors.Join(aa.WriteLSC(g.VOMSDir), pki.WritePair("user", pki.User), pki.WritePair("voms", aa.Credential))
}

// Good is what the authority says of the user when nothing is wrong.
func (g *VOMSGrid) Good() AC {
	return AC{Holder: g.User.Leaf(), FQANs: []string{"/testvo/Role=NULL/Capability=NULL", "/testvo/prod/Role=admin/Capability=NULL"}}
}

// Chain has the authority say it, and makes a proxy of the user's that carries it.
func (g *VOMSGrid) Chain(acs ...AC) []*x509.Certificate { return g.chainOf(g.AA, g.User, acs...) }

func (g *VOMSGrid) chainOf(aa *AA, user *gsi.Credential, acs ...AC) []*x509.Certificate {
	var all [][]byte
	for _, ac := range acs {
		all = append(all, Must(aa.Issue(ac)))
	}
	return g.Carry(user, all...).Chain
}

// Carry makes a proxy that carries attribute certificates.
func (g *VOMSGrid) Carry(user *gsi.Credential, acs ...[]byte) *gsi.Credential {
	return Must(g.ProxyOf(user, gsi.Limits{Extensions: []pkix.Extension{ACExtension(acs...)}}))
}

// with is a chain whose attribute certificate differs from the good one by one thing.
func with(change func(*VOMSGrid, *AC)) func(*VOMSGrid) []*x509.Certificate {
	return func(g *VOMSGrid) []*x509.Certificate {
		ac := g.Good()
		change(g, &ac)
		return g.Chain(ac)
	}
}

// parts differs in one of the pieces.
func parts(change func(*VOMSGrid, *ACParts)) func(*VOMSGrid) []*x509.Certificate {
	return with(func(g *VOMSGrid, ac *AC) { ac.Change = func(p *ACParts) { change(g, p) } })
}

// lsc has another LSC file.
func lsc(content func(*VOMSGrid) string) func(*VOMSGrid) []*x509.Certificate {
	return func(g *VOMSGrid) []*x509.Certificate {
		g.must(g.AA.WriteVOMSFile(g.VOMSDir, VOMSHost+".lsc", content(g)))
		return g.Chain(g.Good())
	}
}

func (g *VOMSGrid) must(err error) {
	if err != nil {
		panic(err)
	}
}

func (g *VOMSGrid) removeLSC() { g.must(os.Remove(filepath.Join(g.VOMSDir, VO, VOMSHost+".lsc"))) }

// signedBy has another certificate sign, which the LSC file names.
func signedBy(issue func(*VOMSGrid) *gsi.Credential) func(*VOMSGrid) []*x509.Certificate {
	return func(g *VOMSGrid) []*x509.Certificate {
		g.AA.Credential = issue(g)
		var lines []string
		for _, cert := range g.AA.Chain {
			lines = append(lines, gsi.OneLine(cert.RawSubject), gsi.OneLine(cert.RawIssuer))
		}
		g.must(g.AA.WriteVOMSFile(g.VOMSDir, VOMSHost+".lsc", strings.Join(lines, "\n")+"\n"))
		return g.Chain(g.Good())
	}
}

// issued asks a CA for another certificate of the authority's.
func issued(change func(*VOMSGrid, *Request)) func(*VOMSGrid) []*x509.Certificate {
	return signedBy(func(g *VOMSGrid) *gsi.Credential {
		key := g.AA.Key
		r := Request{Name: VOMSName, Key: key, Change: func(t *x509.Certificate) { t.SubjectKeyId = keyHash(key.Public()) }}
		change(g, &r)
		return Must(g.CA.Issue(r))
	})
}

// VOMSCase is a chain with attributes that are to be believed, or not.
type VOMSCase struct {
	Name string
	Code string // the refusal; empty: all is believed
	Make func(*VOMSGrid) []*x509.Certificate
}

// VOMSTarget is what the machine is called that is to judge the cases.
const VOMSTarget = "gsigw.example.org"

var unknown = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 8005, 100, 120, 82}

// VOMSCases are one for every rule about attribute certificates.
var VOMSCases = slices.Concat(vomsGood, vomsHolder, vomsContent, vomsExtensions, vomsSignature, vomsTrust, vomsEncoding)

var vomsGood = []VOMSCase{
	{"good", "", with(func(*VOMSGrid, *AC) {})},
	{"short FQANs", "", with(func(_ *VOMSGrid, ac *AC) { ac.FQANs = []string{"/testvo", "/testvo/Role=admin"} })},
	{"generic attributes", "", with(func(_ *VOMSGrid, ac *AC) {
		ac.Generic = []Tag{{"nickname", "jane", VO}, {"email", "j@example.org", VO}}
	})},
	{"for this host", "", with(func(_ *VOMSGrid, ac *AC) { ac.Targets = []string{"other.example.org", VOMSTarget} })},
	{"SHA-1", "", with(func(_ *VOMSGrid, ac *AC) { ac.Digest = crypto.SHA1 })},
	{"SHA-512", "", with(func(_ *VOMSGrid, ac *AC) { ac.Digest = crypto.SHA512 })},
	{"unknown extension", "", parts(func(_ *VOMSGrid, p *ACParts) { p.Set(pkix.Extension{Id: unknown, Value: []byte{5, 0}}) })},
	{"longer than its authority", "", issued(func(g *VOMSGrid, r *Request) { r.NotAfter = g.Now.Add(time.Hour) })},
	{"two VOs", "", func(g *VOMSGrid) []*x509.Certificate {
		second := *g.AA
		second.VO = "other.vo"
		g.must(second.WriteLSC(g.VOMSDir))
		return g.Carry(g.User, Must(second.Issue(AC{Holder: g.User.Leaf(), FQANs: []string{"/other.vo"}})), Must(g.AA.Issue(g.Good()))).Chain
	}},
	{"delegated further", "", func(g *VOMSGrid) []*x509.Certificate {
		carrier := g.Carry(g.User, Must(g.AA.Issue(g.Good())))
		return Must(g.ProxyOf(carrier, gsi.Limits{})).Chain
	}},
}

var vomsHolder = []VOMSCase{
	{"holder by issuer", "", parts(func(g *VOMSGrid, p *ACParts) {
		p.Holder = HolderOf(g.User.Leaf().RawIssuer, g.User.Leaf().SerialNumber)
	})},
	{"holder by name", "", parts(func(g *VOMSGrid, p *ACParts) { p.Holder = NamedHolder(g.User.Leaf().RawSubject) })},
	{"another holder", "holder-mismatch", with(func(g *VOMSGrid, ac *AC) { ac.Holder = g.ECUser.Leaf() })},
	{"another holder by name", "holder-mismatch", parts(func(g *VOMSGrid, p *ACParts) { p.Holder = NamedHolder(g.ECUser.Leaf().RawSubject) })},
	{"holder with another serial", "holder-mismatch", parts(func(g *VOMSGrid, p *ACParts) {
		p.Holder = HolderOf(g.User.Leaf().RawSubject, big.NewInt(4711))
	})},
	{"holder of another CA", "holder-mismatch", parts(func(g *VOMSGrid, p *ACParts) {
		p.Holder = HolderOf(g.Other.Cert.RawSubject, g.User.Leaf().SerialNumber)
	})},
	{"holder is a proxy", "holder-mismatch", func(g *VOMSGrid) []*x509.Certificate {
		first := Must(g.Proxy(gsi.Limits{}))
		ac := g.Good()
		ac.Holder = first.Leaf()
		return g.Carry(first, Must(g.AA.Issue(ac))).Chain
	}},
	{"holder by digest", "malformed", parts(func(_ *VOMSGrid, p *ACParts) { p.Holder = Wrap(der.SEQUENCE, Wrap(contextTag(2), []byte{10, 1, 0})) })},
	{"no holder", "malformed", parts(func(_ *VOMSGrid, p *ACParts) { p.Holder = Wrap(der.SEQUENCE) })},
}

var vomsContent = []VOMSCase{
	{"expired", "expired", with(func(g *VOMSGrid, ac *AC) {
		ac.NotBefore, ac.NotAfter = g.Now.Add(-9*time.Hour), g.Now.Add(-time.Hour)
	})},
	{"not valid yet", "not-yet-valid", with(func(g *VOMSGrid, ac *AC) { ac.NotBefore = g.Now.Add(time.Hour) })},
	{"ends before it begins", "malformed", with(func(g *VOMSGrid, ac *AC) { ac.NotAfter = g.Now.Add(-2 * time.Hour) })},
	{"no FQAN", "no-fqan", with(func(_ *VOMSGrid, ac *AC) { ac.FQANs = nil })},
	{"FQAN of another VO", "foreign-fqan", with(func(_ *VOMSGrid, ac *AC) { ac.FQANs = append(ac.FQANs, "/atlas/Role=production") })},
	{"FQAN of a VO with a longer name", "foreign-fqan", with(func(_ *VOMSGrid, ac *AC) { ac.FQANs = []string{"/testvo2"} })},
	{"FQAN that is none", "malformed", with(func(_ *VOMSGrid, ac *AC) { ac.FQANs = []string{"testvo"} })},
	{"FQAN in UTF8String", "malformed", parts(func(g *VOMSGrid, p *ACParts) {
		p.Attributes = [][]byte{FQANs(VO+"://"+VOMSServer, der.UTF8String, "/testvo")}
	})},
	{"no attributes", "malformed", parts(func(_ *VOMSGrid, p *ACParts) { p.Attributes = nil })},
	{"VOMS attribute twice", "malformed", parts(func(_ *VOMSGrid, p *ACParts) { p.Attributes = append(p.Attributes, p.Attributes[0]) })},
	{"no policy authority", "malformed", authority("")},
	{"policy authority without port", "malformed", authority("testvo://" + VOMSHost)},
	{"policy authority that is a path", "malformed", authority("../testvo://" + VOMSServer)},
	{"version 1", "malformed", parts(func(_ *VOMSGrid, p *ACParts) { p.Version = DER(func(b *Builder) { b.AddASN1Int64(0) }) })},
	{"serial of 21 bytes", "malformed", parts(func(_ *VOMSGrid, p *ACParts) {
		p.Serial = DER(func(b *Builder) { b.AddASN1BigInt(new(big.Int).Lsh(big.NewInt(1), 166)) })
	})},
	{"unique identifier of the issuer", "malformed", parts(func(_ *VOMSGrid, p *ACParts) {
		p.AfterAttributes = DER(func(b *Builder) { b.AddASN1BitString([]byte{1}) })
	})},
}

func authority(uri string) func(*VOMSGrid) []*x509.Certificate {
	return parts(func(_ *VOMSGrid, p *ACParts) { p.Attributes = [][]byte{FQANs(uri, der.OCTET_STRING, "/testvo")} })
}
