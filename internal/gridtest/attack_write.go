package gridtest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// File is the name of the file that an attack is written to.
func (a *Attack) File() string {
	return strings.NewReplacer("/", "-", ",", "_").Replace(a.Name) + ".xml"
}

// Args are the arguments for `gsigw verify` to judge the message as it is meant.
func (a *Attack) Args(trustDir, keyDir string) []string {
	args := []string{"verify", "--trust", trustDir, "--at", a.At().UTC().Format(time.RFC3339)}
	if a.Base.Reply {
		args = append(args, "--role", "reply", "--relates-to", a.Base.RelatesTo)
	}
	if a.Peer != "" {
		args = append(args, "--peer", a.Peer)
	}
	if a.Base.DecryptKey != "" {
		args = append(args, "--decrypt-key", filepath.Join(keyDir, filepath.Base(a.Base.DecryptKey)))
	}
	return args
}

// WriteAttacks writes the messages into a directory, where the PKI is that signed them, with a manifest: file, class or
// ok, signer, arguments, and the file of what is verified first.
func WriteAttacks(dir string, attacks []Attack) error {
	var manifest strings.Builder
	for _, a := range attacks {
		want, signer, first := string(a.Want), "-", "-"
		if want == "" {
			want, signer = "ok", a.Base.Signer
			if a.Signer != "" {
				signer = a.Signer
			}
		}
		if a.First != nil {
			first = strings.TrimSuffix(a.File(), ".xml") + ".first.xml"
			if err := os.WriteFile(filepath.Join(dir, first), a.First, 0o644); err != nil {
				return fmt.Errorf("gridtest: %w", err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, a.File()), a.Message, 0o644); err != nil {
			return fmt.Errorf("gridtest: %w", err)
		}
		fmt.Fprintf(&manifest, "%s\t%s\t%s\t%s\t%s\n", a.File(), want, signer, strings.Join(a.Args("certificates", ""), " "), first)
	}
	if err := os.WriteFile(filepath.Join(dir, "manifest.tsv"), []byte(manifest.String()), 0o644); err != nil {
		return fmt.Errorf("gridtest: %w", err)
	}
	return nil
}
