package gridtest

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	der "golang.org/x/crypto/cryptobyte/asn1"

	"gsigw/gsi"
)

var vomsExtensions = []VOMSCase{
	{"for another host", "wrong-target", with(func(_ *VOMSGrid, ac *AC) { ac.Targets = []string{"other.example.org"} })},
	{"for another host, not critical", "wrong-target", with(func(_ *VOMSGrid, ac *AC) {
		ac.Targets = []string{"other.example.org"}
		ac.Change = func(p *ACParts) { p.Critical(OIDTargets, false) }
	})},
	{"targets as RFC 5755 has them", "", parts(func(_ *VOMSGrid, p *ACParts) {
		p.Set(pkix.Extension{Id: OIDTargets, Critical: true, Value: Wrap(der.SEQUENCE, Wrap(der.SEQUENCE, Wrap(contextTag(0), URI(VOMSTarget))))})
	})},
	{"target group", "malformed", parts(func(_ *VOMSGrid, p *ACParts) {
		p.Set(pkix.Extension{Id: OIDTargets, Critical: true, Value: Wrap(der.SEQUENCE, Wrap(der.SEQUENCE, Wrap(contextTag(1), URI(VOMSTarget))))})
	})},
	{"no target", "malformed", with(func(_ *VOMSGrid, ac *AC) { ac.Targets = []string{} })},
	{"unknown critical extension", "critical-extension", parts(func(_ *VOMSGrid, p *ACParts) {
		p.Set(pkix.Extension{Id: unknown, Critical: true, Value: []byte{5, 0}})
	})},
	{"critical noRevAvail", "critical-extension", parts(func(_ *VOMSGrid, p *ACParts) { p.Critical(OIDNoRevAvail, true) })},
	{"critical key identifier", "critical-extension", parts(func(_ *VOMSGrid, p *ACParts) { p.Critical(OIDKeyID, true) })},
	{"no noRevAvail", "missing-extension", parts(func(_ *VOMSGrid, p *ACParts) { p.Drop(OIDNoRevAvail) })},
	{"no key identifier", "missing-extension", parts(func(_ *VOMSGrid, p *ACParts) { p.Drop(OIDKeyID) })},
	{"empty key identifier", "missing-extension", parts(func(_ *VOMSGrid, p *ACParts) { p.Set(pkix.Extension{Id: OIDKeyID, Value: Wrap(der.SEQUENCE)}) })},
	{"another key's identifier", "key-mismatch", parts(func(_ *VOMSGrid, p *ACParts) {
		p.Set(pkix.Extension{Id: OIDKeyID, Value: KeyID(make([]byte, 20))})
	})},
	{"key by issuer and serial", "", parts(func(g *VOMSGrid, p *ACParts) { p.Set(keyBySerial(g, g.AA.Leaf().SerialNumber)) })},
	{"key by another serial", "key-mismatch", parts(func(g *VOMSGrid, p *ACParts) { p.Set(keyBySerial(g, big.NewInt(4711))) })},
	{"extension twice", "malformed", parts(func(_ *VOMSGrid, p *ACParts) { p.Extensions = append(p.Extensions, p.Extensions[1]) })},
	{"no extensions", "missing-extension", parts(func(_ *VOMSGrid, p *ACParts) { p.Extensions = nil })},
	{"empty list of generic attributes", "", parts(func(_ *VOMSGrid, p *ACParts) {
		p.Set(pkix.Extension{Id: OIDTags, Value: Wrap(der.SEQUENCE, Wrap(der.SEQUENCE))})
	})},
	{"generic attributes of another VO", "malformed", parts(func(_ *VOMSGrid, p *ACParts) {
		p.Set(pkix.Extension{Id: OIDTags, Value: Tags("atlas://"+VOMSServer, Tag{"nickname", "jane", "atlas"})})
	})},
}

func keyBySerial(g *VOMSGrid, serial *big.Int) pkix.Extension {
	return pkix.Extension{Id: OIDKeyID, Value: Wrap(der.SEQUENCE, Wrap(contextTag(1), DirectoryName(g.AA.Leaf().RawIssuer)),
		Wrap(der.Tag(2).ContextSpecific(), serial.Bytes()))}
}

