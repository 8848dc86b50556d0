package rooms

import (
	"slices"
	"strings"
	"testing"
)

func TestModule_ImportsOnlyWhatTheTableAllows(t *testing.T) {
	packages, err := List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(packages) < 10 {
		t.Fatalf("go list named only %d packages", len(packages))
	}
	for _, problem := range Check(packages) {
		t.Error(problem)
	}
}

func TestCheck_FindsWhatIsForbidden(t *testing.T) {
	for _, test := range []struct {
		name    string
		listing string
		want    string // part of the one problem; empty: none
	}{
		{"upwards", `{"ImportPath": "gsigw/soap", "Imports": ["fmt", "gsigw/wssec"]}`, "soap imports wssec, which the table does not allow: the message is read by one scanner"},
		{"trust instead of an interface", `{"ImportPath": "gsigw/wssec", "Imports": ["gsigw/trust"]}`, "not trust: it takes an interface"},
		{"library to daemon", `{"ImportPath": "gsigw/trust", "Imports": ["gsigw/internal/config"]}`, "trust imports internal/config"},
		{"gateway to admin", `{"ImportPath": "gsigw/internal/gateway", "Imports": ["gsigw/internal/admin"]}`, "gateway imports internal/admin"},
		{"stand-in to internals", `{"ImportPath": "gsigw/internal/gridtest", "Imports": ["gsigw/internal/gateway"]}`, "gridtest imports internal/gateway"},
		{"daemon to tests", `{"ImportPath": "gsigw/internal/daemon", "Imports": ["gsigw/internal/gridtest"]}`, "daemon imports internal/gridtest"},
		{"unknown room", `{"ImportPath": "gsigw/internal/utils", "Imports": []}`, "internal/utils is no room"},
		{"a room inside a room is not it", `{"ImportPath": "gsigw/soap/extra", "Imports": []}`, "soap/extra is no room"},
		{"allowed", `{"ImportPath": "gsigw/wssec", "Imports": ["crypto", "gsigw/gsi", "gsigw/soap"]}`, ""},
		{"public to the stand-in", `{"ImportPath": "gsigw/internal/gridtest", "Imports": ["gsigw/wssec"]}`, ""},
		{"all to the command", `{"ImportPath": "gsigw/cmd/gsigw", "Imports": ["gsigw/internal/gridtest"]}`, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			packages, err := read(strings.NewReader(test.listing))
			if err != nil {
				t.Fatal(err)
			}
			problems := Check(packages)
			if test.want == "" && len(problems) > 0 {
				t.Errorf("refused: %q", problems)
			}
			if test.want != "" && (len(problems) != 1 || !strings.Contains(problems[0], test.want)) {
				t.Errorf("problems %q, want one with %q", problems, test.want)
			}
		})
	}
}

// The table runs from bottom to top, so it cannot allow a circle; and each name in it is a room.
func TestTable_NamesRoomsBelowOnly(t *testing.T) {
	var below []string
	for _, room := range Table {
		for _, name := range room.May {
			known := name == All || name == Public || slices.Contains(below, name)
			if !known && !strings.HasPrefix(name, room.Path+"/") {
				t.Errorf("%s may import %s, which does not stand below it", room.Path, name)
			}
		}
		if room.Why == "" || slices.Contains(below, room.Path) {
			t.Errorf("%s is there twice, or without a reason", room.Path)
		}
		below = append(below, room.Path)
	}
}
