package gridtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"gsigw/gsi"
)

// PKIOptions of a test PKI. The zero value signs with SHA-256, now.
type PKIOptions struct {
	Digest crypto.Hash // SHA-256 or, as stock GT4 needs it, SHA-1
	Now    time.Time
}

// PKI is a CA with a host and users, in memory and in the files where grid
// tools look for them:
//
//	certificates/        the trust directory: CA, signing_policy and CRL under both hashes
//	ca.pem               the CA
//	hostcert.pem hostkey.pem, usercert.pem userkey.pem, ecusercert.pem ecuserkey.pem
//
// Keys are made once in a process and used again: they are worth nothing.
type PKI struct {
	Dir      string
	TrustDir string
	CA       *Authority
	Other    *Authority      // in no trust directory
	Host     *gsi.Credential // /O=Grid/OU=gsigw test/CN=localhost, also 127.0.0.1 and ::1
	User     *gsi.Credential // /O=Grid/OU=gsigw test/CN=Jane Doe
	ECUser   *gsi.Credential // the same on P-256: CN=Erica Curve

	options PKIOptions
}

// The names in a PKI.
const (
	CAName     = "/O=Grid/OU=gsigw test/CN=Test CA"
	OtherName  = "/O=Grid/OU=gsigw test/CN=Other CA"
	HostName   = "/O=Grid/OU=gsigw test/CN=localhost"
	UserName   = "/O=Grid/OU=gsigw test/CN=Jane Doe"
	ECUserName = "/O=Grid/OU=gsigw test/CN=Erica Curve"
	Namespace  = "/O=Grid/OU=gsigw test/*"
)

// Must returns v, and panics when there is an error: for tests and the demo.
func Must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// NewPKI makes a test PKI in a directory.
func NewPKI(dir string, o PKIOptions) (*PKI, error) {
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	if o.Digest == 0 {
		o.Digest = crypto.SHA256
	}
	p := &PKI{Dir: dir, TrustDir: filepath.Join(dir, "certificates"), options: o}
	if err := p.issueAll(); err != nil {
		return nil, err
	}
	return p, p.writeAll()
}

func (p *PKI) issueAll() (err error) {
	if p.CA, err = NewAuthority(CAName, p.options); err != nil {
		return err
	}
	if p.Other, err = NewAuthority(OtherName, p.options); err != nil {
		return err
	}
	if p.Host, err = p.CA.Issue(Request{Name: HostName, Host: true}); err != nil {
		return err
	}
	if p.User, err = p.CA.Issue(Request{Name: UserName}); err != nil {
		return err
	}
	p.ECUser, err = p.CA.Issue(Request{Name: ECUserName, EC: true})
	return err
}

func (p *PKI) writeAll() error {
	if err := os.MkdirAll(p.TrustDir, 0o755); err != nil {
		return fmt.Errorf("gridtest: %w", err)
	}
	return errors.Join(
		p.CA.Trust(p.TrustDir),
		write(p.Dir, "ca.pem", 0o644, "CERTIFICATE", p.CA.Cert.Raw),
		p.WritePair("host", p.Host), p.WritePair("user", p.User), p.WritePair("ecuser", p.ECUser),
	)
}

// WritePair writes a credential as NAMEcert.pem and NAMEkey.pem.
func (p *PKI) WritePair(name string, c *gsi.Credential) error {
	key, err := x509.MarshalPKCS8PrivateKey(c.Key)
	if err != nil {
		return fmt.Errorf("gridtest: %w", err)
	}
	return errors.Join(
		write(p.Dir, name+"cert.pem", 0o644, "CERTIFICATE", c.Leaf().Raw),
		write(p.Dir, name+"key.pem", 0o600, "PRIVATE KEY", key),
	)
}

// WriteProxy writes a credential as a proxy file and returns its path.
func (p *PKI) WriteProxy(name string, c *gsi.Credential) (string, error) {
	path := filepath.Join(p.Dir, name)
	return path, gsi.WriteProxyFile(path, c)
}

// Proxy makes a proxy of the user's, of the kind that the limits name.
func (p *PKI) Proxy(l gsi.Limits) (*gsi.Credential, error) { return p.ProxyOf(p.User, l) }

// ProxyOf makes a proxy below any credential.
func (p *PKI) ProxyOf(issuer *gsi.Credential, l gsi.Limits) (*gsi.Credential, error) {
	if l.Now.IsZero() {
		l.Now = p.options.Now
	}
	if l.Digest == 0 {
		l.Digest = p.options.Digest
	}
	key, err := testKey(fmt.Sprintf("proxy %d", len(issuer.Chain)), l.KeyType == gsi.P256)
	if err != nil {
		return nil, err
	}
	chain, err := gsi.Mint(issuer, key.Public(), l)
	if err != nil {
		return nil, err
	}
	return &gsi.Credential{Chain: chain, Key: key}, nil
}

// Authority is a CA.
type Authority struct {
	Cert    *x509.Certificate
	Key     crypto.Signer
	options PKIOptions
}

var serial atomic.Int64

// NewAuthority makes a self-signed CA that lives ten years.
func NewAuthority(name string, o PKIOptions) (*Authority, error) {
	a := &Authority{options: o}
	c, err := a.Issue(Request{Name: name, CA: true})
	if err != nil {
		return nil, err
	}
	a.Cert, a.Key = c.Leaf(), c.Key
	return a, nil
}

