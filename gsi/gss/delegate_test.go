package gss_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"gsigw/gsi"
	"gsigw/gsi/gss"
	"gsigw/internal/gridtest"
	"gsigw/trust"
)

// ready gives out a key that is made already.
func ready(key crypto.Signer) func(context.Context) (crypto.Signer, error) {
	return func(context.Context) (crypto.Signer, error) { return key, nil }
}

var (
	rsaKey = gridtest.Must(rsa.GenerateKey(rand.Reader, 2048))
	ecKey  = gridtest.Must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
)

func TestClient_DelegatesAProxyWithinItsLimits(t *testing.T) {
	for _, version := range versions {
		for _, test := range []struct {
			name   string
			limits gsi.Limits
			key    crypto.Signer
			want   gsi.ProxyType
		}{
			{"as the issuer", gsi.Limits{}, rsaKey, gsi.RFC},
			{"limited", gsi.Limits{Type: gsi.RFCLimited, Lifetime: time.Hour}, rsaKey, gsi.RFCLimited},
			{"on P-256", gsi.Limits{}, ecKey, gsi.RFC},
		} {
			t.Run(test.name+" "+tls.VersionName(version), func(t *testing.T) {
				initiator, acceptor := withVersion(example.initiator(), version), example.acceptor()
				initiator.Delegate, acceptor.DelegationKey = &test.limits, ready(test.key)
				client, server := connect(t, initiator, acceptor)
				got := server.Delegated()
				if got == nil || got.Key != test.key {
					t.Fatalf("delegated: %v", got)
				}
				id, err := example.store.Verify(got.Chain, time.Now())
				if err != nil || id.DN != gridtest.UserName || id.Type != test.want || id.Depth != 2 || len(got.Chain) != 3 {
					t.Errorf("the server has %+v, error %v", id, err)
				}
				if life := time.Until(got.NotAfter()); test.limits.Lifetime > 0 && life > test.limits.Lifetime {
					t.Errorf("it lives for %s", life)
				}
				if err := client.Send(t.Context(), []byte("hello")); err != nil {
					t.Error(err)
				}
				if message, err := server.Receive(t.Context(), 10); err != nil || string(message) != "hello" {
					t.Errorf("after it: %q, %v", message, err)
				}
				again := example.initiator()
				again.Credential = got
				if _, server := connect(t, again, example.acceptor()); server.Peer().Depth != 2 {
					t.Errorf("the delegated credential shows %v", server.Peer())
				}
			})
		}
	}
}

func TestClient_DelegatesByItsOwnClock(t *testing.T) {
	initiator, acceptor := example.initiator(), example.acceptor()
	initiator.Now, acceptor.Now = later(6*time.Hour), later(6*time.Hour)
	initiator.Delegate, acceptor.DelegationKey = &gsi.Limits{}, ready(ecKey)
	_, server := connect(t, initiator, acceptor)
	if from := time.Until(server.Delegated().Leaf().NotBefore); from < 5*time.Hour {
		t.Errorf("it is valid in %s", from)
	}
}

func TestServer_KeepsTheCAOutOfADelegatedChain(t *testing.T) {
	initiator, acceptor := example.initiator(), example.acceptor()
	initiator.Credential = &gsi.Credential{Chain: append(slices.Clone(example.alice.Chain), example.pki.CA.Cert), Key: example.alice.Key}
	initiator.Delegate, acceptor.DelegationKey = &gsi.Limits{}, ready(ecKey)
	_, server := connect(t, initiator, acceptor)
	if n := len(server.Delegated().Chain); n != 3 {
		t.Errorf("a chain of %d", n)
	}
}

func TestClient_DelegatesNothingUnlessTold(t *testing.T) {
	acceptor := example.acceptor()
	acceptor.DelegationKey = func(context.Context) (crypto.Signer, error) { return nil, errors.New("nobody asked") }
	if _, server := connect(t, example.initiator(), acceptor); server.Delegated() != nil {
		t.Errorf("delegated: %v", server.Delegated())
	}
}

// says is a client that shakes hands and then sends messages of the test's own, the first of them the flag. It
// answers the server's request, when one comes, with what reply makes of it.
func says(t *testing.T, initiator, acceptor gss.Config, flag string, reply func(request []byte) []byte) error {
	t.Helper()
	near, far := loopback(t)
	done := make(chan error)
	go func() {
		conn, err := gss.Server(t.Context(), far, acceptor)
		if err == nil && conn.Delegated() != nil {
			t.Error("delegated")
		}
		done <- err
	}()
	conn, err := gss.Handshake(t.Context(), near, gridtest.Must(gss.Initiate(withVersion(initiator, tls.VersionTLS12))))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.Send(t.Context(), []byte(flag))
	if request, err := conn.Receive(t.Context(), 1<<14); err == nil && reply != nil {
		conn.Send(t.Context(), reply(request))
	}
	return <-done
}

