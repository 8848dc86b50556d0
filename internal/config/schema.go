package config

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"log/slog"
	"reflect"
	"strconv"
	"strings"
)

//go:embed example.yaml
var example []byte

// Example is a complete config with comments; it parses, and has every key.
func Example() []byte { return bytes.Clone(example) }

// Schema is the JSON Schema (draft 2020-12) of the format, made from the tags that the parser reads.
func Schema() []byte {
	s := schemaOf(reflect.TypeFor[Config](), field{})
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = "gsigw config"
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		panic("config: schema: " + err.Error())
	}
	return append(text, '\n')
}

func schemaOf(t reflect.Type, f field) map[string]any {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	s := typeSchema(t, f)
	if f.doc != "" {
		s["description"] = f.doc
	}
	if f.def != "" {
		s["default"] = defaultOf(t, f)
	}
	return s
}

func typeSchema(t reflect.Type, f field) map[string]any {
	if words, ok := enums[t]; ok {
		if len(f.only) > 0 {
			words = f.only
		}
		return map[string]any{"enum": words}
	}
	if sc, ok := scalars[t]; ok {
		return scalarSchema(t, sc)
	}
	switch t.Kind() {
	case reflect.Struct:
		return structSchema(t)
	case reflect.Map:
		return mapSchema(t, f)
	case reflect.Slice:
		return map[string]any{"type": "array", "items": schemaOf(t.Elem(), field{})}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int:
		return boundsSchema(f)
	}
	return map[string]any{"type": "string", "minLength": 1}
}

func scalarSchema(t reflect.Type, sc scalar) map[string]any {
	text := map[string]any{"type": "string", "pattern": sc.pattern}
	switch t {
	case reflect.TypeFor[UID]():
		return map[string]any{"anyOf": []any{text, map[string]any{"type": "integer", "minimum": 0}}}
	case reflect.TypeFor[slog.Level]():
		return map[string]any{"enum": levels}
	}
	return text
}

func structSchema(t reflect.Type) map[string]any {
	properties, required := map[string]any{}, []string{}
	for _, f := range fields(t) {
		properties[f.key] = schemaOf(f.typ, f)
		if f.need {
			required = append(required, f.key)
		}
	}
	s := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

func mapSchema(t reflect.Type, f field) map[string]any {
	s := map[string]any{"type": "object", "additionalProperties": schemaOf(t.Elem(), field{})}
	if f.key != "paths" {
		s["propertyNames"] = map[string]any{"pattern": nameForm.String()}
	}
	return s
}

func boundsSchema(f field) map[string]any {
	s := map[string]any{"type": "integer"}
	if len(f.only) > 0 {
		s["enum"] = json.RawMessage("[" + strings.Join(f.only, ", ") + "]")
	}
	for key, text := range map[string]string{"minimum": f.min, "maximum": f.max} {
		if n, err := strconv.Atoi(text); err == nil {
			s[key] = n
		}
	}
	return s
}

// defaultOf is the default as JSON has it: numbers and booleans bare, all else as text.
func defaultOf(t reflect.Type, f field) any {
	if isWord := enums[t] != nil || scalars[t].parse != nil; isWord || t.Kind() == reflect.String {
		return f.def
	}
	return json.RawMessage(f.def)
}
