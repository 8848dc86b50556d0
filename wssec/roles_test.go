package wssec_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"gsigw/soap"
	. "gsigw/wssec"
)

// A role binds in the version of SOAP that it is written in, whatever else stands beside it, and white space around it
// is none of it: otherwise what we take for another's is the service's own.
var roles = []struct {
	attrs    string
	ultimate bool
}{
	{``, true},
	{`s11:actor=""`, true},
	{`s11:actor=" "`, true},
	{`s11:actor="&#9;http://schemas.xmlsoap.org/soap/actor/next&#10;"`, true},
	{`s12:role="urn:other"`, true},
	{`s11:actor="" s12:role="urn:other"`, true},
	{`s12:role="urn:other" s11:actor=""`, true},
	{`actor="urn:other"`, true},
	{`s11:actor="urn:other"`, false},
	{`s11:actor="urn:other" s12:role=""`, false},
	{`s12:role="" s11:actor="urn:other"`, false},
}

const bothVersions = ` xmlns:s11="` + soap.Envelope11 + `" xmlns:s12="` + soap.Envelope12 + `" `

func TestSecure_KnowsWhoseSecurityHeaderItIs(t *testing.T) {
	g := newGrid(t)
	for _, r := range roles {
		doc := put("<soapenv:Header>", fmt.Sprintf(`<soapenv:Header><s:Security xmlns:s="%s"%s%s/>`, soap.WSSE, bothVersions, r.attrs))(plainRequest)
		_, _, err := (&GSIMessage{}).Secure(context.Background(), parse(t, doc), g.User)
		if errors.Is(err, ErrEngineSecurity) != r.ultimate {
			t.Errorf("%s: %v", r.attrs, err)
		}
	}
}

func TestVerify_KnowsWhoseHeaderItIs(t *testing.T) {
	g := newGrid(t)
	signed := secure(t, &GSIMessage{}, plainRequest, g.User)
	for _, r := range roles {
		forOther := func(block string, of Class) {
			doc := strings.Replace(signed, "</soapenv:Header>", fmt.Sprintf(block, bothVersions+r.attrs)+"</soapenv:Header>", 1)
			_, err := verifyBytes(g.verifier, []byte(doc), Expect{})
			if !r.ultimate && err != nil {
				t.Errorf("%s: %v", r.attrs, err)
			}
			if r.ultimate {
				wantClass(t, err, of)
			}
		}
		forOther(`<wsa:FaultTo%s><wsa:Address>urn:evil</wsa:Address></wsa:FaultTo>`, ClassUnsignedPart)
		forOther(`<s:Security xmlns:s="`+soap.WSSE+`"%s/>`, ClassMalformed)
	}
}
