package interop

import (
	"bytes"

	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
	"gsigw/trust"
)

var update = flag.Bool("update", false, "write testdata/corpus.txt anew from what the oracles say")

const corpusRecord = "testdata/corpus.txt"

// A judged is a chain of the corpus with what was said of it.
type judged struct {
	gridtest.Chain
	verdicts map[string]verdict
	words    map[string]string
	code     trust.Code // ours
}

// gsigw follows RFC 5280 and RFC 3820 where they speak, the majority of the oracles where they do not, and refuses on a
// tie; what it does otherwise has its reason in the row. The oracles say what is on record.
func TestCorpus_WeFollowTheRFCsThenTheMajority(t *testing.T) {
	corpus := judgeCorpus(t)
	for _, c := range corpus {
		if got, want := c.verdicts["gsigw"], c.wanted(); got != want && c.Why == "" {
			t.Errorf("%s: we say %s (%s), wanted %s: %s", c.Name, got, c.words["gsigw"], want, c.answers())
		}
		if c.code != c.Code {
			t.Errorf("%s: we say %q, expected %q: %s", c.Name, c.code, c.Code, c.words["gsigw"])
		}
	}
	compareRecord(t, corpus)
}

// wanted is what we ought to say.
func (c *judged) wanted() verdict {
	switch said, _, _ := strings.Cut(c.RFC, " "); said {
	case "ok":
		return accepts
	case "no":
		return refuses
	}
	return c.majority()
}

