package gridtest

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"time"

	"github.com/beevik/etree"

	"gsigw/gsi"
	"gsigw/soap"
	"gsigw/soap/xmlscan"
	"gsigw/wssec"
	"gsigw/wssec/xmlenc"
)

// opening is how the host opens what is encrypted to it, nil where its key cannot.
func opening(host *gsi.Credential) *wssec.Decryption {
	key, ok := host.Key.(crypto.Decrypter)
	if !ok {
		return nil
	}
	return &wssec.Decryption{Key: key, Certificates: []*x509.Certificate{host.Leaf()}, CBC: true, RSA15: true}
}

// opened is who sent a verified message, and what it says.
func (s *StandIn) opened(v *wssec.Verified, m *soap.Message, request []byte) (*caller, error) {
	c := &caller{signer: v.Signer.DN, message: m, text: request}
	doc := etree.NewDocument()
	if err := doc.ReadFromBytes(request); err != nil {
		return nil, err
	}
	for _, token := range doc.FindElements("/Envelope/Header/Security/BinarySecurityToken") {
		chain, err := tokenChain(token)
		if err != nil {
			return nil, err
		}
		if !chain[0].Equal(s.options.Host.Leaf()) { // that says who the message is encrypted to
			c.cert = chain[0]
		}
	}
	if value := doc.FindElement("/Envelope/Header/Security/Signature/SignatureValue"); value != nil {
		c.value = value.Text()
	}
	if c.encrypted = doc.FindElement("/Envelope/Body/EncryptedData") != nil; !c.encrypted {
		return c, nil
	}
	text, err := v.Digested()
	if err != nil {
		return nil, err
	}
	c.text = text
	c.message, err = soap.Read(xmlscan.Memory(text), soap.Limits{})
	return c, err
}

// profile secures a reply as the service does: as it was asked.
func (s *StandIn) profile(c *caller, now func() time.Time) wssec.Profile {
	var privacy *wssec.Encryption
	if c.encrypted && s.misbehaviour() != ClearReply {
		privacy = s.encryption(c)
	}
	if s.options.Modern {
		return &wssec.X509Message{Digest: s.options.Digest, Now: now, Privacy: privacy, Unanswered: true}
	}
	return &wssec.GSIMessage{Digest: s.options.Digest, Token: wssec.TokenPKIPath, Now: now, Privacy: privacy, Unanswered: true}
}

// encryption is that of a reply: to the certificate that signed the request, in GT4's case the proxy's, with algorithms
// that GT4 knows (facts/gt4-wire.md).
func (s *StandIn) encryption(c *caller) *wssec.Encryption {
	e := &wssec.Encryption{To: c.cert, Cipher: xmlenc.AES128CBC, KeyTransport: xmlenc.RSA15}
	m := s.misbehaviour()
	if s.options.Modern != (m == UnnamedCipher) {
		e.Cipher, e.KeyTransport = xmlenc.AES256GCM, xmlenc.RSAOAEP
	}
	if m == OtherRecipient {
		e.To = s.options.Other.Leaf()
	}
	return e
}

// breakCipher changes a character of the encrypted key, or of the encrypted content.
func breakCipher(reply []byte, m Misbehaviour) []byte {
	start := bytes.Index(reply, []byte(":EncryptedKey"))
	if m == BrokenCiphertext {
		start = bytes.Index(reply, []byte(":EncryptedData"))
	}
	if start < 0 {
		return reply
	}
	value := bytes.Index(reply[start:], []byte(":CipherValue"))
	if value < 0 {
		return reply
	}
	changed := bytes.Clone(reply)
	at := start + value + len(":CipherValue>") + 40
	if changed[at] != 'A' {
		changed[at] = 'A'
	} else {
		changed[at] = 'B'
	}
	return changed
}
