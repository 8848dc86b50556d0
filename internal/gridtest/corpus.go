package gridtest

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gsigw/gsi"
	"gsigw/trust"
)

// Chain is one chain of the corpus: a credential file, the trust directory to judge it by, and what is to come of it.
type Chain struct {
	Name string // group/what, unique
	// Twin names the good chain from which this one differs in one thing. A bad chain is refused for that thing alone.
	Twin string
	// RFC is what RFC 5280 and RFC 3820 say of it: "ok" or "no" and the section; "" where they say nothing.
	RFC  string
	Code trust.Code // for which gsigw refuses it; "" where it accepts
	Why  string     // it does otherwise than the RFC or the others

	File     string // PEM, or PKCS#12 under the passphrase "corpus"
	TrustDir string
	Options  trust.Options
	// CRLs: revocation is what it is about, and every CA has a list unless the row is about that.
	CRLs bool
}

// Unreadable is the Code of a file that holds no credential that can be read, so that the walk never sees it.
const Unreadable trust.Code = "unreadable"

// Passphrase opens the PKCS#12 files of the corpus.
const Passphrase = "corpus"

// Corpus makes the chains fresh in a directory, each a file, with the trust directories that go with them.
func Corpus(dir string, now time.Time) ([]Chain, error) {
	c := &corpus{dir: dir, now: now.Truncate(time.Second)}
	plain := &bench{corpus: c, name: "plain"}
	plain.own()
	c.plain = plain
	var chains []Chain
	for _, group := range [][]row{
		nameRows(), stringRows(), proxyRows(), infoRows(), pathRows(), usageRows(), mixedRows(), timeRows(), caRows(),
		anchorRows(), serialRows(), constraintRows(), revocationRows(), policyRows(), namespaceRows(), algorithmRows(),
		extensionRows(), fileRows(),
	} {
		for _, r := range group {
			chain, err := c.make(r)
			if err != nil {
				return nil, err
			}
			chains = append(chains, chain)
		}
	}
	return chains, c.err
}

type corpus struct {
	dir   string
	now   time.Time
	plain *bench
	err   error
}

// A row of the corpus. Those without a code are good.
type row struct {
	name, twin, rfc string
	code            trust.Code
	why             string
	make            func(*bench) *holder
}

// bench is where one chain is made.
type bench struct {
	*corpus
	name    string
	dir     string  // its own trust directory, "" where that of all is good enough
	root    *holder // of that directory
	file    []byte  // instead of the leaf's
	options trust.Options
	crls    bool
}

func (c *corpus) make(r row) (chain Chain, err error) {
	b := &bench{corpus: c, name: fileName(r.name)}
	leaf := r.make(b)
	if b.dir == "" {
		b.dir = c.plain.dir
	}
	if b.file == nil {
		b.file = leaf.file()
	}
	path := filepath.Join(c.dir, b.name+".pem")
	if err := os.WriteFile(path, b.file, 0o600); err != nil {
		return Chain{}, fmt.Errorf("gridtest: %w", err)
	}
	return Chain{Name: r.name, Twin: r.twin, RFC: r.rfc, Code: r.code, Why: r.why, File: path,
		TrustDir: b.dir, Options: b.options, CRLs: b.crls}, nil
}

// fileName leaves out of a row's name what programs may trip over: JGlobus takes a comma for the end of a path.
func fileName(row string) string {
	return strings.Map(func(c rune) rune {
		if c == '-' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' {
			return c
		}
		return '_'
	}, row)
}

// own makes a trust directory for this chain alone, with one root.
func (b *bench) own(changes ...change) *holder {
	b.dir = filepath.Join(b.corpus.dir, b.name+".certificates")
	b.fail(os.MkdirAll(b.dir, 0o755))
	b.root = b.authority(CAName, changes...)
	b.trusted(b.root)
	return b.root
}

