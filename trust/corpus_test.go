package trust_test

import (
	"crypto/x509"
	"errors"
	"os"
	"strings"
	"testing"

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

// load reads a file as gsigw proxy verify does: in the order of the chain where that can be found, or else in its own.
func load(file string) ([]*x509.Certificate, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	credential, err := gsi.ParsePEM(data)
	if errors.Is(err, gsi.ErrPKCS12) {
		credential, err = gsi.ParsePKCS12(data, []byte(gridtest.Passphrase))
	}
	switch {
	case err == nil:
		return credential.Chain, nil
	case strings.Contains(err.Error(), "belongs to none"):
		return nil, err
	}
	return gsi.ParseCertificates(data)
}

func TestCorpus_EachChainIsAcceptedOrRefusedForItsReason(t *testing.T) {
	chains := newCorpus(t)
	if len(chains) < 500 {
		t.Errorf("%d chains", len(chains))
	}
	byName := map[string]gridtest.Chain{}
	for _, c := range chains {
		if _, twice := byName[c.Name]; twice {
			t.Errorf("two chains are called %s", c.Name)
		}
		byName[c.Name] = c
		id, code, err := judge(c)
		if code != c.Code || (err == nil) != (c.Code == "") {
			t.Errorf("%s: %q instead of %q: %v", c.Name, code, c.Code, err)
		}
		if err == nil {
			checkIdentity(t, c, id)
		}
		checkWords(t, c, err)
		if verdict := strings.HasPrefix(c.RFC, "ok"); c.RFC != "" && verdict != (c.Code == "") && c.Why == "" {
			t.Errorf("%s: we say %q where it is %s, without a reason", c.Name, c.Code, c.RFC)
		}
	}
	checkTwins(t, chains, byName)
	checkCodes(t, chains)
}

// checkIdentity: whoever is accepted has a name, which means this name alone.
func checkIdentity(t *testing.T, c gridtest.Chain, id *gsi.Identity) {
	t.Helper()
	if id.DN == "" || !id.Matches(id.DN) && !strings.Contains(c.Name, "BMPString") {
		t.Errorf("%s: %q is not the name that it is", c.Name, id.DN)
	}
}

// checkWords: a refusal names the certificate, unless it is about the chain as a whole, and says what to do.
func checkWords(t *testing.T, c gridtest.Chain, err error) {
	t.Helper()
	if e, ok := errors.AsType[*trust.Error](err); ok && (e.Reason == "" || e.Remedy == "" || e.Cert == nil && e.Code != trust.TooLarge) {
		t.Errorf("%s: %v lacks its certificate, its reason or its remedy", c.Name, err)
	}
}

// checkTwins: a chain that is refused differs in one thing from one that is not, so that it is this which it is refused
// for, and the rule that refuses it cannot be left out.
func checkTwins(t *testing.T, chains []gridtest.Chain, byName map[string]gridtest.Chain) {
	t.Helper()
	for _, c := range chains {
		twin, known := byName[c.Twin]
		switch {
		case c.Twin == "" && c.Code != "" && c.Why == "":
			t.Errorf("%s is refused and has no twin", c.Name)
		case c.Twin != "" && (!known || twin.Code != ""):
			t.Errorf("%s: the twin %q is not accepted", c.Name, c.Twin)
		}
	}
}

// checkCodes: there is a chain for each reason.
func checkCodes(t *testing.T, chains []gridtest.Chain) {
	t.Helper()
	seen := map[trust.Code]bool{}
	for _, c := range chains {
		seen[c.Code] = true
	}
	for _, code := range []trust.Code{
		trust.Malformed, trust.TooLarge, trust.Algorithm, trust.NameChaining, trust.UnknownCA, trust.BadSignature, trust.Expired,
		trust.NotYetValid, trust.NotCA, trust.EndEntityIsCA, trust.PathLength, trust.KeyUsage, trust.CriticalExtension,
		trust.NameConstraints, trust.NoName, trust.SigningPolicy, trust.NoSigningPolicy, trust.CRLExpired, trust.CRLMissing,
		trust.CRLInvalid, trust.Revoked, trust.ProxySubject, trust.ProxyExtension, trust.MixedTypes, trust.LimitedProxy, trust.PolicyUnknown,
	} {
		if !seen[code] {
			t.Errorf("no chain is refused for %q", code)
		}
	}
}
