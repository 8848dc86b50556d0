package wssec

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"gsigw/soap"
	"gsigw/soap/xmlscan"
	"gsigw/wssec/c14n"
)

// signing makes the signature of one message: what all profiles that sign have in common. A profile digests its own
// elements and the message's parts, and then asks for the Signature:
//
//	id, timestamp := s.timestamp(now, 0)
//	err := s.own(id, timestamp)
//	err = s.parts()
//	signature, err := s.signature(keyInfo)
//	edit, err := m.Edit(append(s.changes, m.PutHeaders(header))...)
type signing struct {
	m      *soap.Message
	key    crypto.Signer
	digest Digest
	drop   []soap.Name

	// within is what is in scope around our own elements where PrefixLists are wanted, else nil.
	within *xmlscan.Scope

	changes    []soap.Change
	references bytes.Buffer
	value      []byte // of the signature, once it is made
}

func digestOf(h crypto.Hash, b []byte) []byte {
	d := h.New()
	d.Write(b)
	return d.Sum(nil)
}

// timestamp is written in canonical form: what is written is what is hashed. A lifetime of zero is five minutes.
func (s *signing) timestamp(now time.Time, lifetime time.Duration) (id string, b []byte) {
	id = s.newID("id-")
	return id, timestamp(id, now, lifetime)
}

func timestamp(id string, now time.Time, lifetime time.Duration) []byte {
	if lifetime == 0 {
		lifetime = 5 * time.Minute
	}
	created := now.UTC().Truncate(time.Second)
	return fmt.Appendf(nil, `<wsu:Timestamp xmlns:wsu="%s" wsu:Id="%s"><wsu:Created>%s</wsu:Created><wsu:Expires>%s</wsu:Expires></wsu:Timestamp>`,
		soap.WSU, id, created.Format(time.RFC3339), created.Add(lifetime).Format(time.RFC3339))
}

// newID is an id that no element of the message has.
func (s *signing) newID(prefix string) string { return newID(s.m, prefix) }

func newID(m *soap.Message, prefix string) string {
	for {
		var b [16]byte
		rand.Read(b[:]) // never fails (crypto/rand)
		if id := prefix + hex.EncodeToString(b[:]); m.CountID(id) == 0 {
			return id
		}
	}
}

// own refers to an element of ours in the security header, written in canonical form.
func (s *signing) own(id string, element []byte) error {
	prefixes, digest, err := s.digestOwn(s.digest.hash(), element)
	s.reference(id, prefixes, digest)
	return err
}

// digestOwn digests an element that is written in canonical form; with a PrefixList it has another one.
func (s *signing) digestOwn(h crypto.Hash, element []byte) (prefixes []string, digest []byte, err error) {
	if s.within == nil {
		return nil, digestOf(h, element), nil
	}
	d := h.New()
	if prefixes, err = unseen(scanOwn(element, s.within), s.within, ""); err != nil {
		return nil, nil, err
	}
	err = c14n.Write(d, scanOwn(element, s.within), c14n.Method{Exclusive: true, Prefixes: prefixes})
	return prefixes, d.Sum(nil), err
}

func scanOwn(element []byte, scope *xmlscan.Scope) *xmlscan.Scanner {
	return xmlscan.NewElement(xmlscan.Memory(element), xmlscan.Span{End: int64(len(element))}, scope, xmlscan.Limits{})
}

// referenceSize is about the size of a Reference.
const referenceSize = 512

