package doctor

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
)

// trusts puts a further CA into the trust directory, as the grid has it.
func (p *patient) trusts(a *gridtest.Authority) {
	p.t.Helper()
	if err := a.Trust(p.pki.TrustDir); err != nil {
		p.t.Fatal(err)
	}
}

// caWith makes a CA that says of itself what the request says.
func caWith(r gridtest.Request) *gridtest.Authority {
	a := gridtest.Must(gridtest.NewAuthority(r.Name, gridtest.PKIOptions{Now: noon, Digest: crypto.SHA256}))
	r.CA = true
	self := *a
	self.Cert = nil // self-signed again
	c := gridtest.Must(self.Issue(r))
	a.Cert, a.Key = c.Leaf(), c.Key
	return a
}

// inTrustDir is a file of the CA's under one of its hashes, 0 the old and 1 the new.
func (p *patient) inTrustDir(a *gridtest.Authority, hash int, suffix string) string {
	return filepath.Join(p.pki.TrustDir, a.Hashes()[hash]+suffix)
}

func (p *patient) removeBoth(a *gridtest.Authority, suffix string) {
	p.t.Helper()
	p.remove(p.inTrustDir(a, 0, suffix), p.inTrustDir(a, 1, suffix))
}

const otherCA = "/O=Grid/OU=gsigw test/CN=Old CA"

func TestTrust_Directory(t *testing.T) {
	diagnose(t, []disease{
		{"it is empty", func(p *patient) { p.TrustDir = p.t.TempDir() }, []want{
			{"trust", Fail, "there is no CA in the trust directory", "install the grid's CAs"},
		}},
		{"it is a file", func(p *patient) { p.TrustDir = p.tmpProxy() }, []want{{"trust", Fail, "not a directory", "install the grid's CAs"}}},
		{"anybody can write there", func(p *patient) { p.chmod(p.pki.TrustDir, 0o777) }, []want{
			{"trust", Fail, "is 0777: anybody on this machine can put a CA there", "chmod o-w "},
		}},
		{"the user's own comes first", func(p *patient) {
			p.TrustDir = ""
			p.pki.TrustDir = p.path("home/.globus/certificates")
			if err := mkdir(p.pki.TrustDir); err != nil {
				p.t.Fatal(err)
			}
			p.trusts(p.pki.CA)
		}, []want{{"trust", OK, "1 CA in ", ""}, {"trust", OK, ".globus/certificates (the user's own comes before the system's)", ""}}},
		{"a broken signing policy is named with its line", func(p *patient) {
			p.write(p.inTrustDir(p.pki.CA, 1, ".signing_policy"), "# ours\naccess_id_CA X509\n", 0o644)
		}, []want{{"trust.file", Fail, ".signing_policy:2: 2 words instead of 3", "mend the file"}}},
		{"a file that is no certificate", func(p *patient) {
			p.write(p.pki.TrustDir+"/abcdef01.0", "?", 0o644)
		}, []want{{"trust.file", Fail, "abcdef01.0: ", "mend the file"}}},
		{"a revocation list of another CA's making", func(p *patient) {
			p.copy(p.inTrustDir(p.pki.CA, 0, ".r0"), p.inTrustDir(p.pki.CA, 0, ".r1"), 0o644)
			forged := *p.pki.Other
			forged.Cert = p.pki.CA.Cert
			forged.Cert = caWith(gridtest.Request{Name: gridtest.CAName, EC: true}).Cert
			forged.Key = caWith(gridtest.Request{Name: gridtest.CAName, EC: true}).Key
			if err := forged.WriteCRL(p.pki.TrustDir, gridtest.CRL{}); err != nil {
				p.t.Fatal(err)
			}
		}, []want{{"trust.file", Fail, ".r0: the revocation list was not signed by the CA that it names", "fetch-crl"}}},
	})
}

