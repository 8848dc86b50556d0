package interop

import (
	"context"
	"crypto"
	"crypto/x509"
	"strings"
	"testing"

	"gsigw/soap"
	"gsigw/soap/xmlscan"
	"gsigw/wssec"
)

// decryption takes everything that is for the host.
func (g *wssGrid) decryption() *wssec.Decryption {
	return &wssec.Decryption{Key: g.host.Key.(crypto.Decrypter), Certificates: []*x509.Certificate{g.host.Leaf()}, CBC: true, RSA15: true}
}

// openText is the text of the Body of a message that must come encrypted.
func (g *wssGrid) openText(ctx context.Context, message string) (string, error) {
	return g.openExpected(ctx, message, wssec.Expect{Encrypted: true})
}

func (g *wssGrid) openExpected(ctx context.Context, message string, e wssec.Expect) (string, error) {
	m, err := soap.Read(xmlscan.Memory(message), soap.Limits{})
	if err != nil {
		return "", err
	}
	v := g.verifier()
	v.Decrypt = g.decryption()
	verified, err := v.Verify(ctx, m, e)
	if err != nil {
		return "", err
	}
	return verified.Text()
}

// signAll has WSS4J sign what the suite's messages have, as the user.
func (g *wssGrid) signAll(t testing.TB, message string) string {
	t.Helper()
	_, signed := g.peer.must(t, "secure", userSigns(), message)
	return signed
}

// userSigns are WSS4J's options for that.
func userSigns() options {
	var parts []string
	for _, e := range signedElements {
		i := strings.LastIndex(e, ":")
		parts = append(parts, "{}{"+e[:i]+"}"+e[i+1:])
	}
	return options{
		"action": "Timestamp Signature", "user": "user", "signatureKeyIdentifier": "DirectReference",
		"signatureAlgorithm": dsigMoreNS + "rsa-sha256", "signatureDigestAlgorithm": xmlencNS + "sha256",
		"signatureParts": strings.Join(parts, ";"),
	}
}

// gsigw reads what each peer encrypts, before and after it is signed (by WSS4J), and refuses it changed.
func TestDecrypt_ReadsWhatPeersEncrypt(t *testing.T) {
	g := newWSSGrid(t)
	signedFirst := g.signAll(t, plainMessage)
	for _, order := range []struct {
		name string
		make func(encryptionPeer, encryptionPair) string
	}{
		{"encrypt first", func(w encryptionPeer, p encryptionPair) string { return g.signAll(t, w.encrypt(t, g, p, plainMessage)) }},
		{"sign first", func(w encryptionPeer, p encryptionPair) string { return w.encrypt(t, g, p, signedFirst) }},
	} {
		t.Run(order.name, func(t *testing.T) {
			m := matrix{columns: []string{"WSS4J", "Santuario", "xmlsec1"}}
			for _, p := range encryptionPairs() {
				for _, writer := range encryptionPeers {
					if !writer.knows(p) {
						continue
					}
					message := order.make(writer, p)
					m.set(p, writer.name, "read")
					if text, err := g.openText(t.Context(), message); err != nil || strings.TrimSpace(text) != "5" {
						m.set(p, writer.name, "NOT READ")
						t.Errorf("%s by %s: %v, text %q", p, writer.name, err, text)
					}
					if _, err := g.openText(t.Context(), garbled(t, message)); err == nil {
						t.Errorf("%s by %s is taken changed", p, writer.name)
					}
				}
			}
			m.print(t)
		})
	}
}

// garbled is the message with another ciphertext in its Body.
func garbled(t testing.TB, message string) string {
	t.Helper()
	i := strings.LastIndex(message, "CipherValue>")
	i = strings.LastIndex(message[:i], "CipherValue>") + len("CipherValue>")
	letter := "A"
	if message[i:i+1] == letter {
		letter = "B"
	}
	return message[:i] + letter + message[i+1:]
}

// WSS4J encrypts more than Body, and names the receiver's key in every way that it knows.
func TestDecrypt_ReadsWSS4JPartsAndKeyReferences(t *testing.T) {
	g := newWSSGrid(t)
	body, signature := "{Content}{"+soapNS+"}Body", "{Element}{"+dsigNS+"}Signature"
	header := "{Header}{" + addNS + "}CounterKey"
	for _, actions := range []string{"Timestamp Signature Encrypt", "Timestamp Encrypt Signature"} {
		for _, c := range []struct {
			name string
			o    options
		}{
			{"issuer and serial", options{"encryptionKeyIdentifier": "IssuerSerial"}},
			{"subject key identifier", options{"encryptionKeyIdentifier": "SKIKeyIdentifier"}},
			{"thumbprint", options{"encryptionKeyIdentifier": "Thumbprint"}},
			{"token", options{"encryptionKeyIdentifier": "DirectReference"}},
			{"SHA-256 in OAEP", options{"encryptionDigestAlgorithm": digestURI["sha256"]}},
			{"header", options{"encryptionParts": body + ";" + header}},
			{"element of Body", options{"encryptionParts": "{Element}{" + addNS + "}add"}},
			{"signature", options{"encryptionParts": body + ";" + signature}},
			{"header and signature", options{"encryptionParts": header + ";" + body + ";" + signature}},
		} {
			isEncryptedFirst := strings.HasSuffix(actions, "Signature")
			if isEncryptedFirst && strings.Contains(c.name, "signature") {
				continue
			}
			t.Run(c.name+" "+actions, func(t *testing.T) {
				o := userSigns().with(options{"action": actions, "encryptionUser": "host",
					"encryptionSymAlgorithm": cipherURI["aes256-gcm"], "encryptionKeyTransportAlgorithm": transportURI["rsa-oaep"]})
				if isEncryptedFirst && c.name == "header" { // what was a header block stands under another name now
					o["signatureParts"] = strings.Replace(o["signatureParts"], addNS+"}CounterKey", wsse11NS+"}EncryptedHeader", 1)
				}
				_, message := g.peer.must(t, "secure", o.with(c.o), plainMessage)
				if text, err := g.openText(t.Context(), message); err != nil || strings.TrimSpace(text) != "5" {
					t.Errorf("%v, text %q", err, text)
				}
				if _, err := g.openText(t.Context(), garbled(t, message)); err == nil {
					t.Error("it is taken changed")
				}
			})
		}
	}
}

