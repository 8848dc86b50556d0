package daemon

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gsigw/internal/gridtest"
)

func TestRun_WritesWhatWasSeenToTheStateDirectory(t *testing.T) {
	b := newBench(t, gridtest.StandInOptions{})
	config := gridtest.Must(os.ReadFile(b.file()))
	b.configure(string(config) + "replay: {state: seen}\n")
	b.start()
	file := filepath.Join(b.dir, "seen", "replay")
	before := gridtest.Must(os.Stat(file)).Size()
	if !b.works() {
		t.Fatal(b.log)
	}
	if after := gridtest.Must(os.Stat(file)).Size(); after != before+32 {
		t.Errorf("one reply took %d bytes", after-before)
	}
}

func TestNew_RefusesAStateDirectoryThatIsOpenToOthers(t *testing.T) {
	b := newBench(t, gridtest.StandInOptions{})
	config := gridtest.Must(os.ReadFile(b.file()))
	b.configure(string(config) + "replay: {state: .}\n")
	if err := os.Chmod(b.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Options{File: b.file()}); err == nil || !strings.Contains(err.Error(), "replay.state") || !strings.Contains(err.Error(), "chmod") {
		t.Error(err)
	}
}
