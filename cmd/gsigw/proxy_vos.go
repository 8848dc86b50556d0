package main

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"io"
	"strings"
	"time"

	"gsigw/gsi"
	"gsigw/voms"
)

// voFacts is what one attribute certificate says.
type voFacts struct {
	VO         string      `json:"vo"`
	FQANs      []string    `json:"fqans"`             // as the certificate writes them
	Claimed    []string    `json:"claimed,omitempty"` // the FQANs, where they are not believed
	Attributes []attribute `json:"attributes"`
	Holder     string      `json:"holder"`
	Issuer     string      `json:"issuer"`
	Serial     string      `json:"serial"` // hexadecimal
	NotBefore  time.Time   `json:"not_before"`
	NotAfter   time.Time   `json:"not_after"`
	URI        string      `json:"uri"`                // host:port of the server
	Verified   *bool       `json:"verified,omitempty"` // of proxy verify alone
	Code       string      `json:"code,omitempty"`     // why it was not
	Reason     string      `json:"reason,omitempty"`
	Remedy     string      `json:"remedy,omitempty"`

	fqans   []voms.FQAN
	refusal string // all of it in one line
}

// attribute is a generic attribute of a VO.
type attribute struct {
	Name      string `json:"name"`
	Value     string `json:"value"`
	Qualifier string `json:"qualifier"`
}

func readVOFacts(ac *voms.AttributeCertificate, chain []*x509.Certificate) voFacts {
	f := voFacts{
		VO: ac.VO, FQANs: append([]string{}, ac.Written...), Attributes: []attribute{}, Holder: holderName(ac, chain), Issuer: ac.Issuer(),
		Serial: fmt.Sprintf("%02X", ac.Serial.Bytes()), NotBefore: ac.NotBefore.UTC(), NotAfter: ac.NotAfter.UTC(), URI: ac.Server, fqans: ac.FQANs,
	}
	for _, a := range ac.Generic {
		f.Attributes = append(f.Attributes, attribute{a.Name, a.Value, a.Qualifier})
	}
	return f
}

// holderName says whose the attributes are: the subject of the certificate that issuer and serial number mean.
func holderName(ac *voms.AttributeCertificate, chain []*x509.Certificate) string {
	h := ac.Holder
	for _, cert := range chain {
		if h.Serial != nil && h.Serial.Cmp(cert.SerialNumber) == 0 && bytes.Equal(h.RawIssuer, cert.RawIssuer) {
			return gsi.OneLine(cert.RawSubject)
		}
	}
	if h.RawName != nil {
		return gsi.OneLine(h.RawName)
	}
	return gsi.OneLine(h.RawIssuer)
}

// print writes a VO with the labels of voms-proxy-info.
func (f voFacts) print(w io.Writer, at time.Time) {
	fmt.Fprintf(w, "=== VO %s extension information ===\n", printable(f.VO))
	lines := [][2]string{{"VO", f.VO}, {"subject", f.Holder}, {"issuer", f.Issuer}}
	for _, fqan := range f.FQANs {
		lines = append(lines, [2]string{"attribute", fqan})
	}
	for _, a := range f.Attributes {
		lines = append(lines, [2]string{"attribute", fmt.Sprintf("%s = %s (%s)", a.Name, a.Value, a.Qualifier)})
	}
	left := time.Duration(secondsLeft(f.NotAfter, at)) * time.Second
	printLabels(w, append(lines, [][2]string{{"timeleft", clock(left)}, {"uri", f.URI}}...))
}

// oneLine makes one line of an error, without the name of the package that it is from.
func oneLine(err error) string {
	return strings.Join(strings.Fields(packagePrefix.ReplaceAllString(err.Error(), "")), " ")
}
