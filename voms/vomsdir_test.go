package voms_test

import (
	"context"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"gsigw/internal/gridtest"
	"gsigw/voms"
)

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
		t.Fatal(err)
	}
}

// believed says whether the attributes of a chain are, as the directory now stands.
func believed(t *testing.T, d *voms.Dir, chain []*x509.Certificate) bool {
	t.Helper()
	return len(verify(t, d, chain).Attributes) == 1
}

// dCache#7428: one empty LSC file was the end of every VO.
func TestOpen_BrokenFileHarmsItsOwnVOOnly(t *testing.T) {
	g := newGrid(t)
	writeFile(t, g.VOMSDir+"/empty/voms.example.org.lsc", "")
	writeFile(t, g.VOMSDir+"/nonsense/voms.example.org.lsc", "# ours\nvoms.example.org\n")
	writeFile(t, g.VOMSDir+"/nonsense/voms.example.org.pem", "no certificate")
	writeFile(t, g.VOMSDir+"/not a vo/voms.example.org.lsc", gridtest.VOMSName+"\n"+gridtest.CAName+"\n")
	writeFile(t, g.VOMSDir+"/old.pem", "no certificate")
	writeFile(t, g.VOMSDir+"/README", "not ours")
	writeFile(t, g.VOMSDir+"/.hidden/x.lsc", "not ours")
	writeFile(t, g.VOMSDir+"/testvo/.#voms.example.org.lsc", "an editor's")
	dir := open(t, g, voms.Options{})
	if !believed(t, dir, g.Chain(g.Good())) {
		t.Error("the good VO is not believed")
	}
	var files []string
	for _, p := range dir.Problems() {
		files = append(files, p.File)
	}
	want := []string{"empty/voms.example.org.lsc", "nonsense/voms.example.org.lsc", "nonsense/voms.example.org.pem", "not a vo", "old.pem"}
	if !slices.Equal(files, want) {
		t.Error(files)
	}
	if err := dir.Problems()[1].Err; !strings.HasPrefix(err.Error(), `line 2: "voms.example.org" is not a DN that begins with '/'`) {
		t.Error(err)
	}
	if vos := dir.VOs(); !slices.Equal(vos, []string{"testvo"}) {
		t.Error(vos)
	}
}

