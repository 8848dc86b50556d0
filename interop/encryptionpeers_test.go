package interop

import (
	"encoding/pem"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const (
	xmlencNS   = "http://www.w3.org/2001/04/xmlenc#"
	xmlenc11NS = "http://www.w3.org/2009/xmlenc11#"
	dsigNS     = "http://www.w3.org/2000/09/xmldsig#"
	oaep11     = xmlenc11NS + "rsa-oaep"
)

// An encryptionPair is a cipher and the transport of its key, by gsigw's names. The URIs are kept here, apart from
// gsigw's own.
type encryptionPair struct{ cipher, transport string }

func (p encryptionPair) String() string { return p.cipher + " " + p.transport }

var cipherURI = map[string]string{
	"aes128-cbc": xmlencNS + "aes128-cbc",
	"aes192-cbc": xmlencNS + "aes192-cbc",
	"aes256-cbc": xmlencNS + "aes256-cbc",
	"3des-cbc":   xmlencNS + "tripledes-cbc",
	"aes128-gcm": xmlenc11NS + "aes128-gcm",
	"aes192-gcm": xmlenc11NS + "aes192-gcm",
	"aes256-gcm": xmlenc11NS + "aes256-gcm",
}

var transportURI = map[string]string{
	"rsa-1_5":         xmlencNS + "rsa-1_5",
	"rsa-oaep":        xmlencNS + "rsa-oaep-mgf1p",
	"rsa-oaep-sha256": oaep11,
}

// encryptionPairs are all that gsigw knows.
func encryptionPairs() (pairs []encryptionPair) {
	for _, transport := range []string{"rsa-1_5", "rsa-oaep", "rsa-oaep-sha256"} {
		for _, cipher := range []string{"aes128-cbc", "aes192-cbc", "aes256-cbc", "3des-cbc", "aes128-gcm", "aes192-gcm", "aes256-gcm"} {
			pairs = append(pairs, encryptionPair{cipher, transport})
		}
	}
	return pairs
}

// An encryptionPeer hides the content of a message's Body for the host, and reads it with the host's key. Where the
// message has a security header, the EncryptedKey becomes its first child.
type encryptionPeer struct {
	name    string
	knows   func(encryptionPair) bool
	encrypt func(testing.TB, *wssGrid, encryptionPair, string) string
	decrypt func(testing.TB, *wssGrid, string) (string, error)
}

var encryptionPeers = []encryptionPeer{
	{"WSS4J", knownTo10, wss4jEncrypt, wss4jDecrypt},
	{"Santuario", func(encryptionPair) bool { return true }, santuarioEncrypt, santuarioDecrypt},
	{"xmlsec1", knownTo10, xmlsec1Encrypt, xmlsec1Decrypt},
}

// knownTo10 holds for peers that do not know the key transport of XML Encryption 1.1: WSS4J 1.6 and xmlsec1 1.2.
func knownTo10(p encryptionPair) bool { return p.transport != "rsa-oaep-sha256" }

func wss4jEncrypt(t testing.TB, g *wssGrid, p encryptionPair, message string) string {
	t.Helper()
	_, encrypted := g.peer.must(t, "secure", options{
		"action": "Encrypt", "encryptionUser": "host", "encryptionKeyIdentifier": "IssuerSerial",
		"encryptionSymAlgorithm": cipherURI[p.cipher], "encryptionKeyTransportAlgorithm": transportURI[p.transport],
	}, message)
	return encrypted
}

// wss4jDecrypt is without the Basic Security Profile, which does not know 192-bit keys (R5620).
func wss4jDecrypt(_ testing.TB, g *wssGrid, message string) (string, error) {
	_, plain, err := g.peer.do("check", options{"action": "Encrypt", "isBSPCompliant": "false"}, message)
	return plain, err
}

func santuarioEncrypt(t testing.TB, g *wssGrid, p encryptionPair, message string) string {
	t.Helper()
	o := options{"to": "host", "cipher": cipherURI[p.cipher], "transport": transportURI[p.transport]}
	if p.transport == "rsa-oaep-sha256" {
		o = o.with(options{"digest": digestURI["sha256"], "mgf": xmlenc11NS + "mgf1sha256"})
	}
	_, encrypted := g.peer.must(t, "encrypt", o, message)
	return encrypted
}

func santuarioDecrypt(_ testing.TB, g *wssGrid, message string) (string, error) {
	_, plain, err := g.peer.do("decrypt", options{"as": "host"}, message)
	return plain, err
}

// xmlsec1 knows nothing of security headers: the EncryptedKey moves between EncryptedData, where xmlsec1 has it, and the
// header.
func xmlsec1Encrypt(t testing.TB, g *wssGrid, p encryptionPair, message string) string {
	t.Helper()
	template := fmt.Sprintf(`<xenc:EncryptedData xmlns:xenc="%s" Id="ED-1" Type="%[1]sContent">`+
		`<xenc:EncryptionMethod Algorithm="%[2]s"/><ds:KeyInfo xmlns:ds="%[3]s">`+
		`<xenc:EncryptedKey xmlns:xenc="%[1]s" Id="EK-1"><xenc:EncryptionMethod Algorithm="%[4]s"/>`+
		`<ds:KeyInfo/><xenc:CipherData><xenc:CipherValue/></xenc:CipherData></xenc:EncryptedKey></ds:KeyInfo>`+
		`<xenc:CipherData><xenc:CipherValue/></xenc:CipherData></xenc:EncryptedData>`,
		xmlencNS, cipherURI[p.cipher], dsigNS, transportURI[p.transport])
	size := regexp.MustCompile(`\d+`).FindString(p.cipher)
	session := "aes-" + size
	if p.cipher == "3des-cbc" {
		session = "des-192"
	}
	dir := t.TempDir()
	in, out, filled := filepath.Join(dir, "in.xml"), filepath.Join(dir, "template.xml"), filepath.Join(dir, "out.xml")
	writeFile(t, in, message)
	writeFile(t, out, template)
	run(t, exec.Command(need(t, "xmlsec1"), "--encrypt", "--pubkey-cert-pem", hostCertificate(t, g), "--session-key", session,
		"--xml-data", in, "--node-name", soapNS+":Body", "--output", filled, out))
	return liftKey(t, g, string(readFile(t, filled)))
}

func xmlsec1Decrypt(t testing.TB, g *wssGrid, message string) (string, error) {
	t.Helper()
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in.xml"), filepath.Join(dir, "out.xml")
	writeFile(t, in, sinkKey(t, message))
	_, err := tryRun(exec.Command(need(t, "xmlsec1"), "--decrypt", "--privkey-pem", g.files["host"],
		"--node-xpath", "//*[local-name()='Body']/*[local-name()='EncryptedData']", "--output", out, in))
	if err != nil {
		return "", err
	}
	return string(readFile(t, out)), nil
}

func hostCertificate(t testing.TB, g *wssGrid) string {
	t.Helper()
	name := filepath.Join(g.Dir, "wss-host-cert.pem")
	writeFile(t, name, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: g.host.Leaf().Raw})))
	return name
}

