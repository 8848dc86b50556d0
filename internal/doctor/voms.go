package doctor

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gsigw/gsi"
	"gsigw/voms"
)

// voms looks at the servers that are known, at the trust in them, and whether the two fit together.
func (v *visit) voms() {
	servers := v.vomses()
	dir, named := v.findVOMSDir()
	opened, err := voms.Open(dir, voms.Options{Trust: v.verifier(), AnyTarget: true, Skew: clockSlack})
	switch {
	case err == nil:
		v.vomsdir(dir, opened)
		v.match(dir, opened, servers)
	case errors.Is(err, fs.ErrNotExist) && !named && len(servers) == 0:
		v.ok("voms.vomsdir", "%s is not there: no VOMS server is trusted, and none is known", dir)
	case errors.Is(err, fs.ErrNotExist) && !named:
		v.warn("voms.vomsdir", "install the VOs' LSC files: mkdir -p "+quoted(dir), "%s is not there: what VOMS servers say is believed of nobody here", dir)
	default:
		v.fail("voms.vomsdir", "name another directory with X509_VOMS_DIR or --vomsdir", "%s cannot be read: %s", dir, why(err))
	}
	for _, c := range v.found {
		v.attributes(c, opened)
	}
}

// verifier is the trust directory as voms takes it: nil when there is none.
func (v *visit) verifier() voms.Verifier {
	if v.store == nil {
		return nil
	}
	return v.store
}

// vomses looks at the lists of VOMS servers.
func (v *visit) vomses() []voms.Server {
	const check = "voms.vomses"
	search := voms.Search{Env: v.Env, Home: v.Home, Root: v.Root}
	if v.VOMSES != "" {
		search.Paths = []string{v.VOMSES}
	}
	found := voms.FindServers(search)
	if len(found.Places()) == 0 && len(found.Problems()) == 0 {
		v.ok(check, "no vomses file is there: no VOMS server is known on this machine")
		return nil
	}
	for _, p := range found.Problems() {
		file := p.File
		if p.Line > 0 {
			file = fmt.Sprintf("%s:%d", p.File, p.Line)
		}
		v.fail(check, p.Remedy, "%s: %s", file, p.Reason)
	}
	servers := found.All()
	if len(servers) > 0 {
		v.ok(check, "%s of %s in %s", count(len(servers), "server"), strings.Join(vosOf(servers), ", "), strings.Join(found.Places(), ", "))
	}
	return servers
}

func vosOf(servers []voms.Server) []string {
	var vos []string
	for _, s := range servers {
		vos = append(vos, s.VO)
	}
	slices.Sort(vos)
	return slices.Compact(vos)
}

func (v *visit) findVOMSDir() (dir string, named bool) {
	for _, dir := range []string{v.VOMSDir, v.Env("X509_VOMS_DIR")} {
		if dir != "" {
			return dir, true
		}
	}
	return v.etc("/etc/grid-security/vomsdir"), false
}

// vomsdir names the files that cannot be used, each of which harms its own VO.
func (v *visit) vomsdir(dir string, opened *voms.Dir) {
	const check = "voms.vomsdir"
	v.openToAll(check, dir, "anybody on this machine can say whom to believe about a VO")
	for _, p := range opened.Problems() {
		v.fail(check, "write there, one a line, the subject and the issuer of the VOMS server's certificate, as the VO says them",
			"%s: %s", placeOf(filepath.Join(dir, p.File), p.Err), wordsOf(p.Err))
	}
	if vos := opened.VOs(); len(vos) > 0 {
		v.ok(check, "authorities of %s are trusted in %s", strings.Join(vos, ", "), dir)
	} else {
		v.ok(check, "no authority of a VO is trusted in %s", dir)
	}
}

