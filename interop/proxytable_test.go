package interop

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
	"gsigw/trust"
)

func init() {
	maps.Copy(packages, map[string]string{
		"verify-proxy-tool":       "lcmaps-plugins-verify-proxy",
		"jglobus-ssl-proxies.jar": "libjglobus-ssl-proxies-java",
		"jglobus-jsse.jar":        "libjglobus-jsse-java",
		"jglobus-gss.jar":         "libjglobus-gss-java",
		"log4j-1.2.jar":           "liblog4j1.2-java",
		"globusrun":               "globus-gram-client-tools",
		"globus-gatekeeper":       "globus-gatekeeper globus-gram-job-manager globus-gram-job-manager-fork-setup-poll",
	})
}

// A verdict is what an oracle says of a chain.
type verdict string

const (
	accepts verdict = "ok"
	refuses verdict = "no"
	silent  verdict = "-" // it was not asked
)

// A proxyRow is a kind of proxy, and how to make one.
type proxyRow struct {
	name       string
	tool       []string                          // for grid-proxy-init, and the same for gsigw proxy init
	mint       func(*proxyTable) *gsi.Credential // by package gsi
	noKeyUsage bool                              // of the end entity
	identity   bool                              // the gatekeeper and ARC know whose it is, and refuse what it may not do
	against    bool                              // of the majority: docs/adr/0002 says why
}

var proxyRows = []proxyRow{
	{name: "RFC", tool: []string{"-rfc"}, mint: minted(gsi.RFC)},
	{name: "RFC depth 2", mint: minted(gsi.RFC, gsi.RFC)},
	{name: "limited", identity: true, tool: []string{"-rfc", "-limited"}, mint: minted(gsi.RFCLimited)},
	{name: "independent", identity: true, tool: []string{"-rfc", "-independent"}, mint: minted(gsi.RFCIndependent)},
	{name: "unknown policy OID", tool: []string{"-rfc", "-pl", "1.2.3.4.5", "-policy", "policy"}, mint: minted(gsi.RFCRestricted)},
	{name: "draft", tool: []string{"-draft"}, mint: minted(gsi.Draft)},
	{name: "draft limited", identity: true, tool: []string{"-draft", "-limited"}, mint: minted(gsi.DraftLimited)},
	{name: "draft independent", identity: true, tool: []string{"-draft", "-independent"}, mint: minted(gsi.DraftIndependent)},
	{name: "legacy, EEC has keyUsage", against: true, tool: []string{"-old"}, mint: minted(gsi.Legacy)},
	{name: "legacy, EEC without keyUsage", tool: []string{"-old"}, mint: minted(gsi.Legacy), noKeyUsage: true},
	{name: "legacy limited, EEC without keyUsage", identity: true, tool: []string{"-old", "-limited"}, mint: minted(gsi.LegacyLimited), noKeyUsage: true},
	{name: "path length exceeded", mint: beyondPathLength},
	{name: "independent under limited", mint: forged(gsi.RFCLimited, gsi.ProxyCertInfo{Policy: independent})},
	{name: "full under limited", mint: forged(gsi.RFCLimited, gsi.ProxyCertInfo{Policy: full})},
	{name: "draft under RFC", mint: forged(gsi.RFC, gsi.ProxyCertInfo{Draft: true, Policy: full})},
}

// minted makes one proxy below the other.
func minted(kinds ...gsi.ProxyType) func(*proxyTable) *gsi.Credential {
	return func(p *proxyTable) *gsi.Credential {
		c := p.user
		for _, kind := range kinds {
			l := gsi.Limits{Type: kind}
			if kind.Restricted() {
				l.Policy = &gsi.Policy{Language: asn1.ObjectIdentifier{1, 2, 3, 4, 5}, Body: []byte("a policy")}
			}
			c = gridtest.Must(p.ProxyOf(c, l))
		}
		return c
	}
}

// beyondPathLength hides from Mint that there is no room left.
func beyondPathLength(p *proxyTable) *gsi.Credential {
	one := 1
	first := gridtest.Must(p.ProxyOf(p.user, gsi.Limits{PathLen: &one}))
	second := gridtest.Must(p.ProxyOf(first, gsi.Limits{}))
	third := gridtest.Must(p.ProxyOf(&gsi.Credential{Chain: second.Chain[:1], Key: second.Key}, gsi.Limits{}))
	third.Chain = append(third.Chain[:1], second.Chain...)
	return third
}

// forged makes a proxy that Mint would not, below one that it does.
func forged(above gsi.ProxyType, info gsi.ProxyCertInfo) func(*proxyTable) *gsi.Credential {
	return func(p *proxyTable) *gsi.Credential {
		return p.forge(gridtest.Must(p.ProxyOf(p.user, gsi.Limits{Type: above})), info)
	}
}

var (
	full        = gsi.Policy{Language: gsi.OIDInheritAll}
	independent = gsi.Policy{Language: gsi.OIDIndependent}
)

type proxyTable struct {
	*grid
	user  *gsi.Credential // whose proxies are made now
	dir   string
	cases []*proxyCase
}

