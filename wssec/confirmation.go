package wssec

import (
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"

	"gsigw/soap"
)

var confirmationName = soap.Name{Space: wsse11, Local: "SignatureConfirmation"}

// checkConfirmation demands one SignatureConfirmation, signed, with the value that the request had: a reply that
// confirms more answers more than one request (WS-Security 1.1, section 8.5).
func (v *verification) checkConfirmation() error {
	if v.expect.Confirms == nil {
		return nil
	}
	all := v.security.All(wsse11, "SignatureConfirmation")
	if len(all) != 1 {
		return &Error{Class: ClassRelatesTo, Msg: fmt.Sprintf("the reply has %d signature confirmations where our one signature must be confirmed", len(all))}
	}
	if v.signed[&all[0].Element] == nil {
		return unsigned(confirmationName)
	}
	value, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(all[0].Attr("", "Value")), ""))
	if err != nil || subtle.ConstantTimeCompare(value, v.expect.Confirms) != 1 {
		return &Error{Class: ClassRelatesTo, Msg: "the reply confirms a signature that is not our request's"}
	}
	return nil
}
