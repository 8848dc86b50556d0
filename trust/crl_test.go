package trust_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
	"gsigw/trust"
)

func TestVerify_Revocation(t *testing.T) {
	write := func(c func(*gridtest.PKI) gridtest.CRL) func(*testing.T, *gridtest.PKI) {
		return func(t *testing.T, pki *gridtest.PKI) {
			if err := pki.CA.WriteCRL(pki.TrustDir, c(pki)); err != nil {
				t.Fatal(err)
			}
		}
	}
	eachFile := func(do func(t *testing.T, path string)) func(*testing.T, *gridtest.PKI) {
		return func(t *testing.T, pki *gridtest.PKI) {
			for _, hash := range pki.CA.Hashes() {
				do(t, filepath.Join(pki.TrustDir, hash+".r0"))
			}
		}
	}
	remove := eachFile(func(t *testing.T, path string) { os.Remove(path) })
	for name, test := range map[string]struct {
		prepare             func(*testing.T, *gridtest.PKI)
		ifPresent, required trust.Code // "" means accepted
	}{
		"good":            {func(*testing.T, *gridtest.PKI) {}, "", ""},
		"absent":          {remove, "", trust.CRLMissing},
		"expired":         {write(func(*gridtest.PKI) gridtest.CRL { return gridtest.CRL{NextUpdate: now} }), trust.CRLExpired, trust.CRLExpired},
		"from tomorrow":   {write(func(*gridtest.PKI) gridtest.CRL { return gridtest.CRL{ThisUpdate: now.AddDate(0, 0, 1)} }), trust.CRLInvalid, trust.CRLInvalid},
		"revoked":         {write(func(p *gridtest.PKI) gridtest.CRL { return gridtest.CRL{Revoked: p.User.Chain} }), trust.Revoked, trust.Revoked},
		"another revoked": {write(func(p *gridtest.PKI) gridtest.CRL { return gridtest.CRL{Revoked: p.Host.Chain} }), "", ""},
		"revoked on an expired list": {write(func(p *gridtest.PKI) gridtest.CRL {
			return gridtest.CRL{Revoked: p.User.Chain, NextUpdate: now}
		}), trust.Revoked, trust.Revoked},
		"a part only": {write(func(*gridtest.PKI) gridtest.CRL {
			return gridtest.CRL{Extensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: []byte{0x30, 0}}}}
		}), trust.CRLInvalid, trust.CRLInvalid},
		"a part of one entry": {write(func(p *gridtest.PKI) gridtest.CRL {
			return gridtest.CRL{Entries: []x509.RevocationListEntry{{SerialNumber: p.Host.Leaf().SerialNumber, RevocationTime: now,
				ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 29}, Critical: true, Value: []byte{0x30, 0}}}}}}
		}), trust.CRLInvalid, trust.CRLInvalid},
		"a certificate": {eachFile(func(t *testing.T, path string) {
			os.Remove(path)
			os.Symlink("../ca.pem", path)
		}), trust.CRLInvalid, trust.CRLInvalid},
		"not a list beside a good one": {func(t *testing.T, p *gridtest.PKI) {
			os.WriteFile(filepath.Join(p.TrustDir, p.CA.Hashes()[0]+".r0"), []byte("<html>"), 0o644)
		}, "", ""},
		"not a list": {eachFile(func(t *testing.T, path string) { os.WriteFile(path, []byte("<html>"), 0o644) }), trust.CRLInvalid, trust.CRLInvalid},
		"a damaged list behind a good one": {eachFile(func(t *testing.T, path string) {
			os.WriteFile(path, append(must(os.ReadFile(path)), "-----BEGIN X509 CRL-----\nMII\n"...), 0o644)
		}), trust.CRLInvalid, trust.CRLInvalid},
		"a certificate before a good one": {eachFile(func(t *testing.T, path string) {
			ca := must(os.ReadFile(strings.TrimSuffix(path, ".r0") + ".0"))
			os.WriteFile(path, append(ca, must(os.ReadFile(path))...), 0o644)
		}), "", ""},
		"in DER": {func(t *testing.T, p *gridtest.PKI) {
			write(func(p *gridtest.PKI) gridtest.CRL { return gridtest.CRL{Revoked: p.User.Chain} })(t, p)
			eachFile(func(t *testing.T, path string) {
				block, _ := pem.Decode(must(os.ReadFile(path)))
				os.WriteFile(path, block.Bytes, 0o644)
			})(t, p)
		}, trust.Revoked, trust.Revoked},
		"without end":      {endlessCRL, trust.CRLInvalid, trust.CRLInvalid},
		"of another's key": {forgedCRL, trust.CRLInvalid, trust.CRLInvalid},
		"a newer one beside an expired": {func(t *testing.T, p *gridtest.PKI) {
			write(func(*gridtest.PKI) gridtest.CRL { return gridtest.CRL{ThisUpdate: now.Add(-2e13), NextUpdate: now} })(t, p)
			path := filepath.Join(p.TrustDir, p.CA.Hashes()[0])
			os.Rename(path+".r0", path+".r1")
			write(func(*gridtest.PKI) gridtest.CRL { return gridtest.CRL{} })(t, p)
		}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			pki := newPKI(t)
			test.prepare(t, pki)
			chain := proxy(t, pki, gsi.Limits{}).Chain
			for policy, code := range map[trust.CRLPolicy]trust.Code{trust.CRLIfPresent: test.ifPresent, trust.CRLRequire: test.required, trust.CRLOff: ""} {
				_, err := open(t, pki.TrustDir, trust.Options{CRL: policy}).Verify(chain, now)
				if code == "" && err != nil {
					t.Errorf("policy %d: %v", policy, err)
				}
				if code != "" {
					refused(t, err, code)
				}
			}
		})
	}
}

