package interop

import (
	"archive/zip"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// bspRows are the rows of docs/bsp.md: status by rule.
func bspRows(t testing.TB) map[string]string {
	t.Helper()
	rows := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^\| (R\d{4}) \| (.+) \| (.*) \| (.*) \|$`).FindAllStringSubmatch(string(readFile(t, "../docs/bsp.md")), -1) {
		rule, status, reason := m[1], m[3], m[4]
		if rows[rule] != "" {
			t.Errorf("%s has two rows", rule)
		}
		rows[rule] = status
		switch {
		case status != "met" && status != "not applicable" && status != "deliberately not":
			t.Errorf("%s is %q", rule, status)
		case status != "met" && reason == "":
			t.Errorf("%s is %s, and nobody says why", rule, status)
		}
	}
	return rows
}

func TestBSPDoc_HasEveryRuleOfWSS4JAndNoOther(t *testing.T) {
	rows := bspRows(t)
	rules := strings.Fields(string(readFile(t, "testdata/bsp/rules.txt")))
	for _, rule := range rules {
		if rows[rule] == "" {
			t.Errorf("docs/bsp.md has no row for %s", rule)
		}
	}
	for rule := range rows {
		if !slices.Contains(rules, rule) {
			t.Errorf("%s in docs/bsp.md is no rule of WSS4J's", rule)
		}
	}
	counts := map[string]int{}
	for _, status := range rows {
		counts[status]++
	}
	text := strings.Join(strings.Fields(string(readFile(t, "../docs/bsp.md"))), " ")
	said := fmt.Sprintf("%d of its rules ([interop/testdata/bsp](../interop/testdata/bsp)); this is what a message of gsigw's makes of them, in our words: %d are met, %d are not applicable, %d are deliberately not met",
		len(rules), counts["met"], counts["not applicable"], counts["deliberately not"])
	if !strings.Contains(text, said) {
		t.Errorf("docs/bsp.md does not say %q", said)
	}
}

// The rules that the WSS4J of the suites names where it refuses a message are met: all of them are about what is sent.
func TestBSPDoc_MeetsTheRulesThatWSS4JNames(t *testing.T) {
	rows := bspRows(t)
	jar, err := zip.OpenReader(need(t, "wss4j.jar"))
	if err != nil {
		t.Fatal(err)
	}
	defer jar.Close()
	f, err := jar.Open("org/apache/ws/security/errors.properties")
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`\bR\d{4}\b`).FindAllString(string(text), -1)
	if len(named) == 0 {
		t.Fatal("WSS4J names no rules")
	}
	for _, rule := range named {
		if rows[rule] != "met" {
			t.Errorf("%s, which WSS4J enforces, is %q", rule, rows[rule])
		}
	}
}
