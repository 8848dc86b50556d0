package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// files looks at every file that the config names.
func (d *document) files(c *Config) {
	d.tls("listen.tls", c.Listen.TLS)
	d.tls("reverse.tls", c.Reverse.TLS)
	for _, name := range sorted(c.Callers) {
		caller, at := c.Callers[name], "callers."+name
		d.public(at+".client-cert", caller.ClientCert)
		d.secret(at+".secret-file", caller.SecretFile, caller.AllowGroupRead)
	}
	for _, name := range sorted(c.Credentials) {
		cred, at := c.Credentials[name], "credentials."+name
		d.public(at+".cert", cred.Cert)
		d.private(at+".proxy", cred.Proxy, cred.AllowGroupRead)
		d.private(at+".key", cred.Key, cred.AllowGroupRead)
		d.private(at+".pkcs12", cred.PKCS12, cred.AllowGroupRead)
		d.private(at+".passphrase-file", cred.PassphraseFile, cred.AllowGroupRead)
	}
	for _, name := range sorted(c.Routes) {
		d.routeFiles("routes."+name, c.Routes[name])
	}
	if c.judges() {
		d.directory("trust.dir", c.Trust.Dir, "install the CA certificates there, or name another directory")
	}
	d.directory("ca.dir", c.CA.Dir, "make it with: gsigw ca init")
	d.state("replay.state", c.Replay.State)
	d.directory("trace", c.Trace, "make it, mode 0700")
	d.directory("spool.dir", c.Spool.Dir, "make it, on a disk, writable for the gateway's user")
}

func (d *document) routeFiles(at string, r Route) {
	d.public(at+".encrypt-to", r.EncryptTo)
	d.public(at+".peer-certificate", r.PeerCertificate)
	d.public(at+".issuer-certificate", r.IssuerCertificate)
	d.private(at+".password-file", r.PasswordFile, r.AllowGroupRead)
	if r.Confirmation.IsBearer() {
		d.private(at+".assertion-file", r.AssertionFile, r.AllowGroupRead)
	} else {
		d.public(at+".assertion-file", r.AssertionFile)
	}
}

// judges says whether any route needs the trust directory.
func (c *Config) judges() bool {
	for name := range c.Routes {
		if r := c.route(name); r.Secured() || r.Target.Scheme == "https" {
			return true
		}
	}
	return false
}

func (d *document) tls(at string, t TLS) {
	d.public(at+".cert", t.Cert)
	d.private(at+".key", t.Key, t.AllowGroupRead)
}

func (d *document) public(at string, p Path) {
	if p == "" {
		return
	}
	f, err := os.Open(string(p))
	if err != nil {
		d.wrong(at, fmt.Sprintf("%s: %s", p, reason(err)), "check the name and its permissions")
		return
	}
	f.Close()
}

func (d *document) private(at string, p Path, group bool) {
	if p == "" {
		return
	}
	f, err := openPrivate(string(p), group)
	if err != nil {
		d.unusable(at, err)
		return
	}
	f.Close()
}

func (d *document) secret(at string, p Path, group bool) {
	if p == "" {
		return
	}
	if _, err := ReadSecret(string(p), group); err != nil {
		d.unusable(at, err)
	}
}

func (d *document) unusable(at string, err error) {
	var fe *FileError
	if errors.As(err, &fe) {
		d.wrong(at, fe.Name+": "+fe.Text, fe.Remedy)
	}
}

func (d *document) directory(at string, p Path, remedy string) {
	if p == "" {
		return
	}
	if info, err := os.Stat(string(p)); err != nil {
		d.wrong(at, fmt.Sprintf("%s: %s", p, reason(err)), remedy)
	} else if !info.IsDir() {
		d.wrong(at, fmt.Sprintf("%s: it is no directory", p), remedy)
	}
}

// state looks at the directory of a memory, which is made where it is missing, and closed to others while it is empty.
func (d *document) state(at string, p Path) {
	if p == "" {
		return
	}
	info, err := os.Lstat(string(p))
	if errors.Is(err, fs.ErrNotExist) {
		d.directory(at, Path(filepath.Dir(string(p))), "make it: the directory itself is made below it")
		return
	}
	if err != nil {
		d.wrong(at, fmt.Sprintf("%s: %s", p, reason(err)), "check the name and its permissions")
		return
	}
	mode := info.Mode()
	switch owner := info.Sys().(*syscall.Stat_t).Uid; {
	case mode&fs.ModeSymlink != 0:
		d.wrong(at, fmt.Sprintf("%s: it is a symbolic link", p), "name the directory itself")
	case !mode.IsDir():
		d.wrong(at, fmt.Sprintf("%s: it is no directory", p), "name a directory; it is made where it is missing")
	case int(owner) != os.Geteuid():
		d.wrong(at, fmt.Sprintf("%s: it belongs to uid %d", p, owner), fmt.Sprintf("give it to the user of this process (uid %d)", os.Geteuid()))
	case mode.Perm()&0o077 != 0 && !isEmpty(p):
		d.wrong(at, fmt.Sprintf("%s: mode %04o lets others in", p, mode.Perm()), "run: chmod 700 "+string(p))
	}
}

