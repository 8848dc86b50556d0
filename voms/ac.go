package voms

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"time"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"gsigw/gsi"
)

// AttributeCertificate is what a VOMS server signs: who its holder is in the VO (RFC 5755; GFD.182, "VOMS Attribute
// Certificate Format"). It says what the bytes say: [Dir.Verify] decides whether to believe it.
type AttributeCertificate struct {
	Raw []byte // DER

	Holder    Holder
	RawIssuer []byte // DER of the name of the attribute authority
	Serial    *big.Int
	NotBefore time.Time
	NotAfter  time.Time

	VO      string             // as the policy authority "vo://host:port" has it
	Server  string             // "host:port"
	FQANs   []FQAN             // in the server's order: the first is the primary one
	Written []string           // the same as they stand, with or without NULL
	Generic []GenericAttribute // nil when there are none

	Targets      []string            // hosts that may use it; nil: all
	Certificates []*x509.Certificate // of the authority, its own first; nil when it sends none
	KeyID        []byte              // of the authority's key; nil when it is not said
	Extensions   []pkix.Extension    // all of them, those read above included

	SignatureAlgorithm x509.SignatureAlgorithm
	Signature          []byte

	rawTBS    []byte
	authority string   // the policy authority as it stands
	keyIssuer []byte   // DER of the name of the issuer of the authority's certificate; nil when it is not said
	keySerial *big.Int // goes with keyIssuer
}

// Holder names the certificate that an attribute certificate belongs to.
type Holder struct {
	RawIssuer []byte   // DER of a name: the issuer's, or as VOMS servers have it the holder's own; nil when absent
	Serial    *big.Int // of the holder's certificate; goes with RawIssuer
	RawName   []byte   // DER of the holder's own name; nil when absent
}

// GenericAttribute is a name and value that the VO's administrators gave a user (OID .11).
// All of it is text in UTF-8 without control characters.
type GenericAttribute struct {
	Name, Value string
	Qualifier   string // the VO, or the group or role as an FQAN, with which it was given; empty where nothing is said
}

// isOf says whether the VO may speak so.
func (g GenericAttribute) isOf(vo string) bool {
	f, err := parseFQAN(g.Qualifier)
	return g.Qualifier == "" || g.Qualifier == vo || err == nil && f.VO() == vo
}

// Bounds on what is read. The largest VOMS servers give a few hundred FQANs.
const (
	maxAC           = 256 << 10 // bytes
	maxFQANs        = 1024
	maxGeneric      = 1024
	maxTargets      = 256
	maxCertificates = 10
	maxExtensions   = 32
	maxSerial       = 20 // bytes, RFC 5755, section 4.2.5
)

// Issuer returns the name of the attribute authority in one-line form.
func (ac *AttributeCertificate) Issuer() string { return gsi.OneLine(ac.RawIssuer) }

// ParseAC reads an attribute certificate in DER, and no byte more. What it does not understand is an error, apart from
// attributes and extensions that are not VOMS's.
func ParseAC(data []byte) (*AttributeCertificate, error) {
	ac, err := parseAC(data)
	if err != nil {
		return nil, fmt.Errorf("voms: %w: request it again", err)
	}
	return ac, nil
}

func parseAC(data []byte) (*AttributeCertificate, error) {
	if len(data) > maxAC {
		return nil, fmt.Errorf("attribute certificate: it has %d bytes; %d is the most", len(data), maxAC)
	}
	ac := &AttributeCertificate{Raw: bytes.Clone(data)}
	if err := ac.parse(); err != nil {
		return nil, fmt.Errorf("attribute certificate: %w", err)
	}
	return ac, nil
}

var errDER = errors.New("not in DER, or not of the form that RFC 5755 has")

func (ac *AttributeCertificate) parse() error {
	input := cryptobyte.String(ac.Raw)
	var whole, tbs, signature cryptobyte.String
	if !input.ReadASN1(&whole, der.SEQUENCE) || !input.Empty() || !whole.ReadASN1Element(&tbs, der.SEQUENCE) ||
		!whole.ReadASN1Element(&signature, der.SEQUENCE) || !whole.ReadASN1BitStringAsBytes(&ac.Signature) || !whole.Empty() {
		return errDER
	}
	ac.rawTBS = tbs
	if !tbs.ReadASN1(&tbs, der.SEQUENCE) {
		return errDER
	}
	for _, field := range []struct {
		name string
		read func(*cryptobyte.String) error
	}{
		{"version", readVersion},
		{"holder", ac.readHolder},
		{"issuer", ac.readIssuer},
		{"signature algorithm", func(s *cryptobyte.String) error { return ac.readAlgorithm(s, signature) }},
		{"serial number", ac.readSerial},
		{"validity", ac.readValidity},
		{"attributes", ac.readAttributes},
		{"extensions", ac.readExtensions},
	} {
		if err := field.read(&tbs); err != nil {
			return fmt.Errorf("%s: %w", field.name, err)
		}
	}
	if !tbs.Empty() {
		return errDER
	}
	return nil
}

func readVersion(s *cryptobyte.String) error {
	var version int
	if !s.ReadASN1Integer(&version) {
		return errDER
	}
	if version != 1 {
		return errors.New("not 2, the only one there is")
	}
	return nil
}

