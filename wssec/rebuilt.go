package wssec

import (
	"bufio"
	"errors"
	"io"

	"gsigw/soap"
	"gsigw/soap/xmlscan"
	"gsigw/wssec/c14n"
)

// Rebuilt is a message as Message or Digested rebuild it, of any size: all that can be refused was refused, and the bytes
// are made while they are written. The message that was verified must stay readable for as long.
//
//	plain, err := verified.Rebuild(nil)
//	if err != nil {
//		return err // *Error; nothing was written
//	}
//	header.Set("Content-Length", strconv.FormatInt(plain.Size(), 10))
//	_, err = plain.WriteTo(w)
type Rebuilt struct {
	v     *Verified
	kept  []xmlscan.Binding
	size  int64
	whole []byte // all of a small one
}

// Rebuild is Message, for messages of any size.
func (v *Verified) Rebuild(keep []string) (*Rebuilt, error) {
	c := v.content(keep)
	return v.judge(c, c.unwritten)
}

// RebuildDigested is Digested, for messages of any size.
func (v *Verified) RebuildDigested() (*Rebuilt, error) {
	c := v.content(nil)
	return v.judge(c, c.unwrittenType)
}

// wholeSize is the size of a message up to which it is rebuilt at once: judging it first and writing it later takes two
// passes.
const wholeSize = 256 << 10

// judge writes all parts to nobody: that asks unwritten about every name, and gives their sizes.
func (v *Verified) judge(c *content, unwritten func(c14n.Prefix) error) (*Rebuilt, error) {
	if v.m.Size() <= wholeSize {
		whole, err := v.rebuild(c, unwritten)
		return &Rebuilt{whole: whole, size: int64(len(whole))}, err
	}
	sizes := map[*soap.Element]int64{}
	for _, p := range v.parts() {
		var n counter
		if err := v.write(&n, p, unwritten); err != nil {
			return nil, classed(err)
		}
		sizes[p.element] = int64(n)
	}
	var total counter
	err := v.envelope(&total, c.kept, func(_ io.Writer, p part) error {
		total += counter(sizes[p.element])
		return nil
	})
	return &Rebuilt{v: v, kept: c.kept, size: int64(total)}, err
}

// Size is the number of bytes.
func (r *Rebuilt) Size() int64 { return r.size }

var errUnsteady = errors.New("wssec: the message changed between its verification and its rebuilding")

// WriteTo writes all bytes.
func (r *Rebuilt) WriteTo(w io.Writer) (int64, error) {
	if r.v == nil {
		n, err := w.Write(r.whole)
		return int64(n), err
	}
	var n counter
	out := bufio.NewWriterSize(io.MultiWriter(w, &n), 64<<10)
	err := r.v.envelope(out, r.kept, func(w io.Writer, p part) error { return r.v.write(w, p, nil) })
	if err == nil {
		err = out.Flush()
	}
	if err == nil && int64(n) != r.size {
		err = errUnsteady
	}
	return int64(n), err
}

// counter counts the bytes written to it.
type counter int64

func (c *counter) Write(b []byte) (int, error) {
	*c += counter(len(b))
	return len(b), nil
}

// HasCiphertext says whether there is still ciphertext in Body: an EncryptedData element (XML Encryption, section 3.4).
func (v *Verified) HasCiphertext() (bool, error) {
	s := v.scan(v.body)
	for {
		kind, err := s.Next()
		switch {
		case err != nil || kind == xmlscan.EOF:
			return false, err
		case kind == xmlscan.StartElement && string(s.Local) == "EncryptedData" && s.URI(s.Space) == "http://www.w3.org/2001/04/xmlenc#":
			return true, nil
		}
	}
}
