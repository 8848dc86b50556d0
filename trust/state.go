package trust

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"gsigw/gsi"
)

// state is what a directory says, resolved: never changed once made.
type state struct {
	dir       string
	options   Options
	anchors   []*authority
	byName    map[string][]*authority // by gsi.NameKey of the subject
	byRaw     map[string]*authority
	nameKeys  map[string]string   // of the anchors' subjects as they stand
	stemsOf   map[string][]string // the names of a CA's files, by its DER
	elsewhere map[string]string   // what to do about a CA under a name that is not its hash, by gsi.NameKey
	policies  map[string][]*file  // by stem
	crls      map[string][]*crl   // by gsi.NameKey of the issuer
	brokenCRL map[string]bool     // stems of revocation lists that never could be read
	problems  []Problem
}

// authority is a CA, with what the directory says of it.
type authority struct {
	cert     *x509.Certificate
	name     string  // gsi.NameKey
	policies []*file // each has to permit what the CA signs
	crls     []*crl  // those that it signed
	others   []*crl  // those of its name's other CAs, where it has none: what they revoke is revoked
	doubtful bool    // there is a list that might be its own but cannot be used
}

func newState(dir string, files map[string]*file, o Options) *state {
	st := &state{
		dir:       dir,
		options:   o,
		byName:    map[string][]*authority{},
		byRaw:     map[string]*authority{},
		nameKeys:  map[string]string{},
		stemsOf:   map[string][]string{},
		elsewhere: map[string]string{},
		policies:  map[string][]*file{},
		crls:      map[string][]*crl{},
		brokenCRL: map[string]bool{},
	}
	for _, f := range slices.SortedFunc(maps.Values(files), func(a, b *file) int { return cmp.Compare(a.name, b.name) }) {
		st.add(f)
	}
	for _, a := range st.anchors {
		st.describe(a)
	}
	st.findUnsigned(files)
	return st
}

func (st *state) add(f *file) {
	if f.err != nil {
		st.problem(f.name, f.err, mendIt)
	}
	switch f.kind {
	case kindCA:
		st.addAnchors(f)
	case kindAlias:
		for _, cert := range f.certs {
			st.stemsOf[string(cert.Raw)] = append(st.stemsOf[string(cert.Raw)], f.stem)
			st.elsewhere[gsi.NameKey(cert.RawSubject)] = fmt.Sprintf("it lies there as %s only; if it is to be trusted: openssl rehash %s", f.name, st.dir)
		}
	case kindSigningPolicy, kindNamespaces:
		st.policies[f.stem] = append(st.policies[f.stem], f)
	case kindCRL:
		if f.empty() {
			st.brokenCRL[f.stem] = true
			return
		}
		for _, c := range f.crls {
			if lists := st.crls[c.issuer]; !slices.Contains(lists, c) {
				st.crls[c.issuer] = append(lists, c)
			}
		}
	}
}

const mendIt = "mend the file, or install it again"

func (st *state) problem(file string, err error, remedy string) {
	st.problems = append(st.problems, Problem{File: file, Err: err, Remedy: remedy})
}

// addAnchors takes the CAs of a file whose hash is its name, as all grid tools do: without the link HASH.0 a CA is
// switched off, wherever else it lies.
func (st *state) addAnchors(f *file) {
	for _, cert := range f.certs {
		hashes := hashesOf(cert)
		if slices.Contains(hashes, f.stem) {
			st.addAnchor(cert)
			continue
		}
		remedy := fmt.Sprintf("if it is to be trusted: ln -s %s %s", f.name, filepath.Join(st.dir, hashes[len(hashes)-1]+".0"))
		st.problem(f.name, fmt.Errorf("that is not the hash of %s, which is not taken under this name", gsi.OneLine(cert.RawSubject)), remedy)
		st.elsewhere[gsi.NameKey(cert.RawSubject)] = "it lies there as " + f.name + " only; " + remedy
	}
}

