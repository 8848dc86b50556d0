package voms

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

const goodLine = `"atlas" "voms.cern.ch" "15001" "/DC=ch/DC=cern/OU=computers/CN=voms.cern.ch" "atlas" "24"`

func TestParseVomses_ReadsLines(t *testing.T) {
	want := Server{Alias: "atlas", Host: "voms.cern.ch", Port: 15001, DN: "/DC=ch/DC=cern/OU=computers/CN=voms.cern.ch", VO: "atlas", Source: "f:1"}
	for name, text := range map[string]string{
		"as it is":          goodLine,
		"without a version": strings.TrimSuffix(goodLine, ` "24"`),
		"tabs":              strings.ReplaceAll(goodLine, `" "`, "\"\t \t\""),
		"no spaces":         strings.ReplaceAll(goodLine, `" "`, `""`),
		"CRLF":              goodLine + "\r\n",
		"space around":      "  " + goodLine + "  \n",
		"a comment after":   goodLine + " # CERN\n",
		"a BOM":             "\ufeff" + goodLine,
	} {
		servers, problems := ParseVomses("f", []byte(text))
		if len(problems) > 0 || !slices.Equal(servers, []Server{want}) {
			t.Errorf("%s: %+v, %v", name, servers, problems)
		}
	}
	servers, problems := ParseVomses("f", []byte("# a comment\n\n \t\r\n  # and one\n"+goodLine+"\n"))
	if len(problems) > 0 || len(servers) != 1 || servers[0].Source != "f:5" {
		t.Errorf("comments and empty lines: %+v, %v", servers, problems)
	}
	servers, _ = ParseVomses("f", []byte(strings.Replace(goodLine, "voms.cern.ch", "2001:db8::1", 1)))
	if len(servers) != 1 || servers[0].Address() != "[2001:db8::1]:15001" {
		t.Errorf("IPv6: %+v", servers)
	}
}

// A broken line says where it is and what to write, and harms no other.
func TestParseVomses_LeavesOutBrokenLines(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"no quotes":           {goodLine, "atlas voms.cern.ch 15001", `"atlas voms.cern.ch 15001" is not in double quotes`},
		"words between":       {`" "15001"`, `" or "15001"`, `is not in double quotes`},
		"an open quote":       {`"24"`, `"24`, `the quote before "24" is not closed`},
		"an escaped quote":    {`"atlas" "voms`, `"at\"las" "voms`, `is not in double quotes`},
		"too few fields":      {` "atlas" "24"`, ``, "it has 4 fields"},
		"too many":            {`"24"`, `"24" "25"`, "it has 7 fields"},
		"an empty alias":      {`"atlas" "voms`, `"" "voms`, "the alias"},
		"a control character": {`"atlas" "voms`, "\"at\x1blas\" \"voms", "the alias"},
		"an empty host":       {`"voms.cern.ch"`, `""`, "the host"},
		"a URL for a host":    {`"voms.cern.ch"`, `"https://voms.cern.ch"`, "the host"},
		"port 0":              {"15001", "0", `the port "0" is no number from 1 to 65535`},
		"port 65536":          {"15001", "65536", "the port"},
		"a negative port":     {"15001", "-1", "the port"},
		"a port in words":     {"15001", "https", "the port"},
		"no DN":               {"/DC=ch/DC=cern/OU=computers/CN=voms.cern.ch", "voms.cern.ch", "the DN"},
		"an empty DN":         {"/DC=ch/DC=cern/OU=computers/CN=voms.cern.ch", "", "the DN"},
		"a DN that goes on":   {"/CN=voms", "/CN=vo\x00ms", "the DN"},
		"a VO that is a path": {`"atlas" "24"`, `"../atlas" "24"`, "the VO"},
		"an empty VO":         {`"atlas" "24"`, `"" "24"`, "the VO"},
	} {
		broken := strings.Replace(goodLine, c.old, c.new, 1)
		if broken == goodLine {
			t.Fatalf("%s: nothing is broken", name)
		}
		servers, problems := ParseVomses("f", []byte(goodLine+"\n"+broken+"\n"+goodLine+"\n"))
		if len(servers) != 2 || servers[1].Source != "f:3" || len(problems) != 1 {
			t.Errorf("%s: %+v, %v", name, servers, problems)
			continue
		}
		if text := problems[0].Error(); !strings.HasPrefix(text, "voms: f:2: ") || !strings.Contains(text, c.want) || !strings.HasSuffix(text, vomsesForm) {
			t.Errorf("%s: %v", name, text)
		}
	}
}

