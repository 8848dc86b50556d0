package config

import (
	"fmt"
	"slices"

	"gsigw/internal/policy"
)

// keysFor are the keys of a route that mean something with some message profiles only.
var keysFor = []struct {
	keys  []string
	fits  func(*policy.Route) bool
	whose string
}{
	{[]string{"privacy"}, canEncrypt, "message: gsi-message or wss-x509"},
	{[]string{"encrypt-to", "cipher", "key-transport", "encrypt-key-reference", "encrypt-headers", "encrypt-elements"}, func(r *policy.Route) bool { return r.Privacy }, "privacy: true"},
	{[]string{"order"}, func(r *policy.Route) bool { return r.Privacy && r.Message == policy.MessageX509 }, "message: wss-x509 with privacy: true"},
	{[]string{"key-reference", "inclusive-namespaces"}, is(policy.MessageX509), "message: wss-x509"},
	{[]string{"signature-confirmation"}, canConfirm, "message: wss-x509, or saml that is signed"},
	{[]string{"peer-certificate"}, (*policy.Route).Signed, "messages that are signed"},
	{[]string{"username", "password-file", "password-type"}, is(policy.MessageUsername), "message: wss-username"},
	{[]string{"assertion-file", "issuer-certificate", "audience", "confirmation"}, is(policy.MessageSAML), "message: saml"},
	{[]string{"allow-group-read"}, hasSecret, "password-file or assertion-file"},
	{[]string{"digest", "token", "drop-headers", "keep-namespaces"}, signedOrNone, "messages that are signed"},
}

func is(m policy.Message) func(*policy.Route) bool {
	return func(r *policy.Route) bool { return r.Message == m }
}

func canEncrypt(r *policy.Route) bool {
	return r.Message == policy.MessageGSI || r.Message == policy.MessageX509
}

func canConfirm(r *policy.Route) bool {
	return r.Signed() && r.Message != policy.MessageGSI
}

func hasSecret(r *policy.Route) bool {
	return r.Message == policy.MessageUsername || r.Message == policy.MessageSAML
}

// signedOrNone leaves a route to its keys whose profile is switched off.
func signedOrNone(r *policy.Route) bool { return r.Signed() || r.Message == policy.MessageNone }

// profile checks that a route has what its message profile needs, and no key that would have no effect.
func (d *document) profile(at string, r Route, full policy.Route) {
	for _, k := range keysFor {
		for _, key := range k.keys {
			if d.at[at+"."+key] != nil && !k.fits(&full) {
				d.wrong(at+"."+key, describe(full)+" has no use for it", "remove it: it goes with "+k.whose)
			}
		}
	}
	for _, n := range []struct {
		needed           bool
		value, key, what string
	}{
		{r.Privacy && canEncrypt(&full), string(r.EncryptTo), "encrypt-to", "the file with the service's certificate, PEM"},
		{full.Message == policy.MessageUsername, r.Username, "username", "whose password it is"},
		{full.Message == policy.MessageUsername, string(r.PasswordFile), "password-file", "the file with the password, mode 0600"},
		{full.Message == policy.MessageSAML, string(r.AssertionFile), "assertion-file", "the file with the assertion"},
	} {
		if n.needed && n.value == "" {
			d.wrong(at, describe(full)+" needs "+n.key, "give "+n.key+": "+n.what)
		}
	}
	if full.For == policy.StackGT4 && full.Privacy && canEncrypt(&full) {
		d.gt4Privacy(at, full)
	}
}

func describe(r policy.Route) string {
	text := "message: " + r.Message.String()
	switch {
	case r.Privacy && canEncrypt(&r):
		text += " and privacy: true"
	case r.Message == policy.MessageSAML:
		text += " and confirmation: " + r.Confirmation.String()
	}
	return text
}

// gt4Ciphers are those that GT4's XML Security knows (facts/gt4-wire.md).
var gt4Ciphers = []policy.Cipher{policy.AES128CBC, policy.AES256CBC, policy.TripleDESCBC}

// gt4Privacy has a route say by name that its cipher and key transport are weak: GT4 knows no others.
func (d *document) gt4Privacy(at string, r policy.Route) {
	if d.at[at+".cipher"] == nil || !slices.Contains(gt4Ciphers, r.Cipher) {
		d.wrong(at+".cipher", fmt.Sprintf("GT4 cannot read %s, and what it can read is weak", r.Cipher),
			"name one that it knows: cipher: aes128-cbc, aes256-cbc or 3des-cbc")
	}
	if d.at[at+".key-transport"] == nil || r.KeyTransport == policy.RSAOAEPSHA256 {
		d.wrong(at+".key-transport", "GT4 answers with rsa-1_5, which is weak and believed only where it is named",
			"say key-transport: rsa-1_5; or rsa-oaep, where the service answers with that")
	}
}
