package wssec_test

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"os"
	"strings"
	"testing"

	"gsigw/gsi"
	"gsigw/soap"
	. "gsigw/wssec"
	"gsigw/wssec/c14n"
)

// sealer signs anything: it fills in the digests and the signature that a message's own SignedInfo asks for, by
// whatever method, over whatever elements. Tests make a variant by editing text, and seal it.
type sealer struct {
	key   crypto.Signer
	quirk bool // SignedInfo is canonicalised as GT4 does it, without its InclusiveNamespaces
}

func (s sealer) seal(t testing.TB, doc string) string {
	t.Helper()
	m, sig := signatureOf(t, doc)
	var digests []soap.Change
	for _, r := range sig.Child(DSig, "SignedInfo").All(DSig, "Reference") {
		var method c14n.Method
		if tr := r.Child(DSig, "Transforms"); tr != nil {
			method = canonical(t, tr.Children[0])
		}
		h := hashOf(t, r.Child(DSig, "DigestMethod")).New()
		if err := c14n.Write(h, m.Scan(elementOf(t, m, r.Attr("", "URI"))), method); err != nil {
			t.Fatal(err)
		}
		digests = append(digests, soap.Change{Span: r.Child(DSig, "DigestValue").Inner(), With: base64Of(h.Sum(nil))})
	}
	doc = edited(t, m, digests...)
	m, sig = signatureOf(t, doc)
	return edited(t, m, soap.Change{Span: sig.Child(DSig, "SignatureValue").Inner(), With: base64Of(s.sign(t, m, sig.Child(DSig, "SignedInfo")))})
}