// Request asks an Authority for a certificate. Without dates it is valid from
// an hour ago for a year, a CA for ten.
type Request struct {
	Name       string // one-line form
	RawSubject []byte // instead of Name: its DER
	Host       bool   // for localhost, by name and address
	CA         bool
	EC         bool // a P-256 key
	Key        crypto.Signer
	NotBefore  time.Time
	NotAfter   time.Time
	Change     func(*x509.Certificate) // the template, before it is signed
}

// Issue makes a key and a certificate over it.
func (a *Authority) Issue(r Request) (*gsi.Credential, error) {
	template, err := a.template(r)
	if err != nil {
		return nil, err
	}
	key := r.Key
	if key == nil {
		if key, err = testKey(r.Name, r.EC); err != nil {
			return nil, err
		}
	}
	parent, signer := a.Cert, a.Key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("gridtest: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("gridtest: %w", err)
	}
	return &gsi.Credential{Chain: []*x509.Certificate{cert}, Key: key}, nil
}

func (a *Authority) template(r Request) (*x509.Certificate, error) {
	subject := r.RawSubject
	if subject == nil {
		name, err := gsi.ParseDN(r.Name)
		if err != nil {
			return nil, err
		}
		if subject, err = name.DER(); err != nil {
			return nil, err
		}
	}
	t := &x509.Certificate{
		SerialNumber:          big.NewInt(serial.Add(1) + 15),
		RawSubject:            subject,
		NotBefore:             a.options.Now.Add(-time.Hour),
		NotAfter:              a.options.Now.AddDate(1, 0, 0),
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment | x509.KeyUsageDataEncipherment,
		SignatureAlgorithm:    a.algorithm(),
	}
	if r.Host {
		t.DNSNames, t.IPAddresses = []string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	}
	if r.CA {
		t.IsCA, t.KeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
		t.NotAfter = a.options.Now.AddDate(10, 0, 0)
	}
	if !r.NotBefore.IsZero() {
		t.NotBefore = r.NotBefore
	}
	if !r.NotAfter.IsZero() {
		t.NotAfter = r.NotAfter
	}
	if r.Change != nil {
		r.Change(t)
	}
	return t, nil
}

// algorithm leaves it to crypto/x509 to take what goes with the key, and SHA-256.
func (a *Authority) algorithm() x509.SignatureAlgorithm {
	if a.options.Digest == crypto.SHA1 {
		return x509.SHA1WithRSA
	}
	return 0
}

// Trust writes the CA into a trust directory as the grid has it: certificate,
// signing policy and an empty CRL that is good for a month, under both hashes.
func (a *Authority) Trust(dir string) error {
	err := a.WriteCRL(dir, CRL{})
	for _, hash := range a.Hashes() {
		policy := fmt.Sprintf("access_id_CA  X509  '%s'\npos_rights  globus  CA:sign\ncond_subjects  globus  '\"%s\"'\n",
			gsi.OneLine(a.Cert.RawSubject), Namespace)
		err = errors.Join(err,
			write(dir, hash+".0", 0o644, "CERTIFICATE", a.Cert.Raw),
			os.WriteFile(filepath.Join(dir, hash+".signing_policy"), []byte(policy), 0o644))
	}
	return err
}

// CRL says what a revocation list is to hold.
type CRL struct {
	ThisUpdate time.Time // zero: an hour ago
	NextUpdate time.Time // zero: in a month
	Revoked    []*x509.Certificate
	Entries    []x509.RevocationListEntry // besides those
	Extensions []pkix.Extension
}

// WriteCRL writes a revocation list into a trust directory, under both hashes.
func (a *Authority) WriteCRL(dir string, c CRL) error {
	list := &x509.RevocationList{
		Number:             big.NewInt(serial.Add(1)),
		ThisUpdate:         a.options.Now.Add(-time.Hour),
		NextUpdate:         a.options.Now.AddDate(0, 1, 0),
		SignatureAlgorithm: a.algorithm(),
		ExtraExtensions:    c.Extensions,
	}
	if !c.ThisUpdate.IsZero() {
		list.ThisUpdate = c.ThisUpdate
	}
	if !c.NextUpdate.IsZero() {
		list.NextUpdate = c.NextUpdate
	}
	list.RevokedCertificateEntries = c.Entries
	for _, cert := range c.Revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: cert.SerialNumber, RevocationTime: list.ThisUpdate})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.Cert, a.Key)
	if err != nil {
		return fmt.Errorf("gridtest: %w", err)
	}
	for _, hash := range a.Hashes() {
		err = errors.Join(err, write(dir, hash+".r0", 0o644, "X509 CRL", der))
	}
	return err
}

// Hashes returns the names of the CA's files: the old hash and the new.
func (a *Authority) Hashes() []string {
	return []string{gsi.SubjectHashOld(a.Cert.RawSubject), Must(gsi.SubjectHash(a.Cert.RawSubject))}
}

func write(dir, name string, mode os.FileMode, kind string, der []byte) error {
	data := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	if err := os.WriteFile(filepath.Join(dir, name), data, mode); err != nil {
		return fmt.Errorf("gridtest: %w", err)
	}
	return nil
}

var keys struct {
	sync.Mutex
	made map[string]crypto.Signer
}

// testKey makes a key at the first call with its name: RSA-2048 takes a tenth
// of a second each, and nothing that these keys guard is worth it.
func testKey(name string, ec bool) (key crypto.Signer, err error) {
	keys.Lock()
	defer keys.Unlock()
	if ec {
		name += " (EC)"
	}
	if key, ok := keys.made[name]; ok {
		return key, nil
	}
	if ec {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	} else {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		return nil, fmt.Errorf("gridtest: %w", err)
	}
	if keys.made == nil {
		keys.made = map[string]crypto.Signer{}
	}
	keys.made[name] = key
	return key, nil
}
