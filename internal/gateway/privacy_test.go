package gateway

import (
	"context"
	"strings"
	"testing"
	"time"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
	"gsigw/internal/policy"
	"gsigw/soap"
	"gsigw/wssec"
)

func TestPrivacy_OnlyTheServiceReadsTheRequestAndOnlyTheUserTheReply(t *testing.T) {
	for name, knob := range map[string]func(*standInBench){
		"gsi-message for gt4":            gt4Privacy,
		"wss-x509, sign-first":           modernPrivacy,
		"wss-x509, encrypt-first":        func(b *standInBench) { modernPrivacy(b); b.route.Order = policy.EncryptFirst },
		"wss-x509, rsa-oaep-sha256":      func(b *standInBench) { modernPrivacy(b); b.route.KeyTransport = policy.RSAOAEPSHA256 },
		"wss-x509, named by thumbprint":  func(b *standInBench) { modernPrivacy(b); b.route.EncryptKeyReference = policy.ReferThumbprint },
		"wss-x509, carried in the token": func(b *standInBench) { modernPrivacy(b); b.route.EncryptKeyReference = policy.ReferToken },
		"a reply with a stronger cipher than the route's": func(b *standInBench) {
			modernPrivacy(b)
			b.route.Cipher, b.route.KeyTransport = policy.TripleDESCBC, policy.RSA15
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newStandInBench(t, knob)
			w := b.post()
			if text := body(w); w.Code != 200 || !strings.Contains(text, "CounterKey") || strings.Contains(text, "Encrypted") {
				t.Fatalf("%d %s\n%s", w.Code, text, b.log)
			}
			seen := b.only()
			if !seen.Encrypted || seen.Signer != gridtest.UserName {
				t.Errorf("the service saw %+v", seen)
			}
			if strings.Contains(string(seen.Request), "createCounter xmlns") || strings.Contains(string(seen.Reply), "CounterKey") {
				t.Errorf("what was to be private went over the wire:\n%s\n%s", seen.Request, seen.Reply)
			}
		})
	}
}

// The digest of a text that can be guessed would give it away.
func TestPrivacy_SignatureIsHiddenWhereItCoversTheText(t *testing.T) {
	for order, shown := range map[policy.Order]bool{policy.SignFirst: false, policy.EncryptFirst: true} {
		b := newStandInBench(t, modernPrivacy, func(b *standInBench) { b.route.Order = order })
		if w := b.post(); w.Code != 200 {
			t.Fatal(w.Code, w.Body)
		}
		if strings.Contains(string(b.only().Request), "DigestValue") != shown {
			t.Errorf("%s: %s", order, b.only().Request)
		}
	}
}

func TestPrivacy_OrderIsTheRoutes(t *testing.T) {
	b := newStandInBench(t, modernPrivacy, func(b *standInBench) { b.route.Order = policy.EncryptFirst })
	if w := b.post(); w.Code != 200 {
		t.Fatal(w.Code, w.Body)
	}
	// Who reads the header verifies before he decrypts.
	if sent := string(b.only().Request); strings.Index(sent, ":SignatureValue") > strings.Index(sent, ":EncryptedKey") {
		t.Error(sent)
	}
}

// asked keeps what a reply is asked to be.
type asked struct {
	wssec.Profile
	wssec.Pending
	expect wssec.Expect
}

func (a *asked) Secure(ctx context.Context, m *soap.Message, c *gsi.Credential) (*soap.Edit, wssec.Pending, error) {
	edit, pending, err := a.Profile.Secure(ctx, m, c)
	a.Pending = pending
	return edit, a, err
}

func (a *asked) Verify(ctx context.Context, m *soap.Message, e wssec.Expect) (*wssec.Verified, error) {
	a.expect = e
	return a.Pending.Verify(ctx, m, e)
}

