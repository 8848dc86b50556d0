package interop

import (
	"context"
	"strings"
	"testing"

	"gsigw/wssec"
)

func TestUsernameToken_IsAcceptedByWSS4JUnderBSP(t *testing.T) {
	g := newWSSGrid(t)
	check := options{"action": "UsernameToken Timestamp", "isBSPCompliant": "true", "passwordTypeStrict": "true"}
	for _, password := range []string{"secret", "P<&>\"' zwei", "пароль €"} {
		for _, digest := range []bool{true, false} {
			for _, envelope := range []string{soapNS, soap12NS} {
				p := &wssec.UsernameToken{User: "jane & co", Digest: digest,
					Password: func(context.Context) ([]byte, error) { return []byte(password), nil }}
				message, _ := secured(t, p, nil, modernMessage(envelope, ""))
				o := check.with(options{"password": password, "passwordType": "PasswordText"})
				if digest {
					o["passwordType"] = "PasswordDigest"
				}
				report, _, err := g.peer.do("check", o, message)
				if err != nil || !strings.Contains(report, "username jane & co\n") {
					t.Errorf("digest %t, %q: %v\n%s", digest, password, err, report)
				}
				if _, _, err := g.peer.do("check", o.with(options{"password": "another"}), message); err == nil {
					t.Errorf("digest %t: WSS4J takes it for another password, so it proves nothing", digest)
				}
			}
		}
	}
}
