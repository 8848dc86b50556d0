package interop

import (
	"fmt"
	"strings"
	"testing"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
	"gsigw/wssec"
)

// A service answers to the key that signed the request, as GT4 does: a proxy's, whose certificate it has from there.
func TestPending_AcceptsRepliesToTheProxyThatSigned(t *testing.T) {
	g := newWSSGrid(t)
	proxy := gridtest.Must(g.ProxyOf(g.user, gsi.Limits{}))
	pair := encryptionPair{"aes128-cbc", "rsa-1_5"}
	for _, order := range encryptionOrders {
		for _, actions := range []string{"Timestamp Signature Encrypt", "Timestamp Encrypt Signature"} {
			for _, reference := range []string{"IssuerSerial", "Thumbprint", "DirectReference"} {
				t.Run(fmt.Sprintf("%s and %s by %s", order.name, actions, reference), func(t *testing.T) {
					profile := order.profile(g.privacy(t, pair))
					switch p := profile.(type) {
					case *wssec.GSIMessage:
						p.Verifier = g.verifier()
					case *wssec.X509Message:
						p.Verifier = g.verifier()
					}
					request, pending := secured(t, profile, proxy, modernMessage(soapNS, ""))
					lenient := options{"isBSPCompliant": "false", "enableSignatureConfirmation": "false"}
					g.peer.must(t, "check", lenient.with(options{"action": order.wss4j}), request)

					answer := g.reply(t, wss4jReply{envelope: soapNS, options: lenient.with(options{
						"action": actions, "encryptionUser": "useReqSigCert", "encryptionKeyIdentifier": reference,
						"signatureKeyIdentifier": "DirectReference", "signatureAlgorithm": dsigMoreNS + "rsa-sha256",
						"signatureDigestAlgorithm": xmlencNS + "sha256", "encryptionSymAlgorithm": cipherURI[pair.cipher],
						"encryptionKeyTransportAlgorithm": transportURI[pair.transport],
					})}, "host")
					if text, err := replyText(t.Context(), pending, answer); err != nil || strings.TrimSpace(text) != "5" {
						t.Errorf("%v, text %q", err, text)
					}
				})
			}
		}
	}
}
