package gridtest

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/beevik/etree"

	"gsigw/gsi"
	"gsigw/soap"
	"gsigw/wssec"
	"gsigw/wssec/c14n"
)

// A StandIn with Modern speaks WS-Security as services of today do, as far as a client meets it: it takes wss-x509 and
// with Users a username token over TLS, confirms signatures, and answers in the dialect of WS-Addressing that it is
// asked in, or in none.

// authenticateModern finds out who signed, or whose password it is.
func (s *StandIn) authenticateModern(ctx context.Context, m *soap.Message, request []byte) (*caller, error) {
	doc := etree.NewDocument()
	if err := doc.ReadFromBytes(request); err != nil {
		return nil, err
	}
	if token := doc.FindElement("/Envelope/Header/Security/UsernameToken"); token != nil && s.options.TLS {
		user, err := s.passwordOf(token)
		return &caller{user: user, message: m, text: request}, err
	}
	if a := doc.FindElement("/Envelope/Header/Security/Assertion"); a != nil && s.options.TLS && doc.FindElement("/Envelope/Header/Security/Signature") == nil {
		return &caller{user: assertedName(a), message: m, text: request}, nil
	}
	v, err := s.verifier.Verify(ctx, m, wssec.Expect{Role: wssec.Request, Encrypted: s.options.Privacy})
	if err != nil {
		return nil, &gt4Fault{"wsse:FailedCheck", err.Error()}
	}
	return s.opened(v, m, request)
}

// passwordOf checks a password, in clear or as a digest (UsernameToken profile 1.1, section 3.1).
func (s *StandIn) passwordOf(token *etree.Element) (user string, err error) {
	field := func(name string) string {
		if e := token.SelectElement(name); e != nil {
			return e.Text()
		}
		return ""
	}
	user = field("Username")
	want := s.options.Users[user]
	if password := token.SelectElement("Password"); password != nil && strings.HasSuffix(password.SelectAttrValue("Type", ""), "#PasswordDigest") {
		nonce, err := base64.StdEncoding.DecodeString(field("Nonce"))
		if err != nil || len(nonce) == 0 || field("Created") == "" {
			return "", &gt4Fault{"wsse:FailedAuthentication", "the digest has no nonce or no time"}
		}
		sum := sha1.Sum([]byte(string(nonce) + field("Created") + want))
		want = base64.StdEncoding.EncodeToString(sum[:])
	}
	if s.options.Users[user] == "" || subtle.ConstantTimeCompare([]byte(want), []byte(field("Password"))) != 1 {
		return "", &gt4Fault{"wsse:FailedAuthentication", "the password does not fit"}
	}
	return user, nil
}

// assertedName is whom an assertion is about, in SAML 1.1 or 2.0. Who issued it this service does not care.
func assertedName(a *etree.Element) string {
	for _, path := range []string{"Subject/NameID", ".//Subject/NameIdentifier"} {
		if e := a.FindElement(path); e != nil {
			return e.Text()
		}
	}
	return ""
}

const (
	wsse11 = "http://docs.oasis-open.org/wss/oasis-wss-wssecurity-secext-1.1.xsd"
	excC14 = "http://www.w3.org/2001/10/xml-exc-c14n#"
)