// lineOf is a line for a VO, whose host is called as the file that it is in.
func lineOf(vo, host string) string {
	return `"` + vo + `" "` + host + `" "15000" "/O=Grid/CN=` + host + `" "` + vo + `"` + "\n"
}

func put(t *testing.T, path, text string) string {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
	return path
}

func hosts(s *Servers) string {
	var names []string
	for _, have := range s.All() {
		names = append(names, have.Host)
	}
	return strings.Join(names, " ")
}

func TestFindServers_LooksWhereTheGridToolsDo(t *testing.T) {
	root, home := t.TempDir(), t.TempDir()
	named := put(t, filepath.Join(root, "named"), lineOf("vo", "named"))
	userconf := put(t, filepath.Join(root, "userconf"), lineOf("vo", "userconf"))
	x509 := put(t, filepath.Join(root, "x509"), lineOf("vo", "x509"))
	put(t, filepath.Join(home, ".voms/vomses"), lineOf("vo", "dot-voms"))
	put(t, filepath.Join(home, ".glite/vomses"), lineOf("vo", "dot-glite"))
	put(t, filepath.Join(root, "opt/etc/vomses"), lineOf("vo", "location"))
	put(t, filepath.Join(root, "etc/vomses/vo"), lineOf("vo", "etc"))
	put(t, filepath.Join(root, "etc/grid-security/vomses/vo"), lineOf("vo", "grid-security"))
	for name, c := range map[string]struct {
		paths []string
		env   map[string]string
		want  string
	}{
		"everywhere":         {nil, nil, "dot-voms dot-glite etc grid-security"},
		"VOMS_LOCATION too":  {nil, map[string]string{"VOMS_LOCATION": root + "/opt"}, "dot-voms dot-glite location etc grid-security"},
		"X509_VOMSES alone":  {nil, map[string]string{"X509_VOMSES": x509}, "x509"},
		"VOMS_USERCONF over": {nil, map[string]string{"X509_VOMSES": x509, "VOMS_USERCONF": userconf}, "userconf"},
		"what is named over": {[]string{named, x509}, map[string]string{"VOMS_USERCONF": userconf}, "named x509"},
	} {
		found := FindServers(Search{Paths: c.paths, Env: func(k string) string { return c.env[k] }, Home: home, Root: root})
		if got := hosts(found); got != c.want || len(found.Problems()) > 0 {
			t.Errorf("%s: %s, %v", name, got, found.Problems())
		}
	}
	empty := FindServers(Search{Env: func(string) string { return "" }, Home: t.TempDir(), Root: t.TempDir()})
	if len(empty.All()) > 0 || len(empty.Problems()) > 0 {
		t.Errorf("places that are not there: %+v", empty)
	}
	gone := FindServers(Search{Env: func(string) string { return "/nowhere/vomses" }})
	if len(gone.Problems()) != 1 || !strings.Contains(gone.Problems()[0].Error(), "voms: /nowhere/vomses: no such file") {
		t.Errorf("a place that is named and not there: %v", gone.Problems())
	}
}

func TestFindServers_UsesTheEnvironmentAndHomeOfTheUser(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("X509_VOMSES", "")
	t.Setenv("VOMS_USERCONF", "")
	put(t, filepath.Join(home, ".voms/vomses"), lineOf("vo", "mine"))
	if got := hosts(FindServers(Search{Root: t.TempDir()})); got != "mine" {
		t.Errorf("got %q", got)
	}
	t.Setenv("VOMS_USERCONF", put(t, filepath.Join(home, "conf"), lineOf("vo", "named")))
	if got := hosts(FindServers(Search{})); got != "named" {
		t.Errorf("got %q", got)
	}
}

func TestFindServers_ReadsDirectoriesInOrder(t *testing.T) {
	dir := t.TempDir()
	put(t, dir+"/b", lineOf("vo", "b")+lineOf("vo", "a")) // a is there already
	put(t, dir+"/a", lineOf("vo", "a"))
	put(t, dir+"/sub/c", lineOf("vo", "c"))
	put(t, dir+"/.hidden", lineOf("vo", "hidden"))
	put(t, dir+"/a~", lineOf("vo", "backup"))
	put(t, dir+"/.data/link", lineOf("vo", "link")) // as a mounted ConfigMap has it
	if err := os.Symlink(".data/link", dir+"/z"); err != nil {
		t.Fatal(err)
	}
	found := FindServers(Search{Paths: []string{dir}})
	if got := hosts(found); got != "a b c link" || len(found.Problems()) > 0 {
		t.Errorf("got %q, %v", got, found.Problems())
	}
}