var vomsSignature = []VOMSCase{
	{"signed with another key", "bad-signature", with(func(g *VOMSGrid, ac *AC) { ac.Key = g.Host.Key })},
	{"FQAN changed", "bad-signature", with(func(_ *VOMSGrid, ac *AC) { ac.Tamper = replace("Role=admin", "Role=owner") })},
	{"another algorithm outside", "malformed", with(func(g *VOMSGrid, ac *AC) {
		ac.Algorithm = func(_, outer *[]byte) { *outer = Must(algorithmOf(g.AA.Key, crypto.SHA512)) }
	})},
	{"MD5", "algorithm", with(func(_ *VOMSGrid, ac *AC) { ac.Digest = crypto.MD5 })},
	{"unknown algorithm", "algorithm", with(func(_ *VOMSGrid, ac *AC) {
		ac.Algorithm = func(inner, outer *[]byte) {
			*inner = Wrap(der.SEQUENCE, DER(func(b *Builder) { b.AddASN1ObjectIdentifier(unknown) }))
			*outer = *inner
		}
	})},
	{"another issuer", "issuer-mismatch", parts(func(g *VOMSGrid, p *ACParts) {
		p.Issuer = Wrap(contextTag(0), Wrap(der.SEQUENCE, DirectoryName(g.Host.Leaf().RawSubject)))
	})},
	{"authority without a key identifier", "", issued(withoutKeyID)},
	{"P-256 authority", "", issued(func(_ *VOMSGrid, r *Request) {
		r.Key = Must(testKey(VOMSName, true))
		r.Change = func(t *x509.Certificate) { t.SubjectKeyId = keyHash(r.Key.Public()) }
	})},
}

func withoutKeyID(_ *VOMSGrid, r *Request) { r.Change = nil }

func replace(old, new string) func([]byte) []byte {
	return func(signed []byte) []byte { return []byte(strings.Replace(string(signed), old, new, 1)) }
}

var vomsTrust = []VOMSCase{
	{"no LSC file", "unknown-vo", func(g *VOMSGrid) []*x509.Certificate {
		g.must(os.RemoveAll(filepath.Join(g.VOMSDir, VO)))
		return g.Chain(g.Good())
	}},
	{"no LSC file of that host", "unknown-authority", func(g *VOMSGrid) []*x509.Certificate {
		g.AA.Server = "voms2.example.org:15000"
		return g.Chain(g.Good())
	}},
	{"LSC file of another authority", "lsc-mismatch", lsc(func(*VOMSGrid) string { return HostName + "\n" + CAName + "\n" })},
	{"LSC file of another CA", "lsc-mismatch", lsc(func(*VOMSGrid) string { return VOMSName + "\n" + OtherName + "\n" })},
	{"LSC file of a longer chain", "lsc-mismatch", lsc(func(*VOMSGrid) string { return VOMSName + "\n" + CAName + "\n" + CAName + "\n" + CAName + "\n" })},
	{"empty LSC file", "broken-lsc", lsc(func(*VOMSGrid) string { return "" })},
	{"LSC file of one line", "broken-lsc", lsc(func(*VOMSGrid) string { return VOMSName + "\n" })},
	{"second chain of the LSC file", "", lsc(func(*VOMSGrid) string {
		return HostName + "\n" + CAName + "\n------NEXT CHAIN------\n" + VOMSName + "\n" + CAName + "\n"
	})},
	{"LSC file with comments", "", lsc(func(*VOMSGrid) string { return "# ours\n\n" + VOMSName + "\n# by\n" + CAName + "\n" })},
	{"LSC file with CRLF", "", lsc(func(*VOMSGrid) string { return VOMSName + "\r\n" + CAName + "\r\n" })},
	{"no certificates", "unknown-authority", parts(func(_ *VOMSGrid, p *ACParts) { p.Drop(OIDCertificates) })},
	{"empty list of certificates", "unknown-authority", parts(func(_ *VOMSGrid, p *ACParts) {
		p.Set(pkix.Extension{Id: OIDCertificates, Value: Certificates()})
	})},
	{"local certificate", "", local(VO + "/" + VOMSHost + ".pem")},
	{"local certificate for every VO", "", local(VOMSHost + ".pem")},
	{"local certificate of another VO", "unknown-authority", local("other.vo/" + VOMSHost + ".pem")},
	{"expired authority", "untrusted", issued(func(g *VOMSGrid, r *Request) {
		r.NotBefore, r.NotAfter = g.Now.Add(-48*time.Hour), g.Now.Add(-time.Hour)
	})},
	{"revoked authority", "untrusted", func(g *VOMSGrid) []*x509.Certificate {
		g.must(g.CA.WriteCRL(g.TrustDir, CRL{Revoked: []*x509.Certificate{g.AA.Leaf()}}))
		return g.Chain(g.Good())
	}},
	{"authority of an unknown CA", "untrusted", signedBy(func(g *VOMSGrid) *gsi.Credential { return Must(g.Other.Issue(Request{Name: VOMSName, Key: g.AA.Key})) })},
	{"authority is a proxy", "not-an-authority", signedBy(func(g *VOMSGrid) *gsi.Credential { return Must(g.Proxy(gsi.Limits{})) })},
	{"authority is a CA", "not-an-authority", issued(func(_ *VOMSGrid, r *Request) {
		before := r.Change
		r.CA, r.Change = true, func(t *x509.Certificate) { before(t); t.KeyUsage |= x509.KeyUsageDigitalSignature }
	})},
	{"authority may not sign", "not-an-authority", issued(func(_ *VOMSGrid, r *Request) {
		before := r.Change
		r.Change = func(t *x509.Certificate) { before(t); t.KeyUsage = x509.KeyUsageKeyEncipherment }
	})},
}