// confirming signs a reply together with a SignatureConfirmation (WS-Security 1.1, section 8.5). It writes the security
// header by itself: no profile of package wssec answers requests.
func (s *StandIn) confirming(m *soap.Message, c *caller, signer *gsi.Credential, now time.Time) ([]byte, error) {
	confirmation := fmt.Sprintf(`<c:SignatureConfirmation xmlns:c="%s" xmlns:wsu="%s" Value="%s" wsu:Id="confirmation"/>`, wsse11, soap.WSU, s.confirmed(c))
	if s.misbehaviour() == NoConfirmation {
		confirmation = ""
	}
	stamp := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	header := fmt.Appendf(nil, `<wsse:Security xmlns:wsse="%s" xmlns:wsu="%s"><wsu:Timestamp wsu:Id="time"><wsu:Created>%s</wsu:Created><wsu:Expires>%s</wsu:Expires></wsu:Timestamp>`+
		`<wsse:BinarySecurityToken EncodingType="%s" ValueType="%s" wsu:Id="token">%s</wsse:BinarySecurityToken>%s</wsse:Security>`,
		soap.WSSE, soap.WSU, stamp(now), stamp(now.Add(5*time.Minute)), encoding, x509Type, base64.StdEncoding.EncodeToString(signer.Leaf().Raw), confirmation)
	changes := []soap.Change{m.PutHeaders(header)}
	for i, e := range signedElements(m) {
		changes = append(changes, soap.Insert(e.NameEnd, fmt.Appendf(nil, ` xmlns:wsu="%s" wsu:Id="part-%d"`, soap.WSU, i)))
	}
	unsigned, err := reread(m, changes...)
	if err != nil {
		return nil, err
	}
	return signByHand(unsigned, signer)
}

// confirmed is the value to confirm.
func (s *StandIn) confirmed(c *caller) string {
	if s.misbehaviour() == WrongConfirmation {
		return base64.StdEncoding.EncodeToString([]byte("another signature"))
	}
	return c.value
}

func signedElements(m *soap.Message) []*soap.Element {
	list := []*soap.Element{&m.Body}
	for _, b := range m.Blocks {
		list = append(list, &b.Element)
	}
	return list
}

func reread(m *soap.Message, changes ...soap.Change) (*soap.Message, error) {
	edit, err := m.Edit(changes...)
	if err != nil {
		return nil, err
	}
	return soap.Read(edit, soap.Limits{})
}

// signByHand signs Body, every header and what the security header holds, but for the token.
func signByHand(m *soap.Message, signer *gsi.Credential) ([]byte, error) {
	var security *soap.Node
	var parts []*soap.Element
	for _, e := range signedElements(m) {
		if e.Name != (soap.Name{Space: soap.WSSE, Local: "Security"}) {
			parts = append(parts, e)
			continue
		}
		var err error
		if security, err = m.Tree(e); err != nil {
			return nil, err
		}
		for _, n := range append(security.All(soap.WSU, "Timestamp"), security.All(wsse11, "SignatureConfirmation")...) {
			parts = append(parts, &n.Element)
		}
	}
	var references strings.Builder
	for _, e := range parts {
		h := sha256.New()
		if err := c14n.Write(h, m.Scan(e), c14n.Method{Exclusive: true}); err != nil {
			return nil, err
		}
		fmt.Fprintf(&references, `<ds:Reference URI="#%s"><ds:Transforms><ds:Transform Algorithm="%s"></ds:Transform></ds:Transforms>`+
			`<ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"></ds:DigestMethod><ds:DigestValue>%s</ds:DigestValue></ds:Reference>`,
			e.ID, excC14, base64.StdEncoding.EncodeToString(h.Sum(nil)))
	}
	info := fmt.Sprintf(`<ds:SignedInfo xmlns:ds="%s"><ds:CanonicalizationMethod Algorithm="%s"></ds:CanonicalizationMethod>`+
		`<ds:SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"></ds:SignatureMethod>%s</ds:SignedInfo>`, dsig, excC14, references.String())
	sum := sha256.Sum256([]byte(info))
	value, err := signer.Key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	signature := fmt.Sprintf(`<ds:Signature xmlns:ds="%s">%s<ds:SignatureValue>%s</ds:SignatureValue><ds:KeyInfo><wsse:SecurityTokenReference>`+
		`<wsse:Reference URI="#token" ValueType="%s"/></wsse:SecurityTokenReference></ds:KeyInfo></ds:Signature>`,
		dsig, info, base64.StdEncoding.EncodeToString(value), x509Type)
	signed, err := m.Edit(soap.Insert(security.TagEnd, []byte(signature)))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(signed.Reader())
}
