package interop

import (
	"path/filepath"
	"strings"
	"testing"
)

// The command line does what the library does, with a cipher of each kind and every key transport.
func TestCommandLine_EncryptsAndDecryptsWithPeers(t *testing.T) {
	g := newWSSGrid(t)
	certificate := hostCertificate(t, g)
	for _, p := range []encryptionPair{{"aes128-cbc", "rsa-1_5"}, {"aes256-gcm", "rsa-oaep"}, {"aes192-gcm", "rsa-oaep-sha256"}} {
		for _, profile := range [][]string{
			{"--profile", "gsi-message"},
			{"--profile", "wss-x509"},
			{"--profile", "wss-x509", "--order", "encrypt-first", "--key-reference", "thumbprint", "--inclusive-namespaces"},
		} {
			t.Run(p.String()+" "+strings.Join(profile[1:], " "), func(t *testing.T) {
				args := append([]string{"sign", "--credential", g.files["user"], "--encrypt-to", certificate,
					"--cipher", p.cipher, "--key-transport", p.transport}, profile...)
				message, err := gsigw(t, plainMessage, args...)
				if err != nil {
					t.Fatal(err)
				}
				if isReadable(message) {
					t.Error("the Body is in the clear")
				}
				if plain, err := santuarioDecrypt(t, g, message); err != nil || !isReadable(plain) {
					t.Errorf("Santuario does not read it: %v", err)
				}
			})
		}
		t.Run(p.String()+" decrypted", func(t *testing.T) {
			key := filepath.Join(g.Dir, "wss-host.pem")
			for name, message := range map[string]string{
				"encrypt first": g.signAll(t, santuarioEncrypt(t, g, p, plainMessage)),
				"sign first":    santuarioEncrypt(t, g, p, g.signAll(t, plainMessage)),
			} {
				out, err := gsigw(t, message, "verify", "--trust", g.TrustDir, "--decrypt-key", key, "--print", "text")
				if err != nil || strings.TrimSpace(out) != "5" {
					t.Errorf("%s: %v, text %q", name, err, out)
				}
				if _, err := gsigw(t, garbled(t, message), "verify", "--trust", g.TrustDir, "--decrypt-key", key); err == nil {
					t.Errorf("%s: it is taken changed", name)
				}
			}
		})
	}
}
