package myproxy

import (
	"fmt"
	"os"
	"testing"
)

// testDir holds the files of the tests' PKI, which is made once.
var testDir string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if testDir, err = os.MkdirTemp("", "myproxy-test-"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(testDir)
		return m.Run()
	}())
}
