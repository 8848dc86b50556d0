package trust_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"sync"
	"testing"
	"time"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
	"gsigw/trust"
)

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func newPKI(t testing.TB) *gridtest.PKI {
	t.Helper()
	pki, err := gridtest.NewPKI(t.TempDir(), gridtest.PKIOptions{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return pki
}

func open(t testing.TB, dir string, o trust.Options) *trust.Store {
	t.Helper()
	store, err := trust.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func proxy(t testing.TB, pki *gridtest.PKI, l gsi.Limits) *gsi.Credential {
	t.Helper()
	return proxyOf(t, pki, pki.User, l)
}

func proxyOf(t testing.TB, pki *gridtest.PKI, issuer *gsi.Credential, l gsi.Limits) *gsi.Credential {
	t.Helper()
	c, err := pki.ProxyOf(issuer, l)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// issue has a CA make a certificate that differs from the ordinary.
func issue(t testing.TB, ca *gridtest.Authority, r gridtest.Request) *gsi.Credential {
	t.Helper()
	c, err := ca.Issue(r)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var proxyKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// forge makes an RFC proxy that differs from the ordinary, as Mint would not.
func forge(t testing.TB, issuer *gsi.Credential, change func(*x509.Certificate)) *gsi.Credential {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber:    big.NewInt(4711),
		RawSubject:      extend(t, issuer.Leaf().RawSubject, "4711"),
		NotBefore:       now.Add(-time.Minute),
		NotAfter:        now.Add(time.Hour),
		KeyUsage:        x509.KeyUsageDigitalSignature,
		ExtraExtensions: []pkix.Extension{info(t, gsi.ProxyCertInfo{Policy: gsi.Policy{Language: gsi.OIDInheritAll}})},
	}
	change(template)
	parent := &x509.Certificate{RawSubject: issuer.Leaf().RawSubject}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, proxyKey().Public(), issuer.Key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &gsi.Credential{Chain: append([]*x509.Certificate{cert}, issuer.Chain...), Key: proxyKey()}
}

func info(t testing.TB, p gsi.ProxyCertInfo) pkix.Extension {
	t.Helper()
	e, err := p.Extension()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// extend adds CNs to the DER of a name.
func extend(t testing.TB, name []byte, cns ...string) []byte {
	t.Helper()
	n, err := gsi.ParseName(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, cn := range cns {
		more, err := gsi.ParseDN("CN=" + cn)
		if err != nil {
			t.Fatal(err)
		}
		n = append(n, more...)
	}
	der, err := n.DER()
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// refused checks that an error has the code, names the certificate, and says
// what to do.
func refused(t *testing.T, err error, code trust.Code) {
	t.Helper()
	if !errors.Is(err, code) {
		t.Fatalf("got %v, want the code %q", err, code)
	}
	e, ok := errors.AsType[*trust.Error](err)
	if !ok || e.Reason == "" || e.Remedy == "" {
		t.Errorf("%v does not say why and what to do", err)
	}
}