func TestFindServers_LeavesOutFilesThatCannotBeUsed(t *testing.T) {
	dir := t.TempDir()
	put(t, dir+"/good", lineOf("vo", "good"))
	put(t, dir+"/broken", "broken\n"+lineOf("vo", "besides"))
	if err := errors.Join(
		os.Chmod(put(t, dir+"/writable", lineOf("vo", "writable")), 0o666),
		os.Truncate(put(t, dir+"/large", lineOf("vo", "large")), maxVomsesFile+1),
		syscall.Mkfifo(dir+"/fifo", 0o644),
		os.Symlink("nowhere", dir+"/dangling"),
		os.Symlink(".", dir+"/loop"),
	); err != nil {
		t.Fatal(err)
	}
	found := FindServers(Search{Paths: []string{dir}})
	if got := hosts(found); got != "besides good" {
		t.Errorf("got %q", got)
	}
	var said []string
	for _, p := range found.Problems() {
		said = append(said, p.Error())
	}
	text := strings.Join(said, "\n")
	for _, want := range []string{
		dir + "/broken:1: ", dir + "/writable: its mode is 0666: anybody may write it", dir + "/large: it is larger",
		dir + "/fifo: it is not a regular file", dir + "/dangling: no such file", dir + "/loop/loop/loop/loop: it lies too deep",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}

func TestFindServers_ReadsNoEndOfFiles(t *testing.T) {
	dir := t.TempDir()
	for i := range maxVomsesFiles + 2 {
		put(t, dir+"/"+strconv.Itoa(i), lineOf("vo", "h"+strconv.Itoa(i)))
	}
	found := FindServers(Search{Paths: []string{dir}})
	if len(found.All()) != maxVomsesFiles || len(found.Problems()) != 1 || !strings.Contains(found.Problems()[0].Error(), "one file too many") {
		t.Errorf("%d servers, %v", len(found.All()), found.Problems())
	}
}

func TestFor_KnowsVOsAndAliases(t *testing.T) {
	line := func(alias, host, vo string) string {
		return strings.Replace(lineOf(vo, host), `"`+vo+`"`, `"`+alias+`"`, 1)
	}
	servers, problems := ParseVomses("f", []byte(line("atlas", "a1", "atlas")+line("atlas-2", "a2", "atlas")+line("biomed", "b", "vo.biomed.org")+
		line("atlas", "evil", "cms")+line("two", "x", "x")+line("two", "y", "y")+"broken\n"))
	s := &Servers{list: servers, problems: problems, searched: []string{"f"}}
	for name, want := range map[string]string{"atlas": "a1 a2", "atlas-2": "a2", "biomed": "b", "vo.biomed.org": "b", "cms": "evil"} {
		got, err := s.For(name)
		if err != nil || hosts(&Servers{list: got}) != want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if _, err := s.For("two"); err == nil || !strings.Contains(err.Error(), `"two" is an alias of "x" (f:5) and of "y" (f:6)`) {
		t.Errorf("an alias of two VOs: %v", err)
	}
	_, err := s.For("alice")
	unknown, ok := errors.AsType[*UnknownVOError](err)
	if !ok || !slices.Equal(unknown.Known, []string{"atlas", "cms", "vo.biomed.org", "x", "y"}) {
		t.Fatalf("got %v", err)
	}
	for _, part := range []string{`no server of the VO "alice" is known`, "atlas, cms", "one of f", "1 could not be used: voms: f:7: "} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in %v", part, err)
		}
	}
	if _, err := new(Servers).For(""); err == nil || !strings.Contains(err.Error(), "(known: none)") {
		t.Errorf("without a name: %v", err)
	}
}

func FuzzParseVomses(f *testing.F) {
	f.Add([]byte(goodLine))
	f.Add([]byte("# c\r\n\"a\" \"b\" \"1\" \"/CN=x\" \"v\"\n\"\n\"\""))
	f.Fuzz(func(t *testing.T, data []byte) {
		servers, problems := ParseVomses("f", data)
		if lines := strings.Count(string(data), "\n") + 1; len(servers)+len(problems) > lines {
			t.Errorf("%d servers and %d problems in %d lines", len(servers), len(problems), lines)
		}
		for _, s := range servers {
			again, _ := ParseVomses("f", []byte(`"`+s.Alias+`" "`+s.Host+`" "`+strconv.Itoa(s.Port)+`" "`+s.DN+`" "`+s.VO+`"`))
			if len(again) != 1 || !again[0].sameAs(s) {
				t.Errorf("%+v reads back as %+v", s, again)
			}
		}
	})
}
