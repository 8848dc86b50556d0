package wssec

import (
	"crypto/subtle"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	"gsigw/soap"
	"gsigw/wssec/c14n"
)

// signature is what a ds:Signature says (XML Signature 1.1, section 4).
type signature struct {
	node       *soap.Node
	info       *soap.Node
	method     c14n.Method // of SignedInfo
	algorithm  signatureMethod
	references []reference
	value      []byte
	digest     []byte // of SignedInfo, once it is canonicalised
	keyInfo    *soap.Node
}

// reference is a ds:Reference to an element of the message.
type reference struct {
	id        string
	method    c14n.Method
	token     bool // what is digested is the token that the element, a SecurityTokenReference, names
	algorithm string
	digest    []byte
}

// part is an element that a reference covers.
type part struct {
	element *soap.Element
	method  c14n.Method
	of      *soap.Message // whose element it is, where that is not the message verified
	opened  bool          // it holds what was decrypted after it was digested
}

// parseSignature reads the one Signature of the security header. Its children stand in the schema's order; ds:Object,
// which could hide a moved element, is refused.
func (v *verification) parseSignature() (*signature, error) {
	all := v.security.All(dsig, "Signature")
	if len(all) != 1 {
		if len(all) == 0 {
			return nil, &Error{Class: ClassNoSecurity, Msg: "the security header has no signature"}
		}
		return nil, malformed("the security header has %d signatures; exactly one is understood", len(all))
	}
	if err := expectChildren(all[0], "SignedInfo", "SignatureValue", "KeyInfo"); err != nil {
		return nil, err
	}
	sig := &signature{node: all[0], info: all[0].Children[0], keyInfo: all[0].Children[2]}
	value, err := decodeBase64(all[0].Children[1])
	if err != nil || len(value) == 0 {
		return nil, malformed("SignatureValue is not base64")
	}
	sig.value = value
	return sig, v.parseSignedInfo(sig)
}

// expectChildren demands just these children in this order, all in the signature namespace.
func expectChildren(n *soap.Node, names ...string) error {
	if len(n.Children) != len(names) {
		return malformed("%s must hold %s and nothing else", n.Name.Local, strings.Join(names, ", "))
	}
	for i, name := range names {
		if n.Children[i].Name != (soap.Name{Space: dsig, Local: name}) {
			return malformed("%s holds %s where %s must stand", n.Name.Local, n.Children[i].Name, name)
		}
	}
	return nil
}

// valued are the elements of a signature outside of KeyInfo that hold text.
var valued = []soap.Name{{Space: dsig, Local: "SignatureValue"}, {Space: dsig, Local: "DigestValue"}, {Space: dsig, Local: "KeyInfo"}}

// expectNoText refuses text beside the elements of a signature: the schema has none there.
func expectNoText(n *soap.Node) error {
	if slices.Contains(valued, n.Name) {
		return nil
	}
	if strings.Trim(n.Text, " \t\r\n") != "" {
		return malformed("%s holds text", n.Name.Local)
	}
	for _, child := range n.Children {
		if err := expectNoText(child); err != nil {
			return err
		}
	}
	return nil
}

func (v *verification) parseSignedInfo(sig *signature) error {
	c := sig.info.Children
	if len(c) < 3 || c[0].Name != (soap.Name{Space: dsig, Local: "CanonicalizationMethod"}) || c[1].Name != (soap.Name{Space: dsig, Local: "SignatureMethod"}) {
		return malformed("SignedInfo must hold CanonicalizationMethod, SignatureMethod and references")
	}
	if len(c)-2 > v.maxReferences() {
		return &Error{Class: ClassLimit, Msg: fmt.Sprintf("the signature exceeds the limit references of %d", v.maxReferences())}
	}
	var err error
	if sig.method, err = canonicalisation(c[0]); err != nil {
		return err
	}
	if v.IgnoreSignedInfoPrefixes {
		sig.method.Prefixes = nil
	}
	var ok bool
	if sig.algorithm, ok = signatures[c[1].Attr("", "Algorithm")]; !ok || len(c[1].Children) > 0 {
		return &Error{Class: ClassAlgorithm, Msg: fmt.Sprintf("the signature method %q is not known", c[1].Attr("", "Algorithm"))}
	}
	if err := v.Algorithms.checkHash(sig.algorithm.hash); err != nil {
		return err
	}
	for _, n := range c[2:] {
		r, err := v.parseReference(n)
		if err != nil {
			return err
		}
		sig.references = append(sig.references, r)
	}
	return nil
}

