package gateway

import (
	"crypto/x509"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
	"gsigw/internal/policy"
	"gsigw/wssec"
)

const idpName = "/O=Grid/OU=gsigw test/CN=idp"

// asserting has a route send an assertion, signed by somebody whom the trust directory knows.
func (b *standInBench) asserting(a gridtest.Assertion) {
	idp := gridtest.Must(b.pki.CA.Issue(gridtest.Request{Name: idpName}))
	b.files = Files{Assertion: fixed(string(gridtest.Must(a.Sign(idp))))}
	b.options.Modern = true
	b.route.Message, b.route.Addressing = policy.MessageSAML, policy.Addressing200508
}

// bearer is saml for whoever has the assertion; the caller has no grid credential.
func bearer(a gridtest.Assertion) func(*standInBench) {
	return func(b *standInBench) {
		a.Subject = "jane"
		b.asserting(a)
		b.route.Confirmation, b.source = policy.Bearer, nil
	}
}

func TestSAML_BearerIsKnownByTheAssertionAndTheReplyByTLS(t *testing.T) {
	b := newStandInBench(t, bearer(gridtest.Assertion{}))
	if w := b.post(); w.Code != 200 || !strings.Contains(body(w), "CounterKey") {
		t.Fatalf("%d %s\n%s", w.Code, w.Body, b.log)
	}
	if seen := b.only(); seen.User != "jane" || seen.Signer != "" {
		t.Errorf("the service saw user %q, signer %q", seen.User, seen.Signer)
	}
	if !strings.Contains(b.log.String(), `"profile":"saml/https"`) {
		t.Error(b.log)
	}
}

// The remedy is for the engine's user; what is wrong with the assertion is for the log.
func TestSAML_AssertionThatIsNoGoodIsNotSent(t *testing.T) {
	hourAgo := time.Now().Add(-time.Hour)
	for name, knob := range map[string]func(*standInBench){
		"expired": bearer(gridtest.Assertion{NotBefore: hourAgo.Add(-time.Hour), NotAfter: hourAgo}),
		"for another service": func(b *standInBench) {
			bearer(gridtest.Assertion{Audience: "urn:other"})(b)
			b.route.Audience = []string{"urn:this"}
		},
		"for a holder of key": func(b *standInBench) { bearer(gridtest.Assertion{Holder: b.pki.User.Leaf()})(b) },
		"no XML":              func(b *standInBench) { bearer(gridtest.Assertion{})(b); b.files.Assertion = fixed("<a") },
		"from a stranger": func(b *standInBench) {
			bearer(gridtest.Assertion{})(b)
			idp := gridtest.Must(b.pki.Other.Issue(gridtest.Request{Name: idpName}))
			b.files.Assertion = fixed(string(gridtest.Must(gridtest.Assertion{Subject: "jane"}.Sign(idp))))
		},
		"from an issuer that the route does not name": func(b *standInBench) {
			bearer(gridtest.Assertion{})(b)
			b.files.Issuers = []*x509.Certificate{b.pki.Host.Leaf()}
		},
		"for the holder of another key":              func(b *standInBench) { b.asserting(gridtest.Assertion{Subject: "jane", Holder: b.pki.Host.Leaf()}) },
		"a bearer's, on a route for holders of keys": func(b *standInBench) { b.asserting(gridtest.Assertion{Subject: "jane"}) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newStandInBench(t, knob)
			w := b.post()
			if text := body(w); w.Code != 500 || !strings.Contains(text, "SecurityTokenUnavailable") || !strings.Contains(text, "SAML assertion is not fit") {
				t.Errorf("%d %s\n%s", w.Code, text, b.log)
			}
			if !b.unseen() {
				t.Error("it was sent")
			}
		})
	}
}

// An issuer that a route names needs no CA: identity providers seldom are in a grid's trust directory.
func TestSAML_NamedIssuerNeedsNoCA(t *testing.T) {
	b := newStandInBench(t, bearer(gridtest.Assertion{}), func(b *standInBench) {
		idp := gridtest.Must(b.pki.Other.Issue(gridtest.Request{Name: idpName}))
		b.files.Assertion = fixed(string(gridtest.Must(gridtest.Assertion{Subject: "jane"}.Sign(idp))))
		b.files.Issuers = []*x509.Certificate{idp.Leaf()}
	})
	if w := b.post(); w.Code != 200 {
		t.Errorf("%d %s\n%s", w.Code, w.Body, b.log)
	}
}

// Who signs wants a signed reply: an answer that TLS alone vouches for will not do.
func TestSAML_ASignedAssertionWantsASignedReply(t *testing.T) {
	for _, test := range []struct {
		name         string
		confirmation policy.Confirmation
		knob         knob
		want         int
	}{
		{"a holder of key", policy.HolderOfKey, func(*bench) {}, 200},
		{"a holder of key, unsigned reply", policy.HolderOfKey, answering(http.StatusOK, "text/xml", envelope11(sum11)), 500},
		{"a bearer who signs", policy.SignedBearer, func(*bench) {}, 200},
		{"a bearer who signs, unsigned reply", policy.SignedBearer, answering(http.StatusOK, "text/xml", envelope11(sum11)), 500},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t, test.knob, over(policy.TransportHTTPS), func(b *bench) {
				b.route.Message, b.route.Confirmation = policy.MessageSAML, test.confirmation
				b.source = gsi.Static(b.pki.User)
			})
			idp := gridtest.Must(b.pki.CA.Issue(gridtest.Request{Name: idpName}))
			a := gridtest.Assertion{Subject: "jane"}
			if test.confirmation == policy.HolderOfKey {
				a.Holder = b.pki.User.Leaf()
			}
			text := gridtest.Must(a.Sign(idp))
			s := b.state()
			reach := s.Reach(nil)
			reach.Files.Assertion = fixed(string(text))
			s.Reach = func(*policy.Route) Reach { return reach }
			if err := b.gateway.Reload(s); err != nil {
				t.Fatal(err)
			}
			w := b.post(add11)
			if w.Code != test.want {
				t.Fatalf("%d %s\n%s", w.Code, w.Body, b.log)
			}
			if sent := b.service.only().body; !strings.Contains(sent, string(text)) || !strings.Contains(sent, "SignatureValue>") {
				t.Errorf("the assertion and a signature were not sent: %s", sent)
			}
			if test.want == 500 && (len(b.counted.refused) != 1 || b.counted.refused[0] != string(wssec.ClassNoSecurity)) {
				t.Errorf("refused as %q", b.counted.refused)
			}
		})
	}
}

// Whoever reads a bearer's assertion in a trace could use it.
func TestSAML_AssertionStaysOutOfTheTrace(t *testing.T) {
	b := newStandInBench(t, bearer(gridtest.Assertion{}))
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	b.gateway.Trace = gridtest.Must(NewTrace(dir, nil))
	if w := b.post(); w.Code != 200 {
		t.Fatal(w.Code, w.Body)
	}
	files := gridtest.Must(filepath.Glob(filepath.Join(dir, "*")))
	for _, name := range files {
		if text := string(gridtest.Must(os.ReadFile(name))); strings.Contains(text, "jane") {
			t.Errorf("%s: %s", name, text)
		}
	}
	if len(files) != 4 {
		t.Errorf("%d files of trace", len(files))
	}
}
