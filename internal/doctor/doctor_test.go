package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// patient is a machine in good health, under a directory of the test's, for a case to harm.
type patient struct {
	*Machine
	t   testing.TB
	pki *gridtest.PKI
	env map[string]string
}

func newPatient(t testing.TB) *patient {
	t.Helper()
	root := t.TempDir()
	p := &patient{t: t, env: map[string]string{}}
	for _, dir := range []string{"etc/grid-security/vomsdir", "tmp", "home/.globus"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	p.pki = gridtest.Must(gridtest.NewPKI(filepath.Join(root, "etc/grid-security"), gridtest.PKIOptions{Now: noon}))
	p.Machine = &Machine{
		Env: func(name string) string { return p.env[name] }, Home: filepath.Join(root, "home"), UID: os.Geteuid(),
		Root: root, Hostname: "wn7.grid.example.org", Now: noon,
		Kernel: func() (Kernel, error) { return Kernel{Synchronized: true}, nil },
		Seeded: func() bool { return true },
		Lookup: func(context.Context, string) ([]string, error) { return nil, errors.New("the test has no network") },
		Dial: func(context.Context, string, string) (net.Conn, error) {
			return nil, errors.New("the test has no network")
		},
	}
	p.write("etc/hosts", "127.0.0.1 localhost # wn8\n192.0.2.7 wn7.grid.example.org wn7\n", 0o644)
	p.proxy(p.tmpProxy(), gsi.Limits{Lifetime: 12 * time.Hour})
	return p
}

func (p *patient) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(p.Root, name)
}

func (p *patient) tmpProxy() string { return p.path(fmt.Sprintf("tmp/x509up_u%d", p.UID)) }

func (p *patient) write(name, text string, mode os.FileMode) {
	p.t.Helper()
	if err := errors.Join(os.WriteFile(p.path(name), []byte(text), mode), os.Chmod(p.path(name), mode)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *patient) copy(from, to string, mode os.FileMode) {
	p.t.Helper()
	p.write(to, string(gridtest.Must(os.ReadFile(p.path(from)))), mode)
}

func (p *patient) remove(names ...string) {
	p.t.Helper()
	for _, name := range names {
		if err := os.Remove(p.path(name)); err != nil {
			p.t.Fatal(err)
		}
	}
}

// proxy writes a proxy of the user's.
func (p *patient) proxy(name string, l gsi.Limits) {
	p.t.Helper()
	p.save(name, gridtest.Must(p.pki.Proxy(l)))
}

func (p *patient) save(name string, c *gsi.Credential) {
	p.t.Helper()
	if err := gsi.WriteProxyFile(p.path(name), c); err != nil {
		p.t.Fatal(err)
	}
}

func (p *patient) userPair() {
	p.copy("etc/grid-security/usercert.pem", "home/.globus/usercert.pem", 0o644)
	p.copy("etc/grid-security/userkey.pem", "home/.globus/userkey.pem", 0o600)
}

// want is a finding as far as a case cares.
type want struct {
	check  string
	state  State
	fact   string // part of it
	remedy string // part of it
}

func (w want) in(findings []Finding) bool {
	return slices.ContainsFunc(findings, func(f Finding) bool {
		return f.Check == w.check && f.State == w.state && strings.Contains(f.Fact, w.fact) && strings.Contains(f.Remedy, w.remedy)
	})
}

// disease is what is done to a healthy machine and what the doctor has to say of it.
type disease struct {
	name string
	do   func(*patient)
	want []want
}

func diagnose(t *testing.T, cases []disease) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := newPatient(t)
			c.do(p)
			findings := p.Examine(t.Context())
			for _, w := range c.want {
				if !w.in(findings) {
					t.Errorf("not found: %+v\nin\n%s", w, report(findings))
				}
			}
			wellFormed(t, findings)
		})
	}
}

func report(findings []Finding) string {
	var b strings.Builder
	for _, f := range findings {
		fmt.Fprintf(&b, "%-4s %-20s %s\n                          -> %s\n", f.State, f.Check, f.Fact, f.Remedy)
	}
	return b.String()
}