// readHolder reads the two forms that name a holder. A digest of it names nothing that can be compared with a chain.
func (ac *AttributeCertificate) readHolder(s *cryptobyte.String) error {
	var holder, base, name cryptobyte.String
	var hasBase, hasName bool
	if !s.ReadASN1(&holder, der.SEQUENCE) || !holder.ReadOptionalASN1(&base, &hasBase, contextTag(0)) ||
		!holder.ReadOptionalASN1(&name, &hasName, contextTag(1)) {
		return errDER
	}
	if holder.PeekASN1Tag(contextTag(2)) {
		return errors.New("given as a digest, which is not taken")
	}
	if !holder.Empty() || (!hasBase && !hasName) {
		return errDER
	}
	if hasName && !readDirectoryName(&name, &ac.Holder.RawName) {
		return errDER
	}
	if !hasBase {
		return nil
	}
	ok := readIssuerSerial(&base, &ac.Holder.RawIssuer, &ac.Holder.Serial)
	if !ok {
		return errDER
	}
	return nil
}

// readIssuerSerial reads what is in an IssuerSerial: the names, the serial number, and no unique identifier, which
// nobody has had since X.509v2.
func readIssuerSerial(s *cryptobyte.String, name *[]byte, serial **big.Int) bool {
	var names cryptobyte.String
	*serial = new(big.Int)
	return s.ReadASN1(&names, der.SEQUENCE) && readDirectoryName(&names, name) && s.ReadASN1Integer(*serial) && s.Empty()
}

// readDirectoryName reads GeneralNames that are to be one directory name.
func readDirectoryName(s *cryptobyte.String, out *[]byte) bool {
	var wrapped, name cryptobyte.String
	if !s.ReadASN1(&wrapped, contextTag(4)) || !s.Empty() || !wrapped.ReadASN1Element(&name, der.SEQUENCE) || !wrapped.Empty() {
		return false
	}
	if _, err := gsi.ParseName(name); err != nil {
		return false
	}
	*out = name
	return true
}

func (ac *AttributeCertificate) readIssuer(s *cryptobyte.String) error {
	var form, names cryptobyte.String
	if !s.ReadASN1(&form, contextTag(0)) || !form.ReadASN1(&names, der.SEQUENCE) || !form.Empty() ||
		!readDirectoryName(&names, &ac.RawIssuer) {
		return errors.New("not one directory name")
	}
	return nil
}

func (ac *AttributeCertificate) readSerial(s *cryptobyte.String) error {
	ac.Serial = new(big.Int)
	if !s.ReadASN1Integer(ac.Serial) {
		return errDER
	}
	if ac.Serial.Sign() < 0 || ac.Serial.BitLen() > 8*maxSerial {
		return fmt.Errorf("negative, or longer than %d bytes", maxSerial)
	}
	return nil
}

func (ac *AttributeCertificate) readValidity(s *cryptobyte.String) error {
	var validity cryptobyte.String
	if !s.ReadASN1(&validity, der.SEQUENCE) || !readTime(&validity, &ac.NotBefore) || !readTime(&validity, &ac.NotAfter) ||
		!validity.Empty() {
		return errDER
	}
	if ac.NotAfter.Before(ac.NotBefore) {
		return errors.New("it ends before it begins")
	}
	return nil
}

// readTime reads a GeneralizedTime in DER's one form (RFC 5755, section 4.2.6).
func readTime(s *cryptobyte.String, t *time.Time) bool {
	const layout = "20060102150405Z"
	var text cryptobyte.String
	if !s.ReadASN1(&text, der.GeneralizedTime) {
		return false
	}
	at, err := time.Parse(layout, string(text))
	*t = at
	return err == nil && at.Format(layout) == string(text)
}

func contextTag(tag uint8) der.Tag { return der.Tag(tag).ContextSpecific().Constructed() }

// algorithms are those with which an authority may sign; MD5 is here to be refused by its name.
var algorithms = []struct {
	oid asn1.ObjectIdentifier
	as  x509.SignatureAlgorithm
}{
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 4}, x509.MD5WithRSA},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 5}, x509.SHA1WithRSA},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}, x509.SHA256WithRSA},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 12}, x509.SHA384WithRSA},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 13}, x509.SHA512WithRSA},
	{asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 1}, x509.ECDSAWithSHA1},
	{asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}, x509.ECDSAWithSHA256},
	{asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 3}, x509.ECDSAWithSHA384},
	{asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 4}, x509.ECDSAWithSHA512},
}

// readAlgorithm reads the signature algorithm, which stands inside of what is signed and again outside.
func (ac *AttributeCertificate) readAlgorithm(s *cryptobyte.String, outer []byte) error {
	var inner, fields, parameters cryptobyte.String
	var oid asn1.ObjectIdentifier
	if !s.ReadASN1Element(&inner, der.SEQUENCE) {
		return errDER
	}
	if !bytes.Equal(inner, outer) {
		return errors.New("one is named inside of the signed part, another outside")
	}
	if !inner.ReadASN1(&fields, der.SEQUENCE) || !fields.ReadASN1ObjectIdentifier(&oid) {
		return errDER
	}
	if !fields.Empty() && (!fields.ReadASN1(&parameters, der.NULL) || !parameters.Empty() || !fields.Empty()) {
		return errors.New("it has parameters: sign with RSA PKCS#1 v1.5 or ECDSA")
	}
	for _, a := range algorithms {
		if a.oid.Equal(oid) {
			ac.SignatureAlgorithm = a.as
		}
	}
	return nil
}
