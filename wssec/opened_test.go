package wssec_test

import (
	"slices"
	"strings"
	"testing"

	"gsigw/soap"
	. "gsigw/wssec"
)

// Canonical form leaves xmlns="" out where nothing around it was written: the default namespace of an envelope that
// nobody signed does not make addressing headers of signed blocks that have no namespace.
func TestVerify_UnsignedDefaultNamespaceReachesNoSignedBlock(t *testing.T) {
	g := newGrid(t)
	plain := strings.Replace(plainRequest, "<wsa:MessageID>uuid:1</wsa:MessageID>", "<MessageID>app-1</MessageID><o:x xmlns:o='urn:o'><Action>app</Action></o:x>", 1)
	for name, e := range map[string]*Encryption{"Body": {To: g.Host.Leaf()}, "an element": {To: g.Host.Leaf(), Elements: []soap.Name{{Space: "http://counter.com", Local: "add"}}}} {
		doc := secureBy(t, &X509Message{EncryptFirst: true, Unanswered: true, Privacy: e}, plain, g.User)
		evil := strings.Replace(doc, "<soapenv:Envelope ", `<soapenv:Envelope xmlns="`+soap.Addressing200403+`" `, 1)
		evil = strings.Replace(evil, "<MessageID ", `<MessageID xmlns="" `, 1)
		evil = strings.Replace(evil, "<Action>", `<Action xmlns="">`, 1)
		for _, d := range []string{doc, evil} {
			got, err := verifyBytes(g.opener(g.Host), []byte(d), Expect{})
			if err != nil {
				t.Fatal(name, err)
			}
			if got.MessageID != "" || !slices.Contains(got.Parts(), soap.Name{Local: "MessageID"}) {
				t.Errorf("%s: the MessageID is %q, the parts %v", name, got.MessageID, got.Parts())
			}
		}
	}
}
