package interop

import (
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

func init() {
	maps.Copy(packages, map[string]string{"grid-proxy-info": "globus-proxy-utils", "voms-proxy-info2": "voms-clients"})
}

// buildStatic builds gsigw as it is given to machines without anything, once per test run.
var buildStatic = sync.OnceValues(func() (string, error) {
	binary := filepath.Join(scratch, "gsigw-static")
	cmd := exec.Command("go", "build", "-o", binary, "../cmd/gsigw")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	_, err := tryRun(cmd)
	return binary, err
})

func staticGsigw(t testing.TB) string {
	t.Helper()
	binary, err := buildStatic()
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

func TestGsigw_IsOneStaticBinary(t *testing.T) {
	f, err := elf.Open(staticGsigw(t))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("it has a segment of type %s: it would need a loader", p.Type)
		}
	}
}

// A cli runs the static binary with these variables and no others: no PATH, no HOME.
type cli []string

func (c cli) try(t testing.TB, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(staticGsigw(t), args...)
	cmd.Env = c
	cmd.Dir = t.TempDir()
	return tryRun(cmd)
}

func (c cli) run(t testing.TB, args ...string) string {
	t.Helper()
	out, err := c.try(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// labels reads lines of "label : value". A label that comes again has its values joined.
func labels(text string) map[string]string {
	found := map[string]string{}
	for line := range strings.Lines(text) {
		label, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " : ")
		if label = strings.TrimSpace(label); !ok || found[label] == "" {
			found[label] = value
			continue
		}
		found[label] += "\n" + value
	}
	return found
}

// sameTime allows for the seconds between two calls. Both write 11:59:58; grid-proxy-info adds the days to a long time.
func sameTime(a, b string) bool {
	seconds := func(s string) (sum int) {
		s, _, _ = strings.Cut(s, "  (")
		for part := range strings.SplitSeq(s, ":") {
			n, err := strconv.Atoi(part)
			if err != nil {
				return -100
			}
			sum = sum*60 + n
		}
		return sum
	}
	off := seconds(a) - seconds(b)
	return -3 <= off && off <= 3
}

// vomsType is what voms-proxy-info 2 calls a type: it knows no kinds of those with an extension.
func vomsType(ours string) string {
	switch {
	case strings.HasPrefix(ours, "RFC 3820"):
		return "RFC compliant proxy"
	case strings.HasPrefix(ours, "Proxy draft"):
		return "GT3-style proxy"
	case ours == "limited legacy globus proxy":
		return "limited proxy"
	}
	return "proxy"
}

// Every type of proxy, by either maker, is described by gsigw proxy info as by the grid's own programs.
func TestProxyInfo_SaysWhatGridProxyInfoAndVOMSProxyInfoSay(t *testing.T) {
	p := &proxyTable{grid: newGrid(t), dir: t.TempDir()}
	p.makeAll(t)
	gridInfo, vomsInfo := need(t, "grid-proxy-info"), need(t, "voms-proxy-info2")
	environment := append(os.Environ(), "X509_CERT_DIR="+p.TrustDir)
	for _, c := range p.cases {
		if c.row.tool == nil {
			continue
		}
		ours := labels(cli(nil).run(t, "proxy", "info", c.file))
		grid := exec.Command(gridInfo, "-file", c.file)
		voms := exec.Command(vomsInfo, "-all", "-file", c.file)
		grid.Env, voms.Env = environment, environment
		compareInfo(t, c, ours, labels(run(t, grid)), "subject issuer identity type strength path timeleft")
		// voms-proxy-info has its own words for types, and takes the issuer for the identity.
		theirs := labels(run(t, voms))
		if want := vomsType(ours["type"]); theirs["type"] != want {
			t.Errorf("%s by %s: voms-proxy-info has the type %s, want %s", c.row.name, c.maker, theirs["type"], want)
		}
		same := "subject issuer strength path timeleft key usage"
		if !strings.Contains(ours["type"], "independent") && !strings.Contains(ours["type"], "restricted") {
			same += " identity"
		}
		compareInfo(t, c, ours, theirs, same)
	}
}

func compareInfo(t *testing.T, c *proxyCase, ours, theirs map[string]string, same string) {
	t.Helper()
	for label := range strings.FieldsSeq(strings.ReplaceAll(same, "key usage", "key_usage")) {
		label = strings.ReplaceAll(label, "_", " ")
		if got, want := ours[label], theirs[label]; got != want && !(label == "timeleft" && sameTime(got, want)) || want == "" && label != "key usage" {
			t.Errorf("%s by %s: %s is %q, theirs %q", c.row.name, c.maker, label, got, want)
		}
	}
}

// The flags that print one fact print what grid-proxy-info prints, and the checks have its exit codes.
func TestProxyInfo_AnswersAsGridProxyInfo(t *testing.T) {
	g := newGrid(t)
	proxy, tool := g.proxy(t), need(t, "grid-proxy-info")
	for _, flags := range []string{
		"-subject", "-issuer", "-identity", "-type", "-strength", "-path", "-subject -rfc2253", "-identity -rfc2253",
		"-exists", "-exists -valid 11:30", "-exists -valid 13:00", "-exists -bits 2048", "-exists -bits 4096", "-e -v 1:00 -b 1024",
		"-exists -hours 11", "-exists -hours 13",
	} {
		args := append(strings.Fields(flags), "-file", proxy)
		theirs, theirErr := exec.Command(tool, args...).Output()
		ours, err := cli(nil).try(t, slices.Concat([]string{"proxy", "info"}, args)...)
		if ours != string(theirs) || (err == nil) != (theirErr == nil) {
			t.Errorf("%s: %q, %v; grid-proxy-info says %q, %v", flags, ours, err, theirs, theirErr)
		}
	}
}

// Whether there is a proxy is asked of proxies alone: a user's certificate, however it is named and wherever it lies, is
// none, though the proxy that is there be short or missing.
func TestProxyInfo_FindsNoProxyInAUsersCertificate(t *testing.T) {
	g := newGrid(t)
	globus, short := filepath.Join(g.Dir, ".globus"), filepath.Join(g.Dir, "short.pem")
	if err := os.Mkdir(globus, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"usercert.pem", "userkey.pem"} {
		writeFile(t, filepath.Join(globus, file), string(readFile(t, g.user)))
	}
	cli(nil).run(t, "proxy", "init", "--valid", "0:10", "--cert", g.user, "--out", short)
	home := []string{"HOME=" + g.Dir, "X509_CERT_DIR=" + g.TrustDir}
	named := append(slices.Clip(home), "X509_USER_CERT="+g.user, "X509_USER_KEY="+g.user)
	for state, env := range map[string]cli{
		"a certificate in ~/.globus":        home, // and in /tmp whatever the user of the tests has there
		"a certificate that is named":       named,
		"a proxy that is missing":           append(slices.Clip(named), "X509_USER_PROXY="+short+".not"),
		"a proxy of ten minutes":            append(slices.Clip(named), "X509_USER_PROXY="+short),
		"a proxy of ten minutes and a home": append(slices.Clip(home), "X509_USER_PROXY="+short),
	} {
		t.Run(state, func(t *testing.T) { env.answersAs(t, "grid-proxy-info", "voms-proxy-info2") })
	}
}

// answersAs asks whether there is a proxy, and one with attributes, which grid-proxy-info does not know of.
func (c cli) answersAs(t *testing.T, grid, voms string) {
	for question, tools := range map[string][]string{
		"-exists": {grid, voms}, "-exists -valid 0:05": {grid, voms}, "-exists -valid 6:00": {grid, voms}, "-acexists testvo": {voms},
	} {
		flags := strings.Fields(question)
		_, ours := c.try(t, append([]string{"proxy", "info"}, flags...)...)
		for _, tool := range tools {
			cmd := exec.Command(need(t, tool), flags...)
			cmd.Env = c
			if theirs := cmd.Run(); (ours == nil) != (theirs == nil) {
				t.Errorf("%s: %v; %s says %v", question, ours, tool, theirs)
			}
		}
	}
}

// proxyOf makes a proxy of somebody of the peers' PKI.
func (v *vomsPeer) proxyOf(t *testing.T, who, out string, flags ...string) (string, error) {
	t.Helper()
	pki := func(name string) string { return filepath.Join(v.pki, name) }
	args := []string{"proxy", "init", "--cert", pki(who + ".pem"), "--key", pki(who + ".key"), "--out", out}
	return v.cli().try(t, append(args, flags...)...)
}

func (v *vomsPeer) cli() cli {
	return cli{
		"X509_CERT_DIR=" + filepath.Join(v.pki, "certificates"), "X509_VOMS_DIR=" + filepath.Join(v.pki, "vomsdir"),
		"X509_VOMSES=" + v.vomses(),
	}
}

func (v *vomsPeer) vomsInfo(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command(need(t, "voms-proxy-info2"), args...)
	cmd.Env = append(os.Environ(), v.cli()...)
	return run(t, cmd)
}

func TestProxyInit_GetsAttributesOfTheRealVOMSServer(t *testing.T) {
	v := startVOMS(t, "testvo", nil)
	out := filepath.Join(t.TempDir(), "proxy.pem")
	t.Run("Role", func(t *testing.T) { v.showsTheRole(t, out) })
	t.Run("Renewal", func(t *testing.T) { v.renewsWithAttributes(t, out) })
	t.Run("Refusals", func(t *testing.T) { v.leavesTheOldProxy(t, out) })
	t.Run("Noregen", func(t *testing.T) { v.addsAttributesToAProxy(t, out) })
}

func (v *vomsPeer) showsTheRole(t *testing.T, out string) {
	said, err := v.proxyOf(t, "alice", out, "--voms", "testvo:/testvo/Role=admin", "-valid", "3:00", "-verify")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Your identity: /C=XX/O=PeerLab/CN=Alice Tester\n", "] \"testvo\" Done\n", "Creating proxy ... Done\n", "Proxy Verify OK\n", "Your proxy is valid until: "} {
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %q:\n%s", want, said)
		}
	}
	ours, theirs := v.cli().run(t, "proxy", "info", out), v.vomsInfo(t, "-all", "-file", out)
	if err := sameLines(ours, theirs); err != nil {
		t.Errorf("%v\nours:\n%s\ntheirs:\n%s", err, ours, theirs)
	}
	if fqans := v.vomsInfo(t, "-fqan", "-file", out); fqans != "/testvo/Role=admin\n/testvo\n/testvo/groupA\n" {
		t.Errorf("voms-proxy-info shows %s", fqans)
	}
	for _, flag := range []string{"-vo", "-fqan", "-acissuer", "-acsubject", "-serial", "-uri"} {
		if ours, theirs := v.cli().run(t, "proxy", "info", flag, out), v.vomsInfo(t, flag, "-file", out); strings.TrimSpace(ours) != strings.TrimSpace(theirs) {
			t.Errorf("%s: %q, voms-proxy-info %q", flag, ours, theirs)
		}
	}
	v.cli().run(t, "proxy", "verify", "--require-voms", "--fqan", "/testvo/Role=admin", out)
}

