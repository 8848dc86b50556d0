package trust_test

import (
	"context"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
	"gsigw/trust"
)

func TestOpen_FailsWithoutTheDirectory(t *testing.T) {
	if _, err := trust.Open(filepath.Join(t.TempDir(), "nowhere"), trust.Options{}); err == nil {
		t.Fatal("opened a directory that is not there")
	}
}

func TestReload_ABadFileLeavesTheOthersAndItsOwnOldContent(t *testing.T) {
	pki := newPKI(t)
	store := open(t, pki.TrustDir, trust.Options{CRL: trust.CRLRequire, RequireSigningPolicy: true})
	if problems := store.Problems(); len(problems) > 0 {
		t.Fatal(problems)
	}
	bad := []string{"junk.pem"}
	for _, hash := range pki.CA.Hashes() {
		bad = append(bad, hash+".0", hash+".r0", hash+".signing_policy")
	}
	for _, name := range bad {
		os.WriteFile(filepath.Join(pki.TrustDir, name), []byte("not what it was"), 0o644)
	}
	if err := store.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	var named []string
	for _, p := range store.Problems() {
		named = append(named, p.File)
	}
	slices.Sort(bad)
	if !slices.Equal(named, bad) {
		t.Errorf("problems with %v, want %v", named, bad)
	}
	if _, err := store.Verify(pki.User.Chain, now); err != nil {
		t.Error("the old content is gone:", err)
	}
	if _, err := trust.Open(pki.TrustDir, trust.Options{}); err != nil {
		t.Error("a directory with bad files only does not open:", err)
	}
}

func TestProblems_NameTheFileAndTheCertificateInIt(t *testing.T) {
	pki := newPKI(t)
	bundle := slices.Concat(must(os.ReadFile(filepath.Join(pki.Dir, "ca.pem"))),
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pki.Other.Cert.Raw[:100]}))
	os.WriteFile(filepath.Join(pki.TrustDir, "bundle.pem"), bundle, 0o644)
	problems := open(t, pki.TrustDir, trust.Options{}).Problems()
	if len(problems) != 1 || problems[0].File != "bundle.pem" || !strings.Contains(problems[0].Err.Error(), "certificate 2 of the file") {
		t.Error(problems)
	}
}

func TestReload_TakesAwayWhatIsGone(t *testing.T) {
	pki := newPKI(t)
	store := open(t, pki.TrustDir, trust.Options{})
	for _, hash := range pki.CA.Hashes() {
		os.Remove(filepath.Join(pki.TrustDir, hash+".0"))
	}
	if err := store.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := store.Verify(pki.User.Chain, now)
	refused(t, err, trust.UnknownCA)
}

func TestReload_WithoutTheDirectoryLeavesEverything(t *testing.T) {
	pki := newPKI(t)
	store := open(t, pki.TrustDir, trust.Options{})
	if err := os.Rename(pki.TrustDir, pki.TrustDir+".gone"); err != nil {
		t.Fatal(err)
	}
	if err := store.Reload(t.Context()); err == nil {
		t.Error("reloaded from nowhere")
	}
	if _, err := store.Verify(pki.User.Chain, now); err != nil {
		t.Error(err)
	}
}

func TestOpen_WaitsForNoPipeAndNoDirectory(t *testing.T) {
	pki := newPKI(t)
	if err := errors.Join(syscall.Mkfifo(filepath.Join(pki.TrustDir, "pipe.pem"), 0o600), os.Mkdir(filepath.Join(pki.TrustDir, "dir.0"), 0o700)); err != nil {
		t.Fatal(err)
	}
	if problems := open(t, pki.TrustDir, trust.Options{}).Problems(); len(problems) != 2 {
		t.Error(problems)
	}
}

func TestReload_DisturbsNoVerifyThatRuns(t *testing.T) {
	pki := newPKI(t)
	store := open(t, pki.TrustDir, trust.Options{})
	for _, hash := range pki.CA.Hashes() {
		os.WriteFile(filepath.Join(pki.TrustDir, hash+".r0"), []byte("half a list"), 0o644)
	}
	var verifying sync.WaitGroup
	for range 2 {
		verifying.Go(func() {
			for range 20 {
				if _, err := store.Verify(pki.User.Chain, now); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 20 {
		if err := store.Reload(t.Context()); err != nil {
			t.Error(err)
		}
	}
	verifying.Wait()
}

func TestReload_StopsWithItsContext(t *testing.T) {
	pki := newPKI(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := open(t, pki.TrustDir, trust.Options{}).Reload(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestAnchors_SayWhenCAAndListExpire(t *testing.T) {
	pki := newPKI(t)
	writePEM(t, filepath.Join(pki.TrustDir, pki.Other.Hashes()[0]+".0"), "CERTIFICATE", pki.Other.Cert.Raw)
	anchors := open(t, pki.TrustDir, trust.Options{}).Anchors()
	if len(anchors) != 2 {
		t.Fatal(anchors)
	}
	other, ca := anchors[0], anchors[1]
	if other.Subject != gridtest.OtherName || !other.CRLNextUpdate.IsZero() {
		t.Error(other)
	}
	if ca.Subject != gridtest.CAName || !ca.NotAfter.Equal(pki.CA.Cert.NotAfter) || !ca.CRLNextUpdate.Equal(now.AddDate(0, 1, 0)) {
		t.Error(ca)
	}
}

func TestVerify_EitherHashNameIsEnough(t *testing.T) {
	for i := range 2 {
		pki := newPKI(t)
		gone := pki.CA.Hashes()[i]
		for _, suffix := range []string{".0", ".r0", ".signing_policy"} {
			os.Remove(filepath.Join(pki.TrustDir, gone+suffix))
		}
		store := open(t, pki.TrustDir, trust.Options{CRL: trust.CRLRequire, RequireSigningPolicy: true})
		if _, err := store.Verify(proxy(t, pki, gsi.Limits{}).Chain, now); err != nil {
			t.Errorf("without %s: %v", gone, err)
		}
	}
}
