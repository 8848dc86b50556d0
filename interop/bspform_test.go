package interop

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/beevik/etree"

	"gsigw/soap"
	"gsigw/wssec"
)

// bspNone are rules by which there is none of something: an etree path in the security header, or in the message.
var bspNone = map[string]string{
	"R3225": "./Timestamp/Created[@ValueType]",
	"R3226": "./Timestamp/Expires[@ValueType]",
	"R3227": "./Timestamp[2]",
	"R3027": ".//SecurityTokenReference/KeyName",
	"R3056": ".//Embedded",
	"R3102": ".//Object",
	"R5403": ".//Manifest",
	"R5401": ".//HMACOutputLength",
	"R5440": "./Signature//EncryptedData",
	"R3228": "/Envelope/Header/EncryptedData",
	"R3209": ".//EncryptedKey[@Type]",
	"R5622": ".//EncryptedKey[@MimeType]",
	"R5623": ".//EncryptedKey[@Encoding]",
	"R5602": ".//EncryptedKey[@Recipient]",
	"R4222": "./UsernameToken/Password[2]",
	"R4223": "./UsernameToken/Created[2]",
	"R4225": "./UsernameToken/Nonce[2]",
}

// bspElements are rules on every element of a name, in the security header and, for what is encrypted, in the message.
var bspElements = []struct {
	rule, name string
	holds      func(*etree.Element) bool
}{
	{"R3221", "Timestamp", func(e *etree.Element) bool { return tags(e) == "Created Expires" }}, // and R3222, R3224
	{"R3217", "Created", func(e *etree.Element) bool { return strings.HasSuffix(e.Text(), "Z") }},
	{"R3061", "SecurityTokenReference", func(e *etree.Element) bool { return len(e.ChildElements()) == 1 }},
	{"R3059", "Reference", func(e *etree.Element) bool {
		return e.Parent().Tag != "SecurityTokenReference" || e.SelectAttrValue("ValueType", "") != ""
	}},
	{"R3001", "Reference", func(e *etree.Element) bool { return strings.HasPrefix(e.SelectAttrValue("URI", ""), "#") }},
	{"R5416", "Reference", func(e *etree.Element) bool {
		return e.Parent().Tag != "SignedInfo" || e.FindElement("./Transforms/Transform") != nil
	}},
	{"R5412", "Transforms", func(e *etree.Element) bool {
		all := e.ChildElements()
		last := all[len(all)-1].SelectAttrValue("Algorithm", "")
		return last == exclusive || strings.HasSuffix(last, "#STR-Transform")
	}},
	{"R3065", "Transform", func(e *etree.Element) bool {
		return !strings.HasSuffix(e.SelectAttrValue("Algorithm", ""), "#STR-Transform") ||
			e.FindElement("./TransformationParameters/CanonicalizationMethod") != nil
	}},
	{"R5404", "CanonicalizationMethod", func(e *etree.Element) bool { return e.SelectAttrValue("Algorithm", "") == exclusive }},
	{"R5407", "InclusiveNamespaces", func(e *etree.Element) bool { return e.SelectAttrValue("PrefixList", "") != "" }},
	{"R5417", "KeyInfo", func(e *etree.Element) bool { return tags(e) == "SecurityTokenReference" }}, // and R5402, R5424, R5426
	{"R3054", "KeyIdentifier", func(e *etree.Element) bool { return e.SelectAttrValue("ValueType", "") != "" }},
	{"R3071", "KeyIdentifier", func(e *etree.Element) bool { // and R3070, R6604
		isSAML := strings.Contains(e.SelectAttrValue("ValueType", ""), "saml-token-profile")
		return e.SelectAttrValue("EncodingType", "") == map[bool]string{true: "", false: base64Binary}[isSAML]
	}},
	{"R6617", "SecurityTokenReference", func(e *etree.Element) bool { // and R6611, R5215
		var want string
		switch key := e.ChildElements()[0].SelectAttrValue("ValueType", ""); {
		case strings.HasSuffix(key, "#SAMLID"):
			want = "#SAMLV2.0"
		case strings.HasSuffix(key, "#SAMLAssertionID"):
			want = "#SAMLV1.1"
		case key == pkiPathToken:
			want = "#X509PKIPathv1"
		}
		return strings.HasSuffix(e.SelectAttrValue("TokenType", ""), want)
	}},
	{"R3029", "BinarySecurityToken", func(e *etree.Element) bool { return e.SelectAttrValue("EncodingType", "") == base64Binary }},
	{"R3031", "BinarySecurityToken", func(e *etree.Element) bool { return e.SelectAttrValue("ValueType", "") != "" }},
	{"R4201", "Password", func(e *etree.Element) bool { return e.SelectAttrValue("Type", "") != "" }},
	{"R4220", "Nonce", func(e *etree.Element) bool { return e.SelectAttrValue("EncodingType", "") == base64Binary }},
	{"R5603", "EncryptedKey", func(e *etree.Element) bool { return e.SelectElement("EncryptionMethod") != nil }},
	{"R5601", "EncryptedData", func(e *etree.Element) bool { return e.SelectElement("EncryptionMethod") != nil }},
	{"R5624", "EncryptedData", func(e *etree.Element) bool { return e.SelectAttrValue("Id", "") != "" }},
	{"R3214", "EncryptedData", func(e *etree.Element) bool { // and R3006
		return refersTo(e, "//EncryptedKey/ReferenceList/DataReference", e.SelectAttrValue("Id", ""))
	}},
	{"R3230", "EncryptedHeader", func(e *etree.Element) bool { return tags(e) == "EncryptedData" }},
	{"R3208", "EncryptedKey", func(e *etree.Element) bool {
		data := e.Parent().SelectElement("EncryptedData")
		return data == nil || e.Index() < data.Index()
	}},
	{"R5205", "BinarySecurityToken", func(e *etree.Element) bool {
		return !slices.ContainsFunc(e.Parent().ChildElements(), func(other *etree.Element) bool {
			return other.Index() < e.Index() && refersTo(other, ".//SecurityTokenReference/Reference", e.SelectAttrValue("Id", ""))
		})
	}},
}

