package wssec

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/subtle"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"time"

	"github.com/beevik/etree"
	xmldsig "github.com/russellhaering/goxmldsig"

	"gsigw/gsi"
	"gsigw/soap"
	"gsigw/soap/xmlscan"
	"gsigw/wssec/c14n"
)

const enveloped = dsig + "enveloped-signature"

var ncName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)

// checkIssuer checks the assertion's own signature twice: by goxmldsig, which is made for that, and by what verifies
// messages here, on the bytes that are sent. What the two see differently is refused.
func (a *assertion) checkIssuer(p *SAMLToken, m *soap.Message, now time.Time) error {
	signature, err := a.onlySignature()
	if err != nil {
		return err
	}
	v := &verification{Verifier: &Verifier{Algorithms: Algorithms{SHA1: true}}, m: a.m}
	sig, err := a.parseSignature(v, signature)
	if err != nil {
		return refuseAssertion("its signature: %w", err)
	}
	if !p.SHA1 && (sig.algorithm.hash == crypto.SHA1 || digests[sig.references[0].algorithm] == crypto.SHA1) {
		return refuseAssertion("its issuer signed it with SHA-1, which is weak: ask it for SHA-256")
	}
	chain, err := a.issuerChain(sig.keyInfo)
	if err != nil {
		return err
	}
	if err := p.trusted(chain, now); err != nil {
		return err
	}
	if err := v.checkSignature(sig, chain[0]); err != nil {
		return refuseAssertion("its signature: %w", err)
	}
	if err := a.checkDigest(signature, sig.references[0]); err != nil {
		return err
	}
	if err := a.secondOpinion(sig, chain[0], now); err != nil {
		return err
	}
	return a.checkPrefixLists(m, sig)
}

// checkPrefixLists refuses PrefixLists that the message would give another meaning: a prefix that is listed, and that the
// assertion leaves undeclared, is written as a declaration where the message around it has one (Exclusive XML
// Canonicalization 1.0, section 3), and the issuer's signature holds no more.
func (a *assertion) checkPrefixLists(m *soap.Message, sig *signature) error {
	around, err := headerScope(m)
	if err != nil {
		return err
	}
	around = declare(around, securityBindings(m.Version)...)
	for _, list := range []struct {
		of       *soap.Element
		prefixes []string
	}{{&a.tree.Element, sig.references[0].method.Prefixes}, {&sig.info.Element, sig.method.Prefixes}} {
		in, err := innerScope(a.m, list.of)
		if err != nil {
			return refuseAssertion("%w", err)
		}
		own := &xmlscan.Scope{Bindings: in.Bindings[len(a.tree.Scope.Bindings):]}
		for _, p := range list.prefixes {
			_, declared := own.Lookup(p)
			if space, bound := around.Lookup(p); bound && !declared && p != "xml" { // #default is nobody's: samlHeader
				return refuseAssertion("its signature's PrefixList names the prefix %.80q, which it does not declare and the message does, for %.200q: the signature would not hold there; ask its issuer for a list of the assertion's own prefixes", p, space)
			}
		}
	}
	return nil
}

// onlySignature finds the one Signature that there may be anywhere: a child of the assertion.
func (a *assertion) onlySignature() (*soap.Node, error) {
	var all []*soap.Node
	var walk func(*soap.Node)
	walk = func(n *soap.Node) {
		for _, c := range n.Children {
			if c.Name == (soap.Name{Space: dsig, Local: "Signature"}) {
				all = append(all, c)
			}
			walk(c)
		}
	}
	walk(a.tree)
	switch {
	case len(all) == 0:
		return nil, refuseAssertion("its issuer did not sign it")
	case len(all) > 1 || !slices.Contains(a.tree.Children, all[0]):
		return nil, refuseAssertion("it must have one signature, as its own child")
	}
	return all[0], nil
}

// parseSignature reads a Signature with one reference, to the assertion without the Signature, in exclusive canonical
// XML: an inclusive one would not survive the envelope.
func (a *assertion) parseSignature(v *verification, n *soap.Node) (*signature, error) {
	if err := expectChildren(n, "SignedInfo", "SignatureValue", "KeyInfo"); err != nil {
		return nil, err
	}
	sig := &signature{info: n.Children[0], keyInfo: n.Children[2]}
	value, err := decodeBase64(n.Children[1])
	if err != nil {
		return nil, malformed("SignatureValue is not base64")
	}
	sig.value = value
	if len(sig.info.Children) != 3 {
		return nil, malformed("SignedInfo must hold one reference, to the assertion")
	}
	ref := sig.info.Children[2]
	if len(ref.Children) == 0 || len(ref.Children[0].Children) != 2 || ref.Children[0].Children[0].Attr("", "Algorithm") != enveloped {
		return nil, malformed("the reference must have two transforms, enveloped-signature and exclusive canonicalization")
	}
	// With the first transform out of the way, it is a reference as messages have it.
	ref.Children[0].Children = ref.Children[0].Children[1:]
	if err := v.parseSignedInfo(sig); err != nil {
		return nil, err
	}
	r := sig.references[0]
	if r.id != a.id {
		return nil, &Error{Class: ClassWrapped, Msg: fmt.Sprintf("it signs #%.80s, which is not the assertion", r.id)}
	}
	if r.token || !r.method.Exclusive || !sig.method.Exclusive {
		return nil, &Error{Class: ClassAlgorithm, Msg: "it is over inclusive canonical XML, which is another inside a message; the issuer must use exclusive canonical XML"}
	}
	return sig, nil
}

