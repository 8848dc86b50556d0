package interop

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"gsigw/internal/gridtest"
	"gsigw/trust"
	"gsigw/voms"
)

func init() {
	maps.Copy(packages, map[string]string{
		"cc":                "gcc libc6-dev",
		"voms-api-java.jar": "libvoms-api-java-java",
		"voms-proxy-fake":   "voms-clients",
		"voms-proxy-info2":  "voms-clients",
	})
}

// The two libraries that everybody on the grid reads VOMS's attributes with.
const (
	vomsJava = "voms-api-java"
	vomsC    = "libvomsapi"
)

// vomsDiffers has the cases on which a library says otherwise than we do, and why we do not follow. Where it believes
// what we refuse, that is a check which it leaves out.
var vomsDiffers = map[string]map[string]string{
	vomsJava: {
		"holder by issuer":                   "wants the holder's own name; `voms-server --newformat` writes the issuer's, as RFC 5755 says",
		"fake, new format":                   "wants the holder's own name",
		"holder by name":                     "knows no such holder; RFC 5755, section 4.2.2, does",
		"targets as RFC 5755 has them":       "reads VOMS's form only",
		"key by issuer and serial":           "reads key identifiers only",
		"authority without a key identifier": "asks for one; RFC 5755 does not",
		"P-256 authority":                    "verifies RSA only",
		"second chain of the LSC file":       "reads the first only",
		"holder with another serial":         "compares the name alone",
		"FQAN of another VO":                 "does not compare the VO",
		"FQAN of a VO with a longer name":    "does not compare the VO",
		"fake, for another VO":               "does not compare the VO",
		"FQAN that is none":                  "does not parse it",
		"VOMS attribute twice":               "takes the last",
		"serial of 21 bytes":                 "does not look",
		"unique identifier of the issuer":    "does not look",
		"no target":                          "takes an empty list for every host",
		"no noRevAvail":                      "does not ask for it",
		"generic attributes of another VO":   "does not look at their authority",
		"MD5":                                "verifies MD5",
		"another issuer":                     "does not compare the authority's name",
		"local certificate of another VO":    "believes every local certificate about every VO",
		"authority is a CA":                  "does not look",
		"authority may not sign":             "does not look",
		"indefinite length":                  "reads BER",
	},
	vomsC: {
		"for this host":                    "knows no name of this host but its own",
		"holder by name":                   "compares it with the issuer",
		"targets as RFC 5755 has them":     "reads VOMS's form only",
		"key by issuer and serial":         "compares the type of the serial number with that of a name",
		"second chain of the LSC file":     "wants blanks in ------ NEXT CHAIN ------",
		"LSC file with comments":           "takes a comment for a name",
		"no FQAN":                          "takes an empty list",
		"VOMS attribute twice":             "takes the first",
		"version 1":                        "does not look",
		"unique identifier of the issuer":  "does not look",
		"for another host, not critical":   "looks at critical targets only",
		"extension twice":                  "takes the first",
		"generic attributes of another VO": "does not look at their authority",
		"MD5":                              "verifies MD5",
		"unknown algorithm":                "takes the error of a verification that it cannot make for success",
		"LSC file of a longer chain":       "does not read on",
		"authority is a CA":                "does not look",
		"authority may not sign":           "does not look",
		"indefinite length":                "reads BER",
		"criticality written out as false": "reads BER",
	},
}

// A vomsCase is a chain with attributes in files, and what is said of it.
type vomsCase struct {
	gridtest.VOMSCase
	grid     *gridtest.VOMSGrid
	file     string
	verdicts map[string]verdict
	words    map[string]string // FQANs, or the reason
}

