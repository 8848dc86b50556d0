package rooms

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"gsigw/internal/config"
)

var update = flag.Bool("update", false, "write docs/config.md anew")

func TestDocs_ConfigReferenceIsTheSchemas(t *testing.T) {
	const path = root + "/docs/config.md"
	want := reference(t)
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, _ := os.ReadFile(path); !bytes.Equal(got, want) {
		t.Error("docs/config.md is not what the config's tags say: go test ./internal/rooms -run Docs -update")
	}
}

// reference is the table of all keys, out of the JSON Schema.
func reference(t *testing.T) []byte {
	t.Helper()
	var schema map[string]any
	if err := json.Unmarshal(config.Schema(), &schema); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	b.WriteString("# Config keys\n\n" +
		"Made from the tags that the parser reads; `gsigw config schema` prints the same as JSON Schema, and\n" +
		"`gsigw config example` a commented file with every key. NAME is a name of your own.\n\n" +
		"| key | values | default | meaning |\n|---|---|---|---|\n")
	writeKeys(&b, schema, "")
	return b.Bytes()
}

func writeKeys(b *bytes.Buffer, schema map[string]any, at string) {
	properties, _ := schema["properties"].(map[string]any)
	for _, key := range slices.Sorted(maps.Keys(properties)) {
		writeKey(b, properties[key].(map[string]any), at+key)
	}
}

func writeKey(b *bytes.Buffer, s map[string]any, at string) {
	fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", at, values(s), code(s["default"]), cell(s["description"]))
	writeKeys(b, s, at+".")
	if entry, ok := s["additionalProperties"].(map[string]any); ok {
		writeKeys(b, entry, at+".NAME.")
	}
}

func values(s map[string]any) string {
	if words, ok := s["enum"].([]any); ok {
		var list []string
		for _, w := range words {
			list = append(list, code(w))
		}
		return strings.Join(list, ", ")
	}
	if either, ok := s["anyOf"].([]any); ok {
		var list []string
		for _, one := range either {
			list = append(list, values(one.(map[string]any)))
		}
		return strings.Join(list, " or ")
	}
	text, _ := s["type"].(string)
	switch _, isMap := s["additionalProperties"].(map[string]any); {
	case text == "object" && isMap:
		text = "by name"
	case text == "object":
		text = ""
	case text == "array":
		text = "list"
	}
	for _, bound := range []string{"minimum", "maximum"} {
		if n, ok := s[bound]; ok {
			text += fmt.Sprintf(", %s %v", bound, n)
		}
	}
	return text
}

func code(v any) string {
	if v == nil {
		return ""
	}
	return "`" + cell(v) + "`"
}

func cell(v any) string {
	if v == nil {
		return ""
	}
	if n, ok := v.(float64); ok {
		return fmt.Sprintf("%.0f", n)
	}
	return strings.NewReplacer("|", `\|`, "<", "&lt;").Replace(fmt.Sprint(v))
}
