// Package trust decides whose certificates to believe. It reads a grid trust
// directory, such as /etc/grid-security/certificates, and walks certificate
// chains with proxies in them, which crypto/x509 cannot. A CA of the directory is what lies there as HASH.0 (.1, ...) by the
// old or the new hash of its subject, and nothing else: to remove that link is to switch the CA off.
//
//	store, err := trust.Open("/etc/grid-security/certificates", trust.Options{})
//	for _, p := range store.Problems() { ... }  // files that could not be read
//	id, err := store.Verify(chain, time.Now())  // chain: leaf first, from anywhere
//	if errors.Is(err, trust.Expired) { ... }
//
// Whatever is not understood is refused: see [Code] for the reasons there are.
// The rules are RFC 5280's and RFC 3820's; where the grid's own tools differ
// from them, docs/adr/0002-proxy-acceptance.md says what was decided and why.
package trust

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// CRLPolicy says what to make of revocation lists.
type CRLPolicy int

// A list that is there is checked, and has to be in date, unless CRLs are off.
const (
	CRLIfPresent CRLPolicy = iota // a CA may have none
	CRLRequire                    // every CA needs one
	CRLOff                        // revocation is not looked at
)

// Options of a Store. The zero value takes no algorithm that GT4's own era
// called weak, SHA-1 signatures apart.
type Options struct {
	CRL                  CRLPolicy
	RequireSigningPolicy bool          // refuse a CA without signing_policy or namespaces; by default they bind if present
	Skew                 time.Duration // how far a certificate's dates are stretched either way
	MaxCertificates      int           // in a chain with its CAs; 0 means 16
	MaxRSABits           int           // 0 means 8192
	RefuseSHA1           bool          // stock GT4 signs with nothing better
	AllowMD5             bool          // weak: MD5 signatures on certificates
	AllowRSA512          bool          // weak: RSA keys from 512 bits; otherwise from 1024
}

const (
	defaultMaxCertificates = 16
	defaultMaxRSABits      = 8192
)

func (o Options) maxCertificates() int {
	if o.MaxCertificates == 0 {
		return defaultMaxCertificates
	}
	return o.MaxCertificates
}

func (o Options) maxRSABits() int {
	if o.MaxRSABits == 0 {
		return defaultMaxRSABits
	}
	return o.MaxRSABits
}

// Store is a trust directory as it was last read. It is safe for concurrent use.
type Store struct {
	dir     string
	options Options

	reload sync.Mutex
	files  map[string]*file // what each file last held, by name
	state  atomic.Pointer[state]
}

// Problem is a file of the directory that could not be used.
type Problem struct {
	File   string // base name
	Err    error
	Remedy string
}

// String says all of it, for people.
func (p Problem) String() string { return fmt.Sprintf("%s: %v: %s", p.File, p.Err, p.Remedy) }

// Open reads a trust directory. It fails when the directory cannot be read; a
// file that cannot be read is a Problem and no more, but the CA that it belongs
// to may be refused for it.
func Open(dir string, o Options) (*Store, error) {
	s := &Store{dir: dir, options: o}
	if err := s.Reload(context.Background()); err != nil {
		return nil, err
	}
	return s, nil
}

// Reload reads the directory again and takes what it finds in one step. Where a
// file has become unreadable, what it held before stays. A directory that
// cannot be read leaves everything as it was.
func (s *Store) Reload(ctx context.Context) error {
	s.reload.Lock()
	defer s.reload.Unlock()
	files, err := readDir(ctx, s.dir, s.files)
	if err != nil {
		return err
	}
	s.files = files
	s.state.Store(newState(s.dir, files, s.options))
	return nil
}

// Problems lists the files that could not be used, by name.
func (s *Store) Problems() []Problem { return s.state.Load().problems }

// Anchor is a CA of the directory, for metrics.
type Anchor struct {
	Subject       string // one-line form
	NotAfter      time.Time
	CRLNextUpdate time.Time // of its newest revocation list; zero: it has none
}

// Anchors lists the CAs of the directory, by subject.
func (s *Store) Anchors() []Anchor { return s.state.Load().anchorList() }
