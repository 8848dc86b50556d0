package interop

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// A vector is one file of testdata/c14n: a trap, the document that sets it, and the canonical form.
type vector struct {
	c14nRequest
	name    string
	want    []byte // nil: the document must be refused
	differs string // the oracles that are known to be wrong, and why
}

var algorithms = map[string]string{
	"exclusive":               exclusive,
	"exclusive-with-comments": exclusiveWithComments,
	"inclusive":               inclusive,
	"inclusive-with-comments": inclusiveWithComments,
}

// unescape lets a vector show the white space that an editor would hide or change.
var unescape = strings.NewReplacer(`\r`, "\r", `\n`, "\n", `\t`, "\t")

func readVectors(t testing.TB) []vector {
	t.Helper()
	files, err := filepath.Glob("testdata/c14n/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no vectors", err)
	}
	var out []vector
	for _, f := range files {
		v, err := readVector(f)
		if err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		out = append(out, v)
	}
	return out
}

func readVector(file string) (vector, error) {
	v := vector{name: strings.TrimSuffix(filepath.Base(file), ".txtar")}
	archive, err := txtar.ParseFile(file)
	if err != nil {
		return v, err
	}
	for line := range strings.Lines(string(archive.Comment)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch key {
		case "algorithm":
			v.algorithm = algorithms[value]
		case "apex":
			v.apex = value
		case "prefixes":
			v.prefixes = unescape.Replace(value)
		case "differs":
			v.differs = value
		}
	}
	for _, f := range archive.Files {
		data := []byte(unescape.Replace(strings.TrimSuffix(string(f.Data), "\n")))
		switch f.Name {
		case "document":
			v.doc = data
		case "canonical":
			v.want = data
		case "refused":
		default:
			return v, fmt.Errorf("unknown part %q", f.Name)
		}
	}
	return v, nil
}

func TestC14N_Vectors(t *testing.T) {
	for _, v := range readVectors(t) {
		t.Run(v.name, func(t *testing.T) { v.check(t, ours{}) })
	}
}

func TestOraclesAgreeWithVectors(t *testing.T) {
	oracles := []*oracle{santuario(t), libxml2(t)}
	for _, v := range readVectors(t) {
		for _, o := range oracles {
			if !strings.Contains(v.differs, o.name) {
				t.Run(v.name+"/"+o.name, func(t *testing.T) { v.check(t, o) })
			}
		}
	}
}

func (v *vector) check(t *testing.T, c canonicalizer) {
	got, err := c.canonicalize(v.c14nRequest)
	switch {
	case v.want == nil && err == nil:
		t.Errorf("accepted as %q", got)
	case v.want != nil && (err != nil || !bytes.Equal(got, v.want)):
		t.Errorf("error %v\n got %q\nwant %q", err, got, v.want)
	}
}
