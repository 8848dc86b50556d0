package wssec_test

import (
	"fmt"
	"strings"
	"testing"

	"gsigw/soap"
	. "gsigw/wssec"
)

func TestPending_DemandsTheSignatureConfirmation(t *testing.T) {
	g := newGrid(t)
	v := g.modernVerifier(t)
	p := &X509Message{SignatureConfirmation: true, Verifier: v}
	request, pending := secureWith(t, p, strings.ReplaceAll(modernRequest, "MessageID>", "Other>"), g.User)
	value := securityOf(t, request).Child(DSig, "Signature").Child(DSig, "SignatureValue").Text
	confirmation := func(value string) string {
		return fmt.Sprintf(`<c:SignatureConfirmation xmlns:c="%s" xmlns:u="%s" u:Id="sc%d" Value="%s"/>`, security11, soap.WSU, len(value), value)
	}
	other := "AAAA" + value[4:]
	for _, c := range []struct {
		name     string
		signed   []string // confirmations under the signature
		unsigned []string
		want     Class
	}{
		{"ours", []string{confirmation(value)}, nil, ""},
		{"ours, broken over lines", []string{confirmation(value[:40] + "&#10; " + value[40:])}, nil, ""},
		{"none", nil, nil, ClassRelatesTo},
		{"another's", []string{confirmation(other)}, nil, ClassRelatesTo},
		{"without a value", []string{confirmation("")}, nil, ClassRelatesTo},
		{"no base64", []string{confirmation("!")}, nil, ClassRelatesTo},
		{"the start of ours", []string{confirmation(value[:80])}, nil, ClassRelatesTo},
		{"ours and another's", []string{confirmation(value), confirmation("AAAA")}, nil, ClassRelatesTo},
		{"ours, unsigned", nil, []string{confirmation(value)}, ClassUnsignedPart},
	} {
		t.Run(c.name, func(t *testing.T) {
			reply := signWithin(t, &X509Message{Unanswered: true}, g, c.signed, c.unsigned)
			_, err := pending.Verify(t.Context(), parse(t, reply), Expect{})
			if c.want == "" && err != nil {
				t.Fatal(err)
			}
			if c.want != "" {
				wantClass(t, err, c.want)
			}
		})
	}
}

// signWithin signs a reply of the host with elements in its security header, of which some are under the signature:
// they stand as header blocks when it is made, and are then moved to where they belong.
func signWithin(t *testing.T, p *X509Message, g *grid, signed, unsigned []string) string {
	t.Helper()
	doc := strings.Replace(modernRequest, "<soapenv:Header>", "<soapenv:Header>"+strings.Join(signed, ""), 1)
	doc, _ = secureWith(t, p, doc, g.Host)
	for _, s := range signed {
		doc = strings.Replace(doc, s, "", 1)
	}
	return strings.Replace(doc, "</wsse:Security>", strings.Join(signed, "")+strings.Join(unsigned, "")+"</wsse:Security>", 1)
}

func TestPending_DemandsBothWhereBothAreThere(t *testing.T) {
	g := newGrid(t)
	p := &X509Message{SignatureConfirmation: true, Verifier: g.modernVerifier(t)}
	request, pending := secureWith(t, p, modernRequest, g.User)
	value := securityOf(t, request).Child(DSig, "Signature").Child(DSig, "SignatureValue").Text
	reply := signWithin(t, &X509Message{}, g, []string{fmt.Sprintf(`<c:SignatureConfirmation xmlns:c="%s" xmlns:u="%s" u:Id="sc" Value="%s"/>`, security11, soap.WSU, value)}, nil)
	_, err := pending.Verify(t.Context(), parse(t, reply), Expect{})
	wantClass(t, err, ClassRelatesTo) // it confirms, and does not say which request it answers
}

func TestPending_RefusesEveryReplyToWhatCannotBeAnswered(t *testing.T) {
	g := newGrid(t)
	_, pending := secureWith(t, &X509Message{Unanswered: true, Verifier: g.modernVerifier(t)}, strings.ReplaceAll(modernRequest, "MessageID>", "Other>"), g.User)
	reply, _ := secureWith(t, &X509Message{}, strings.Replace(modernRequest, "<wsa:To>", `<wsa:RelatesTo>uuid:1</wsa:RelatesTo><wsa:To>`, 1), g.Host)
	_, err := pending.Verify(t.Context(), parse(t, reply), Expect{})
	wantClass(t, err, ClassRelatesTo)
}