// authority makes a self-signed CA, in no directory yet.
func (b *bench) authority(name string, changes ...change) *holder {
	key := keyOf("rsa2048", name)
	return issue(nil, cert{
		subject: dn(name), key: key,
		notBefore: derTime(b.now.AddDate(-1, 0, 0)), notAfter: derTime(b.now.AddDate(10, 0, 0)),
		extensions: []pkix.Extension{isCA(-1), usage(keyCertSign, crlSign),
			extension(idKeyID, false, tlv(tagOctets, keyID(key)))},
	}, changes...)
}

// trusted puts a CA into the trust directory with all that goes with it.
func (b *bench) trusted(ca *holder) {
	for _, hash := range ca.hashes() {
		b.write(hash+".0", ca.pem())
	}
	b.described(ca)
}

// described writes the CA's policy and revocation list, but not the CA.
func (b *bench) described(ca *holder) {
	b.signingPolicy(ca, Namespace)
	b.crl(ca, crl{})
}

func (b *bench) signingPolicy(ca *holder, globs ...string) {
	quoted := `"` + strings.Join(globs, `" "`) + `"`
	b.policy(ca, ".signing_policy", fmt.Sprintf("access_id_CA  X509  '%s'\npos_rights  globus  CA:sign\ncond_subjects  globus  '%s'\n", ca.oneLine(), quoted))
}

// policy writes a policy file under both hashes of the CA.
func (b *bench) policy(ca *holder, suffix, text string) {
	for _, hash := range ca.hashes() {
		b.write(hash+suffix, []byte(text))
	}
}

// remove takes the CA's files of a kind away.
func (b *bench) remove(ca *holder, suffixes ...string) {
	for _, hash := range ca.hashes() {
		for _, suffix := range suffixes {
			b.fail(os.Remove(filepath.Join(b.dir, hash+suffix)))
		}
	}
}

func (b *bench) write(name string, data []byte) {
	b.fail(os.WriteFile(filepath.Join(b.dir, name), data, 0o644))
}

func (b *bench) fail(err error) { b.err = errors.Join(b.err, err) }

// ca is the root in whose name this chain is made.
func (b *bench) ca() *holder {
	if b.root != nil {
		return b.root
	}
	return b.plain.root
}

// user makes an end entity below the root.
func (b *bench) user(changes ...change) *holder { return b.userOf(b.ca(), changes...) }

func (b *bench) userOf(ca *holder, changes ...change) *holder {
	return issue(ca, cert{
		subject: dn(UserName), key: keyOf("rsa2048", "user"),
		notBefore: derTime(b.now.Add(-time.Hour)), notAfter: derTime(b.now.AddDate(1, 0, 0)),
		extensions: []pkix.Extension{noCA(), usage(digitalSignature, keyEncipherment, dataEncipherment)},
	}, changes...)
}

// sub makes a CA below another; its policy and revocation list are in the directory, itself is not.
func (b *bench) sub(above *holder, name string, changes ...change) *holder {
	key := keyOf("rsa2048", name)
	ca := issue(above, cert{
		subject: dn(name), key: key,
		notBefore: derTime(b.now.AddDate(0, -6, 0)), notAfter: derTime(b.now.AddDate(5, 0, 0)),
		extensions: []pkix.Extension{isCA(-1), usage(keyCertSign, crlSign),
			extension(idKeyID, false, tlv(tagOctets, keyID(key)))},
	}, changes...)
	b.described(ca)
	return ca
}

const (
	subName    = "/O=Grid/OU=gsigw test/CN=Sub CA"
	subSubName = "/O=Grid/OU=gsigw test/CN=Sub Sub CA"
)

// proxy makes an RFC proxy.
func (b *bench) proxy(above *holder, changes ...change) *holder {
	return b.anyProxy(above, []pkix.Extension{extension(gsi.OIDProxyCertInfo, true, info(gsi.OIDInheritAll))},
		changes...)
}

// draft makes a proxy of GT3's.
func (b *bench) draft(above *holder, changes ...change) *holder {
	return b.anyProxy(above, []pkix.Extension{extension(gsi.OIDDraftProxyCertInfo, true, info(gsi.OIDInheritAll))},
		changes...)
}