func TestTrust_Authorities(t *testing.T) {
	diagnose(t, []disease{
		{"expired", func(p *patient) {
			p.trusts(caWith(gridtest.Request{Name: otherCA, NotBefore: noon.AddDate(-2, 0, 0), NotAfter: noon.AddDate(0, 0, -1)}))
		}, []want{
			{"trust.ca", Fail, "the CA " + otherCA + " expired at 2026-11-20T12:00:00Z", "install the CA's new certificate; if nobody needs it: rm "},
			{"trust.ca", OK, "1 CA is valid for more than 30 days; the next to end is " + gridtest.CAName, ""},
		}},
		{"about to expire", func(p *patient) { p.trusts(caWith(gridtest.Request{Name: otherCA, NotAfter: noon.AddDate(0, 0, 20)})) }, []want{
			{"trust.ca", Warn, "the CA " + otherCA + " ends in 20 days, at 2026-12-11", "install the CA's new certificate"},
		}},
		{"not valid yet", func(p *patient) { p.trusts(caWith(gridtest.Request{Name: otherCA, NotBefore: noon.Add(time.Hour)})) }, []want{
			{"trust.ca", Fail, "is not valid before 2026-11-21T13:00:00Z", "timedatectl"},
		}},
		{"no signing policy", func(p *patient) { p.removeBoth(p.pki.CA, ".signing_policy") }, []want{
			{"trust.policy", Warn, gridtest.CAName + " has no signing_policy: Globus refuses", ".signing_policy"},
		}},
		{"namespaces alone", func(p *patient) {
			p.removeBoth(p.pki.CA, ".signing_policy")
			p.write(p.inTrustDir(p.pki.CA, 1, ".namespaces"), "TO Issuer SELF PERMIT Subject \"/O=Grid/.*\"\n", 0o644)
		}, []want{{"trust.policy", Warn, "has a namespaces file and no signing_policy", ".signing_policy"}}},
		{"the new hash alone", func(p *patient) { p.remove(p.inTrustDir(p.pki.CA, 0, ".0")) }, []want{
			{"trust.names", Warn, "under its new hash", "ln -s "},
		}},
		{"the old hash alone", func(p *patient) { p.remove(p.inTrustDir(p.pki.CA, 1, ".0")) }, []want{
			{"trust.names", Warn, "under its old hash", "ln -s "},
		}},
		{"no hash at all", func(p *patient) {
			p.copy(p.inTrustDir(p.pki.CA, 0, ".0"), p.pki.TrustDir+"/our-ca.pem", 0o644)
			p.removeBoth(p.pki.CA, ".0")
		}, []want{
			{"trust.names", Warn, "is there as our-ca.pem, and no name with its hash leads there: gsigw and OpenSSL look for ", "openssl rehash "},
			{"trust", Fail, "there is no CA in the trust directory", ""},
		}},
		{"one of two without a hash", func(p *patient) {
			p.trusts(caWith(gridtest.Request{Name: otherCA}))
			p.copy(p.inTrustDir(p.pki.CA, 0, ".0"), p.pki.TrustDir+"/our-ca.pem", 0o644)
			p.removeBoth(p.pki.CA, ".0")
		}, []want{
			{"trust.names", Warn, gridtest.CAName + " is there as our-ca.pem, and no name", "openssl rehash "},
			{"trust", OK, "1 CA in ", ""},
		}},
		{"a name beside the hash", func(p *patient) {
			p.copy(p.inTrustDir(p.pki.CA, 0, ".0"), p.pki.TrustDir+"/our-ca.pem", 0o644)
			p.copy("etc/grid-security/hostcert.pem", p.pki.TrustDir+"/host.pem", 0o644)
			p.without("trust.names", "")
		}, nil},
		{"a small key", func(p *patient) {
			p.trusts(caWith(gridtest.Request{Name: otherCA, Key: gridtest.Must(rsa.GenerateKey(rand.Reader, 1024))}))
		}, []want{{"trust.algorithm", Warn, "has an RSA key of 1024 bits", "ask the CA"}}},
		{"SHA-1 on a root", func(p *patient) {
			p.trusts(gridtest.Must(gridtest.NewAuthority(otherCA, gridtest.PKIOptions{Now: noon, Digest: crypto.SHA1})))
		}, []want{{"trust.algorithm", Warn, "signed itself with SHA1-RSA: it makes no difference here", "update-crypto-policies"}}},
		{"SHA-1 below a root", func(p *patient) {
			old := gridtest.Must(gridtest.NewAuthority(gridtest.CAName, gridtest.PKIOptions{Now: noon, Digest: crypto.SHA1}))
			between := gridtest.Must(old.Issue(gridtest.Request{Name: otherCA, CA: true}))
			old.Cert, old.Key = between.Leaf(), between.Key
			p.trusts(old)
		}, []want{{"trust.algorithm", Warn, otherCA + " is signed with SHA1-RSA", "ask the CA"}}},
	})
}

