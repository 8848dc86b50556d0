package trust_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
	"gsigw/trust"
)

func newGrid(t testing.TB, cas, revoked int) (dir string, users []*gsi.Credential) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "certificates")
	return dir, must(gridtest.Grid(dir, cas, revoked, now))
}

// While a directory of 100 CAs is read again and again, and its files are written in place, swapped by rename, cut off
// and spoilt, every verification goes through, and so does that of the CA whose files are spoilt.
func TestReload_DropsNoVerificationOfAHundredCAs(t *testing.T) {
	dir, users := newGrid(t, 100, 3)
	store := open(t, dir, trust.Options{CRL: trust.CRLRequire, RequireSigningPolicy: true})
	done := make(chan struct{})
	var working sync.WaitGroup
	for worker := range 8 {
		working.Go(func() {
			for i := worker; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				if _, err := store.Verify(users[i%len(users)].Chain, now); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	working.Go(func() { disturb(t, dir, done) })
	for range 15 {
		if err := store.Reload(t.Context()); err != nil {
			t.Error(err)
		}
	}
	close(done)
	working.Wait()
}

// disturb does with the files what a bad day does with them, one after the other, and puts each right again.
func disturb(t *testing.T, dir string, done chan struct{}) {
	files := must(filepath.Glob(filepath.Join(dir, "*.*")))
	for i := 0; ; i++ {
		select {
		case <-done:
			return
		default:
		}
		path := files[i*7%len(files)]
		good := must(os.ReadFile(path))
		for _, content := range [][]byte{nil, good[:len(good)/2], []byte("<html>"), good} {
			if err := os.WriteFile(path, content, 0o644); err != nil {
				t.Error(err)
			}
		}
		beside := filepath.Join(dir, ".new")
		if err := os.WriteFile(beside, good, 0o644); err != nil {
			t.Error(err)
		}
		if err := os.Rename(beside, path); err != nil {
			t.Error(err)
		}
	}
}

func TestReload_TakesWhatChanged(t *testing.T) {
	pki := newPKI(t)
	store := open(t, pki.TrustDir, trust.Options{})
	if _, err := store.Verify(pki.User.Chain, now); err != nil {
		t.Fatal(err)
	}
	if err := pki.CA.WriteCRL(pki.TrustDir, gridtest.CRL{Revoked: pki.User.Chain}); err != nil {
		t.Fatal(err)
	}
	if err := store.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := store.Verify(pki.User.Chain, now)
	refused(t, err, trust.Revoked)
}

// What the walk costs besides the signatures, for a user with three proxies and a list of 100,000 revoked certificates.
func BenchmarkVerify_Depth3(b *testing.B) {
	dir, users := newGrid(b, 1, 100_000)
	store := open(b, dir, trust.Options{CRL: trust.CRLRequire, RequireSigningPolicy: true})
	pki := newPKI(b)
	c := users[0]
	for range 3 {
		c = proxyOf(b, pki, c, gsi.Limits{KeyType: gsi.P256})
	}
	ca := must(gsi.ParseCertificates(must(os.ReadFile(must(filepath.Glob(filepath.Join(dir, "*.0")))[0]))))[0]
	issuers := append(c.Chain[1:len(c.Chain):len(c.Chain)], ca)
	var walks, signatures []time.Duration
	for b.Loop() {
		start := time.Now()
		if _, err := store.Verify(c.Chain, now); err != nil {
			b.Fatal(err)
		}
		walked := time.Now()
		for i, cert := range c.Chain {
			if err := issuers[i].CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate,
				cert.Signature); err != nil {
				b.Fatal(err)
			}
		}
		walks, signatures = append(walks, walked.Sub(start)), append(signatures, time.Since(walked))
	}
	b.ReportMetric(float64(median(walks)-median(signatures)), "walk-ns/op")
	b.ReportMetric(float64(median(signatures)), "signatures-ns/op")
}

// median is what a machine that does other things too disturbs least.
func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// A directory of 100 CAs in which little or nothing changed, and one CA's list of 100,000 revoked certificates.
func BenchmarkReload(b *testing.B) {
	for _, size := range []struct{ cas, revoked int }{{100, 10}, {1, 100_000}} {
		b.Run(fmt.Sprintf("%d CAs, %d revoked", size.cas, size.revoked), func(b *testing.B) {
			dir, _ := newGrid(b, size.cas, size.revoked)
			store := open(b, dir, trust.Options{})
			for b.Loop() {
				if err := store.Reload(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
