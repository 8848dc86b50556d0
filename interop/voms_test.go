package interop

import (
	"cmp"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
	"gsigw/trust"
	"gsigw/voms"
)

func init() {
	maps.Copy(packages, map[string]string{
		"mariadbd":         "mariadb-server",
		"voms":             "voms-server voms-mysql-plugin",
		"voms-proxy-fake":  "voms-clients",
		"voms-proxy-info2": "voms-clients",
	})
}

// A vomsPeer is Debian's VOMS server with its database. Alice is a member of the VO, Bob is not; their CA, the trust
// directory, vomses and vomsdir are in pki.
type vomsPeer struct {
	vo, pki string
}

// startVOMS starts a server. A second one lives with the PKI of the first.
func startVOMS(t *testing.T, vo string, with *vomsPeer) *vomsPeer {
	t.Helper()
	need(t, "voms")
	need(t, "mariadbd")
	scripts := filepath.Join(shared(t), "peers")
	work := gridtest.Must(os.MkdirTemp("", "gsigw-voms-")) // the database's user has to get there
	v := &vomsPeer{vo: vo, pki: filepath.Join(work, "pki")}
	t.Cleanup(func() {
		run(t, exec.Command("bash", filepath.Join(scripts, "voms-down.sh"), work))
		os.RemoveAll(work)
	})
	if err := os.Chmod(work, 0o755); err != nil {
		t.Fatal(err)
	}
	if with != nil {
		run(t, exec.Command("cp", "-a", with.pki, v.pki))
	}
	run(t, exec.Command("bash", filepath.Join(scripts, "voms-up.sh"), work, freePort(t), vo))
	return v
}