// endlessCRL puts a list there that does not say when the next is due.
func endlessCRL(t *testing.T, pki *gridtest.PKI) {
	algorithm := pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}, Parameters: asn1.NullRawValue}
	list := must(asn1.Marshal(struct {
		Version    int
		Signature  pkix.AlgorithmIdentifier
		Issuer     pkix.RDNSequence
		ThisUpdate time.Time
	}{1, algorithm, pki.CA.Cert.Subject.ToRDNSequence(), now.Add(-1e10)}))
	digest := sha256.Sum256(list)
	signature := must(pki.CA.Key.Sign(rand.Reader, digest[:], crypto.SHA256))
	der := must(asn1.Marshal(struct {
		List      asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}{asn1.RawValue{FullBytes: list}, algorithm, asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}}))
	if parsed := must(x509.ParseRevocationList(der)); !parsed.NextUpdate.IsZero() {
		t.Fatal("it has an end")
	}
	for _, hash := range pki.CA.Hashes() {
		writePEM(t, filepath.Join(pki.TrustDir, hash+".r0"), "X509 CRL", der)
	}
}

// forgedCRL puts a list there with the CA's name, signed with another key.
func forgedCRL(t *testing.T, pki *gridtest.PKI) {
	key := must(rsa.GenerateKey(rand.Reader, 2048))
	cert := issue(t, pki.Other, gridtest.Request{Name: gridtest.CAName, CA: true, Key: key}).Leaf()
	list := &x509.RevocationList{Number: pki.CA.Cert.SerialNumber, ThisUpdate: now, NextUpdate: now.AddDate(0, 1, 0)}
	der := must(x509.CreateRevocationList(rand.Reader, list, cert, key))
	for _, hash := range pki.CA.Hashes() {
		writePEM(t, filepath.Join(pki.TrustDir, hash+".r0"), "X509 CRL", der)
	}
}