// Go makes no MD5 signatures, so the certificate only says that it has one.
func TestTrust_NamesACAWithMD5(t *testing.T) {
	p := newPatient(t)
	ca := *p.pki.CA.Cert
	ca.SignatureAlgorithm = x509.MD5WithRSA
	v := &visit{Machine: *p.Machine}
	v.algorithm(&authority{Certificate: &ca})
	if !(want{"trust.algorithm", Warn, "signed with MD5-RSA, which nobody believes any more", "ask the CA"}).in(v.findings) {
		t.Error(report(v.findings))
	}
}

// A hint is of use only when it works as it stands: the link that it names makes the other hash.
func TestTrust_TheRemedyForAMissingHashIsTheLinkThatIsMissing(t *testing.T) {
	p := newPatient(t)
	p.remove(p.inTrustDir(p.pki.CA, 0, ".0"))
	hashes := p.pki.CA.Hashes()
	remedy := "ln -s " + hashes[1] + ".0 " + filepath.Join(p.pki.TrustDir, hashes[0]+".0")
	if findings := p.Examine(t.Context()); !(want{"trust.names", Warn, "", remedy}).in(findings) {
		t.Error(report(findings))
	}
}

func TestTrust_RevocationLists(t *testing.T) {
	const routes = "\nroutes:\n  counter: {target: \"https://grid.example.org/\", message: gsi-message}\n"
	diagnose(t, []disease{
		{"missing", func(p *patient) { p.removeBoth(p.pki.CA, ".r0") }, []want{
			{"trust.crl", Warn, gridtest.CAName + " has no revocation list: what it revoked is still believed", "fetch-crl -l "},
		}},
		{"unreadable", func(p *patient) {
			for i := range 2 {
				p.write(p.inTrustDir(p.pki.CA, i, ".r0"), "<html>", 0o644)
			}
		}, []want{
			{"trust.crl", Fail, ".r0: whatever it issued is refused until the file is mended", "fetch-crl -l "},
			{"credential.chain", Fail, "(crl-invalid)", ""},
		}},
		{"unreadable, and the config does not look", func(p *patient) {
			p.write(p.inTrustDir(p.pki.CA, 1, ".r0"), "<html>", 0o644)
			p.remove(p.inTrustDir(p.pki.CA, 0, ".r0"))
			p.Config = p.path("gsigw.yaml")
			p.write("gsigw.yaml", "listen:\n  proxy: 127.0.0.1:8180\ntrust:\n  dir: etc/grid-security/certificates\n  crls: off\ncredentials:\n  me: {discover: true}"+routes, 0o600)
		}, []want{{"trust.crl", Warn, "cannot be used, ", "fetch-crl -l "}}},
		{"two in one file", func(p *patient) {
			der := gridtest.Must(os.ReadFile(p.inTrustDir(p.pki.CA, 0, ".r0")))
			p.removeBoth(p.pki.CA, ".r0")
			p.write(p.inTrustDir(p.pki.CA, 0, ".r0"), string(der)+string(der), 0o644)
		}, []want{{"trust.crl", OK, "1 revocation list is in date", ""}}},
		{"stale", func(p *patient) { p.crl(gridtest.CRL{ThisUpdate: noon.AddDate(0, -1, 0), NextUpdate: noon}) }, []want{
			{"trust.crl", Fail, "is stale: the next was due at 2026-11-21T12:00:00Z, and whatever " + gridtest.CAName + " issued is refused", "fetch-crl -l "},
		}},
		{"stale, and the config does not look", func(p *patient) {
			p.crl(gridtest.CRL{ThisUpdate: noon.AddDate(0, -1, 0), NextUpdate: noon})
			p.Config = p.path("gsigw.yaml")
			p.write("gsigw.yaml", "listen:\n  proxy: 127.0.0.1:8180\ntrust:\n  dir: etc/grid-security/certificates\n  crls: off\ncredentials:\n  me: {discover: true}"+routes, 0o600)
		}, []want{{"trust.crl", Warn, "the config does not look at it", "fetch-crl -l "}}},
		{"about to be stale", func(p *patient) { p.crl(gridtest.CRL{NextUpdate: noon.Add(23 * time.Hour)}) }, []want{
			{"trust.crl", Warn, "is stale in 23 h 0 min", "fetch-crl -l "},
		}},
		{"the newest counts", func(p *patient) {
			p.crl(gridtest.CRL{ThisUpdate: noon.AddDate(0, -2, 0), NextUpdate: noon.AddDate(0, -1, 0)})
			for i := range 2 {
				p.copy(p.inTrustDir(p.pki.CA, i, ".r0"), p.inTrustDir(p.pki.CA, i, ".r1"), 0o644)
			}
			p.crl(gridtest.CRL{})
		}, []want{{"trust.crl", OK, "1 revocation list is in date", ""}}},
		{"not needed of a CA that has ended", func(p *patient) {
			a := caWith(gridtest.Request{Name: otherCA, NotBefore: noon.AddDate(-2, 0, 0), NotAfter: noon.AddDate(0, 0, -1)})
			p.trusts(a)
			p.removeBoth(a, ".r0")
			p.without("trust.crl", otherCA)
		}, nil},
	})
}

