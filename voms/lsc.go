package voms

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"gsigw/gsi"
)

// An lsc lists the certificate chains that a VO's authority on one host may sign with; any of them will do.
type lsc []lscChain

// An lscChain has for each certificate, the authority's own first, its subject and its issuer.
type lscChain []lscNames

type lscNames struct{ subject, issuer gsi.Name }

// nextChain separates alternatives. VOMS's Java library writes it without spaces, the C library with.
var nextChain = regexp.MustCompile(`^-+ ?(?i:NEXT CHAIN) ?-+$`)

// parseLSC reads a list of certificates: lines with DNs that begin with '/', for each certificate the subject and then
// the issuer. Comments begin with '#'. VOMS's libraries pass over or misread what else there is; here it is an error.
func parseLSC(data []byte) (lsc, error) {
	var list lsc
	var names []gsi.Name
	end := func(line int) error {
		if len(names)%2 != 0 {
			return fmt.Errorf("line %d: a chain has an odd number of DNs: write for each certificate its subject and its issuer, one a line", line)
		}
		if len(names) > 0 {
			list = append(list, pairs(names))
			names = nil
		}
		return nil
	}
	number := 0
	for line := range bytes.Lines(data) {
		number++
		text := strings.TrimSpace(string(line))
		switch {
		case text == "" || text[0] == '#':
		case nextChain.MatchString(text):
			if err := end(number); err != nil {
				return nil, err
			}
		default:
			name, err := lscName(text)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", number, err)
			}
			names = append(names, name)
		}
	}
	if err := end(number); err != nil {
		return nil, err
	}
	if list == nil {
		return nil, fmt.Errorf("%w: write the authority's subject on one line and its issuer on the next, or remove the file", errNothing)
	}
	return list, nil
}

// errNothing is what is wrong with a file that was read whole and names nobody: emptied, or all of it made a comment.
var errNothing = errors.New("it names no certificate")

func lscName(text string) (gsi.Name, error) {
	if text[0] != '/' {
		return nil, fmt.Errorf("%.80q is not a DN that begins with '/', nor ------NEXT CHAIN------: correct it or write '#' before it", text)
	}
	return gsi.ParseDN(text)
}

func pairs(names []gsi.Name) (chain lscChain) {
	for two := range slices.Chunk(names, 2) {
		chain = append(chain, lscNames{two[0], two[1]})
	}
	return chain
}

// matches says whether one of the chains is this one: no certificate more, and none less.
func (l lsc) matches(certs []*x509.Certificate) bool {
	return slices.ContainsFunc(l, func(chain lscChain) bool {
		return slices.EqualFunc(chain, certs, func(n lscNames, cert *x509.Certificate) bool {
			return isName(cert.RawSubject, n.subject) && isName(cert.RawIssuer, n.issuer)
		})
	})
}

func isName(der []byte, name gsi.Name) bool {
	have, err := gsi.ParseName(der)
	return err == nil && have.Equal(name)
}

// lscOf says what lines an LSC file would have that this chain matches.
func lscOf(certs []*x509.Certificate) string {
	var lines []string
	for _, cert := range certs {
		lines = append(lines, gsi.OneLine(cert.RawSubject), gsi.OneLine(cert.RawIssuer))
	}
	if lines == nil {
		return "the subject and the issuer of its certificate, one a line"
	}
	return "these lines: " + strings.Join(lines, " | ")
}
