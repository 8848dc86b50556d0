package gridtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"gsigw/gsi"
)

// The VO of a test authority, and where its server would be.
const (
	VO         = "testvo"
	VOMSHost   = "voms.example.org"
	VOMSServer = VOMSHost + ":15000"
	VOMSName   = "/O=Grid/OU=gsigw test/CN=" + VOMSHost
)

// AA is the attribute authority of a VO: what a VOMS server is, without the server. It writes its attribute
// certificates piece by piece, so that each piece can be wrong.
type AA struct {
	*gsi.Credential
	VO, Server string // "host:port"

	options PKIOptions
}

// NewAA makes the attribute authority of [VO].
func (p *PKI) NewAA() (*AA, error) {
	c, err := p.identified(VOMSName)
	return &AA{Credential: c, VO: VO, Server: VOMSServer, options: p.options}, err
}

// identified issues a certificate with the key identifier without which voms-proxy-fake makes no proxy, and
// voms-api-java believes no authority.
func (p *PKI) identified(name string) (*gsi.Credential, error) {
	key, err := testKey(name, false)
	if err != nil {
		return nil, err
	}
	return p.CA.Issue(Request{Name: name, Key: key, Change: func(t *x509.Certificate) { t.SubjectKeyId = keyHash(key.Public()) }})
}

// keyHash is the identifier of a key by RFC 5280, section 4.2.1.2, method 1.
func keyHash(key crypto.PublicKey) []byte {
	var info struct {
		Algorithm asn1.RawValue
		Key       asn1.BitString
	}
	Must(asn1.Unmarshal(Must(x509.MarshalPKIXPublicKey(key)), &info))
	sum := sha1.Sum(info.Key.Bytes)
	return sum[:]
}

// WriteLSC says in a vomsdir that the authority is trusted: <dir>/<vo>/<host>.lsc with its subject and its issuer.
func (a *AA) WriteLSC(dir string) error {
	names := gsi.OneLine(a.Leaf().RawSubject) + "\n" + gsi.OneLine(a.Leaf().RawIssuer) + "\n"
	return a.WriteVOMSFile(dir, a.host()+".lsc", names)
}

// WriteVOMSFile writes any file of the VO's into a vomsdir.
func (a *AA) WriteVOMSFile(dir, name, content string) error {
	sub := filepath.Join(dir, a.VO)
	if err := os.MkdirAll(sub, 0o755); err != nil {
		return fmt.Errorf("gridtest: %w", err)
	}
	return os.WriteFile(filepath.Join(sub, name), []byte(content), 0o644)
}

func (a *AA) host() string {
	host, _, _ := strings.Cut(a.Server, ":")
	return host
}

// AC asks an authority for an attribute certificate. Without dates it is valid from an hour ago for twelve.
type AC struct {
	Holder    *x509.Certificate
	FQANs     []string
	Generic   []Tag
	Targets   []string
	NotBefore time.Time
	NotAfter  time.Time
	Digest    crypto.Hash                // of the signature; 0 means SHA-256
	Key       crypto.Signer              // signs instead of the authority's
	Change    func(*ACParts)             // before it is signed
	Tamper    func(signed []byte) []byte // after
	Algorithm func(inner, outer *[]byte) // the two places of the signature algorithm, in DER
}

// Tag is a generic attribute.
type Tag struct{ Name, Value, Qualifier string }

// ACParts are the fields of an attribute certificate in DER, in their order, but for the algorithm.
type ACParts struct {
	Version, Holder, Issuer, Serial, Validity []byte
	Attributes                                [][]byte
	AfterAttributes                           []byte // where an issuerUniqueID would be
	Extensions                                []pkix.Extension
	AfterExtensions                           []byte
}

// Set replaces the extension that has the identifier of this one, or adds it.
func (p *ACParts) Set(e pkix.Extension) {
	p.Drop(e.Id)
	p.Extensions = append(p.Extensions, e)
}

// Drop leaves out an extension.
func (p *ACParts) Drop(oid asn1.ObjectIdentifier) {
	var left []pkix.Extension
	for _, e := range p.Extensions {
		if !e.Id.Equal(oid) {
			left = append(left, e)
		}
	}
	p.Extensions = left
}

// Critical makes an extension critical, or not.
func (p *ACParts) Critical(oid asn1.ObjectIdentifier, critical bool) {
	for i := range p.Extensions {
		if p.Extensions[i].Id.Equal(oid) {
			p.Extensions[i].Critical = critical
		}
	}
}

