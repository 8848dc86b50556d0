package interop

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
)

// command is one below gsigw myproxy, with somebody's certificate.
func (m *myProxyServer) command(t testing.TB, who, input string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(gsigwBinary(t), append([]string{"myproxy"}, args...)...)
	cmd.Dir, cmd.Stdin = m.dir, strings.NewReader(input)
	cmd.Env = []string{
		"HOME=" + m.dir, "LOGNAME=nobody", "MYPROXY_SERVER=localhost", "MYPROXY_SERVER_PORT=" + m.port,
		"X509_CERT_DIR=" + m.trustDir(), "PATH=" + os.Getenv("PATH"),
	}
	if who != nobody {
		cmd.Env = append(cmd.Env, "X509_USER_CERT="+m.file(who+".pem"), "X509_USER_KEY="+m.file(who+".key"))
	}
	return cmd
}

// gsigw runs one, and returns its standard output and its standard error.
func (m *myProxyServer) gsigw(t testing.TB, who, input string, args ...string) (out, errs string, ok bool) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := m.command(t, who, input, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if strings.Contains(stdout.String()+stderr.String(), myProxyPass) {
		t.Errorf("gsigw %s shows the passphrase", strings.Join(args, " "))
	}
	return stdout.String(), stderr.String(), err == nil
}

// says runs a command that has to do its work, silently but for what is wanted of its output.
func (m *myProxyServer) says(t testing.TB, who, input string, args []string, words ...string) {
	t.Helper()
	out, errs, ok := m.gsigw(t, who, input, args...)
	if !ok || errs != "" {
		t.Fatalf("gsigw myproxy %s: %s", strings.Join(args, " "), errs)
	}
	for _, w := range words {
		if !strings.Contains(out, w) {
			t.Errorf("gsigw myproxy %s: %q is not in: %s", strings.Join(args, " "), w, out)
		}
	}
}

// refuses runs a command that the server has to refuse, with its words on standard error alone.
func (m *myProxyServer) refuses(t testing.TB, who, input string, args []string, words string) {
	t.Helper()
	out, errs, ok := m.gsigw(t, who, input, args...)
	if ok || out != "" || !strings.Contains(errs, words) {
		t.Errorf("gsigw myproxy %s: %q is not in: %s%s", strings.Join(args, " "), words, errs, out)
	}
}