// issuerChain reads the certificates that came with the signature: first the signer's.
func (a *assertion) issuerChain(keyInfo *soap.Node) (chain []*x509.Certificate, err error) {
	if err := checkKeyInfo(keyInfo); err != nil {
		return nil, err
	}
	for _, x := range keyInfo.All(dsig, "X509Data") {
		for _, n := range x.All(dsig, "X509Certificate") {
			if len(chain) == (&Verifier{}).maxCertificates() {
				return nil, refuseAssertion("it brings more than %d certificates", len(chain))
			}
			cert, err := certificateOf(n)
			if err != nil {
				return nil, refuseAssertion("the certificate of its issuer: %w", err)
			}
			chain = append(chain, cert)
		}
	}
	if len(chain) == 0 {
		return nil, refuseAssertion("it does not bring the certificate that it is signed with")
	}
	return chain, nil
}

// keyNames are what may stand in KeyInfo, all of it text (XML Signature 1.1, section 4.5).
var keyNames = []string{"KeyName", "X509Data", "X509Certificate", "X509SubjectName", "X509IssuerSerial", "X509IssuerName", "X509SerialNumber", "X509SKI"}

// checkKeyInfo refuses what is more than a key's names and certificates: no signature covers KeyInfo, and somebody could
// have put in a second assertion.
func checkKeyInfo(n *soap.Node) error {
	for _, child := range n.Children {
		if child.Name.Space != dsig || !slices.Contains(keyNames, child.Name.Local) {
			return refuseAssertion("beside its issuer's certificates stands %s, which no signature covers: ask its issuer for one with certificates alone", child.Name)
		}
		if err := checkKeyInfo(child); err != nil {
			return err
		}
	}
	return nil
}

// trusted judges who signed the assertion.
func (p *SAMLToken) trusted(chain []*x509.Certificate, now time.Time) error {
	pinned := len(p.Issuers) > 0
	if pinned && !slices.ContainsFunc(p.Issuers, chain[0].Equal) {
		return refuseAssertion("it is signed by %s, which is none of the issuers", gsi.OneLine(chain[0].RawSubject))
	}
	if now.Before(chain[0].NotBefore) || now.After(chain[0].NotAfter) {
		return refuseAssertion("the certificate of its issuer is out of its time")
	}
	if p.Issuer == nil {
		if pinned {
			return nil
		}
		return refuseAssertion("nothing says which issuers to trust")
	}
	id, err := p.Issuer.Verify(chain, now)
	if err != nil {
		return refuseAssertion("the chain of its issuer does not hold: %w", err)
	}
	if id.Depth > 0 {
		return refuseAssertion("it is signed with a proxy certificate of %s, who is no issuer", id.DN)
	}
	return nil
}

// checkDigest digests what is sent, without the Signature.
func (a *assertion) checkDigest(signature *soap.Node, r reference) error {
	var b []byte
	for _, s := range []xmlscan.Span{{Start: a.tree.Span.Start, End: signature.Span.Start}, {Start: signature.Span.End, End: a.tree.Span.End}} {
		piece := make([]byte, s.Len())
		if _, err := a.m.ReadAt(piece, s.Start); err != nil {
			return refuseAssertion("%w", err)
		}
		b = append(b, piece...)
	}
	h := digests[r.algorithm].New()
	if err := c14n.Write(h, scanOwn(b, nil), r.method); err != nil {
		return refuseAssertion("%w", err)
	}
	if subtle.ConstantTimeCompare(h.Sum(nil), r.digest) != 1 {
		return refuseAssertion("it is not what its issuer signed")
	}
	return nil
}

// secondOpinion asks goxmldsig, which takes ECDSA values in DER only, and base64 without white space.
func (a *assertion) secondOpinion(sig *signature, signer *x509.Certificate, now time.Time) error {
	doc := etree.NewDocument()
	if err := doc.ReadFromBytes(a.raw); err != nil || doc.Root() == nil {
		return refuseAssertion("%w", errors.Join(errors.New("no other reader can read it"), err))
	}
	value, err := derSignature(signer.PublicKey, sig.value)
	if err != nil {
		return err
	}
	for _, n := range doc.Root().FindElements("./Signature/SignatureValue") {
		n.SetText(base64.StdEncoding.EncodeToString(value))
	}
	x := xmldsig.NewDefaultValidationContext(&xmldsig.MemoryX509CertificateStore{Roots: []*x509.Certificate{signer}})
	x.IdAttribute, x.Clock = a.idAttr, xmldsig.NewFakeClockAt(now)
	root, err := x.Validate(doc.Root())
	if err != nil {
		return refuseAssertion("its signature, to goxmldsig: %w", err)
	}
	if root.SelectAttrValue(a.idAttr, "") != a.id {
		return refuseAssertion("its signature, to goxmldsig, is over another element")
	}
	return nil
}

// derSignature is a signature value as crypto has it.
func derSignature(key crypto.PublicKey, value []byte) ([]byte, error) {
	if _, ok := key.(*ecdsa.PublicKey); !ok {
		return value, nil
	}
	half := len(value) / 2
	return asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(value[:half]), new(big.Int).SetBytes(value[half:])})
}