// sameLines compares line by line, but for what voms-proxy-info has other words for, and the time that has passed.
func sameLines(ours, theirs string) error {
	a, b := strings.Split(strings.TrimSpace(ours), "\n"), strings.Split(strings.TrimSpace(theirs), "\n")
	if len(a) != len(b) {
		return fmt.Errorf("%d lines, voms-proxy-info has %d", len(a), len(b))
	}
	for i := range a {
		label, value, _ := strings.Cut(a[i], " : ")
		_, other, _ := strings.Cut(b[i], " : ")
		switch strings.TrimSpace(label) {
		case "type":
			other, value = vomsType(value), other
		case "timeleft":
			if sameTime(value, other) {
				continue
			}
		default:
			value, other = a[i], b[i]
		}
		if value != other {
			return errors.New("not the same: " + a[i] + " and " + b[i])
		}
	}
	return nil
}

func (v *vomsPeer) renewsWithAttributes(t *testing.T, out string) {
	old := readFile(t, out)
	v.cli().run(t, "proxy", "renew", "--cert", filepath.Join(v.pki, "alice.pem"), "--key", filepath.Join(v.pki, "alice.key"), out)
	if string(old) == string(readFile(t, out)) {
		t.Error("it is the same proxy")
	}
	if fqans := v.vomsInfo(t, "-fqan", "-file", out); fqans != "/testvo/Role=admin\n/testvo\n/testvo/groupA\n" {
		t.Errorf("voms-proxy-info shows %s", fqans)
	}
}