func TestReload_KeepsWhatAFileHeldBeforeItBroke(t *testing.T) {
	g := newGrid(t)
	dir, chain := open(t, g, voms.Options{}), g.Chain(g.Good())
	path := filepath.Join(g.VOMSDir, gridtest.VO, gridtest.VOMSHost+".lsc")
	for _, broken := range []string{gridtest.VOMSName + "\n", "------", "# ours\n-\n"} {
		writeFile(t, path, broken)
		if err := dir.Reload(t.Context()); err != nil || len(dir.Problems()) != 1 || !believed(t, dir, chain) {
			t.Errorf("%q: %v, %v", broken, err, dir.Problems())
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := dir.Reload(t.Context()); err != nil || len(dir.Problems()) != 0 || believed(t, dir, chain) {
		t.Error("a file that was removed is still believed:", err, dir.Problems())
	}
	if err := g.AA.WriteLSC(g.VOMSDir); err != nil {
		t.Fatal(err)
	}
	if err := dir.Reload(t.Context()); err != nil || !believed(t, dir, chain) {
		t.Error("a file that came is not believed:", err, dir.Problems())
	}
}

// Who empties a file, or turns it into a comment, takes the authority's trust away: that is not to wait for a restart.
func TestReload_DisownsTheAuthorityOfAFileThatNamesNobody(t *testing.T) {
	for _, name := range []string{gridtest.VOMSHost + ".lsc", gridtest.VOMSHost + ".pem"} {
		for _, content := range []string{"", "# " + gridtest.VOMSName + "\n\n"} {
			g := newGrid(t)
			path, lsc := filepath.Join(g.VOMSDir, gridtest.VO, name), filepath.Join(g.VOMSDir, gridtest.VO, gridtest.VOMSHost+".lsc")
			if filepath.Ext(name) == ".pem" {
				writeFile(t, path, pemOf(g.AA.Leaf()))
				if err := os.Remove(lsc); err != nil {
					t.Fatal(err)
				}
			}
			dir, chain := open(t, g, voms.Options{}), g.Chain(g.Good())
			if !believed(t, dir, chain) {
				t.Fatal("not believed to begin with:", dir.Problems())
			}
			for _, text := range []string{content, "nonsense\n"} { // which then keeps nothing
				writeFile(t, path, text)
				if err := dir.Reload(t.Context()); err != nil || len(dir.Problems()) != 1 || believed(t, dir, chain) {
					t.Errorf("%s, %q: %v, %v", name, text, err, dir.Problems())
				}
			}
		}
	}
}

func TestReload_TakesALinkToNowhereForAFileThatIsGone(t *testing.T) {
	for _, link := range []string{filepath.Join(gridtest.VO, gridtest.VOMSHost+".lsc"), gridtest.VO} {
		g := newGrid(t)
		dir, chain, path := open(t, g, voms.Options{}), g.Chain(g.Good()), filepath.Join(g.VOMSDir, link)
		if err := errors.Join(os.RemoveAll(path), os.Symlink(filepath.Join(t.TempDir(), "nowhere"), path)); err != nil {
			t.Fatal(err)
		}
		if err := dir.Reload(t.Context()); err != nil || believed(t, dir, chain) {
			t.Errorf("%s: %v", link, err)
		}
		if problems := dir.Problems(); len(problems) != 1 || problems[0].File != link || !errors.Is(problems[0].Err, os.ErrNotExist) {
			t.Error(problems)
		}
	}
}

func TestReload_KeepsAVOWhoseDirectoryCannotBeRead(t *testing.T) {
	g := newGrid(t)
	dir, chain := open(t, g, voms.Options{}), g.Chain(g.Good())
	sub := filepath.Join(g.VOMSDir, gridtest.VO)
	if err := errors.Join(os.Rename(sub, sub+".away"), os.Symlink(gridtest.VO, sub)); err != nil { // to itself
		t.Fatal(err)
	}
	for range 2 {
		if err := dir.Reload(t.Context()); err != nil || !believed(t, dir, chain) {
			t.Fatal(err, dir.Problems())
		}
	}
	if problems := dir.Problems(); len(problems) != 1 || problems[0].File != gridtest.VO {
		t.Error(problems)
	}
}

func TestReload_LeavesAllWhereTheDirectoryCannotBeRead(t *testing.T) {
	g := newGrid(t)
	dir, chain := open(t, g, voms.Options{}), g.Chain(g.Good())
	if err := os.Rename(g.VOMSDir, g.VOMSDir+".away"); err != nil {
		t.Fatal(err)
	}
	if err := dir.Reload(t.Context()); err == nil || !believed(t, dir, chain) {
		t.Error(err)
	}
	if _, err := voms.Open(g.VOMSDir, voms.Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestReload_EndsWithItsContext(t *testing.T) {
	g := newGrid(t)
	dir := open(t, g, voms.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := dir.Reload(ctx); !errors.Is(err, context.Canceled) || len(dir.VOs()) != 1 {
		t.Error(err, dir.VOs())
	}
}

func TestReload_DisturbsNoVerification(t *testing.T) {
	g := newGrid(t)
	dir, chain := open(t, g, voms.Options{}), g.Chain(g.Good())
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for range 20 {
				if result, err := dir.Verify(chain, now); err != nil || len(result.Attributes) != 1 {
					t.Error(result, err)
				}
			}
		})
	}
	for range 20 {
		if err := dir.Reload(t.Context()); err != nil {
			t.Error(err)
		}
	}
	wait.Wait()
}

func TestOpen_ReadsNoPipeAndNothingHuge(t *testing.T) {
	g := newGrid(t)
	writeFile(t, g.VOMSDir+"/huge/voms.example.org.lsc", strings.Repeat("# no end\n", 200_000))
	if err := os.MkdirAll(g.VOMSDir+"/dir/voms.example.org.lsc", 0o755); err != nil {
		t.Fatal(err)
	}
	problems := open(t, g, voms.Options{}).Problems()
	if len(problems) != 2 || problems[0].Err.Error() != "not a regular file" || !strings.Contains(problems[1].Err.Error(), "larger than") {
		t.Error(problems)
	}
}

// A local certificate may come with the CAs between it and the root; the first is the authority's.
func TestVerify_LocalFileHasTheAuthorityFirst(t *testing.T) {
	g := newGrid(t)
	ac := g.Good()
	ac.Key = g.Host.Key
	ac.Change = func(p *gridtest.ACParts) {
		p.Drop(gridtest.OIDCertificates)
		p.Issuer = gridtest.Wrap(0xa0, gridtest.Wrap(0x30, gridtest.DirectoryName(g.Host.Leaf().RawSubject)))
	}
	chain := g.Chain(ac)
	writeFile(t, g.VOMSDir+"/testvo/local.pem", pemOf(g.AA.Leaf())+pemOf(g.Host.Leaf()))
	if believed(t, open(t, g, voms.Options{}), chain) {
		t.Error("the second certificate of a file is taken for an authority")
	}
}
