package voms

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gsigw/gsi"
)

const maxFile = 1 << 20 // bytes

// A file of the directory, or a subdirectory that cannot be used.
type file struct {
	name  string // below the directory
	vo    string // empty at the top
	lsc   lsc
	certs []*x509.Certificate // of an authority, its own first
	err   error               // why it could not be read now; what it held before may stand
}

func (f *file) empty() bool { return f.lsc == nil && f.certs == nil }

func readDir(ctx context.Context, dir string, before map[string]*file) (map[string]*file, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("voms: the vomsdir: %w", err)
	}
	r := &reader{dir: dir, before: before, files: map[string]*file{}}
	for _, entry := range entries {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("voms: reading %s: %w", dir, err)
		}
		name := entry.Name()
		info, err := os.Stat(filepath.Join(dir, name))
		switch {
		case strings.HasPrefix(name, "."):
		case strings.HasSuffix(name, ".pem"):
			r.read(&file{name: name})
		case err != nil:
			r.keepVO(name, err)
		case info.IsDir():
			r.readVO(name)
		}
	}
	return r.files, nil
}

type reader struct {
	dir           string
	before, files map[string]*file
}

func (r *reader) readVO(vo string) {
	if !isWord(vo) {
		r.keepVO(vo, errors.New("not the name of a VO, which has letters, digits, '_', '-' and '.': rename or remove it"))
		return
	}
	entries, err := os.ReadDir(filepath.Join(r.dir, vo))
	if err != nil {
		r.keepVO(vo, err)
		return
	}
	for _, entry := range entries {
		name := entry.Name()
		if ext := filepath.Ext(name); !strings.HasPrefix(name, ".") && (ext == ".lsc" || ext == ".pem") {
			r.read(&file{name: vo + "/" + name, vo: vo})
		}
	}
}

// keepVO notes why a subdirectory cannot be read. All that it held before stays, unless it is a link to nowhere.
func (r *reader) keepVO(vo string, err error) {
	r.files[vo] = &file{name: vo, vo: vo, err: err}
	if isGone(err) {
		return
	}
	for name, old := range r.before {
		if strings.HasPrefix(name, vo+"/") {
			r.files[name] = old
		}
	}
}

// isGone tells what somebody took away from what cannot be read just now.
func isGone(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNothing) }

// read reads a file, which keeps what it held before when it cannot be read. One that was emptied holds nothing any more,
// and neither does a link to nowhere: so authorities are disowned, and that is not to wait for a restart.
func (r *reader) read(f *file) {
	f.err = f.parse(r.dir)
	if old := r.before[f.name]; f.err != nil && !isGone(f.err) && old != nil {
		f.lsc, f.certs = old.lsc, old.certs
	}
	r.files[f.name] = f
}

func (f *file) parse(dir string) error {
	data, err := readBounded(filepath.Join(dir, f.name))
	if err != nil {
		return err
	}
	if strings.HasSuffix(f.name, ".lsc") {
		f.lsc, err = parseLSC(data)
		return err
	}
	if saysNothing(data) {
		return fmt.Errorf("%w: put the authority's certificate there as PEM, or remove the file", errNothing)
	}
	if f.certs, err = gsi.ParseCertificates(data); err != nil {
		return fmt.Errorf("%w: put the authority's certificate there as PEM, or remove the file", err)
	}
	return nil
}

func saysNothing(data []byte) bool {
	for line := range bytes.Lines(data) {
		if text := bytes.TrimSpace(line); len(text) > 0 && text[0] != '#' {
			return false
		}
	}
	return true
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
	files    map[string]*file
	vos      []string
	local    map[string][]*file // files with certificates, by VO; "" for any
	problems []Problem
}

func newState(files map[string]*file) *state {
	st := &state{files: files, local: map[string][]*file{}}
	for _, f := range slices.SortedFunc(maps.Values(files), func(a, b *file) int { return cmp.Compare(a.name, b.name) }) {
		if f.err != nil {
			st.problems = append(st.problems, Problem{File: f.name, Err: f.err})
		}
		if f.certs != nil {
			st.local[f.vo] = append(st.local[f.vo], f)
		}
		if f.vo != "" && !f.empty() && !slices.Contains(st.vos, f.vo) {
			st.vos = append(st.vos, f.vo)
		}
	}
	return st
}
