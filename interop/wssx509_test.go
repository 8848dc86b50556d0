package interop

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
	"gsigw/soap"
	"gsigw/soap/xmlscan"
	"gsigw/wssec"
)

const (
	soap12NS = "http://www.w3.org/2003/05/soap-envelope"
	wsa05NS  = "http://www.w3.org/2005/08/addressing"

	base64Binary = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#Base64Binary"
	wsse11NS     = "http://docs.oasis-open.org/wss/oasis-wss-wssecurity-secext-1.1.xsd"
	dsigMoreNS   = "http://www.w3.org/2001/04/xmldsig-more#"
)

// modernMessage is a call, or its answer, as engines of today send it: addressing of 2005, a default namespace and a
// prefix that only content uses.
func modernMessage(envelope, more string) string {
	return `<?xml version="1.0" encoding="UTF-8"?>
<soapenv:Envelope xmlns:soapenv="` + envelope + `" xmlns:wsa="` + wsa05NS + `" xmlns="` + addNS + `"
 xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
 <soapenv:Header>
  <wsa:MessageID>urn:uuid:561e7b00-e5dc-11f1-88c5-88714967ae9a</wsa:MessageID>
  <wsa:To soapenv:mustUnderstand="1">http://localhost:8080/services/Counter</wsa:To>
  <wsa:Action>http://counter.com/CounterPortType/addRequest</wsa:Action>` + more + `
 </soapenv:Header>
 <soapenv:Body><add><n xmlns="" xsi:type="xsd:int">5</n></add></soapenv:Body>
</soapenv:Envelope>`
}

const modernAnswer = `<wsa:RelatesTo>urn:uuid:561e7b00-e5dc-11f1-88c5-88714967ae9a</wsa:RelatesTo>`

// modernParts are the signed parts of modernMessage, as WSS4J's reports and configuration name them.
func modernParts(envelope string) []string {
	return []string{"{" + envelope + "}Body", "{" + wsuNS + "}Timestamp", "{" + wsa05NS + "}MessageID", "{" + wsa05NS + "}To",
		"{" + wsa05NS + "}Action"}
}

// verifier is one of the grid's that knows the certificates of all.
func (g *wssGrid) verifier() *wssec.Verifier {
	v := &wssec.Verifier{Trust: g.store}
	for _, c := range []*gsi.Credential{g.user, g.ecUser, g.host} {
		v.Certificates = append(v.Certificates, c.Leaf())
	}
	return v
}

