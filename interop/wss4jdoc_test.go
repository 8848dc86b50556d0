package interop

import (
	"archive/zip"
	"bytes"
	"io"
	"regexp"
	"strings"
	"testing"
)

// docs/wss4j.md speaks of keys that there are: WSS4J's are strings of WSHandlerConstants, a route's are in docs/config.md.
func TestWSS4JDoc_NamesKeysThatThereAre(t *testing.T) {
	jar, err := zip.OpenReader(need(t, "wss4j.jar"))
	if err != nil {
		t.Fatal(err)
	}
	defer jar.Close()
	f, err := jar.Open("org/apache/ws/security/handler/WSHandlerConstants.class")
	if err != nil {
		t.Fatal(err)
	}
	class, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	config := string(readFile(t, "../docs/config.md"))
	code := regexp.MustCompile("`([^`]+)`")
	rows, _, _ := strings.Cut(string(readFile(t, "../docs/wss4j.md")), "## WS-SecurityPolicy")
	var theirs, ours int
	for row := range strings.Lines(rows) {
		cells := strings.Split(row, "|")
		if len(cells) != 5 {
			continue
		}
		for _, m := range code.FindAllStringSubmatch(cells[1], -1) {
			key, value, _ := strings.Cut(m[1], ": ")
			for _, word := range append(strings.Fields(value), key) {
				if theirs++; word != "..." && !bytes.Contains(class, []byte(word)) && !notConstants[word] {
					t.Errorf("WSS4J has no key or value %s", word)
				}
			}
		}
		for _, m := range code.FindAllStringSubmatch(cells[2], -1) {
			key, value, _ := strings.Cut(m[1], ": ")
			ours++
			all := regexp.MustCompile("(?m)^\\| `(.*\\.)?"+regexp.QuoteMeta(key)+"` .*$").FindAllString(config, -1)
			if line := strings.Join(all, ""); line == "" || value != "" && !strings.Contains(line, "`"+value+"`") && value != "true" {
				t.Errorf("docs/config.md has no key %s with the choice %s", key, value)
			}
		}
	}
	if theirs < 50 || ours < 30 {
		t.Errorf("%d keys of WSS4J and %d of routes: the tables are not read", theirs, ours)
	}
}

// notConstants are values that WSS4J keeps elsewhere.
var notConstants = map[string]bool{
	"PasswordDigest": true, "PasswordText": true, "DirectReference": true, "IssuerSerial": true, "SKIKeyIdentifier": true,
	"Thumbprint": true, "X509KeyIdentifier": true, "STRTransform": true, "RefId": true,
}
