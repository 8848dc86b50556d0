package trust_test

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gsigw/gsi"
	"gsigw/trust"
)

// The chains with which the GT4 captures were made (facts/gt4-wire.md); those
// called x were made at the end of that hour.
var (
	captured = time.Date(2026, 11, 21, 18, 50, 0, 0, time.UTC)
	later    = time.Date(2026, 11, 21, 19, 0, 0, 0, time.UTC)
)

func readChain(t testing.TB, path string) []*x509.Certificate {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	chain, err := gsi.ParseCertificates(data)
	if err != nil {
		t.Fatal(err)
	}
	return chain
}

func TestVerify_AcceptsEveryChainOfTheGT4Captures(t *testing.T) {
	store := open(t, "testdata/gt4/certificates", trust.Options{RequireSigningPolicy: true})
	named := open(t, "testdata/gt4/certificates", trust.Options{RequireSigningPolicy: true, AllowMD5: true, AllowRSA512: true})
	paths, _ := filepath.Glob("testdata/gt4/*.pem")
	if len(paths) < 30 {
		t.Fatalf("%d chains in testdata", len(paths))
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".pem")
		t.Run(name, func(t *testing.T) {
			chain, at := readChain(t, path), captured
			if strings.Contains(name, "-x-") || strings.Contains(name, "sha1") {
				at = later
			}
			id, err := store.Verify(chain, at)
			switch {
			case name == "baduser.cert":
				refused(t, err, trust.UnknownCA)
			case name == "proxy-user-short":
				refused(t, err, trust.Expired)
				_, err = store.Verify(chain, captured.Add(-5*time.Minute))
			case strings.Contains(name, "md5"), strings.Contains(name, "-512"):
				refused(t, err, trust.Algorithm)
				id, err = named.Verify(chain, at)
			}
			if err != nil {
				if name == "baduser.cert" {
					return
				}
				t.Fatal(err)
			}
			if id != nil {
				checkCaptured(t, name, id)
			}
		})
	}
}

// checkCaptured compares an identity with what the file's name promises.
func checkCaptured(t *testing.T, name string, id *gsi.Identity) {
	t.Helper()
	want := gsi.EEC
	switch {
	case strings.Contains(name, "draft"):
		want = gsi.Draft
	case strings.Contains(name, "old"):
		want = gsi.Legacy
	case strings.HasPrefix(name, "proxy"):
		want = gsi.RFC
	}
	limited := strings.Contains(name, "limited")
	if limited {
		want += "/limited"
	}
	if id.Type != want || id.Limited != limited || !strings.HasPrefix(id.DN, "/O=Grid/OU=GT4Lab/CN=") || strings.Count(id.DN, "/CN=") != 1 {
		t.Errorf("%+v", id)
	}
}

func TestVerify_RefusesMD5AndShortKeysThatWereChanged(t *testing.T) {
	store := open(t, "testdata/gt4/certificates", trust.Options{AllowMD5: true, AllowRSA512: true})
	for _, name := range []string{"proxy-x-md5-1024.pem", "proxy-x-sha1-512.pem"} {
		chain := readChain(t, filepath.Join("testdata/gt4", name))
		changed := *chain[0]
		changed.RawTBSCertificate = append([]byte{}, changed.RawTBSCertificate...)
		changed.RawTBSCertificate[len(changed.RawTBSCertificate)-1] ^= 1
		_, err := store.Verify([]*x509.Certificate{&changed, chain[1]}, later)
		refused(t, err, trust.BadSignature)
	}
}

func TestVerify_BelowAShortKeyOnlyWhereItIsNamed(t *testing.T) {
	at := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	strict := open(t, "testdata/gt4/certificates", trust.Options{AllowMD5: true})
	named := open(t, "testdata/gt4/certificates", trust.Options{AllowRSA512: true})
	both := open(t, "testdata/gt4/certificates", trust.Options{AllowRSA512: true, AllowMD5: true})
	for _, digest := range []string{"sha1", "sha256", "md5"} {
		chain := readChain(t, filepath.Join("testdata/short-keys", digest+".pem"))
		_, err := strict.Verify(chain, at)
		refused(t, err, trust.Algorithm)
		if _, err := named.Verify(chain, at); (err == nil) == (digest == "md5") {
			t.Errorf("%s: %v", digest, err)
		}
		id, err := both.Verify(chain, at)
		if err != nil || id.Depth != 2 {
			t.Errorf("%s: %+v, %v", digest, id, err)
		}
		changed := *chain[0]
		changed.Signature = append([]byte{}, changed.Signature...)
		changed.Signature[5] ^= 1
		_, err = both.Verify([]*x509.Certificate{&changed, chain[1], chain[2]}, at)
		refused(t, err, trust.BadSignature)
	}
}
