package wssec

import (
	"bytes"
	"crypto/subtle"
	"fmt"
	"slices"

	"gsigw/soap"
	"gsigw/wssec/c14n"
)

// strTransform puts the token in the place of the SecurityTokenReference that a reference is to (WS-Security 1.1,
// section 8.3).
const strTransform = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#STR-Transform"

var strName = soap.Name{Space: soap.WSSE, Local: "SecurityTokenReference"}

// The identifiers of the SAML token profile 1.1, sections 3.3 and 3.4.
const (
	saml11       = "urn:oasis:names:tc:SAML:1.0:assertion" // SAML 1.1, too
	saml20       = "urn:oasis:names:tc:SAML:2.0:assertion"
	typeSAML11ID = "http://docs.oasis-open.org/wss/oasis-wss-saml-token-profile-1.0#SAMLAssertionID"
	typeSAML20ID = "http://docs.oasis-open.org/wss/oasis-wss-saml-token-profile-1.1#SAMLID"
)

// strParameters reads the canonicalization that a STR-Transform names.
func strParameters(transform *soap.Node) (c14n.Method, error) {
	if len(transform.Children) == 1 && transform.Children[0].Name == (soap.Name{Space: soap.WSSE, Local: "TransformationParameters"}) {
		if p := transform.Children[0]; len(p.Children) == 1 && p.Children[0].Name == (soap.Name{Space: dsig, Local: "CanonicalizationMethod"}) {
			return canonicalisation(p.Children[0])
		}
	}
	return c14n.Method{}, malformed("STR-Transform must hold one CanonicalizationMethod in its TransformationParameters")
}

// checkDereferenced digests the token that a signed SecurityTokenReference names. The reference must stand in this
// security header or be the signature's own, and the token be one of this header.
func (v *verification) checkDereferenced(sig *signature, r reference) error {
	if n := v.m.CountID(r.id); n > 1 {
		return &Error{Class: ClassDuplicateID, Msg: fmt.Sprintf("%d elements have the signed id %.80s", n, r.id)}
	}
	places := slices.Concat(v.security.Children, sig.keyInfo.Children)
	i := slices.IndexFunc(places, func(n *soap.Node) bool { return n.ID == r.id && n.Name == strName })
	if i < 0 {
		return &Error{Class: ClassWrapped, Msg: fmt.Sprintf("the signed element #%.80s is no token reference of this security header", r.id)}
	}
	token, err := v.localToken(places[i])
	if err != nil {
		return err
	}
	if v.signed[&token.Element] != nil {
		return malformed("two references are to the token #%.80s", r.id)
	}
	holds, err := v.digestHolds(token, r)
	if err != nil {
		return err
	}
	if !holds {
		return &Error{Class: ClassDigest, Msg: fmt.Sprintf("%s is not what was signed", token.Name)}
	}
	v.signed[&token.Element] = &part{element: &token.Element, method: r.method}
	return nil
}

// localToken finds the token of this security header that a SecurityTokenReference names.
func (v *verification) localToken(str *soap.Node) (*soap.Node, error) {
	if len(str.Children) == 1 && str.Children[0].Name == (soap.Name{Space: soap.WSSE, Local: "KeyIdentifier"}) {
		switch n := str.Children[0]; n.Attr("", "ValueType") {
		case typeSAML11ID:
			return v.assertion(saml11, samlVersion11.idAttr, n.TrimmedText())
		case typeSAML20ID:
			return v.assertion(saml20, samlVersion20.idAttr, n.TrimmedText())
		}
	}
	return v.referencedToken(str)
}

func (v *verification) assertion(space, attr, id string) (*soap.Node, error) {
	for _, n := range v.security.All(space, "Assertion") {
		if id == "" || n.Attr("", attr) != id {
			continue
		}
		if count := v.m.CountID(id); count != 1 {
			return nil, &Error{Class: ClassDuplicateID, Msg: fmt.Sprintf("%d elements have the assertion's id %.80s", count, id)}
		}
		return n, nil
	}
	return nil, malformed("the token reference to %.80q is to no assertion of this security header", id)
}

// digestHolds compares the token's digest. Where a default namespace is in scope that the token does not use, the
// transform's words and WSS4J, whose reading everybody else follows, differ on whether it is written: either will do.
func (v *verification) digestHolds(token *soap.Node, r reference) (bool, error) {
	plain := r.method
	if r.method.Exclusive {
		r.method.Prefixes = append(slices.Clip(r.method.Prefixes), "#default")
	}
	var b bytes.Buffer
	if err := c14n.Write(&b, v.m.Scan(&token.Element), r.method); err != nil {
		return false, err
	}
	if r.matches(emptyDefault(b.Bytes())) {
		return true, nil
	}
	if space, _ := orEmpty(token.Scope).Lookup(""); space == "" {
		return false, nil
	}
	b.Reset()
	if err := c14n.Write(&b, v.m.Scan(&token.Element), plain); err != nil {
		return false, err
	}
	return r.matches(b.Bytes()), nil
}

func (r reference) matches(b []byte) bool {
	return subtle.ConstantTimeCompare(digestOf(digests[r.algorithm], b), r.digest) == 1
}

// emptyDefault puts xmlns="" into the first tag of a canonical form, as the transform wants it for a token without a
// default namespace; canonical XML writes that first.
func emptyDefault(canonical []byte) []byte {
	i := bytes.IndexAny(canonical, " >")
	if i < 0 || bytes.HasPrefix(canonical[i:], []byte(` xmlns="`)) {
		return canonical
	}
	return slices.Concat(canonical[:i], []byte(` xmlns=""`), canonical[i:])
}