// legacy makes a proxy of GT2's, with the serial number of its issuer.
func (b *bench) legacy(above *holder, name string, changes ...change) *holder {
	as := []change{named(below(above.subject, cn(name))), withSerial(above.serial)}
	return b.anyProxy(above, nil, append(as, changes...)...)
}

func (b *bench) anyProxy(above *holder, extensions []pkix.Extension, changes ...change) *holder {
	n := big.NewInt(serial.Add(1) + 4000)
	return issue(above, cert{
		subject: below(above.subject, cn(n.String())), key: keyOf("rsa2048",
			fmt.Sprintf("proxy %d", len(above.chain())%2)),
		notBefore: derTime(b.now.Add(-5 * time.Minute)), notAfter: derTime(b.now.Add(12 * time.Hour)),
		extensions: append([]pkix.Extension{usage(digitalSignature, keyEncipherment)}, extensions...),
	}, append([]change{withSerial(n)}, changes...)...)
}

// info is a ProxyCertInfo without a path length: the RFC's and the draft's are alike.
func info(language asn1.ObjectIdentifier) []byte { return tlv(tagSeq, tlv(tagSeq, derOID(language))) }

// crl is what a revocation list is to say.
type crl struct {
	thisUpdate, nextUpdate time.Time // zero: an hour ago, in a month
	endless                bool      // no nextUpdate
	first                  bool      // version 1
	extended               bool      // with extensions, though it is of version 1
	revoked                []*holder
	entries                []byte                // more revoked, their DER
	critical               asn1.ObjectIdentifier // a critical extension
	signer                 *holder               // nil: the CA
	issuer                 []byte                // nil: the CA
	broken                 bool
	files                  []string // nil: under both hashes as .r0
	above                  []byte   // what the file holds before it
}

func (b *bench) crl(ca *holder, l crl) {
	data := append(slices.Clip(l.above), b.crlPEM(ca, l)...)
	if l.files == nil {
		for _, hash := range ca.hashes() {
			l.files = append(l.files, hash+".r0")
		}
	}
	for _, name := range l.files {
		b.write(name, data)
	}
}

func (b *bench) crlPEM(ca *holder, l crl) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: b.crlDER(ca, l)})
}

func (b *bench) crlDER(ca *holder, l crl) []byte {
	if l.thisUpdate.IsZero() {
		l.thisUpdate = b.now.Add(-time.Hour)
	}
	if l.nextUpdate.IsZero() {
		l.nextUpdate = b.now.AddDate(0, 1, 0)
	}
	if l.signer == nil {
		l.signer = ca
	}
	if l.issuer == nil {
		l.issuer = ca.subject
	}
	with := usual(l.signer.key)
	parts := [][]byte{with.id, l.issuer, derTime(l.thisUpdate)}
	if !l.endless {
		parts = append(parts, derTime(l.nextUpdate))
	}
	entries := l.entries
	for _, h := range l.revoked {
		entries = append(entries, tlv(tagSeq, Must(asn1.Marshal(h.serial)), derTime(l.thisUpdate))...)
	}
	if entries != nil {
		parts = append(parts, tlv(tagSeq, entries))
	}
	if !l.first {
		parts = slices.Insert(parts, 0, derInt(1))
	}
	if !l.first || l.extended {
		parts = append(parts, tagged(0, l.extensions()))
	}
	tbs := tlv(tagSeq, parts...)
	signed := with.sign(l.signer.key, tbs)
	if l.broken {
		signed[len(signed)/2] ^= 1
	}
	return tlv(tagSeq, tbs, with.id, derBits(signed))
}

func (l crl) extensions() []byte {
	extensions := []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 20}, Value: derInt(serial.Add(1))}}
	if l.critical != nil {
		extensions = append(extensions, pkix.Extension{Id: l.critical, Critical: true, Value: tlv(tagSeq)})
	}
	return Must(asn1.Marshal(extensions))
}