// The object identifiers of an attribute certificate.
var (
	OIDFQANs        = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 8005, 100, 100, 4}
	OIDACs          = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 8005, 100, 100, 5}
	OIDCertificates = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 8005, 100, 100, 10}
	OIDTags         = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 8005, 100, 100, 11}
	OIDKeyID        = asn1.ObjectIdentifier{2, 5, 29, 35}
	OIDTargets      = asn1.ObjectIdentifier{2, 5, 29, 55}
	OIDNoRevAvail   = asn1.ObjectIdentifier{2, 5, 29, 56}
)

// Issue signs an attribute certificate and returns it in DER.
func (a *AA) Issue(r AC) ([]byte, error) {
	if r.NotBefore.IsZero() {
		r.NotBefore = a.options.Now.Add(-time.Hour)
	}
	if r.NotAfter.IsZero() {
		r.NotAfter = a.options.Now.Add(11 * time.Hour)
	}
	if r.Key == nil {
		r.Key = a.Key
	}
	parts := a.parts(r)
	if r.Change != nil {
		r.Change(parts)
	}
	signed, err := r.sign(parts)
	if err == nil && r.Tamper != nil {
		signed = r.Tamper(signed)
	}
	return signed, err
}

func (a *AA) parts(r AC) *ACParts {
	authority := a.VO + "://" + a.Server
	p := &ACParts{
		Version:    DER(func(b *Builder) { b.AddASN1Int64(1) }),
		Holder:     HolderOf(r.Holder.RawSubject, r.Holder.SerialNumber),
		Issuer:     Wrap(contextTag(0), Wrap(der.SEQUENCE, DirectoryName(a.Leaf().RawSubject))),
		Serial:     DER(func(b *Builder) { b.AddASN1Int64(serial.Add(1) + 15) }),
		Validity:   Wrap(der.SEQUENCE, GeneralizedTime(r.NotBefore), GeneralizedTime(r.NotAfter)),
		Attributes: [][]byte{FQANs(authority, der.OCTET_STRING, r.FQANs...)},
		Extensions: []pkix.Extension{
			{Id: OIDCertificates, Value: Certificates(a.Chain...)},
			{Id: OIDNoRevAvail, Value: []byte{5, 0}},
			{Id: OIDKeyID, Value: KeyID(keyHash(a.Leaf().PublicKey))},
		},
	}
	if r.Generic != nil {
		p.Set(pkix.Extension{Id: OIDTags, Value: Tags(authority, r.Generic...)})
	}
	if r.Targets != nil {
		p.Set(pkix.Extension{Id: OIDTargets, Critical: true, Value: Targets(r.Targets...)})
	}
	return p
}

func (r AC) sign(p *ACParts) ([]byte, error) {
	if r.Digest == 0 {
		r.Digest = crypto.SHA256
	}
	inner, err := algorithmOf(r.Key, r.Digest)
	if err != nil {
		return nil, err
	}
	outer := inner
	if r.Algorithm != nil {
		r.Algorithm(&inner, &outer)
	}
	tbs := Wrap(der.SEQUENCE, p.Version, p.Holder, p.Issuer, inner, p.Serial, p.Validity,
		Wrap(der.SEQUENCE, p.Attributes...), p.AfterAttributes, extensions(p.Extensions), p.AfterExtensions)
	hash := r.Digest.New()
	hash.Write(tbs)
	signature, err := r.Key.Sign(rand.Reader, hash.Sum(nil), r.Digest)
	if err != nil {
		return nil, fmt.Errorf("gridtest: %w", err)
	}
	return Wrap(der.SEQUENCE, tbs, outer, DER(func(b *Builder) { b.AddASN1BitString(signature) })), nil
}

// algorithmOf returns the AlgorithmIdentifier of a signature in DER.
func algorithmOf(key crypto.Signer, digest crypto.Hash) ([]byte, error) {
	last := map[crypto.Hash]int{crypto.MD5: 4, crypto.SHA1: 5, crypto.SHA256: 11, crypto.SHA512: 13}
	switch key.(type) {
	case *rsa.PrivateKey:
		oid := asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, last[digest]}
		return Wrap(der.SEQUENCE, DER(func(b *Builder) { b.AddASN1ObjectIdentifier(oid) }), []byte{5, 0}), nil
	case *ecdsa.PrivateKey:
		oid := asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}
		return Wrap(der.SEQUENCE, DER(func(b *Builder) { b.AddASN1ObjectIdentifier(oid) })), nil
	}
	return nil, errors.New("gridtest: no such key")
}

