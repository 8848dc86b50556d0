package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"

	"go.yaml.in/yaml/v3"
)

// Load reads a config file and looks at the files that it names: that they are there, and that nobody else can read
// what is secret. The error is Problems.
func Load(name string) (*Config, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		remedy := "check the name and its permissions"
		if errors.Is(err, fs.ErrNotExist) {
			remedy = "write one from the output of: gsigw config example"
		}
		return nil, Problems{{File: name, Text: reason(err), Remedy: remedy}}
	}
	cfg, d := parse(name, text)
	if len(d.at) > 0 {
		d.files(cfg)
	}
	if err := d.problems.err(); err != nil {
		return nil, err
	}
	return cfg, nil
}

// Parse reads a config without touching the disk. Relative file names start at the directory of name. The error is
// Problems.
func Parse(name string, text []byte) (*Config, error) {
	cfg, d := parse(name, text)
	if err := d.problems.err(); err != nil {
		return nil, err
	}
	return cfg, nil
}

func parse(name string, text []byte) (*Config, *document) {
	cfg := &Config{File: name}
	d := &document{file: name, at: map[string]*yaml.Node{}}
	cfg.read = d
	setDefaults(reflect.ValueOf(cfg).Elem())
	if d.read(text, cfg) {
		d.check(cfg)
	}
	resolve(reflect.ValueOf(cfg).Elem(), directory(name))
	return cfg, d
}

// directory is where relative file names start.
func directory(name string) string {
	abs, err := filepath.Abs(name)
	if err != nil {
		return filepath.Dir(name)
	}
	return filepath.Dir(abs)
}

// resolve makes every file name absolute.
func resolve(v reflect.Value, dir string) {
	switch {
	case v.Type() == reflect.TypeFor[Path]():
		if p := v.String(); p != "" && !filepath.IsAbs(p) {
			v.SetString(filepath.Join(dir, p))
		}
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			resolve(v.Field(i), dir)
		}
	case v.Kind() == reflect.Map && v.Type().Elem().Kind() == reflect.Struct:
		for _, k := range v.MapKeys() {
			e := reflect.New(v.Type().Elem()).Elem()
			e.Set(v.MapIndex(k))
			resolve(e, dir)
			v.SetMapIndex(k, e)
		}
	}
}

// reason is the system's word for what went wrong with a file.
func reason(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}
