package upstream

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"strconv"
	"strings"
)

const maxChunkLine = 256 // a chunk's size and its extensions, in bytes

// framedBody reads the body that a head announced, to its end and not one byte further.
func framedBody(r *bufio.Reader, h *head, limits Limits) io.Reader {
	switch h.length {
	case chunkedLength:
		return &chunkReader{r: r, trailer: limits.Header}
	case unknownLength:
		return r
	}
	return &lengthReader{r: r, left: h.length}
}

type lengthReader struct {
	r    io.Reader
	left int64
}

func (l *lengthReader) Read(p []byte) (int, error) {
	if l.left == 0 {
		return 0, io.EOF
	}
	n, err := l.r.Read(p[:min(int64(len(p)), l.left)])
	if l.left -= int64(n); l.left > 0 && err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// chunkReader reads the chunked coding (RFC 9112, section 7.1) as strictly as readHead reads a head. Chunk
// extensions and trailers are checked and dropped.
type chunkReader struct {
	r       *bufio.Reader
	left    int64 // of the current chunk
	begun   bool  // a chunk was read, so its CRLF comes first
	trailer int64 // budget
	done    bool
}

func (c *chunkReader) Read(p []byte) (int, error) {
	if c.left == 0 && !c.done {
		if err := c.next(); err != nil {
			return 0, unexpected(err)
		}
	}
	if c.done {
		return 0, io.EOF
	}
	n, err := c.r.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	return n, unexpected(err)
}

func (c *chunkReader) next() error {
	if c.begun {
		if err := c.expectCRLF(); err != nil {
			return err
		}
	}
	c.begun = true
	budget := int64(maxChunkLine)
	line, err := readLine(c.r, &budget)
	if err != nil {
		return err
	}
	if c.left, err = parseChunkSize(line); err != nil || c.left > 0 {
		return err
	}
	c.done = true
	_, err = readFields(c.r, &c.trailer)
	return err
}

func (c *chunkReader) expectCRLF() error {
	var crlf [2]byte
	if _, err := io.ReadFull(c.r, crlf[:]); err != nil {
		return err
	}
	if string(crlf[:]) != "\r\n" {
		return framingError("a chunk is not as long as it said")
	}
	return nil
}

// parseChunkSize takes white space after the size, with which old servers pad it to fixed width.
func parseChunkSize(line string) (int64, error) {
	size, extensions, _ := strings.Cut(line, ";")
	size = strings.TrimRight(size, " \t")
	n, err := strconv.ParseUint(size, 16, 63)
	if err != nil || !isFieldValue(extensions) {
		return 0, framingError(fmt.Sprintf("%.40q is no chunk size", line))
	}
	return int64(n), nil
}

// unpack undoes a response's content coding. All of gzip's members count, and nothing else may follow them.
func unpack(h *head, body io.Reader) (io.Reader, error) {
	if h.length == 0 {
		return body, nil
	}
	coding := strings.ToLower(strings.Join(h.header["Content-Encoding"], ","))
	switch coding {
	case "", "identity":
		return body, nil
	case "gzip", "x-gzip":
		h.header.Del("Content-Encoding")
		h.header.Del("Content-Length")
		return &gzipReader{packed: body}, nil
	}
	return nil, framingError(fmt.Sprintf("content coding %.40q was not asked for", coding))
}

// gzipReader starts with the first Read, so that a reply is handed over before its body has come.
type gzipReader struct {
	packed io.Reader
	z      *gzip.Reader
}

func (g *gzipReader) Read(p []byte) (n int, err error) {
	if g.z == nil {
		if g.z, err = gzip.NewReader(g.packed); err != nil {
			return 0, unexpected(err)
		}
	}
	return g.z.Read(p)
}

// limitReader fails once more than its limit has come, where io.LimitedReader would feign the end.
type limitReader struct {
	r     io.Reader
	left  int64
	limit int64
}

func (l *limitReader) Read(p []byte) (int, error) {
	n, err := l.r.Read(p[:min(int64(len(p)), l.left+1)])
	if l.left -= int64(n); l.left < 0 {
		return 0, fmt.Errorf("%w message of %d", ErrTooLarge, l.limit)
	}
	return n, err
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
