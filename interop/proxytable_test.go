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
	})
}

// A verdict is what an oracle says of a chain.
type verdict string

const (
	accepts verdict = "ok"
	refuses verdict = "no"
	silent  verdict = "-" // it was not asked
)

// A proxyRow is a kind of proxy, how to make one, and what the two oracles said
// that no command line asks: the GRAM gatekeeper and ARC's TLS, as they were
// measured for facts/peers.md.
type proxyRow struct {
	name            string
	gatekeeper, arc verdict
	tool            []string                          // for grid-proxy-init
	mint            func(*proxyTable) *gsi.Credential // nil: grid-proxy-init only
	noKeyUsage      bool                              // of the end entity
}

var proxyRows = []proxyRow{
	{name: "RFC", gatekeeper: silent, arc: accepts, tool: []string{"-rfc"}, mint: minted(gsi.RFC)},
	{name: "RFC depth 2", gatekeeper: accepts, arc: accepts, mint: minted(gsi.RFC, gsi.RFC)},
	{name: "limited", gatekeeper: refuses, arc: refuses, tool: []string{"-rfc", "-limited"}, mint: minted(gsi.RFCLimited)},
	{name: "independent", gatekeeper: refuses, arc: refuses, tool: []string{"-rfc", "-independent"}, mint: minted(gsi.RFCIndependent)},
	{name: "unknown policy OID", gatekeeper: refuses, arc: refuses, tool: []string{"-rfc", "-pl", "1.2.3.4.5", "-policy", "policy"}, mint: minted(gsi.RFCRestricted)},
	{name: "draft", gatekeeper: accepts, arc: refuses, tool: []string{"-draft"}, mint: minted(gsi.Draft)},
	{name: "legacy, EEC has keyUsage", gatekeeper: refuses, arc: silent, tool: []string{"-old"}, mint: minted(gsi.Legacy)},
	{name: "legacy, EEC without keyUsage", gatekeeper: accepts, arc: refuses, tool: []string{"-old"}, mint: minted(gsi.Legacy), noKeyUsage: true},
	{name: "path length exceeded", gatekeeper: silent, arc: refuses, mint: beyondPathLength},
	{name: "independent under limited", gatekeeper: silent, arc: silent, mint: forged(gsi.RFCLimited, gsi.ProxyCertInfo{Policy: independent})},
	{name: "full under limited", gatekeeper: silent, arc: silent, mint: forged(gsi.RFCLimited, gsi.ProxyCertInfo{Policy: full})},
	{name: "draft under RFC", gatekeeper: silent, arc: silent, mint: forged(gsi.RFC, gsi.ProxyCertInfo{Draft: true, Policy: full})},
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

var oracles = []string{"openssl", "canl", "JGlobus", "verify-proxy-tool"}

// On each row the gateway agrees with the majority of the
// oracles, and refuses where they are split (facts/peers.md).
func TestProxyTable_AgreesWithTheMajorityAndRefusesOnATie(t *testing.T) {
	p := &proxyTable{grid: newGrid(t), dir: t.TempDir()}
	p.makeAll(t)
	p.askOpenSSL(t)
	p.askVerifyProxyTool(t)
	p.askJava(t, "canl", "CanlCheck")
	p.askJava(t, "JGlobus", "JGlobusCheck")
	p.askOurselves(t)
	t.Log("\n" + p.String())
	for _, c := range p.cases {
		want := c.majority()
		if got := c.verdicts["gsigw"]; got != want {
			t.Errorf("%s by %s: we say %s (%s), the oracles %s", c.row.name, c.maker, got, c.words, want)
		}
	}
}

func (c *proxyCase) majority() verdict {
	balance := 0
	for _, v := range append([]verdict{c.row.gatekeeper, c.row.arc}, c.asked()...) {
		switch v {
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
	fmt.Fprintln(w, "proxy\tmade by\t"+strings.Join(oracles, "\t")+"\tgatekeeper*\tARC TLS*\tgsigw\t")
	for _, c := range p.cases {
		fmt.Fprintf(w, "%s\t%s\t", c.row.name, c.maker)
		for _, v := range append(c.asked(), c.row.gatekeeper, c.row.arc) {
			fmt.Fprintf(w, "%s\t", v)
		}
		fmt.Fprintf(w, "%s %s\t\n", c.verdicts["gsigw"], c.words)
	}
	w.Flush()
	return b.String() + "* as recorded in facts/peers.md"
}

// makeAll makes each row's proxy, by grid-proxy-init where it can and by Mint.
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
			p.runTool(t, tool, p.add(row, "grid-proxy-init"), row.tool)
		}
		if err := gsi.WriteProxyFile(p.add(row, "gsigw"), row.mint(p)); err != nil {
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

func (p *proxyTable) runTool(t *testing.T, tool, out string, flags []string) {
	user := filepath.Join(p.dir, "user.pem")
	if err := gsi.WriteProxyFile(user, p.user); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(tool, append([]string{"-q", "-cert", user, "-key", user, "-out", out}, flags...)...)
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), "X509_CERT_DIR="+p.TrustDir)
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
