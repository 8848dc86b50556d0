package main

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"gsigw/voms"
)

// readClaims puts to the facts what the attribute certificates of a chain say, and returns what is wrong with those that
// cannot be read.
func (f *proxyFacts) readClaims(chain []*x509.Certificate) error {
	acs, err := voms.ACs(chain)
	problems := []error{err}
	for _, der := range acs {
		ac, err := voms.ParseAC(der)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		f.add(readVOFacts(ac, chain))
	}
	return errors.Join(problems...)
}

// verified puts to the facts what of the attributes of a chain is believed, and names what is not.
func (f *proxyFacts) verified(chain []*x509.Certificate, believe func(der []byte) (*voms.Attributes, error)) {
	acs, err := voms.ACs(chain)
	if err != nil {
		f.refuse(voFacts{FQANs: []string{}, Attributes: []attribute{}}, err)
	}
	for _, der := range acs {
		vo := voFacts{FQANs: []string{}, Attributes: []attribute{}}
		if ac, err := voms.ParseAC(der); err == nil {
			vo = readVOFacts(ac, chain)
		}
		attributes, err := believe(der)
		if err != nil {
			f.refuse(vo, err)
			continue
		}
		vo.Verified, vo.NotAfter = new(true), attributes.Until.UTC()
		f.add(vo)
		f.believed = append(f.believed, attributes.FQANs...)
	}
}

// refuse keeps of attributes that are not believed that they were claimed, where nobody takes them for more.
func (f *proxyFacts) refuse(vo voFacts, err error) {
	vo.Claimed, vo.FQANs, vo.Attributes = vo.FQANs, []string{}, []attribute{}
	vo.Verified, vo.refusal = new(false), oneLine(err)
	vo.Code, vo.Reason, vo.Remedy = string(voms.Malformed), vo.refusal, "make the proxy again"
	if e, ok := errors.AsType[*voms.Error](err); ok {
		vo.Code, vo.Reason, vo.Remedy = string(e.Code), e.Reason, e.Remedy
	}
	if err == errNoVOMSDir {
		vo.Code, vo.Remedy = "no-vomsdir", "name one with --vomsdir or X509_VOMS_DIR"
		vo.refusal = fmt.Sprintf("the attributes of the VO %s from %s: %s: %s", vo.VO, vo.Issuer, vo.refusal, vo.Remedy)
	}
	f.VOs = append(f.VOs, vo)
}

var errNoVOMSDir = errors.New("there is no vomsdir to verify them against")

// verifyAttributes verifies those of a chain that holds, with a warning for each that does not. Without a directory none
// does.
func (f *proxyFacts) verifyAttributes(dir *voms.Dir, warnTo io.Writer) {
	believe := func([]byte) (*voms.Attributes, error) { return nil, errNoVOMSDir }
	if dir != nil {
		believe = func(der []byte) (*voms.Attributes, error) { return dir.VerifyAC(der, f.identity, f.at) }
	}
	f.verified(f.chain, believe)
	for _, vo := range f.VOs {
		if !*vo.Verified {
			fmt.Fprintf(warnTo, "warning: attributes=%s: %s\n", vo.Code, vo.refusal)
		}
	}
}

// openVOMSDir opens the vomsdir that the flag names, or else X509_VOMS_DIR's or the grid's if that is there; nil when none
// is. It names the files in it that cannot be used.
func openVOMSDir(c *cobra.Command, flag string, o voms.Options) (*voms.Dir, error) {
	path := cmp.Or(flag, os.Getenv("X509_VOMS_DIR"), gridVOMSDir)
	if flag == "" && !isThere(path) {
		return nil, nil
	}
	dir, err := voms.Open(path, o)
	if err != nil {
		return nil, err
	}
	for _, p := range dir.Problems() {
		fmt.Fprintf(c.ErrOrStderr(), "warning: %s in the vomsdir: %s\n", p.File, oneLine(p.Err))
	}
	return dir, nil
}

func isThere(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// attributesError says that the chain holds, and the attributes that were asked for do not.
type attributesError struct{ code, words, reason, remedy string }

func (e *attributesError) Error() string {
	if e.words != "" {
		return e.words
	}
	return e.reason + ": " + e.remedy
}

// demand refuses a proxy without the attributes that --require-voms and --fqan ask for.
func (f *proxyFacts) demand(all bool, wanted []voms.FQAN) error {
	if all && len(f.VOs) == 0 {
		return &attributesError{code: "no-attributes", reason: "the proxy has no VOMS attributes", remedy: "make it with gsigw proxy init --voms VO"}
	}
	for _, vo := range f.VOs {
		if all && !*vo.Verified {
			return refusedAttributes(vo)
		}
	}
	for _, fqan := range wanted {
		if !slices.Contains(f.believed, fqan) {
			return f.missing(fqan)
		}
	}
	return nil
}

// missing says why there is no such group or role: it may have been claimed, and refused.
func (f *proxyFacts) missing(fqan voms.FQAN) error {
	for _, vo := range f.VOs {
		if !*vo.Verified && vo.VO == fqan.VO() {
			return refusedAttributes(vo)
		}
	}
	return &attributesError{
		code: "no-fqan", reason: "the proxy does not have " + fqan.String(),
		remedy: fmt.Sprintf("make it with gsigw proxy init --voms %s:%s", fqan.VO(), fqan),
	}
}

func refusedAttributes(vo voFacts) error {
	return &attributesError{"voms-" + vo.Code, vo.refusal, vo.Reason, vo.Remedy}
}
