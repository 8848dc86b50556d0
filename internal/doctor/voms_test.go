package doctor

import (
	"crypto/x509/pkix"
	"path/filepath"
	"testing"
	"time"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
)

const vomsesLine = `"testvo" "` + gridtest.VOMSHost + `" "15000" "` + gridtest.VOMSName + `" "testvo"` + "\n"

// member makes the user one of a VO that this machine trusts: a vomses line, an LSC file, and a proxy with attributes.
func (p *patient) member(ac gridtest.AC) {
	p.t.Helper()
	aa := gridtest.Must(p.pki.NewAA())
	if err := aa.WriteLSC(p.path("etc/grid-security/vomsdir")); err != nil {
		p.t.Fatal(err)
	}
	p.write("etc/vomses", vomsesLine, 0o644)
	ac.Holder, ac.FQANs = p.pki.User.Leaf(), []string{"/testvo/Role=NULL/Capability=NULL"}
	extension := gridtest.ACExtension(gridtest.Must(aa.Issue(ac)))
	p.proxy(p.tmpProxy(), gsi.Limits{Lifetime: 6 * time.Hour, Extensions: []pkix.Extension{extension}})
}

func (p *patient) lsc(text string) {
	p.t.Helper()
	p.write(filepath.Join("etc/grid-security/vomsdir/testvo", gridtest.VOMSHost+".lsc"), text, 0o644)
}

