package gridtest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gsigw/wssec"
)

// Attack is one message of the corpus under wssec/testdata/attacks: a signed message that was changed, or one that its
// signer wrote so, and what is to come of it.
type Attack struct {
	Name  string // file/variant, and what it was made of where there are several; unique
	About string
	Base  *Base // the message that it was made from

	Message []byte
	First   []byte        // a message that is verified first and holds; nil where there is none
	After   time.Duration // how much later than Base.At it is verified
	Want    wssec.Class   // why it is refused; empty where it is as good as Base
	Differs bool          // the signer wrote it so, or the order of the parts is another: what is given back is not in Base's octets
	Signer  string        // of a message that is taken; empty where it is Base's
	Peer    string        // the one subject that may have signed; empty: anybody who is trusted
}

// At is when the message is verified.
func (a *Attack) At() time.Time { return a.Base.At.Add(a.After) }

// Attacks makes the corpus in a directory of scripts from messages that are signed for it. The README there tells the
// language.
func Attacks(dir string, bases map[string]*Base) ([]Attack, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("gridtest: no attacks in %s: %v", dir, err)
	}
	var all []Attack
	seen := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("gridtest: %w", err)
		}
		scripts, err := parseScripts(string(text))
		if err != nil {
			return nil, fmt.Errorf("gridtest: %s: %w", file, err)
		}
		group := strings.TrimSuffix(filepath.Base(file), ".txt")
		for _, s := range scripts {
			made, err := s.variants(group, bases)
			if err != nil {
				return nil, fmt.Errorf("gridtest: %s: %s: %w", file, s.name, err)
			}
			for _, a := range made {
				if seen[a.Name] {
					return nil, fmt.Errorf("gridtest: two attacks are called %s", a.Name)
				}
				seen[a.Name] = true
			}
			all = append(all, made...)
		}
	}
	return all, nil
}

// variants makes a message of every base and every choice of the script's loops.
func (s *script) variants(group string, bases map[string]*Base) (made []Attack, err error) {
	for _, name := range s.bases {
		base := bases[name]
		if base == nil {
			return nil, fmt.Errorf("there is no base %s", name)
		}
		title := group + "/" + s.name
		if len(s.bases) > 1 {
			title += "," + name
		}
		err := s.each(s.loops, title, nil, func(title string, values *strings.Replacer) error {
			a, err := s.variant(base, values)
			if err != nil {
				return fmt.Errorf("%s: %w", title, err)
			}
			a.Name = title
			made = append(made, a)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return made, nil
}

// each goes through the choices of the loops.
func (s *script) each(loops []loop, title string, pairs []string, do func(string, *strings.Replacer) error) error {
	if len(loops) == 0 {
		return do(title, variables(pairs))
	}
	for i, row := range loops[0].rows {
		choice := append([]string(nil), pairs...)
		for j, name := range loops[0].names {
			choice = append(choice, "$"+name, row[j])
		}
		if err := s.each(loops[1:], fmt.Sprintf("%s,%s", title, slug(strings.Join(row, "-"), i)), choice, do); err != nil {
			return err
		}
	}
	return nil
}

// variables replaces the names of variables by their values, the longest names first.
func variables(pairs []string) *strings.Replacer {
	rows := slices.Collect(slices.Chunk(pairs, 2))
	slices.SortFunc(rows, func(a, b []string) int { return len(b[0]) - len(a[0]) })
	return strings.NewReplacer(slices.Concat(rows...)...)
}

// slug names a choice in a file's name: by its words where they are short, else by its number.
func slug(value string, i int) string {
	plain := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
			return r
		case r == ' ', r == '-', r == '/', r == ':':
			return '-'
		}
		return -1
	}, value)
	if plain == "" || len(plain) != len(value) || len(plain) > 24 {
		return fmt.Sprint(i + 1)
	}
	return plain
}

func (s *script) variant(base *Base, values *strings.Replacer) (Attack, error) {
	a := Attack{About: s.about, Base: base}
	e := &editor{Base: base, attack: &a, doc: base.Message}
	for _, st := range s.steps { // twice: a value may name another variable
		verb, args, _ := strings.Cut(values.Replace(values.Replace(st)), " ")
		if err := e.do(verb, strings.TrimSpace(args)); err != nil {
			return a, fmt.Errorf("%s: %w", verb, err)
		}
	}
	if !e.judged {
		return a, fmt.Errorf("nothing says what is wanted")
	}
	if e.doc == base.Message && a.First == nil && a.After == 0 && a.Peer == "" {
		return a, fmt.Errorf("nothing was changed")
	}
	a.Message = []byte(e.doc)
	return a, nil
}