func (p *proxyTable) forge(issuer *gsi.Credential, info gsi.ProxyCertInfo) *gsi.Credential {
	like := gridtest.Must(p.ProxyOf(issuer, gsi.Limits{}))
	name := gridtest.Must(gsi.ParseName(issuer.Leaf().RawSubject))
	name = append(name, gridtest.Must(gsi.ParseDN("/CN=4711"))...)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(4711), RawSubject: gridtest.Must(name.DER()), KeyUsage: like.Leaf().KeyUsage,
		NotBefore: like.Leaf().NotBefore, NotAfter: like.Leaf().NotAfter,
		ExtraExtensions: []pkix.Extension{gridtest.Must(info.Extension())},
	}
	der := gridtest.Must(x509.CreateCertificate(rand.Reader, template, &x509.Certificate{RawSubject: issuer.Leaf().RawSubject}, like.Key.Public(), issuer.Key))
	like.Chain[0] = gridtest.Must(x509.ParseCertificate(der))
	return like
}

// A proxyCase is a row's proxy by one maker, and what is said of it.
type proxyCase struct {
	row      proxyRow
	maker    string
	file     string
	verdicts map[string]verdict
	words    string // ours
}

var oracles = []string{"openssl", "canl", "JGlobus", "verify-proxy-tool", "gatekeeper", "ARC"}

// On each row the gateway agrees with the majority of the oracles, and refuses where they are split (facts/peers.md).
// The gatekeeper and ARC decide what a proxy may do as well as whose it is, and so have no say on limited and
// independent ones. OpenSSL, the gatekeeper and ARC refuse a legacy proxy below a user with keyUsage, whom they take for
// a CA; such are GT4's own, and we do not. Who made the proxy makes no difference to anybody: gsigw proxy init is as good as grid-proxy-init.
func TestProxyTable_AgreesWithTheMajorityAndRefusesOnATie(t *testing.T) {
	p := &proxyTable{grid: newGrid(t), dir: t.TempDir()}
	p.makeAll(t)
	p.askOpenSSL(t)
	p.askVerifyProxyTool(t)
	p.askJava(t, "canl", "CanlCheck")
	p.askJava(t, "JGlobus", "JGlobusCheck")
	p.askGatekeeper(t)
	p.askARC(t)
	p.askOurselves(t)
	t.Log("\n" + p.String())
	for _, c := range p.cases {
		want := c.majority()
		if got := c.verdicts["gsigw"]; (got != want) != c.row.against {
			t.Errorf("%s by %s: we say %s (%s), the oracles %s", c.row.name, c.maker, got, c.words, want)
		}
	}
	p.compareMakers(t)
}

// compareMakers wants of every oracle the same of a row's proxies.
func (p *proxyTable) compareMakers(t *testing.T) {
	first := map[string]*proxyCase{}
	for _, c := range p.cases {
		like, seen := first[c.row.name]
		if !seen {
			first[c.row.name] = c
			continue
		}
		for _, o := range oracles {
			if c.verdicts[o] != like.verdicts[o] {
				t.Errorf("%s: %s says %s of that by %s, and %s of that by %s",
					c.row.name, o, c.verdicts[o], c.maker, like.verdicts[o], like.maker)
			}
		}
	}
}

func (c *proxyCase) majority() verdict {
	balance := 0
	for _, o := range oracles {
		if c.row.identity && (o == "gatekeeper" || o == "ARC") {
			continue
		}
		switch c.verdicts[o] {
		case accepts:
			balance++
		case refuses:
			balance--
		}
	}
	if balance > 0 {
		return accepts
	}
	return refuses
}

func (c *proxyCase) asked() (said []verdict) {
	for _, o := range oracles {
		said = append(said, c.verdicts[o])
	}
	return said
}

func (p *proxyTable) String() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "proxy\tmade by\t"+strings.Join(oracles, "\t")+"\tgsigw\t")
	for _, c := range p.cases {
		fmt.Fprintf(w, "%s\t%s\t", c.row.name, c.maker)
		for _, v := range c.asked() {
			fmt.Fprintf(w, "%s\t", v)
		}
		fmt.Fprintf(w, "%s %s\t\n", c.verdicts["gsigw"], c.words)
	}
	w.Flush()
	return b.String()
}

// makeAll makes each row's proxy, by grid-proxy-init and gsigw proxy init where they can, and by package gsi.
func (p *proxyTable) makeAll(t *testing.T) {
	tool := need(t, "grid-proxy-init")
	writeFile(t, filepath.Join(p.dir, "policy"), "a policy")
	bare := gridtest.Must(p.CA.Issue(gridtest.Request{Name: gridtest.UserName, Change: func(c *x509.Certificate) { c.KeyUsage = 0 }}))
	for _, row := range proxyRows {
		p.user = p.User
		if row.noKeyUsage {
			p.user = bare
		}
		if row.tool != nil {
			p.runTool(t, p.add(row, "grid-proxy-init"), []string{tool}, row.tool)
			p.runTool(t, p.add(row, "gsigw proxy init"), []string{staticGsigw(t), "proxy", "init"}, row.tool)
		}
		if err := gsi.WriteProxyFile(p.add(row, "package gsi"), row.mint(p)); err != nil {
			t.Fatal(err)
		}
	}
}

