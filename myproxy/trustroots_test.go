package myproxy

import (
	"encoding/base64"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"gsigw/gsi"
	"gsigw/trust"
)

// roots makes the lines of a reply with files.
func rootLines(files map[string]string) []string {
	lines := []string{"TRUSTED_CERTS=" + strings.Join(slices.Sorted(maps.Keys(files)), ",")}
	for name, content := range files {
		lines = append(lines, "FILEDATA_"+name+"="+base64.StdEncoding.EncodeToString([]byte(content)))
	}
	return lines
}

func trustDir(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	entries, err := os.ReadDir(pki().TrustDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(pki().TrustDir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = string(b)
	}
	return files
}

func TestTrustRoots_MakeATrustDirectory(t *testing.T) {
	files := trustDir(t)
	f, client := newFake(t, func(v *visit) { v.ok(rootLines(files)...) })
	roots, err := client.TrustRoots(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want := "COMMAND=7\nUSERNAME=\nPASSPHRASE=\nLIFETIME=0\nTRUSTED_CERTS=1"; !strings.HasSuffix(f.seen(), want) {
		t.Errorf("asked %q", f.seen())
	}
	dir := filepath.Join(t.TempDir(), "new", "certificates")
	if err := roots.Write(dir); err != nil {
		t.Fatal(err)
	}
	opened, err := trust.Open(dir, trust.Options{CRL: trust.CRLRequire, RequireSigningPolicy: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := opened.Verify(user().Chain, now); err != nil || len(roots) != len(files) {
		t.Error(err, len(roots), len(files))
	}
}

func TestGet_BringsTrustRootsAlong(t *testing.T) {
	f, client := newFake(t, func(v *visit) {
		v.ok(rootLines(trustDir(t))...)
		v.handOver(user(), gsi.Limits{})
		v.ok()
	})
	var roots TrustRoots
	g := asks()
	g.TrustRoots = &roots
	if _, err := client.Get(t.Context(), g); err != nil || len(roots) == 0 {
		t.Errorf("%v, %d files", err, len(roots))
	}
	if !strings.HasSuffix(f.seen(), "\nTRUSTED_CERTS=1") {
		t.Errorf("asked %q", f.seen())
	}
}

func TestTrustRoots_LeaveOutWhatIsNone(t *testing.T) {
	_, client := newFake(t, func(v *visit) {
		v.ok(rootLines(map[string]string{
			"12345678.0": "ca", "12345678.r0": "crl", "12345678.signing_policy": "p", "My-CA.2.namespaces": "n", "My-CA.info": "i", "My-CA.crl_url": "u",
			"README": "x", "My-CA.pem": "x", ".12345678.0": "x", "12345678.0.tmp": "x", "1234567.0": "x", "..": "x", ".info": "x", "a..info": "x", "A2345678.0": "x",
		})...)
	})
	roots, err := client.TrustRoots(t.Context())
	want := []string{"12345678.0", "12345678.r0", "12345678.signing_policy", "My-CA.2.namespaces", "My-CA.crl_url", "My-CA.info"}
	if got := slices.Sorted(maps.Keys(roots)); err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestTrustRoots_RefuseALyingServer(t *testing.T) {
	for name, c := range map[string]struct {
		lines []string
		words string
	}{
		"a path":      {rootLines(map[string]string{"../12345678.0": "x"}), "no file name"},
		"a file deep": {rootLines(map[string]string{"a/12345678.0": "x"}), "no file name"},
		"no content":  {[]string{"TRUSTED_CERTS=12345678.0"}, "no content"},
		"no base64":   {[]string{"TRUSTED_CERTS=12345678.0", "FILEDATA_12345678.0=*"}, "no content"},
		"nothing":     {nil, "cert_dir"},
		"many files":  {[]string{"TRUSTED_CERTS=" + strings.Repeat("a,", 10_000)}, "10001 trust roots"},
		"a refusal":   {[]string{}, "cert_dir"},
	} {
		t.Run(name, func(t *testing.T) {
			_, client := newFake(t, func(v *visit) { v.ok(c.lines...) })
			roots, err := client.TrustRoots(t.Context())
			mustFail(t, err, c.words)
			if len(roots) != 0 {
				t.Error("roots came with the error")
			}
		})
	}
}

func TestReadTrustRoots_StopsAtItsLimit(t *testing.T) {
	big := strings.Repeat("x", maxRoots/2+1)
	r, err := parseReply([]byte(strings.TrimSuffix(message("0", rootLines(map[string]string{"12345678.0": big, "12345678.1": big})...), "\x00")))
	if err != nil {
		t.Fatal(err)
	}
	_, err = readTrustRoots(r)
	mustFail(t, err, "more than 33554432 bytes")
}

// A reply of a megabyte is enough for everything but trust roots.
func TestTrustRoots_MayBeLargeAndNothingElse(t *testing.T) {
	large := rootLines(map[string]string{"12345678.0": strings.Repeat("x", 2<<20)})
	play := func(v *visit) { v.ok(large...) }
	_, client := newFake(t, play)
	if roots, err := client.TrustRoots(t.Context()); err != nil || len(roots["12345678.0"]) != 2<<20 {
		t.Error(err)
	}
	_, client = newFake(t, play)
	mustFail(t, client.Destroy(t.Context(), DestroyRequest{Username: "jane"}), "more than is taken")
}

func TestWrite_ReplacesALinkAndFollowsNone(t *testing.T) {
	dir, outside := t.TempDir(), filepath.Join(t.TempDir(), "precious")
	if err := os.WriteFile(outside, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"12345678.0", ".12345678.0.new"} {
		if err := os.Symlink(outside, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := (TrustRoots{"12345678.0": []byte("ca")}).Write(dir); err != nil {
		t.Fatal(err)
	}
	kept, _ := os.ReadFile(outside)
	info, err := os.Lstat(filepath.Join(dir, "12345678.0"))
	if string(kept) != "precious" || err != nil || !info.Mode().IsRegular() || info.Mode().Perm() != 0o644 {
		t.Errorf("%q, %v", kept, info)
	}
	if left, _ := os.ReadDir(dir); len(left) != 2 {
		t.Errorf("%v are left", left)
	}
}

func TestWrite_OfTwoAtOnceLeavesWholeFiles(t *testing.T) {
	const size = 1 << 20
	dir := t.TempDir()
	file := filepath.Join(dir, "12345678.0")
	var writers sync.WaitGroup
	for _, letter := range []string{"a", "b"} {
		writers.Go(func() {
			for range 30 {
				if err := (TrustRoots{"12345678.0": []byte(strings.Repeat(letter, size))}).Write(dir); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { writers.Wait(); close(done) }()
	for reading := true; reading; {
		select {
		case <-done:
			reading = false
		default:
		}
		content, err := os.ReadFile(file)
		if err != nil && reading {
			continue // it is not there yet
		}
		if n := strings.Count(string(content), string(content[:min(1, len(content))])); n != size {
			t.Fatalf("%d bytes, %d of one writer, %v", len(content), n, err)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("%v are left", left)
	}
}

func TestWrite_RefusesNamesOfItsOwn(t *testing.T) {
	for _, name := range []string{"../12345678.0", "README", ".bashrc", "", "a/b.info"} {
		mustFail(t, TrustRoots{name: []byte("x")}.Write(t.TempDir()), "no file of a trust directory")
	}
}

// While the files are written one by one, a CA must not stand there without what binds it.
func TestCasLast_PutsCAsBehindWhatBindsThem(t *testing.T) {
	names := []string{"12345678.0", "12345678.r0", "12345678.signing_policy", "00000000.1", "z.info"}
	slices.SortFunc(names, casLast)
	want := []string{"12345678.r0", "12345678.signing_policy", "z.info", "00000000.1", "12345678.0"}
	if !slices.Equal(names, want) {
		t.Errorf("got %q", names)
	}
}
