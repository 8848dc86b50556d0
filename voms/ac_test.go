package voms_test

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
	"gsigw/trust"
	"gsigw/voms"
)

func pemOf(cert *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}))
}

func TestParseAC_KeepsFQANsAsTheyAreWritten(t *testing.T) {
	g := newGrid(t)
	ac := gridtest.Must(voms.ParseAC(gridtest.Must(g.AA.Issue(g.Good()))))
	if !slices.Equal(ac.Written, g.Good().FQANs) || ac.FQANs[0].String() != "/testvo" {
		t.Error(ac.Written, ac.FQANs)
	}
	if ac.Holder.Serial.Cmp(g.User.Leaf().SerialNumber) != 0 || !bytes.Equal(ac.Holder.RawIssuer, g.User.Leaf().RawSubject) {
		t.Error(ac.Holder)
	}
	if ac.SignatureAlgorithm != x509.SHA256WithRSA || len(ac.Certificates) != 1 || len(ac.Extensions) != 3 || ac.Issuer() != gridtest.VOMSName {
		t.Errorf("%+v", ac)
	}
}

// Whatever byte is missing at the end, it is no attribute certificate; and neither is one with a byte more.
func TestParseAC_TakesTheWholeAndNothingElse(t *testing.T) {
	g := newGrid(t)
	der := gridtest.Must(g.AA.Issue(g.Good()))
	for n := range der {
		if _, err := voms.ParseAC(der[:n]); err == nil {
			t.Fatal(n, "bytes are taken")
		}
	}
	if _, err := voms.ParseAC(append(slices.Clone(der), 0)); err == nil {
		t.Error("a byte after it is taken")
	}
}

// No byte can change and the attributes still be believed.
func TestVerify_EveryByteIsUnderTheSignature(t *testing.T) {
	g := newGrid(t)
	der, dir := gridtest.Must(g.AA.Issue(g.Good())), open(t, g, voms.Options{})
	id := gridtest.Must(gsi.IdentityOf(g.User.Chain))
	if _, err := dir.VerifyAC(der, id, now); err != nil {
		t.Fatal(err)
	}
	for i := range der {
		changed := slices.Clone(der)
		changed[i] ^= 0x01
		if a, err := dir.VerifyAC(changed, id, now); err == nil {
			t.Errorf("byte %d changed, and believed: %+v", i, a)
		}
	}
}