// tags are the names of an element's children.
func tags(e *etree.Element) string {
	var names []string
	for _, child := range e.ChildElements() {
		names = append(names, child.Tag)
	}
	return strings.Join(names, " ")
}

// refersTo reports whether something at the path, from the element on or from the root, refers to the id.
func refersTo(e *etree.Element, path, id string) bool {
	return slices.ContainsFunc(e.FindElements(path), func(r *etree.Element) bool { return r.SelectAttrValue("URI", "") == "#"+id })
}

// bspBroken are the rules that a message breaks. An assertion is its issuer's, and looked at by nobody here.
func bspBroken(t testing.TB, message string) (broken []string) {
	t.Helper()
	doc := etree.NewDocument()
	if err := doc.ReadFromString(message); err != nil {
		t.Fatal(err)
	}
	security := doc.FindElement("/Envelope/Header/Security")
	for _, assertion := range security.SelectElements("Assertion") {
		security.RemoveChild(assertion)
	}
	for rule, path := range bspNone {
		if security.FindElement(path) != nil {
			broken = append(broken, rule)
		}
	}
	for _, r := range bspElements {
		all := security.FindElements(".//" + r.name)
		if strings.HasPrefix(r.name, "Encrypted") {
			all = doc.FindElements("//" + r.name)
		}
		if slices.ContainsFunc(all, func(e *etree.Element) bool { return !r.holds(e) }) {
			broken = append(broken, r.rule)
		}
	}
	return broken
}

func TestBSPForm_OfWhatEveryProfileSends(t *testing.T) {
	g := newWSSGrid(t)
	messages := map[string]string{}
	for _, c := range x509Cases() {
		messages[c.name], _ = secured(t, &c.profile, c.signer(g), modernMessage(c.envelope, ""))
	}
	for _, order := range encryptionOrders[1:] {
		for _, reference := range []wssec.KeyReference{wssec.IssuerSerial, wssec.SubjectKeyIdentifier, wssec.Thumbprint, wssec.BinarySecurityToken} {
			e := g.privacy(t, encryptionPair{"aes256-cbc", "rsa-oaep"})
			e.KeyReference, e.Headers = reference, []soap.Name{{Space: addNS, Local: "CounterKey"}}
			messages[order.name+" "+reference.String()], _ = secured(t, order.profile(e), g.user, plainMessage)
		}
	}
	password := func(context.Context) ([]byte, error) { return []byte("secret"), nil }
	for name, p := range map[string]wssec.Profile{
		"digest": &wssec.UsernameToken{User: "u", Password: password, Digest: true}, "text": &wssec.UsernameToken{User: "u", Password: password},
	} {
		messages[name], _ = secured(t, p, nil, plainMessage)
	}
	for _, c := range assertionCases() {
		assertion, issuer := g.issuedAssertion(t, c)
		messages[c.name], _ = secured(t, &wssec.SAMLToken{Confirmation: c.confirmation, Issuer: g.store, Issuers: issuer.Chain,
			Assertion: func(context.Context) ([]byte, error) { return []byte(assertion), nil }}, g.user, plainMessage)
	}
	for name, message := range messages {
		if broken := bspBroken(t, message); broken != nil {
			t.Errorf("%s breaks %v", name, broken)
		}
	}
}

