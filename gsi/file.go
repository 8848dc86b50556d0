package gsi

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// ErrNoCredential is what every *UnusableError is.
var ErrNoCredential = errors.New("gsi: no usable credential")

// UnusableError says that a source has no credential to give, and what to do.
type UnusableError struct {
	Source string // which file, or where was looked
	Reason error
	Remedy string // "" where the reason says it
}

func (e *UnusableError) Error() string {
	reason := strings.ReplaceAll(strings.TrimPrefix(e.Reason.Error(), "gsi: "), "\n", "; ") // of two files
	text := fmt.Sprintf("gsi: no usable credential in %s: %s", e.Source, reason)
	if e.Remedy == "" {
		return text
	}
	return text + ": " + e.Remedy
}

// Unwrap gives the reason, and ErrNoCredential.
func (e *UnusableError) Unwrap() []error { return []error{ErrNoCredential, e.Reason} }

// FileOptions go with a file source. The zero value is the strict one.
type FileOptions struct {
	// AllowGroupRead takes a key that its group may read, behind symbolic links,
	// as Kubernetes mounts a secret. It is for one file, by name.
	AllowGroupRead bool
	Now            func() time.Time // nil: the time of day

	// Passphrase gives what opens a file: a locked key, or a PKCS#12 file
	// without a file for its passphrase. It is asked once for a read, and only
	// when the file is locked; nil means that nobody can be asked.
	Passphrase func(file string) ([]byte, error)
}

// passphraseOf is the passphrase of one file, for [ParsePEMWith].
func (o FileOptions) passphraseOf(file string) func() ([]byte, error) {
	if o.Passphrase == nil {
		return nil
	}
	return func() ([]byte, error) {
		pass, err := o.Passphrase(file)
		if err != nil {
			return nil, &unaskedError{err}
		}
		return pass, nil
	}
}

// unaskedError says that there was no passphrase to be had: nothing is wrong with the file.
type unaskedError struct{ error }

func (e *unaskedError) Unwrap() error { return e.error }

// File is a Source that reads files and reads them again when they change. A
// new state that cannot be used leaves the old in place for as long as that is
// valid, and Problem tells of it; a file that is gone takes the credential with
// it. It is safe for concurrent use.
type File struct {
	name    string
	why     string
	paths   []string
	made    bool // with gsigw proxy init, when it is missing
	options FileOptions
	read    func() (*Credential, []fileStamp, error)

	mu      sync.Mutex
	stamps  []fileStamp
	current *Credential
	problem error
}

// ProxyFile reads a file with certificates and key in PEM, in any order.
func ProxyFile(path string, o FileOptions) *File {
	f := &File{name: path, paths: []string{path}, made: true, options: o}
	f.read = func() (*Credential, []fileStamp, error) {
		data, stamp, err := readFile(path, true, o)
		if err != nil {
			return nil, []fileStamp{stamp}, err
		}
		c, err := ParsePEMWith(data, o.passphraseOf(path))
		return c, []fileStamp{stamp}, err
	}
	return f
}

// PairFile reads a certificate (and its chain) from one file, the key from another.
func PairFile(certPath, keyPath string, o FileOptions) *File {
	f := &File{name: both(certPath, keyPath), paths: []string{certPath, keyPath}, options: o}
	f.read = func() (*Credential, []fileStamp, error) {
		certData, certStamp, certErr := readFile(certPath, false, o)
		keyData, keyStamp, keyErr := readFile(keyPath, true, o)
		stamps := []fileStamp{certStamp, keyStamp}
		if certPath == keyPath {
			certErr = nil // the key's says it, and more
		}
		if err := errors.Join(named(certPath, certErr), named(keyPath, keyErr)); err != nil {
			return nil, stamps, err
		}
		c, err := parsePair(certPath, certData, keyPath, keyData, o)
		return c, stamps, err
	}
	return f
}

func both(certPath, keyPath string) string {
	if certPath == keyPath {
		return certPath
	}
	return certPath + " and " + keyPath
}

// parsePair takes certificates out of both files, the key out of its own.
func parsePair(certPath string, certData []byte, keyPath string, keyData []byte, o FileOptions) (*Credential, error) {
	certs, err := ParseCertificates(certData)
	if err != nil {
		return nil, named(certPath, err)
	}
	blocks, err := pemBlocks(keyData)
	if err != nil {
		return nil, named(keyPath, err)
	}
	key, err := keyOf(blocks, o.passphraseOf(keyPath))
	if err != nil {
		return nil, named(keyPath, err)
	}
	if more, err := certificatesOf(blocks); err == nil {
		certs = append(certs, more...)
	}
	return assemble(certs, key)
}