func (m *myProxyServer) proxyIn(t testing.TB, file string) *gsi.Credential {
	t.Helper()
	c, err := gsi.ProxyFile(file, gsi.FileOptions{}).Credential(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const passLine = myProxyPass + "\n"

func TestMyProxyCommand_PutsForEitherClientAndGetsFromEither(t *testing.T) {
	m := startMyProxy(t)
	m.says(t, alice, passLine, []string{"put", "-S", "-l", "alice", "-k", "ours", "-c", "72", "-t", "6", "-K", "made here"},
		"A proxy valid for 72 hours (3.0 days) for user alice now exists on localhost.", "It is kept until: ")
	m.mustTool(t, alice, passLine, "myproxy-init", "-S", "-l", "alice", "-k", "theirs", "-c", "72")

	out := filepath.Join(t.TempDir(), "proxy")
	for _, name := range []string{"ours", "theirs"} {
		m.says(t, nobody, passLine, []string{"get", "--stdin_pass", "-l", "alice", "-k", name, "-t", "2", "-o", out},
			"A credential has been received for user alice in "+out+".")
		m.isAlices(t, m.proxyIn(t, out), nil)
		m.refuses(t, nobody, "a wrong one\n", []string{"get", "-S", "-l", "alice", "-k", name}, "invalid credential passphrase")
	}
	m.mustTool(t, nobody, passLine, "myproxy-logon", "-S", "-l", "alice", "-k", "ours", "-t", "2", "-o", out)
	m.isAlices(t, m.proxyIn(t, out), nil)

	text, errs, ok := m.gsigw(t, nobody, passLine, "get", "-S", "-l", "alice", "-k", "ours", "-t", "2", "-o", "-")
	if !ok {
		t.Fatal(errs)
	}
	got, err := gsi.ParsePEM([]byte(text))
	m.isAlices(t, got, err)
}

// Who gets a proxy may have none yet, or one that is over: X509_USER_PROXY says where it goes.
func TestMyProxyCommand_GetsAProxyToWhereTheEnvironmentSays(t *testing.T) {
	m := startMyProxy(t)
	m.mustTool(t, alice, passLine, "myproxy-init", "-S", "-l", "alice")
	file := filepath.Join(t.TempDir(), "proxy")
	for range 2 {
		cmd := m.command(t, nobody, passLine, "get", "-S", "-q", "-l", "alice", "-t", "2")
		cmd.Env = append(cmd.Env, "X509_USER_PROXY="+file)
		if said := run(t, cmd); said != "" {
			t.Errorf("-q is not quiet: %s", said)
		}
		m.isAlices(t, m.proxyIn(t, file), nil)
		writeFile(t, file, "what is left of a proxy")
	}
}

func TestMyProxyCommand_TakesTheSubjectAsUsername(t *testing.T) {
	m := startMyProxy(t)
	m.says(t, alice, passLine, []string{"put", "-S", "-d"}, "for user "+aliceName)
	out := filepath.Join(t.TempDir(), "proxy")
	m.mustTool(t, alice, passLine, "myproxy-logon", "-S", "-d", "-t", "2", "-o", out)
	m.isAlices(t, m.proxyIn(t, out), nil)
	m.says(t, alice, passLine, []string{"get", "-S", "-d", "-t", "2", "-o", out}, "for user "+aliceName)
}

func TestMyProxyCommand_SaysWhatMyProxyInfoSays(t *testing.T) {
	m := startMyProxy(t)
	m.says(t, alice, passLine, []string{"put", "-S", "-l", "alice", "-k", "day", "-K", "the day's", "-r", "Bob Tester"}, "Proxies of it are for: */CN=Bob Tester")
	m.says(t, alice, "", []string{"put", "-l", "alice", "-k", "long", "-R", robotName}, "It is renewed by: "+robotName)

	theirs := m.mustTool(t, alice, "", "myproxy-info", "-l", "alice")
	ours, errs, ok := m.gsigw(t, alice, "", "info", "-l", "alice")
	if !ok {
		t.Fatal(errs)
	}
	if a, b := withoutTimes(ours), withoutTimes(theirs); a != b {
		t.Errorf("gsigw myproxy info says\n%sand myproxy-info\n%s", a, b)
	}
	var facts []struct {
		Name, Owner, Renewers, Retrievers string
		Timeleft                          int
	}
	text, errs, ok := m.gsigw(t, alice, "", "info", "-l", "alice", "-k", "long", "--json")
	if err := json.Unmarshal([]byte(text), &facts); !ok || err != nil || len(facts) != 1 {
		t.Fatal(errs, err, text)
	}
	if f := facts[0]; f.Name != "long" || f.Owner != aliceName || f.Renewers != robotName || f.Timeleft < 6*24*3600 {
		t.Errorf("%+v", f)
	}
	m.refuses(t, bob, "", []string{"info", "-l", "alice"}, "no credentials found for user alice")
	m.refuses(t, alice, "", []string{"info", "-l", "alice", "-k", "none"}, "keeps no credential called none")
}

// withoutTimes takes out what changes from one second to the next.
func withoutTimes(s string) string {
	var kept strings.Builder
	for l := range strings.Lines(s) {
		if before, _, is := strings.Cut(l, "timeleft:"); is {
			l = before + "timeleft: ...\n"
		}
		kept.WriteString(l)
	}
	return kept.String()
}

func TestMyProxyCommand_StoresAndRetrieves(t *testing.T) {
	m := startMyProxy(t)
	pair := []string{"-c", m.file("alice.pem"), "-y", m.file("alice.key")}
	m.says(t, alice, passLine, append([]string{"store", "-S", "-l", "alice", "-k", "own", "-x", "-E", aliceName}, pair...),
		"Credentials saved to myproxy server.", "It is itself for: "+aliceName)
	cert, key := filepath.Join(t.TempDir(), "cert"), filepath.Join(t.TempDir(), "key")
	to := []string{"retrieve", "-S", "-l", "alice", "-k", "own", "-c", cert, "-y", key}
	m.refuses(t, alice, "a wrong one\n", to, "invalid credential passphrase")
	m.refuses(t, bob, passLine, to, bobName)
	m.says(t, alice, passLine, to, "Credentials for alice have been stored in\n"+cert+" and\n"+key+".")
	m.refuses(t, alice, passLine, to, "is there already")

	pass := func(string) ([]byte, error) { return []byte(myProxyPass), nil }
	got, err := gsi.PairFile(cert, key, gsi.FileOptions{Passphrase: pass}).Credential(t.Context())
	if err != nil || gridtest.Must(got.Identity()).DN != aliceName {
		t.Error(got, err)
	}
	if !bytes.Contains(readFile(t, key), []byte("ENCRYPTED PRIVATE KEY")) {
		t.Error("the key lies there unlocked")
	}
	theirs := filepath.Join(t.TempDir(), "theirs")
	m.mustTool(t, alice, passLine, "myproxy-retrieve", "-S", "-l", "alice", "-k", "own", "-c", theirs+".cert", "-y", theirs+".key")
	m.mustTool(t, nobody, passLine, "myproxy-logon", "-S", "-l", "alice", "-k", "own", "-t", "2", "-o", theirs)
	m.isAlices(t, m.proxyIn(t, theirs), nil)
}

func TestMyProxyCommand_ChangesThePassphraseAndDestroys(t *testing.T) {
	m := startMyProxy(t)
	m.mustTool(t, alice, passLine, "myproxy-init", "-S", "-l", "alice", "-k", "day")
	m.says(t, alice, passLine+"second-7512\n", []string{"passwd", "-S", "-l", "alice", "-k", "day"}, "Pass phrase changed.")
	m.refuses(t, alice, passLine+"third-7512\n", []string{"change-pass-phrase", "-S", "-l", "alice", "-k", "day"}, "invalid pass phrase")
	out := filepath.Join(t.TempDir(), "proxy")
	m.mustTool(t, nobody, "second-7512\n", "myproxy-logon", "-S", "-l", "alice", "-k", "day", "-t", "2", "-o", out)

	destroy := []string{"destroy", "-l", "alice", "-k", "day"}
	m.refuses(t, bob, "", destroy, `Credentials not owned by "`+bobName+`"`)
	m.says(t, alice, "", destroy, "MyProxy credential 'day' for user alice was successfully removed.")
	m.refuses(t, alice, "", destroy, "Credentials do not exist")
	if said, err := m.tool(t, nobody, "second-7512\n", "myproxy-logon", "-S", "-l", "alice", "-k", "day", "-o", out); err == nil {
		t.Error("it is there for all that: " + said)
	}
}

func TestMyProxyCommand_RenewsForTheRenewerAlone(t *testing.T) {
	m := startMyProxy(t)
	m.says(t, alice, "", []string{"put", "-l", "alice", "-k", "long", "-r", aliceName, "-R", robotName}, "It is renewed by: "+robotName)
	file := filepath.Join(t.TempDir(), "proxy")
	owner := gridtest.Must(m.client(t, alice).Credential.Credential(t.Context()))
	write := func(lifetime time.Duration) {
		t.Helper()
		if err := gsi.WriteProxyFile(file, gridtest.Must(gsi.NewProxy(owner, gsi.Limits{Lifetime: lifetime}))); err != nil {
			t.Fatal(err)
		}
	}
	write(time.Hour)
	before := readFile(t, file)
	renew := []string{"renew", "-l", "alice", "-k", "long", "-t", "2", file}
	m.refuses(t, bob, "", renew, `"`+bobName+`" not authorized by server's authorized_renewers policy`)
	if !bytes.Equal(readFile(t, file), before) {
		t.Error("a refused renewal changed the file")
	}
	m.says(t, robot, "", renew, "A credential has been received for user alice in "+file)
	m.isAlices(t, m.proxyIn(t, file), nil)

	m.says(t, robot, "", append([]string{"renew", "--if-less-than", "1:30"}, renew[1:]...), "it is not renewed")
	out := filepath.Join(t.TempDir(), "other")
	m.says(t, robot, "", []string{"get", "-n", "-a", file, "-l", "alice", "-k", "long", "-t", "2", "-o", out}, "in "+out)
	m.isAlices(t, m.proxyIn(t, out), nil)

	// A proxy that would end sooner than the old one is of no use.
	write(5 * time.Hour)
	before = readFile(t, file)
	m.refuses(t, robot, "", renew, "it stays")
	if !bytes.Equal(readFile(t, file), before) {
		t.Error("a shorter proxy took the place of a longer one")
	}
}

func TestMyProxyCommand_KeepsAProxyRenewed(t *testing.T) {
	m := startMyProxy(t)
	m.mustTool(t, alice, "", "myproxy-init", "-n", "-x", "-R", robotName, "-l", "alice", "-k", "long")
	file := filepath.Join(t.TempDir(), "proxy")
	owner := gridtest.Must(m.client(t, alice).Credential.Credential(t.Context()))
	if err := gsi.WriteProxyFile(file, gridtest.Must(gsi.NewProxy(owner, gsi.Limits{Lifetime: time.Hour}))); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(gsigwBinary(t), "myproxy", "renew", "--keep", "--if-less-than", "1:00", "-l", "alice", "-k", "long", "-t", "2",
		"-C", m.file("gateway.pem"), "-y", m.file("gateway.key"), "--trust", m.trustDir(), "-s", "localhost:"+m.port, file)
	p := startPeer(t, cmd)
	p.until(t, "A credential has been received for user alice in "+file)
	m.isAlices(t, m.proxyIn(t, file), nil)
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	state, err := cmd.Process.Wait()
	if err != nil || !state.Success() {
		t.Errorf("ended by a signal: %v, %v", state, err)
	}
}

func TestMyProxyCommand_InstallsTrustRoots(t *testing.T) {
	m := startMyProxy(t)
	dir := filepath.Join(t.TempDir(), "certificates")
	m.says(t, nobody, "", []string{"trustroots", "-o", dir}, "Trust roots have been installed in "+dir+".")
	m.mustTool(t, alice, passLine, "myproxy-init", "-S", "-l", "alice")
	m.says(t, nobody, passLine, []string{"get", "-S", "-l", "alice", "--trust", dir, "-T", "-o", filepath.Join(t.TempDir(), "proxy")},
		"Trust roots have been installed in "+dir+".")
	for _, e := range gridtest.Must(os.ReadDir(m.trustDir())) {
		if !bytes.Equal(readFile(t, filepath.Join(dir, e.Name())), readFile(t, filepath.Join(m.trustDir(), e.Name()))) {
			t.Errorf("%s differs", e.Name())
		}
	}
}
