package voms

import (
	"context"
	"crypto/x509"
	"sync"
	"sync/atomic"
	"time"

	"gsigw/gsi"
)

// Verifier decides whether to trust a certificate chain; *trust.Store is one.
type Verifier interface {
	Verify(chain []*x509.Certificate, at time.Time) (*gsi.Identity, error)
}

// Options of a Dir. With the zero value the directory can be looked at, and nothing is believed.
type Options struct {
	Trust      Verifier      // of users and of authorities
	Hosts      []string      // what this machine is called: an attribute certificate may be for certain hosts only
	AnyTarget  bool          // for one who passes on attributes and does not act on them: whom they are for is not asked
	Skew       time.Duration // how far an attribute certificate's dates are stretched either way; VOMS's C library takes 5 minutes
	RefuseSHA1 bool          // VOMS servers sign with the digest that their own certificate is signed with
}

// Dir is a vomsdir as it was last read: whom to believe about which VO. It is safe for concurrent use.
//
//	<vo>/<host>.lsc   names of the certificate chain of the VO's authority on a host
//	<vo>/*.pem        or the certificate itself, the authority's first
//	*.pem             believed about any VO, as VOMS had it before 1.8
//
// What is wrong with a file harms its own VO and no other.
type Dir struct {
	path    string
	options Options

	reload sync.Mutex
	files  map[string]*file // by path below the directory
	state  atomic.Pointer[state]
}

// Problem is a file or subdirectory that could not be used.
type Problem struct {
	File string // below the directory: "vo/host.lsc"
	Err  error  // with line and remedy
}

// Open reads a vomsdir. It fails when the directory cannot be read; a file that cannot be read is a Problem.
func Open(path string, o Options) (*Dir, error) {
	d := &Dir{path: path, options: o}
	if err := d.Reload(context.Background()); err != nil {
		return nil, err
	}
	return d, nil
}

// Reload reads the directory again and takes what it finds in one step. Where a file cannot be read or has a broken line,
// what it held before stays; one that was removed or emptied is believed no longer. A directory that cannot be read leaves
// everything as it was.
func (d *Dir) Reload(ctx context.Context) error {
	d.reload.Lock()
	defer d.reload.Unlock()
	files, err := readDir(ctx, d.path, d.files)
	if err != nil {
		return err
	}
	d.files = files
	d.state.Store(newState(files))
	return nil
}

// Problems lists what could not be used, by name.
func (d *Dir) Problems() []Problem { return d.state.Load().problems }

// VOs lists those for which the directory names an authority of their own, by name.
func (d *Dir) VOs() []string { return d.state.Load().vos }
