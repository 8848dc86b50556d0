package voms

import (
	"encoding/asn1"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// readAttributes reads the FQANs and passes over attributes that are not VOMS's.
func (ac *AttributeCertificate) readAttributes(s *cryptobyte.String) error {
	var attributes cryptobyte.String
	if !s.ReadASN1(&attributes, der.SEQUENCE) {
		return errDER
	}
	for !attributes.Empty() {
		var attribute, values cryptobyte.String
		var oid asn1.ObjectIdentifier
		if !attributes.ReadASN1(&attribute, der.SEQUENCE) || !attribute.ReadASN1ObjectIdentifier(&oid) ||
			!attribute.ReadASN1(&values, der.SET) || !attribute.Empty() {
			return errDER
		}
		if !oid.Equal(OIDFQANs) {
			continue
		}
		if ac.VO != "" {
			return errors.New("the VOMS attribute is there twice")
		}
		if err := ac.readFQANs(&values); err != nil {
			return err
		}
	}
	if ac.VO == "" {
		return errors.New("the VOMS attribute (" + OIDFQANs.String() + ") is missing")
	}
	return nil
}

// readFQANs reads the one IetfAttrSyntax of the VOMS attribute (RFC 5755, section 4.4). That allows for object
// identifiers and strings as values too; VOMS writes and reads octets only, and so do we.
func (ac *AttributeCertificate) readFQANs(s *cryptobyte.String) error {
	var syntax, names, values cryptobyte.String
	if !s.ReadASN1(&syntax, der.SEQUENCE) || !s.Empty() || !syntax.ReadASN1(&names, contextTag(0)) ||
		!syntax.ReadASN1(&values, der.SEQUENCE) || !syntax.Empty() {
		return errors.New("the VOMS attribute is not one list with its policy authority")
	}
	if err := ac.readPolicyAuthority(&names); err != nil {
		return err
	}
	for !values.Empty() {
		var value cryptobyte.String
		if !values.ReadASN1(&value, der.OCTET_STRING) {
			return errors.New("an FQAN is not an OCTET STRING")
		}
		fqan, err := parseFQAN(string(value))
		if err != nil {
			return err
		}
		ac.Written = append(ac.Written, string(value))
		if ac.FQANs = append(ac.FQANs, fqan); len(ac.FQANs) > maxFQANs {
			return fmt.Errorf("more than %d FQANs", maxFQANs)
		}
	}
	return nil
}

// readPolicyAuthority reads "vo://host:port".
func (ac *AttributeCertificate) readPolicyAuthority(s *cryptobyte.String) error {
	if !readURI(s, &ac.authority) || !s.Empty() {
		return errors.New("the policy authority is not one URI")
	}
	vo, server, ok := strings.Cut(ac.authority, "://")
	if !ok || !isWord(vo) || !isServer(server) {
		return fmt.Errorf("the policy authority %q is not of the form vo://host:port", ac.authority)
	}
	ac.VO, ac.Server = vo, server
	return nil
}

func isServer(s string) bool {
	host, port, err := net.SplitHostPort(s)
	if err != nil || host == "" || strings.Contains(host, `\`) || !isCapability(host) {
		return false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}

// readURI reads a GeneralName that is a URI.
func readURI(s *cryptobyte.String, uri *string) bool {
	var text cryptobyte.String
	if !s.ReadASN1(&text, der.Tag(6).ContextSpecific()) || !isASCII(text) {
		return false
	}
	*uri = string(text)
	return true
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

// readGeneric reads the generic attributes: a list of lists, one for each policy authority. VOMS before 1.9 wrote an
// empty one where there were none.
func (ac *AttributeCertificate) readGeneric(s *cryptobyte.String) error {
	var outer, lists cryptobyte.String
	if !s.ReadASN1(&outer, der.SEQUENCE) || !s.Empty() || !outer.ReadASN1(&lists, der.SEQUENCE) || !outer.Empty() {
		return errDER
	}
	for !lists.Empty() {
		var list, names, tags cryptobyte.String
		var authority string
		if !lists.ReadASN1(&list, der.SEQUENCE) || !list.ReadASN1(&names, der.SEQUENCE) ||
			!list.ReadASN1(&tags, der.SEQUENCE) || !list.Empty() || !readURI(&names, &authority) || !names.Empty() {
			return errDER
		}
		if authority != ac.authority {
			return fmt.Errorf("they are of the policy authority %q, and not of %q", authority, ac.authority)
		}
		if err := ac.readTags(&tags); err != nil {
			return err
		}
	}
	return nil
}

func (ac *AttributeCertificate) readTags(s *cryptobyte.String) error {
	for !s.Empty() {
		var tag cryptobyte.String
		var g GenericAttribute
		if !s.ReadASN1(&tag, der.SEQUENCE) || !readOctets(&tag, &g.Name) || !readOctets(&tag, &g.Value) ||
			!readOctets(&tag, &g.Qualifier) || !tag.Empty() {
			return errDER
		}
		for _, s := range []string{g.Name, g.Value, g.Qualifier} {
			if !isText(s) {
				return fmt.Errorf("%s is not text: it has control characters, or is not in UTF-8", excerpt(s))
			}
		}
		if ac.Generic = append(ac.Generic, g); len(ac.Generic) > maxGeneric {
			return fmt.Errorf("more than %d", maxGeneric)
		}
	}
	return nil
}

// isText lets letters of all languages through, and nothing that ends a line, moves a cursor or turns the direction in
// which a line is read.
func isText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		turns := '\u202a' <= r && r <= '\u202e' || '\u2066' <= r && r <= '\u2069'
		return turns || unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp)
	})
}

func readOctets(s *cryptobyte.String, out *string) bool {
	var octets cryptobyte.String
	ok := s.ReadASN1(&octets, der.OCTET_STRING)
	*out = string(octets)
	return ok
}
