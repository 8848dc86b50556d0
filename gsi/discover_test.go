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
