package gsi

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func clock(at time.Time) func() time.Time { return func() time.Time { return at } }

// user makes an end entity's credential that is valid until the given time.
func user(t *testing.T, cn string, until time.Time) *Credential {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: cn}, NotBefore: noon.Add(-time.Hour), NotAfter: until}
	issuer := &x509.Certificate{Subject: pkix.Name{CommonName: "Test CA"}}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &Credential{Chain: []*x509.Certificate{cert}, Key: key}
}

func proxyOf(t *testing.T, c *Credential) *Credential {
	t.Helper()
	p, err := NewProxy(c, Limits{Now: noon, KeyType: P256})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func writeFile(t *testing.T, path string, data []byte, mode os.FileMode) string {
	t.Helper()
	if err := os.WriteFile(path, data, mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func certPEM(certs ...*x509.Certificate) (out []byte) {
	for _, c := range certs {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return out
}

func keyPEM(t *testing.T, c *Credential) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(c.Key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func TestFile_ReadsEveryFormOfACredential(t *testing.T) {
	dir := t.TempDir()
	u := user(t, "Jane", noon.AddDate(1, 0, 0))
	p := proxyOf(t, u)
	proxyPEM, err := MarshalProxy(p)
	if err != nil {
		t.Fatal(err)
	}
	p12, err := pkcs12.Modern.Encode(u.Key, u.Leaf(), nil, "open sesame")
	if err != nil {
		t.Fatal(err)
	}
	o := FileOptions{Now: clock(noon)}
	pass := writeFile(t, filepath.Join(dir, "pass"), []byte("open sesame\n"), 0o600)
	cert := writeFile(t, filepath.Join(dir, "cert"), certPEM(u.Chain...), 0o644)
	key := writeFile(t, filepath.Join(dir, "key"), keyPEM(t, u), 0o400)
	for name, test := range map[string]struct {
		source *File
		want   *Credential
	}{
		"proxy file":         {ProxyFile(writeFile(t, filepath.Join(dir, "p"), proxyPEM, 0o600), o), p},
		"key last, shuffled": {ProxyFile(writeFile(t, filepath.Join(dir, "q"), append(certPEM(u.Leaf(), p.Leaf()), keyPEM(t, p)...), 0o400), o), p},
		"key first":          {ProxyFile(writeFile(t, filepath.Join(dir, "r"), append(keyPEM(t, p), certPEM(p.Chain...)...), 0o600), o), p},
		"pair":               {PairFile(cert, key, o), u},
		"PKCS#12":            {PKCS12File(writeFile(t, filepath.Join(dir, "s"), p12, 0o600), pass, o), u},
	} {
		got, err := test.source.Credential(t.Context())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(got.Chain) != len(test.want.Chain) || !got.Leaf().Equal(test.want.Leaf()) || !samePublicKey(got.Key.Public(), test.want.Key.Public()) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestFile_ReadsTheFilesOfGT4AndGridProxyInit(t *testing.T) {
	for _, name := range []string{"proxy-user-rfc.pem", "pkcs8-proxy-user-rfc.pem", "proxy-x-sha1-512.pem"} {
		data, err := os.ReadFile("testdata/gt4/" + name)
		if err != nil {
			t.Fatal(err)
		}
		path := writeFile(t, filepath.Join(t.TempDir(), name), data, 0o600)
		c, err := ProxyFile(path, FileOptions{Now: clock(noon.Add(8 * time.Hour))}).Credential(t.Context())
		if err != nil || len(c.Chain) != 2 {
			t.Errorf("%s: %v, %v", name, c, err)
		}
	}
}

func TestFile_Refuses(t *testing.T) {
	u := user(t, "Jane", noon.AddDate(1, 0, 0))
	good := append(certPEM(u.Chain...), keyPEM(t, u)...)
	p := proxyOf(t, u)
	locked := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-128-CBC,00"}, Bytes: []byte{1}})
	for name, test := range map[string]struct {
		data []byte
		mode os.FileMode
		at   time.Time
		word string
	}{
		"readable by the group":  {good, 0o640, noon, "chmod 0600"},
		"readable by others":     {good, 0o604, noon, "chmod 0600"},
		"writable by the group":  {good, 0o620, noon, "chmod 0600"},
		"expired":                {good, 0o600, noon.AddDate(2, 0, 0), "get a new certificate from /"},
		"an expired proxy":       {append(certPEM(p.Chain...), keyPEM(t, p)...), 0o600, noon.AddDate(0, 1, 0), "gsigw proxy init"},
		"not yet valid":          {good, 0o600, noon.AddDate(-1, 0, 0), "valid from"},
		"no key":                 {certPEM(u.Chain...), 0o600, noon, "no private key"},
		"no certificate":         {keyPEM(t, u), 0o600, noon, "no certificate"},
		"two keys":               {append(keyPEM(t, p), good...), 0o600, noon, "two private keys"},
		"another's key":          {append(certPEM(u.Chain...), keyPEM(t, p)...), 0o600, noon, "belongs to none"},
		"proxy without its user": {append(certPEM(p.Leaf()), keyPEM(t, p)...), 0o600, noon, "issued the proxy"},
		"locked, PKCS#1":         {append(certPEM(u.Chain...), locked...), 0o600, noon, "passphrase"},
		"locked, PKCS#8":         {append(certPEM(u.Chain...), pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte{1}})...), 0o600, noon, "passphrase"},
		"a broken key":           {append(certPEM(u.Chain...), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte{1}})...), 0o600, noon, "openssl pkey"},
		"empty":                  {nil, 0o600, noon, "the file is empty"},
		"too large":              {append(good, make([]byte, maxFile)...), 0o600, noon, "larger"},
	} {
		t.Run(name, func(t *testing.T) {
			path := writeFile(t, filepath.Join(t.TempDir(), "proxy"), test.data, test.mode)
			f := ProxyFile(path, FileOptions{Now: clock(test.at)})
			_, err := f.Credential(t.Context())
			unusable, ok := errors.AsType[*UnusableError](err)
			if !ok || !errors.Is(err, ErrNoCredential) || !strings.Contains(err.Error(), test.word) || unusable.Source != path || unusable.Remedy == "" {
				t.Errorf("got %v, want %q", err, test.word)
			}
			if f.Problem() == nil {
				t.Error("no problem is told of")
			}
		})
	}
	t.Run("nothing there", func(t *testing.T) {
		_, err := ProxyFile(filepath.Join(t.TempDir(), "proxy"), FileOptions{}).Credential(t.Context())
		if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "gsigw proxy init") {
			t.Error(err)
		}
	})
	t.Run("nothing there that proxy init makes", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "usercert.pem")
		_, err := PairFile(path, path, FileOptions{}).Credential(t.Context())
		want := "gsi: no usable credential in " + path + ": open " + path + ": no such file or directory: put certificate and key there, or name another file"
		if !errors.Is(err, os.ErrNotExist) || err.Error() != want {
			t.Error(err)
		}
	})
	t.Run("nobody gives the passphrase", func(t *testing.T) {
		path := writeFile(t, filepath.Join(t.TempDir(), "proxy"), append(certPEM(u.Chain...), locked...), 0o600)
		ask := func(string) ([]byte, error) { return nil, context.Canceled }
		_, err := ProxyFile(path, FileOptions{Now: clock(noon), Passphrase: ask}).Credential(t.Context())
		if !errors.Is(err, context.Canceled) || !strings.HasSuffix(err.Error(), ": context canceled") {
			t.Error(err)
		}
	})
	t.Run("a directory", func(t *testing.T) {
		_, err := ProxyFile(t.TempDir(), FileOptions{}).Credential(t.Context())
		if err == nil || !strings.Contains(err.Error(), "regular") {
			t.Error(err)
		}
	})
	t.Run("wrong passphrase", func(t *testing.T) {
		p12, _ := pkcs12.Modern.Encode(u.Key, u.Leaf(), nil, "open sesame")
		dir := t.TempDir()
		f := PKCS12File(writeFile(t, dir+"/p12", p12, 0o600), writeFile(t, dir+"/pass", []byte("open barley"), 0o600), FileOptions{})
		if _, err := f.Credential(t.Context()); err == nil || !strings.Contains(err.Error(), "does not open") || strings.Contains(err.Error(), "barley") {
			t.Error(err)
		}
		f = PKCS12File(dir+"/p12", writeFile(t, dir+"/open", []byte("open sesame"), 0o644), FileOptions{})
		if _, err := f.Credential(t.Context()); err == nil || !strings.Contains(err.Error(), "chmod") {
			t.Error("a passphrase that all can read:", err)
		}
	})
}

