package xmlenc

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"

	"gsigw/soap"
	"gsigw/soap/xmlscan"
)

// What a caller tells apart in what it reads. Everything else that is wrong is malformed.
var (
	ErrAlgorithm = errors.New("xmlenc: not an algorithm that is known here")
	ErrLimit     = errors.New("xmlenc: more than the limit")
	ErrReference = errors.New("xmlenc: ciphertext that stands elsewhere is not fetched")
	ErrPlace     = errors.New("xmlenc: an encrypted key stands in encrypted data")
)

// Data is an EncryptedData element (XML Encryption 1.1, section 3.4).
type Data struct {
	ID, Type string
	Cipher   Cipher
	Keys     []string // the URIs by which KeyInfo refers to the key (wsse:Reference)
	Value    []byte   // what CipherValue holds
	Span     xmlscan.Span
}

// maxElements bounds the elements of one EncryptedData: the ones that are understood are ten.
const maxElements = 32

// ReadData reads the EncryptedData whose start tag s has just read, to its end. Its CipherValue is decoded piece by piece
// and may have limit bytes.
func ReadData(s *xmlscan.Scanner, limit int64) (*Data, error) {
	r := &dataReader{s: s, d: &Data{Span: s.Span}, limit: limit}
	r.d.ID, r.d.Type = attr(s, "Id"), attr(s, "Type")
	if s.Empty {
		return nil, errors.New("xmlenc: EncryptedData is empty")
	}
	for outer := s.Depth(); ; {
		kind, err := s.Next()
		switch {
		case err != nil:
			return nil, err
		case kind == xmlscan.EndElement && s.Depth() < outer:
			r.d.Span.End = s.Span.End
			return r.d, r.finish()
		}
		if err := r.token(kind); err != nil {
			return nil, err
		}
	}
}

func attr(s *xmlscan.Scanner, local string) string {
	for i := range s.Attrs {
		if s.Attrs[i].Is(local) {
			return s.Attrs[i].Text()
		}
	}
	return ""
}

type dataReader struct {
	s       *xmlscan.Scanner
	d       *Data
	limit   int64
	path    []string // local names inside of EncryptedData; "?" for one of a namespace that is not expected
	count   int
	methods int
	values  int
	value   decoder
}

func (r *dataReader) token(kind xmlscan.Kind) error {
	switch kind {
	case xmlscan.StartElement:
		return r.start()
	case xmlscan.EndElement:
		r.path = r.path[:len(r.path)-1]
	case xmlscan.Text, xmlscan.CData:
		return r.text(kind)
	case xmlscan.EOF:
		return errors.New("xmlenc: EncryptedData does not end")
	}
	return nil
}

func (r *dataReader) start() error {
	if r.count++; r.count > maxElements {
		return fmt.Errorf("%w of %d elements in EncryptedData", ErrLimit, maxElements)
	}
	name := string(r.s.Local)
	switch space := r.s.URI(r.s.Space); {
	case len(r.path) > 0 && r.path[0] == "KeyInfo":
		if err := r.keyInfo(soap.Name{Space: space, Local: name}); err != nil {
			return err
		}
	case space == Space && len(r.path) == 0 && name == "EncryptionMethod":
		if err := r.method(); err != nil {
			return err
		}
	case space == Space && len(r.path) == 1 && name == "KeySize", space == Space && len(r.path) == 0 && name == "CipherData",
		space == dsig && len(r.path) == 0 && name == "KeyInfo":
	case space == Space && name == "CipherValue" && len(r.path) == 1 && r.path[0] == "CipherData":
		r.values++
	case space == Space && name == "CipherReference":
		return ErrReference
	default:
		return fmt.Errorf("xmlenc: EncryptedData holds {%s}%s, which is not understood there", space, name)
	}
	if !r.s.Empty {
		r.path = append(r.path, name)
	}
	return nil
}

const dsig = "http://www.w3.org/2000/09/xmldsig#"

