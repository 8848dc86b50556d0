package daemon

import (
	"os"
	"strings"
	"testing"

	"gsigw/internal/config"
)

func TestSpool_WarnsWhereALargeMessageWouldHaveNoPlace(t *testing.T) {
	for dir, warning := range map[string]string{
		t.TempDir(): "", t.TempDir() + "/gone": "messages larger than spool.threshold will be refused", "/dev/shm": "lies in memory",
	} {
		if _, err := os.Stat("/dev/shm"); dir == "/dev/shm" && err != nil {
			continue
		}
		w := &wiring{config: &config.Config{Spool: config.Spool{Dir: config.Path(dir)}}}
		w.spool()
		if got := strings.Join(w.warnings, "\n"); warning == "" && got != "" || !strings.Contains(got, warning) {
			t.Errorf("%s: warned %q", dir, got)
		}
	}
}

func TestPoolOf_TakesAllThatTheConfigSays(t *testing.T) {
	p := poolOf(config.Spool{Dir: "/d", Threshold: 1, Memory: 2})
	if p.Dir != "/d" || p.Threshold != 1 || p.Memory != 2 {
		t.Errorf("%s %d %d", p.Dir, p.Threshold, p.Memory)
	}
}
