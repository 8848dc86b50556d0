package config

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const secretText = "0123456789abcdef0123456789abcdef"

// tree writes files below a new directory, 0600 unless the name ends in @MODE, and gives the directory.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		mode := os.FileMode(0o600)
		switch base, suffix, _ := strings.Cut(name, "@"); suffix {
		case "0640":
			name, mode = base, 0o640
		case "0644":
			name, mode = base, 0o644
		case "0620":
			name, mode = base, 0o620
		}
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil { // whatever the umask is
			t.Fatal(err)
		}
	}
	return dir
}

const onDisk = `listen:
  proxy: 127.0.0.1:0
trust:
  dir: certificates
callers:
  engine:
    secret-file: secret
credentials:
  me:
    cert: me.pem
    key: me.key
routes:
  counter:
    target: https://grid.example.org/wsrf/services/*
    message: gsi-message
`

func TestLoad_ChecksTheFilesItNames(t *testing.T) {
	good := map[string]string{"certificates/x": "", "secret": secretText + "\n", "me.pem": "cert", "me.key": "key"}
	for _, tc := range []struct {
		name, file, instead string // file is replaced by instead; empty removes it
		edit                func(string) string
		want                string // end of the one line; empty is no error
	}{
		{name: "all well"},
		{name: "no trust directory", file: "certificates/x", want: "4:8: trust.dir: DIR/certificates: no such file or directory: install the CA certificates there, or name another directory"},
		{name: "trust directory is a file", file: "certificates/x", instead: "certificates", want: "4:8: trust.dir: DIR/certificates: it is no directory: install the CA certificates there, or name another directory"},
		{name: "no secret", file: "secret", want: "7:18: callers.engine.secret-file: DIR/secret: no such file or directory: check the name and its permissions"},
		{name: "secret for the group", file: "secret", instead: "secret@0640", want: "7:18: callers.engine.secret-file: DIR/secret: mode 0640 lets its group read it: run: chmod 600 DIR/secret, or add allow-group-read: true for a mounted secret"},
		{name: "secret for the group, named", file: "secret", instead: "secret@0640", edit: groupRead("secret-file: secret")},
		{name: "secret for all", file: "secret", instead: "secret@0644", edit: groupRead("secret-file: secret"), want: "7:18: callers.engine.secret-file: DIR/secret: mode 0644 lets others in: run: chmod 600 DIR/secret"},
		{name: "no certificate", file: "me.pem", want: "10:11: credentials.me.cert: DIR/me.pem: no such file or directory: check the name and its permissions"},
		{name: "key for the group", file: "me.key", instead: "me.key@0640", want: "11:10: credentials.me.key: DIR/me.key: mode 0640 lets its group read it: run: chmod 600 DIR/me.key, or add allow-group-read: true for a mounted secret"},
		{name: "key for the group, named", file: "me.key", instead: "me.key@0640", edit: groupRead("key: me.key")},
		{name: "key that the group may change", file: "me.key", instead: "me.key@0620", edit: groupRead("key: me.key"), want: "11:10: credentials.me.key: DIR/me.key: mode 0620 lets others in: run: chmod 600 DIR/me.key"},
		{name: "key is a directory", file: "me.key", instead: "me.key/x", want: "11:10: credentials.me.key: DIR/me.key: it is no regular file: name the file itself"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			files := map[string]string{"gsigw.yaml": onDisk}
			for name, text := range good {
				if name == tc.file {
					name = tc.instead
				}
				if name != "" {
					files[name] = text
				}
			}
			if tc.edit != nil {
				files["gsigw.yaml"] = tc.edit(onDisk)
			}
			dir := tree(t, files)
			_, err := Load(filepath.Join(dir, "gsigw.yaml"))
			if tc.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			want := dir + "/gsigw.yaml:" + strings.ReplaceAll(tc.want, "DIR", dir)
			if err == nil || err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
}

const withFiles = onDisk + `  private: {target: "https://p.example.org/s", message: wss-x509, privacy: true, encrypt-to: p.pem, peer-certificate: q.pem}
  password: {target: "https://u.example.org/s", message: wss-username, username: u, password-file: password}
  bearer: {target: "https://b.example.org/s", message: saml, confirmation: bearer, assertion-file: bearer.xml}
  holder: {target: "https://h.example.org/s", message: saml, assertion-file: holder.xml}
`

func TestLoad_ChecksTheFilesOfRoutes(t *testing.T) {
	good := map[string]string{
		"certificates/x": "", "secret": secretText, "me.pem": "cert", "me.key": "key", "p.pem@0644": "cert", "q.pem@0644": "cert",
		"password": "open sesame", "bearer.xml": "<a/>", "holder.xml@0644": "<a/>",
	}
	for _, tc := range []struct{ name, file, instead, want string }{
		{"all well", "", "", ""},
		{"no recipient", "p.pem@0644", "", ":16:94: routes.private.encrypt-to: DIR/p.pem: no such file or directory: check the name and its permissions"},
		{"no peer certificate", "q.pem@0644", "", "routes.private.peer-certificate: DIR/q.pem: no such file or directory: check the name and its permissions"},
		{"no password", "password", "", "routes.password.password-file: DIR/password: no such file or directory: check the name and its permissions"},
		{"a password for all", "password", "password@0644", "routes.password.password-file: DIR/password: mode 0644 lets others in: run: chmod 600 DIR/password"},
		{"a password for the group", "password", "password@0640", "routes.password.password-file: DIR/password: mode 0640 lets its group read it: run: chmod 600 DIR/password, or add allow-group-read: true for a mounted secret"},
		{"a bearer's assertion for all", "bearer.xml", "bearer.xml@0644", "routes.bearer.assertion-file: DIR/bearer.xml: mode 0644 lets others in: run: chmod 600 DIR/bearer.xml"},
		{"no assertion", "holder.xml@0644", "", "routes.holder.assertion-file: DIR/holder.xml: no such file or directory: check the name and its permissions"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			files := maps.Clone(good)
			if delete(files, tc.file); tc.instead != "" {
				files[tc.instead] = good[tc.file]
			}
			files["gsigw.yaml"] = withFiles
			dir := tree(t, files)
			_, err := Load(filepath.Join(dir, "gsigw.yaml"))
			if tc.want == "" && err != nil {
				t.Fatal(err)
			}
			if tc.want != "" && (err == nil || !strings.HasSuffix(err.Error(), strings.ReplaceAll(tc.want, "DIR", dir))) {
				t.Errorf("got  %v\nwant %s", err, tc.want)
			}
		})
	}
}

// What the daemon would refuse at its start is said before, and nothing is made.
func TestLoad_ChecksTheStateDirectory(t *testing.T) {
	for _, tc := range []struct {
		name string
		make func(state string) error
		want string // after the place; empty is no error
	}{
		{"not there yet", func(string) error { return nil }, ""},
		{"its own", func(s string) error { return os.Mkdir(s, 0o700) }, ""},
		{"empty and open", func(s string) error { return errors.Join(os.Mkdir(s, 0o700), os.Chmod(s, 0o755)) }, ""},
		{"open", func(s string) error {
			return errors.Join(os.Mkdir(s, 0o700), os.WriteFile(s+"/replay", nil, 0o600), os.Chmod(s, 0o755))
		}, "DIR/up/state: mode 0755 lets others in: run: chmod 700 DIR/up/state"},
		{"a file", func(s string) error { return os.WriteFile(s, nil, 0o600) }, "DIR/up/state: it is no directory: name a directory; it is made where it is missing"},
		{"a link", func(s string) error { return os.Symlink(filepath.Dir(s), s) }, "DIR/up/state: it is a symbolic link: name the directory itself"},
		{"nowhere", func(s string) error { return os.Remove(filepath.Dir(s)) }, "DIR/up: no such file or directory: make it: the directory itself is made below it"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := tree(t, map[string]string{
				"certificates/x": "", "secret": secretText, "me.pem": "cert", "me.key": "key",
				"gsigw.yaml": onDisk + "replay:\n  state: up/state\n",
			})
			if err := errors.Join(os.Mkdir(filepath.Join(dir, "up"), 0o700), tc.make(filepath.Join(dir, "up", "state"))); err != nil {
				t.Fatal(err)
			}
			_, err := Load(filepath.Join(dir, "gsigw.yaml"))
			if want := dir + "/gsigw.yaml:17:10: replay.state: " + strings.ReplaceAll(tc.want, "DIR", dir); (err != nil) != (tc.want != "") || err != nil && err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
			if _, err := os.Stat(filepath.Join(dir, "up", "state")); tc.name == "not there yet" && err == nil {
				t.Error("it was made")
			}
		})
	}
}