// without wants no finding of the check that names something, the case's own included.
func (p *patient) without(check, text string) {
	p.t.Helper()
	for _, f := range p.Examine(p.t.Context()) {
		if f.Check == check && strings.Contains(f.Fact, text) {
			p.t.Errorf("%+v", f)
		}
	}
}

func TestClock(t *testing.T) {
	diagnose(t, []disease{
		{"a revocation list from the future", func(p *patient) { p.crl(gridtest.CRL{ThisUpdate: noon.Add(2 * time.Hour)}) }, []want{
			{"clock", Fail, "was made at 2026-11-21T14:00:00Z, which is 2 h 0 min from now", "timedatectl"},
		}},
		{"a little from the future", func(p *patient) { p.crl(gridtest.CRL{ThisUpdate: noon.Add(4 * time.Minute)}) }, []want{
			{"clock", Warn, "which is 4 min from now", "timedatectl"},
		}},
		{"a proxy from the future", func(p *patient) {
			p.proxy(p.tmpProxy(), gsi.Limits{Lifetime: time.Hour, Now: noon.Add(time.Hour)})
		}, []want{
			{"credential", Fail, "it is valid from 2026-11-21T12:55:00Z only", "timedatectl"},
			{"clock", Fail, "which is 55 min from now", "timedatectl"},
		}},
		{"nobody keeps it right", func(p *patient) { p.Kernel = func() (Kernel, error) { return Kernel{}, nil } }, []want{
			{"clock", Warn, "nothing keeps the clock right", "timedatectl"},
		}},
		{"it may be off", func(p *patient) {
			p.Kernel = func() (Kernel, error) { return Kernel{Synchronized: true, MaxError: 10 * time.Minute}, nil }
		}, []want{{"clock", Warn, "may be off by 10 min", "timedatectl"}}},
		{"the kernel does not say", func(p *patient) {
			p.Kernel = func() (Kernel, error) { return Kernel{}, errors.New("operation not permitted") }
		}, []want{{"clock", OK, "operation not permitted", ""}}},
		{"no random numbers yet", func(p *patient) { p.Seeded = func() bool { return false } }, []want{
			{"machine.random", Fail, "no key can be made yet", "rngd"},
		}},
	})
}

// crypto/x509 does not read lists of version 1, which openssl ca makes: the store does, and its word is taken.
func TestTrust_TakesTheStoresWordForAListOfVersion1(t *testing.T) {
	p := newPatient(t)
	algorithm := pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}, Parameters: asn1.NullRawValue}
	type list struct {
		Signature              pkix.AlgorithmIdentifier
		Issuer                 asn1.RawValue
		ThisUpdate, NextUpdate time.Time
	}
	var c struct {
		List      list
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}
	c.List = list{algorithm, asn1.RawValue{FullBytes: p.pki.CA.Cert.RawSubject}, noon.Add(-time.Hour), noon.Add(23 * time.Hour)}
	digest := sha256.Sum256(gridtest.Must(asn1.Marshal(c.List)))
	c.Algorithm, c.Signature.Bytes = algorithm, gridtest.Must(p.pki.CA.Key.Sign(rand.Reader, digest[:], crypto.SHA256))
	c.Signature.BitLength = 8 * len(c.Signature.Bytes)
	for i := range 2 {
		p.write(p.inTrustDir(p.pki.CA, i, ".r0"), string(gridtest.Must(asn1.Marshal(c))), 0o644)
	}
	if findings := p.Examine(t.Context()); !(want{"trust.crl", Warn, ".r0 of " + gridtest.CAName + " is stale in 23 h", ""}).in(findings) {
		t.Error(report(findings))
	}
}
