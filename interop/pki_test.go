package interop

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A pki is a throwaway certification authority with the CA directory that grid programs read. Names are
// /O=Interop/CN=..., credential files hold the certificate and then its key, mode 0600.
type pki struct {
	dir   string
	trust string // the CA directory: certificate, signing policy and CRL under OpenSSL's hash names, old and new
	cert  *x509.Certificate
	key   crypto.Signer
}

func newPKI(t testing.TB) *pki {
	t.Helper()
	p := &pki{dir: t.TempDir(), key: rsaKey(t)}
	p.trust = filepath.Join(p.dir, "certificates")
	template := p.template("Interop CA")
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	template.SubjectKeyId = []byte("interop ca")
	p.cert = template
	p.cert = p.issue(t, template, p.key.Public())
	p.writeTrust(t, p.trust, time.Now().Add(24*time.Hour))
	return p
}

// user returns the file of a user's credential.
func (p *pki) user(t testing.TB, name string, key crypto.Signer) string {
	t.Helper()
	template := p.template(name)
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return p.writeCredential(t, name, p.issue(t, template, key.Public()), key)
}

// host returns the file of a credential for this machine's loopback names.
func (p *pki) host(t testing.TB, name string) string {
	t.Helper()
	key, template := rsaKey(t), p.template(name)
	template.DNSNames, template.IPAddresses = []string{name}, []net.IP{net.IPv4(127, 0, 0, 1)}
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	return p.writeCredential(t, name, p.issue(t, template, key.Public()), key)
}

// proxy has grid-proxy-init make an RFC 3820 proxy of a user's credential.
func (p *pki) proxy(t testing.TB, credential string, options ...string) string {
	t.Helper()
	out := credential + ".proxy"
	args := append([]string{"-q", "-rfc", "-cert", credential, "-key", credential, "-out", out}, options...)
	cmd := exec.Command(need(t, "grid-proxy-init"), args...)
	cmd.Env = append(os.Environ(), "X509_CERT_DIR="+p.trust)
	run(t, cmd)
	return out
}

// ecProxy has openssl make a P-256 proxy of a user's P-256 credential: grid-proxy-init makes RSA keys only.
func (p *pki) ecProxy(t testing.TB, credential string) string {
	t.Helper()
	openssl, base := need(t, "openssl"), credential+".ecproxy"
	subject := "/O=Interop/CN=" + strings.TrimSuffix(filepath.Base(credential), ".pem") + "/CN=4711"
	extensions := "keyUsage=critical,digitalSignature\nproxyCertInfo=critical,language:id-ppl-inheritAll\n"
	writeFile(t, base+".ext", extensions)
	run(t, exec.Command(openssl, "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
		"-keyout", base+".key", "-out", base+".csr", "-subj", subject, "-config", "/dev/null"))
	run(t, exec.Command(openssl, "x509", "-req", "-in", base+".csr", "-CA", credential, "-CAkey", credential,
		"-set_serial", "4711", "-days", "1", "-extfile", base+".ext", "-out", base+".crt"))
	issuer, _ := pem.Decode(readFile(t, credential))
	chain := append(readFile(t, base+".crt"), readFile(t, base+".key")...)
	writeFile(t, base, string(append(chain, pem.EncodeToMemory(issuer)...)))
	return base
}

func (p *pki) template(name string) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	return &x509.Certificate{
		SerialNumber:       serial,
		Subject:            pkix.Name{Organization: []string{"Interop"}, CommonName: name},
		NotBefore:          time.Now().Add(-time.Hour),
		NotAfter:           time.Now().Add(24 * time.Hour),
		KeyUsage:           x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		SignatureAlgorithm: x509.SHA256WithRSA,
	}
}

func (p *pki) issue(t testing.TB, template *x509.Certificate, key crypto.PublicKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, p.cert, key, p.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func (p *pki) writeCredential(t testing.TB, name string, cert *x509.Certificate, key crypto.Signer) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
	pem.Encode(&out, &pem.Block{Type: "PRIVATE KEY", Bytes: der})
	file := filepath.Join(p.dir, name+".pem")
	writeFile(t, file, out.String())
	return file
}

// writeTrust fills a CA directory; its CRL, which revokes nothing, expires at crlEnd.
func (p *pki) writeTrust(t testing.TB, dir string, crlEnd time.Time) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: crlEnd.Add(-48 * time.Hour), NextUpdate: crlEnd}, p.cert, p.key)
	if err != nil {
		t.Fatal(err)
	}
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.cert.Raw}))
	crl := string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}))
	policy := "access_id_CA X509 '/O=Interop/CN=Interop CA'\npos_rights globus CA:sign\ncond_subjects globus '\"/O=Interop/*\"'\n"
	file := filepath.Join(p.dir, "ca.pem")
	writeFile(t, file, ca)
	for _, style := range []string{"-subject_hash", "-subject_hash_old"} {
		hash := strings.TrimSpace(run(t, exec.Command(need(t, "openssl"), "x509", "-in", file, "-noout", style)))
		writeFile(t, filepath.Join(dir, hash+".0"), ca)
		writeFile(t, filepath.Join(dir, hash+".r0"), crl)
		writeFile(t, filepath.Join(dir, hash+".signing_policy"), policy)
	}
}

func rsaKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func p256Key(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// run returns what the command wrote to its standard output, and fails the test with all it wrote if it failed.
func run(t testing.TB, cmd *exec.Cmd) string {
	t.Helper()
	out, err := tryRun(cmd)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func tryRun(cmd *exec.Cmd) (string, error) {
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s: %w\n%s%s", strings.Join(cmd.Args, " "), err, &out, &errs)
	}
	return out.String(), nil
}

func writeFile(t testing.TB, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
