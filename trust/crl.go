package trust

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"time"

	"gsigw/gsi"
)

// crl is a revocation list with what was found out about it when it was read.
type crl struct {
	list    *x509.RevocationList
	issuer  string          // nameKey
	revoked map[string]bool // serial numbers

	mu      sync.Mutex
	signers map[string]bool // by the DER of a CA with that name: did it sign this?
}

func parseCRL(data []byte) (*crl, error) {
	if block, _ := pem.Decode(data); block != nil {
		if block.Type != "X509 CRL" {
			return nil, fmt.Errorf("a %s where a revocation list should be", block.Type)
		}
		data = block.Bytes
	}
	list, err := x509.ParseRevocationList(data)
	if err != nil {
		return nil, err
	}
	if list.NextUpdate.IsZero() {
		return nil, errors.New("the revocation list does not say when the next is due")
	}
	c := &crl{list: list, issuer: nameKey(list.RawIssuer), revoked: map[string]bool{}, signers: map[string]bool{}}
	return c, c.index()
}

// index notes the serial numbers. A critical extension says that the list is
// not what it seems, only a part or somebody else's certificates.
func (c *crl) index() error {
	for _, e := range c.list.Extensions {
		if e.Critical {
			return fmt.Errorf("the revocation list has the critical extension %s: only full lists are taken", e.Id)
		}
	}
	for _, entry := range c.list.RevokedCertificateEntries {
		for _, e := range entry.Extensions {
			if e.Critical {
				return fmt.Errorf("the revocation list has the critical entry extension %s", e.Id)
			}
		}
		c.revoked[serialKey(entry.SerialNumber)] = true
	}
	return nil
}

func serialKey(n *big.Int) string { return n.Text(16) }

// signedBy says whether the CA signed the list. It finds out once: the list may
// have megabytes. Only CAs that are believed themselves are asked for.
func (c *crl) signedBy(ca *x509.Certificate, o Options) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	signed, known := c.signers[string(ca.Raw)]
	if !known {
		signed = may(ca, x509.KeyUsageCRLSign) && o.takes(c.list.SignatureAlgorithm) &&
			verifies(ca, c.list.SignatureAlgorithm, c.list.RawTBSRevocationList, c.list.Signature)
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
	for _, c := range ca.crls {
		if c.revoked[serialKey(cert.SerialNumber)] {
			return refuse(Revoked, cert, "get a new certificate from "+gsi.OneLine(ca.cert.RawSubject), "was revoked by its CA")
		}
	}
	newest := w.newest(ca.crls)
	switch {
	case newest == nil && (ca.doubtful || len(ca.crls) > 0):
		return refuse(CRLInvalid, cert, remedy, "is not known to be unrevoked: no list of its CA can be read, is signed by it and valid already")
	case newest == nil && w.options.CRL == CRLRequire:
		return refuse(CRLMissing, cert, remedy, "is not known to be unrevoked: its CA has no revocation list")
	case newest != nil && !w.at.Before(newest.list.NextUpdate):
		return refuse(CRLExpired, cert, remedy, "is not known to be unrevoked: the list of its CA is stale, it was due for renewal at %s", newest.list.NextUpdate.UTC().Format(time.RFC3339))
	}
	return nil
}

// newest returns the latest of the lists that hold already.
func (w *walk) newest(lists []*crl) (newest *crl) {
	for _, c := range lists {
		holds := !c.list.ThisUpdate.After(w.at.Add(w.options.Skew))
		if holds && (newest == nil || c.list.ThisUpdate.After(newest.list.ThisUpdate)) {
			newest = c
		}
	}
	return newest
}
