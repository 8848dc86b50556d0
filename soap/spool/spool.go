// Package spool keeps bytes that may be many: in memory while they are few, and else in a file that has no name, whose
// bytes are sealed under a key that exists in this process alone. Whoever reads the disk, or the file through /proc,
// finds nothing; whoever changes it is found out. When the process ends, however it ends, nothing is left.
//
//	pool := &spool.Pool{Threshold: 8 << 20}
//	s, err := pool.Read(r.Body, limit)
//	if err != nil {
//		return err // *LimitError, *Error, or what r.Body said
//	}
//	defer s.Close()
//	m, err := soap.Read(s.Source(), limits)
//
// A [Writer] takes bytes that are made rather than read. All spools of a [Pool] together hold no more memory than the
// Pool allows: what would be more lies in files, although it is below the threshold.
package spool

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"gsigw/soap/xmlscan"
)

// Pool makes spools. Its zero value works; a zero field means the default in brackets. It must not be copied or changed
// once it is in use, and is safe for concurrent use.
type Pool struct {
	Dir       string // where files lie [$TMPDIR; else /var/tmp, which is a disk where /tmp may be memory]
	Threshold int64  // bytes of one spool beyond which it lies in a file [8 MiB]
	Memory    int64  // bytes of all spools in memory, not counting 64 KiB of each that Read or Writer made [128 MiB]

	once  sync.Once
	seal  cipher.AEAD
	last  atomic.Uint64 // the number of the newest file; no number is ever used again
	held  atomic.Int64
	files atomic.Int64

	create func(dir string) (*os.File, error) // createFile, but for tests of this package
}

// Spool is bytes at rest. It is safe for concurrent use, and must be closed.
type Spool struct {
	pool    *Pool
	counted int64 // of pool.held

	mu     sync.Mutex
	memory xmlscan.Memory
	file   *file // nil where the bytes lie in memory
	closed bool
}

// Error is a failure of the spool itself: its directory, its file.
type Error struct {
	Dir string
	Err error
}

func (e *Error) Error() string {
	if errors.Is(e.Err, syscall.ENOSPC) || errors.Is(e.Err, syscall.EDQUOT) {
		return fmt.Sprintf("spool: no room in %s: %v: make room there, or name another directory", e.Dir, e.Err)
	}
	return fmt.Sprintf("spool: in %s: %v", e.Dir, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// LimitError means that more bytes came than were allowed.
type LimitError struct{ Limit int64 }

func (e *LimitError) Error() string { return fmt.Sprintf("spool: more than %d bytes", e.Limit) }

// ErrChanged means that somebody else wrote to the file.
var ErrChanged = errors.New("the file was changed by another process")

// Read takes all of r, up to limit bytes. Where it fails, it leaves nothing; what r itself says comes back as it is.
func (p *Pool) Read(r io.Reader, limit int64) (*Spool, error) { return p.Writer(limit).all(r) }

// ReadPart is Read for one of many that are held together: its first 64 KiB count, as all others do.
func (p *Pool) ReadPart(r io.Reader, limit int64) (*Spool, error) {
	return (&Writer{pool: p, limit: limit, isPart: true}).all(r)
}

func (w *Writer) all(r io.Reader) (*Spool, error) {
	defer w.Close()
	if _, err := w.ReadFrom(r); err != nil {
		return nil, err
	}
	return w.Spool()
}

// Held is how many bytes of spools lie in memory, as far as they count, and how many spools in files.
func (p *Pool) Held() (memory int64, files int) { return p.held.Load(), int(p.files.Load()) }

// Directory is where files lie.
func (p *Pool) Directory() string {
	if p.Dir != "" {
		return p.Dir
	}
	if info, err := os.Stat(varTmp); os.Getenv("TMPDIR") == "" && err == nil && info.IsDir() {
		return varTmp
	}
	return os.TempDir()
}

const varTmp = "/var/tmp"

func (p *Pool) threshold() int64 { return orDefault(p.Threshold, 8<<20) }

func orDefault(n, otherwise int64) int64 {
	if n > 0 {
		return n
	}
	return otherwise
}

// take asks for memory.
func (p *Pool) take(n int64) bool {
	if p.held.Add(n) > orDefault(p.Memory, 128<<20) {
		p.held.Add(-n)
		return false
	}
	return true
}

func (p *Pool) release(n int64) { p.held.Add(-n) }

// sealer is AES-256-GCM under the pool's key, which is made when the first file is.
func (p *Pool) sealer() cipher.AEAD {
	p.once.Do(func() {
		var key [32]byte
		rand.Read(key[:]) // never fails
		block, err := aes.NewCipher(key[:])
		if err != nil {
			panic("spool: " + err.Error()) // a key of 32 bytes is one
		}
		if p.seal, err = cipher.NewGCM(block); err != nil {
			panic("spool: " + err.Error())
		}
	})
	return p.seal
}

// Source is the bytes as their readers like them best: xmlscan.Memory where they lie in memory.
func (s *Spool) Source() xmlscan.Source {
	if s.file == nil {
		return s.memory
	}
	return s
}

// Size is the number of bytes.
func (s *Spool) Size() int64 {
	if s.file == nil {
		return s.memory.Size()
	}
	return s.file.size
}

// ReadAt implements io.ReaderAt. Its errors, io.EOF aside, are *Error.
func (s *Spool) ReadAt(b []byte, off int64) (int, error) {
	if s.file == nil {
		return s.memory.ReadAt(b, off)
	}
	return s.file.ReadAt(b, off)
}

// Close gives the memory or the file back. Nobody may read any more; a second Close does nothing.
func (s *Spool) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	s.pool.release(s.counted)
	if s.file == nil {
		s.memory = nil
		return nil
	}
	s.pool.files.Add(-1)
	return s.file.close()
}
