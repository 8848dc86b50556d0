//go:debug x509negativeserial=1
package trust_test

import (
	"crypto/x509"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
	"gsigw/trust"
)

// newCorpus makes the corpus for now.
func newCorpus(t *testing.T) []gridtest.Chain {
	t.Helper()
	chains, err := gridtest.Corpus(t.TempDir(), now)
	if err != nil {
		t.Fatal(err)
	}
	return chains
}

// judge says what the walk makes of a chain, by Code.
func judge(c gridtest.Chain) (*gsi.Identity, trust.Code, error) {
	chain, err := load(c.File)
	if err != nil {
		return nil, gridtest.Unreadable, err
	}
	store, err := trust.Open(c.TrustDir, c.Options)
	if err != nil {
		return nil, gridtest.Unreadable, err
	}
	id, err := store.Verify(chain, now)
	if refused, ok := errors.AsType[*trust.Error](err); ok {
		return nil, refused.Code, err
	}
	return id, "", err
}

// load reads a file as gsigw proxy verify does: in the order of the chain if key and certificates belong together, as it
// is if they do not.
func load(file string) ([]*x509.Certificate, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	credential, err := gsi.ParsePEM(data)
	if errors.Is(err, gsi.ErrPKCS12) {
		credential, err = gsi.ParsePKCS12(data, []byte(gridtest.Passphrase))
	}
	if err != nil {
		return gsi.ParseCertificates(data)
	}
	return credential.Chain, nil
}

func TestCorpus_EachChainIsAcceptedOrRefusedForItsReason(t *testing.T) {
	started := time.Now()
	chains := newCorpus(t)
	t.Logf("%d chains made in %v", len(chains), time.Since(started))
	for _, c := range chains {
		t.Run(c.Name, func(t *testing.T) {
			_, code, err := judge(c)
			if code != c.Code || (err == nil) != (c.Code == "") {
				t.Errorf("%q instead of %q: %v", code, c.Code, err)
			}
			if accepts := c.Code == ""; strings.HasPrefix(c.RFC, "ok") && !accepts && c.Why == "" || strings.HasPrefix(c.RFC, "no") && accepts {
				t.Errorf("expected %q where the RFC says %s", c.Code, c.RFC)
			}
		})
	}
}
