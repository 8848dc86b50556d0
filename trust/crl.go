package trust

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"sync"
	"time"

	"gsigw/gsi"
)

// crl is a revocation list with what was found out about it when it was read.
type crl struct {
	list    *x509.RevocationList
	issuer  string          // gsi.NameKey
	revoked map[string]bool // serial numbers

	mu      sync.Mutex
	signers map[string]bool // by the DER of a CA with that name: did it sign this?
}

// parseCRLs reads the lists of a file: each PEM block that is one, or DER. If one cannot be read, none is taken: it may
// be that which revokes.
func parseCRLs(data []byte) ([]*crl, error) {
	lists := [][]byte{data}
	if bytes.Contains(data, beginning) {
		var err error
		if lists, err = crlBlocks(data); err != nil {
			return nil, err
		}
	}
	var crls []*crl
	for _, der := range lists {
		c, err := parseCRL(der)
		if err != nil {
			return nil, err
		}
		crls = append(crls, c)
	}
	return crls, nil
}

var beginning = []byte("-----BEGIN ")

func crlBlocks(data []byte) (lists [][]byte, err error) {
	unread, kind := bytes.Count(data, beginning), ""
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		unread--
		if kind = block.Type; kind == "X509 CRL" {
			lists = append(lists, block.Bytes)
		}
	}
	switch {
	case unread > 0: // encoding/pem passes over them in silence
		return nil, errors.New("a PEM block of the revocation list is cut off or damaged")
	case lists == nil:
		return nil, fmt.Errorf("a %s where a revocation list should be", kind)
	}
	return lists, nil
}

func parseCRL(der []byte) (*crl, error) {
	list, err := parseList(der)
	if err != nil {
		return nil, err
	}
	if list.NextUpdate.IsZero() {
		return nil, errors.New("the revocation list does not say when the next is due")
	}
	c := &crl{list: list, issuer: gsi.NameKey(list.RawIssuer), revoked: map[string]bool{}, signers: map[string]bool{}}
	return c, c.index()
}

// parseList reads lists of version 1 too (RFC 5280, section 5.1.2.1), which `openssl ca -gencrl` writes without
// crl_extensions and crypto/x509 does not take: it is given the list with the version of the others, and what is signed
// is put back.
func parseList(der []byte) (*x509.RevocationList, error) {
	var parts struct{ List, Algorithm, Signature asn1.RawValue }
	rest, err := asn1.Unmarshal(der, &parts)
	if err != nil || len(rest) > 0 || len(parts.List.Bytes) == 0 || parts.List.Bytes[0] == asn1.TagInteger {
		return x509.ParseRevocationList(der)
	}
	signed := parts.List.FullBytes
	second := slices.Concat([]byte{asn1.TagInteger, 1, 1}, parts.List.Bytes)
	parts.List = asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: second}
	if der, err = asn1.Marshal(parts); err != nil {
		return nil, err
	}
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		return nil, err
	}
	hasExtensions := func(e x509.RevocationListEntry) bool { return e.Extensions != nil }
	if list.Extensions != nil || slices.ContainsFunc(list.RevokedCertificateEntries, hasExtensions) {
		return nil, errors.New("the revocation list is of version 1 and has extensions")
	}
	list.RawTBSRevocationList = signed
	return list, nil
}

// index notes the serial numbers. A critical extension says that the list is
// not what it seems, only a part or somebody else's certificates.
func (c *crl) index() error {
	for _, e := range c.list.Extensions {
		// These two say the same, and have to be critical (RFC 5280, sections 5.2.4 and 5.2.5), which not every CA knows.
		if e.Critical || e.Id.Equal(oidDeltaCRLIndicator) || e.Id.Equal(oidIssuingDistributionPoint) {
			return fmt.Errorf("the revocation list has the extension %s: only full lists are taken", e.Id)
		}
	}
	for _, entry := range c.list.RevokedCertificateEntries {
		for _, e := range entry.Extensions {
			if e.Critical {
				return fmt.Errorf("the revocation list has the critical entry extension %s", e.Id)
			}
		}
		if entry.ReasonCode != removeFromCRL {
			c.revoked[serialKey(entry.SerialNumber)] = true
		}
	}
	return nil
}

var (
	oidDeltaCRLIndicator        = asn1.ObjectIdentifier{2, 5, 29, 27}
	oidIssuingDistributionPoint = asn1.ObjectIdentifier{2, 5, 29, 28}
)

const removeFromCRL = 8 // a hold that ended: not revoked (RFC 5280, section 6.3.3 (k))

func serialKey(n *big.Int) string { return n.Text(16) }

// signedBy says whether the CA signed the list. It finds out once: the list may
// have megabytes. Only CAs that are believed themselves are asked for.
func (c *crl) signedBy(ca *x509.Certificate, o Options) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	signed, known := c.signers[string(ca.Raw)]
	if !known {
		algorithm := algorithmOf(c.list.SignatureAlgorithm, c.list.Raw)
		signed = may(ca, x509.KeyUsageCRLSign) && o.takes(algorithm) &&
			verifies(ca, algorithm, c.list.RawTBSRevocationList, c.list.Signature)
		c.signers[string(ca.Raw)] = signed
	}
	return signed
}

// checkRevocation refuses a certificate that its CA revoked, or of which it
// cannot be known.
func (w *walk) checkRevocation(cert *x509.Certificate, ca *authority) error {
	if w.options.CRL == CRLOff {
		return nil
	}
	const remedy = "fetch the CA's revocation list again, for instance with fetch-crl"
	newest := w.newest(ca.crls)
	switch {
	case w.revokedBy(ca.crls, cert), w.revokedBy(ca.others, cert):
		return refuse(Revoked, cert, "get a new certificate from "+gsi.OneLine(ca.cert.RawSubject), "was revoked by its CA")
	case newest == nil && (ca.doubtful || len(ca.crls) > 0):
		return refuse(CRLInvalid, cert, remedy, "is not known to be unrevoked: no list of its CA can be read, is signed by it and valid already")
	case newest == nil && w.options.CRL == CRLRequire:
		return refuse(CRLMissing, cert, remedy, "is not known to be unrevoked: its CA has no revocation list")
	case newest != nil && !w.at.Before(newest.list.NextUpdate):
		return refuse(CRLExpired, cert, remedy, "is not known to be unrevoked: the list of its CA is stale, it was due for renewal at %s", newest.list.NextUpdate.UTC().Format(time.RFC3339))
	}
	return nil
}

// revokedBy says whether one of the lists that count, the newest and what is to follow it, names the certificate.
func (w *walk) revokedBy(lists []*crl, cert *x509.Certificate) bool {
	newest := w.newest(lists)
	return slices.ContainsFunc(lists, func(c *crl) bool {
		superseded := newest != nil && c.list.ThisUpdate.Before(newest.list.ThisUpdate)
		return !superseded && c.revoked[serialKey(cert.SerialNumber)]
	})
}

// newest returns the latest of the lists that hold already: that is the current one (RFC 5280, section 6.3.3). Those as
// new revoke too, and those that are to hold later.
func (w *walk) newest(lists []*crl) (newest *crl) {
	for _, c := range lists {
		holds := !c.list.ThisUpdate.After(w.at.Add(w.options.Skew))
		if holds && (newest == nil || c.list.ThisUpdate.After(newest.list.ThisUpdate)) {
			newest = c
		}
	}
	return newest
}