// local trusts the authority by its certificate, where it sends none.
func local(name string) func(*VOMSGrid) []*x509.Certificate {
	return func(g *VOMSGrid) []*x509.Certificate {
		g.removeLSC()
		path := filepath.Join(g.VOMSDir, name)
		g.must(os.MkdirAll(filepath.Dir(path), 0o755))
		g.must(os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: g.AA.Leaf().Raw}), 0o644))
		g.must(g.AA.WriteVOMSFile(g.VOMSDir, "another.example.org.lsc", HostName+"\n"+CAName+"\n"))
		ac := g.Good()
		ac.Change = func(p *ACParts) { p.Drop(OIDCertificates) }
		return g.Chain(ac)
	}
}

// A defect in the encoding takes the signature along where it can.
var vomsEncoding = []VOMSCase{
	{"bytes after it", "malformed", with(func(_ *VOMSGrid, ac *AC) { ac.Tamper = func(b []byte) []byte { return inside(b, []byte{5, 0}) } })},
	{"bytes after the extensions", "malformed", parts(func(_ *VOMSGrid, p *ACParts) { p.AfterExtensions = []byte{5, 0} })},
	{"truncated", "malformed", with(func(_ *VOMSGrid, ac *AC) {
		ac.Tamper = func(b []byte) []byte { return Wrap(der.SEQUENCE, b[4:len(b)-40]) }
	})},
	{"indefinite length", "malformed", with(func(_ *VOMSGrid, ac *AC) { ac.Tamper = indefinite })},
	{"criticality written out as false", "malformed", parts(func(_ *VOMSGrid, p *ACParts) {
		noRevAvail := Wrap(der.SEQUENCE, DER(func(b *Builder) { b.AddASN1ObjectIdentifier(OIDNoRevAvail); b.AddASN1Boolean(false) }), []byte{4, 2, 5, 0})
		p.Drop(OIDNoRevAvail)
		p.AfterAttributes = Wrap(der.SEQUENCE, slices.Concat(noRevAvail, extensions(p.Extensions)[4:]))
		p.Extensions = nil
	})},
	{"not an attribute certificate", "malformed", with(func(_ *VOMSGrid, ac *AC) { ac.Tamper = func([]byte) []byte { return []byte{0x30, 3, 2, 1, 1} } })},
	{"not a list", "malformed", func(g *VOMSGrid) []*x509.Certificate {
		return Must(g.Proxy(gsi.Limits{Extensions: []pkix.Extension{{Id: OIDACs, Value: Must(g.AA.Issue(g.Good()))}}})).Chain
	}},
}

// inside appends to the content of an element whose length is in three bytes.
func inside(element, more []byte) []byte { return Wrap(der.SEQUENCE, element[4:], more) }

// indefinite writes the length of the outermost element as BER may, and DER may not.
func indefinite(element []byte) []byte {
	return slices.Concat([]byte{0x30, 0x80}, element[4:], []byte{0, 0})
}
