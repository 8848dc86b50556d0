package gridtest

import (
	"fmt"
	"strings"
)

// script is a stanza of a file of attacks: a head in the first column, name: what it is about, and steps below it.
type script struct {
	name, about string
	bases       []string
	loops       []loop
	steps       []string
}

// loop names variables and the rows of values that they take.
type loop struct {
	names []string
	rows  [][]string
}

// parseScripts reads a file: stanzas, empty lines and lines of comment (#). A line that starts with a bar goes on with
// the step above.
func parseScripts(text string) ([]*script, error) {
	var all []*script
	for i, line := range joinLines(text) {
		switch trimmed := strings.TrimSpace(line); {
		case trimmed == "" || strings.HasPrefix(trimmed, "#"):
		case line[0] != ' ':
			name, about, ok := strings.Cut(trimmed, ": ")
			if !ok || strings.Contains(name, " ") {
				return nil, fmt.Errorf("stanza %q: not name: what it is about", trimmed)
			}
			all = append(all, &script{name: name, about: about, bases: []string{"gt4"}})
		case len(all) == 0:
			return nil, fmt.Errorf("line %d stands before the first stanza", i+1)
		default:
			verb, args, _ := strings.Cut(trimmed, " ")
			if err := all[len(all)-1].add(verb, strings.TrimSpace(args)); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

func joinLines(text string) (lines []string) {
	for line := range strings.SplitSeq(text, "\n") {
		if trimmed := strings.TrimSpace(line); strings.HasPrefix(trimmed, "|") && len(lines) > 0 {
			last := &lines[len(lines)-1]
			if strings.HasPrefix(strings.TrimSpace(*last), "for ") {
				*last += " " + trimmed
			} else {
				*last += strings.TrimPrefix(trimmed, "|")
			}
			continue
		}
		lines = append(lines, line)
	}
	return lines
}

func (s *script) add(verb, args string) error {
	switch verb {
	case "base":
		s.bases = strings.Fields(args)
	case "for":
		names, values, ok := strings.Cut(args, " = ")
		if !ok {
			return fmt.Errorf("%s: for without values", s.name)
		}
		l := loop{names: strings.Fields(names)}
		for value := range strings.SplitSeq(" "+values, " |") {
			row := strings.Split(value+" ", " ;; ")
			if len(row) != len(l.names) {
				return fmt.Errorf("%s: %q has %d values for %s", s.name, value, len(row), names)
			}
			for i := range row {
				row[i] = strings.TrimSpace(row[i])
			}
			l.rows = append(l.rows, row)
		}
		s.loops = append(s.loops, l)
	default:
		s.steps = append(s.steps, verb+" "+args)
	}
	return nil
}