// secured is the message as the profile sends it, and what its reply is to be held against.
func secured(t testing.TB, p wssec.Profile, c *gsi.Credential, message string) (string, wssec.Pending) {
	t.Helper()
	m, err := soap.Read(xmlscan.Memory(message), soap.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	edit, pending, err := p.Secure(t.Context(), m, c)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if _, err := edit.WriteTo(&out); err != nil {
		t.Fatal(err)
	}
	return out.String(), pending
}

// An x509Case is one way to sign with wss-x509.
type x509Case struct {
	name     string
	envelope string
	signer   func(*wssGrid) *gsi.Credential
	profile  wssec.X509Message
}

func theUser(g *wssGrid) *gsi.Credential   { return g.user }
func theECUser(g *wssGrid) *gsi.Credential { return g.ecUser }

// aProxy is one of the user's.
func aProxy(g *wssGrid) *gsi.Credential {
	return gridtest.Must(g.ProxyOf(g.user, gsi.Limits{}))
}

func x509Cases() []x509Case {
	return []x509Case{
		{"token", soapNS, theUser, wssec.X509Message{}},
		{"SOAP 1.2", soap12NS, theUser, wssec.X509Message{}},
		{"SHA-384", soapNS, theUser, wssec.X509Message{Digest: wssec.SHA384}},
		{"SHA-512", soap12NS, theUser, wssec.X509Message{Digest: wssec.SHA512}},
		{"ECDSA", soapNS, theECUser, wssec.X509Message{}},
		{"ECDSA by issuer and serial", soap12NS, theECUser, wssec.X509Message{KeyReference: wssec.IssuerSerial}},
		{"issuer and serial", soapNS, theUser, wssec.X509Message{KeyReference: wssec.IssuerSerial}},
		{"subject key identifier", soapNS, theUser, wssec.X509Message{KeyReference: wssec.SubjectKeyIdentifier}},
		{"thumbprint", soap12NS, theUser, wssec.X509Message{KeyReference: wssec.Thumbprint}},
		{"proxy and PKIPath", soapNS, aProxy, wssec.X509Message{}},
		{"PKIPath of an end entity", soapNS, theUser, wssec.X509Message{Token: wssec.TokenPKIPath}},
		{"signed token", soapNS, theUser, wssec.X509Message{SignToken: true}},
		{"signed PKIPath", soap12NS, aProxy, wssec.X509Message{SignToken: true}},
		{"prefix lists", soapNS, theUser, wssec.X509Message{InclusiveNamespaces: true}},
		{"prefix lists SOAP 1.2 signed PKIPath", soap12NS, aProxy,
			wssec.X509Message{InclusiveNamespaces: true, SignToken: true, Digest: wssec.SHA512}},
		{"prefix lists and thumbprint", soap12NS, theECUser,
			wssec.X509Message{InclusiveNamespaces: true, KeyReference: wssec.Thumbprint, Digest: wssec.SHA384}},
	}
}

// underBSP is WSS4J's configuration for messages that are signed, with the Basic Security Profile enforced.
var underBSP = options{"action": "Timestamp Signature", "isBSPCompliant": "true", "timestampStrict": "true"}

// The proof that the next test proves something: WSS4J refuses what the profile forbids, and would take it otherwise.
func TestWSS4J_EnforcesTheBasicSecurityProfile(t *testing.T) {
	g := newWSSGrid(t)
	_, inclusiveC14N := g.peer.must(t, "secure", options{"action": "Timestamp Signature", "user": "user", "isBSPCompliant": "false",
		"signatureC14nAlgorithm": inclusive}, modernMessage(soapNS, ""))
	good, _ := secured(t, &wssec.X509Message{}, g.user, modernMessage(soapNS, ""))
	path, _ := secured(t, &wssec.X509Message{}, aProxy(g), modernMessage(soapNS, ""))
	for rule, message := range map[string]string{
		"R3029": changed(t, good, ` EncodingType="`+base64Binary+`"`, ""),
		"R3059": changed(t, good, ` ValueType="`+x509Token+`"></wsse:Reference>`, `></wsse:Reference>`),
		"R5215": changed(t, path, ` wsse11:TokenType="`+pkiPathToken+`"`, ""),
		"R5404": inclusiveC14N,
	} {
		if _, _, err := g.peer.do("check", underBSP.with(options{"isBSPCompliant": "false"}), message); err != nil {
			t.Errorf("%s: WSS4J refuses the message as it is: %v", rule, err)
		}
		if _, _, err := g.peer.do("check", underBSP, message); err == nil {
			t.Errorf("WSS4J takes a message that breaks %s", rule)
		}
	}
}

// changed is the message with one text in place of another, which must be there.
func changed(t testing.TB, message, old, new string) string {
	t.Helper()
	if !strings.Contains(message, old) {
		t.Fatalf("no %s in %s", old, message)
	}
	return strings.Replace(message, old, new, 1)
}

func TestX509Message_IsAcceptedByWSS4JUnderBSP(t *testing.T) {
	g := newWSSGrid(t)
	for _, c := range x509Cases() {
		t.Run(c.name, func(t *testing.T) {
			signer := c.signer(g)
			signed, _ := secured(t, &c.profile, signer, modernMessage(c.envelope, ""))
			report, _ := g.peer.must(t, "check", underBSP, signed)
			wants := []string{"identity " + g.identity(signer)}
			for _, part := range modernParts(c.envelope) {
				wants = append(wants, "signed "+part)
			}
			if c.profile.SignToken {
				wants = append(wants, "signed {"+wsseNS+"}BinarySecurityToken")
			}
			for _, want := range wants {
				if !strings.Contains(report, want+"\n") {
					t.Errorf("WSS4J's report lacks %q:\n%s", want, report)
				}
			}
			if _, _, err := g.peer.do("check", underBSP, tampered(t, signed)); err == nil {
				t.Error("WSS4J takes the message changed")
			}
		})
	}
}

func (g *wssGrid) identity(c *gsi.Credential) string {
	if c.EndEntity() == g.ecUser.Leaf() {
		return gridtest.ECUserName
	}
	return gridtest.UserName
}

func TestX509Message_IsAcceptedByXmlsec1(t *testing.T) {
	g := newWSSGrid(t)
	for _, c := range x509Cases() {
		t.Run(c.name, func(t *testing.T) {
			signer := c.signer(g)
			signed, _ := secured(t, &c.profile, signer, modernMessage(c.envelope, ""))
			credential := gridtest.Must(g.WriteProxy("wss-signer.pem", signer))
			ids := []string{"--id-attr:Id", soap12NS + ":Body"}
			for _, name := range []string{"MessageID", "To", "Action"} {
				ids = append(ids, "--id-attr:Id", wsa05NS+":"+name)
			}
			if err := xmlsec1Verify(t, signed, credential, len(modernParts(c.envelope)), ids...); err != nil {
				t.Error(err)
			}
		})
	}
}

// A wss4jReply is one way for WSS4J to answer.
type wss4jReply struct {
	name     string
	envelope string
	options  options
	parts    []string // signed besides those of modernMessage
	byName   bool     // the certificate is not in the message: the verifier must know it
}

func wss4jReplies() []wss4jReply {
	sha := func(n string) options {
		digest := map[string]string{"256": xmlencNS + "sha256", "384": dsigMoreNS + "sha384", "512": xmlencNS + "sha512"}[n]
		return options{"signatureAlgorithm": dsigMoreNS + "rsa-sha" + n, "signatureDigestAlgorithm": digest}
	}
	by := func(how string) options { return sha("256").with(options{"signatureKeyIdentifier": how}) }
	direct := by("DirectReference")
	return []wss4jReply{
		{"token", soapNS, direct, nil, false},
		{"SOAP 1.2", soap12NS, direct, nil, false},
		{"SHA-384", soapNS, sha("384").with(options{"signatureKeyIdentifier": "DirectReference"}), nil, false},
		{"SHA-512", soap12NS, sha("512").with(options{"signatureKeyIdentifier": "DirectReference"}), nil, false},
		{"PKIPath", soapNS, direct.with(options{"useSingleCertificate": "false"}), nil, false},
		{"without prefix lists", soapNS, direct.with(options{"isBSPCompliant": "false"}), nil, false},
		{"milliseconds", soapNS, direct.with(options{"precisionInMilliseconds": "true", "timeToLive": "60"}), nil, false},
		{"whole seconds", soapNS, direct.with(options{"precisionInMilliseconds": "false"}), nil, false},
		{"no mustUnderstand", soapNS, direct.with(options{"mustUnderstand": "false"}), nil, false},
		{"token signed through STR-Transform", soapNS, direct, []string{"STRTransform"}, false},
		{"STR-Transform and PKIPath", soap12NS, direct.with(options{"useSingleCertificate": "false"}), []string{"STRTransform"}, false},
		{"issuer and serial", soapNS, by("IssuerSerial"), nil, true},

		{"subject key identifier", soapNS, by("SKIKeyIdentifier"), nil, true},
		{"thumbprint", soap12NS, by("Thumbprint"), nil, true},
	}
}

// reply has WSS4J answer the request that it checked last.
func (g *wssGrid) reply(t testing.TB, r wss4jReply, user string) string {
	t.Helper()
	parts := append([]string{"{}{" + wsa05NS + "}RelatesTo"}, r.parts...)
	for _, part := range modernParts(r.envelope) {
		parts = append(parts, "{}"+part)
	}
	o := options{"reply": "true", "action": "Timestamp Signature", "user": user, "signatureParts": strings.Join(parts, ";")}
	answer := modernMessage(r.envelope, modernAnswer)
	if slices.Contains(r.parts, "STRTransform") {
		// WSS4J signs the token before it stands below the envelope's default namespace: then it fails to verify itself.
		answer = changed(t, answer, ` xmlns="`+addNS+`"`, "")
	}
	if strings.Contains(r.options["action"], "Encrypt Signature") {
		// What is hidden from the signer must not depend on what the envelope declares, which nobody signs.
		answer = changed(t, changed(t, answer, ` xmlns="`+addNS+`"`, ""), "<add>", `<add xmlns="`+addNS+`">`)
	}
	_, signed := g.peer.must(t, "secure", o.with(r.options), answer)
	return signed
}

func TestPending_AcceptsWSS4JReplies(t *testing.T) {
	g := newWSSGrid(t)
	for _, r := range wss4jReplies() {
		for _, confirmed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s confirmed %t", r.name, confirmed), func(t *testing.T) {
				p := &wssec.X509Message{SignatureConfirmation: confirmed, Verifier: g.verifier()}
				request, pending := secured(t, p, g.user, modernMessage(r.envelope, ""))
				confirm := options{"enableSignatureConfirmation": fmt.Sprint(confirmed)}
				g.peer.must(t, "check", underBSP.with(confirm), request)
				r.options = r.options.with(confirm)
				signed := g.reply(t, r, "host")
				text, err := replyText(t.Context(), pending, signed)
				if err != nil || text != "5" {
					t.Fatalf("%v, text %q", err, text)
				}
				if _, err := replyText(t.Context(), pending, tampered(t, signed)); err == nil {
					t.Error("the reply is taken changed")
				}
				if r.byName {
					p.Verifier.Certificates = nil
					_, stranger := secured(t, p, g.user, modernMessage(r.envelope, ""))
					if _, err := replyText(t.Context(), stranger, signed); err == nil {
						t.Error("the reply is taken by one who does not know the certificate")
					}
				}
			})
		}
	}
}

func replyText(ctx context.Context, pending wssec.Pending, reply string) (string, error) {
	m, err := soap.Read(xmlscan.Memory(reply), soap.Limits{})
	if err != nil {
		return "", err
	}
	verified, err := pending.Verify(ctx, m, wssec.Expect{Peer: wantHost})
	if err != nil {
		return "", err
	}
	return verified.Text()
}

func wantHost(id *gsi.Identity) error {
	if dn := fmt.Sprint(id.DN); dn != gridtest.HostName {
		return fmt.Errorf("%s", dn)
	}
	return nil
}