var (
	encryptedKey  = regexp.MustCompile(`(?s)<(\w+:)?EncryptedKey .*</(\w+:)?EncryptedKey>`)
	encryptedData = regexp.MustCompile(`(?s)<(\w+:)?EncryptedData .*?</(\w+:)?EncryptionMethod>|(?s)<(\w+:)?EncryptedData .*?EncryptionMethod [^>]*/>`)
	keyInfo       = regexp.MustCompile(`(?s)<ds:KeyInfo[^>]*>\s*</ds:KeyInfo>|<ds:KeyInfo[^>]*/>`)
	securityStart = regexp.MustCompile(`<wsse:Security[^>]*>`)
	keyNames      = regexp.MustCompile(`(?s)<(\w+:)?KeyInfo.*?</(\w+:)?KeyInfo>`)
	references    = regexp.MustCompile(`(?s)<(\w+:)?ReferenceList.*?</(\w+:)?ReferenceList>`)
)

// liftKey moves the EncryptedKey from the EncryptedData that it is for to the front of the security header, and has it
// name the host's certificate and what it encrypts.
func liftKey(t testing.TB, g *wssGrid, message string) string {
	t.Helper()
	key := encryptedKey.FindString(message)
	message = keyInfo.ReplaceAllString(strings.Replace(message, key, "", 1), "")
	issuer := fmt.Sprintf(`<ds:KeyInfo xmlns:ds="%s"><wsse:SecurityTokenReference xmlns:wsse="%s"><ds:X509Data><ds:X509IssuerSerial>`+
		`<ds:X509IssuerName>%s</ds:X509IssuerName><ds:X509SerialNumber>%s</ds:X509SerialNumber>`+
		`</ds:X509IssuerSerial></ds:X509Data></wsse:SecurityTokenReference></ds:KeyInfo>`,
		dsigNS, wsseNS, g.host.Leaf().Issuer, g.host.Leaf().SerialNumber)
	key = keyInfo.ReplaceAllLiteralString(key, issuer)
	key = strings.Replace(key, "</xenc:EncryptedKey>",
		`<xenc:ReferenceList><xenc:DataReference URI="#ED-1"/></xenc:ReferenceList></xenc:EncryptedKey>`, 1)
	if at := securityStart.FindStringIndex(message); at != nil {
		return message[:at[1]] + key + message[at[1]:]
	}
	return strings.Replace(message, "<soapenv:Header>",
		`<soapenv:Header><wsse:Security xmlns:wsse="`+wsseNS+`" soapenv:mustUnderstand="1">`+key+`</wsse:Security>`, 1)
}

// sinkKey moves the EncryptedKey of a message with one to the EncryptedData that it is for.
func sinkKey(t testing.TB, message string) string {
	t.Helper()
	key := encryptedKey.FindString(message)
	if key == "" {
		t.Fatalf("no EncryptedKey in %s", message)
	}
	message = strings.Replace(message, key, "", 1)
	key = references.ReplaceAllString(keyNames.ReplaceAllString(key, ""), "")
	all := encryptedData.FindAllStringIndex(message, -1)
	if all == nil {
		t.Fatalf("no EncryptedData in %s", message)
	}
	at := all[len(all)-1] // Body's comes last
	rest := strings.TrimPrefix(message[at[1]:], keyNames.FindString(message[at[1]:]))
	return message[:at[1]] + `<ds:KeyInfo xmlns:ds="` + dsigNS + `">` + key + `</ds:KeyInfo>` + rest
}
