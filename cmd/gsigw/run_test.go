package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/spf13/cobra"
)

// waiter calls found once when the words were written.
type waiter struct {
	mu    sync.Mutex
	text  bytes.Buffer
	words string
	found func()
}

func (w *waiter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text.Write(p)
	if strings.Contains(w.text.String(), w.words) {
		w.found()
	}
	return len(p), nil
}

func TestRun_EndsWellWhenInterrupted(t *testing.T) {
	dir := t.TempDir()
	if err := makePKI(filepath.Join(dir, "pki")); err != nil {
		t.Fatal(err)
	}
	config := `
listen: {proxy: "127.0.0.1:0"}
trust: {dir: pki/certificates}
credentials: {me: {proxy: pki/proxy.pem}}
routes:
  counter: {target: "https://grid.example.org/", message: gsi-message}
log: {format: json}
`
	file := filepath.Join(dir, "gsigw.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	log := &waiter{words: `"msg":"listening"`, found: stop}
	c := root()
	c.SetArgs([]string{"run", "--config", file, "--trace", filepath.Join(dir, "trace")})
	c.SetErr(log)
	if err := c.ExecuteContext(ctx); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(filepath.Join(dir, "trace")); err != nil || info.Mode().Perm() != 0o700 {
		t.Error(info, err)
	}
}

func TestCommands_SayWhatTheyDoByExample(t *testing.T) {
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Short == "" || c.Example == "" || c.Name() != "gsigw" && !strings.Contains(c.Example, c.CommandPath()) {
			t.Errorf("%s: short %q, example %q", c.CommandPath(), c.Short, c.Example)
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(root())
}
