// Package rooms holds the table of who may import whom, and checks it. A room knows the rooms below it, never one
// above; what no line allows is refused, and so is a package that the table does not know. Tests may import what they
// like: they are built into nothing.
//
//	packages, err := rooms.List(ctx)
//	for _, problem := range rooms.Check(packages) {
//		fmt.Println(problem)
//	}
package rooms

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
)

// Module is the name of the module, and the prefix of all its packages.
const Module = "gsigw"

// Room is one line of the table.
type Room struct {
	Path string   // within the module
	May  []string // the rooms that it may import; All, or Public
	Why  string   // what the rule keeps
}

// The words that stand for several rooms.
const (
	All    = "*"      // every room
	Public = "public" // every room outside internal and cmd
)

// Table is who may import whom, bottom to top.
var Table = []Room{
	{"soap/xmlscan", nil, "the scanner stands on nothing"},
	{"soap/spool", []string{"soap/xmlscan"}, "a place for bytes, whatever they say"},
	{"wssec/c14n", []string{"soap/xmlscan"}, "what is hashed comes from the scanner that read the message"},
	{"soap", []string{"soap/xmlscan", "wssec/c14n"}, "the message is read by one scanner, once, and knows nothing of security but the canonical form"},

	{"wssec/xmlenc", []string{"soap", "soap/xmlscan", "wssec/c14n"}, "ciphers and keys; what may be encrypted where is for wssec to say"},

	{"gsi", nil, "credentials can be used without the rest"},
	{"gsi/sslv3", []string{"gsi"}, "only gss and upstream know SSL 3.0"},
	{"gsi/gss", []string{"gsi", "gsi/sslv3"}, "GSS tokens are made of credentials and bytes"},
	{"trust", []string{"gsi"}, "trust judges certificates, and knows no protocol"},

	{"wsrf", []string{"soap", "soap/xmlscan"}, "resources are messages, unsecured or not"},
	{"wssec", []string{"soap", "soap/xmlscan", "soap/spool", "wssec/c14n", "wssec/xmlenc", "gsi"}, "not trust: it takes an interface"},
	{"wssec/secconv", []string{"soap", "soap/xmlscan", "wssec/c14n", "gsi", "gsi/gss", "wsrf", "wssec"}, "a conversation is made of handshake and messages"},
	{"delegationfactory", []string{"soap", "soap/xmlscan", "wsrf", "gsi"}, "trust as an interface"},

	{"myproxy", protocol, aClient},
	{"voms", protocol, aClient},
	{"masterportal", protocol, aClient},
	{"gram", protocol, aClient},
	{"cds", protocol, aClient},
	{"secpal", nil, "the policy engine knows no grid"},
	{"rmi-compat", []string{"soap", "soap/xmlscan"}, "foreign call in, message out"},

	{"internal/policy", nil, "policy decides on values, and is pure"},
	{"internal/config", []string{"internal/policy"}, "the config is data; the daemon makes things of it"},
	{"internal/store", nil, "the store holds blobs"},
	{"internal/wallet", []string{"gsi", "gsi/gss", "trust", "internal/store", "myproxy", "voms", "masterportal", "cds", "delegationfactory"}, "the wallet knows where credentials come from, not who calls"},
	{"internal/session", []string{"gsi", "internal/store"}, "a session is who and with what, not what for"},
	{"internal/upstream", []string{"soap/spool", "gsi", "gsi/sslv3", "trust"}, "the dialler knows no SOAP"},
	{"internal/intercept/ca", nil, "the local CA is not the grid's"},
	{"internal/intercept", []string{"internal/intercept/ca", "internal/policy", "soap", "soap/spool"}, "the front door knows who calls, not what becomes of the call"},
	{"internal/gateway", []string{
		"soap", "soap/xmlscan", "soap/spool", "gsi", "trust", "wsrf", "wssec", "wssec/xmlenc", "wssec/secconv", "delegationfactory", "secpal",
		"internal/policy", "internal/wallet", "internal/session", "internal/upstream", "internal/intercept",
	}, "the order of things; it knows the front door's types, and never who counts or configures"},
	{"internal/admin", []string{"gsi", "voms", "internal/session", "internal/wallet", "internal/gateway"}, "the operator looks from above"},
	{"internal/daemon", []string{
		"soap", "soap/xmlscan", "soap/spool", "gsi", "trust", "wssec", "wssec/xmlenc", "internal/policy", "internal/config", "internal/store", "internal/wallet",
		"internal/session", "internal/upstream", "internal/intercept", "internal/intercept/ca", "internal/gateway", "internal/admin",
	}, "config to objects; never what is for tests"},
	{"internal/doctor", []string{"gsi", "trust", "voms", "myproxy", "internal/config"}, "the doctor looks and touches nothing"},

	{"internal/gridtest", []string{Public, "internal/gridtest/countersoap"}, "the strict stand-in shares nothing internal with what it tests"},
	{"internal/gridtest/countersoap", nil, "generated stubs play the engine"},
	{"internal/demo", []string{Public, "internal/gridtest", "internal/gridtest/countersoap", "internal/daemon"}, "the demo stands outside: it starts a gateway, and looks at what passes"},
	{"internal/rooms", nil, "reads the listing alone"},
	{"bench", []string{Public, "internal/gridtest"}, "measures what others use"},
	{"interop", nil, "suites only: all of it is tests"},
	{"cmd/gsigw", []string{All}, "everything meets here"},
}

const aClient = "a grid protocol is a library: no config, no session, no gateway"

var protocol = []string{"gsi", "gsi/gss", "trust", "soap", "soap/xmlscan", "wsrf", "wssec", "wssec/xmlenc", "wssec/secconv", "delegationfactory"}

// Package is what `go list -json` says of one.
type Package struct {
	ImportPath string
	Imports    []string
}

// List asks the go command for the module's packages.
func List(ctx context.Context) ([]Package, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-e", "-json=ImportPath,Imports", Module+"/...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("rooms: go list: %w: %s", err, stderr.Bytes())
	}
	return read(bytes.NewReader(out))
}

func read(r io.Reader) ([]Package, error) {
	var list []Package
	for d := json.NewDecoder(r); ; {
		var p Package
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return nil, fmt.Errorf("rooms: go list: %w", err)
		}
		list = append(list, p)
	}
}

// Check gives a line for every package that the table does not know and every import that it does not allow.
func Check(packages []Package) (problems []string) {
	for _, p := range packages {
		path := strings.TrimPrefix(p.ImportPath, Module+"/")
		room, ok := find(path)
		if !ok {
			problems = append(problems, path+" is no room that the table knows: enter it, with what it may import")
			continue
		}
		for _, imported := range p.Imports {
			if other, ours := strings.CutPrefix(imported, Module+"/"); ours && !room.may(other) {
				problems = append(problems, fmt.Sprintf("%s imports %s, which the table does not allow: %s", path, other, room.Why))
			}
		}
	}
	return problems
}

func find(path string) (Room, bool) {
	i := slices.IndexFunc(Table, func(r Room) bool { return r.Path == path })
	if i < 0 {
		return Room{}, false
	}
	return Table[i], true
}

func (r Room) may(other string) bool {
	isPublic := !strings.HasPrefix(other, "internal/") && !strings.HasPrefix(other, "cmd/")
	return slices.Contains(r.May, other) || slices.Contains(r.May, All) || isPublic && slices.Contains(r.May, Public)
}