func TestPrivacy_IsAskedOfReplies(t *testing.T) {
	for private, knob := range map[bool]func(*standInBench){true: modernPrivacy, false: modern} {
		b := newStandInBench(t, knob)
		a := &asked{}
		b.gateway.profile = func(s *State, r *policy.Route) wssec.Profile {
			a.Profile = b.gateway.profileFor(s, r)
			return a
		}
		if w := b.post(); w.Code != 200 || a.expect.Encrypted != private || a.expect.Peer == nil {
			t.Errorf("privacy %t: %d, %+v", private, w.Code, a.expect)
		}
	}
}

// What the check found is in the log alone: to the engine all replies that fail it are the same.
func TestPrivacy_RefusesRepliesThatAreNotEncryptedToTheUser(t *testing.T) {
	first := ""
	for _, test := range []struct {
		name  string
		knob  func(*standInBench)
		does  gridtest.Misbehaviour
		class wssec.Class
	}{
		{"gt4 in clear", gt4Privacy, gridtest.ClearReply, wssec.ClassDecrypt},
		{"gt4 to another key", gt4Privacy, gridtest.OtherRecipient, ""},
		{"gt4 with a broken key", gt4Privacy, gridtest.BrokenKey, wssec.ClassDecrypt},
		{"gt4 with broken content", gt4Privacy, gridtest.BrokenCiphertext, wssec.ClassDigest},
		{"gt4 unsigned", gt4Privacy, gridtest.DropSignature, wssec.ClassNoSecurity},
		{"wss-x509 in clear", modernPrivacy, gridtest.ClearReply, wssec.ClassDecrypt},
		{"wss-x509 to another key", modernPrivacy, gridtest.OtherRecipient, ""},
		{"wss-x509 with a broken key", modernPrivacy, gridtest.BrokenKey, wssec.ClassDecrypt},
		{"wss-x509 with broken content", modernPrivacy, gridtest.BrokenCiphertext, wssec.ClassDecrypt},
		{"wss-x509 with algorithms that the route does not name", modernPrivacy, gridtest.UnnamedCipher, wssec.ClassAlgorithm},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newStandInBench(t, test.knob)
			b.gateway.newID = func() string { return "EXCHANGE" }
			b.service.Misbehave(test.does)
			w := b.post()
			text := body(w)
			if w.Code != 500 || !strings.Contains(text, "FailedCheck") || strings.Contains(text, "CounterKey") {
				t.Fatalf("%d %s", w.Code, text)
			}
			if first == "" {
				first = text
			} else if text != first {
				t.Errorf("the engine can tell this failure from another:\n%s\n%s", text, first)
			}
			if len(b.counted.refused) != 1 || test.class != "" && b.counted.refused[0] != string(test.class) {
				t.Errorf("refused as %q, want %q: %s", b.counted.refused, test.class, b.log)
			}
		})
	}
}