func isEmpty(p Path) bool {
	entries, err := os.ReadDir(string(p))
	return err == nil && len(entries) == 0
}

// FileError says why a file with a secret is not used.
type FileError struct{ Name, Text, Remedy string }

func (e *FileError) Error() string { return "config: " + e.Name + ": " + e.Text + ": " + e.Remedy }

// openPrivate opens a file that nobody else may read or change. The open file is judged, so that what was judged is
// what is read; a symbolic link is not followed out of a directory where anyone may put one.
func openPrivate(name string, group bool) (*os.File, error) {
	flags := os.O_RDONLY | unix.O_NONBLOCK | unix.O_CLOEXEC
	if dir, err := os.Stat(filepath.Dir(name)); err == nil && dir.Mode().Perm()&0o002 != 0 {
		flags |= unix.O_NOFOLLOW
	}
	f, err := os.OpenFile(name, flags, 0)
	if errors.Is(err, unix.ELOOP) {
		return nil, &FileError{name, "it is a symbolic link in a directory that anyone may write", "put the file itself there"}
	}
	if err != nil {
		return nil, &FileError{name, reason(err), "check the name and its permissions"}
	}
	info, err := f.Stat()
	if err == nil {
		err = judge(name, info, group)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func judge(name string, info fs.FileInfo, group bool) error {
	if !info.Mode().IsRegular() {
		return &FileError{name, "it is no regular file", "name the file itself"}
	}
	if owner := info.Sys().(*syscall.Stat_t).Uid; owner != 0 && int(owner) != os.Geteuid() {
		return &FileError{name, fmt.Sprintf("it belongs to uid %d", owner),
			fmt.Sprintf("give it to the user of this process (uid %d) or to root", os.Geteuid())}
	}
	mode := info.Mode().Perm()
	switch {
	case mode&0o037 != 0:
		return &FileError{name, fmt.Sprintf("mode %04o lets others in", mode), "run: chmod 600 " + name}
	case mode&0o040 != 0 && !group:
		return &FileError{name, fmt.Sprintf("mode %04o lets its group read it", mode),
			"run: chmod 600 " + name + ", or add allow-group-read: true for a mounted secret"}
	}
	return nil
}

// maxAssertion bounds an assertion, in bytes.
const maxAssertion = 256 << 10

// ReadPassword reads a password, the file's first line, from a file that nobody else may read. The error is a
// *FileError.
func ReadPassword(name string, group bool) ([]byte, error) {
	text, err := readPrivate(name, group, 4096)
	if err != nil {
		return nil, err
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	if len(line) == 0 {
		return nil, &FileError{name, "its first line, the password, is empty", "write the password there"}
	}
	return line, nil
}

// ReadAssertion reads a file with an assertion; one that anybody may use who has it (private) from a file that nobody
// else may read. The error is a *FileError.
func ReadAssertion(name string, private, group bool) ([]byte, error) {
	if private {
		return readPrivate(name, group, maxAssertion)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, &FileError{name, reason(err), "check the name and its permissions"}
	}
	defer f.Close()
	return readAll(f, maxAssertion)
}

func readPrivate(name string, group bool, most int64) ([]byte, error) {
	f, err := openPrivate(name, group)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(f, most)
}

func readAll(f *os.File, most int64) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, &FileError{f.Name(), reason(err), "check the file"}
	}
	if int64(len(text)) > most {
		return nil, &FileError{f.Name(), fmt.Sprintf("it has more than %d bytes", most), "name the file itself"}
	}
	return text, nil
}

// minSecret is the least length of a proxy secret, in bytes: 128 bits even when written in base64.
const minSecret = 22

// ReadSecret reads a secret from a file that nobody else may read, without the line end. With group the file's group
// may read it too. The error is a *FileError.
func ReadSecret(name string, group bool) ([]byte, error) {
	f, err := openPrivate(name, group)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 4096+1))
	if err != nil {
		return nil, &FileError{name, reason(err), "check the file"}
	}
	text = bytes.TrimRight(text, "\r\n")
	if len(text) < minSecret || len(text) > 4096 {
		return nil, &FileError{name, fmt.Sprintf("a secret has %d to 4096 characters", minSecret),
			"run: umask 077; head -c 24 /dev/urandom | base64 > " + name}
	}
	return text, nil
}
