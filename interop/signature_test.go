package interop

import (
	"strings"
	"testing"

	"gsigw/internal/gridtest"
)

// plainMessage is what an engine would send: no security header, GT4's addressing.
const plainMessage = `<?xml version="1.0" encoding="UTF-8"?>
<soapenv:Envelope xmlns:soapenv="` + soapNS + `" xmlns:wsa="` + wsaNS + `"
 xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
 <soapenv:Header>
  <wsa:MessageID soapenv:mustUnderstand="0">uuid:561e7b00-e5dc-11f1-88c5-88714967ae9a</wsa:MessageID>
  <wsa:To>http://localhost:8080/wsrf/services/Counter</wsa:To>
  <wsa:Action>http://counter.com/CounterPortType/addRequest</wsa:Action>
  <wsa:From><wsa:Address>` + wsaNS + `/role/anonymous</wsa:Address></wsa:From>
  <c:CounterKey xmlns:c="` + addNS + `">985424134</c:CounterKey>
 </soapenv:Header>
 <soapenv:Body><add xmlns="` + addNS + `"><n xmlns="" xsi:type="xsd:int">5</n></add></soapenv:Body>
</soapenv:Envelope>`

// A signingCase is one way to sign a message.
type signingCase struct {
	name       string
	credential string
	algorithm  string // rsa or ecdsa
	digest     string // sha1 or sha256
	token      string // pkipath or x509v3
	identity   string
}

// signingCases are all ways that the peers share; WSS4J 1.6 signs with ECDSA only where the algorithm is named, which
// these suites do not.
func signingCases(t testing.TB, g *grid) []signingCase {
	t.Helper()
	proxy, ecProxy := g.proxy(t), g.ecProxy(t)
	return []signingCase{
		{"RSA proxy sha1 PKIPath", proxy, "rsa", "sha1", "pkipath", gridtest.UserName},
		{"RSA proxy sha256 PKIPath", proxy, "rsa", "sha256", "pkipath", gridtest.UserName},
		{"RSA end entity sha1 X509v3", g.user, "rsa", "sha1", "x509v3", gridtest.UserName},
		{"RSA end entity sha256 X509v3", g.user, "rsa", "sha256", "x509v3", gridtest.UserName},
		{"P-256 proxy sha256 PKIPath", ecProxy, "ecdsa", "sha256", "pkipath", gridtest.ECUserName},
		{"P-256 end entity sha256 X509v3", g.ecUser, "ecdsa", "sha256", "x509v3", gridtest.ECUserName},
	}
}

// The peers verify each other's messages, and refuse them changed: what they say of gsigw's can be believed.
func TestPeersVerifyEachOther(t *testing.T) {
	g := newGrid(t)
	for _, c := range signingCases(t, g) {
		t.Run(c.name, func(t *testing.T) {
			signed := xmlsec1Sign(t, c, exclusive)
			if err := xmlsec1Verify(t, signed, c.credential, len(signedElements)); err != nil {
				t.Error(err)
			}
			if xmlsec1Verify(t, tampered(t, signed), c.credential, len(signedElements)) == nil {
				t.Error("xmlsec1 verifies a message that was changed")
			}
			if c.algorithm != "rsa" {
				return
			}
			if err := wss4jVerify(t, signed, g.TrustDir, c.identity); err != nil {
				t.Error(err)
			}
			if wss4jVerify(t, tampered(t, signed), g.TrustDir, c.identity) == nil {
				t.Error("WSS4J verifies a message that was changed")
			}
			if err := xmlsec1Verify(t, wss4jSign(t, c), c.credential, len(signedElements)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSign_IsVerifiedByXmlsec1(t *testing.T) {
	for _, c := range signingCases(t, newGrid(t)) {
		t.Run(c.name, func(t *testing.T) {
			if err := xmlsec1Verify(t, gsigwSign(t, c), c.credential, len(signedElements)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSign_IsVerifiedByWSS4J(t *testing.T) {
	g := newGrid(t)
	for _, c := range signingCases(t, g) {
		t.Run(c.name, func(t *testing.T) {
			if err := wss4jVerify(t, gsigwSign(t, c), g.TrustDir, c.identity); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestVerify_AcceptsWhatXmlsec1Signs(t *testing.T) {
	g := newGrid(t)
	for _, c := range signingCases(t, g) {
		t.Run(c.name, func(t *testing.T) { gsigwVerify(t, g, xmlsec1Sign(t, c, exclusive), c.identity) })
		t.Run(c.name+" inclusive", func(t *testing.T) { gsigwVerify(t, g, xmlsec1Sign(t, c, inclusive), c.identity) })
	}
}

func TestVerify_AcceptsWhatWSS4JSigns(t *testing.T) {
	g := newGrid(t)
	for _, c := range signingCases(t, g) {
		if c.algorithm != "rsa" {
			continue
		}
		t.Run(c.name, func(t *testing.T) { gsigwVerify(t, g, wss4jSign(t, c), c.identity) })
		t.Run(c.name+" prefix lists", func(t *testing.T) { gsigwVerify(t, g, wss4jSign(t, c, "prefixes"), c.identity) })
	}
}

func gsigwSign(t *testing.T, c signingCase) string {
	t.Helper()
	signed, err := gsigw(t, plainMessage, "sign", "--credential", c.credential, "--digest", c.digest, "--token", c.token)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// gsigwVerify fails unless gsigw takes the message as its signer's and nobody else's, and refuses it changed.
func gsigwVerify(t *testing.T, g *grid, signed, identity string) {
	t.Helper()
	out, err := gsigw(t, signed, "verify", "--trust", g.TrustDir, "--peer", identity, "--print", "text")
	if err != nil {
		t.Fatal(err)
	}
	if strings.TrimSpace(out) != "5" {
		t.Errorf("verified text is %q, want 5", out)
	}
	for _, refused := range []struct{ reason, message, peer string }{
		{"digest", tampered(t, signed), identity},
		{"identity", signed, gridtest.HostName},
	} {
		out, err := gsigw(t, refused.message, "verify", "--trust", g.TrustDir, "--peer", refused.peer)
		if err == nil || !strings.Contains(err.Error(), "reason="+refused.reason+":") {
			t.Errorf("want reason=%s, got %v and %q", refused.reason, err, out)
		}
	}
}

// tampered returns the message with another number in its Body.
func tampered(t testing.TB, signed string) string {
	t.Helper()
	i := strings.LastIndex(signed, ">5<")
	if i < 0 {
		t.Fatalf("no number to change in %s", signed)
	}
	return signed[:i] + ">6<" + signed[i+3:]
}