// A fault that GT4 could not secure passes where TLS says whose it is, and nowhere else.
func TestPrivacy_UnsignedFaultIsAsGoodAsItsConnection(t *testing.T) {
	b := newStandInBench(t, gt4Privacy)
	b.service.Misbehave(gridtest.UnsignedFault)
	if w := b.post(); w.Code != 500 || !strings.Contains(body(w), "the counter is out of order") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	plain := newStandInBench(t, gt4Privacy, func(b *standInBench) { b.options.TLS, b.route.Transport = false, policy.TransportNone })
	plain.service.Misbehave(gridtest.UnsignedFault)
	if w := plain.post(); w.Code != 500 || !strings.Contains(body(w), "UnverifiedFault") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// The certificate of encrypt-to is judged for each call, before anything goes out.
func TestPrivacy_NothingGoesOutToARecipientThatDoesNotHold(t *testing.T) {
	for name, knob := range map[string]func(*standInBench){
		"no certificate": func(b *standInBench) { b.files.EncryptTo = nil },
		"another CA's": func(b *standInBench) {
			b.files.EncryptTo = gridtest.Must(b.pki.Other.Issue(gridtest.Request{Name: gridtest.HostName, Host: true})).Chain
		},
		"expired": func(b *standInBench) {
			b.files.EncryptTo = b.certificate(gridtest.Request{Name: gridtest.HostName, Host: true, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour)})
		},
		"the user's own": func(b *standInBench) { b.files.EncryptTo = b.pki.User.Chain },
		"another host's": func(b *standInBench) {
			b.files.EncryptTo = b.certificate(gridtest.Request{Name: "/O=Grid/CN=elsewhere.example.org"})
		},
		"the host's, a DN named": func(b *standInBench) { b.route.PeerDN = []string{gridtest.UserName} },
		"one on a curve": func(b *standInBench) {
			b.files.EncryptTo, b.route.PeerDN = b.pki.ECUser.Chain, []string{gsi.OneLine(b.pki.ECUser.Leaf().RawSubject)}
		},
	} {
		for profile, with := range map[string]func(*standInBench){"gsi-message": gt4Privacy, "wss-x509": modernPrivacy} {
			t.Run(name+", "+profile, func(t *testing.T) {
				b := newStandInBench(t, with, knob)
				w := b.post()
				if text := body(w); w.Code != 500 || !strings.Contains(text, "was not sent") {
					t.Errorf("%d %s", w.Code, text)
				}
				if !b.unseen() {
					t.Errorf("a request went out: %s", b.seen[0].Request)
				}
				if !strings.Contains(b.log.String(), `"class":"secure"`) {
					t.Error(b.log)
				}
			})
		}
	}
}

// A revocation counts at the next call: nothing of the recipient is remembered.
func TestCheckRecipient_JudgesAnew(t *testing.T) {
	b := newStandInBench(t, gt4Privacy)
	if w := b.post(); w.Code != 200 {
		t.Fatal(w.Code, w.Body)
	}
	if err := b.pki.CA.WriteCRL(b.pki.TrustDir, gridtest.CRL{Revoked: b.pki.Host.Chain}); err != nil {
		t.Fatal(err)
	}
	if err := b.store.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if w := b.post(); w.Code != 500 || len(b.seen) != 1 {
		t.Errorf("%d %s, %d requests", w.Code, w.Body, len(b.seen))
	}
}

// Replies come encrypted to the key that signed: a key that can only sign would be no use.
func TestPrivacy_NeedsAKeyThatDecrypts(t *testing.T) {
	b := newStandInBench(t, modernPrivacy, func(b *standInBench) { b.source = gsi.Static(b.pki.ECUser) })
	if w := b.post(); w.Code != 500 || !b.unseen() {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// With encrypt-elements a reply must hide what the route names, and need not hide the rest.
func TestPrivacy_ElementsAreHiddenInRequestsAndReplies(t *testing.T) {
	request, reply := policy.Name{Space: "http://counter.com", Local: "createCounter"}, policy.Name{Space: "http://counter.com", Local: "createCounterResponse"}
	for name, c := range map[string]struct {
		elements []policy.Name
		reply    gridtest.Misbehaviour
		answer   string
	}{
		"all hidden":                     {[]policy.Name{request, reply}, "", "CounterKey"},
		"clear reply without an element": {[]policy.Name{request}, gridtest.ClearReply, "CounterKey"},
		"clear reply with an element":    {[]policy.Name{request, reply}, gridtest.ClearReply, "failed the check of its security"},
		"no element in the request":      {[]policy.Name{reply}, "", "encrypt-elements"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newStandInBench(t, modernPrivacy, func(b *standInBench) {
				b.route.EncryptElements = c.elements
				b.route.EncryptHeaders = []policy.Name{{Space: soap.Addressing200508, Local: "To"}}
			})
			b.service.Misbehave(c.reply)
			if got := body(b.post()); !strings.Contains(got, c.answer) {
				t.Fatalf("no %s in %s\n%s", c.answer, got, b.log)
			}
			if b.unseen() {
				return
			}
			sent := string(b.only().Request)
			if strings.Contains(sent, "createCounter xmlns") || !strings.Contains(sent, "EncryptedHeader") {
				t.Errorf("what was to be private went over the wire:\n%s", sent)
			}
		})
	}
}