func TestCheckOwner_OnlyOurselvesAndRoot(t *testing.T) {
	for _, test := range []struct {
		owner uint32
		euid  int
		ok    bool
	}{{1000, 1000, true}, {0, 1000, true}, {1001, 1000, false}, {1000, 0, false}, {0, 0, true}} {
		if err := checkOwner(test.owner, test.euid); (err == nil) != test.ok {
			t.Errorf("%+v: %v", test, err)
		}
	}
}

func TestFile_FollowsNoSymlinkOutOfASharedDirectory(t *testing.T) {
	u := user(t, "Jane", noon.AddDate(1, 0, 0))
	dir := t.TempDir()
	path := writeFile(t, filepath.Join(dir, "real"), append(certPEM(u.Chain...), keyPEM(t, u)...), 0o600)
	shared, own := filepath.Join(dir, "tmp"), filepath.Join(dir, "home")
	for d, mode := range map[string]os.FileMode{shared: 0o777 | os.ModeSticky, own: 0o700} {
		if err := errors.Join(os.Mkdir(d, 0o700), os.Chmod(d, mode), os.Symlink(path, filepath.Join(d, "proxy"))); err != nil {
			t.Fatal(err)
		}
	}
	o := FileOptions{Now: clock(noon)}
	if _, err := ProxyFile(filepath.Join(shared, "proxy"), o).Credential(t.Context()); err == nil || !strings.Contains(err.Error(), "put the file itself there") {
		t.Error("in a shared directory:", err)
	}
	if _, err := ProxyFile(filepath.Join(own, "proxy"), o).Credential(t.Context()); err != nil {
		t.Error("in a directory of one's own:", err)
	}
}