func (v *vomsPeer) store(t *testing.T) *trust.Store {
	t.Helper()
	store, err := trust.Open(filepath.Join(v.pki, "certificates"), trust.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func (v *vomsPeer) vomses() string { return filepath.Join(v.pki, "vomses", v.vo) }

func (v *vomsPeer) user(t *testing.T, name string) *gsi.Credential {
	t.Helper()
	base := filepath.Join(v.pki, name)
	return gridtest.Must(gsi.PairFile(base+".pem", base+".key", gsi.FileOptions{}).Credential(t.Context()))
}

func (v *vomsPeer) client(t *testing.T, user string, vomses ...string) *voms.Client {
	t.Helper()
	return &voms.Client{
		Servers:    voms.FindServers(voms.Search{Paths: vomses}),
		Trust:      v.store(t),
		Credential: gsi.Static(gridtest.Must(gsi.NewProxy(v.user(t, user), gsi.Limits{}))),
	}
}

func TestVOMS_RealServerGivesAttributes(t *testing.T) {
	v := startVOMS(t, "testvo", nil)
	t.Run("Attributes", v.givesWhatIsAsked)
	t.Run("LongRequest", v.readsALongRequest)
	t.Run("Refusals", v.refusesInItsOwnWords)
	t.Run("Shortened", v.warnsOfAShorterLifetime)
	t.Run("DeadServer", v.isReachedPastADeadServer)
	t.Run("WrongDN", v.isNotBelievedUnderAnotherName)
	t.Run("TwoVOs", v.sharesAProxyWithAnother)
}

func fqans(t testing.TB, list string) []voms.FQAN {
	t.Helper()
	var all []voms.FQAN
	for f := range strings.FieldsSeq(list) {
		all = append(all, gridtest.Must(voms.ParseFQAN(f)))
	}
	return all
}

func (v *vomsPeer) givesWhatIsAsked(t *testing.T) {
	c := v.client(t, "alice", v.vomses())
	for asked, want := range map[string]string{
		"":                   "/testvo /testvo/groupA",
		"/testvo/groupA":     "/testvo/groupA /testvo",
		"/testvo/Role=admin": "/testvo/Role=admin /testvo /testvo/groupA",
		"/testvo/groupA/Role=production /testvo/Role=admin": "/testvo/groupA/Role=production /testvo/Role=admin /testvo/groupA /testvo",
	} {
		grant, err := c.Request(t.Context(), voms.Request{VO: "testvo", FQANs: fqans(t, asked), Lifetime: time.Hour})
		if err != nil {
			t.Errorf("%s: %v", asked, err)
			continue
		}
		t.Logf("%q over %s", asked, grant.Protocol)
		lifetime := grant.AC.NotAfter.Sub(grant.AC.NotBefore)
		if !slices.Equal(grant.AC.FQANs, fqans(t, want)) || lifetime != time.Hour || grant.Missing != nil || grant.Warnings != nil {
			t.Errorf("%s: got %v for %v, %v", asked, grant.AC.FQANs, lifetime, grant.Warnings)
		}
	}
	both := fqans(t, "/testvo/Role=admin /testvo/groupA/Role=production")
	grant, err := c.Request(t.Context(), voms.Request{VO: "testvo", FQANs: both, Order: both[1:]})
	if err != nil || grant.AC.FQANs[0] != both[1] {
		t.Errorf("in order: %+v, %v", grant, err)
	}
	grant, err = c.Request(t.Context(), voms.Request{VO: "testvo", All: true})
	if err != nil || len(grant.AC.FQANs) != 4 {
		t.Errorf("all: %+v, %v", grant, err)
	}
}

// The server reads one record. crypto/tls would send the first ones small, and the server not see the end.
func (v *vomsPeer) readsALongRequest(t *testing.T) {
	r := voms.Request{VO: "testvo"}
	for i := range 300 {
		r.FQANs = append(r.FQANs, voms.FQAN{Group: fmt.Sprintf("/testvo/group%d", i)})
	}
	_, err := v.client(t, "alice", v.vomses()).Request(t.Context(), r)
	if refusal, ok := errors.AsType[*voms.ServerError](err); !ok || !strings.Contains(refusal.Error(), "G/testvo/group0 request") {
		t.Errorf("got %v", err)
	}
}

func (v *vomsPeer) refusesInItsOwnWords(t *testing.T) {
	for _, c := range []struct{ user, fqan, want string }{
		{"alice", "/testvo/Role=nobody", "testvo: Unable to satisfy B/testvo:nobody request!"},
		{"alice", "/testvo/groupB", "testvo: Unable to satisfy G/testvo/groupB request!"},
		{"bob", "/testvo", "testvo: User unknown to this VO."},
	} {
		_, err := v.client(t, c.user, v.vomses()).Request(t.Context(), voms.Request{VO: "testvo", FQANs: fqans(t, c.fqan)})
		refusal, ok := errors.AsType[*voms.ServerError](err)
		if !ok || !refusal.Has(voms.ErrNotMember) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s, %s: %v", c.user, c.fqan, err)
		}
	}
}

func (v *vomsPeer) warnsOfAShorterLifetime(t *testing.T) {
	grant, err := v.client(t, "alice", v.vomses()).Request(t.Context(), voms.Request{VO: "testvo", Lifetime: 100 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if len(grant.Warnings) != 1 || !strings.Contains(grant.Warnings[0].Text, "shortened to 43200 seconds") || grant.AC.NotAfter.Sub(grant.AC.NotBefore) != 12*time.Hour {
		t.Errorf("%v, until %v", grant.Warnings, grant.AC.NotAfter)
	}
}

func (v *vomsPeer) isReachedPastADeadServer(t *testing.T) {
	line := string(readFile(t, v.vomses()))
	live := voms.FindServers(voms.Search{Paths: []string{v.vomses()}}).All()[0]
	vomses := filepath.Join(t.TempDir(), "vomses")
	writeFile(t, vomses, strings.Replace(line, fmt.Sprint(live.Port), freePort(t), 1)+line)
	grant, err := v.client(t, "alice", vomses).Request(t.Context(), voms.Request{VO: "testvo"})
	if err != nil || grant.Server.Port != live.Port {
		t.Errorf("got %+v, %v", grant, err)
	}
}

func (v *vomsPeer) isNotBelievedUnderAnotherName(t *testing.T) {
	vomses := filepath.Join(t.TempDir(), "vomses")
	writeFile(t, vomses, strings.Replace(string(readFile(t, v.vomses())), "CN=voms.localhost", "CN=localhost", 1))
	_, err := v.client(t, "alice", vomses).Request(t.Context(), voms.Request{VO: "testvo"})
	if err == nil || !strings.Contains(err.Error(), "the server is /C=XX/O=PeerLab/CN=voms.localhost, but "+vomses+":1 expects") {
		t.Errorf("got %v", err)
	}
}

// Two VOs' certificates in one proxy are shown by voms-proxy-info and believed by our vomsdir; an empty LSC file of one
// leaves the other working (dCache 7428).
func (v *vomsPeer) sharesAProxyWithAnother(t *testing.T) {
	other := startVOMS(t, "othervo", v)
	c := v.client(t, "alice", v.vomses(), other.vomses())
	var acs [][]byte
	for _, f := range fqans(t, "/testvo/Role=admin /othervo/groupA") {
		grant, err := c.Request(t.Context(), voms.Request{VO: f.VO(), FQANs: []voms.FQAN{f}})
		if err != nil {
			t.Fatal(err)
		}
		acs = append(acs, grant.AC.Raw)
	}
	proxy := withACs(t, v.user(t, "alice"), acs...)
	file := filepath.Join(t.TempDir(), "proxy.pem")
	if err := gsi.WriteProxyFile(file, proxy); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(need(t, "voms-proxy-info2"), "-all", "-file", file)
	cmd.Env = append(os.Environ(), "X509_CERT_DIR="+filepath.Join(v.pki, "certificates"), "X509_VOMS_DIR="+filepath.Join(other.pki, "vomsdir"))
	said := run(t, cmd)
	for _, line := range []string{
		"=== VO testvo extension information ===", "attribute : /testvo/Role=admin",
		"=== VO othervo extension information ===", "attribute : /othervo/groupA",
		"subject   : /C=XX/O=PeerLab/CN=Alice Tester", "issuer    : /C=XX/O=PeerLab/CN=voms.localhost",
	} {
		if !strings.Contains(said, line) {
			t.Errorf("voms-proxy-info does not say %q:\n%s", line, said)
		}
	}
	vomsdir := filepath.Join(other.pki, "vomsdir") // of both, the first VO's having been copied
	if got := judge(t, vomsdir, v.store(t), proxy); got != "testvo ok, othervo ok" {
		t.Errorf("with both LSC files: %s", got)
	}
	writeFile(t, filepath.Join(vomsdir, "testvo", "localhost.lsc"), "")
	if got := judge(t, vomsdir, v.store(t), proxy); got != "othervo ok, testvo broken-lsc" {
		t.Errorf("with an empty one: %s", got)
	}
}

func withACs(t testing.TB, user *gsi.Credential, acs ...[]byte) *gsi.Credential {
	t.Helper()
	extension := gridtest.ACExtension(acs...) // unlike voms.Extension it takes what is broken
	return gridtest.Must(gsi.NewProxy(user, gsi.Limits{Extensions: []pkix.Extension{extension}}))
}

// judge says in one line what our verifier makes of the attributes of a proxy: first those believed.
func judge(t testing.TB, vomsdir string, store *trust.Store, proxy *gsi.Credential) string {
	t.Helper()
	dir, err := voms.Open(vomsdir, voms.Options{Trust: store})
	if err != nil {
		t.Fatal(err)
	}
	result, err := dir.Verify(proxy.Chain, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, a := range result.Attributes {
		words = append(words, a.VO+" ok")
	}
	for _, refused := range result.Refused {
		words = append(words, cmp.Or(refused.VO, "?")+" "+string(refused.Code))
	}
	return strings.Join(words, ", ")
}

// A fakery is how voms-proxy-fake makes a certificate, or what is done to it afterwards, and what we say of it.
type fakery struct {
	name   string
	flags  []string
	server string                                     // whose key signs: aa when empty
	lsc    string                                     // who is believed: the DN of aa when empty, "-" for an empty file
	change func(t *testing.T, f *fakes, acs [][]byte) // after it is made
	user   func(*fakes) *gsi.Credential
	want   string
}

var fakeries = []fakery{
	{name: "good", want: "testvo ok"},
	{name: "in the new format", flags: []string{"-newformat"}, want: "testvo ok"},
	{name: "with a generic attribute", flags: []string{"-ga", "nickname=jane"}, want: "testvo ok"},
	{name: "expired", flags: []string{"-pastac", "20:00", "-vomslife", "1"}, want: "testvo expired"},
	{name: "of another holder", user: func(f *fakes) *gsi.Credential { return f.ECUser }, want: "testvo holder-mismatch"},
	{name: "of another authority", server: "other", want: "testvo lsc-mismatch"},
	{name: "LSC names another", lsc: "/O=Grid/OU=gsigw test/CN=voms.example.com", want: "testvo lsc-mismatch"},
	{name: "LSC is empty", lsc: "-", want: "testvo broken-lsc"},
	{name: "of a stranger with the right names", server: "stranger", want: "testvo untrusted"},
	{name: "of another VO", flags: []string{"-voms", "nowhere", "-fqan", "/nowhere"}, want: "nowhere unknown-vo"},
	{name: "speaks for another VO", flags: []string{"-fqan", "/nowhere"}, want: "testvo foreign-fqan"},
	{name: "of another host", flags: []string{"-uri", "voms.example.net:15000"}, want: "testvo unknown-authority"},
	{name: "an unknown critical extension", flags: []string{"-acextension", "1.2.3.4/true:x"}, want: "testvo critical-extension"},
	{name: "tampered", want: "testvo bad-signature", change: func(t *testing.T, _ *fakes, acs [][]byte) {
		i := strings.Index(string(acs[0]), "/testvo/groupA")
		if i < 0 {
			t.Fatal("there is no groupA")
		}
		copy(acs[0][i:], "/testvo/groupB")
	}},
	{name: "its signature tampered with", want: "testvo bad-signature", change: func(_ *testing.T, _ *fakes, acs [][]byte) {
		acs[0][len(acs[0])-1] ^= 1
	}},
}

// fakes are the keys that voms-proxy-fake signs with: aa's is the VO's.
type fakes struct {
	*gridtest.PKI
	vomsdir string
	aa      *gridtest.AA
}

func newFakes(t *testing.T) *fakes {
	t.Helper()
	f := &fakes{PKI: gridtest.Must(gridtest.NewPKI(t.TempDir(), gridtest.PKIOptions{})), vomsdir: t.TempDir()}
	f.aa = gridtest.Must(f.NewAA())
	issue := func(a *gridtest.Authority, name string) *gsi.Credential {
		// voms-proxy-fake needs key identifiers.
		return gridtest.Must(a.Issue(gridtest.Request{Name: name, Change: func(c *x509.Certificate) { c.SubjectKeyId = []byte(name) }}))
	}
	f.User = issue(f.CA, gridtest.UserName)
	stranger := gridtest.Must(gridtest.NewAuthority("/O=Grid/OU=gsigw test/CN=Strange CA", gridtest.PKIOptions{}))
	strangeCA := *stranger.Cert
	stranger.Cert, strangeCA.RawSubject = &strangeCA, f.CA.Cert.RawSubject // the name of the CA, and another key
	if err := errors.Join(
		f.WritePair("user", f.User),
		f.WritePair("aa", f.aa.Credential),
		f.WritePair("other", issue(f.CA, "/O=Grid/OU=gsigw test/CN=other.example.org")),
		f.WritePair("stranger", issue(stranger, gridtest.VOMSName)),
	); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fakes) make(t *testing.T, c fakery) *gsi.Credential {
	t.Helper()
	out := filepath.Join(t.TempDir(), "proxy.pem")
	file := func(name string) string { return filepath.Join(f.Dir, name) }
	server := cmp.Or(c.server, "aa")
	flags := []string{"-q", "-rfc", "-hours", "10", "-cert", file("usercert.pem"), "-key", file("userkey.pem"), "-certdir", f.TrustDir,
		"-hostcert", file(server + "cert.pem"), "-hostkey", file(server + "key.pem"), "-out", out}
	for _, pair := range [][]string{{"-voms", gridtest.VO}, {"-uri", gridtest.VOMSServer}, {"-vomslife", "10"}} {
		if !slices.Contains(c.flags, pair[0]) {
			flags = append(flags, pair...)
		}
	}
	if !slices.Contains(c.flags, "-fqan") {
		flags = append(flags, "-fqan", "/testvo/Role=admin", "-fqan", "/testvo/groupA")
	}
	run(t, exec.Command(need(t, "voms-proxy-fake"), append(flags, c.flags...)...))
	proxy := gridtest.Must(gsi.ProxyFile(out, gsi.FileOptions{}).Credential(t.Context()))
	if c.change == nil && c.user == nil {
		return proxy
	}
	acs := gridtest.Must(voms.ACs(proxy.Chain))
	if c.change != nil {
		c.change(t, f, acs)
	}
	user := f.User
	if c.user != nil {
		user = c.user(f)
	}
	return withACs(t, user, acs...)
}

func TestVOMS_JudgesWhatVomsProxyFakeMakes(t *testing.T) {
	f := newFakes(t)
	store := gridtest.Must(trust.Open(f.TrustDir, trust.Options{}))
	for _, c := range fakeries {
		t.Run(c.name, func(t *testing.T) {
			lsc := cmp.Or(c.lsc, gridtest.VOMSName) + "\n" + gridtest.CAName + "\n"
			if c.lsc == "-" {
				lsc = ""
			}
			if err := f.aa.WriteVOMSFile(f.vomsdir, gridtest.VOMSHost+".lsc", lsc); err != nil {
				t.Fatal(err)
			}
			if got := judge(t, f.vomsdir, store, f.make(t, c)); got != c.want {
				t.Errorf("got %q, not %q", got, c.want)
			}
		})
	}
}
