package upstream

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"gsigw/gsi"
	"gsigw/trust"
)

// trustDir writes the CA as a grid trust directory, with a CRL of these dates, and opens it.
func trustDir(t *testing.T, ca *ca, updated, next time.Time, revoked ...*big.Int) *trust.Store {
	t.Helper()
	dir := t.TempDir()
	stem := filepath.Join(dir, must(gsi.SubjectHash(ca.cert.RawSubject))(t))
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: updated, NextUpdate: next}
	for _, serial := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: serial, RevocationTime: updated})
	}
	crl := must(x509.CreateRevocationList(rand.Reader, list, ca.cert, ca.key))(t)
	for name, block := range map[string]*pem.Block{stem + ".0": {Type: "CERTIFICATE", Bytes: ca.cert.Raw}, stem + ".r0": {Type: "X509 CRL", Bytes: crl}} {
		check(t, 0, os.WriteFile(name, pem.EncodeToMemory(block), 0o644))
	}
	return must(trust.Open(dir, trust.Options{}))(t)
}

func TestDo_TakesAndRefusesServersAsTheTrustDirectoryHasIt(t *testing.T) {
	now := time.Now()
	tests := []struct {
		name    string
		updated time.Time
		next    time.Time
		revoke  bool
		other   bool // the server's certificate is of another CA
		code    trust.Code
	}{
		{"good", now.Add(-time.Hour), now.Add(time.Hour), false, false, ""},
		{"expired CRL", now.Add(-2 * time.Hour), now.Add(-time.Hour), false, false, trust.CRLExpired},
		{"revoked", now.Add(-time.Hour), now.Add(time.Hour), true, false, trust.Revoked},
		{"unknown CA", now.Add(-time.Hour), now.Add(time.Hour), false, true, trust.UnknownCA},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var served atomic.Bool
			var host *gsi.Credential
			g := newGrid(t, func(http.ResponseWriter, *http.Request) { served.Store(true) }, func(g *grid, c *tls.Config) {
				issuer := g.ca
				if test.other {
					issuer = newCA(t)
				}
				host = issuer.issue(t, "host/service.example.org", loopbackHost)
				c.Certificates = []tls.Certificate{tlsCertificate(host)}
			})
			var revoked []*big.Int
			if test.revoke {
				revoked = append(revoked, host.Chain[0].SerialNumber)
			}
			c := newClient(t, Config{Trust: trustDir(t, g.ca, test.updated, test.next, revoked...)})
			_, _, err := doCall(c, t.Context(), g.target(t), post("x"))
			if test.code == "" {
				check(t, 0, err)
				return
			}
			wantError(t, err, OpIdentity, "trust: ")
			if !errors.Is(err, test.code) || served.Load() {
				t.Errorf("got %v, want code %q; served: %t", err, test.code, served.Load())
			}
		})
	}
}