func (c *judged) majority() verdict {
	balance := 0
	for _, o := range corpusOracles {
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

func (c *judged) answers() string {
	var b strings.Builder
	for _, o := range corpusOracles {
		fmt.Fprintf(&b, "\n\t%s: %s %s", o, c.verdicts[o], c.words[o])
	}
	return b.String()
}

func judgeCorpus(t *testing.T) []*judged {
	chains, err := gridtest.Corpus(t.TempDir(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	var corpus []*judged
	for _, c := range chains {
		corpus = append(corpus, &judged{Chain: c, verdicts: map[string]verdict{}, words: map[string]string{}})
	}
	openssl, tool := need(t, "openssl"), need(t, "verify-proxy-tool")
	inTurn(corpus, func(c *judged) {
		c.judgeOurselves()
		c.ask("openssl", opensslCommand(openssl, c.Chain))
		c.ask("verify-proxy-tool", verifyProxyCommand(tool, c.Chain))
	})
	askChainOracle(t, corpus)
	return corpus
}

// inTurn does something for each chain, two at a time.
func inTurn(corpus []*judged, do func(*judged)) {
	var workers sync.WaitGroup
	for half := range 2 {
		workers.Go(func() {
			for i := half; i < len(corpus); i += 2 {
				do(corpus[i])
			}
		})
	}
	workers.Wait()
}

// corpusOracles are asked about the corpus.
var corpusOracles = []string{"openssl", "canl", "JGlobus", "verify-proxy-tool"}

// asked says whether an oracle has anything to say of a chain.
func asked(oracle string, c gridtest.Chain) bool {
	group, what, _ := strings.Cut(c.Name, "/")
	reads := oracle == "canl" || oracle == "JGlobus" // policy files
	switch group {
	case "policy_file":
		return reads || what == "absent" || strings.HasPrefix(what, "files under")
	case "namespaces":
		return oracle == "canl" || oracle == "JGlobus" && strings.Contains(what, "signing_policy")
	case "crl":
		if oracle == "JGlobus" && what == "expired beside a good one" {
			return false // it keeps one list of a CA, whichever it reads last
		}
		if reads && strings.HasPrefix(what, "two lists") {
			return false // canl too: their answers change from run to run
		}
		return !strings.HasPrefix(what, "off") && (oracle != "JGlobus" && oracle != "verify-proxy-tool" || !strings.HasPrefix(what, "missing"))
	}
	// Of two CAs with one name they take either.
	eitherByChance := reads && (strings.HasPrefix(what, "two of one name") || strings.HasPrefix(what, "renewed with the same key, the"))
	return what != "PKCS#12" && !eitherByChance
}

func (c *judged) ask(oracle string, cmd *exec.Cmd) {
	c.verdicts[oracle] = silent
	if !asked(oracle, c.Chain) {
		return
	}
	out, err := cmd.CombinedOutput()
	c.verdicts[oracle] = byError(err)
	c.words[oracle] = strings.Join(strings.Fields(strings.ReplaceAll(string(out), c.File, "")), " ")
}

// opensslCommand verifies the first certificate of the file, the others beside it.
func opensslCommand(openssl string, c gridtest.Chain) *exec.Cmd {
	args := []string{"verify", "-allow_proxy_certs", "-CApath", c.TrustDir, "-untrusted", c.File}
	if c.CRLs {
		args = append(args, "-crl_check_all")
	} else if strings.HasPrefix(c.Name, "crl/if present, user") {
		args = append(args, "-crl_check")
	}
	return exec.Command(openssl, append(args, c.File)...)
}

func verifyProxyCommand(tool string, c gridtest.Chain) *exec.Cmd {
	cmd := exec.Command(tool, "-q", c.File)
	cmd.Env = append(os.Environ(), "X509_CERT_DIR="+c.TrustDir)
	return cmd
}

// askChainOracle asks canl and JGlobus about all chains in one JVM.
func askChainOracle(t *testing.T, corpus []*judged) {
	var questions strings.Builder
	for i, c := range corpus {
		fmt.Fprintf(&questions, "%d\t%s\t%s\t%t\n", i, c.File, c.TrustDir, c.CRLs)
	}
	cmd := javaCommand(t, "ChainOracle", javaJars, nil)
	cmd.Stdin = strings.NewReader(questions.String())
	out := run(t, cmd)
	for line := range strings.Lines(out) {
		var i int
		f := strings.SplitN(strings.TrimSpace(line), "\t", 4)
		if len(f) < 3 {
			continue
		}
		fmt.Sscan(f[0], &i)
		oracle, said := f[1], map[string]verdict{"ok": accepts, "no": refuses, "crash": silent}[f[2]]
		if !asked(oracle, corpus[i].Chain) {
			said = silent
		}
		corpus[i].verdicts[oracle] = said
		corpus[i].words[oracle] = strings.Join(f[3:], "")
	}
}

func (c *judged) judgeOurselves() {
	err := c.verifyOurselves()
	c.verdicts["gsigw"] = byError(err)
	if err == nil {
		return
	}
	c.words["gsigw"], c.code = err.Error(), gridtest.Unreadable
	if refused, ok := errors.AsType[*trust.Error](err); ok {
		c.code = refused.Code
	}
}

func (c *judged) verifyOurselves() error {
	chain, err := corpusChain(c.File)
	if err != nil {
		return err
	}
	store, err := trust.Open(c.TrustDir, c.Options)
	if err != nil {
		return err
	}
	_, err = store.Verify(chain, time.Now())
	return err
}

func corpusChain(file string) ([]*x509.Certificate, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	c, err := gsi.ParsePEM(data)
	if errors.Is(err, gsi.ErrPKCS12) {
		c, err = gsi.ParsePKCS12(data, []byte(gridtest.Passphrase))
	}
	switch {
	case err == nil:
		return c.Chain, nil
	case strings.Contains(err.Error(), "belongs to none"):
		return nil, err
	}
	return gsi.ParseCertificates(data)
}

// compareRecord compares what was said with what is on record, or makes that the record.
func compareRecord(t *testing.T, corpus []*judged) {
	table := corpusTable(corpus)
	if *update {
		if err := os.WriteFile(corpusRecord, table, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	record := readFile(t, filepath.FromSlash(corpusRecord))
	t.Logf("\n%s", table)
	if bytes.Equal(record, table) {
		return
	}
	for line := range bytes.Lines(table) {
		if !bytes.Contains(record, line) {
			t.Errorf("not on record: %s", line)
		}
	}
	t.Errorf("%s differs from what was said: look, then run go test ./interop -run Corpus -update", corpusRecord)
}

func corpusTable(corpus []*judged) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# What the oracles say of the corpus of internal/gridtest, %d chains; - is no answer (not asked, or it crashed).\n", len(corpus))
	fmt.Fprintln(&b, "# Written by: go test ./interop -run Corpus -update")
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "chain\t"+strings.Join(corpusOracles, "\t")+"\tRFC\tgsigw\tnote")
	for _, c := range corpus {
		fmt.Fprintf(w, "%s\t", c.Name)
		for _, o := range corpusOracles {
			fmt.Fprintf(w, "%s\t", c.verdicts[o])
		}
		ours := string(c.code)
		if ours == "" {
			ours = "ok"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", strings.TrimSpace(c.RFC+" "), ours, c.Why)
	}
	w.Flush()
	return b.Bytes()
}

// gsigw proxy verify says of each chain what the library says, valid or the same code; a file that cannot be read is
// malformed.
func TestCorpus_TheCommandSaysWhatTheLibrarySays(t *testing.T) {
	dir := t.TempDir()
	chains, err := gridtest.Corpus(dir, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	passphrase := filepath.Join(dir, "passphrase")
	writeFile(t, passphrase, gridtest.Passphrase)
	binary := gsigwBinary(t)
	var corpus []*judged
	for _, c := range chains {
		corpus = append(corpus, &judged{Chain: c, words: map[string]string{}})
	}
	inTurn(corpus, func(c *judged) {
		cmd := exec.Command(binary, verifyArguments(c.Chain, passphrase)...)
		out, err := cmd.Output()
		c.words["gsigw"] = string(out)
		if err == nil {
			return
		}
		var said struct{ Code trust.Code }
		json.Unmarshal(out, &said) // what is no JSON has no code
		c.code = said.Code
	})
	for _, c := range corpus {
		want := c.Code
		if want == gridtest.Unreadable {
			want = trust.Malformed
		}
		if c.code != want || !strings.Contains(c.words["gsigw"], fmt.Sprintf(`"valid": %t`, want == "")) {
			t.Errorf("%s: the command says %q, the library %q\n%s", c.Name, c.code, want, c.words["gsigw"])
		}
	}
}

func verifyArguments(c gridtest.Chain, passphrase string) []string {
	crl := map[trust.CRLPolicy]string{trust.CRLIfPresent: "if-present", trust.CRLRequire: "require",
		trust.CRLOff: "off"}[c.Options.CRL]
	args := []string{"proxy", "verify", "--json", "--trust", c.TrustDir, "--crl", crl}
	if c.Options.RequireSigningPolicy {
		args = append(args, "--require-signing-policy")
	}
	if strings.HasSuffix(c.Name, "PKCS#12") {
		args = append(args, "--passphrase-file", passphrase)
	}
	return append(args, c.File)
}
