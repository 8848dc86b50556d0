package gsi

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDiscover_InTheGridsOrder(t *testing.T) {
	dir := t.TempDir()
	home, tmp := filepath.Join(dir, "home"), filepath.Join(dir, "tmp")
	os.MkdirAll(filepath.Join(home, ".globus"), 0o700)
	os.Mkdir(tmp, 0o700)
	all := map[string]string{"X509_USER_PROXY": "/p", "X509_USER_CERT": "/c", "X509_USER_KEY": "/k"}
	find := func(names ...string) (*File, error) {
		return place{func(name string) string {
			for _, n := range names {
				if n == name {
					return all[name]
				}
			}
			return ""
		}, 1000, tmp, home}.discover(FileOptions{})
	}
	expect := func(name, why string, env ...string) {
		t.Helper()
		f, err := find(env...)
		if err != nil || f.String() != name || !strings.Contains(f.Why(), why) {
			t.Errorf("%v: found %v, %v, want %s", env, f, err, name)
		}
	}
	if _, err := find(); !errors.Is(err, ErrNoCredential) || !strings.Contains(err.Error(), "x509up_u1000") {
		t.Error(err)
	}
	cert := writeFile(t, filepath.Join(home, ".globus", "usercert.pem"), nil, 0o644)
	key := writeFile(t, filepath.Join(home, ".globus", "userkey.pem"), nil, 0o600)
	expect(cert+" and "+key, "~/.globus")
	proxy := writeFile(t, filepath.Join(tmp, "x509up_u1000"), nil, 0o600)
	expect(proxy, "this uid")
	expect("/c and /k", "X509_USER_CERT", "X509_USER_CERT", "X509_USER_KEY")
	expect("/p", "X509_USER_PROXY", "X509_USER_PROXY", "X509_USER_CERT", "X509_USER_KEY")
	if _, err := find("X509_USER_CERT"); !errors.Is(err, ErrNoCredential) {
		t.Error("half a pair:", err)
	}
}

func TestUserCredential_IsTheOneOfGridProxyInit(t *testing.T) {
	home := t.TempDir()
	globus := filepath.Join(home, ".globus")
	if err := os.Mkdir(globus, 0o700); err != nil {
		t.Fatal(err)
	}
	find := func(env map[string]string) (*File, error) {
		return place{func(name string) string { return env[name] }, 1000, "/tmp", home}.userCredential(FileOptions{})
	}
	expect := func(name, why string, env map[string]string) {
		t.Helper()
		f, err := find(env)
		if err != nil || f.String() != name || !strings.Contains(f.Why(), why) {
			t.Errorf("%v: found %v, %v, want %s", env, f, err, name)
		}
	}
	if _, err := find(map[string]string{"X509_USER_PROXY": "/p"}); !errors.Is(err, ErrNoCredential) || !strings.Contains(err.Error(), "userkey.pem") {
		t.Error("a proxy is no end entity's credential:", err)
	}
	cert, key := filepath.Join(globus, "usercert.pem"), filepath.Join(globus, "userkey.pem")
	p12 := writeFile(t, filepath.Join(globus, "usercred.p12"), nil, 0o600)
	expect(p12, "~/.globus", nil)
	writeFile(t, cert, nil, 0o644) // with one of the two there, the other is missed
	expect(cert+" and "+key, "~/.globus", nil)
	writeFile(t, key, nil, 0o600)
	expect(cert+" and "+key, "~/.globus", nil)
	expect("/c and /k", "name it", map[string]string{"X509_USER_CERT": "/c", "X509_USER_KEY": "/k"})
	expect("/c and "+key, "X509_USER_CERT names it", map[string]string{"X509_USER_CERT": "/c"})
	expect(cert+" and /k", "X509_USER_KEY names the key", map[string]string{"X509_USER_KEY": "/k"})
	expect("/c.p12", "X509_USER_CERT names it", map[string]string{"X509_USER_CERT": "/c.p12", "X509_USER_KEY": "/k"})
}

func TestProxyPath_IsNamedOrTheOneOfTheUser(t *testing.T) {
	for named, want := range map[string]string{"": "/tmp/x509up_u1000", "/home/jane/proxy": "/home/jane/proxy"} {
		got := place{func(string) string { return named }, 1000, "/tmp", ""}.proxyPath()
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