func TestVOMS(t *testing.T) {
	diagnose(t, []disease{
		{"a member in good standing", func(p *patient) { p.member(gridtest.AC{}) }, []want{
			{"voms.vomses", OK, "1 server of testvo in ", ""},
			{"voms.vomsdir", OK, "authorities of testvo are trusted in ", ""},
			{"voms.match", OK, "testvo: " + gridtest.VOMSHost + " is trusted as " + gridtest.VOMSName, ""},
			{"credential.voms", OK, "1 attribute of the VO testvo, until 2026-11-21T23:00:00Z", ""},
		}},
		{"no VO at all", func(p *patient) {}, []want{
			{"voms.vomses", OK, "no vomses file is there", ""},
			{"voms.vomsdir", OK, "no authority of a VO is trusted in ", ""},
		}},
		{"no vomsdir, and no need of one", func(p *patient) { p.remove("etc/grid-security/vomsdir") }, []want{
			{"voms.vomsdir", OK, "no VOMS server is trusted, and none is known", ""},
		}},
		{"no vomsdir", func(p *patient) {
			p.remove("etc/grid-security/vomsdir")
			p.write("etc/vomses", vomsesLine, 0o644)
		}, []want{{"voms.vomsdir", Warn, "is believed of nobody here", "LSC files"}}},
		{"a vomsdir that was named and is not there", func(p *patient) { p.VOMSDir = "/nowhere" }, []want{
			{"voms.vomsdir", Fail, "/nowhere cannot be read: ", "X509_VOMS_DIR"},
		}},
		{"a vomsdir where anybody can write", func(p *patient) { p.chmod("etc/grid-security/vomsdir", 0o777) }, []want{
			{"voms.vomsdir", Fail, "anybody on this machine can say whom to believe", "chmod o-w "},
		}},
		{"a broken line of vomses", func(p *patient) { p.write("etc/vomses", vomsesLine+"\"testvo\" \"host\n", 0o644) }, []want{
			{"voms.vomses", Fail, "etc/vomses:2: ", ""},
			{"voms.vomses", OK, "1 server of testvo", ""},
		}},
		{"vomses that were named and are not there", func(p *patient) { p.VOMSES = "/nowhere" }, []want{
			{"voms.vomses", Fail, "/nowhere: ", "name a vomses file"},
		}},
		{"vomses of the environment alone", func(p *patient) {
			p.write("etc/vomses", "broken\n", 0o644)
			p.write("mine", vomsesLine, 0o644)
			p.env["VOMS_USERCONF"] = p.path("mine")
			p.without("voms.vomses", "etc/vomses")
		}, []want{{"voms.vomses", OK, "/mine", ""}}},
		{"an empty LSC file", func(p *patient) {
			p.member(gridtest.AC{})
			p.lsc("")
		}, []want{
			{"voms.vomsdir", Fail, ".lsc: it names no certificate", "subject and the issuer"},
			{"credential.voms", Fail, "the attributes of the VO testvo are not believed (broken-lsc)", ""},
		}},
		{"a broken LSC file", func(p *patient) {
			p.member(gridtest.AC{})
			p.lsc("# the server\nCN=" + gridtest.VOMSHost + "\n")
		}, []want{{"voms.vomsdir", Fail, gridtest.VOMSHost + ".lsc:2: ", "subject and the issuer"}}},
		{"an LSC file of another server", func(p *patient) {
			p.member(gridtest.AC{})
			p.lsc("/O=Grid/CN=another\n" + gridtest.CAName + "\n")
		}, []want{
			{"voms.match", Fail, ".lsc trusts /O=Grid/CN=another, and ", "ask the VO which is right"},
			{"credential.voms", Fail, "(lsc-mismatch)", ""},
		}},
		{"an LSC file with the server's name second", func(p *patient) {
			p.member(gridtest.AC{})
			p.lsc("/O=Grid/CN=another\n" + gridtest.CAName + "\n------NEXT CHAIN------\n" + gridtest.VOMSName + "\n" + gridtest.CAName + "\n")
		}, []want{{"voms.match", OK, "is trusted as " + gridtest.VOMSName, ""}}},
		{"a VO without an entry in vomsdir", func(p *patient) { p.write("etc/vomses", vomsesLine, 0o644) }, []want{
			{"voms.match", Warn, "the VO testvo (", "testvo/" + gridtest.VOMSHost + ".lsc"},
		}},
		{"a second server without an entry", func(p *patient) {
			p.member(gridtest.AC{})
			p.write("etc/vomses", vomsesLine+`"testvo" "voms2.example.org" "15000" "/O=Grid/CN=voms2" "testvo"`+"\n", 0o644)
		}, []want{{"voms.match", Warn, "testvo: voms2.example.org (", "testvo/voms2.example.org.lsc"}}},
		{"a server that is trusted by its certificate", func(p *patient) {
			p.member(gridtest.AC{})
			p.remove(filepath.Join("etc/grid-security/vomsdir/testvo", gridtest.VOMSHost+".lsc"))
			text := gridtest.Must(gsi.MarshalProxy(gridtest.Must(p.pki.NewAA()).Credential))
			p.write("etc/grid-security/vomsdir/testvo/"+gridtest.VOMSHost+".pem", string(text), 0o644)
		}, []want{{"voms.match", OK, "is trusted by its certificate", ""}}},
		{"attributes end before the proxy", func(p *patient) { p.member(gridtest.AC{NotAfter: noon.Add(2 * time.Hour)}) }, []want{
			{"credential.voms", Warn, "the attributes of the VO testvo end in 2 h 0 min, at 2026-11-21T14:00:00Z, before the proxy does", "gsigw proxy init --voms testvo"},
		}},
		{"attributes have ended", func(p *patient) { p.member(gridtest.AC{NotAfter: noon.Add(-30 * time.Minute)}) }, []want{
			{"credential.voms", Fail, "are not believed (expired)", ""},
		}},
		{"attributes, and no vomsdir", func(p *patient) {
			p.member(gridtest.AC{})
			p.VOMSDir = "/nowhere"
		}, []want{{"credential.voms", Warn, "its VOMS attributes cannot be verified", "mend"}}},
		{"attributes that are none", func(p *patient) {
			p.proxy(p.tmpProxy(), gsi.Limits{Lifetime: time.Hour, Extensions: []pkix.Extension{{Id: gridtest.ACExtension().Id, Value: []byte("?")}}})
		}, []want{{"credential.voms", Fail, "its VOMS attributes cannot be read", "gsigw proxy init --voms VO"}}},
	})
}
