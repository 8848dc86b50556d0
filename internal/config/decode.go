package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxFile bounds a config file, in bytes.
const maxFile = 1 << 20

// document is one config file while it is read: where each key stands, and what is wrong so far.
type document struct {
	file     string
	at       map[string]*yaml.Node
	problems Problems
	// unreadable are the problems of single values. What follows from one of them is not told a second time.
	unreadable Problems
}

// field is one key of a struct, as its tags say.
type field struct {
	index    int
	key      string
	def, doc string
	need     bool
	min, max string
	only     []string
	typ      reflect.Type
}

// fields gives the keys of a struct type in their order. The parser and the schema both read this.
func fields(t reflect.Type) []field {
	var list []field
	for i := range t.NumField() {
		f := t.Field(i)
		key := f.Tag.Get("yaml")
		if key == "-" {
			continue
		}
		list = append(list, field{
			index: i, key: key, def: f.Tag.Get("def"), doc: f.Tag.Get("doc"), need: f.Tag.Get("need") == "true",
			min: f.Tag.Get("min"), max: f.Tag.Get("max"), only: strings.Fields(f.Tag.Get("only")), typ: f.Type,
		})
	}
	return list
}

// read parses the file's one YAML document into v, a pointer to a struct. It tells whether there was one.
func (d *document) read(text []byte, v any) bool {
	root := d.parse(text)
	if root == nil {
		return false
	}
	d.value(root, reflect.ValueOf(v).Elem(), "", field{})
	d.unreadable = slices.Clone(d.problems)
	return true
}

// parse gives the top node, or nil after noting why there is none.
func (d *document) parse(text []byte) *yaml.Node {
	if len(text) > maxFile {
		d.add(nil, "", "the file is larger than 1 MiB", "this is no config file")
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	var doc, second yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		d.add(nil, "", "the file is empty", "start from the output of: gsigw config example")
		return nil
	} else if err != nil {
		d.syntax(err)
		return nil
	}
	if err := dec.Decode(&second); err == nil {
		d.add(&second, "", "a second document begins here", "keep one document in a file")
	} else if !errors.Is(err, io.EOF) {
		d.syntax(err)
	}
	return doc.Content[0]
}

var yamlLine = regexp.MustCompile(`^yaml: line (\d+): `)

// syntax notes an error of the YAML reader, which knows the line alone.
func (d *document) syntax(err error) {
	text, line := strings.TrimPrefix(err.Error(), "yaml: "), 0
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
		line, _ = strconv.Atoi(m[1])
		text = err.Error()[len(m[0]):]
	}
	d.add(&yaml.Node{Line: max(line, 1), Column: 1}, "", "not YAML: "+text, "check indentation and quotes near this line")
}

func (d *document) add(n *yaml.Node, key, text, remedy string) {
	p := Problem{File: d.file, Key: key, Text: text, Remedy: remedy}
	if n != nil {
		p.Line, p.Column = n.Line, n.Column
	}
	d.problems = append(d.problems, p)
}

// wrong notes a problem at a key that was read, or at its nearest parent that was; not in a part of the file that
// could not be read anyway.
func (d *document) wrong(key, text, remedy string) {
	if slices.ContainsFunc(d.unreadable, func(p Problem) bool { return related(section(p.Key), section(key)) }) {
		return
	}
	d.add(d.place(key), key, text, remedy)
}

// place is where a key stands that was read, or its nearest parent that was; nil for a file without any.
func (d *document) place(key string) *yaml.Node {
	for k := key; ; k = k[:max(strings.LastIndexByte(k, '.'), 0)] {
		if n := d.at[k]; n != nil || k == "" {
			return n
		}
	}
}

// section is the part of the file to which a key belongs: routes.counter, listen.proxy.
func section(key string) string {
	parts := strings.SplitN(key, ".", 3)
	return strings.Join(parts[:min(2, len(parts))], ".")
}

func related(a, b string) bool {
	return a == b || a == "" || strings.HasPrefix(a, b+".") || strings.HasPrefix(b, a+".")
}

