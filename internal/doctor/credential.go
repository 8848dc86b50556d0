package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"gsigw/gsi"
	"gsigw/internal/config"
)

// place is where a credential may be.
type place struct {
	name       string // how the report calls it
	cert, key  string // the same file for a proxy
	passphrase string // the file with it, for PKCS#12
	named      bool   // somebody named it: it is taken even when it cannot be used
	groupRead  bool
	source     func(gsi.FileOptions) *gsi.File
}

func proxyAt(name, path string, named bool) place {
	return place{name: name, cert: path, key: path, named: named,
		source: func(o gsi.FileOptions) *gsi.File { return gsi.ProxyFile(path, o) }}
}

// isProxy says whether what is there can be made with proxy init.
func (p place) isProxy() bool { return p.cert == p.key && p.passphrase == "" }

func pairAt(name, cert, key string, named bool) place {
	return place{name: name, cert: cert, key: key, named: named,
		source: func(o gsi.FileOptions) *gsi.File { return gsi.PairFile(cert, key, o) }}
}

// credentials looks at every place where grid tools look, in their order, and at those of the config.
func (v *visit) credentials() {
	taken := v.environmentPlaces()
	for _, p := range v.defaultPlaces() {
		taken = v.visitPlace(p, taken)
	}
	if taken == "" {
		v.noCredential()
	}
	if v.config == nil {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(v.config.Credentials)) {
		v.configCredential("credentials."+name, v.config.Credentials[name], taken)
	}
}

// environmentPlaces looks where the environment says.
func (v *visit) environmentPlaces() (taken string) {
	if proxy := v.Env("X509_USER_PROXY"); proxy != "" {
		taken = v.visitPlace(proxyAt("X509_USER_PROXY, "+proxy, proxy, true), taken)
	} else {
		v.ok("credential", "X509_USER_PROXY is not set")
	}
	switch cert, key := v.Env("X509_USER_CERT"), v.Env("X509_USER_KEY"); {
	case cert != "" && key != "":
		return v.visitPlace(pairAt("X509_USER_CERT and X509_USER_KEY, "+both(cert, key), cert, key, true), taken)
	case cert == "" && key == "":
		v.ok("credential", "X509_USER_CERT and X509_USER_KEY are not set")
		return taken
	}
	const remedy = "set both X509_USER_CERT and X509_USER_KEY, or neither"
	if taken != "" {
		v.warn("credential", remedy, "only one of X509_USER_CERT and X509_USER_KEY is set")
		return taken
	}
	v.fail("credential", remedy, "only one of X509_USER_CERT and X509_USER_KEY is set: nothing else is looked at")
	return "the environment"
}

func both(cert, key string) string {
	if cert == key {
		return cert
	}
	return cert + " and " + key
}

func (v *visit) defaultPlaces() []place {
	proxy := v.etc(fmt.Sprintf("/tmp/x509up_u%d", v.UID))
	places := []place{proxyAt(proxy, proxy, false)}
	if v.Home != "" {
		cert, key := filepath.Join(v.Home, ".globus", "usercert.pem"), filepath.Join(v.Home, ".globus", "userkey.pem")
		places = append(places, pairAt(both(cert, key), cert, key, false))
	}
	return places
}

// visitPlace says what is at a place. The first where something is, or that was named, is the one that is taken.
func (v *visit) visitPlace(p place, taken string) string {
	if !p.named && !(lexists(p.cert) && lexists(p.key)) {
		v.ok("credential", "%s: %s", p.name, v.partOf(p))
		return taken
	}
	c, t := v.open(p)
	switch {
	case t == nil && taken == "":
		v.ok("credential", "%s: taken: %s", p.name, describe(c))
		v.found = append(v.found, found{p.name, c})
	case t == nil:
		v.ok("credential", "%s: not taken, for %s comes first; %s", p.name, taken, describe(c))
	case taken == "":
		v.fail("credential", t.remedy, "%s: taken, and cannot be used: %s", p.name, t.what)
	case t.locked:
		v.ok("credential", "%s: not taken, for %s comes first; its key is locked with a passphrase", p.name, taken)
	default:
		v.warn("credential", t.remedy, "%s: not taken, for %s comes first; it could not be used: %s", p.name, taken, t.what)
	}
	if taken == "" {
		return p.name
	}
	return taken
}