// Whom the server refuses keeps what he has, and reads the server's own words.
func (v *vomsPeer) leavesTheOldProxy(t *testing.T, out string) {
	old := readFile(t, out)
	for _, c := range []struct{ who, voms, words string }{
		{"alice", "testvo:/testvo/Role=nobody", "Unable to satisfy B/testvo:nobody request!"},
		{"bob", "testvo", "User unknown to this VO."},
		{"alice", "othervo", "no server of the VO"},
	} {
		if _, err := v.proxyOf(t, c.who, out, "--voms", c.voms); err == nil || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s for %s: %v, want %s", c.who, c.voms, err, c.words)
		}
	}
	if string(old) != string(readFile(t, out)) {
		t.Error("the old proxy is gone")
	}
}

func (v *vomsPeer) addsAttributesToAProxy(t *testing.T, out string) {
	if _, err := v.proxyOf(t, "alice", out); err != nil {
		t.Fatal(err)
	}
	append(v.cli(), "X509_USER_PROXY="+out).run(t, "proxy", "init", "-noregen", "-voms", "testvo")
	var facts struct {
		Depth int
		FQANs []string
	}
	if err := json.Unmarshal([]byte(v.cli().run(t, "proxy", "verify", "--json", out)), &facts); err != nil {
		t.Fatal(err)
	}
	if facts.Depth != 2 || !slices.Equal(facts.FQANs, []string{"/testvo", "/testvo/groupA"}) {
		t.Errorf("%+v", facts)
	}
}

