package soap

import (
	"encoding/base64"
	"io"

	"gsigw/soap/xmlscan"
)

// encoded is the base64 of a source, made where it is read: what is inlined takes no memory of its size.
type encoded struct{ src xmlscan.Source }

// groups are three bytes, four characters each, that are encoded at once.
const groups = 8 << 10

func (e encoded) Size() int64 { return (e.src.Size() + 2) / 3 * 4 }

// ReadAt implements io.ReaderAt.
func (e encoded) ReadAt(b []byte, off int64) (n int, err error) {
	for n < len(b) && off < e.Size() {
		text, err := e.from(off/4, min((int64(len(b)-n)+7)/4, groups))
		if err != nil {
			return n, err
		}
		k := copy(b[n:], text[off%4:])
		n, off = n+k, off+int64(k)
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// from encodes up to count groups, from one on.
func (e encoded) from(group, count int64) ([]byte, error) {
	raw := make([]byte, min(3*count, e.src.Size()-3*group))
	if _, err := io.ReadFull(io.NewSectionReader(e.src, 3*group, int64(len(raw))), raw); err != nil {
		return nil, err
	}
	return base64.StdEncoding.AppendEncode(nil, raw), nil
}
