package trust

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"

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
	crl        *crl
	err        error // why it could not be read now; what it held before may stand
}

func (f *file) empty() bool { return f.certs == nil && f.policy == nil && f.crl == nil }

type kind int

const (
	kindCA kind = iota
	kindCRL
	kindSigningPolicy
	kindNamespaces
)

var kinds = []struct {
	suffix *regexp.Regexp
	kind   kind
}{
	{regexp.MustCompile(`\.(pem|[0-9]+)$`), kindCA},
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
	files := map[string]*file{}
	for _, entry := range entries {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("trust: reading %s: %w", dir, err)
		}
		f := fileOf(entry.Name())
		if f == nil {
			continue
		}
		if f.err = f.read(dir); f.err != nil {
			f.keep(before[f.name])
		}
		files[f.name] = f
	}
	return files, nil
}

// keep takes over what the file held before it became unreadable, and nothing
// of what was read of it now.
func (f *file) keep(before *file) {
	if before == nil {
		before = &file{}
	}
	f.certs, f.policy, f.crl = before.certs, before.policy, before.crl
}

func (f *file) read(dir string) error {
	data, err := readBounded(filepath.Join(dir, f.name))
	if err != nil {
		return err
	}
	switch f.kind {
	case kindCA:
		f.certs, err = gsi.ParseCertificates(data)
	case kindCRL:
		f.crl, err = parseCRL(data)
	case kindSigningPolicy:
		f.policy, err = parseSigningPolicy(data)
	case kindNamespaces:
		f.policy, err = parseNamespaces(data)
	}
	return err
}

func readBounded(path string) ([]byte, error) {
	if info, err := os.Stat(path); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("larger than %d bytes", maxFile)
	}
	return data, err
}

// state is what a directory says, resolved: never changed once made.
type state struct {
	anchors   []*anchor
	bySubject map[string][]*anchor
	byRaw     map[string]*anchor
	policies  map[string][]*file // by stem
	crls      map[string][]*crl  // by the DER of the issuer's name
	brokenCRL map[string]bool    // stems of revocation lists that never could be read
	problems  []Problem
}

type anchor struct {
	cert  *x509.Certificate
	stems []string
}

func newState(files map[string]*file) *state {
	st := &state{
		bySubject: map[string][]*anchor{},
		byRaw:     map[string]*anchor{},
		policies:  map[string][]*file{},
		crls:      map[string][]*crl{},
		brokenCRL: map[string]bool{},
	}
	ordered := slices.SortedFunc(maps.Values(files), func(a, b *file) int { return cmp.Compare(a.name, b.name) })
	for _, f := range ordered {
		st.add(f)
	}
	st.signCRLs()
	return st
}

func (st *state) add(f *file) {
	if f.err != nil {
		st.problem(f.name, f.err)
	}
	switch f.kind {
	case kindCA:
		for _, cert := range f.certs {
			st.addAnchor(cert, f.stem)
		}
	case kindSigningPolicy, kindNamespaces:
		st.policies[f.stem] = append(st.policies[f.stem], f)
	case kindCRL:
		if f.empty() {
			st.brokenCRL[f.stem] = true
			return
		}
		c := *f.crl // an older state may hold what was kept
		c.file, c.signers = f.name, map[string]bool{}
		issuer := string(c.list.RawIssuer)
		st.crls[issuer] = append(st.crls[issuer], &c)
	}
}

func (st *state) problem(file string, err error) {
	st.problems = append(st.problems, Problem{File: file, Err: err})
}

func (st *state) addAnchor(cert *x509.Certificate, stem string) {
	if a, ok := st.byRaw[string(cert.Raw)]; ok {
		a.stems = append(a.stems, stem)
		return
	}
	a := &anchor{cert: cert, stems: []string{stem}}
	st.anchors = append(st.anchors, a)
	st.byRaw[string(cert.Raw)] = a
	subject := string(cert.RawSubject)
	st.bySubject[subject] = append(st.bySubject[subject], a)
}

// stems returns the names under which files may speak of a CA: those of its own
// files, and both hashes of its subject.
func (st *state) stems(ca *x509.Certificate) []string {
	stems := []string{gsi.SubjectHashOld(ca.RawSubject)}
	if hash, err := gsi.SubjectHash(ca.RawSubject); err == nil {
		stems = append(stems, hash)
	}
	if a, ok := st.byRaw[string(ca.Raw)]; ok {
		stems = append(stems, a.stems...)
	}
	slices.Sort(stems)
	return slices.Compact(stems)
}

func (st *state) anchorList() []Anchor {
	var list []Anchor
	for _, a := range st.anchors {
		item := Anchor{Subject: gsi.OneLine(a.cert.RawSubject), NotAfter: a.cert.NotAfter}
		for _, c := range st.crls[string(a.cert.RawSubject)] {
			if c.signedBy(a.cert) && c.list.NextUpdate.After(item.CRLNextUpdate) {
				item.CRLNextUpdate = c.list.NextUpdate
			}
		}
		list = append(list, item)
	}
	slices.SortFunc(list, func(a, b Anchor) int { return cmp.Compare(a.Subject, b.Subject) })
	return list
}