// A renewer whom the server knows renews with the old proxy in hand; another does not, and the old one stays.
func TestProxyRenew_GetsTheNewProxyFromTheRealMyProxyServer(t *testing.T) {
	m := startMyProxy(t)
	m.mustTool(t, alice, "", "myproxy-init", "-n", "-x", "-R", robotName, "-l", "jane")
	old := filepath.Join(m.dir, "old.pem")
	gsigw := cli{"X509_CERT_DIR=" + m.trustDir(), "MYPROXY_SERVER=localhost", "MYPROXY_SERVER_PORT=" + m.port}
	gsigw.run(t, "proxy", "init", "--cert", m.file("alice.pem"), "--key", m.file("alice.key"), "--out", old, "--valid", "1:00")
	before := readFile(t, old)
	renew := func(who string) error {
		_, err := gsigw.try(t, "proxy", "renew", "--cert", m.file(who+".pem"), "--key", m.file(who+".key"), "--username", "jane", "--valid", "2:00", old)
		return err
	}
	if err := renew(bob); err == nil || string(before) != string(readFile(t, old)) {
		t.Errorf("bob renews: %v", err)
	}
	if err := renew(robot); err != nil {
		t.Fatal(err)
	}
	info := gsigw.run(t, "proxy", "info", "--identity", old)
	if info != aliceName+"\n" || string(before) == string(readFile(t, old)) {
		t.Errorf("it is %s's", info)
	}
	gsigw.run(t, "proxy", "info", "--exists", "--valid", "1:30", old)
}
