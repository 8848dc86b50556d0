package trust

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"

	"gsigw/gsi"
)

// crl is a revocation list with what was found out about it when it was read.
type crl struct {
	list    *x509.RevocationList
	revoked map[string]bool // serial numbers
	file    string          // set with the state, as is
	signers map[string]bool // by the DER of a CA of the directory: did it sign this?
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
	c := &crl{list: list, revoked: map[string]bool{}}
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

// signedBy says whether the CA signed the list.
func (c *crl) signedBy(ca *x509.Certificate) bool {
	if signed, known := c.signers[string(ca.Raw)]; known {
		return signed
	}
	return c.list.CheckSignatureFrom(ca) == nil
}

// signedByAnother says whether the list is of another CA with the same name, as
// there is one while a CA changes its key.
func (c *crl) signedByAnother() bool {
	for _, signed := range c.signers {
		if signed {
			return true
		}
	}
	return false
}

// signCRLs finds out once, while the state is made, which CA signed which list.
func (st *state) signCRLs() {
	for issuer, lists := range st.crls {
		anchors := st.bySubject[issuer]
		for _, c := range lists {
			var any bool
			for _, a := range anchors {
				signed := c.list.CheckSignatureFrom(a.cert) == nil
				c.signers[string(a.cert.Raw)] = signed
				any = any || signed
			}
			if len(anchors) > 0 && !any {
				st.problem(c.file, errors.New("the revocation list was not signed by the CA that it names: fetch it again"))
			}
		}
	}
}

// checkRevocation refuses a certificate that its CA revoked, or of which it
// cannot be known.
func (w *walk) checkRevocation(cert, ca *x509.Certificate) error {
	if w.options.CRL == CRLOff {
		return nil
	}
	const remedy = "fetch the CA's revocation list again, for instance with fetch-crl"
	lists, doubtful := w.lists(ca)
	for _, c := range lists {
		if c.revoked[serialKey(cert.SerialNumber)] {
			return refuse(Revoked, cert, "get a new certificate from "+gsi.OneLine(ca.RawSubject), "was revoked by its CA")
		}
	}
	newest := w.newest(lists)
	switch {
	case newest == nil && (doubtful || len(lists) > 0):
		return refuse(CRLInvalid, cert, remedy, "is not known to be unrevoked: no list of its CA can be read, is signed by it and valid already")
	case newest == nil && w.options.CRL == CRLRequire:
		return refuse(CRLMissing, cert, remedy, "is not known to be unrevoked: its CA has no revocation list")
	case newest != nil && !w.at.Before(newest.list.NextUpdate):
		return refuse(CRLExpired, cert, remedy, "is not known to be unrevoked: the list of its CA was due for renewal at %s", newest.list.NextUpdate.UTC().Format(time.RFC3339))
	}
	return nil
}

// lists returns the lists that the CA signed, and whether there is one that
// might be its own but cannot be used.
func (w *walk) lists(ca *x509.Certificate) (signed []*crl, doubtful bool) {
	for _, stem := range w.state.stems(ca) {
		doubtful = doubtful || w.state.brokenCRL[stem]
	}
	for _, c := range w.state.crls[string(ca.RawSubject)] {
		if c.signedBy(ca) {
			signed = append(signed, c)
		} else if !c.signedByAnother() {
			doubtful = true
		}
	}
	return signed, doubtful
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
