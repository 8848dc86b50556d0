// Package doctor looks at a machine as someone does who is asked why a grid credential will not work: which credential
// is found and why, how long it lasts and whether its chain holds, what is wrong in the trust directory and with the
// trust in VOMS servers, whether the clock is right. It looks and touches nothing; it asks the network only when told.
//
//	findings := doctor.Here().Examine(ctx)
//	for _, f := range findings {
//		fmt.Println(f.State, f.Check, f.Fact, f.Remedy)
//	}
//	if doctor.Failing(findings) { ... }
package doctor

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"

	"gsigw/gsi"
	"gsigw/internal/config"
	"gsigw/trust"
)

// State is how a thing stands.
type State string

// The states.
const (
	OK   State = "ok"
	Warn State = "warn" // it works, or may not matter, but will surprise somebody
	Fail State = "fail" // it does not work
)

// Finding is one thing that was looked at.
type Finding struct {
	Check  string `json:"check"` // what was looked at, as in trust.crl; the words of [Checks]
	State  State  `json:"state"`
	Fact   string `json:"fact"`   // one line
	Remedy string `json:"remedy"` // one line, a command where there is one; "" when all is well
}

// Checks lists what is looked at, in order. Those of network only when the network may be asked.
var Checks = []string{
	"environment", "config", "config.certificate", "credential", "credential.lifetime", "credential.chain", "credential.voms", "credential.key",
	"trust", "trust.file", "trust.ca", "trust.crl", "trust.policy", "trust.names", "trust.algorithm",
	"voms.vomses", "voms.vomsdir", "voms.match", "clock", "machine.random", "machine.hostname", "network.server",
}

// Failing says whether something does not work.
func Failing(findings []Finding) bool {
	return slices.ContainsFunc(findings, func(f Finding) bool { return f.State == Fail })
}

// Machine is what there is to look at.
type Machine struct {
	Env      func(string) string
	Home     string // of the user, "" when he has none
	UID      int    // effective
	Root     string // what stands before /etc and /tmp: "" but in tests
	Hostname string
	Now      time.Time
	Kernel   func() (Kernel, error)
	Seeded   func() bool // whether the kernel's random numbers can be had
	Lookup   func(ctx context.Context, host string) ([]string, error)
	Dial     func(ctx context.Context, network, address string) (net.Conn, error)

	// What the user named outright; "" looks where grid tools do.
	TrustDir string
	VOMSDir  string
	VOMSES   string
	Config   string   // of the gateway
	Servers  []string // host or host:port, to be asked over TLS
	Online   bool     // the network may be asked for what the environment names
}

// Kernel is what the kernel knows of its clock.
type Kernel struct {
	Synchronized bool
	MaxError     time.Duration
}

// Here is this machine, now.
func Here() *Machine {
	home, _ := os.UserHomeDir()
	hostname, _ := os.Hostname()
	return &Machine{
		Env: os.Getenv, Home: home, UID: os.Geteuid(), Hostname: hostname, Now: time.Now(),
		Kernel: kernelClock, Seeded: seeded,
		Lookup: net.DefaultResolver.LookupHost, Dial: (&net.Dialer{}).DialContext,
	}
}

// Examine looks at everything. Only what the network is asked takes time, and ctx and a few seconds bound that.
func (m *Machine) Examine(ctx context.Context) []Finding {
	v := &visit{Machine: *m, ctx: ctx}
	v.readConfig()
	v.environment()
	v.credentials()
	v.userKey()
	v.trustDirectory()
	v.routes()
	for _, c := range v.found {
		v.lifetime(c)
		v.chain(c)
	}
	v.voms()
	v.clock()
	v.machine()
	v.network()
	v.sort()
	return v.findings
}

// visit is one look at a machine.
type visit struct {
	Machine
	ctx      context.Context
	config   *config.Config // nil: none was named, or it does not parse
	trustDir string
	store    *trust.Store // nil: there is no trust directory
	found    []found
	clocks   []dated
	findings []Finding
}

// found is a credential that can be read.
type found struct {
	where string
	*gsi.Credential
}

// dated is a time that somebody's clock said and that cannot be in the future.
type dated struct {
	what string
	at   time.Time
}

func (v *visit) ok(check, format string, args ...any) { v.add(check, OK, "", format, args) }

func (v *visit) warn(check, remedy, format string, args ...any) {
	v.add(check, Warn, remedy, format, args)
}

func (v *visit) fail(check, remedy, format string, args ...any) {
	v.add(check, Fail, remedy, format, args)
}

func (v *visit) add(check string, s State, remedy, format string, args []any) {
	v.findings = append(v.findings, Finding{check, s, line(fmt.Sprintf(format, args...)), line(remedy)})
}

// line is text as one line that does not move the cursor of whoever reads it.
func line(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '?'
		}
		return r
	}, strings.Join(strings.Fields(s), " "))
}

// sort brings the findings into the order of Checks.
func (v *visit) sort() {
	slices.SortStableFunc(v.findings, func(a, b Finding) int {
		return slices.Index(Checks, a.Check) - slices.Index(Checks, b.Check)
	})
}

// etc is a path of the system.
func (v *visit) etc(path string) string { return filepath.Join(v.Root, path) }

// plain takes the name of our package off an error.
func plain(err error) string {
	text := err.Error()
	for _, p := range []string{"gsi: ", "trust: ", "voms: ", "config: "} {
		text = strings.TrimPrefix(text, p)
	}
	return text
}

// day writes a time as people compare it.
func day(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// span writes how long something lasts, in the two units that matter.
func span(d time.Duration) string {
	d = d.Abs()
	days, hours, minutes := int(d.Hours())/24, int(d.Hours())%24, int(d.Minutes())%60
	switch {
	case days >= 10:
		return fmt.Sprintf("%d days", days)
	case days > 0:
		return fmt.Sprintf("%d d %d h", days, hours)
	case hours > 0:
		return fmt.Sprintf("%d h %d min", hours, minutes)
	case minutes > 0:
		return fmt.Sprintf("%d min", minutes)
	}
	return fmt.Sprintf("%d s", int(d.Seconds()))
}

// quoted is a path as a shell takes it.
func quoted(path string) string {
	if path != "" && !strings.ContainsFunc(path, func(r rune) bool {
		return !strings.ContainsRune("/._-+:@%,=", r) && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