// partOf says of a place where not everything is what there is.
func (v *visit) partOf(p place) string {
	switch {
	case lexists(p.cert):
		return "the certificate is there, its key is not"
	case lexists(p.key):
		return "the key is there, its certificate is not"
	}
	return "nothing is there"
}

func lexists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// noCredential is no failure where the config names those that count.
func (v *visit) noCredential() {
	const remedy = "gsigw proxy init, or gsigw myproxy get -s SERVER, or set X509_USER_PROXY to a proxy file"
	const fact = "grid tools find no credential on this machine"
	if v.config != nil && !slices.ContainsFunc(slices.Collect(maps.Values(v.config.Credentials)),
		func(c config.Credential) bool { return c.Discover }) {
		v.ok("credential", fact+"; the config does not ask for one")
		return
	}
	v.fail("credential", remedy, fact)
}

// configCredential looks at one that the gateway's config names.
func (v *visit) configCredential(name string, c config.Credential, taken string) {
	p, ok := configPlace(name, c)
	if !ok {
		v.discovered(name, c, taken)
		return
	}
	cred, t := v.open(p)
	if t != nil {
		v.fail("credential", t.remedy, "%s: cannot be used: %s", p.name, t.what)
		return
	}
	v.found = append(v.found, found{p.name, cred})
	if v.allowed(p.name, name, c, cred) {
		v.ok("credential", "%s: %s", p.name, describe(cred))
	}
}

// discovered is the credential of the config that is found where grid tools look; that there is none has been said.
func (v *visit) discovered(name string, c config.Credential, taken string) {
	for _, f := range v.found {
		if f.where == taken && v.allowed(name, name, c, f.Credential) {
			v.ok("credential", "%s: the gateway takes %s", name, taken)
		}
	}
}

// allowed says whether the operator lets the gateway use a credential.
func (v *visit) allowed(where, name string, c config.Credential, cred *gsi.Credential) bool {
	for _, cert := range cred.Chain {
		subject, err := gsi.ParseName(cert.RawSubject)
		if err == nil && slices.ContainsFunc(v.config.Blocked, func(dn config.DN) bool { return subject.EqualDN(string(dn)) }) {
			v.fail("credential", "use another, or take it out of blocked in the config", "%s: the gateway refuses it: %s is blocked in the config", where, subject.OneLine())
			return false
		}
	}
	if left := cred.NotAfter().Sub(v.Now); c.MaxLifetime > 0 && left > c.MaxLifetime {
		v.fail("credential", fmt.Sprintf("make a shorter one, or raise %s.max-lifetime", name),
			"%s: the gateway refuses it: it lasts for %s, and max-lifetime is %s", where, span(left), span(c.MaxLifetime))
		return false
	}
	return true
}

func configPlace(name string, c config.Credential) (p place, ok bool) {
	switch {
	case c.Proxy != "":
		p = proxyAt(name+", "+string(c.Proxy), string(c.Proxy), true)
	case c.PKCS12 != "":
		file, passphrase := string(c.PKCS12), string(c.PassphraseFile)
		p = place{name: name + ", " + file, cert: file, key: file, passphrase: passphrase, named: true,
			source: func(o gsi.FileOptions) *gsi.File { return gsi.PKCS12File(file, passphrase, o) }}
	case c.Cert != "":
		p = pairAt(name+", "+both(string(c.Cert), string(c.Key)), string(c.Cert), string(c.Key), true)
	default:
		return p, false
	}
	p.groupRead = c.AllowGroupRead
	return p, true
}

// describe says what a credential is, without its key.
func describe(c *gsi.Credential) string {
	id, err := c.Identity()
	if err != nil {
		return plain(err)
	}
	kind := string(id.Type)
	if id.Type == gsi.EEC {
		kind = "no proxy"
	} else {
		kind += " proxy"
	}
	return fmt.Sprintf("%s (%s)", id.DN, kind)
}

// trouble is why a credential cannot be used.
type trouble struct {
	what, remedy string
	locked       bool // with a passphrase, as a user's key should be
}