func (r *dataReader) method() error {
	r.methods++
	uri := attr(r.s, "Algorithm")
	var ok bool
	if r.d.Cipher, ok = CipherByURI(uri); !ok {
		return fmt.Errorf("%w: content encrypted with %.100q", ErrAlgorithm, uri)
	}
	return nil
}

// keyInfo keeps references to keys, and looks over everything else: which key it is, EncryptedKey says.
func (r *dataReader) keyInfo(n soap.Name) error {
	switch n {
	case soap.Name{Space: Space, Local: "EncryptedKey"}, soap.Name{Space: Space, Local: "EncryptedData"}:
		return ErrPlace
	case soap.Name{Space: soap.WSSE, Local: "Reference"}:
		r.d.Keys = append(r.d.Keys, attr(r.s, "URI"))
	}
	return nil
}

func (r *dataReader) text(kind xmlscan.Kind) error {
	isValue := len(r.path) == 2 && r.path[1] == "CipherValue" && r.path[0] == "CipherData"
	if !isValue {
		return nil
	}
	if int64(len(r.value.out)) > r.limit {
		return fmt.Errorf("%w of %d bytes of ciphertext", ErrLimit, r.limit)
	}
	if kind == xmlscan.CData {
		return r.value.write(r.s.Data)
	}
	r.value.scratch = xmlscan.AppendText(r.value.scratch[:0], r.s.Data)
	return r.value.write(r.value.scratch)
}

func (r *dataReader) finish() error {
	if r.methods != 1 || r.values != 1 {
		return errors.New("xmlenc: EncryptedData must hold one EncryptionMethod and one CipherValue")
	}
	var err error
	if r.d.Value, err = r.value.finish(); err != nil {
		return err
	}
	if int64(len(r.d.Value)) > r.limit {
		return fmt.Errorf("%w of %d bytes of ciphertext", ErrLimit, r.limit)
	}
	if !r.d.Cipher.Fits(len(r.d.Value)) {
		return fmt.Errorf("xmlenc: %d bytes are no ciphertext of %s", len(r.d.Value), r.d.Cipher)
	}
	return nil
}

// decoder takes base64 with white space in it, in pieces.
type decoder struct {
	out, scratch []byte
	tail         []byte // fewer than four characters
	padded       bool
}

var errBase64 = errors.New("xmlenc: CipherValue is not base64")

func (d *decoder) write(p []byte) error {
	for len(p) > 0 {
		n := min(len(p), 3<<10)
		if err := d.piece(p[:n]); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

func (d *decoder) piece(p []byte) error {
	for _, c := range p {
		switch c {
		case ' ', '\t', '\r', '\n':
		default:
			d.tail = append(d.tail, c)
		}
	}
	whole := len(d.tail) / 4 * 4
	if whole == 0 {
		return nil
	}
	if d.padded {
		return errBase64
	}
	d.padded = bytes.IndexByte(d.tail[:whole], '=') >= 0
	var err error
	if d.out, err = base64.StdEncoding.Strict().AppendDecode(d.out, d.tail[:whole]); err != nil {
		return errBase64
	}
	d.tail = append(d.tail[:0], d.tail[whole:]...)
	return nil
}

func (d *decoder) finish() ([]byte, error) {
	if len(d.tail) > 0 {
		return nil, errBase64
	}
	return d.out, nil
}

// AppendData writes an EncryptedData that declares its own namespace. The id must need no escapes.
func AppendData(dst []byte, id, typ string, c Cipher, value []byte) []byte {
	dst = fmt.Appendf(dst, `<xenc:EncryptedData xmlns:xenc="%s" Id="%s" Type="%s"><xenc:EncryptionMethod Algorithm="%s"></xenc:EncryptionMethod>`+
		`<xenc:CipherData><xenc:CipherValue>`, Space, id, typ, c.URI())
	dst = base64.StdEncoding.AppendEncode(dst, value)
	return append(dst, "</xenc:CipherValue></xenc:CipherData></xenc:EncryptedData>"...)
}
