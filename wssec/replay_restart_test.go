package wssec_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "gsigw/wssec"
)

// restarts is a memory of so many ids, and a function that opens it as another process would.
func restarts(t *testing.T, entries int) (dir string, clock *time.Time, again func() memory) {
	dir = filepath.Join(t.TempDir(), "state")
	clock = new(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC))
	return dir, clock, func() memory {
		return memory{openReplay(t, dir, entries, func() time.Time { return *clock }), t, clock}
	}
}

// Each call of gsigw verify is a process of some milliseconds.
func TestReplayFile_AYoungProcessForgetsWhatIsOver(t *testing.T) {
	dir, clock, again := restarts(t, 20)
	for round := range 5 {
		for i := range 20 {
			again().takes(fmt.Sprint(round, "-", i), nil)
		}
		again().takes("too many", ErrReplayFull)
		again().takes(fmt.Sprint(round, "-", 0), ErrReplay)
		*clock = clock.Add(5 * time.Minute)
		again().takes("too many", ErrReplayFull) // the last second has not passed
		*clock = clock.Add(time.Second)
		if info, err := os.Stat(filepath.Join(dir, "replay")); err != nil || info.Size() > 1024+2*20*32 {
			t.Errorf("%d bytes, %v", info.Size(), err)
		}
	}
}

// A process starts while the clock is set forward, and forgets what can still come, for lack of room: in memory only, or
// from the file too. Then the clock is put right.
func TestReplayFile_TakesNothingTwiceAfterAStartAtAWrongTime(t *testing.T) {
	for _, step := range []time.Duration{time.Hour, 365 * 24 * time.Hour} {
		for name, more := range map[string]int{"in memory": 0, "from the file": 20} {
			_, clock, again := restarts(t, 20)
			start := *clock
			old := again()
			for i := range 12 {
				old.takes(fmt.Sprint("a", i), nil)
				*clock = clock.Add(5 * time.Second)
			}
			*clock = clock.Add(step)
			young := again()
			young.fill("b", 20)
			*clock = clock.Add(10 * time.Minute)
			wrong := again()
			wrong.fill("c", more)
			*clock = start.Add(time.Minute)
			all := map[string]memory{"old": old, "young": young, "wrong": wrong, "restarted": again()}
			for who, m := range all {
				for i := range 12 {
					until := start.Add(time.Duration(5*i)*time.Second + 5*time.Minute)
					if err := m.Seen(t.Context(), fmt.Sprint("a", i), until); !errors.Is(err, ErrReplay) {
						t.Errorf("%s, %v, the %s process takes a%d: %v", name, step, who, i, err)
					}
				}
			}
			*clock = clock.Add(11 * time.Minute)
			again().fill("d", 20) // nothing is refused for ever
			*clock = start.Add(time.Minute + step)
			for i := range 20 {
				again().takes(fmt.Sprint("b", i), ErrReplay)
			}
		}
	}
}

// A message can be taken before the time that it says, too: a step back by less than that makes nothing forgotten.
func TestReplayFile_AYoungProcessKeepsWhatIsALittleAhead(t *testing.T) {
	_, clock, again := restarts(t, 20)
	again().fill("a", 20)
	*clock = clock.Add(-5 * time.Minute)
	again().takes("b", ErrReplayFull)
	*clock = clock.Add(-2 * time.Second)
	again().takes("b", nil)
	*clock = clock.Add(5*time.Minute + 2*time.Second)
	again().takes("a0", ErrReplay)
}

func TestReplayFile_AYoungProcessGoesByTheLongest(t *testing.T) {
	_, clock, again := restarts(t, 2)
	m := again()
	done(t, m.Seen(t.Context(), "early", clock.Add(10*time.Minute)))
	done(t, m.Seen(t.Context(), "late", clock.Add(time.Second)))
	*clock = clock.Add(-5 * time.Minute)
	again().takes("b", ErrReplayFull)
}

func TestReplayFile_IsNotWrittenAnewForWhatItRefuses(t *testing.T) {
	dir, clock, again := restarts(t, 20)
	m := again()
	m.fill("a", 20)
	*clock = clock.Add(6 * time.Minute)
	m.fill("b", 20)
	file := func() os.FileInfo {
		info, err := os.Stat(filepath.Join(dir, "replay"))
		done(t, err)
		return info
	}
	before := file()
	m.takes("c", ErrReplayFull)
	if !os.SameFile(before, file()) {
		t.Error("a full file was written anew")
	}
}

func TestReplayFile_RefusesAnOlderCopyOfItself(t *testing.T) {
	for name, since := range map[string]int{"of the same generation": 1, "of the one before": 300} {
		dir, clock, again := restarts(t, 20)
		m := again()
		doc, err := os.ReadFile(filepath.Join(dir, "replay"))
		done(t, err)
		for i := range since {
			m.takes(fmt.Sprint("a", i), nil)
			*clock = clock.Add(20 * time.Second)
		}
		done(t, os.WriteFile(filepath.Join(dir, "copy"), doc, 0o600))
		done(t, os.Rename(filepath.Join(dir, "copy"), filepath.Join(dir, "replay")))
		for range 2 {
			err := m.Seen(t.Context(), "new", clock.Add(time.Minute))
			if err == nil || errors.Is(err, ErrReplay) || !strings.Contains(err.Error(), "older copy") {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// Seconds that were forgotten become ranges; of too many ranges the oldest are made one, and none is lost.
func TestReplay_RefusesEveryForgottenSecond(t *testing.T) {
	inEach(t, 10, func(m memory) {
		start := *m.clock
		var seen []time.Duration
		see := func(at time.Duration) {
			*m.clock = start.Add(at)
			m.takes(at.String(), nil)
			seen = append(seen, at)
		}
		for i := range 150 { // apart, then one by one from behind, so that ranges meet
			see(time.Duration(i) * time.Hour)
			see(time.Duration(i)*time.Hour + 2*time.Second)
			see(time.Duration(i)*time.Hour + time.Second)
			see(time.Duration(i)*time.Hour + 4*time.Second)
		}
		for range 10 {
			see(200*time.Hour + time.Duration(len(seen))*time.Hour)
		}
		for _, at := range seen {
			*m.clock = start.Add(at)
			m.takes(at.String(), ErrReplay)
		}
		*m.clock = start.Add(149*time.Hour + 3*time.Second)
		m.takes("beside", nil)
		*m.clock = start.Add(148*time.Hour + 30*time.Minute)
		m.takes("between", nil)
	})
}