// parts digests Body and the header blocks, giving them ids, and drops those that the route drops.
func (s *signing) parts() error {
	s.references.Grow(referenceSize * (len(s.m.Blocks) + 2))
	if err := s.part(&s.m.Body); err != nil {
		return err
	}
	for _, b := range s.m.Blocks {
		switch {
		case isSecurity(b):
		case slices.Contains(s.drop, b.Name):
			s.changes = append(s.changes, soap.Change{Span: b.Span})
		default:
			if err := s.part(&b.Element); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *signing) part(e *soap.Element) error {
	method := c14n.Method{Exclusive: true}
	id := e.ID
	if !e.WSUID {
		id = s.newID("id-")
		method.ApexID = &c14n.ID{Prefix: "wsu", Space: soap.WSU, Local: "Id", Value: id}
	} else if id == "" || strings.ContainsAny(id, "&<>\"' \t\r\n") || s.m.CountID(id) != 1 {
		return &xmlscan.Error{Class: xmlscan.Malformed, Offset: e.Span.Start, Msg: fmt.Sprintf("has on %s the wsu:Id %.80q, which is no id or not the only one of its value", e.Name, id)}
	}
	if s.within != nil {
		var err error
		if method.Prefixes, err = unseen(s.m.Scan(e), orEmpty(e.Scope), "wsu"); err != nil {
			return err
		}
	}
	h := s.digest.hash().New()
	if err := s.m.WriteCanonical(h, e, method); err != nil {
		return err
	}
	if a := method.ApexID; a != nil {
		s.changes = append(s.changes, soap.Insert(e.NameEnd, idAttribute(a.Prefix, id, a.Declared)))
	}
	s.reference(id, method.Prefixes, h.Sum(nil))
	return nil
}

func idAttribute(prefix, id string, declared bool) []byte {
	if declared {
		return fmt.Appendf(nil, ` %s:Id="%s"`, prefix, id)
	}
	return fmt.Appendf(nil, ` xmlns:%s="%s" %[1]s:Id="%[3]s"`, prefix, soap.WSU, id)
}

func (s *signing) reference(id string, prefixes []string, digest []byte) {
	s.referenceThrough(id, fmt.Appendf(nil, `<ds:Transform Algorithm="%s">%s</ds:Transform>`, c14n.ExclusiveURI, prefixList(prefixes)), digest)
}

// referenceThrough refers to an element through a transform.
func (s *signing) referenceThrough(id string, transform, digest []byte) {
	fmt.Fprintf(&s.references, `<ds:Reference URI="#%s"><ds:Transforms>%s</ds:Transforms>`+
		`<ds:DigestMethod Algorithm="%s"></ds:DigestMethod><ds:DigestValue>%s</ds:DigestValue></ds:Reference>`,
		id, transform, digestURI(s.digest.hash()), base64.StdEncoding.EncodeToString(digest))
}

// signature signs the references. The function writes KeyInfo.
func (s *signing) signature(keyInfo func() []byte) ([]byte, error) {
	method, err := methodFor(s.key.Public(), s.digest)
	if err != nil {
		return nil, err
	}
	info, digest, err := s.signedInfo(method)
	if err != nil {
		return nil, err
	}
	if s.value, err = sign(s.key, rand.Reader, method.hash, digest); err != nil {
		return nil, fmt.Errorf("wssec: signing: %w", err)
	}
	return fmt.Appendf(make([]byte, 0, 2*(len(info)+len(s.value))), `<ds:Signature xmlns:ds="%s">%s<ds:SignatureValue>%s</ds:SignatureValue>%s</ds:Signature>`,
		dsig, info, base64.StdEncoding.EncodeToString(s.value), keyInfo()), nil
}

// signedInfo writes SignedInfo and digests it.
func (s *signing) signedInfo(method signatureMethod) (info, digest []byte, err error) {
	var prefixes []string
	write := func() []byte {
		return fmt.Appendf(make([]byte, 0, s.references.Len()+referenceSize), `<ds:SignedInfo xmlns:ds="%s"><ds:CanonicalizationMethod Algorithm="%s">%s</ds:CanonicalizationMethod>`+
			`<ds:SignatureMethod Algorithm="%s"></ds:SignatureMethod>%s</ds:SignedInfo>`,
			dsig, c14n.ExclusiveURI, prefixList(prefixes), signatureURI(method), s.references.Bytes())
	}
	if s.within != nil {
		// The list depends on the start tag alone.
		if prefixes, err = unseen(scanOwn(write(), s.within), s.within, ""); err != nil {
			return nil, nil, err
		}
	}
	info = write()
	_, digest, err = s.digestOwn(method.hash, info)
	return info, digest, err
}