func TestReadPassword_IsTheFirstLine(t *testing.T) {
	dir := tree(t, map[string]string{"good": "open sesame\r\nmore\n", "bare": "open sesame", "empty": "\nopen sesame", "shown@0644": "open sesame"})
	for name, want := range map[string]string{"good": "open sesame", "bare": "open sesame", "empty": "", "shown": ""} {
		got, err := ReadPassword(filepath.Join(dir, name), false)
		if string(got) != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if err != nil && strings.Contains(err.Error(), "sesame") {
			t.Errorf("%s: the error tells the password: %v", name, err)
		}
	}
}

func TestReadAssertion_IsPrivateForABearerAndBounded(t *testing.T) {
	dir := tree(t, map[string]string{"shown@0644": "<a/>", "long": strings.Repeat("x", maxAssertion+1)})
	if got, err := ReadAssertion(filepath.Join(dir, "shown"), false, false); string(got) != "<a/>" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := ReadAssertion(filepath.Join(dir, "shown"), true, false); err == nil {
		t.Error("an assertion that anybody may use was read by all")
	}
	for _, private := range []bool{true, false} {
		if _, err := ReadAssertion(filepath.Join(dir, "long"), private, false); err == nil {
			t.Error("a file of any size was read")
		}
	}
}

func groupRead(after string) func(string) string {
	return func(s string) string { return strings.Replace(s, after, after+"\n    allow-group-read: true", 1) }
}

