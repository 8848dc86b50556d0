package doctor

import (
	"bytes"
	"cmp"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"gsigw/gsi"
	"gsigw/internal/config"
	"gsigw/trust"
)

// findTrust says where the trust directory is, and on whose word.
func (v *visit) findTrust() (dir, word string) {
	if v.TrustDir != "" {
		return v.TrustDir, "named"
	}
	if v.config != nil {
		return string(v.config.Trust.Dir), "by the config"
	}
	if dir := v.Env("X509_CERT_DIR"); dir != "" {
		return dir, "X509_CERT_DIR names it"
	}
	if own := filepath.Join(v.Home, ".globus", "certificates"); v.Home != "" && exists(own) {
		return own, "the user's own comes before the system's"
	}
	return v.etc("/etc/grid-security/certificates"), "by default"
}

// trustDirectory looks at the directory of CAs as grid tools and gsigw read it.
func (v *visit) trustDirectory() {
	dir, word := v.findTrust()
	v.trustDir = dir
	store, err := trust.Open(dir, v.trustOptions())
	if err != nil {
		v.fail("trust", "install the grid's CAs (ca-policy-egi-core, igtf-ca-bundle), set X509_CERT_DIR, or: gsigw myproxy trustroots -s SERVER",
			"the trust directory %s (%s) cannot be read: %s", dir, word, why(err))
		return
	}
	v.store = store
	v.openToAll("trust", dir, "anybody on this machine can put a CA there")
	for _, p := range store.Problems() {
		v.fail("trust.file", p.Remedy, "%s: %s", placeOf(filepath.Join(dir, p.File), p.Err), wordsOf(p.Err))
	}
	cas, unlinked := readAuthorities(dir)
	for _, a := range unlinked {
		v.warn("trust.names", "openssl rehash "+quoted(dir), "the CA %s is there as %s, and no name with its hash leads there: gsigw and OpenSSL look for %s.0, and do not see it",
			a.name(), a.firstFile(), a.hash())
	}
	if len(cas) == 0 {
		v.fail("trust", "install the grid's CAs (ca-policy-egi-core, igtf-ca-bundle), or name another directory with X509_CERT_DIR",
			"there is no CA in the trust directory %s (%s)", dir, word)
		return
	}
	v.ok("trust", "%s in %s (%s)", count(len(cas), "CA"), dir, word)
	v.authorities(cas)
	v.revocationLists(cas)
}

// openToAll fails a directory of trust into which everybody may write.
func (v *visit) openToAll(check, dir, so string) {
	if info, err := os.Stat(dir); err == nil && info.Mode().Perm()&0o002 != 0 {
		v.fail(check, "chmod o-w "+quoted(dir), "the mode of %s is %04o: %s", dir, info.Mode().Perm(), so)
	}
}

var lineOf = regexp.MustCompile(`^line (\d+): `)

// placeOf is file:line where an error has a line.
func placeOf(file string, err error) string {
	if m := lineOf.FindStringSubmatch(plain(err)); m != nil {
		return file + ":" + m[1]
	}
	return file
}

func wordsOf(err error) string { return lineOf.ReplaceAllString(why(err), "") }

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// authority is a CA of the directory, with the files that speak of it.
type authority struct {
	*x509.Certificate
	stems []string // of its own files
	found bool     // under one of its hashes, where all look
	files []string // names of all of the directory
	lists []list
}

type list struct {
	file string
	*x509.RevocationList
}

func (a *authority) name() string { return gsi.OneLine(a.RawSubject) }

var (
	caFile  = regexp.MustCompile(`^(.+)\.(pem|[0-9]+)$`)
	crlFile = regexp.MustCompile(`^(.+)\.r[0-9]+$`)
)