// Globus's initiator says nothing more before it has heard something: with TLS 1.3 that is a null byte.
func TestServer_KeepsTheHandshakeGoing(t *testing.T) {
	for version, want := range map[uint16]string{tls.VersionTLS12: "hello", tls.VersionTLS13: "\x00hello"} {
		near, far := loopback(t)
		aside(t, far, func() {
			conn, err := gss.Server(t.Context(), far, example.acceptor())
			if err != nil {
				t.Error(err)
				return
			}
			conn.Send(t.Context(), []byte("hello"))
		})
		conn, err := gss.Handshake(t.Context(), near, gridtest.Must(gss.Initiate(withVersion(example.initiator(), version))))
		if err != nil {
			t.Fatal(err)
		}
		var got string
		for !strings.HasSuffix(got, "hello") {
			if got != "" || version == tls.VersionTLS12 {
				conn.Send(t.Context(), []byte("0"))
			}
			message, err := conn.Receive(t.Context(), 10)
			if err != nil {
				t.Fatal(err)
			}
			got += string(message)
		}
		if got != want {
			t.Errorf("%s: got %q", tls.VersionName(version), got)
		}
	}
}

func TestServer_RefusesFlags(t *testing.T) {
	willing := example.acceptor()
	willing.DelegationKey, willing.AllowAnonymous = ready(ecKey), true
	broken := willing
	broken.DelegationKey = func(context.Context) (crypto.Signer, error) { return nil, errors.New("no entropy") }
	anonymous := example.initiator()
	anonymous.Credential = nil
	for _, test := range []struct {
		name                string
		initiator, acceptor gss.Config
		flag, words         string
	}{
		{"unknown", example.initiator(), willing, "X", "neither '0' nor 'D'"},
		{"longer than a byte", example.initiator(), willing, "0VERSION", "longer than the limit"},
		{"delegation that is not wanted", example.initiator(), example.acceptor(), "D", "set DelegationKey"},
		{"delegation by nobody", anonymous, willing, "D", "anonymous"},
		{"delegation without a key", example.initiator(), broken, "D", "no entropy"},
	} {
		if err := says(t, test.initiator, test.acceptor, test.flag, nil); err == nil || !strings.Contains(err.Error(), test.words) {
			t.Errorf("%s: want %q, got %v", test.name, test.words, err)
		}
	}
}

func TestServer_RefusesDelegatedCertificates(t *testing.T) {
	pki := example.pki
	mint := func(issuer *gsi.Credential) func([]byte) []byte {
		return func(request []byte) []byte {
			return gridtest.Must(gss.SignRequest(request, issuer, gsi.Limits{}))[0].Raw
		}
	}
	good := mint(example.alice)
	other := gridtest.Must(gsi.Mint(example.alice, rsaKey.Public(), gsi.Limits{}))
	endEntity := func([]byte) []byte {
		c := gridtest.Must(pki.CA.Issue(gridtest.Request{Name: gridtest.UserName, EC: true}))
		return c.Leaf().Raw
	}
	for _, test := range []struct {
		name  string
		reply func([]byte) []byte
		words string
	}{
		{"over another key", func([]byte) []byte { return other[0].Raw }, "not over the key"},
		{"of the CA's, over another key", endEntity, "not over the key"},
		{"by another user", mint(pki.ECUser), "not trusted"},
		{"by the peer's end entity, not by its proxy", mint(pki.User), "not trusted"},
		{"that is independent", func(request []byte) []byte {
			return gridtest.Must(gss.SignRequest(request, example.alice, gsi.Limits{Type: gsi.RFCIndependent}))[0].Raw
		}, "does not speak for the peer"},
		{"that expired", func(request []byte) []byte {
			return gridtest.Must(gss.SignRequest(request, example.alice, gsi.Limits{Now: time.Now().Add(-2 * time.Minute), Lifetime: time.Minute}))[0].Raw
		}, "not trusted"},
		{"with another's chain", func(request []byte) []byte { return append(good(request), pki.ECUser.Leaf().Raw...) }, "not the peer's"},
		{"that is none", func([]byte) []byte { return []byte{0x30, 1, 0} }, "delegated certificate"},
		{"that is no DER", func([]byte) []byte { return []byte("VERSION=MYPROXYv2\n") }, "not DER"},
		{"of impossible length", func([]byte) []byte { return []byte{0x30, 0x84, 1, 0, 0, 0} }, "length"},
		{"beyond the limit", func([]byte) []byte { return append([]byte{0x30, 0x83, 0xff, 0xff, 0xff}, make([]byte, 300_000)...) }, "longer than the limit"},
	} {
		acceptor := example.acceptor()
		acceptor.DelegationKey = ready(ecKey)
		if err := says(t, example.initiator(), acceptor, "D", test.reply); err == nil || !strings.Contains(err.Error(), test.words) {
			t.Errorf("%s: want %q, got %v", test.name, test.words, err)
		}
	}
}

