package interop

import (
	"fmt"
	"strings"
	"testing"
	"text/tabwriter"

	"gsigw/soap"
	"gsigw/wssec"
	"gsigw/wssec/xmlenc"
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
			if isReadable(encrypted) {
				t.Fatalf("%s leaves the Body in the clear: %s", writer.name, encrypted)
			}
			for _, reader := range encryptionPeers {
				if !reader.knows(p) {
					continue
				}
				if plain, err := reader.decrypt(t, g, encrypted); err != nil || !isReadable(plain) {
					t.Errorf("%s: what %s encrypts %s does not read: %v", p, writer.name, reader.name, err)
				}
			}
		}
	}
}

// isReadable looks for the number in the suite's messages.
func isReadable(message string) bool { return strings.Contains(message, ">5<") }

// privacy is the pair for the host.
func (g *wssGrid) privacy(t testing.TB, p encryptionPair) *wssec.Encryption {
	t.Helper()
	cipher, err := xmlenc.ParseCipher(p.cipher)
	if err != nil {
		t.Fatal(err)
	}
	transport, err := xmlenc.ParseKeyTransport(p.transport)
	if err != nil {
		t.Fatal(err)
	}
	return &wssec.Encryption{To: g.host.Leaf(), Cipher: cipher, KeyTransport: transport}
}

// An encryptionOrder is a profile of gsigw's that encrypts.
type encryptionOrder struct {
	name    string
	profile func(*wssec.Encryption) wssec.Profile
	// wss4j are the actions that WSS4J is to find.
	wss4j string
}

var encryptionOrders = []encryptionOrder{
	{"gsi-message", func(e *wssec.Encryption) wssec.Profile { return &wssec.GSIMessage{Privacy: e} }, "Encrypt Signature Timestamp"},
	{"wss-x509 encrypt first", func(e *wssec.Encryption) wssec.Profile {
		return &wssec.X509Message{Privacy: e, EncryptFirst: true}
	}, "Timestamp Encrypt Signature"},
	{"wss-x509 sign first", func(e *wssec.Encryption) wssec.Profile { return &wssec.X509Message{Privacy: e} }, "Timestamp Signature Encrypt"},
	{"wss-x509 sign first and hide the signature", func(e *wssec.Encryption) wssec.Profile {
		e.Signature = true
		return &wssec.X509Message{Privacy: e}
	}, "Timestamp Signature Encrypt"},
}

// A matrix is what was tried with each pair, printed with -v.
type matrix struct {
	columns []string
	cells   map[string]map[string]string // by pair and column
}

func (m *matrix) set(pair encryptionPair, column, cell string) {
	if m.cells == nil {
		m.cells = map[string]map[string]string{}
	}
	if m.cells[pair.String()] == nil {
		m.cells[pair.String()] = map[string]string{}
	}
	m.cells[pair.String()][column] = cell
}

func (m *matrix) print(t testing.TB) {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\t"+strings.Join(m.columns, "\t"))
	for _, pair := range encryptionPairs() {
		fmt.Fprint(w, pair)
		for _, column := range m.columns {
			cell := m.cells[pair.String()][column]
			if cell == "" {
				cell = "not known to it"
			}
			fmt.Fprint(w, "\t", cell)
		}
		fmt.Fprintln(w)
	}
	w.Flush()
	t.Log("\n" + text.String())
}

// Each peer reads what gsigw encrypts, in either order of signing and encrypting; WSS4J verifies it too.
func TestEncrypt_IsReadByPeers(t *testing.T) {
	g := newWSSGrid(t)
	for _, order := range encryptionOrders {
		t.Run(order.name, func(t *testing.T) {
			m := matrix{columns: []string{"WSS4J", "Santuario", "xmlsec1"}}
			for _, p := range encryptionPairs() {
				message, _ := secured(t, order.profile(g.privacy(t, p)), g.user, plainMessage)
				if isReadable(message) {
					t.Fatalf("%s leaves the Body in the clear", p)
				}
				for _, reader := range encryptionPeers {
					if !reader.knows(p) {
						continue
					}
					plain, err := reader.decrypt(t, g, message)
					if reader.name == "WSS4J" {
						plain, err = wss4jOpen(g, order, message)
					}
					m.set(p, reader.name, "read")
					if err != nil || !isReadable(plain) {
						m.set(p, reader.name, "NOT READ")
						t.Errorf("%s: %s does not read it: %v", p, reader.name, err)
					}
				}
			}
			m.print(t)
		})
	}
}

// WSS4J reads the elements that gsigw encrypts in Body, and finds the others where they were.
func TestEncrypt_ElementsAreReadByWSS4J(t *testing.T) {
	g := newWSSGrid(t)
	n, note := soap.Name{Space: addNS, Local: "n"}, soap.Name{Space: addNS, Local: "note"}
	for _, order := range encryptionOrders {
		for name, elements := range map[string][]soap.Name{
			"deep": {n}, "with an outer prefix": {note}, "both": {note, n}, "first": {{Space: addNS, Local: "add"}},
		} {
			t.Run(order.name+" "+name, func(t *testing.T) {
				e := g.privacy(t, encryptionPair{"aes128-cbc", "rsa-oaep"})
				e.Elements = elements
				message, _ := secured(t, order.profile(e), g.user, deepMessage)
				hidesN, hidesNote := !strings.Contains(message, ">5<"), !strings.Contains(message, ">7<")
				if all := name == "first" || name == "both"; hidesN != (all || name == "deep") || hidesNote != (all || name == "with an outer prefix") {
					t.Errorf("the wrong elements are in the clear: %s", message)
				}
				plain, err := wss4jOpen(g, order, message)
				if err != nil || !strings.Contains(plain, ">5<") || !strings.Contains(plain, ">7<") {
					t.Errorf("WSS4J does not read it: %v\n%s", err, plain)
				}
			})
		}
	}
}

func wss4jOpen(g *wssGrid, order encryptionOrder, message string) (string, error) {
	report, plain, err := g.peer.do("check", options{"action": order.wss4j, "isBSPCompliant": "false"}, message)
	if err != nil {
		return "", err
	}
	for _, e := range signedElements {
		i := strings.LastIndex(e, ":")
		if want := "signed {" + e[:i] + "}" + e[i+1:] + "\n"; !strings.Contains(report, want) {
			return "", fmt.Errorf("not %s%s", want, report)
		}
	}
	return plain, nil
}