func TestParseAC_RefusesHalfAKeyIdentifier(t *testing.T) {
	g := newGrid(t)
	issuer := gridtest.Wrap(0xa1, gridtest.DirectoryName(g.CA.Cert.RawSubject))
	for name, value := range map[string][]byte{
		"issuer without serial": gridtest.Wrap(0x30, issuer), "serial without issuer": {0x30, 3, 0x82, 1, 1}, "an empty key": {0x30, 2, 0x80, 0},
		"two names": gridtest.Wrap(0x30, gridtest.Wrap(0xa1, issuer[2:], issuer[2:]), []byte{0x82, 1, 1}), "more": {0x30, 5, 0x80, 1, 1, 5, 0},
	} {
		ac := g.Good()
		ac.Change = func(p *gridtest.ACParts) { p.Set(pkix.Extension{Id: gridtest.OIDKeyID, Value: value}) }
		if _, err := voms.ParseAC(gridtest.Must(g.AA.Issue(ac))); err == nil || !strings.Contains(err.Error(), "2.5.29.35: not in DER") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseAC_RefusesAPolicyAuthorityThatIsMoreThanOneServer(t *testing.T) {
	g := newGrid(t)
	for name, names := range map[string][]byte{
		"two URIs":    slices.Concat(gridtest.URI("testvo://"+gridtest.VOMSServer), gridtest.URI("atlas://"+gridtest.VOMSServer)),
		"a backslash": gridtest.URI(`testvo://..\` + gridtest.VOMSServer),
		"a slash":     gridtest.URI("testvo://../" + gridtest.VOMSServer),
		"port 0":      gridtest.URI("testvo://" + gridtest.VOMSHost + ":0"),
		"no host":     gridtest.URI("testvo://:15000"),
	} {
		ac := g.Good()
		ac.Change = func(p *gridtest.ACParts) { p.Attributes = [][]byte{gridtest.FQANsOf(names, 0x04, "/testvo")} }
		if _, err := voms.ParseAC(gridtest.Must(g.AA.Issue(ac))); err == nil || !strings.Contains(err.Error(), "the policy authority") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseAC_TakesGenericAttributesOfTextOnly(t *testing.T) {
	g := newGrid(t)
	read := func(tag gridtest.Tag) error {
		ac := g.Good()
		ac.Generic = []gridtest.Tag{tag}
		_, err := voms.ParseAC(gridtest.Must(g.AA.Issue(ac)))
		return err
	}
	for _, good := range []string{"", "jane", "Zoë Müller, 中文 🙂", "ירושלים\u200f!", "می\u200cخواهم", `a="b"; c\d/e`} {
		if err := errors.Join(read(gridtest.Tag{Name: good}), read(gridtest.Tag{Value: good}), read(gridtest.Tag{Qualifier: good})); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"a\x00", "a\nb", "a\r\nX: b", "a\tb", "\x1b[2J", "a\x7f", "a\u009b2J", "a\x9b2J", "caf\xe9", "a\u2028b", "a\u2029b", "a\u202eb", "a\u2066b"} {
		for _, tag := range []gridtest.Tag{{Name: bad}, {Value: bad}, {Qualifier: bad}} {
			if err := read(tag); err == nil || !strings.Contains(err.Error(), "is not text") || strings.Contains(err.Error(), bad) {
				t.Errorf("%q: %v", tag, err)
			}
		}
	}
}

func TestParseAC_IsBounded(t *testing.T) {
	g := newGrid(t)
	many := func(n int, word string) (list []string) {
		for i := range n {
			list = append(list, fmt.Sprintf(word, i))
		}
		return list
	}
	for _, test := range []struct {
		name, want string
		change     func(*gridtest.AC)
	}{
		{"FQANs", "more than 1024 FQANs", func(ac *gridtest.AC) { ac.FQANs = many(1025, "/testvo/%d") }},
		{"targets", "more than 256 targets", func(ac *gridtest.AC) { ac.Targets = many(257, "host%d") }},
		{"generic attributes", "more than 1024", func(ac *gridtest.AC) { ac.Generic = make([]gridtest.Tag, 1025) }},
		{"certificates", "more than 10 certificates", func(ac *gridtest.AC) {
			ac.Change = func(p *gridtest.ACParts) {
				p.Set(pkix.Extension{Id: gridtest.OIDCertificates, Value: gridtest.Certificates(slices.Repeat(g.AA.Chain, 11)...)})
			}
		}},
		{"extensions", "more than 32", func(ac *gridtest.AC) {
			ac.Change = func(p *gridtest.ACParts) {
				for i := range 30 {
					p.Set(pkix.Extension{Id: append(slices.Clone(gridtest.OIDTargets), i), Value: []byte{5, 0}})
				}
			}
		}},
		{"bytes", "bytes; 262144 is the most", func(ac *gridtest.AC) {
			ac.Generic = []gridtest.Tag{{Name: "long", Value: strings.Repeat("x", 262144)}}
		}},
	} {
		ac := g.Good()
		test.change(&ac)
		if _, err := voms.ParseAC(gridtest.Must(g.AA.Issue(ac))); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

func TestExtension_CarriesSeveralInOrder(t *testing.T) {
	g := newGrid(t)
	first, second := gridtest.Must(g.AA.Issue(g.Good())), gridtest.Must(g.AA.Issue(g.Good()))
	extension, err := voms.Extension(first, second)
	if err != nil || extension.Critical || !slices.Equal(extension.Value, gridtest.ACExtension(first, second).Value) {
		t.Error(extension, err)
	}
	proxy := gridtest.Must(g.Proxy(gsi.Limits{Extensions: []pkix.Extension{extension}}))
	acs, err := voms.ACs(gridtest.Must(g.ProxyOf(proxy, gsi.Limits{})).Chain)
	if err != nil || len(acs) != 2 || !bytes.Equal(acs[0], first) || !bytes.Equal(acs[1], second) {
		t.Error(len(acs), err)
	}
}

func TestExtension_RefusesWhatNobodyWouldRead(t *testing.T) {
	g := newGrid(t)
	ac := gridtest.Must(g.AA.Issue(g.Good()))
	for name, acs := range map[string][][]byte{"none": nil, "nonsense": {ac, {0x30, 0}}, "too many": slices.Repeat([][]byte{ac}, 33)} {
		if _, err := voms.Extension(acs...); err == nil {
			t.Error(name)
		}
	}
}

func TestACs_AreBounded(t *testing.T) {
	g := newGrid(t)
	if _, err := voms.ACs(g.Carry(g.User, slices.Repeat([][]byte{{0x30, 0}}, 33)...).Chain); err == nil || !strings.Contains(err.Error(), "more than 32") {
		t.Error(err)
	}
	for _, value := range [][]byte{{}, {5, 0}, {0x30, 0}, {0x30, 2, 5, 0}, {0x30, 4, 0x30, 2, 5, 0}, {0x30, 2, 0x30, 0, 0}, {0x30, 4, 0x30, 0, 0x30, 0}} {
		proxy := gridtest.Must(g.Proxy(gsi.Limits{Extensions: []pkix.Extension{{Id: voms.OIDACs, Value: value}}}))
		if acs, err := voms.ACs(proxy.Chain); err == nil {
			t.Errorf("%x: %x", value, acs)
		}
	}
}

func TestIncludedFile_IsTheNearest(t *testing.T) {
	g := newGrid(t)
	carry := func(issuer *gsi.Credential, content string) *gsi.Credential {
		return gridtest.Must(g.ProxyOf(issuer, gsi.Limits{Extensions: []pkix.Extension{gridtest.Must(voms.IncludeFile([]byte(content)))}}))
	}
	above := carry(g.User, "a ticket")
	if got := voms.IncludedFile(gridtest.Must(g.ProxyOf(above, gsi.Limits{})).Chain); string(got) != "a ticket" {
		t.Errorf("%q", got)
	}
	if got := voms.IncludedFile(carry(above, "another").Chain); string(got) != "another" {
		t.Errorf("%q", got)
	}
	if got := voms.IncludedFile(g.User.Chain); got != nil {
		t.Errorf("%q", got)
	}
	for _, n := range []int{0, 1<<20 + 1} {
		if _, err := voms.IncludeFile(make([]byte, n)); err == nil {
			t.Error(n, "bytes are taken")
		}
	}
}

// Nothing that comes off the wire makes it panic, and what it reads holds together.
func FuzzParseAC(f *testing.F) {
	for _, path := range gridtest.Must(filepath.Glob("testdata/ac/*.der")) {
		f.Add(gridtest.Must(os.ReadFile(path)))
	}
	for _, name := range []string{"server", "fake"} {
		chain := gridtest.Must(gsi.ParseCertificates(gridtest.Must(os.ReadFile("testdata/peerlab/" + name + ".pem"))))
		f.Add(gridtest.Must(voms.ACs(chain))[0])
	}
	store := gridtest.Must(trust.Open("testdata/peerlab/certificates", trust.Options{}))
	dir := gridtest.Must(voms.Open("testdata/peerlab/vomsdir", voms.Options{Trust: store, AnyTarget: true}))
	authority := gridtest.Must(gsi.ParseCertificates(gridtest.Must(os.ReadFile("testdata/peerlab/certificates/1c82768e.0"))))
	id := gridtest.Must(gsi.IdentityOf(authority)) // of whom no server speaks
	f.Fuzz(func(t *testing.T, der []byte) {
		ac, err := voms.ParseAC(der)
		if err == nil {
			for i, fqan := range ac.FQANs {
				if again, err := voms.ParseFQAN(fqan.Long()); err != nil || again != fqan || ac.Written[i] == "" {
					t.Error(fqan, again, err)
				}
			}
			if extension, err := voms.Extension(der); err != nil || len(extension.Value) <= len(der) {
				t.Error(err)
			}
		}
		if a, err := dir.VerifyAC(der, id, now); err == nil {
			t.Errorf("believed: %+v", a)
		}
	})
}
