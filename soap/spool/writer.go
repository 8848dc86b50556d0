package spool

import (
	"errors"
	"io"

	"gsigw/soap/xmlscan"
)

// Writer makes a Spool out of what is written. It is not safe for concurrent use.
type Writer struct {
	pool    *Pool
	limit   int64
	isPart  bool // the first chunk counts too
	size    int64
	space   int64    // what size may come to before another chunk is needed
	chunks  []*chunk // what lies in memory; of a file, the chunk that is not full yet
	counted int64    // of pool.held
	file    *file    // nil while all lies in memory
	err     error    // what every further call returns
}

// Writer begins a spool of at most limit bytes.
func (p *Pool) Writer(limit int64) *Writer { return &Writer{pool: p, limit: limit} }

var errEnded = errors.New("spool: written to after its end")

// Write implements io.Writer. Its error is a *LimitError or an *Error.
func (w *Writer) Write(b []byte) (n int, err error) {
	for len(b) > 0 {
		room, err := w.room()
		if err != nil {
			return n, err
		}
		k := copy(room, b)
		if err := w.wrote(k); err != nil {
			return n, err
		}
		n, b = n+k, b[k:]
	}
	return n, nil
}

// ReadFrom implements io.ReaderFrom: it takes all of r, without a copy between.
func (w *Writer) ReadFrom(r io.Reader) (n int64, err error) {
	for idle := 0; idle < 100; idle++ {
		k, readErr, err := w.readOnce(r)
		if err != nil {
			return n, err
		}
		if n += int64(k); k > 0 {
			idle = 0
		}
		if readErr == io.EOF {
			return n, nil
		}
		if readErr != nil {
			return n, readErr
		}
	}
	return n, io.ErrNoProgress
}

// readOnce reads a single byte where every chunk is full: only if there is more, there must be room for it.
func (w *Writer) readOnce(r io.Reader) (n int, readErr, err error) {
	if w.size == w.space {
		var more [1]byte
		n, readErr = r.Read(more[:])
		_, err = w.Write(more[:n])
		return n, readErr, err
	}
	room, err := w.room()
	if err != nil {
		return 0, nil, err
	}
	n, readErr = r.Read(room)
	return n, readErr, w.wrote(n)
}

// room is where the next bytes go: one more than the limit at most.
func (w *Writer) room() ([]byte, error) {
	if w.err != nil {
		return nil, w.err
	}
	if w.size == w.space {
		if err := w.grow(); err != nil {
			return nil, w.fail(err)
		}
		w.space += chunkSize
	}
	room := w.chunks[len(w.chunks)-1][w.size%chunkSize : chunkSize]
	return room[:min(int64(len(room)), w.limit-w.size+1)], nil
}

// wrote counts what was put into the room.
func (w *Writer) wrote(n int) error {
	if w.size += int64(n); w.size > w.limit {
		return w.fail(&LimitError{w.limit})
	}
	return nil
}

// grow makes a chunk ready for writing, when all before it are full.
func (w *Writer) grow() error {
	if w.file == nil && (w.isPart || len(w.chunks) > 0) {
		if w.size >= w.pool.threshold() || !w.pool.take(chunkSize) {
			return w.spill()
		}
		w.counted += chunkSize
	}
	if w.file != nil {
		return w.file.append(w.chunks[0], chunkSize) // and the chunk is free again
	}
	w.chunks = append(w.chunks, newChunk())
	return nil
}

// spill moves what lies in memory to a file, and keeps one chunk for what is to come. The last chunk may not be full:
// then nothing is to come.
func (w *Writer) spill() (err error) {
	if w.file, err = w.pool.newFile(w.isPart); err != nil {
		return err
	}
	if len(w.chunks) == 0 {
		w.chunks = []*chunk{newChunk()}
		return nil // nothing is to be moved: an empty chunk would use up the nonce of the first
	}
	left := w.size
	for _, c := range w.chunks {
		n := min(left, chunkSize)
		if err := w.file.append(c, int(n)); err != nil {
			return err
		}
		left -= n
	}
	free(w.chunks[1:])
	clear(w.chunks[1:])
	w.chunks = w.chunks[:1]
	w.pool.release(w.counted)
	w.counted = 0
	return nil
}

// Spool ends the writing and gives what was written.
func (w *Writer) Spool() (*Spool, error) {
	if w.err != nil {
		return nil, w.err
	}
	if err := w.finish(); err != nil {
		return nil, w.fail(err)
	}
	s := &Spool{pool: w.pool, file: w.file}
	if w.file == nil {
		s.memory = w.gather()
		s.counted = w.settle()
	}
	w.file, w.counted, w.err = nil, 0, errEnded
	w.drop()
	return s, nil
}

// finish moves what a file still lacks into it.
func (w *Writer) finish() error {
	switch rest := w.size - w.written(); {
	case w.file == nil && w.size > w.pool.threshold():
		return w.spill()
	case w.file != nil && rest > 0:
		return w.file.append(w.chunks[0], int(rest))
	}
	return nil
}

func (w *Writer) written() int64 {
	if w.file == nil {
		return 0
	}
	return w.file.size
}

// gather puts the chunks into one piece, which the scanner then reads without a copy.
func (w *Writer) gather() xmlscan.Memory {
	all := make([]byte, 0, w.size)
	for _, c := range w.chunks {
		all = append(all, c[:min(w.size-int64(len(all)), chunkSize)]...)
	}
	return all
}

// settle is what counts of bytes in memory; what was counted for the rest of the last chunk is given back.
func (w *Writer) settle() int64 {
	n := w.size
	if !w.isPart {
		n = max(0, n-chunkSize)
	}
	w.pool.release(w.counted - n)
	return n
}

// Close drops what was written, unless Spool gave it out. It may be called more than once.
func (w *Writer) Close() error {
	w.fail(errEnded)
	return nil
}

// fail ends the writing; the first reason stays.
func (w *Writer) fail(err error) error {
	if w.err == nil {
		w.err = err
	}
	w.drop()
	return w.err
}

func (w *Writer) drop() {
	free(w.chunks)
	w.chunks = nil
	w.pool.release(w.counted)
	w.counted = 0
	if w.file != nil {
		w.file.close()
		w.pool.files.Add(-1)
		w.file = nil
	}
}
