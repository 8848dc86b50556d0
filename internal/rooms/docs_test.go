package rooms

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"gsigw/internal/config"
)

const root = "../.."

// documents are the module's Markdown files, by their path from the root.
func documents(t *testing.T) map[string]string {
	t.Helper()
	docs := map[string]string{}
	walk(t, ".md", func(path string, text []byte) { docs[path] = string(text) })
	if docs["README.md"] == "" {
		t.Fatal("README.md is not there")
	}
	return docs
}

func walk(t *testing.T, suffix string, f func(path string, text []byte)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() && (d.Name() == ".git" || d.Name() == "work") {
			return fs.SkipDir
		}
		if err != nil || d.IsDir() || !strings.HasSuffix(path, suffix) {
			return err
		}
		text, err := os.ReadFile(path)
		f(strings.TrimPrefix(path, root+"/"), text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// blocks are the fenced blocks of a language.
func blocks(text, language string) (list []string) {
	fence := regexp.MustCompile("(?ms)^```" + language + "\n(.*?)^```$")
	for _, m := range fence.FindAllStringSubmatch(text, -1) {
		list = append(list, m[1])
	}
	return list
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

func TestDocs_RelativeLinksLeadSomewhere(t *testing.T) {
	for path, text := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			target, _, _ := strings.Cut(m[1], "#")
			if target == "" || strings.Contains(target, "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(path), target)); err != nil {
				t.Errorf("%s: %s leads nowhere", path, m[1])
			}
		}
	}
}

func TestDocs_ReadmeConfigIsTwelveLinesAndParses(t *testing.T) {
	block := blocks(documents(t)["README.md"], "yaml")[0]
	if n := strings.Count(block, "\n"); n != 12 {
		t.Errorf("it has %d lines", n)
	}
	if _, err := config.Parse("README.md", []byte(block)); err != nil {
		t.Error(err)
	}
}

// Every YAML block is a part of a config: its keys are keys of the schema.
func TestDocs_ConfigsHaveKeysOfTheSchema(t *testing.T) {
	var schema map[string]any
	if err := json.Unmarshal(config.Schema(), &schema); err != nil {
		t.Fatal(err)
	}
	for path, text := range documents(t) {
		for _, block := range blocks(text, "yaml") {
			var doc any
			if err := yaml.Unmarshal([]byte(block), &doc); err != nil {
				t.Errorf("%s: %v", path, err)
			}
			for _, key := range unknownKeys(doc, schema, "") {
				t.Errorf("%s: a config has no key %s", path, key)
			}
		}
	}
}

func unknownKeys(doc any, schema map[string]any, at string) (unknown []string) {
	keys, ok := doc.(map[string]any)
	if !ok {
		return nil
	}
	properties, _ := schema["properties"].(map[string]any)
	for key, value := range keys {
		sub, ok := properties[key].(map[string]any)
		if !ok {
			sub, ok = schema["additionalProperties"].(map[string]any)
		}
		if !ok {
			unknown = append(unknown, at+key)
			continue
		}
		unknown = append(unknown, unknownKeys(value, sub, at+key+".")...)
	}
	return unknown
}

// A compiled example has the lines of README's, in their order.
func TestDocs_ReadmeGoIsCompiled(t *testing.T) {
	example, err := os.ReadFile(root + "/wssec/example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	unindented := regexp.MustCompile(`(?m)^\t`).ReplaceAll(example, nil)
	for _, block := range blocks(documents(t)["README.md"], "go") {
		if !bytes.Contains(unindented, []byte(block)) {
			t.Errorf("wssec/example_test.go does not hold\n%s", block)
		}
	}
}

func TestDocs_NamedTestsExist(t *testing.T) {
	var code bytes.Buffer
	walk(t, "_test.go", func(_ string, text []byte) { code.Write(text) })
	name := regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[A-Za-z0-9_]+)`")
	for path, text := range documents(t) {
		for _, m := range name.FindAllStringSubmatch(text, -1) {
			if !bytes.Contains(code.Bytes(), []byte("func "+m[1])) {
				t.Errorf("%s: there is no %s", path, m[1])
			}
		}
	}
}

// command is a use of gsigw in a document: `gsigw ca init --config F`, or a line of an indented or fenced block.
var command = regexp.MustCompile("(?m)(?:^    |`)(?:go run ./cmd/)?gsigw((?: [a-z][a-z0-9]*)+)([^`\n|]*)")

func TestDocs_CommandsAndTheirFlagsExist(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "gsigw")
	if out, err := exec.Command("go", "build", "-o", binary, Module+"/cmd/gsigw").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for path, text := range documents(t) {
		for _, m := range command.FindAllStringSubmatch(text, -1) {
			words := strings.Fields(m[1])
			help, err := exec.Command(binary, append(words[:min(2, len(words))], "--help")...).CombinedOutput()
			if err != nil || !bytes.Contains(help, []byte("gsigw "+words[0])) {
				t.Errorf("%s: there is no command gsigw %s", path, words[0])
			}
			for _, f := range regexp.MustCompile(`--[a-z0-9-]+`).FindAllString(m[2], -1) {
				if !bytes.Contains(help, []byte(f)) {
					t.Errorf("%s: gsigw%s has no %s", path, m[1], f)
				}
			}
		}
	}
}

func TestDocs_EveryDirectDependencyHasItsReason(t *testing.T) {
	mod, err := os.ReadFile(root + "/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	reasons := documents(t)["docs/dependencies.md"]
	for _, m := range regexp.MustCompile(`(?m)^\t(\S+) v\S+$`).FindAllStringSubmatch(string(mod), -1) {
		if !strings.Contains(reasons, "| "+m[1]+" |") {
			t.Errorf("docs/dependencies.md has no line for %s", m[1])
		}
	}
}