// readAuthorities reads the directory once more, by file: what cannot be read is a problem of the store already. Those
// that no hash leads to are nobody's anchors.
func readAuthorities(dir string) (cas, unlinked []*authority) {
	entries, _ := os.ReadDir(dir)
	byRaw, names := map[string]*authority{}, []string{}
	for _, e := range entries {
		names = append(names, e.Name())
		if m := caFile.FindStringSubmatch(e.Name()); m != nil {
			certs, _ := gsi.ParseCertificates(readBounded(filepath.Join(dir, e.Name())))
			addAuthorities(byRaw, certs, m[1], m[2] != "pem")
		}
	}
	for _, a := range byRaw {
		a.files = names
		if a.found {
			cas = append(cas, a)
		} else if a.isCA() && slices.ContainsFunc(a.stems, func(stem string) bool { return slices.Contains(names, stem+".pem") }) {
			unlinked = append(unlinked, a)
		}
	}
	addLists(dir, names, cas)
	byName := func(a, b *authority) int { return cmp.Or(cmp.Compare(a.name(), b.name()), bytes.Compare(a.Raw, b.Raw)) }
	slices.SortFunc(cas, byName)
	slices.SortFunc(unlinked, byName)
	return cas, unlinked
}

// addAuthorities notes the certificates of one file.
func addAuthorities(byRaw map[string]*authority, certs []*x509.Certificate, stem string, numbered bool) {
	for _, cert := range certs {
		a := byRaw[string(cert.Raw)]
		if a == nil {
			a = &authority{Certificate: cert}
			byRaw[string(cert.Raw)] = a
		}
		a.stems = append(a.stems, stem)
		a.found = a.found || numbered && (stem == a.hash() || stem == gsi.SubjectHashOld(a.RawSubject))
	}
}

// isCA takes a root of version 1 for one, too.
func (a *authority) isCA() bool {
	return a.IsCA || a.Version < 3 && bytes.Equal(a.RawSubject, a.RawIssuer)
}

// addLists gives each CA the revocation lists that it signed. The same list under two names counts once.
func addLists(dir string, names []string, cas []*authority) {
	for _, name := range names {
		if !crlFile.MatchString(name) {
			continue
		}
		for _, crl := range listsIn(readBounded(filepath.Join(dir, name))) {
			for _, a := range cas {
				if bytes.Equal(a.RawSubject, crl.RawIssuer) && !a.has(crl) && crl.CheckSignatureFrom(a.Certificate) == nil {
					a.lists = append(a.lists, list{name, crl})
				}
			}
		}
	}
}

// listsIn reads a file in PEM, which may hold several, or in DER.
func listsIn(data []byte) (lists []*x509.RevocationList) {
	ders := [][]byte{data}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		ders = append(ders, block.Bytes)
	}
	for _, der := range ders {
		if crl, err := x509.ParseRevocationList(der); err == nil {
			lists = append(lists, crl)
		}
	}
	return lists
}

func (a *authority) has(crl *x509.RevocationList) bool {
	return slices.ContainsFunc(a.lists, func(l list) bool { return bytes.Equal(l.Raw, crl.Raw) })
}

// maxFile is the size up to which a file of the directory is read, as trust does.
const maxFile = 64 << 20

func readBounded(path string) []byte {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	data, _ := io.ReadAll(io.LimitReader(f, maxFile))
	return data
}

// authorities looks at each CA, and says of those that are in order how many there are.
func (v *visit) authorities(cas []*authority) {
	sound, next := 0, cas[0]
	for _, a := range cas {
		if v.ends(a) {
			sound++
		}
		if a.NotAfter.After(v.Now) && (!next.NotAfter.After(v.Now) || a.NotAfter.Before(next.NotAfter)) {
			next = a
		}
		v.policy(a)
		v.hashNames(a)
		v.algorithm(a)
	}
	if sound > 0 {
		v.ok("trust.ca", "%s valid for more than %s; the next to end is %s, at %s", isAre(sound, "CA"), span(certSoon), next.name(), day(next.NotAfter))
	}
}

func isAre(n int, what string) string {
	if n == 1 {
		return "1 " + what + " is"
	}
	return fmt.Sprintf("%d %ss are", n, what)
}

// ends says whether a CA is valid, and will be for some time.
func (v *visit) ends(a *authority) bool {
	const check = "trust.ca"
	remedy := "install the CA's new certificate; if nobody needs it: rm " + v.ownFiles(a)
	switch left := a.NotAfter.Sub(v.Now); {
	case left <= 0:
		v.fail(check, remedy, "the CA %s expired at %s: whatever it issued is refused", a.name(), day(a.NotAfter))
	case v.Now.Before(a.NotBefore):
		v.fail(check, "set the clock right: timedatectl", "the CA %s is not valid before %s", a.name(), day(a.NotBefore))
	case left < certSoon:
		v.warn(check, remedy, "the CA %s ends in %s, at %s", a.name(), span(left), day(a.NotAfter))
	default:
		return true
	}
	return false
}

