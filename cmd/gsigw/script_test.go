package main

import (
	"crypto/x509/pkix"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"software.sslmate.com/src/go-pkcs12"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
)

// commands are what tests can run by name.
var commands = map[string]func(){"gsigw": main}

func TestMain(m *testing.M) { testscript.Main(m, commands) }

// TestScript runs testdata/script: each command's success, refusal, mistakes in its use, and JSON. $PKI is a test PKI
// with proxies, $GT4 the captures of a GT4 container, $CHAINS credentials that it was tried with.
func TestScript(t *testing.T) {
	gt4 := gridtest.Must(filepath.Abs("../../wssec/testdata/gt4"))
	chains := gridtest.Must(filepath.Abs("../../trust/testdata/gt4"))
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("GT4", gt4)
			e.Setenv("CHAINS", chains)
			e.Setenv("PKI", filepath.Join(e.WorkDir, "pki"))
			e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
			for _, variable := range []string{"X509_USER_PROXY", "X509_CERT_DIR", "X509_VOMS_DIR", "VOMS_USERCONF", "X509_VOMSES", "MYPROXY_SERVER"} {
				e.Setenv(variable, "")
			}
			return makePKI(filepath.Join(e.WorkDir, "pki"))
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"refused": refusedWith, "exits": exits, "prints": prints},
	})
}

// makePKI adds the user's proxies to a test PKI.
func makePKI(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	p, err := gridtest.NewPKI(dir, gridtest.PKIOptions{})
	if err != nil {
		return err
	}
	for name, l := range map[string]gsi.Limits{
		"proxy.pem":   {Type: gsi.RFC, Lifetime: time.Hour},
		"limited.pem": {Type: gsi.RFCLimited, Lifetime: time.Hour},
		"expired.pem": {Type: gsi.RFC, Lifetime: time.Minute, Now: time.Now().Add(-30 * time.Minute)},
	} {
		c, err := p.Proxy(l)
		if err != nil {
			return err
		}
		if _, err := p.WriteProxy(name, c); err != nil {
			return err
		}
	}
	return errors.Join(makePKCS12(dir, p.User), makeLocked(dir, p.User), makeVOMS(dir, p))
}

// makeLocked writes the user's key locked with the passphrase of passphrase.
func makeLocked(dir string, c *gsi.Credential) error {
	key, err := gsi.MarshalEncryptedKey(c.Key, []byte("open sesame"))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "lockedkey.pem"), key, 0o600)
}

// makeVOMS writes proxies with attributes of testvo, a vomsdir that trusts their authority, and a vomses file whose
// server nobody is.
func makeVOMS(dir string, p *gridtest.PKI) error {
	aa, err := p.NewAA()
	if err != nil {
		return err
	}
	if err := aa.WriteLSC(filepath.Join(dir, "vomsdir")); err != nil {
		return err
	}
	for name, end := range map[string]time.Duration{"voms.pem": 30 * time.Minute, "vomsexpired.pem": -time.Minute} {
		ac, err := aa.Issue(gridtest.AC{
			Holder: p.User.Leaf(), FQANs: []string{"/testvo/Role=admin", "/testvo"},
			Generic:   []gridtest.Tag{{Name: "nick", Value: "jane", Qualifier: "testvo"}},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(end),
		})
		if err != nil {
			return err
		}
		c, err := p.Proxy(gsi.Limits{Lifetime: time.Hour, Extensions: []pkix.Extension{gridtest.ACExtension(ac)}})
		if err != nil {
			return err
		}
		if _, err := p.WriteProxy(name, c); err != nil {
			return err
		}
	}
	line := `"testvo" "localhost" "1" "` + gridtest.VOMSName + `" "testvo"` + "\n"
	return os.WriteFile(filepath.Join(dir, "vomses"), []byte(line), 0o644)
}

// makePKCS12 writes a credential as PKCS#12, with its passphrase in a file, and its certificate in DER.
func makePKCS12(dir string, c *gsi.Credential) error {
	p12, err := pkcs12.Modern.Encode(c.Key, c.Leaf(), nil, "open sesame")
	if err != nil {
		return err
	}
	for name, data := range map[string][]byte{"user.p12": p12, "passphrase": []byte("open sesame\n"), "user.der": c.Leaf().Raw} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// exits runs gsigw and wants an exit code: exits 2 gsigw proxy. Its streams are those of the last command for stdout
// and stderr.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND...")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := "0"
	if err != nil {
		code = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if code != args[0] {
		ts.Fatalf("exit code %s, want %s", code, args[0])
	}
}

// refusedWith runs gsigw on a file and wants exit code 1, nothing on standard output, and one line on standard error
// with a class: refused digest in.xml verify --trust ...
func refusedWith(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: refused CLASS FILE ARGUMENTS...")
	}
	var out, errs strings.Builder
	in := strings.NewReader(ts.ReadFile(args[1]))
	if code := command(in, &out, &errs, args[2:]...); code != exitFailed {
		ts.Fatalf("exit code %d, want 1: %s", code, &errs)
	}
	if out.Len() > 0 {
		ts.Fatalf("a refused message was printed: %s", &out)
	}
	if want := "reason=" + args[0] + ": "; !strings.HasPrefix(errs.String(), want) || strings.Count(errs.String(), "\n") != 1 {
		ts.Fatalf("stderr is %q, want one line with %s", errs.String(), want)
	}
}

// prints wants standard output to be a file but for the line end that every file in an archive has.
func prints(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: prints FILE")
	}
	if got, want := ts.ReadFile("stdout")+"\n", ts.ReadFile(args[0]); got != want {
		ts.Fatalf("got  %swant %s", got, want)
	}
}