func TestFile_AllowGroupReadIsForMountedSecrets(t *testing.T) {
	u := user(t, "Jane", noon.AddDate(1, 0, 0))
	dir := t.TempDir()
	for mode, ok := range map[os.FileMode]bool{0o640: true, 0o440: true, 0o600: true, 0o660: false, 0o644: false} {
		path := writeFile(t, filepath.Join(dir, fmt.Sprintf("proxy%o", mode)), append(certPEM(u.Chain...), keyPEM(t, u)...), 0o600)
		os.Chmod(path, mode)
		_, err := ProxyFile(path, FileOptions{AllowGroupRead: true, Now: clock(noon)}).Credential(t.Context())
		if (err == nil) != ok {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
}

func TestFile_ReloadsWhenTheFileChanges(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "proxy")
	now := noon
	f := ProxyFile(path, FileOptions{Now: func() time.Time { return now }})
	expect := func(cn string) {
		t.Helper()
		c, err := f.Credential(t.Context())
		if err != nil || c.EndEntity().Subject.CommonName != cn {
			t.Errorf("got %v, %v, want %s", c, err, cn)
		}
	}
	first, second := user(t, "First", noon.AddDate(0, 0, 1)), user(t, "Second", noon.AddDate(0, 0, 2))
	if err := WriteProxyFile(path, first); err != nil {
		t.Fatal(err)
	}
	expect("First")
	if err := WriteProxyFile(path, second); err != nil {
		t.Fatal(err)
	}
	expect("Second")
	writeFile(t, path, []byte("half a file"), 0o600)
	expect("Second")
	if f.Problem() == nil {
		t.Error("the bad file goes unnoticed")
	}
	now = noon.AddDate(0, 0, 3)
	if _, err := f.Credential(t.Context()); !errors.Is(err, ErrExpired) {
		t.Error("the old credential is given beyond its time:", err)
	}
	now = noon
	if err := WriteProxyFile(path, first); err != nil {
		t.Fatal(err)
	}
	expect("First")
	if err := WriteProxyFile(path, user(t, "Late", noon.Add(-time.Minute))); err != nil {
		t.Fatal(err)
	}
	expect("First")
	if !errors.Is(f.Problem(), ErrExpired) {
		t.Error("a replacement that has expired goes unnoticed:", f.Problem())
	}
	if err := WriteProxyFile(path, first); err != nil {
		t.Fatal(err)
	}
	expect("First")
	os.Chmod(path, 0o644)
	expect("First")
	if f.Problem() == nil {
		t.Error("a key that others may now read goes unnoticed")
	}
	os.Chmod(path, 0o600)
	expect("First")
	if err := f.Problem(); err != nil {
		t.Error(err)
	}
	os.Remove(path)
	if _, err := f.Credential(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Error("a destroyed proxy is still given:", err)
	}
}

func TestFile_ReloadsAcrossASymlinkSwap(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"one", "two"} {
		u := user(t, name, noon.AddDate(1, 0, 0))
		if err := errors.Join(os.Mkdir(filepath.Join(dir, name), 0o700), WriteProxyFile(filepath.Join(dir, name, "proxy"), u)); err != nil {
			t.Fatal(err)
		}
	}
	data, path := filepath.Join(dir, "..data"), filepath.Join(dir, "proxy")
	os.Symlink("one", data)
	os.Symlink("..data/proxy", path)
	f := ProxyFile(path, FileOptions{AllowGroupRead: true, Now: clock(noon)})
	for _, want := range []string{"one", "two"} {
		next := data + ".new"
		os.Symlink(want, next)
		os.Rename(next, data)
		if c, err := f.Credential(t.Context()); err != nil || c.Leaf().Subject.CommonName != want {
			t.Errorf("got %v, %v, want %s", c, err, want)
		}
	}
}