// add notes a case and returns the file that its proxy goes to.
func (p *proxyTable) add(row proxyRow, maker string) string {
	file := filepath.Join(p.dir, fmt.Sprintf("%02d.pem", len(p.cases)))
	p.cases = append(p.cases, &proxyCase{row: row, maker: maker, file: file, verdicts: map[string]verdict{}})
	return file
}

// runTool runs either tool: they take the same words, and gsigw needs nothing of the machine besides.
func (p *proxyTable) runTool(t *testing.T, out string, tool, flags []string) {
	user := filepath.Join(p.dir, "user.pem")
	if err := gsi.WriteProxyFile(user, p.user); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(tool[0], slices.Concat(tool[1:], []string{"-q", "-cert", user, "-key", user, "-out", out}, flags)...)
	cmd.Dir = p.dir
	cmd.Env = []string{"X509_CERT_DIR=" + p.TrustDir}
	run(t, cmd)
}

func (p *proxyTable) askOpenSSL(t *testing.T) {
	openssl := need(t, "openssl")
	for _, c := range p.cases {
		chain := filepath.Join(p.dir, "chain.pem")
		var leaf, rest []byte
		for i, cert := range readCertificates(t, c.file) {
			block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
			if i == 0 {
				leaf = block
			} else {
				rest = append(rest, block...)
			}
		}
		writeFile(t, chain, string(rest))
		cmd := exec.Command(openssl, "verify", "-allow_proxy_certs", "-CApath", p.TrustDir, "-untrusted", chain)
		cmd.Stdin = strings.NewReader(string(leaf))
		c.verdicts["openssl"] = byError(cmd.Run())
	}
}

func (p *proxyTable) askVerifyProxyTool(t *testing.T) {
	tool := need(t, "verify-proxy-tool")
	for _, c := range p.cases {
		cmd := exec.Command(tool, "-q", c.file)
		cmd.Env = append(os.Environ(), "X509_CERT_DIR="+p.TrustDir)
		c.verdicts["verify-proxy-tool"] = byError(cmd.Run())
	}
}

func byError(err error) verdict {
	if err != nil {
		return refuses
	}
	return accepts
}

// askJava runs one of the checkers of shared/peers/java over all files: it
// prints "FILE: VALID ..." or "FILE: INVALID ...".
func (p *proxyTable) askJava(t *testing.T, oracle, program string) {
	source := filepath.Join(shared(t), "peers", "java", program+".java")
	classPath := p.dir
	for _, jar := range javaJars {
		classPath += ":" + need(t, jar)
	}
	run(t, exec.Command(need(t, "javac"), "-nowarn", "-proc:none", "-d", p.dir, "-cp", classPath, source))
	args := append(jvmOptions(), "-cp", classPath, program, p.TrustDir)
	for _, c := range p.cases {
		args = append(args, c.file)
	}
	out := run(t, exec.Command(need(t, "java"), args...))
	for _, c := range p.cases {
		_, said, found := strings.Cut(out, filepath.Base(c.file)+": ")
		if !found {
			t.Fatalf("%s says nothing of %s:\n%s", program, c.file, out)
		}
		c.verdicts[oracle] = refuses
		if strings.HasPrefix(said, "VALID") {
			c.verdicts[oracle] = accepts
		}
	}
}

var javaJars = []string{
	"canl.jar", "jglobus-ssl-proxies.jar", "jglobus-jsse.jar", "jglobus-gss.jar", "bcprov.jar", "bcpkix.jar",
	"bcutil.jar", "commons-logging.jar", "commons-codec.jar", "commons-io.jar", "log4j-1.2.jar",
}

// shared returns the directory of what the project's suites share, beside the
// repository or where GSIGW_SHARED says.
func shared(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("GSIGW_SHARED")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared")
	}
	if _, err := os.Stat(filepath.Join(dir, "peers")); err != nil {
		report := t.Skipf
		if os.Getenv("CI") == "true" {
			report = t.Fatalf
		}
		report("no shared directory beside the repository: set GSIGW_SHARED")
	}
	return dir
}

func (p *proxyTable) askOurselves(t *testing.T) {
	store, err := trust.Open(p.TrustDir, trust.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range p.cases {
		id, err := store.Verify(readCertificates(t, c.file), time.Now())
		c.verdicts["gsigw"] = byError(err)
		if refused, ok := errors.AsType[*trust.Error](err); ok {
			c.words = string(refused.Code)
		} else {
			c.words = string(id.Type)
		}
	}
}

func readCertificates(t *testing.T, file string) []*x509.Certificate {
	t.Helper()
	certs, err := gsi.ParseCertificates(readFile(t, file))
	if err != nil {
		t.Fatal(err)
	}
	return certs
}