// What the test above looks for it finds.
func TestBSPForm_FindsWhatIsBroken(t *testing.T) {
	g := newWSSGrid(t)
	path, _ := secured(t, &wssec.X509Message{SignToken: true, InclusiveNamespaces: true}, aProxy(g), modernMessage(soapNS, ""))
	thumbprint, _ := secured(t, &wssec.X509Message{KeyReference: wssec.Thumbprint}, g.user, plainMessage)
	e := g.privacy(t, encryptionPair{"aes256-cbc", "rsa-oaep"})
	e.Headers = []soap.Name{{Space: addNS, Local: "CounterKey"}}
	hidden, _ := secured(t, &wssec.X509Message{Privacy: e}, g.user, plainMessage)
	password := func(context.Context) ([]byte, error) { return []byte("secret"), nil }
	user, _ := secured(t, &wssec.UsernameToken{User: "u", Password: password, Digest: true}, nil, plainMessage)
	token := path[strings.Index(path, "<wsse:BinarySecurityToken"):]
	token = token[:strings.Index(token, "</wsse:BinarySecurityToken>")+len("</wsse:BinarySecurityToken>")]

	for _, c := range []struct{ rule, message, old, new string }{
		{"R3221", path, "<wsu:Created>", "<wsu:Expires></wsu:Expires><wsu:Created>"},
		{"R3217", path, "Z</wsu:Created>", "</wsu:Created>"},
		{"R3225", path, "<wsu:Created>", `<wsu:Created ValueType="x">`},
		{"R3227", path, "<wsu:Timestamp", "<wsu:Timestamp/><wsu:Timestamp"},
		{"R3059", path, ` ValueType="` + pkiPathToken + `"></wsse:Reference>`, "></wsse:Reference>"},
		{"R3029", path, ` EncodingType="` + base64Binary + `"`, ""},
		{"R3031", path, ` ValueType="` + pkiPathToken + `" wsu:Id`, " wsu:Id"},
		{"R5205", path, "</ds:Signature>", "</ds:Signature>" + token},
		{"R6617", path, `wsse11:TokenType="` + pkiPathToken + `"`, ""},
		{"R5417", path, "<ds:KeyInfo>", "<ds:KeyInfo><ds:KeyName/>"},
		{"R5404", path, `<ds:CanonicalizationMethod Algorithm="` + exclusive, `<ds:CanonicalizationMethod Algorithm="` + inclusive},
		{"R5412", path, `<ds:Transform Algorithm="` + exclusive, `<ds:Transform Algorithm="` + inclusive},
		{"R3001", path, `<ds:Reference URI="#`, `<ds:Reference URI="`},
		{"R5440", path, "</ds:Signature>", "<EncryptedData/></ds:Signature>"},
		{"R3054", thumbprint, ` ValueType="http://docs.oasis-open.org/wss/oasis-wss-soap-message-security-1.1#ThumbprintSHA1"`, ""},
		{"R3071", thumbprint, ` EncodingType="` + base64Binary + `"`, ""},
		{"R3208", hidden, "<xenc:EncryptedKey", "<EncryptedData/><xenc:EncryptedKey"},
		{"R3209", hidden, "<xenc:EncryptedKey", `<xenc:EncryptedKey Type="x"`},
		{"R3214", hidden, `<xenc:DataReference URI="#`, `<xenc:DataReference URI="#x`},
		{"R3230", hidden, "</wsse11:EncryptedHeader>", "<x/></wsse11:EncryptedHeader>"},
		{"R3228", hidden, "</soapenv:Header>", "<EncryptedData/></soapenv:Header>"},
		{"R4201", user, "<wsse:Password Type=", "<wsse:Password Kind="},
		{"R4220", user, "<wsse:Nonce EncodingType=", "<wsse:Nonce Encoding="},
		{"R4222", user, "<wsse:Password", "<wsse:Password/><wsse:Password"},
	} {
		if broken := bspBroken(t, changed(t, c.message, c.old, c.new)); !slices.Contains(broken, c.rule) {
			t.Errorf("a message that breaks %s breaks %v", c.rule, broken)
		}
	}
}