// ACExtension puts attribute certificates into the extension of a proxy, whatever they are.
func ACExtension(acs ...[]byte) pkix.Extension {
	return pkix.Extension{Id: OIDACs, Value: Wrap(der.SEQUENCE, Wrap(der.SEQUENCE, acs...))}
}

// Builder writes DER.
type Builder = cryptobyte.Builder

// DER returns what a function writes.
func DER(write func(*Builder)) []byte {
	var b Builder
	write(&b)
	return b.BytesOrPanic()
}

// Wrap puts pieces into one element.
func Wrap(tag der.Tag, pieces ...[]byte) []byte {
	return DER(func(b *Builder) {
		b.AddASN1(tag, func(b *Builder) {
			for _, p := range pieces {
				b.AddBytes(p)
			}
		})
	})
}

func contextTag(tag uint8) der.Tag { return der.Tag(tag).ContextSpecific().Constructed() }

// HolderOf names a holder by a name and its certificate's serial number: its issuer's name, or its own as VOMS has it.
func HolderOf(name []byte, serial *big.Int) []byte {
	return Wrap(der.SEQUENCE, Wrap(contextTag(0), Wrap(der.SEQUENCE, DirectoryName(name)), DER(func(b *Builder) { b.AddASN1BigInt(serial) })))
}

// NamedHolder names a holder by its own name alone.
func NamedHolder(name []byte) []byte {
	return Wrap(der.SEQUENCE, Wrap(contextTag(1), DirectoryName(name)))
}

// DirectoryName makes the GeneralName of a DN.
func DirectoryName(name []byte) []byte { return Wrap(contextTag(4), name) }

// URI makes the GeneralName of a URI.
func URI(uri string) []byte { return Wrap(der.Tag(6).ContextSpecific(), []byte(uri)) }

// GeneralizedTime writes a time as attribute certificates have it.
func GeneralizedTime(t time.Time) []byte {
	return Wrap(der.GeneralizedTime, []byte(t.UTC().Format("20060102150405Z")))
}

// FQANs makes the VOMS attribute; VOMS has its values as OCTET STRING.
func FQANs(authority string, tag der.Tag, fqans ...string) []byte {
	return FQANsOf(URI(authority), tag, fqans...)
}

// FQANsOf makes it with any names of policy authorities.
func FQANsOf(authorities []byte, tag der.Tag, fqans ...string) []byte {
	var values [][]byte
	for _, f := range fqans {
		values = append(values, Wrap(tag, []byte(f)))
	}
	syntax := Wrap(der.SEQUENCE, Wrap(contextTag(0), authorities), Wrap(der.SEQUENCE, values...))
	return Wrap(der.SEQUENCE, DER(func(b *Builder) { b.AddASN1ObjectIdentifier(OIDFQANs) }), Wrap(der.SET, syntax))
}

// Certificates makes the value of the extension with the authority's chain.
func Certificates(chain ...*x509.Certificate) []byte {
	var raw [][]byte
	for _, c := range chain {
		raw = append(raw, c.Raw)
	}
	return Wrap(der.SEQUENCE, Wrap(der.SEQUENCE, raw...))
}

// Tags makes the value of the extension with the generic attributes.
func Tags(authority string, tags ...Tag) []byte {
	var list [][]byte
	for _, t := range tags {
		list = append(list, Wrap(der.SEQUENCE, Wrap(der.OCTET_STRING, []byte(t.Name)),
			Wrap(der.OCTET_STRING, []byte(t.Value)), Wrap(der.OCTET_STRING, []byte(t.Qualifier))))
	}
	return Wrap(der.SEQUENCE, Wrap(der.SEQUENCE, Wrap(der.SEQUENCE, Wrap(der.SEQUENCE, URI(authority)), Wrap(der.SEQUENCE, list...))))
}

// Targets makes the value of the target extension as VOMS does: each target in a SEQUENCE that RFC 5755 has not.
func Targets(hosts ...string) []byte {
	var list [][]byte
	for _, h := range hosts {
		list = append(list, Wrap(der.SEQUENCE, Wrap(contextTag(0), URI(h))))
	}
	return Wrap(der.SEQUENCE, Wrap(der.SEQUENCE, list...))
}

// KeyID makes the value of the authority key identifier.
func KeyID(id []byte) []byte { return Wrap(der.SEQUENCE, Wrap(der.Tag(0).ContextSpecific(), id)) }

func extensions(list []pkix.Extension) []byte {
	if list == nil {
		return nil
	}
	var all [][]byte
	for _, e := range list {
		all = append(all, Must(asn1.Marshal(e)))
	}
	return Wrap(der.SEQUENCE, all...)
}
