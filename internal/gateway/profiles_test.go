package gateway

import (
	"crypto/x509"
	"errors"
	"strings"
	"testing"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
	"gsigw/internal/policy"
	"gsigw/internal/upstream"
	"gsigw/wssec"
)

func TestProfiles_CarryACallAsTheUser(t *testing.T) {
	for _, test := range []struct {
		name    string
		knob    func(*standInBench)
		signer  string // that the service saw
		user    string
		records string
	}{
		{"wss-x509", modern, gridtest.UserName, "", "wss-x509/https"},
		{"wss-x509 with all that services ask for", func(b *standInBench) {
			modern(b)
			b.options.Confirm = true
			b.route.SignatureConfirmation, b.route.InclusiveNamespaces, b.route.Digest = true, true, policy.SHA512
		}, gridtest.UserName, "", "wss-x509/https"},
		{"wss-x509 without addressing, bound by the confirmation", func(b *standInBench) {
			modern(b)
			b.options.Confirm, b.route.SignatureConfirmation, b.route.Addressing = true, true, policy.AddressingKeep
		}, gridtest.UserName, "", "wss-x509/https"},
		{"wss-username, digest", username, "", "alice", "wss-username/https"},
		{"wss-username, text", func(b *standInBench) { username(b); b.route.PasswordType = policy.PasswordText }, "", "alice", "wss-username/https"},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newStandInBench(t, test.knob)
			w := b.post()
			if text := body(w); w.Code != 200 || !strings.Contains(text, "CounterKey") {
				t.Fatalf("%d %s\n%s", w.Code, text, b.log)
			}
			if seen := b.only(); seen.Signer != test.signer || seen.User != test.user {
				t.Errorf("the service saw signer %q, user %q", seen.Signer, seen.User)
			}
			if want := "reply " + test.records + " ok"; len(b.counted.messages) != 2 || b.counted.messages[1] != want {
				t.Errorf("counted %q, want %q", b.counted.messages, want)
			}
		})
	}
}

func TestUsername_PasswordTravelsAsTheRouteSays(t *testing.T) {
	for kind, shown := range map[policy.PasswordType]bool{policy.PasswordDigest: false, policy.PasswordText: true} {
		b := newStandInBench(t, username, func(b *standInBench) { b.route.PasswordType = kind })
		if w := b.post(); w.Code != 200 || strings.Contains(string(b.only().Request), "open sesame") != shown {
			t.Errorf("%s: %d %s", kind, w.Code, b.only().Request)
		}
	}
}

// A password goes nowhere but into the message: not into records, and not out again.
func TestUsername_PasswordStaysOutOfTheLog(t *testing.T) {
	b := newStandInBench(t, username, func(b *standInBench) {
		b.options.Users = map[string]string{"alice": "another"}
		b.route.PasswordType = policy.PasswordText
	})
	w := b.post()
	if w.Code != 500 || !strings.Contains(body(w), "the password does not fit") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if strings.Contains(b.log.String(), "sesame") || !strings.Contains(b.log.String(), `"result":"fault"`) {
		t.Error(b.log)
	}
}

func TestX509Message_RefusesRepliesThatDoNotConfirm(t *testing.T) {
	for does, class := range map[gridtest.Misbehaviour]wssec.Class{
		gridtest.NoConfirmation: wssec.ClassRelatesTo, gridtest.WrongConfirmation: wssec.ClassRelatesTo,
		gridtest.DropSignature: wssec.ClassNoSecurity, gridtest.TamperBody: wssec.ClassDigest, gridtest.OtherSigner: wssec.ClassIdentity,
		gridtest.ReplayReply: "", gridtest.WrongRelatesTo: wssec.ClassRelatesTo, gridtest.StaleTimestamp: wssec.ClassExpired,
	} {
		t.Run(string(does), func(t *testing.T) {
			b := newStandInBench(t, modern, func(b *standInBench) { b.options.Confirm, b.route.SignatureConfirmation = true, true })
			if w := b.post(); w.Code != 200 {
				t.Fatalf("%d %s\n%s", w.Code, w.Body, b.log)
			}
			b.service.Misbehave(does)
			w := b.post()
			if text := body(w); w.Code != 500 || !strings.Contains(text, "FailedCheck") || strings.Contains(text, "CounterKey") {
				t.Fatalf("%d %s", w.Code, text)
			}
			if len(b.counted.refused) != 1 || class != "" && b.counted.refused[0] != string(class) {
				t.Errorf("refused as %q, want %q", b.counted.refused, class)
			}
		})
	}
}

