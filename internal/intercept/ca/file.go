package ca

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"software.sslmate.com/src/go-pkcs12"
)

// The files of a CA directory.
const (
	CertFile = "ca.pem"
	KeyFile  = "ca-key.pem" // PKCS#8, mode 0600
)

// Save writes the CA to dir, which it makes (mode 0700) if need be. The key
// comes first, so that a certificate never stands without its key.
func (a *Authority) Save(dir string) error {
	der, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		return fmt.Errorf("ca: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("ca: %w", err)
	}
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if err := writeFile(filepath.Join(dir, KeyFile), key, 0o600); err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, CertFile), a.PEM(), 0o644)
}

// writeFile replaces a file in one step; CreateTemp's mode is 0600.
func writeFile(path string, data []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return fmt.Errorf("ca: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err := errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("ca: %w", err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("ca: %w", err)
	}
	return nil
}

// Load reads what Save wrote. It refuses a key that others can read, and a CA
// without critical name constraints: that one could speak for any host.
func Load(dir string, now func() time.Time) (*Authority, error) {
	cert, err := loadCert(filepath.Join(dir, CertFile))
	if err != nil {
		return nil, err
	}
	key, err := loadKey(filepath.Join(dir, KeyFile))
	if err != nil {
		return nil, err
	}
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(cert.PublicKey) {
		return nil, fmt.Errorf("ca: %s and %s in %s do not belong together; make a new CA with: gsigw ca init", CertFile, KeyFile, dir)
	}
	return newAuthority(cert, key, now)
}

func loadCert(path string) (*x509.Certificate, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("ca: %w; make a CA with: gsigw ca init", err)
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, fmt.Errorf("ca: %s holds no PEM certificate", path)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("ca: %s: %w", path, err)
	}
	constrained := cert.PermittedDNSDomainsCritical && len(cert.PermittedDNSDomains) > 0 &&
		(len(cert.PermittedIPRanges) > 0 || len(cert.ExcludedIPRanges) > 0)
	if !cert.IsCA || !constrained {
		return nil, fmt.Errorf("ca: %s is not a CA with critical name constraints, so it could speak for any host; make one with: gsigw ca init", path)
	}
	return cert, nil
}

func loadKey(path string) (crypto.Signer, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("ca: %s can be read by others (mode %04o): chmod 600 it, or make a new CA if it may have been read", path, info.Mode().Perm())
	}
	return readKey(f)
}

func readKey(f *os.File) (crypto.Signer, error) {
	data := make([]byte, 16<<10)
	n, err := f.Read(data)
	if err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	block, _ := pem.Decode(data[:n])
	if block == nil {
		return nil, fmt.Errorf("ca: %s holds no PEM key", f.Name())
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("ca: %s: the key is not PKCS#8", f.Name())
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("ca: %s: the key cannot sign", f.Name())
	}
	return signer, nil
}

// PEM is the CA certificate for clients that read PEM.
func (a *Authority) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// Alias is the CA's name in a truststore.
const Alias = "gsigw"

// TrustStore is the CA certificate as a PKCS#12 file for
// javax.net.ssl.trustStore. Its encryption (3DES, SHA-1) is what every Java
// since 8 reads; it guards nothing, the certificate is public.
func (a *Authority) TrustStore(password string) ([]byte, error) {
	store, err := pkcs12.LegacyDES.EncodeTrustStoreEntries(
		[]pkcs12.TrustStoreEntry{{Cert: a.cert, FriendlyName: Alias}}, password)
	if err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	return store, nil
}

// KeytoolLine is the command that adds the PEM file to a Java truststore.
func KeytoolLine(pemFile, trustStore string) string {
	return fmt.Sprintf("keytool -importcert -noprompt -alias %s -file %q -keystore %q", Alias, pemFile, trustStore)
}
