package config

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"gsigw/internal/policy"

	"go.yaml.in/yaml/v3"
)

var update = flag.Bool("update", false, "rewrite the golden files of testdata")

const minimal = `listen:
  proxy: 127.0.0.1:8180
trust:
  dir: /etc/grid-security/certificates
credentials:
  me:
    discover: true
routes:
  counter:
    target: https://grid.example.org:8443/wsrf/services/*
    for: gt4
    message: gsi-message
`

func mustParse(t *testing.T, text string) *Config {
	t.Helper()
	cfg, err := Parse("/etc/gsigw/gsigw.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestParse_TwelveLinesAreEnough(t *testing.T) {
	if lines := strings.Count(minimal, "\n"); lines > 12 {
		t.Fatalf("the minimal config has %d lines", lines)
	}
	cfg := mustParse(t, minimal)
	self := cfg.Callers["self"]
	if len(cfg.Callers) != 1 || self.UID == nil || !self.UID.Self || self.Credential != "me" {
		t.Errorf("callers %+v, want self with the only credential", cfg.Callers)
	}
	p, err := cfg.Policy()
	if err != nil {
		t.Fatal(err)
	}
	r := p.Route("counter")
	if r.Message != policy.MessageGSI || r.Transport != policy.TransportHTTPS || r.Digest != policy.SHA1 ||
		r.Addressing != policy.Addressing200403 || r.MaxSkew != 5*time.Minute || r.Timeouts.Total != 15*time.Minute {
		t.Errorf("route %+v", r)
	}
}

func TestParse_ZeroValuesOfARouteAreTheSafeOnes(t *testing.T) {
	cfg := mustParse(t, strings.Replace(minimal, "    for: gt4\n", "", 1))
	p, _ := cfg.Policy()
	r := *p.Route("counter")
	if r.Digest != policy.SHA256 || r.AllowMD5 || r.AllowRSA512 || r.AllowLoopback || r.AllowLinkLocal || r.AllowOwn ||
		r.Upgrade || r.UnsignedAttachments || r.Addressing != policy.AddressingKeep ||
		r.Cipher.CBC() || r.KeyTransport != policy.RSAOAEP || r.Confirmation != policy.HolderOfKey || r.PasswordType != policy.PasswordDigest {
		t.Errorf("route %+v", r)
	}
}

func TestParse_TakesWhatTheRouteSaysOverItsStack(t *testing.T) {
	cfg := mustParse(t, minimal+"    digest: sha256\n    addressing: keep\n    timeout: 1h\n    clock-skew: 1m\n")
	p, _ := cfg.Policy()
	r := p.Route("counter")
	if r.Digest != policy.SHA256 || r.Addressing != policy.AddressingKeep || r.Timeouts.Total != time.Hour ||
		r.MaxSkew != time.Minute {
		t.Errorf("route %+v", r)
	}
}

func TestParse_LegacyOfTheTrustReachesEveryRoute(t *testing.T) {
	cfg := mustParse(t, strings.Replace(minimal, "credentials:", "  legacy: {md5: true, rsa-min-bits: 512}\ncredentials:", 1))
	p, _ := cfg.Policy()
	if r := p.Route("counter"); !r.AllowMD5 || !r.AllowRSA512 {
		t.Errorf("route %+v", r)
	}
}

func TestParse_RefusesFilesThatAreNoConfig(t *testing.T) {
	_, err := Parse("big.yaml", []byte(minimal+strings.Repeat("#", maxFile)))
	if err == nil || !strings.Contains(err.Error(), "larger than 1 MiB") {
		t.Error(err)
	}
}

func TestParse_RelativeNamesStartAtTheFile(t *testing.T) {
	cfg := mustParse(t, strings.Replace(minimal, "discover: true", "proxy: ../proxies/alice", 1))
	if got := cfg.Credentials["me"].Proxy; got != "/etc/proxies/alice" {
		t.Errorf("proxy %s", got)
	}
}

func TestParse_GivesFreshValues(t *testing.T) {
	a, b := mustParse(t, minimal), mustParse(t, minimal)
	if !reflect.DeepEqual(a, b) {
		t.Error("two readings of one text differ")
	}
	a.Credentials["me"] = Credential{Proxy: "/other"}
	a.Callers["self"].UID.Self = false
	if reflect.DeepEqual(a, b) || !b.Callers["self"].UID.Self {
		t.Error("two configs share their insides")
	}
}

// TestParse_NamesEveryMistake holds testdata/NAME.yaml against NAME.err: all mistakes of the file, a line each.
func TestParse_NamesEveryMistake(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.yaml")
	if len(files) == 0 {
		t.Fatal("no files")
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".yaml"), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			_, err = Parse(filepath.Base(name), text)
			golden(t, strings.TrimSuffix(name, ".yaml")+".err", fmt.Sprintln(err))
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestProblems_BoundsTheReport(t *testing.T) {
	var b strings.Builder
	for i := range 100 {
		fmt.Fprintf(&b, "nonsense%d: 1\n", i)
	}
	_, err := Parse("many.yaml", []byte(b.String()))
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != maxProblems+1 || !strings.HasSuffix(lines[maxProblems], "more") {
		t.Errorf("%d lines, last %q", len(lines), lines[len(lines)-1])
	}
}

func TestExample_IsValid(t *testing.T) {
	if _, err := Parse("example.yaml", Example()); err != nil {
		t.Fatal(err)
	}
}

func TestExample_ShowsEveryKeyOfTheSchema(t *testing.T) {
	var schema, doc map[string]any
	if err := json.Unmarshal(Schema(), &schema); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(Example(), &doc); err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{}
	keysShown(doc, schema, "", shown)
	for key := range keysOf(schema, "") {
		if !shown[key] {
			t.Errorf("the example lacks %s", key)
		}
	}
	for key := range shown {
		if strings.HasSuffix(key, "!") {
			t.Errorf("the schema does not know %s", strings.TrimSuffix(key, "!"))
		}
	}
}

// keysShown notes the keys of doc by their place in the schema, with a ! where the schema has none; names of the
// writer's own count as *.
func keysShown(doc, schema map[string]any, path string, shown map[string]bool) {
	properties, _ := schema["properties"].(map[string]any)
	names, _ := schema["additionalProperties"].(map[string]any)
	for key, value := range doc {
		sub, ok := properties[key].(map[string]any)
		at := join(path, key)
		if names != nil {
			sub, ok, at = names, true, join(path, "*")
		}
		if !ok {
			at += "!"
		}
		shown[at] = true
		if m, isMap := value.(map[string]any); isMap && ok {
			keysShown(m, sub, at, shown)
		}
	}
}

func keysOf(schema map[string]any, path string) map[string]bool {
	keys := map[string]bool{}
	add := func(at string, sub any) {
		keys[at] = true
		if m, ok := sub.(map[string]any); ok {
			for k := range keysOf(m, at) {
				keys[k] = true
			}
		}
	}
	properties, _ := schema["properties"].(map[string]any)
	for key, sub := range properties {
		add(join(path, key), sub)
	}
	if names, ok := schema["additionalProperties"].(map[string]any); ok {
		add(join(path, "*"), names)
	}
	return keys
}

func TestSchema_RefusesUnknownKeysEverywhere(t *testing.T) {
	var schema map[string]any
	if err := json.Unmarshal(Schema(), &schema); err != nil {
		t.Fatal(err)
	}
	var walk func(path string, s map[string]any)
	walk = func(path string, s map[string]any) {
		if s["properties"] != nil && s["additionalProperties"] != false {
			t.Errorf("%s takes unknown keys", path)
		}
		for key, sub := range s {
			if m, ok := sub.(map[string]any); ok {
				walk(path+"/"+key, m)
			}
		}
	}
	walk("", schema)
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(minimal))
	f.Add(Example())
	f.Add([]byte("listen: &a {proxy: *a}\n"))
	f.Add([]byte("? [a]\n: b\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		cfg, err := Parse("f.yaml", text)
		if err != nil {
			return
		}
		if _, err := cfg.Policy(); err != nil {
			t.Errorf("a config that parses has no policy: %v", err)
		}
	})
}
