package soap

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/textproto"
	"strings"

	"gsigw/soap/xmlscan"
)

// Multipart is a message with attachments: multipart/related (RFC 2387) as SOAP with Attachments and as MTOM use it.
// The parts lie where a Keep puts them; together they are no larger than the limit MessageBytes.
//
//	p, err := soap.ReadMultipart(r.Header.Get("Content-Type"), r.Body, limits, nil)
//	if p.XOP {
//		m, rest, err = soap.InlineXOP(p.Root, p.Attachments)
//	}
type Multipart struct {
	Root        *Message
	XOP         bool    // the root is an XOP package's: InlineXOP makes a plain message of it
	Attachments []*Part // in order, without the root

	root *Part
}

// Part is one part of a multipart message.
type Part struct {
	ID      string // the Content-ID without angle brackets, empty where there is none
	Header  textproto.MIMEHeader
	Content xmlscan.Source // with its transfer encoding undone
}

// Keep reads to the end and says where the bytes now lie. Nil keeps them in memory.
type Keep func(io.Reader) (xmlscan.Source, error)

func keepInMemory(r io.Reader) (xmlscan.Source, error) {
	b, err := io.ReadAll(r)
	return xmlscan.Memory(b), err
}

// partHeaderBytes bounds the header of one part.
const partHeaderBytes = 8 << 10

// ReadMultipart reads a multipart/related body to its closing delimiter. The root is the part that the start
// parameter names, else the first; its type must be the one that the type parameter names, where there is one, and
// its envelope must have the version that goes with it. Two parts with one Content-ID are an error, and so is more
// than the limits Parts and MessageBytes allow.
func ReadMultipart(contentType string, body io.Reader, l Limits, keep Keep) (*Multipart, error) {
	l = l.withDefaults()
	if keep == nil {
		keep = keepInMemory
	}
	t, err := parseMedia(contentType)
	if err != nil {
		return nil, err
	}
	if t.name != typeRelated {
		return nil, malformed("has the Content-Type %q where multipart/related is wanted", clipped(t.name))
	}
	if err := checkBoundary(t.params["boundary"]); err != nil {
		return nil, err
	}
	parts, err := readParts(body, t.params["boundary"], l, keep)
	if err != nil {
		return nil, err
	}
	p := &Multipart{}
	if err := p.split(parts, t.params["start"]); err != nil {
		return nil, err
	}
	return p, p.readRoot(t, l)
}

// checkBoundary is RFC 2046, section 5.1.1.
func checkBoundary(b string) error {
	if b == "" || len(b) > 70 || strings.HasSuffix(b, " ") {
		return malformed("has a Content-Type without a proper boundary")
	}
	for _, c := range []byte(b) {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9'
		if !letter && !strings.ContainsRune("'()+_,-./:=? ", rune(c)) {
			return malformed("has a Content-Type with the character %q in its boundary", c)
		}
	}
	return nil
}

func readParts(body io.Reader, boundary string, l Limits, keep Keep) ([]*Part, error) {
	limited := &limitedReader{r: body, left: l.MessageBytes, max: l.MessageBytes}
	r := multipart.NewReader(limited, boundary)
	var parts []*Part
	for {
		raw, err := r.NextRawPart()
		if err == io.EOF {
			return parts, nil
		}
		if err != nil {
			return nil, brokenMIME(err)
		}
		if len(parts) >= l.Parts {
			return nil, exceeds("parts", int64(l.Parts))
		}
		p, err := readPart(raw, keep)
		if err != nil {
			return nil, brokenMIME(err)
		}
		parts = append(parts, p)
	}
}

// brokenMIME gives limits and refusals as they are, and says of everything else that the framing is broken.
func brokenMIME(err error) error {
	if e, ok := errors.AsType[*xmlscan.Error](err); ok {
		return e
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return malformed("ends before the closing delimiter of its parts")
	}
	return malformed("has parts that cannot be read: %v", err)
}

func readPart(raw *multipart.Part, keep Keep) (*Part, error) {
	size := 0
	for k, vs := range raw.Header {
		for _, v := range vs {
			size += len(k) + len(v)
		}
	}
	if size > partHeaderBytes {
		return nil, exceeds("part-header-bytes", partHeaderBytes)
	}
	for _, k := range []string{"Content-Id", "Content-Type", "Content-Transfer-Encoding"} {
		if len(raw.Header[k]) > 1 {
			return nil, malformed("has a part with two %s headers", k)
		}
	}
	p := &Part{ID: contentID(raw.Header.Get("Content-Id")), Header: raw.Header}
	r, err := decoded(raw, raw.Header.Get("Content-Transfer-Encoding"))
	if err != nil {
		return nil, err
	}
	in := &noting{r: r}
	if p.Content, err = keep(in); err != nil && in.err == nil {
		err = &xmlscan.Error{Class: xmlscan.Unreadable, Err: err} // the fault is not the message's
	}
	return p, err
}

// noting remembers how its reader failed.
type noting struct {
	r   io.Reader
	err error
}

func (n *noting) Read(b []byte) (int, error) {
	k, err := n.r.Read(b)
	if err != io.EOF {
		n.err = err
	}
	return k, err
}

