package wssec

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"time"
	"unsafe"
)

// replayTable is a set of ids with the times until which they must be held. Go's maps never shrink and take four times
// the room; this one is cut into pages, each an open-addressing table that grows and shrinks by itself, so that no call
// waits while all of it moves.
type replayTable struct {
	entries   int // the most
	sweepAt   int // how many there are before something is forgotten
	least     int // sweepAt is never less
	count     int
	longest   uint32     // the most seconds for which an id had to be held when it was seen
	swept     replayTime // when something was last forgotten
	forgotten spans
	pages     [256]page
}

// page is an open-addressing table with linear probing.
type page struct {
	slots []slot
	used  int
}

// slot is one id; one that is free has no until.
type slot struct {
	key   hashedID
	until uint32 // wall time, in seconds
	held  uint32 // elapsed time; 0 where wall time alone decides
}

func newReplayTable(entries int) replayTable {
	if entries <= 0 {
		entries = defaultReplayEntries
	}
	least := min(4096, entries)
	return replayTable{entries: entries, least: least, sweepAt: least}
}

// remember is Replay.Seen.
func (t *replayTable) remember(key hashedID, until time.Time, now replayTime) error {
	if t.wasSeen(key, until, now) {
		return ErrReplay
	}
	if t.count >= t.sweepAt {
		t.sweep(now)
	}
	if t.count >= t.entries {
		return ErrReplayFull
	}
	t.put(key, wholeSecond(until), now)
	return nil
}

// wasSeen reports also what could have been seen and forgotten, or would be forgotten at once and could come again.
func (t *replayTable) wasSeen(key hashedID, until time.Time, now replayTime) bool {
	return t.has(key) || until.Before(now.at) || t.forgotten.has(wholeSecond(until))
}

func (t *replayTable) has(key hashedID) bool { return t.page(key).has(key) }

// put adds an id that is not there, and is seen now.
func (t *replayTable) put(key hashedID, until uint32, now replayTime) {
	t.add(slot{key, until, now.steady + 2 + until - min(now.wall, until)}, now.wall)
}

// add adds an id that is not there, and was seen at a time of day.
func (t *replayTable) add(s slot, seen uint32) {
	t.longest = max(t.longest, s.until-min(seen, s.until))
	t.page(s.key).put(s)
	t.count++
}

// expired reports whether an id may be forgotten: it was held for as long as it had to be, and its message cannot be
// taken now, being too old or, after a clock was set back, too new. It is too new by twice the longest, for it can be
// taken as long before the time that it says as after it.
func (t *replayTable) expired(s *slot, now replayTime) bool {
	return now.steady >= s.held && (s.until < now.wall || (s.until-now.wall)/2 > t.longest)
}

// sweep forgets what may be forgotten. Nothing comes of a second one within the same second.
func (t *replayTable) sweep(now replayTime) {
	if now.wall == t.swept.wall && now.steady == t.swept.steady && t.count >= t.entries {
		return
	}
	t.swept = now
	var kept []slot
	for i := range t.pages {
		p := &t.pages[i]
		kept = kept[:0]
		for j := range p.slots {
			switch s := &p.slots[j]; {
			case s.until == 0:
			case t.expired(s, now):
				t.forgotten.add(s.until)
			default:
				kept = append(kept, *s)
			}
		}
		t.count -= p.used - len(kept)
		if len(kept) < p.used {
			p.fill(kept)
		}
	}
	t.sweepAt = min(t.entries, max(t.least, 2*t.count))
}

func (t *replayTable) live(now replayTime) (n int) {
	for s := range t.all {
		if !t.expired(s, now) {
			n++
		}
	}
	return n
}

// all gives every id there is.
func (t *replayTable) all(yield func(*slot) bool) {
	for i := range t.pages {
		for j := range t.pages[i].slots {
			if s := &t.pages[i].slots[j]; s.until != 0 && !yield(s) {
				return
			}
		}
	}
}

func (t *replayTable) size() (n int) {
	for i := range t.pages {
		n += cap(t.pages[i].slots) * int(unsafe.Sizeof(slot{}))
	}
	return n + int(unsafe.Sizeof(*t))
}

func (t *replayTable) page(key hashedID) *page { return &t.pages[key[15]] }

// find gives the place of a key: its own, or the free one where it would go.
func (p *page) find(key hashedID) *slot {
	place, _ := bits.Mul64(binary.BigEndian.Uint64(key[:]), uint64(len(p.slots)))
	for {
		s := &p.slots[place]
		if s.until == 0 || s.key == key {
			return s
		}
		if place++; place == uint64(len(p.slots)) {
			place = 0
		}
	}
}

func (p *page) has(key hashedID) bool { return p.used > 0 && p.find(key).until != 0 }

func (p *page) put(s slot) {
	if p.used+1 > len(p.slots)-len(p.slots)/8-1 {
		p.fill(slices.DeleteFunc(slices.Clone(p.slots), func(s slot) bool { return s.until == 0 }))
	}
	*p.find(s.key) = s
	p.used++
}

// fill makes a table of just these ids, with room for a third more.
func (p *page) fill(ids []slot) {
	p.slots, p.used = make([]slot, 8+len(ids)+len(ids)/2), len(ids)
	for _, s := range ids {
		*p.find(s.key) = s
	}
}

// spans are ranges of seconds, in order.
type spans []span

type span struct{ First, Last uint32 }

const maxSpans = 64

func (s spans) has(at uint32) bool {
	i, found := s.search(at)
	return found || i < len(s) && s[i].First <= at
}

// search finds the first span that ends at or after a second.
func (s spans) search(at uint32) (int, bool) {
	return slices.BinarySearchFunc(s, at, func(s span, at uint32) int { return int(int64(s.Last) - int64(at)) })
}

// add puts a second in. Where there are too many ranges, the two oldest become one.
func (s *spans) add(at uint32) {
	i, _ := s.search(at)
	switch before := i > 0 && (*s)[i-1].Last+1 == at; {
	case s.has(at):
	case before && i < len(*s) && (*s)[i].First == at+1:
		(*s)[i-1].Last = (*s)[i].Last
		*s = slices.Delete(*s, i, i+1)
	case before:
		(*s)[i-1].Last = at
	case i < len(*s) && (*s)[i].First == at+1:
		(*s)[i].First = at
	default:
		*s = slices.Insert(*s, i, span{at, at})
	}
	if len(*s) > maxSpans {
		(*s)[1].First = (*s)[0].First
		*s = slices.Delete(*s, 0, 1)
	}
}