// open reads the credential of a place, or says what is in the way, the files themselves first.
func (v *visit) open(p place) (*gsi.Credential, *trouble) {
	for _, file := range []struct {
		path   string
		secret bool
	}{{p.cert, p.cert == p.key}, {p.key, true}, {p.passphrase, true}} {
		if file.path == "" {
			continue
		}
		t := v.file(file.path, file.secret, p.groupRead)
		if t != nil && !p.isProxy() && !lexists(file.path) {
			t.remedy = "put the file there, or name another" // proxy init makes none such
		}
		if t != nil {
			return nil, t
		}
	}
	c, err := p.source(gsi.FileOptions{AllowGroupRead: p.groupRead, Now: func() time.Time { return v.Now }}).Credential(v.ctx)
	if err != nil {
		v.noteBirth(p)
		return nil, contents(p, err)
	}
	return c, nil
}

// noteBirth keeps since when the certificates are valid of a credential that cannot be used: the clock may be why.
func (v *visit) noteBirth(p place) {
	data, err := os.ReadFile(p.cert)
	if err != nil {
		return
	}
	chain, err := gsi.ParseCertificates(data)
	if err != nil {
		return
	}
	for _, cert := range chain {
		v.clocks = append(v.clocks, dated{"the certificate in " + p.cert + " is valid from", cert.NotBefore})
	}
}

// file looks at a file from outside.
func (v *visit) file(path string, secret, groupRead bool) *trouble {
	link, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &trouble{what: path + " is not there", remedy: "gsigw proxy init --out " + quoted(path) + ", or name another file"}
	}
	if err != nil {
		return &trouble{what: path + ": " + why(err), remedy: "ls -ld " + quoted(filepath.Dir(path))}
	}
	info := link
	if link.Mode()&fs.ModeSymlink != 0 {
		target, _ := os.Readlink(path)
		if shared(path) && !groupRead {
			return &trouble{what: path + " is a symbolic link, in a directory where anyone may put one", remedy: "put the file itself there: rm " + quoted(path)}
		}
		if info, err = os.Stat(path); err != nil {
			return &trouble{what: fmt.Sprintf("%s is a symbolic link to %s, which is not there", path, target), remedy: "mend the link: ls -l " + quoted(path)}
		}
	}
	if !info.Mode().IsRegular() {
		return &trouble{what: path + " is not a regular file", remedy: "name the file itself: ls -ld " + quoted(path)}
	}
	if secret {
		return v.guarded(path, info, groupRead)
	}
	return nil
}

func shared(path string) bool {
	info, err := os.Stat(filepath.Dir(path))
	return err == nil && info.Mode().Perm()&0o002 != 0
}

// guarded says whether a file that holds a key belongs to the user and to nobody else.
func (v *visit) guarded(path string, info fs.FileInfo, groupRead bool) *trouble {
	if owner := int(info.Sys().(*syscall.Stat_t).Uid); owner != v.UID && owner != 0 {
		return &trouble{what: fmt.Sprintf("%s belongs to uid %d, and the user is uid %d", path, owner, v.UID),
			remedy: fmt.Sprintf("chown %d %s, or name a file of the user's own", v.UID, quoted(path))}
	}
	perm, open, mode := info.Mode().Perm(), fs.FileMode(0o077), "600"
	if groupRead {
		open, mode = 0o037, "640"
	}
	if perm&open != 0 {
		return &trouble{what: fmt.Sprintf("the mode of %s is %04o: others can read or change the key", path, perm), remedy: "chmod " + mode + " " + quoted(path)}
	}
	return nil
}

// contents says what is wrong inside of the files.
func contents(p place, err error) *trouble {
	t := &trouble{what: plain(err), remedy: "name another file, or make one: gsigw proxy init"}
	if u, ok := errors.AsType[*gsi.UnusableError](err); ok {
		t.what = plain(u.Reason)
	}
	switch {
	case errors.Is(err, gsi.ErrEncryptedKey):
		t.what, t.locked, t.remedy = "its key is locked with a passphrase", true, "gsigw proxy init"
	case errors.Is(err, gsi.ErrExpired):
		t.remedy = "gsigw proxy init, or gsigw myproxy get -s SERVER"
		if !p.isProxy() {
			t.remedy = "ask the CA for a new certificate"
		}
	case errors.Is(err, gsi.ErrPKCS12):
		t.remedy = "gsigw proxy info --passphrase-file FILE " + quoted(p.cert)
	case strings.Contains(t.what, "belongs to none"):
		t.remedy = fmt.Sprintf("bring together what belongs together: openssl x509 -noout -pubkey -in %s; openssl pkey -pubout -in %s", quoted(p.cert), quoted(p.key))
	case strings.Contains(t.what, "valid from"):
		t.remedy = "set the clock right: timedatectl"
	}
	return t
}
