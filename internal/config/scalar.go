package config

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// scalar reads a single value into v by v's type.
func (d *document) scalar(n *yaml.Node, v reflect.Value, path string, f field) {
	if n.Kind != yaml.ScalarNode {
		d.add(n, path, "this is "+kind(n)+", not a single value", "write "+sample(v.Type()))
		return
	}
	text, remedy := "", ""
	if len(f.only) > 0 && !slices.Contains(f.only, n.Value) {
		text, remedy = fmt.Sprintf("%q is not a choice here", n.Value), "write "+alternatives(f.only)
	} else if words, ok := enums[v.Type()]; ok {
		text, remedy = setWord(v, n.Value, words)
	} else if s, ok := scalars[v.Type()]; ok {
		text, remedy = setScalar(v, n, s)
	} else {
		text, remedy = setPlain(v, n)
	}
	if text == "" {
		text, remedy = outside(v, f)
	}
	if text != "" {
		d.add(n, path, text, remedy)
	}
}

func setWord(v reflect.Value, word string, words []string) (text, remedy string) {
	i := slices.Index(words, word)
	if i < 0 {
		return fmt.Sprintf("%q is not a choice here", word), "write " + alternatives(words)
	}
	v.SetInt(int64(i))
	return "", ""
}

func setScalar(v reflect.Value, n *yaml.Node, s scalar) (text, remedy string) {
	parsed, err := s.parse(n.Value)
	if err != nil {
		return err.Error(), "write " + s.example
	}
	v.Set(reflect.ValueOf(parsed))
	return "", ""
}

func setPlain(v reflect.Value, n *yaml.Node) (text, remedy string) {
	switch v.Kind() {
	case reflect.Bool:
		if n.Tag != "!!bool" || n.Value != "true" && n.Value != "false" {
			return fmt.Sprintf("%q is neither true nor false", n.Value), "write true or false, without quotes"
		}
		v.SetBool(n.Value == "true")
	case reflect.Int:
		i, err := strconv.ParseInt(n.Value, 10, 32)
		if err != nil || n.Tag != "!!int" {
			return fmt.Sprintf("%q is no whole number", n.Value), "write digits alone"
		}
		v.SetInt(i)
	case reflect.String:
		if n.Tag != "!!str" {
			return fmt.Sprintf("%s is read as %s, not as text", n.Value, strings.TrimPrefix(n.Tag, "!!")), "put it in quotes"
		}
		if n.Value == "" {
			return "the text is empty", "give it a value, or remove the line"
		}
		v.SetString(n.Value)
	}
	return "", ""
}

// outside checks a number against the bounds of its field.
func outside(v reflect.Value, f field) (text, remedy string) {
	if !v.CanInt() {
		return "", ""
	}
	if low, err := strconv.ParseInt(f.min, 10, 64); err == nil && v.Int() < low {
		return fmt.Sprintf("%d is too small", v.Int()), "the least is " + f.min
	}
	if high, err := strconv.ParseInt(f.max, 10, 64); err == nil && v.Int() > high {
		return fmt.Sprintf("%d is too large", v.Int()), "the most is " + f.max
	}
	return "", ""
}

func sample(t reflect.Type) string {
	if words, ok := enums[t]; ok {
		return alternatives(words)
	}
	if s, ok := scalars[t]; ok {
		return s.example
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "a whole number"
	}
	return "a text"
}

func alternatives(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// setDefaults fills a struct with the defaults of its tags, through the same readers as a file. A default that does
// not parse is a mistake in this package, which every test would meet.
func setDefaults(v reflect.Value) {
	if v.Kind() != reflect.Struct || isScalar(v.Type()) {
		return
	}
	for _, f := range fields(v.Type()) {
		fv := v.Field(f.index)
		if f.def == "" {
			setDefaults(fv)
			continue
		}
		var n yaml.Node
		if err := yaml.Unmarshal([]byte(f.def), &n); err != nil {
			panic("config: default of " + f.key + ": " + err.Error())
		}
		d := document{at: map[string]*yaml.Node{}}
		if d.value(n.Content[0], fv, f.key, f); len(d.problems) > 0 {
			panic(d.problems.Error())
		}
	}
}