func TestVOMSAC_VerdictsAgreeWithBothLibraries(t *testing.T) {
	var cases []*vomsCase
	for _, c := range slices.Concat(gridtest.VOMSCases, fakeCases(t)) {
		cases = append(cases, newVOMSCase(t, c))
	}
	askVOMSJava(t, cases)
	askVOMSC(t, cases)
	table := tabwriter.NewWriter(t.Output(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "case\tgsigw\t"+vomsJava+"\t"+vomsC)
	for _, c := range cases {
		c.check(t)
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", c.Name, cmp.Or(c.Code, "ok"), c.verdicts[vomsJava], c.verdicts[vomsC])
	}
	table.Flush()
}

func newVOMSCase(t *testing.T, c gridtest.VOMSCase) *vomsCase {
	t.Helper()
	g := gridtest.Must(gridtest.NewVOMSGrid(t.TempDir(), gridtest.PKIOptions{}))
	v := &vomsCase{VOMSCase: c, grid: g, file: filepath.Join(g.Dir, "chain.pem"), verdicts: map[string]verdict{}, words: map[string]string{}}
	chain := c.Make(g)
	writeFile(t, v.file, string(pemChain(chain)))
	v.judge(t, chain)
	return v
}

// judge asks ourselves.
func (c *vomsCase) judge(t *testing.T, chain []*x509.Certificate) {
	t.Helper()
	store := gridtest.Must(trust.Open(c.grid.TrustDir, trust.Options{}))
	dir := gridtest.Must(voms.Open(c.grid.VOMSDir, voms.Options{Trust: store, Hosts: []string{gridtest.VOMSTarget}}))
	result, err := dir.Verify(chain, time.Now())
	if err != nil {
		t.Fatalf("%s: %v", c.Name, err)
	}
	var code string
	for _, refused := range result.Refused {
		code = string(refused.Code)
	}
	if code != c.Code || (code == "") != (len(result.Attributes) > 0) {
		t.Errorf("%s: refused for %q, want %q", c.Name, code, c.Code)
	}
	var fqans []string
	for _, a := range result.Attributes {
		for _, f := range a.FQANs {
			fqans = append(fqans, f.String())
		}
	}
	c.words["gsigw"] = strings.Join(fqans, " ")
}

// check compares the verdicts with ours.
func (c *vomsCase) check(t *testing.T) {
	t.Helper()
	ours := accepts
	if c.Code != "" {
		ours = refuses
	}
	for library, differs := range vomsDiffers {
		why, known := differs[c.Name]
		switch said := c.verdicts[library]; {
		case said != ours && !known:
			t.Errorf("%s: %s says %s, and we %s (%s): %s", c.Name, library, said, ours, c.Code, c.words[library])
		case said == ours && known:
			t.Errorf("%s: %s says %s as we do, and it was not to: it %s", c.Name, library, said, why)
		case said == accepts && ours == accepts && shortFQANs(t, c.words[library]) != c.words["gsigw"]:
			t.Errorf("%s: %s reads %q, we %q", c.Name, library, c.words[library], c.words["gsigw"])
		}
	}
}

func shortFQANs(t *testing.T, words string) string {
	t.Helper()
	var short []string
	for word := range strings.FieldsSeq(words) {
		f, err := voms.ParseFQAN(word)
		if err != nil {
			t.Error(err)
		}
		short = append(short, f.String())
	}
	return strings.Join(short, " ")
}

func pemChain(chain []*x509.Certificate) []byte {
	var b bytes.Buffer
	for _, cert := range chain {
		pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
	}
	return b.Bytes()
}

func askVOMSJava(t *testing.T, cases []*vomsCase) {
	t.Helper()
	jars := []string{"voms-api-java.jar", "canl.jar", "bcprov.jar", "bcpkix.jar", "bcutil.jar", "commons-io.jar"}
	ask(t, javaCommand(t, "VomsValidator", jars, nil), vomsJava, cases)
}

func askVOMSC(t *testing.T, cases []*vomsCase) {
	t.Helper()
	need(t, "voms-proxy-info2") // which needs the library
	program := filepath.Join(scratch, "voms_verdict")
	run(t, exec.Command(need(t, "cc"), "-Wall", "-o", program, "c/voms_verdict.c", "-l:libvomsapi.so.1"))
	ask(t, exec.Command(program), vomsC, cases)
}

// ask gives a program the cases and takes its verdicts, a line for each.
func ask(t *testing.T, cmd *exec.Cmd, name string, cases []*vomsCase) {
	t.Helper()
	var in strings.Builder
	for _, c := range cases {
		fmt.Fprintf(&in, "%s\t%s\t%s\t%s\n", c.grid.TrustDir, c.grid.VOMSDir, c.file, gridtest.VOMSTarget)
	}
	cmd.Stdin = strings.NewReader(in.String())
	lines := strings.Split(strings.TrimSuffix(run(t, cmd), "\n"), "\n")
	if len(lines) != len(cases) {
		t.Fatalf("%d verdicts on %d chains:\n%s", len(lines), len(cases), strings.Join(lines, "\n"))
	}
	for i, line := range lines {
		said, words, _ := strings.Cut(line, " ")
		cases[i].verdicts[name], cases[i].words[name] = verdict(said), words
	}
}
