package trust

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"

	"gsigw/gsi"
)

// maxFile bounds what is read of one file; the largest revocation lists of the
// grid have a few megabytes.
const maxFile = 64 << 20

// A file of the directory. Its stem, the name up to the last dot, ties a
// policy or revocation list to its CA.
type file struct {
	name, stem string
	kind       kind
	certs      []*x509.Certificate
	policy     policy
	crls       []*crl
	sum        [sha256.Size]byte // of the content when it was last read well
	err        error             // why it could not be read now; what it held before may stand
}

func (f *file) empty() bool { return f.certs == nil && f.policy == nil && f.crls == nil }

type kind int

const (
	kindCA    kind = iota // HASH.0
	kindAlias             // ALIAS.pem: no CA of the directory, but ties ALIAS.signing_policy to one that lies under its hash
	kindCRL
	kindSigningPolicy
	kindNamespaces
)

var kinds = []struct {
	suffix *regexp.Regexp
	kind   kind
}{
	{regexp.MustCompile(`\.[0-9]+$`), kindCA},
	{regexp.MustCompile(`\.pem$`), kindAlias},
	{regexp.MustCompile(`\.r[0-9]+$`), kindCRL},
	{regexp.MustCompile(`\.signing_policy$`), kindSigningPolicy},
	{regexp.MustCompile(`\.namespaces$`), kindNamespaces},
}

func fileOf(name string) *file {
	for _, k := range kinds {
		if at := k.suffix.FindStringIndex(name); at != nil && at[0] > 0 {
			return &file{name: name, stem: name[:at[0]], kind: k.kind}
		}
	}
	return nil
}

func readDir(ctx context.Context, dir string, before map[string]*file) (map[string]*file, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("trust: the trust directory: %w", err)
	}
	files, read := map[string]*file{}, parsed{}
	for _, f := range before {
		read.note(f)
	}
	for _, entry := range entries {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("trust: reading %s: %w", dir, err)
		}
		f := fileOf(entry.Name())
		if f == nil {
			continue
		}
		if f.err = f.read(dir, read); f.err != nil {
			f.keep(before[f.name])
		}
		read.note(f)
		files[f.name] = f
	}
	return files, nil
}

// parsed holds files by what they are and hold. A CA has the same files under two names, and few of a directory change
// from one reload to the next: a list of 100,000 revoked certificates is parsed once.
type parsed map[content]*file

type content struct {
	kind kind
	sum  [sha256.Size]byte
}

func (p parsed) note(f *file) {
	if f != nil && !f.empty() {
		p[content{f.kind, f.sum}] = f
	}
}

// keep takes over what the file held before it became unreadable, and nothing
// of what was read of it now.
func (f *file) keep(before *file) {
	if before == nil {
		before = &file{}
	}
	f.certs, f.policy, f.crls, f.sum = before.certs, before.policy, before.crls, before.sum
}

// read reads the file, and parses what is not parsed already.
func (f *file) read(dir string, known parsed) error {
	data, err := readBounded(filepath.Join(dir, f.name))
	if err != nil {
		return err
	}
	f.sum = sha256.Sum256(data)
	if same := known[content{f.kind, f.sum}]; same != nil {
		f.keep(same)
		return nil
	}
	switch f.kind {
	case kindCA, kindAlias:
		f.certs, err = gsi.ParseCertificates(data)
	case kindCRL:
		f.crls, err = parseCRLs(data)
	case kindSigningPolicy:
		f.policy, err = parseSigningPolicy(data)
	case kindNamespaces:
		f.policy, err = parseNamespaces(data)
	}
	return err
}

func readBounded(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data := bytes.NewBuffer(make([]byte, 0, min(info.Size(), maxFile)+bytes.MinRead))
	if _, err := data.ReadFrom(io.LimitReader(f, maxFile+1)); err != nil {
		return nil, err
	}
	if data.Len() > maxFile {
		return nil, fmt.Errorf("larger than %d bytes", maxFile)
	}
	return data.Bytes(), nil
}
