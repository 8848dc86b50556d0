package gateway

import (
	"errors"
	"io"
	"math"
	"runtime/debug"

	"gsigw/soap/spool"
	"gsigw/soap/xmlscan"
)

// content is bytes that can be written more than once: at rest, or made while they are written.
type content interface {
	io.WriterTo
	Size() int64
}

// stored is content at rest.
type stored struct{ xmlscan.Source }

func text(b []byte) stored { return stored{xmlscan.Memory(b)} }

func (s stored) WriteTo(w io.Writer) (int64, error) {
	if m, ok := s.Source.(xmlscan.Memory); ok {
		n, err := w.Write(m)
		return int64(n), err
	}
	return io.Copy(w, whole(s))
}

func whole(s xmlscan.Source) io.Reader { return io.NewSectionReader(s, 0, s.Size()) }

// careful makes an error of a defect that is met in reading: the dialler reads in a goroutine of its own, where nothing
// would keep it from ending the process.
type careful struct{ io.Reader }

func (c careful) Read(b []byte) (n int, err error) {
	defer func() {
		if recover() != nil {
			n, err = 0, &crash{debug.Stack()}
		}
	}()
	return c.Reader.Read(b)
}

// spooled takes all of r to where it lies until the exchange ends.
func (x *exchange) spooled(r io.Reader, limit int64) (xmlscan.Source, error) {
	return x.opened(x.Spool.Read(r, limit))
}

// opened is closed when the exchange ends.
func (x *exchange) opened(s *spool.Spool, err error) (xmlscan.Source, error) {
	if err != nil {
		return nil, err
	}
	x.open = append(x.open, s)
	return s.Source(), nil
}

// made is spooled for what is written. What is made of messages within their limits needs none of its own.
func (x *exchange) made(write func(io.Writer) error) (xmlscan.Source, error) {
	w := x.Spool.Writer(math.MaxInt64 - 1)
	defer w.Close()
	if err := write(w); err != nil {
		return nil, err
	}
	return x.opened(w.Spool())
}

// keep is where the parts of a message go. They come out of a body that had its limit.
func (x *exchange) keep(r io.Reader) (xmlscan.Source, error) {
	return x.opened(x.Spool.ReadPart(r, math.MaxInt64-1))
}

// close gives back what the exchange held.
func (x *exchange) close() {
	for _, s := range x.open {
		s.Close()
	}
	x.open = nil
}

// first gives the first n bytes, or fewer.
func first(c content, n int) []byte {
	f := &head{left: n}
	c.WriteTo(f) // it ends with errEnough, or before; a trace and a quotation take what there is
	return f.b
}

type head struct {
	b    []byte
	left int
}

var errEnough = errors.New("gateway: enough")

func (f *head) Write(b []byte) (int, error) {
	n := min(len(b), f.left)
	f.b, f.left = append(f.b, b[:n]...), f.left-n
	if n < len(b) {
		return n, errEnough
	}
	return n, nil
}

// pieces writes in pieces, since each has its own deadline, and counts.
type pieces struct {
	w      io.Writer
	n      int64
	failed bool // w did, and not who writes to it
}

func (p *pieces) Write(b []byte) (written int, err error) {
	for len(b) > 0 {
		n, err := p.w.Write(b[:min(len(b), 64<<10)])
		written, p.n, b = written+n, p.n+int64(n), b[n:]
		if err != nil {
			p.failed = true
			return written, err
		}
	}
	return written, nil
}