// lenient trusts every chain.
type lenient struct{ *trust.Store }

func (l lenient) Verify(chain []*x509.Certificate, at time.Time) (*gsi.Identity, error) {
	return gsi.IdentityOf(chain)
}

func TestServer_RefusesADelegatedCertificateThatIsNoProxy(t *testing.T) {
	acceptor := example.acceptor()
	acceptor.DelegationKey, acceptor.Trust = ready(ecKey), lenient{example.store}
	reply := func([]byte) []byte {
		return gridtest.Must(example.pki.CA.Issue(gridtest.Request{Name: gridtest.UserName, Key: ecKey})).Leaf().Raw
	}
	if err := says(t, example.initiator(), acceptor, "D", reply); err == nil || !strings.Contains(err.Error(), "no proxy of the peer's") {
		t.Errorf("error %v", err)
	}
}

// hears is a server that shakes hands, takes the flag and answers 'D' with a request of the test's own.
func hears(t *testing.T, request []byte) error {
	t.Helper()
	near, far := loopback(t)
	aside(t, far, func() {
		conn, err := gss.Handshake(t.Context(), far, gridtest.Must(gss.Accept(example.acceptor())))
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		if flag, err := conn.Receive(t.Context(), 1); err != nil || string(flag) != "D" {
			t.Errorf("flag %q, %v", flag, err)
		}
		conn.Send(t.Context(), request)
		if got, err := conn.Receive(t.Context(), 1<<14); err == nil {
			t.Errorf("got %d bytes for a bad request", len(got))
		}
	})
	initiator := example.initiator()
	initiator.Delegate = &gsi.Limits{}
	_, err := gss.Client(t.Context(), near, initiator)
	return err
}

// forged is a request for a key whose owner did not sign it.
func forged(public any) []byte {
	mine := gridtest.Must(x509.ParseCertificateRequest(gridtest.Must(gss.NewRequest(ecKey))))
	info := gridtest.Must(asn1.Marshal(struct {
		Version      int
		Subject, Key asn1.RawValue
		Attributes   asn1.RawValue
	}{0, asn1.RawValue{FullBytes: mine.RawSubject}, asn1.RawValue{FullBytes: gridtest.Must(x509.MarshalPKIXPublicKey(public))},
		asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true}}))
	return gridtest.Must(asn1.Marshal(struct {
		Info      asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}{asn1.RawValue{FullBytes: info}, pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}},
		asn1.BitString{Bytes: mine.Signature, BitLength: 8 * len(mine.Signature)}}))
}

func TestClient_RefusesDelegationRequests(t *testing.T) {
	for words, request := range map[string][]byte{
		"not signed with its own key": forged(gridtest.Must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)).Public()),
		"delegation request":          {0x30, 1, 0},
		"not DER":                     []byte("VERSION=MYPROXYv2\n"),
	} {
		if err := hears(t, request); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("want %q, got %v", words, err)
		}
	}
}

// No such key need be made: its length alone is refused.
func TestSignRequest_RefusesKeysThatTakeTooLong(t *testing.T) {
	n := new(big.Int).Lsh(rsaKey.N, 16384-2048)
	request := forged(&rsa.PublicKey{N: n.Add(n, big.NewInt(1)), E: rsaKey.E})
	if _, err := gss.SignRequest(request, example.alice, gsi.Limits{}); err == nil || !strings.Contains(err.Error(), "16384 bits") {
		t.Errorf("error %v", err)
	}
}

func TestSignRequest_TakesNothingButTheKey(t *testing.T) {
	request := gridtest.Must(gss.NewRequest(ecKey))
	chain := gridtest.Must(gss.SignRequest(request, example.alice, gsi.Limits{Type: gsi.RFCLimited}))
	if len(chain) != 3 || !ecKey.PublicKey.Equal(chain[0].PublicKey) || !slices.EqualFunc(chain[1:], example.alice.Chain, (*x509.Certificate).Equal) {
		t.Errorf("a chain of %d", len(chain))
	}
	if kind, err := gsi.Classify(chain[0]); err != nil || kind != gsi.RFCLimited {
		t.Errorf("type %s, %v", kind, err)
	}
}

func FuzzWholeDER(f *testing.F) {
	f.Add([]byte{0x30, 0x82, 1, 0})
	f.Add([]byte{0x30, 0x80})
	f.Fuzz(func(t *testing.T, message []byte) {
		if len(message) == 0 {
			return
		}
		if whole, err := gss.WholeDER(message); whole && err == nil && len(message) < 2 {
			t.Error("whole without a length")
		}
	})
}
