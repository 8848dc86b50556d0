package spool

import (
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"sync"
)

const (
	chunkSize = 64 << 10 // of plaintext, sealed as one
	tagSize   = 16
	nonceSize = 12
	cached    = 4 // opened chunks per file, where there is memory: readers of one message are few, and go forward
)

// chunk is room for one, sealed or open.
type chunk [chunkSize + tagSize]byte

var chunks = sync.Pool{New: func() any { return new(chunk) }}

func newChunk() *chunk { return chunks.Get().(*chunk) }

func free(list []*chunk) {
	for _, c := range list {
		if c != nil {
			chunks.Put(c)
		}
	}
}

// file is a spool on disk: chunks of chunkSize bytes, the last one shorter, each sealed by itself. The nonce is the
// file's number and the chunk's; both are used once under the key, since files are only appended to. So a chunk at
// another place, or of another file, does not open.
type file struct {
	*os.File
	pool   *Pool
	dir    string
	seal   cipher.AEAD
	number uint64
	size   int64 // of the plaintext
	isPart bool  // the first opened chunk counts too

	mu      sync.Mutex
	opened  []opened
	next    int   // the one whose turn it is to go
	counted int64 // of pool.held
	closed  bool
}

// opened is a chunk in the clear.
type opened struct {
	*chunk
	index int64
	text  []byte // in chunk
}

func (p *Pool) newFile(isPart bool) (*file, error) {
	f, err := p.openFile()
	if err != nil {
		return nil, err
	}
	p.files.Add(1)
	return &file{File: f, pool: p, dir: p.Directory(), seal: p.sealer(), number: p.last.Add(1), isPart: isPart}, nil
}

func (p *Pool) openFile() (*os.File, error) {
	create := p.create
	if create == nil {
		create = createFile
	}
	dir := p.Directory()
	f, err := create(dir)
	if err != nil {
		return nil, &Error{dir, unnamed(err)}
	}
	return f, nil
}

// Check reports why no file could be made now: an *Error.
func (p *Pool) Check() error {
	f, err := p.openFile()
	if err != nil {
		return err
	}
	return f.Close()
}

// unnamed leaves out the file's name, which says nothing, and keeps the reason.
func unnamed(err error) error {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		return e.Err
	}
	return err
}

// createNamed is for systems and file systems that know no file without a name: it has one for a moment.
func createNamed(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "gsigw-spool-*") // mode 0600
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (f *file) nonce(index int64) []byte {
	n := make([]byte, 0, nonceSize)
	n = binary.BigEndian.AppendUint64(n, f.number)
	return binary.BigEndian.AppendUint32(n, uint32(index)) // 2^32 chunks are 256 TiB
}

// append seals the first n bytes of c in place, and writes them. Only the last chunk may have less than chunkSize.
func (f *file) append(c *chunk, n int) error {
	index := f.size / chunkSize
	sealed := f.seal.Seal(c[:0], f.nonce(index), c[:n], nil)
	if _, err := f.WriteAt(sealed, index*int64(len(c))); err != nil {
		return &Error{f.dir, unnamed(err)}
	}
	f.size += int64(n)
	return nil
}

// ReadAt implements io.ReaderAt.
func (f *file) ReadAt(b []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, &Error{f.dir, errors.New("negative offset")}
	}
	for n < len(b) && off < f.size {
		k, err := f.copyAt(b[n:], off/chunkSize, int(off%chunkSize))
		if err != nil {
			return n, &Error{f.dir, unnamed(err)}
		}
		n, off = n+k, off+int64(k)
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// copyAt copies from one chunk. Chunks are opened outside the lock, so that readers at different places do not wait
// for each other.
func (f *file) copyAt(b []byte, index int64, skip int) (int, error) {
	if n, ok, err := f.copyOpened(b, index, skip); ok || err != nil {
		return n, err
	}
	o, err := f.open(index)
	if err != nil {
		return 0, err
	}
	n := copy(b, o.text[skip:])
	f.keep(o)
	return n, nil
}

func (f *file) copyOpened(b []byte, index int64, skip int) (n int, ok bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return 0, false, os.ErrClosed
	}
	for i := range f.opened {
		if o := &f.opened[i]; o.index == index {
			return copy(b, o.text[skip:]), true, nil
		}
	}
	return 0, false, nil
}

func (f *file) open(index int64) (opened, error) {
	c := newChunk()
	sealed := c[:min(f.size-index*chunkSize, chunkSize)+tagSize]
	_, err := f.File.ReadAt(sealed, index*int64(len(c)))
	if err == io.EOF {
		err = ErrChanged // it was cut short
	}
	var text []byte
	if err == nil {
		if text, err = f.seal.Open(sealed[:0], f.nonce(index), sealed, nil); err != nil {
			err = ErrChanged
		}
	}
	if err != nil {
		free([]*chunk{c})
		return opened{}, err
	}
	return opened{c, index, text}, nil
}

// keep remembers an opened chunk, in the place of the oldest where there is no room for one more.
func (f *file) keep(o opened) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.closed:
	case len(f.opened) < cached && f.mayKeep():
		f.opened = append(f.opened, o)
		return
	case len(f.opened) > 0:
		o, f.opened[f.next] = f.opened[f.next], o
		f.next = (f.next + 1) % len(f.opened)
	}
	free([]*chunk{o.chunk})
}

// mayKeep asks for memory for one more opened chunk.
func (f *file) mayKeep() bool {
	if len(f.opened) == 0 && !f.isPart {
		return true
	}
	if !f.pool.take(chunkSize) {
		return false
	}
	f.counted += chunkSize
	return true
}

func (f *file) close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for i := range f.opened {
		free([]*chunk{f.opened[i].chunk})
	}
	f.opened = nil
	f.pool.release(f.counted)
	f.counted = 0
	return f.File.Close()
}
