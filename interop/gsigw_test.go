package interop

import (
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// buildGsigw builds the binary once per test run.
var buildGsigw = sync.OnceValues(func() (string, error) {
	binary := filepath.Join(scratch, "gsigw")
	_, err := tryRun(exec.Command("go", "build", "-o", binary, "../cmd/gsigw"))
	return binary, err
})

func gsigwBinary(t testing.TB) string {
	t.Helper()
	binary, err := buildGsigw()
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// gsigw runs a command of the binary on input; the error holds what it wrote to its standard error.
func gsigw(t testing.TB, input string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(gsigwBinary(t), args...)
	cmd.Stdin = strings.NewReader(input)
	return tryRun(cmd)
}