// ownFiles is all that the directory has of a CA, as a shell names it.
func (v *visit) ownFiles(a *authority) string {
	var globs []string
	for _, stem := range slices.Compact(slices.Sorted(slices.Values(a.stems))) {
		globs = append(globs, quoted(filepath.Join(v.trustDir, stem))+".*")
	}
	return strings.Join(globs, " ")
}

func (a *authority) hasFile(suffix string) bool {
	return slices.ContainsFunc(a.allStems(), func(stem string) bool { return slices.Contains(a.files, stem+suffix) })
}

// allStems are the names under which files may speak of a CA.
func (a *authority) allStems() []string {
	return append([]string{gsi.SubjectHashOld(a.RawSubject), a.hash()}, a.stems...)
}

// hash is the name of the CA's files since OpenSSL 1.0.
func (a *authority) hash() string {
	hash, _ := gsi.SubjectHash(a.RawSubject)
	return hash
}

// policy looks for the file that says which subjects a CA may sign.
func (v *visit) policy(a *authority) {
	const check = "trust.policy"
	remedy := "install the CA's " + a.hash() + ".signing_policy: packages of the IGTF have it"
	namespaces := a.hasFile(".namespaces")
	switch {
	case a.hasFile(".signing_policy"):
	case namespaces:
		v.warn(check, remedy, "the CA %s has a namespaces file and no signing_policy: gsigw reads the one, Globus refuses it without the other", a.name())
	case v.config != nil && v.config.Trust.SigningPolicy == config.Require:
		v.fail(check, remedy, "the CA %s has no signing_policy, and the config requires one", a.name())
	default:
		v.warn(check, remedy, "the CA %s has no signing_policy: Globus refuses whatever it issued, and gsigw lets it sign any name", a.name())
	}
}

// hashNames wants a CA under the names that OpenSSL of today and of old (and with it GT4 and its Java) look for.
func (v *visit) hashNames(a *authority) {
	const check = "trust.names"
	old, now := gsi.SubjectHashOld(a.RawSubject), a.hash()
	link := func(hash string) string {
		return fmt.Sprintf("ln -s %s %s", quoted(a.firstFile()), quoted(filepath.Join(v.trustDir, hash+".0")))
	}
	hasOld, hasNow := slices.Contains(a.stems, old), slices.Contains(a.stems, now)
	switch {
	case hasOld && hasNow:
	case hasNow:
		v.warn(check, link(old), "the CA %s is there under its new hash %s only: GT4 and others of its age look for %s.0", a.name(), now, old)
	case hasOld:
		v.warn(check, link(now), "the CA %s is there under its old hash %s only: OpenSSL since 1.0 looks for %s.0", a.name(), old, now)
	}
}

func (a *authority) firstFile() string {
	for _, name := range a.files {
		if m := caFile.FindStringSubmatch(name); m != nil && slices.Contains(a.stems, m[1]) {
			return name
		}
	}
	return a.stems[0] + ".0"
}

// algorithm names what this or other machines will not believe any more.
func (v *visit) algorithm(a *authority) {
	const check, remedy = "trust.algorithm", "ask the CA for its newer certificate"
	if key, ok := a.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() < 2048 {
		v.warn(check, remedy, "the CA %s has an RSA key of %d bits: OpenSSL of today wants 2048", a.name(), key.N.BitLen())
	}
	root := bytes.Equal(a.RawSubject, a.RawIssuer)
	switch a.SignatureAlgorithm {
	case x509.MD2WithRSA, x509.MD5WithRSA:
		v.warn(check, remedy, "the CA %s is signed with %v, which nobody believes any more", a.name(), a.SignatureAlgorithm)
	case x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.DSAWithSHA1:
		if root {
			v.warn(check, "update-crypto-policies --set DEFAULT:SHA1 there, if such a machine has to believe it",
				"the CA %s signed itself with %v: it makes no difference here, but machines with a strict crypto policy (EL 9) refuse it", a.name(), a.SignatureAlgorithm)
			return
		}
		v.warn(check, remedy, "the CA %s is signed with %v: machines with a strict crypto policy (EL 9) refuse it", a.name(), a.SignatureAlgorithm)
	}
}
