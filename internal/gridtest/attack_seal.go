package gridtest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"gsigw/soap"
	"gsigw/soap/xmlscan"
	"gsigw/wssec/c14n"
)

// Sealer signs anything: it fills in the digests and the signature that a message's own SignedInfo asks for, by
// whatever method, over whatever elements.
type Sealer struct {
	Key   crypto.Signer
	Quirk bool // SignedInfo is canonicalised as GT4 does it, without its InclusiveNamespaces
}

const dsig = "http://www.w3.org/2000/09/xmldsig#"

// Seal fills in the digests and the signature of a message.
func Seal(doc string, s Sealer) (string, error) {
	m, sig, err := signatureOf(doc)
	if err != nil {
		return "", err
	}
	var digests []soap.Change
	for _, r := range sig.Child(dsig, "SignedInfo").All(dsig, "Reference") {
		value, err := digestOf(m, r)
		if err != nil {
			return "", err
		}
		digests = append(digests, soap.Change{Span: r.Child(dsig, "DigestValue").Inner(), With: value})
	}
	if doc, err = edited(m, digests...); err != nil {
		return "", err
	}
	return SealInfo(doc, s)
}

// SealInfo fills in the signature of a message alone, over SignedInfo as it is.
func SealInfo(doc string, s Sealer) (string, error) {
	m, sig, err := signatureOf(doc)
	if err != nil {
		return "", err
	}
	value, err := s.sign(m, sig.Child(dsig, "SignedInfo"))
	if err != nil {
		return "", err
	}
	return edited(m, soap.Change{Span: sig.Child(dsig, "SignatureValue").Inner(), With: value})
}

func digestOf(m *soap.Message, r *soap.Node) ([]byte, error) {
	var method c14n.Method
	if tr := r.Child(dsig, "Transforms"); tr != nil && len(tr.Children) > 0 {
		method = canonical(tr.Children[0])
	}
	e, err := elementOf(m, r.Attr("", "URI"))
	if err != nil {
		return nil, err
	}
	h := hashNamed(r.Child(dsig, "DigestMethod")).New()
	if err := c14n.Write(h, m.Scan(e), method); err != nil {
		return nil, err
	}
	return []byte(base64.StdEncoding.EncodeToString(h.Sum(nil))), nil
}

func (s Sealer) sign(m *soap.Message, info *soap.Node) ([]byte, error) {
	method := canonical(info.Child(dsig, "CanonicalizationMethod"))
	if s.Quirk {
		method.Prefixes = nil
	}
	hash := hashNamed(info.Child(dsig, "SignatureMethod"))
	h := hash.New()
	if err := c14n.Write(h, m.Scan(&info.Element), method); err != nil {
		return nil, err
	}
	value, err := s.Key.Sign(rand.Reader, h.Sum(nil), hash)
	if err != nil {
		return nil, err
	}
	if k, ok := s.Key.Public().(*ecdsa.PublicKey); ok {
		var rs struct{ R, S *big.Int }
		if _, err := asn1.Unmarshal(value, &rs); err != nil {
			return nil, err
		}
		size := (k.Curve.Params().N.BitLen() + 7) / 8
		value = append(rs.R.FillBytes(make([]byte, size)), rs.S.FillBytes(make([]byte, size))...)
	}
	return []byte(base64.StdEncoding.EncodeToString(value)), nil
}

// signatureOf finds the first signature in a security header.
func signatureOf(doc string) (*soap.Message, *soap.Node, error) {
	m, err := soap.Read(xmlscan.Memory(doc), soap.Limits{})
	if err != nil {
		return nil, nil, err
	}
	for _, b := range m.Blocks {
		if b.Name != (soap.Name{Space: soap.WSSE, Local: "Security"}) {
			continue
		}
		tree, err := m.Tree(&b.Element)
		if err != nil {
			return nil, nil, err
		}
		if sig := tree.Child(dsig, "Signature"); sig != nil {
			return m, sig, nil
		}
	}
	return nil, nil, errors.New("the message has no signature")
}

// elementOf finds the element of a reference wherever it stands in a header block, or in Body.
func elementOf(m *soap.Message, uri string) (*soap.Element, error) {
	id := strings.TrimPrefix(uri, "#")
	places := []*soap.Element{&m.Body}
	for _, b := range m.Blocks {
		places = append(places, &b.Element)
	}
	for _, e := range places {
		tree, err := m.Tree(e)
		if err != nil {
			return nil, err
		}
		if n := nodeOf(tree, id); n != nil {
			return &n.Element, nil
		}
	}
	return nil, fmt.Errorf("no element %s", uri)
}

func nodeOf(n *soap.Node, id string) *soap.Node {
	if n.ID == id {
		return n
	}
	for _, c := range n.Children {
		if found := nodeOf(c, id); found != nil {
			return found
		}
	}
	return nil
}

// canonical reads a method; what is none is signed in inclusive form.
func canonical(n *soap.Node) c14n.Method {
	m, _ := c14n.ByURI(n.Attr("", "Algorithm"))
	if list := n.Child(c14n.ExclusiveURI, "InclusiveNamespaces"); list != nil {
		m.Prefixes = strings.FieldsFunc(list.Attr("", "PrefixList"), func(c rune) bool { return strings.ContainsRune(" \t\r\n", c) })
	}
	return m
}

// hashNamed is the hash that an algorithm's identifier ends in, SHA-256 where it names none.
func hashNamed(n *soap.Node) crypto.Hash {
	for suffix, h := range map[string]crypto.Hash{"sha1": crypto.SHA1, "sha384": crypto.SHA384, "sha512": crypto.SHA512, "md5": crypto.MD5} {
		if strings.HasSuffix(n.Attr("", "Algorithm"), suffix) {
			return h
		}
	}
	return crypto.SHA256
}

func edited(m *soap.Message, changes ...soap.Change) (string, error) {
	edit, err := m.Edit(changes...)
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	_, err = edit.WriteTo(&b)
	return b.String(), err
}
