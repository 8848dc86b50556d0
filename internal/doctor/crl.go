package doctor

import (
	"cmp"
	"crypto/x509"
	"path/filepath"
	"slices"
	"time"

	"gsigw/internal/config"
)

// revocationLists looks at the lists of each CA, and says of those that are in order how many there are.
func (v *visit) revocationLists(cas []*authority) {
	sound, next := 0, time.Time{}
	for _, a := range cas {
		newest := cmp.Or(a.newestList(), v.listOfStore(a))
		if newest == nil {
			v.noList(a)
			continue
		}
		v.clocks = append(v.clocks, dated{"the revocation list " + filepath.Join(v.trustDir, newest.file) + " was made at", newest.ThisUpdate})
		if !v.fresh(a, newest) {
			continue
		}
		sound++
		if next.IsZero() || newest.NextUpdate.Before(next) {
			next = newest.NextUpdate
		}
	}
	if sound > 0 {
		v.ok("trust.crl", "%s in date; the next is due at %s", isAre(sound, "revocation list"), day(next))
	}
}

// newestList is the latest of those that the CA signed.
func (a *authority) newestList() *list {
	var newest *list
	for i := range a.lists {
		if l := &a.lists[i]; newest == nil || l.ThisUpdate.After(newest.ThisUpdate) {
			newest = l
		}
	}
	return newest
}

// listOfStore is what the store knows of a list that only it can read, as those of version 1; nil if it has none.
func (v *visit) listOfStore(a *authority) *list {
	for _, anchor := range v.store.Anchors() {
		if anchor.Subject == a.name() && !anchor.CRLNextUpdate.IsZero() {
			return &list{a.hash() + ".r0", &x509.RevocationList{NextUpdate: anchor.CRLNextUpdate}}
		}
	}
	return nil
}

// brokenList is a file with a list that may be the CA's and that the store cannot use, "" if there is none.
func (v *visit) brokenList(a *authority) string {
	for _, p := range v.store.Problems() {
		if m := crlFile.FindStringSubmatch(p.File); m != nil && slices.Contains(a.allStems(), m[1]) {
			return filepath.Join(v.trustDir, p.File)
		}
	}
	return ""
}

func (v *visit) noList(a *authority) {
	const check = "trust.crl"
	remedy := v.fetchCRL() + " (it needs the CA's .crl_url or .info file)"
	if !v.Now.Before(a.NotAfter) {
		return // it is of no use any more, and that has been said
	}
	if broken := v.brokenList(a); broken != "" {
		v.unusable(a, broken)
		return
	}
	if v.config != nil && v.config.Trust.CRLs == config.Require {
		v.fail(check, remedy, "the CA %s has no revocation list, and the config requires one", a.name())
		return
	}
	v.warn(check, remedy, "the CA %s has no revocation list: what it revoked is still believed", a.name())
}

// unusable is worse than none: the list may be that which revokes.
func (v *visit) unusable(a *authority, broken string) {
	const check, fact = "trust.crl", "the revocation list of %s cannot be used, %s: "
	if v.config != nil && v.config.Trust.CRLs == config.Off {
		v.warn(check, v.fetchCRL(), fact+"the config does not look at it", a.name(), broken)
		return
	}
	v.fail(check, v.fetchCRL(), fact+"whatever it issued is refused until the file is mended", a.name(), broken)
}

// fresh says whether a list is in date, and will be tomorrow.
func (v *visit) fresh(a *authority, l *list) bool {
	const check = "trust.crl"
	file := filepath.Join(v.trustDir, l.file)
	switch left := l.NextUpdate.Sub(v.Now); {
	case l.NextUpdate.IsZero():
		return false // a problem of the store
	case left <= 0 && v.config != nil && v.config.Trust.CRLs == config.Off:
		v.warn(check, v.fetchCRL(), "%s of %s is stale: the next was due at %s; the config does not look at it", file, a.name(), day(l.NextUpdate))
	case left <= 0:
		v.fail(check, v.fetchCRL(), "%s is stale: the next was due at %s, and whatever %s issued is refused", file, day(l.NextUpdate), a.name())
	case left < crlSoon:
		v.warn(check, v.fetchCRL(), "%s of %s is stale in %s: does fetch-crl run on this machine?", file, a.name(), span(left))
	default:
		return true
	}
	return false
}