// wellFormed holds for every finding: a known check, one line of fact, and a remedy for what is not in order.
func wellFormed(t *testing.T, findings []Finding) {
	t.Helper()
	for _, f := range findings {
		switch {
		case !slices.Contains(Checks, f.Check):
			t.Errorf("%q is not among the Checks", f.Check)
		case f.Fact == "" || strings.ContainsAny(f.Fact+f.Remedy, "\n\r\x1b"):
			t.Errorf("not one line each: %+v", f)
		case (f.State == OK) != (f.Remedy == ""):
			t.Errorf("a remedy belongs to what is not in order, and to that alone: %+v", f)
		case strings.Contains(f.Fact, "PRIVATE KEY"):
			t.Errorf("a key is shown: %+v", f)
		}
	}
}

func TestExamine_FindsNothingOnAHealthyMachine(t *testing.T) {
	p := newPatient(t)
	findings := p.Examine(t.Context())
	for _, f := range findings {
		if f.State != OK {
			t.Errorf("%+v", f)
		}
	}
	for _, w := range []want{
		{"environment", OK, "no variable of the grid is set", ""},
		{"credential", OK, "X509_USER_PROXY is not set", ""},
		{"credential", OK, p.tmpProxy() + ": taken: " + gridtest.UserName + " (rfc proxy)", ""},
		{"credential", OK, ".globus/usercert.pem and ", ""},
		{"credential.lifetime", OK, "lasts for 12 h 0 min, until 2026-11-22T00:00:00Z", ""},
		{"credential.chain", OK, "the chain holds: " + gridtest.UserName + " by " + gridtest.CAName, ""},
		{"trust", OK, "1 CA in ", ""},
		{"trust.ca", OK, "1 CA is valid for more than 30 days", ""},
		{"trust.crl", OK, "1 revocation list is in date; the next is due at 2026-12-21", ""},
		{"clock", OK, "the clock is kept right", ""},
		{"machine.random", OK, "", ""},
		{"machine.hostname", OK, "wn7.grid.example.org, and /etc/hosts has its address", ""},
	} {
		if !w.in(findings) {
			t.Errorf("not found: %+v\nin\n%s", w, report(findings))
		}
	}
	wellFormed(t, findings)
	if Failing(findings) {
		t.Error("it is failing")
	}
}

func TestExamine_GivesTheFindingsInTheOrderOfChecks(t *testing.T) {
	p := newPatient(t)
	p.userPair()
	last := 0
	for _, f := range p.Examine(t.Context()) {
		at := slices.Index(Checks, f.Check)
		if at < last {
			t.Errorf("%s comes after %s", f.Check, Checks[last])
		}
		last = at
	}
}

func TestFailing_IsSoWithOneFailure(t *testing.T) {
	if Failing([]Finding{{State: OK}, {State: Warn}}) {
		t.Error("a warning is no failure")
	}
	if !Failing([]Finding{{State: OK}, {State: Fail}}) {
		t.Error("a failure is one")
	}
}

func TestExamine_KeepsControlCharactersOutOfTheReport(t *testing.T) {
	p := newPatient(t)
	p.env["MYPROXY_SERVER"] = "a\x1b[2Jb\nc"
	findings := p.Examine(t.Context())
	if !(want{"environment", OK, "MYPROXY_SERVER=a?[2Jb c", ""}).in(findings) {
		t.Error(report(findings))
	}
	wellFormed(t, findings)
}

func TestSpan_NamesTheTwoUnitsThatMatter(t *testing.T) {
	for d, want := range map[time.Duration]string{
		400 * 24 * time.Hour:              "400 days",
		49 * time.Hour:                    "2 d 1 h",
		90 * time.Minute:                  "1 h 30 min",
		-90 * time.Second:                 "1 min",
		5*time.Second + time.Second/2:     "5 s",
		11*time.Hour + 59*time.Minute + 1: "11 h 59 min",
	} {
		if got := span(d); got != want {
			t.Errorf("span(%v) = %s, want %s", d, got, want)
		}
	}
}

func TestQuoted_IsWhatAShellTakes(t *testing.T) {
	for path, want := range map[string]string{
		"/tmp/x509up_u0": "/tmp/x509up_u0",
		"/tmp/a b":       "'/tmp/a b'",
		"it's":           `'it'\''s'`,
		"$(rm -rf /)":    "'$(rm -rf /)'",
		"":               "''",
	} {
		if got := quoted(path); got != want {
			t.Errorf("quoted(%q) = %s, want %s", path, got, want)
		}
	}
}