// match wants for each server that is known an LSC file with its name.
func (v *visit) match(dir string, opened *voms.Dir, servers []voms.Server) {
	const check = "voms.match"
	for _, s := range servers {
		path := filepath.Join(dir, s.VO, s.Host+".lsc")
		subjects, err := lscSubjects(path)
		switch {
		case errors.Is(err, fs.ErrNotExist) && certificateOf(filepath.Join(dir, s.VO), s.DN):
			v.ok(check, "%s: %s is trusted by its certificate", s.VO, s.Host)
		case errors.Is(err, fs.ErrNotExist) && slices.Contains(opened.VOs(), s.VO):
			v.warn(check, "write the server's subject and issuer into "+quoted(path), "%s: %s (%s) has no LSC file: what it says is not believed here", s.VO, s.Host, s.Source)
		case errors.Is(err, fs.ErrNotExist):
			v.warn(check, "write the server's subject and issuer into "+quoted(path), "the VO %s (%s) has no entry in %s: what it says is believed of nobody here", s.VO, s.Source, dir)
		case err != nil || len(subjects) == 0: // a problem of the directory
		case !slices.ContainsFunc(subjects, func(dn string) bool { return gsi.EqualDN(dn, s.DN) }):
			v.fail(check, "ask the VO which is right, and mend the other", "%s: %s trusts %s, and %s says that the server is %s", s.VO, path, strings.Join(subjects, " or "), s.Source, s.DN)
		default:
			v.ok(check, "%s: %s is trusted as %s", s.VO, s.Host, s.DN)
		}
	}
}

// lscSubjects are the names of authorities in an LSC file: the first DN of each of its chains.
func lscSubjects(path string) (subjects []string, err error) {
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	first := true
	for l := range bytes.Lines(readBounded(path)) {
		text := strings.TrimSpace(string(l))
		switch {
		case strings.HasPrefix(text, "-"):
			first = true
		case strings.HasPrefix(text, "/") && first:
			subjects, first = append(subjects, text), false
		}
	}
	return subjects, nil
}

// certificateOf says whether a directory of a VO has the certificate with a name.
func certificateOf(dir, dn string) bool {
	names, _ := filepath.Glob(filepath.Join(dir, "*.pem"))
	return slices.ContainsFunc(names, func(name string) bool {
		certs, err := gsi.ParseCertificates(readBounded(name))
		return err == nil && gsi.EqualDN(gsi.OneLine(certs[0].RawSubject), dn)
	})
}

// attributes says until when the VOMS attributes of a credential are believed, which may be before the proxy ends, or why
// they are not.
func (v *visit) attributes(c found, dir *voms.Dir) {
	const check = "credential.voms"
	acs, err := voms.ACs(c.Chain)
	switch {
	case err != nil:
		v.fail(check, "make the proxy again: gsigw proxy init --voms VO", "%s: its VOMS attributes cannot be read: %s", c.where, plain(err))
		return
	case len(acs) == 0:
		return
	case dir == nil || v.store == nil:
		v.warn(check, "mend the trust directory and the vomsdir first", "%s: its VOMS attributes cannot be verified", c.where)
		return
	}
	result, err := dir.Verify(c.Chain, v.Now)
	if err != nil {
		return // the chain itself does not hold, and that has been said
	}
	for _, r := range result.Refused {
		v.fail(check, r.Remedy, "%s: the attributes of %s are not believed (%s): %s", c.where, voOf(r), string(r.Code), r.Reason)
	}
	for _, a := range result.Attributes {
		v.believed(c, a)
	}
}

func voOf(e *voms.Error) string {
	if e.VO == "" {
		return "a VO"
	}
	return "the VO " + e.VO
}

func (v *visit) believed(c found, a *voms.Attributes) {
	const check = "credential.voms"
	left := a.Until.Sub(v.Now)
	if left+clockSlack < c.NotAfter().Sub(v.Now) {
		v.warn(check, "gsigw proxy init --voms "+quoted(a.VO), "%s: the attributes of the VO %s end in %s, at %s, before the proxy does", c.where, a.VO, span(left), day(a.Until))
		return
	}
	v.ok(check, "%s: %s of the VO %s, until %s", c.where, count(len(a.FQANs), "attribute"), a.VO, day(a.Until))
}