// Without addressing and without a confirmation nothing would bind the reply to the request.
func TestX509Message_NothingGoesOutWhoseReplyCouldBeAnothers(t *testing.T) {
	b := newStandInBench(t, modern, func(b *standInBench) { b.route.Addressing = policy.AddressingKeep })
	if w := b.post(); w.Code != 500 || !strings.Contains(body(w), "wsa:MessageID") || !b.unseen() {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// Some services only name their certificate. The route knows it, or the reply is nobody's.
func TestX509Message_PeerCertificateSaysWhoIsNamed(t *testing.T) {
	b := newStandInBench(t, modern)
	b.files.Peers = []*x509.Certificate{b.pki.Host.Leaf()}
	v := b.gateway.verifier(b.state(), &b.route)
	if len(v.Certificates) != 1 || !v.Certificates[0].Equal(b.pki.Host.Leaf()) {
		t.Errorf("the verifier knows %d certificates", len(v.Certificates))
	}
}

// The quirk on InclusiveNamespaces and SHA-1 are GT4's.
func TestVerifier_QuirkAndSHA1AreForGT4Alone(t *testing.T) {
	for stack, want := range map[policy.Stack]bool{policy.StackAny: false, policy.StackGT4: true} {
		b := newStandInBench(t, modern)
		b.route.Message, b.route.For = policy.MessageGSI, stack
		v := b.gateway.verifier(b.state(), &b.route)
		if v.IgnoreSignedInfoPrefixes != want || v.Algorithms.SHA1 != want {
			t.Errorf("%s: %+v", stack, v)
		}
	}
}

// Where nothing is signed, TLS is all there is: a reply of a host that is not the target's is refused.
func TestUsername_ReplyIsAsGoodAsTLS(t *testing.T) {
	b := newStandInBench(t, username, func(b *standInBench) { b.route.PeerDN = []string{gridtest.UserName} })
	if w := b.post(); w.Code != 500 || strings.Contains(body(w), "CounterKey") || !b.unseen() {
		t.Errorf("the password went to somebody else: %d %s", w.Code, w.Body)
	}
	b = newStandInBench(t, username)
	b.service.Misbehave(gridtest.Garbage)
	if w := b.post(); w.Code != 500 || !strings.Contains(body(w), "Fault") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// The dialler judged the peer before; what is handed on as it came is judged here too.
func TestUsername_ReplyFromNobodyIsRefused(t *testing.T) {
	b := newStandInBench(t, username)
	x := &exchange{Gateway: b.gateway, State: b.gateway.state.Load(), route: b.gateway.state.Load().Policy.Route("counter")}
	for name, peer := range map[string]*gsi.Identity{"nobody": nil, "a user": gridtest.Must(b.pki.User.Identity())} {
		_, err := x.accept(t.Context(), &received{Reply: &upstream.Reply{Status: 200, Peer: peer}}, wssec.UnsignedReply{})
		if _, ok := errors.AsType[*unverified](err); !ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Policy has no such route; the gateway would not send on it either.
func TestUsername_NothingGoesOutWithoutTLS(t *testing.T) {
	b := newStandInBench(t, modern, func(b *standInBench) { b.options.TLS, b.route.Transport = false, policy.TransportNone })
	b.gateway.profile = func(*State, *policy.Route) wssec.Profile {
		return &wssec.UsernameToken{User: "alice", Password: fixed("open sesame")}
	}
	if w := b.post(); w.Code != 500 || !b.unseen() {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// Whoever needs a signature needs a credential, and whoever needs none is asked for none.
func TestProfiles_AskForACredentialWhereTheySign(t *testing.T) {
	for name, knob := range map[string]func(*standInBench){"wss-x509": modern, "gsi-message": gt4Privacy} {
		b := newStandInBench(t, knob, func(b *standInBench) { b.source = gsi.Source(nil) })
		if w := b.post(); w.Code != 500 || !strings.Contains(body(w), "SecurityTokenUnavailable") || !b.unseen() {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}