// hashesOf returns the names that a CA's files have: the old hash of its subject and the new.
func hashesOf(ca *x509.Certificate) []string {
	hashes := []string{gsi.SubjectHashOld(ca.RawSubject)}
	if hash, err := gsi.SubjectHash(ca.RawSubject); err == nil {
		hashes = append(hashes, hash)
	}
	return hashes
}

func (st *state) addAnchor(cert *x509.Certificate) {
	if _, ok := st.byRaw[string(cert.Raw)]; ok {
		return
	}
	a := &authority{cert: cert, name: gsi.NameKey(cert.RawSubject)}
	st.anchors = append(st.anchors, a)
	st.byRaw[string(cert.Raw)] = a
	st.byName[a.name] = append(st.byName[a.name], a)
	st.nameKeys[string(cert.RawSubject)] = a.name
}

// authority returns what the directory says of a CA, which may have come with the chain.
func (st *state) authority(cert *x509.Certificate) *authority {
	if a, ok := st.byRaw[string(cert.Raw)]; ok {
		return a
	}
	a := &authority{cert: cert, name: st.nameKey(cert.RawSubject)}
	st.describe(a)
	return a
}

// nameKey folds a name; those of the directory's CAs are folded already.
func (st *state) nameKey(der []byte) string {
	if key, ok := st.nameKeys[string(der)]; ok {
		return key
	}
	return gsi.NameKey(der)
}

// describe gathers the files that speak of a CA.
func (st *state) describe(a *authority) {
	for _, stem := range st.stems(a.cert) {
		a.policies = append(a.policies, st.policies[stem]...)
		a.doubtful = a.doubtful || st.brokenCRL[stem]
	}
	for _, c := range st.crls[a.name] {
		switch {
		case c.signedBy(a.cert, st.options):
			a.crls = append(a.crls, c)
		case st.signedByAnchor(c):
			a.others = append(a.others, c)
		default:
			a.doubtful = true
		}
	}
	// While a CA changes its key, or has two certificates, one of them signs for both (RFC 5280, section 6.3.3 (f)). A
	// CA that was made anew has lists of its own, and counts serial numbers from the start.
	if a.crls != nil {
		a.others = nil
	}
}

// stems returns the names under which files may speak of a CA: both hashes of its subject, and those of its .pem files.
func (st *state) stems(ca *x509.Certificate) []string {
	stems := append(hashesOf(ca), st.stemsOf[string(ca.Raw)]...)
	slices.Sort(stems)
	return slices.Compact(stems)
}

// signedByAnchor says whether the list is of a CA of the directory. There are two with one name while a CA changes its
// key.
func (st *state) signedByAnchor(c *crl) bool {
	return slices.ContainsFunc(st.byName[c.issuer], func(a *authority) bool { return c.signedBy(a.cert, st.options) })
}

// findUnsigned names the lists that nobody of their issuer's name signed.
func (st *state) findUnsigned(files map[string]*file) {
	for _, f := range slices.SortedFunc(maps.Values(files), func(a, b *file) int { return cmp.Compare(a.name, b.name) }) {
		unsigned := func(c *crl) bool { return len(st.byName[c.issuer]) > 0 && !st.signedByAnchor(c) }
		if slices.ContainsFunc(f.crls, unsigned) {
			st.problem(f.name, errors.New("the revocation list was not signed by the CA that it names"), "fetch it again, for instance with fetch-crl")
		}
	}
}

func (st *state) anchorList() []Anchor {
	var list []Anchor
	for _, a := range st.anchors {
		item := Anchor{Subject: gsi.OneLine(a.cert.RawSubject), NotAfter: a.cert.NotAfter}
		for _, c := range a.crls {
			if c.list.NextUpdate.After(item.CRLNextUpdate) {
				item.CRLNextUpdate = c.list.NextUpdate
			}
		}
		list = append(list, item)
	}
	slices.SortFunc(list, func(a, b Anchor) int { return cmp.Compare(a.Subject, b.Subject) })
	return list
}