// canonicalisation reads a CanonicalizationMethod or Transform. Only canonical XML without comments is on the list: a
// reference by id leaves comments out in any case (XML Signature 1.1, section 4.4.3.3).
func canonicalisation(n *soap.Node) (c14n.Method, error) {
	uri := n.Attr("", "Algorithm")
	m, ok := c14n.ByURI(uri)
	if !ok || m.Comments {
		return m, &Error{Class: ClassAlgorithm, Msg: fmt.Sprintf("the transform or canonicalization %q is not allowed", uri)}
	}
	if len(n.Children) == 0 {
		return m, nil
	}
	list := n.Children[0]
	if len(n.Children) > 1 || !m.Exclusive || list.Name != (soap.Name{Space: c14n.ExclusiveURI, Local: "InclusiveNamespaces"}) || len(list.Children) > 0 {
		return m, &Error{Class: ClassAlgorithm, Msg: fmt.Sprintf("%s has parameters that are not understood", n.Name.Local)}
	}
	prefixes := list.Attr("", "PrefixList")
	m.Prefixes = slices.AppendSeq(make([]string, 0, len(prefixes)/2+1), strings.FieldsFuncSeq(prefixes, isXMLSpace))
	return m, nil
}

// isXMLSpace is narrower than Unicode's white space, which a name may not hold either, but which separates none.
func isXMLSpace(c rune) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// manifest is the Type of a reference to a list of references (XML Signature 1.1, section 5.1).
const manifest = dsig + "Manifest"

// parseReference reads one Reference: to an element of this message by id, through at most one transform.
func (v *verification) parseReference(n *soap.Node) (r reference, err error) {
	if n.Name != (soap.Name{Space: dsig, Local: "Reference"}) {
		return r, malformed("SignedInfo holds %s where Reference must stand", n.Name)
	}
	var ok bool
	if r.id, ok = localID(n.Attr("", "URI")); !ok {
		return r, &Error{Class: ClassWrapped, Msg: fmt.Sprintf("the reference %.80q is not to an element of this message by its id", n.Attr("", "URI"))}
	}
	if n.Attr("", "Type") == manifest {
		return r, &Error{Class: ClassWrapped, Msg: fmt.Sprintf("the reference #%.80s is to a Manifest, whose own references are not looked at", r.id)}
	}
	rest := n.Children
	if len(rest) == 3 {
		if err := expectChildren(rest[0], "Transform"); err != nil {
			return r, &Error{Class: ClassAlgorithm, Msg: fmt.Sprintf("the reference #%.80s has other than one transform", r.id)}
		}
		if r.method, err = r.readTransform(rest[0].Children[0]); err != nil {
			return r, err
		}
		if rest[0].Name != (soap.Name{Space: dsig, Local: "Transforms"}) {
			return r, malformed("Reference holds %s where Transforms must stand", rest[0].Name)
		}
		rest = rest[1:]
	}
	if len(rest) != 2 || rest[0].Name != (soap.Name{Space: dsig, Local: "DigestMethod"}) || rest[1].Name != (soap.Name{Space: dsig, Local: "DigestValue"}) {
		return r, malformed("Reference must hold Transforms, DigestMethod and DigestValue")
	}
	r.algorithm = rest[0].Attr("", "Algorithm")
	hash, ok := digests[r.algorithm]
	if !ok || len(rest[0].Children) > 0 {
		return r, &Error{Class: ClassAlgorithm, Msg: fmt.Sprintf("the digest method %q is not known", r.algorithm)}
	}
	if err := v.Algorithms.checkHash(hash); err != nil {
		return r, err
	}
	if r.digest, err = decodeBase64(rest[1]); err != nil || len(r.digest) != hash.Size() {
		return r, malformed("DigestValue is not a base64 value of the digest's size")
	}
	return r, nil
}