// What WSS4J encrypts may stand deep in Body, where its plaintext takes namespaces from around it.
func TestDecrypt_ReadsWSS4JPartsDeepInBody(t *testing.T) {
	g := newWSSGrid(t)
	for _, actions := range []string{"Timestamp Signature Encrypt", "Timestamp Encrypt Signature"} {
		for name, parts := range map[string]string{
			"element":                        "{Element}{" + addNS + "}n",
			"content of an element":          "{Content}{" + addNS + "}n",
			"content of Body's child":        "{Content}{" + addNS + "}add",
			"element with a prefix":          "{Element}{" + addNS + "}note",
			"element, and another's content": "{Element}{" + addNS + "}note;{Content}{" + addNS + "}n",
		} {
			t.Run(name+" "+actions, func(t *testing.T) {
				o := userSigns().with(options{"action": actions, "encryptionUser": "host", "encryptionParts": parts,
					"encryptionSymAlgorithm": cipherURI["aes256-gcm"], "encryptionKeyTransportAlgorithm": transportURI["rsa-oaep"]})
				_, message := g.peer.must(t, "secure", o, deepMessage)
				keep := wssec.Expect{Keep: []string{addNS}} // encrypted first, a prefix is declared where no signature covers it
				text, err := g.openExpected(t.Context(), message, keep)
				if err != nil || text != "57" {
					t.Errorf("%v, text %q\n%s", err, text, message)
				}
				if _, err := g.openText(t.Context(), message); err == nil {
					t.Error("it is taken for a message whose Body is encrypted")
				}
				if _, err := g.openExpected(t.Context(), garbled(t, message), keep); err == nil {
					t.Error("it is taken changed")
				}
			})
		}
	}
}

// deepMessage has a prefix that only what stands deep in Body uses.
var deepMessage = strings.NewReplacer(` xmlns=""`, "", `<add `, `<add xmlns:c="`+addNS+`" `, "</add>", "<c:note>7</c:note></add>").Replace(plainMessage)

// WSS4J answers with what the request's privacy asks for, in either order, to the key that signed the request.
func TestPending_AcceptsEncryptedWSS4JReplies(t *testing.T) {
	g := newWSSGrid(t)
	strong, weak := encryptionPair{"aes128-gcm", "rsa-oaep"}, encryptionPair{"aes128-cbc", "rsa-1_5"}
	for _, order := range encryptionOrders[1:] {
		for _, actions := range []string{"Timestamp Signature Encrypt", "Timestamp Encrypt Signature"} {
			for _, c := range []struct {
				name        string
				asked, came encryptionPair
				isTaken     bool
			}{
				{"strong", strong, strong, true},
				{"weak as asked", weak, weak, true},
				{"weak unasked", strong, weak, false},
			} {
				t.Run(order.name+" and "+actions+" "+c.name, func(t *testing.T) {
					profile := order.profile(g.privacy(t, c.asked))
					x := profile.(*wssec.X509Message)
					x.Verifier, x.SignatureConfirmation = g.verifier(), true
					request, pending := secured(t, x, g.user, modernMessage(soap12NS, ""))
					confirm := options{"enableSignatureConfirmation": "true", "isBSPCompliant": "false"}
					g.peer.must(t, "check", confirm.with(options{"action": order.wss4j}), request)

					reply := wss4jReply{envelope: soap12NS, options: confirm.with(options{
						"action": actions, "encryptionUser": "user", "signatureKeyIdentifier": "DirectReference",
						"signatureAlgorithm": dsigMoreNS + "rsa-sha256", "signatureDigestAlgorithm": xmlencNS + "sha256",
						"encryptionSymAlgorithm": cipherURI[c.came.cipher], "encryptionKeyTransportAlgorithm": transportURI[c.came.transport],
					})}
					answer := g.reply(t, reply, "host")
					text, err := replyText(t.Context(), pending, answer)
					if isTaken := err == nil && text == "5"; isTaken != c.isTaken {
						t.Errorf("taken %t, want %t: %v, text %q", isTaken, c.isTaken, err, text)
					}
					reply.options["action"] = "Timestamp Signature"
					if _, err := replyText(t.Context(), pending, g.reply(t, reply, "host")); err == nil {
						t.Error("a reply is taken that is not encrypted")
					}
				})
			}
		}
	}
}
