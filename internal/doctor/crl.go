package doctor

import (
	"path/filepath"
	"time"

	"gsigw/internal/config"
)

// revocationLists looks at the lists of each CA, and says of those that are in order how many there are.
func (v *visit) revocationLists(cas []*authority) {
	sound, next := 0, time.Time{}
	for _, a := range cas {
		newest := a.newestList()
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

func (v *visit) noList(a *authority) {
	const check = "trust.crl"
	remedy := v.fetchCRL() + " (it needs the CA's .crl_url or .info file)"
	if !v.Now.Before(a.NotAfter) {
		return // it is of no use any more, and that has been said
	}
	if v.config != nil && v.config.Trust.CRLs == config.Require {
		v.fail(check, remedy, "the CA %s has no revocation list, and the config requires one", a.name())
		return
	}
	v.warn(check, remedy, "the CA %s has no revocation list: what it revoked is still believed", a.name())
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