func (r *reference) readTransform(n *soap.Node) (c14n.Method, error) {
	if r.token = n.Attr("", "Algorithm") == strTransform; r.token {
		return strParameters(n)
	}
	return canonicalisation(n)
}

// checkSignature checks the value over SignedInfo, canonicalised from the bytes that were parsed.
func (v *verification) checkSignature(sig *signature, signer *x509.Certificate) error {
	if err := v.Algorithms.checkKey(signer.PublicKey); err != nil {
		return err
	}
	if !sig.algorithm.fits(signer.PublicKey) {
		return &Error{Class: ClassAlgorithm, Msg: "the signature method is not for the signer's kind of key"}
	}
	h := sig.algorithm.hash.New()
	if err := c14n.Write(h, v.m.Scan(&sig.info.Element), sig.method); err != nil {
		return err
	}
	sig.digest = h.Sum(nil)
	if err := verifySignature(signer.PublicKey, sig.algorithm, sig.digest, sig.value); err != nil {
		return &Error{Class: ClassSignature, Msg: "the signature over SignedInfo does not hold", Err: err}
	}
	return nil
}

// checkReferences digests every element that is referred to. It must stand where it counts: Body, a header block, the
// Timestamp, the token, an EncryptedKey or a SignatureConfirmation of this security header.
func (v *verification) checkReferences(sig *signature) error {
	if err := expectNoText(sig.node); err != nil { // what the signer wrote; what somebody changed is refused already
		return err
	}
	for _, r := range sig.references {
		if r.token {
			if err := v.checkDereferenced(sig, r); err != nil {
				return err
			}
			continue
		}
		e := v.position(r.id)
		switch n := v.m.CountID(r.id); {
		case n > 1:
			return &Error{Class: ClassDuplicateID, Msg: fmt.Sprintf("%d elements have the signed id %.80s", n, r.id)}
		case e == nil:
			return &Error{Class: ClassWrapped, Msg: fmt.Sprintf("the signed element #%.80s is neither Body nor a header block nor the Timestamp", r.id)}
		case v.signed[e] != nil:
			return malformed("two references are to the element #%.80s", r.id)
		}
		h := digests[r.algorithm].New()
		if err := v.m.WriteCanonical(h, e, r.method); err != nil {
			return err
		}
		if subtle.ConstantTimeCompare(h.Sum(nil), r.digest) != 1 {
			return &Error{Class: ClassDigest, Msg: fmt.Sprintf("%s is not what was signed", e.Name)}
		}
		v.signed[e] = &part{element: e, method: r.method}
	}
	return nil
}

// position finds the element of an id among the places where a signed element counts.
func (v *verification) position(id string) *soap.Element {
	if v.m.Body.ID == id {
		return &v.m.Body
	}
	for _, b := range v.m.Blocks {
		if b.ID == id && v.isOwnPlace(b) {
			return &b.Element
		}
	}
	for _, n := range v.security.Children {
		switch n.Name {
		case timestampName, tokenName, confirmationName, encryptedKeyName:
			if n.ID == id {
				return &n.Element
			}
		}
	}
	return nil
}

// isOwnPlace reports whether a header block is where such an element belongs: our security header counts by its
// children, Body and Timestamp count elsewhere.
func (v *verification) isOwnPlace(b *soap.Block) bool {
	return !(isSecurity(b) && b.ForUltimate()) && b.Name != v.m.Body.Name && b.Name != timestampName
}
