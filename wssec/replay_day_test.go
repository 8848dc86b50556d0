package wssec_test

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"strconv"
	"testing"
	"time"

	. "gsigw/wssec"
)

// replayDay is a day of messages on a virtual clock: each is made a little off the present, as clocks are, and old ones
// are tried again, on both sides of the end of their time.
type replayDay struct {
	t       testing.TB
	cache   *ReplayCache
	clock   time.Time
	rate    int // messages a second
	sent    int
	probes  int
	refused int // new messages that were refused
	taken   int // replays within their time that were taken
	most    int // bytes
}

const (
	daySkew = 5 * time.Minute // Verifier.Skew
	dayLag  = 10 * time.Second
)

// run takes so much virtual time.
func (d *replayDay) run(span time.Duration) {
	d.clock = time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	d.cache = NewReplayCache(d.rate*int((daySkew+2*dayLag)/time.Second)*5/4, func() time.Time { return d.clock })
	random := rand.New(rand.NewPCG(1, 2))
	start, tick := d.clock, time.Second/time.Duration(d.rate)
	for d.clock.Before(start.Add(span)) {
		d.see(d.sent)
		d.sent++
		if random.IntN(8) == 0 {
			d.probe(d.sent - 1 - random.IntN(min(d.sent, d.rate*int(2*daySkew/time.Second))))
		}
		if d.sent%(10*d.rate) == 0 {
			d.most = max(d.most, d.cache.Size())
		}
		d.clock = d.clock.Add(tick)
	}
}

// created is when the i-th message says that it was made.
func (d *replayDay) created(i int) time.Time {
	sent := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC).Add(time.Duration(i) * (time.Second / time.Duration(d.rate)))
	return sent.Add(time.Duration(i*7919%20001-10000) * dayLag / 10000)
}

func (d *replayDay) id(i int) string { return "uuid:" + strconv.Itoa(i) }

func (d *replayDay) see(i int) {
	if d.cache.Seen(d.t.Context(), d.id(i), d.created(i).Add(daySkew)) != nil {
		d.refused++
	}
}

// probe plays a message back, whose time may be over by now.
func (d *replayDay) probe(i int) {
	d.probes++
	if err := d.cache.Seen(d.t.Context(), d.id(i), d.created(i).Add(daySkew)); !errors.Is(err, ErrReplay) {
		d.taken++
	}
}

func (d *replayDay) check() {
	d.t.Helper()
	if d.taken > 0 || d.refused > 0 {
		d.t.Errorf("of %d replays %d were taken, and of %d messages %d refused", d.probes, d.taken, d.sent, d.refused)
	}
}

func TestReplayCache_HoldsTheWindowAtARate(t *testing.T) {
	d := &replayDay{t: t, rate: 100}
	d.run(time.Hour)
	d.check()
	if d.probes < 10_000 {
		t.Errorf("only %d replays were tried", d.probes)
	}
	if least := d.rate * int(daySkew/time.Second) * 24; d.most > 3*least {
		t.Errorf("%d bytes, where %d would do", d.most, least)
	}
}

// BenchmarkReplay24h is a day at 1,000 messages a second.
func BenchmarkReplay24h(b *testing.B) {
	for b.Loop() {
		d := &replayDay{t: b, rate: 1000}
		before := heap()
		d.run(24 * time.Hour)
		d.check()
		b.ReportMetric(float64(d.sent), "messages")
		b.ReportMetric(float64(d.probes), "replays")
		b.ReportMetric(float64(d.taken), "accepted-replays")
		b.ReportMetric(float64(d.refused), "wrongly-refused")
		b.ReportMetric(float64(d.cache.Len()), "entries")
		b.ReportMetric(float64(d.most), "bytes-most")
		b.ReportMetric(float64(heap()-before), "heap-bytes")
		runtime.KeepAlive(d)
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