func TestLoad_TellsFilesAndKeysAtOnce(t *testing.T) {
	dir := tree(t, map[string]string{"gsigw.yaml": strings.Replace(onDisk, "message:", "mesage:", 1) + "clock-skew: 5\n"})
	_, err := Load(filepath.Join(dir, "gsigw.yaml"))
	var ps Problems
	if !errors.As(err, &ps) {
		t.Fatalf("error %v", err)
	}
	var keys []string
	for _, p := range ps {
		keys = append(keys, p.Key)
	}
	want := "trust.dir callers.engine.secret-file credentials.me.cert credentials.me.key routes.counter.mesage clock-skew"
	if got := strings.Join(keys, " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestLoad_SaysWhatToDoWithoutAFile(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "none.yaml"))
	if err == nil || !strings.HasSuffix(err.Error(), "none.yaml: no such file or directory: write one from the output of: gsigw config example") {
		t.Error(err)
	}
}

func TestLoad_PlainRoutesNeedNoTrustDirectory(t *testing.T) {
	dir := tree(t, map[string]string{"gsigw.yaml": "listen: {proxy: '127.0.0.1:0'}\ntrust: {dir: none}\n" +
		"routes: {w: {target: 'http://w.example.org/s', message: none}}\n"})
	if _, err := Load(filepath.Join(dir, "gsigw.yaml")); err != nil {
		t.Error(err)
	}
}

func TestReadSecret_RefusesShortOnesAndDropsTheLineEnd(t *testing.T) {
	dir := tree(t, map[string]string{"good": secretText + "\r\n", "short": "hunter2\n", "long": strings.Repeat("x", 4097)})
	got, err := ReadSecret(filepath.Join(dir, "good"), false)
	if err != nil || string(got) != secretText {
		t.Errorf("got %q, %v", got, err)
	}
	for _, name := range []string{"short", "long"} {
		_, err := ReadSecret(filepath.Join(dir, name), false)
		var fe *FileError
		if !errors.As(err, &fe) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReadSecret_RefusesAFIFOAtOnce(t *testing.T) {
	name := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadSecret(name, false); err == nil {
		t.Error("a FIFO was read")
	}
}

func TestReadSecret_FollowsNoLinkInASharedDirectory(t *testing.T) {
	dir := tree(t, map[string]string{"mine/secret": secretText})
	shared := filepath.Join(dir, "shared")
	if err := os.Mkdir(shared, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(shared, 0o1777); err != nil {
		t.Fatal(err)
	}
	private := filepath.Join(dir, "link")
	for _, link := range []string{filepath.Join(shared, "link"), private} {
		if err := os.Symlink(filepath.Join(dir, "mine/secret"), link); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := ReadSecret(filepath.Join(shared, "link"), false); err == nil {
		t.Error("a link in a shared directory was followed")
	}
	if _, err := ReadSecret(private, false); err != nil {
		t.Errorf("a link in a private directory: %v", err)
	}
}

// owned is a file of somebody else, as Stat would show it.
type owned struct {
	os.FileInfo
	uid uint32
}

func (o owned) Sys() any { return &syscall.Stat_t{Uid: o.uid} }

func TestReadSecret_RefusesAFileOfSomebodyElse(t *testing.T) {
	name := filepath.Join(tree(t, map[string]string{"secret": secretText}), "secret")
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	self := uint32(os.Geteuid())
	for uid, fine := range map[uint32]bool{0: true, self: true, self + 1: false} {
		if err := judge(name, owned{info, uid}, false); (err == nil) != fine {
			t.Errorf("owner %d: %v", uid, err)
		}
	}
}