// value reads one node into v. Plain YAML only: what an anchor or a tag would hide is refused.
func (d *document) value(n *yaml.Node, v reflect.Value, path string, f field) {
	d.at[path] = n
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		d.add(n, path, "anchors and aliases are not taken", "write the value out")
	case n.Style&yaml.TaggedStyle != 0:
		d.add(n, path, "the tag "+n.Tag+" is not taken", "write the plain value")
	case n.Tag == "!!null":
		d.add(n, path, "the key has no value", "give it one, or remove the line")
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(n, v.Elem(), path, f)
	case isScalar(v.Type()):
		d.scalar(n, v, path, f)
	case v.Kind() == reflect.Struct:
		d.mapping(n, v, path)
	case v.Kind() == reflect.Map:
		d.names(n, v, path)
	case v.Kind() == reflect.Slice:
		d.list(n, v, path)
	}
}

func isScalar(t reflect.Type) bool {
	_, special := scalars[t]
	return special || t.Kind() != reflect.Struct && t.Kind() != reflect.Map && t.Kind() != reflect.Slice
}

// mapping reads a struct: each key known, each once, and the needed ones there.
func (d *document) mapping(n *yaml.Node, v reflect.Value, path string) {
	if !d.isMapping(n, path) {
		return
	}
	known := map[string]field{}
	for _, f := range fields(v.Type()) {
		known[f.key] = f
	}
	given := d.pairs(n, path, func(key string, k, val *yaml.Node) {
		f, ok := known[key]
		if !ok {
			d.add(k, join(path, key), "unknown key", suggest(key, known))
			return
		}
		d.value(val, v.Field(f.index), join(path, key), f)
	})
	for _, f := range fields(v.Type()) {
		if f.need && !given[f.key] {
			d.add(n, join(path, f.key), "the key is missing", f.doc)
		}
	}
}

// names reads a mapping whose keys are the writer's own.
func (d *document) names(n *yaml.Node, v reflect.Value, path string) {
	v.Set(reflect.MakeMap(v.Type()))
	if !d.isMapping(n, path) {
		return
	}
	d.pairs(n, path, func(key string, k, val *yaml.Node) {
		if !validName(key, path) {
			d.add(k, join(path, key), "the name is not taken", "use letters, digits, - and _, up to 64 of them")
			return
		}
		e := reflect.New(v.Type().Elem()).Elem()
		setDefaults(e)
		d.value(val, e, join(path, key), field{})
		v.SetMapIndex(reflect.ValueOf(key), e)
	})
}

var nameForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// validName keeps names fit for logs and metrics; the keys of reverse.paths are paths and judged later.
func validName(key, path string) bool { return path == "reverse.paths" || nameForm.MatchString(key) }

func (d *document) isMapping(n *yaml.Node, path string) bool {
	if n.Kind != yaml.MappingNode {
		d.add(n, path, "this is "+kind(n)+", not a mapping", "write key: value lines below it")
	}
	return n.Kind == yaml.MappingNode
}

// pairs walks a mapping node and tells which keys it gave.
func (d *document) pairs(n *yaml.Node, path string, each func(key string, k, v *yaml.Node)) map[string]bool {
	given := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		if k.Kind != yaml.ScalarNode || k.Anchor != "" || k.Style&yaml.TaggedStyle != 0 {
			d.add(k, path, "a key must be a plain word", "")
			continue
		}
		if given[k.Value] {
			d.add(k, join(path, k.Value), "the key is given twice", "remove one of the two")
			continue
		}
		given[k.Value] = true
		each(k.Value, k, n.Content[i+1])
	}
	return given
}

func (d *document) list(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.SequenceNode {
		d.add(n, path, "this is "+kind(n)+", not a list", "write [a, b], or - a lines below it")
		return
	}
	for i, item := range n.Content {
		e := reflect.New(v.Type().Elem()).Elem()
		d.value(item, e, fmt.Sprintf("%s[%d]", path, i), field{})
		v.Set(reflect.Append(v, e))
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func kind(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	return "a single value"
}

// suggest names the known key that a misspelt one most likely meant.
func suggest(key string, known map[string]field) string {
	best, least := "", 2+len(key)/4
	for k := range known {
		n := distance(key, k)
		if strings.HasPrefix(k, key) {
			n = 1
		}
		if n < least || n == least && best != "" && k < best {
			best, least = k, n
		}
	}
	if best == "" {
		return "remove it; gsigw config example shows what there is"
	}
	return "did you mean " + best + "?"
}

// distance is the number of edits between two words (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