// decoded undoes a transfer encoding (RFC 2045, section 6).
func decoded(r io.Reader, encoding string) (io.Reader, error) {
	switch strings.ToLower(encoding) {
	case "", "7bit", "8bit", "binary":
		return r, nil
	case "base64":
		return base64.NewDecoder(base64.StdEncoding, r), nil
	case "quoted-printable":
		return quotedprintable.NewReader(r), nil
	}
	return nil, malformed("has a part with the Content-Transfer-Encoding %q", clipped(encoding))
}

func contentID(v string) string {
	v = strings.TrimSpace(v)
	if strings.HasPrefix(v, "<") && strings.HasSuffix(v, ">") {
		return v[1 : len(v)-1]
	}
	return v
}

// split finds the root among the parts.
func (p *Multipart) split(parts []*Part, start string) error {
	ids := map[string]bool{}
	for _, q := range parts {
		if q.ID != "" && ids[q.ID] {
			return malformed("has two parts with the Content-ID %q", clipped(q.ID))
		}
		ids[q.ID] = true
	}
	for i, q := range parts {
		if start == "" && i == 0 || start != "" && q.ID == contentID(start) {
			p.root = q
			continue
		}
		p.Attachments = append(p.Attachments, q)
	}
	if p.root == nil {
		return malformed("has no root part")
	}
	return nil
}

// readRoot reads the envelope and holds its types against each other.
func (p *Multipart) readRoot(outer media, l Limits) error {
	t, err := parseMedia(p.root.Header.Get("Content-Type"))
	if err != nil {
		return err
	}
	version, action, err := t.envelope()
	if err != nil {
		return err
	}
	promised, err := outer.promisedRoot()
	if err != nil {
		return err
	}
	if promised.name != "" {
		v, _, err := promised.envelope()
		if err != nil {
			return err
		}
		if promised.name != t.name || v != 0 && version != 0 && v != version {
			return malformed("has a root part of another type than its Content-Type says")
		}
		version = max(v, version)
	}
	if p.Root, err = Read(p.root.Content, l); err != nil {
		return inRoot(err)
	}
	if version != 0 && version != p.Root.Version {
		return malformed("has an envelope of another version of SOAP than its Content-Type says")
	}
	p.XOP = t.name == typeXOP
	p.Root.SOAPAction = action
	return nil
}

// inRoot says of a refusal that its place is in the root part, not in the body.
func inRoot(err error) error {
	e, ok := errors.AsType[*xmlscan.Error](err)
	if !ok || e.Offset == xmlscan.NoPlace {
		return err
	}
	in := *e
	in.Offset, in.Msg = xmlscan.NoPlace, fmt.Sprintf("%s (byte %d of its root part)", e.Msg, e.Offset)
	return &in
}

// Write writes the message with another root and all attachments, none of them with a transfer encoding, and gives
// the Content-Type. The root is the plain envelope, also where it was an XOP package's.
func (p *Multipart) Write(w io.Writer, root *Message) (contentType string, err error) {
	mw := multipart.NewWriter(w)
	id := p.root.ID
	if id == "" {
		id = randomUUID() + "@gsigw"
	}
	out, err := mw.CreatePart(textproto.MIMEHeader{
		"Content-Type": {root.Version.ContentType()}, "Content-Id": {"<" + id + ">"}, "Content-Transfer-Encoding": {"binary"},
	})
	if err != nil {
		return "", err
	}
	if _, err := io.Copy(out, io.NewSectionReader(root, 0, root.Size())); err != nil {
		return "", err
	}
	for _, a := range p.Attachments {
		if err := a.write(mw); err != nil {
			return "", err
		}
	}
	kind, _, _ := strings.Cut(root.Version.ContentType(), ";")
	return mime.FormatMediaType(typeRelated, map[string]string{"boundary": mw.Boundary(), "type": kind, "start": "<" + id + ">"}), mw.Close()
}

func (p *Part) write(mw *multipart.Writer) error {
	header := maps.Clone(p.Header)
	header.Set("Content-Transfer-Encoding", "binary")
	out, err := mw.CreatePart(header)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, io.NewSectionReader(p.Content, 0, p.Content.Size()))
	return err
}

// limitedReader fails where the limit message is exceeded.
type limitedReader struct {
	r         io.Reader
	left, max int64
}

func (l *limitedReader) Read(b []byte) (int, error) {
	n, err := l.r.Read(b[:min(int64(len(b)), l.left+1)])
	if l.left -= int64(n); l.left < 0 {
		return 0, exceeds("message", l.max)
	}
	return n, err
}

// refusal is one that concerns no place in the envelope.
func refusal(c xmlscan.Class, format string, args ...any) error {
	return &xmlscan.Error{Class: c, Offset: xmlscan.NoPlace, Msg: fmt.Sprintf(format, args...)}
}

func malformed(format string, args ...any) error { return refusal(xmlscan.Malformed, format, args...) }

func exceeds(limit string, n int64) error {
	return &xmlscan.Error{Class: xmlscan.Limit, Limit: limit, Offset: xmlscan.NoPlace, Msg: fmt.Sprintf("exceeds the limit %s of %d", limit, n)}
}
