package interop

import (
	"fmt"
	"strings"
	"testing"

	"gsigw/internal/gridtest"
)

// oddMessages is how many generated messages are signed and verified.
const oddMessages = 100

// message returns a SOAP message that is as odd as SOAP lets it be: the envelope's prefix may be one that a security
// header likes for itself, prefixes are bound to other namespaces, and content has every trap of canonicalisation.
// The ids are those of elements in the Body.
func (g *xmlGen) message() (message string, ids []string) {
	g.soap = true
	prefix := g.pick("soapenv:", "", "wsu:", "ds:", "wsse:")
	in := scope{"": "", strings.TrimSuffix(prefix, ":"): soapNS, "c": addNS}
	fmt.Fprintf(&g.b, "<%sEnvelope xmlns:c=%q %s=%q", prefix, addNS, strings.TrimSuffix("xmlns:"+prefix, ":"), soapNS)
	for _, p := range []string{"wsu", "wsse", "ds", "e"} {
		if in[p] == "" && g.chance(3) {
			in[p] = g.uri()
			g.b.WriteString(g.space() + "xmlns:" + p + g.equals() + g.quoted(in[p]))
		}
	}
	fmt.Fprintf(&g.b, ">%s<%sHeader>", g.gap(), prefix)
	g.b.WriteString("<c:CounterKey")
	for _, a := range g.attributes(in, 2) {
		g.b.WriteString(g.space() + a)
	}
	g.b.WriteString(">")
	g.content(in, 2)
	fmt.Fprintf(&g.b, "</c:CounterKey>%s</%sHeader>%s<%sBody>", g.gap(), prefix, g.gap(), prefix)
	inHeader := len(g.ids)
	for range 1 + g.IntN(3) {
		g.element(in, 2)
		g.b.WriteString(g.gap())
	}
	fmt.Fprintf(&g.b, "</%sBody>%s</%sEnvelope>", prefix, g.gap(), prefix)
	return g.b.String(), g.ids[inHeader:]
}

func (g *xmlGen) gap() string { return g.pick("", "", "\n", " \t", "\r\n") }

// What gsigw signs, xmlsec1 verifies, however odd; and what gsigw verifies, it gives back as it was.
func TestSign_OddMessagesAreVerifiedByXmlsec1(t *testing.T) {
	g := newGrid(t)
	oracle := libxml2(t)
	for seed := range uint64(oddMessages) {
		odd := newXMLGen(seed)
		plain, ids := odd.message()
		signed, err := gsigw(t, plain, "sign", "--credential", g.user)
		if err != nil {
			t.Fatalf("seed %d: %v\n%q", seed, err, plain)
		}
		if err := xmlsec1Verify(t, signed, g.user, 3); err != nil {
			t.Fatalf("seed %d: %v\n%q", seed, err, signed)
		}
		verified, err := gsigw(t, signed, "verify", "--trust", g.TrustDir, "--peer", gridtest.UserName)
		if err != nil {
			t.Fatalf("seed %d: %v\n%q", seed, err, signed)
		}
		if len(ids) == 0 {
			continue
		}
		r := c14nRequest{apex: odd.pick(ids...), algorithm: exclusive} // comments are not signed, and not given back
		if before, after := oracle.mustCanonicalize(t, r, plain), oracle.mustCanonicalize(t, r, verified); before != after {
			t.Fatalf("seed %d: %q went in, %q came out", seed, before, after)
		}
	}
}
