package interop

import (
	"strings"
	"testing"
)

// The peers read what the others encrypt: what they say of gsigw's messages can be believed.
func TestEncryptionPeersReadEachOther(t *testing.T) {
	g := newWSSGrid(t)
	for _, p := range encryptionPairs() {
		for _, writer := range encryptionPeers {
			if !writer.knows(p) {
				continue
			}
			encrypted := writer.encrypt(t, g, p, plainMessage)
			if strings.Contains(encrypted, ">5<") {
				t.Fatalf("%s leaves the Body in the clear: %s", writer.name, encrypted)
			}
			for _, reader := range encryptionPeers {
				if !reader.knows(p) {
					continue
				}
				if plain, err := reader.decrypt(t, g, encrypted); err != nil || !strings.Contains(plain, ">5<") {
					t.Errorf("%s: what %s encrypts %s does not read: %v\n%s", p, writer.name, reader.name, err, plain)
				}
			}
		}
	}
}