func (s sealer) sign(t testing.TB, m *soap.Message, info *soap.Node) []byte {
	t.Helper()
	method := canonical(t, info.Child(DSig, "CanonicalizationMethod"))
	if s.quirk {
		method.Prefixes = nil
	}
	hash := hashOf(t, info.Child(DSig, "SignatureMethod"))
	h := hash.New()
	if err := c14n.Write(h, m.Scan(&info.Element), method); err != nil {
		t.Fatal(err)
	}
	if k, ok := s.key.(*rsa.PrivateKey); ok && k.N.BitLen() < 1024 {
		return shortRSA(k, h.Sum(nil))
	}
	value, err := SignDigest(s.key, hash, h.Sum(nil))
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// shortRSA signs a SHA-1 digest with a key that crypto/rsa refuses (RFC 8017, section 8.2.1).
func shortRSA(k *rsa.PrivateKey, digest []byte) []byte {
	info := append([]byte("\x30\x21\x30\x09\x06\x05\x2b\x0e\x03\x02\x1a\x05\x00\x04\x14"), digest...)
	em := append([]byte{0, 1}, bytes.Repeat([]byte{0xff}, k.Size()-3-len(info))...)
	em = append(append(em, 0), info...)
	return new(big.Int).Exp(new(big.Int).SetBytes(em), k.D, k.N).FillBytes(make([]byte, k.Size()))
}

func signatureOf(t testing.TB, doc string) (*soap.Message, *soap.Node) {
	t.Helper()
	m := parse(t, doc)
	for _, b := range m.Blocks {
		if !IsSecurity(b) {
			continue
		}
		tree, err := m.Tree(&b.Element)
		if err != nil {
			t.Fatal(err)
		}
		if sig := tree.Child(DSig, "Signature"); sig != nil {
			return m, sig
		}
	}
	t.Fatal("no signature in", doc)
	return nil, nil
}

// elementOf finds the element of a reference wherever it stands in a header block, or Body.
func elementOf(t testing.TB, m *soap.Message, uri string) *soap.Element {
	t.Helper()
	id := strings.TrimPrefix(uri, "#")
	if m.Body.ID == id {
		return &m.Body
	}
	var find func(n *soap.Node) *soap.Element
	find = func(n *soap.Node) *soap.Element {
		if n.ID == id {
			return &n.Element
		}
		for _, c := range n.Children {
			if e := find(c); e != nil {
				return e
			}
		}
		return nil
	}
	for _, b := range m.Blocks {
		tree, err := m.Tree(&b.Element)
		if err != nil {
			t.Fatal(err)
		}
		if e := find(tree); e != nil {
			return e
		}
	}
	t.Fatalf("no element %s", uri)
	return nil
}

func canonical(t testing.TB, n *soap.Node) c14n.Method {
	t.Helper()
	m, ok := c14n.ByURI(n.Attr("", "Algorithm"))
	if !ok {
		t.Fatal("not canonical XML:", n.Attr("", "Algorithm"))
	}
	if list := n.Child(c14n.ExclusiveURI, "InclusiveNamespaces"); list != nil {
		m.Prefixes = strings.Fields(list.Attr("", "PrefixList"))
	}
	return m
}

func hashOf(t testing.TB, n *soap.Node) crypto.Hash {
	t.Helper()
	for suffix, h := range map[string]crypto.Hash{"sha1": crypto.SHA1, "sha256": crypto.SHA256, "sha512": crypto.SHA512, "md5": crypto.MD5} {
		if strings.HasSuffix(n.Attr("", "Algorithm"), suffix) {
			return h
		}
	}
	t.Fatal("no hash:", n.Attr("", "Algorithm"))
	return 0
}

func base64Of(b []byte) []byte { return []byte(base64.StdEncoding.EncodeToString(b)) }

func edited(t testing.TB, m *soap.Message, changes ...soap.Change) string {
	t.Helper()
	edit, err := m.Edit(changes...)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := edit.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// unreferenced takes the references to these elements out of SignedInfo.
func unreferenced(names ...string) func(string) string {
	return func(doc string) string {
		for _, name := range names {
			id := idOf(doc, name)
			for _, ref := range strings.SplitAfter(doc, "</ds:Reference>") {
				if i := strings.Index(ref, `<ds:Reference URI="#`+id+`"`); i >= 0 {
					doc = strings.Replace(doc, ref[i:], "", 1)
				}
			}
		}
		return doc
	}
}

// idOf is the id in the first start tag of that qualified name.
func idOf(doc, name string) string {
	_, tag, ok := strings.Cut(doc, "<"+name)
	if !ok {
		panic("not in the message: " + name)
	}
	tag, _, _ = strings.Cut(tag, ">")
	_, id, _ := strings.Cut(tag, `Id="`)
	id, _, _ = strings.Cut(id, `"`)
	return id
}

// token puts another token into the message.
func token(kind string, der []byte) func(string) string {
	return func(doc string) string {
		old := cut(doc, "wsse:BinarySecurityToken")
		head, _, _ := strings.Cut(old, ">")
		doc = strings.Replace(doc, old, head+">"+string(base64Of(der))+"</wsse:BinarySecurityToken>", 1)
		return strings.NewReplacer("#X509PKIPathv1", "#"+kind, "#X509v3", "#"+kind).Replace(doc)
	}
}

// path is a PKIPath of these certificates in this order, whatever that may be.
func path(certs ...*x509.Certificate) []byte {
	var body []byte
	for _, c := range certs {
		body = append(body, c.Raw...)
	}
	der, err := asn1.Marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: body})
	if err != nil {
		panic(err)
	}
	return der
}

// inOrder makes one change after the other.
func inOrder(changes ...func(string) string) func(string) string {
	return func(doc string) string {
		for _, c := range changes {
			doc = c(doc)
		}
		return doc
	}
}

// gt4Credential reads a credential of the run that the captures are from.
func gt4Credential(t testing.TB, name string) *gsi.Credential {
	t.Helper()
	rest, err := os.ReadFile("testdata/gt4/pki/" + name + ".pem")
	if err != nil {
		t.Fatal(err)
	}
	c := &gsi.Credential{}
	for {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			return c
		}
		if b.Type != "CERTIFICATE" {
			if c.Key, err = x509.ParsePKCS1PrivateKey(b.Bytes); err != nil {
				t.Fatal(name, err)
			}
			continue
		}
		cert, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			t.Fatal(name, err)
		}
		c.Chain = append(c.Chain, cert)
	}
}