func TestVerify_ListOfTheOtherCAWithThatNameBindsOnlyThatOne(t *testing.T) {
	pki := newPKI(t)
	key := must(rsa.GenerateKey(rand.Reader, 2048))
	self := issue(t, &gridtest.Authority{}, gridtest.Request{Name: gridtest.CAName, CA: true, Key: key, NotBefore: now.Add(-1e10), NotAfter: now.AddDate(1, 0, 0)})
	rolled := &gridtest.Authority{Cert: self.Leaf(), Key: key}
	writePEM(t, filepath.Join(pki.TrustDir, rolled.Hashes()[0]+".1"), "CERTIFICATE", rolled.Cert.Raw)
	chain := userOf(t, rolled).Chain
	if _, err := open(t, pki.TrustDir, trust.Options{}).Verify(chain, now); err != nil {
		t.Error(err)
	}
	_, err := open(t, pki.TrustDir, trust.Options{CRL: trust.CRLRequire}).Verify(chain, now)
	refused(t, err, trust.CRLMissing)
}

// While a CA changes its key, the list that the new key signs is about both.
func TestVerify_ListOfTheNewKeyRevokesWhatTheOldOneSigned(t *testing.T) {
	pki := newPKI(t)
	key := must(rsa.GenerateKey(rand.Reader, 2048))
	self := issue(t, &gridtest.Authority{}, gridtest.Request{Name: gridtest.CAName, CA: true, Key: key, NotBefore: now.Add(-1e10), NotAfter: now.AddDate(1, 0, 0)})
	list := &x509.RevocationList{
		Number: pki.CA.Cert.SerialNumber, ThisUpdate: now.Add(-time.Hour), NextUpdate: now.AddDate(0, 1, 0),
		RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: pki.User.Leaf().SerialNumber, RevocationTime: now}},
	}
	der := must(x509.CreateRevocationList(rand.Reader, list, self.Leaf(), key))
	for _, hash := range pki.CA.Hashes() {
		writePEM(t, filepath.Join(pki.TrustDir, hash+".1"), "CERTIFICATE", self.Leaf().Raw)
		writePEM(t, filepath.Join(pki.TrustDir, hash+".r0"), "X509 CRL", der)
	}
	_, err := open(t, pki.TrustDir, trust.Options{}).Verify(pki.User.Chain, now)
	refused(t, err, trust.Revoked)
	if _, err := open(t, pki.TrustDir, trust.Options{}).Verify(pki.Host.Chain, now); err != nil {
		t.Error(err)
	}
}

// A list of a part says so; whether in a critical extension or not, it is none that supersedes a whole one.
func TestVerify_PartialListsAreNoLists(t *testing.T) {
	for name, id := range map[string]asn1.ObjectIdentifier{"delta": {2, 5, 29, 27}, "issuing distribution point": {2, 5, 29, 28}} {
		t.Run(name, func(t *testing.T) {
			pki := newPKI(t)
			pki.CA.WriteCRL(pki.TrustDir, gridtest.CRL{Extensions: []pkix.Extension{{Id: id, Value: []byte{0x30, 0}}}})
			_, err := open(t, pki.TrustDir, trust.Options{}).Verify(pki.User.Chain, now)
			refused(t, err, trust.CRLInvalid)
		})
	}
}

// A stranger's certificates are a stranger's word: nothing in them is worked on before their signatures.
func TestVerify_LooksAtNoConstraintsBeforeTheSignatures(t *testing.T) {
	pki := newPKI(t)
	stranger := issue(t, pki.Other, gridtest.Request{Name: "/O=Grid/OU=gsigw test/CN=Sub CA", CA: true, Change: func(c *x509.Certificate) {
		c.PermittedDNSDomainsCritical, c.PermittedDNSDomains = true, []string{"example.org"}
	}})
	sub := &gridtest.Authority{Cert: stranger.Leaf(), Key: stranger.Key}
	leaf := issue(t, sub, gridtest.Request{Name: gridtest.HostName, Host: true})
	forged := *stranger.Leaf() // it names the trusted CA as its issuer, which has not signed it
	forged.RawIssuer = pki.CA.Cert.RawSubject
	_, err := open(t, pki.TrustDir, trust.Options{}).Verify([]*x509.Certificate{leaf.Leaf(), &forged}, now)
	refused(t, err, trust.BadSignature)
}
