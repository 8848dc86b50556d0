package wssec_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	. "gsigw/wssec"
)

// memory is what every Replay is tested as.
type memory struct {
	Replay
	t     testing.TB
	clock *time.Time
}

// takes sees an id of a message that is made now, and wants it taken or refused.
func (m memory) takes(id string, want error) {
	m.t.Helper()
	if err := m.Seen(m.t.Context(), id, m.clock.Add(5*time.Minute)); !errors.Is(err, want) || (err == nil) != (want == nil) {
		m.t.Errorf("%s at %s: %v, want %v", id, m.clock.Format(time.TimeOnly), err, want)
	}
}

// inEach runs a test with a memory of either kind, on a virtual clock.
func inEach(t *testing.T, entries int, test func(m memory)) {
	for _, kind := range []string{"cache", "file"} {
		t.Run(kind, func(t *testing.T) {
			clock := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
			now := func() time.Time { return clock }
			if kind == "cache" {
				test(memory{NewReplayCache(entries, now), t, &clock})
				return
			}
			test(memory{openReplay(t, t.TempDir()+"/state", entries, now), t, &clock})
		})
	}
}

func openReplay(t testing.TB, dir string, entries int, now func() time.Time) *ReplayFile {
	t.Helper()
	r, err := OpenReplayFile(dir, entries, now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func (m memory) fill(prefix string, n int) {
	m.t.Helper()
	for i := range n {
		m.takes(fmt.Sprint(prefix, i), nil)
	}
}

func TestReplay_RefusesWhatWasSeen(t *testing.T) {
	inEach(t, 100, func(m memory) {
		m.fill("a", 50)
		for i := range 50 {
			m.takes(fmt.Sprint("a", i), ErrReplay)
		}
		*m.clock = m.clock.Add(5 * time.Minute)
		m.takes("a0", ErrReplay)
	})
}

func TestReplay_FullMeansRefuse(t *testing.T) {
	inEach(t, 100, func(m memory) {
		m.fill("a", 100)
		m.takes("b", ErrReplayFull)
		m.takes("a0", ErrReplay)
		*m.clock = m.clock.Add(5 * time.Minute)
		m.takes("b", ErrReplayFull)
		*m.clock = m.clock.Add(2 * time.Second)
		m.fill("b", 100)
	})
}

func TestReplay_RefusesWhatIsOverBeforeItCame(t *testing.T) {
	inEach(t, 100, func(m memory) {
		if err := m.Seen(t.Context(), "a", m.clock.Add(-time.Nanosecond)); !errors.Is(err, ErrReplay) {
			t.Error(err)
		}
	})
}

// A clock goes forward by an hour, and back after a while: with the memory as good as empty, and with it so full that it
// forgets whatever it may.
func TestReplay_SurvivesAClockThatIsSetForwardAndBack(t *testing.T) {
	for _, step := range []time.Duration{time.Hour, 365 * 24 * time.Hour} {
		inEach(t, 100, func(m memory) {
			m.fill("a", 60)
			*m.clock = m.clock.Add(step)
			m.fill("b", 30)
			*m.clock = m.clock.Add(-step)
			for i := range 60 {
				m.takes(fmt.Sprint("a", i), ErrReplay)
			}
			m.takes("new", nil)
			m.takes("b0", ErrReplay)
			*m.clock = m.clock.Add(step)
			m.takes("b1", ErrReplay)
		})
		inEach(t, 100, func(m memory) {
			m.fill("a", 60)
			*m.clock = m.clock.Add(step)
			m.fill("b", 100) // only by forgetting
			*m.clock = m.clock.Add(-step)
			for i := range 60 {
				m.takes(fmt.Sprint("a", i), ErrReplay)
			}
			*m.clock = m.clock.Add(11 * time.Minute)
			m.fill("c", 100) // nothing is refused for ever
			*m.clock = m.clock.Add(step - 11*time.Minute)
			for i := range 100 {
				m.takes(fmt.Sprint("b", i), ErrReplay)
			}
		})
	}
}

func TestReplay_SurvivesAClockThatIsSetBackAndForward(t *testing.T) {
	inEach(t, 100, func(m memory) {
		m.fill("a", 40)
		*m.clock = m.clock.Add(-time.Hour)
		m.fill("b", 60)
		m.takes("c", ErrReplayFull)
		*m.clock = m.clock.Add(time.Hour)
		m.fill("c", 60) // of those an hour back the time is over
		for i := range 40 {
			m.takes(fmt.Sprint("a", i), ErrReplay)
		}
		*m.clock = m.clock.Add(-time.Hour)
		for i := range 60 {
			m.takes(fmt.Sprint("b", i), ErrReplay)
		}
	})
}

// Beside a monotonic clock, a time of day that is set forward makes nothing forgotten before its own time is over.
func TestReplayCache_HoldsByElapsedTime(t *testing.T) {
	clock := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	r := NewReplayCache(100, func() time.Time { return clock })
	m := memory{r, t, &clock}
	m.fill("a", 100)
	clock = clock.Add(time.Hour)
	r.Stepped(time.Hour)
	m.takes("b", ErrReplayFull)
	clock = clock.Add(4 * time.Minute)
	m.takes("b", ErrReplayFull)
	clock = clock.Add(time.Minute + time.Second)
	m.takes("b", ErrReplayFull) // it may have come at the end of its second
	clock = clock.Add(time.Second)
	m.fill("b", 100)
}

func BenchmarkReplayCache_Parallel(b *testing.B) {
	r := NewReplayCache(1<<30, nil)
	until := time.Now().Add(5 * time.Minute)
	var n atomic.Int64
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		worker := strconv.FormatInt(n.Add(1), 10) + ":"
		for i := 0; p.Next(); i++ {
			if err := r.Seen(context.Background(), worker+strconv.Itoa(i), until); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(r.Size())/float64(r.Len()), "bytes/id")
}

func TestReplay_TakesAnIDOnceAmongMany(t *testing.T) {
	inEach(t, 1000, func(m memory) {
		var taken atomic.Int64
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for i := range 200 {
					if m.Seen(t.Context(), fmt.Sprint(i), m.clock.Add(time.Minute)) == nil {
						taken.Add(1)
					}
				}
			})
		}
		all.Wait()
		if n := taken.Load(); n != 200 {
			t.Errorf("200 ids were taken %d times", n)
		}
	})
}