// PKCS12File reads a PKCS#12 file; the passphrase is the first line of another,
// or with no name for that ("") what the options give.
func PKCS12File(path, passphrasePath string, o FileOptions) *File {
	if passphrasePath == "" {
		return askedPKCS12File(path, o)
	}
	f := &File{name: path, paths: []string{path, passphrasePath}, options: o}
	f.read = func() (*Credential, []fileStamp, error) {
		data, stamp, err := readFile(path, true, o)
		pass, passStamp, passErr := readFile(passphrasePath, true, o)
		stamps := []fileStamp{stamp, passStamp}
		if err := errors.Join(err, named(passphrasePath, passErr)); err != nil {
			return nil, stamps, err
		}
		c, err := ParsePKCS12(data, pass)
		return c, stamps, err
	}
	return f
}

func askedPKCS12File(path string, o FileOptions) *File {
	f := &File{name: path, paths: []string{path}, options: o}
	f.read = func() (*Credential, []fileStamp, error) {
		data, stamp, err := readFile(path, true, o)
		if err != nil {
			return nil, []fileStamp{stamp}, err
		}
		pass, err := ask(o.passphraseOf(path))
		if err != nil {
			return nil, []fileStamp{stamp}, err
		}
		c, err := ParsePKCS12(data, pass)
		return c, []fileStamp{stamp}, err
	}
	return f
}

func named(path string, err error) error {
	if e, ok := errors.AsType[*os.PathError](err); err == nil || ok && e.Path == path {
		return err
	}
	return &fileError{path, err}
}

type fileError struct {
	path string
	err  error
}

func (e *fileError) Error() string { return e.path + ": " + strings.TrimPrefix(e.err.Error(), "gsi: ") }
func (e *fileError) Unwrap() error { return e.err }

// Credential returns the credential in the files as they are now.
func (f *File) Credential(context.Context) (*Credential, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.current == nil || f.problem != nil || !slices.Equal(f.stamps, f.look()) {
		f.reload()
	}
	if f.current == nil {
		return nil, f.problem
	}
	if now := f.now(); !now.Before(f.current.NotAfter()) {
		return nil, f.unusable(expiredReason(f.current), expiredRemedy(f.current, now))
	}
	return f.current, nil
}

// Problem returns why the files as they are now cannot be used, nil when they
// are in use. A source with a problem may still have its old credential to give.
func (f *File) Problem() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.problem
}

// String names the files.
func (f *File) String() string { return f.name }

// Why says how the source was found, "" when it was named outright.
func (f *File) Why() string { return f.why }

func (f *File) reload() {
	c, stamps, err := f.read()
	if err == nil {
		err = f.usable(c)
	}
	if err != nil {
		f.problem = f.unusable(err, f.remedy(c, err))
		if errors.Is(err, os.ErrNotExist) {
			f.current = nil // who removes a proxy wants it out of use
		}
		return
	}
	f.current, f.stamps, f.problem = c, stamps, nil
}

func (f *File) usable(c *Credential) error {
	now := f.now()
	if !now.Before(c.NotAfter()) {
		return expiredReason(c)
	}
	if now.Before(c.NotBefore()) {
		return fmt.Errorf("it is valid from %s only", c.NotBefore().UTC().Format(time.RFC3339))
	}
	return nil
}

func expiredReason(c *Credential) error {
	return fmt.Errorf("%w at %s", ErrExpired, c.NotAfter().UTC().Format(time.RFC3339))
}

// expiredRemedy tells what a user can make anew from what only his CA can.
func expiredRemedy(c *Credential, now time.Time) string {
	if eec := c.EndEntity(); eec != nil && !now.Before(eec.NotAfter) {
		return "get a new certificate from " + OneLine(eec.RawIssuer)
	}
	return "renew it, for instance with gsigw proxy init"
}

// ErrExpired says that a certificate of the chain has expired.
var ErrExpired = errors.New("gsi: the credential expired")

func (f *File) unusable(reason error, remedy string) error {
	return &UnusableError{Source: f.name, Reason: reason, Remedy: remedy}
}

// remedy is for an error in reading c, or in using it.
func (f *File) remedy(c *Credential, err error) string {
	_, unasked := errors.AsType[*unaskedError](err)
	switch {
	case unasked:
		return ""
	case errors.Is(err, os.ErrNotExist) && f.made:
		return "make one with gsigw proxy init, or name another file"
	case errors.Is(err, os.ErrNotExist):
		return "put certificate and key there, or name another file"
	case errors.Is(err, os.ErrPermission):
		return "let this user read it, or name another file"
	case errors.Is(err, ErrExpired):
		return expiredRemedy(c, f.now())
	case errors.Is(err, ErrPassphrase):
		return "give the passphrase that it was locked with"
	case errors.Is(err, ErrEncryptedKey):
		return "unlock it, or name another"
	case errors.Is(err, ErrPKCS12):
		return "name it as PKCS#12, with the file of its passphrase"
	}
	return "mend the file or name another"
}

func (f *File) now() time.Time {
	if f.options.Now != nil {
		return f.options.Now()
	}
	return time.Now()
}

func (f *File) look() []fileStamp {
	var stamps []fileStamp
	for _, path := range f.paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil
		}
		stamps = append(stamps, stampOf(info))
	}
	return stamps
}
