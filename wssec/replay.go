package wssec

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"math"
	"sync"
	"time"
)

// Replay remembers what was seen. *ReplayCache is one in memory, *ReplayFile one that restarts and power cuts do not
// empty.
type Replay interface {
	// Seen records an id that must not be seen again before until. It fails with ErrReplay if it was seen before, and
	// with ErrReplayFull if it could only be remembered by forgetting another. Any error refuses the message.
	Seen(ctx context.Context, id string, until time.Time) error
}

// The refusals of a Replay.
var (
	ErrReplay     = errors.New("wssec: the message was seen before")
	ErrReplayFull = errors.New("wssec: the replay memory is full; raise its entries")
)

// ReplayCache is a Replay in memory: some 35 bytes for an id, and never more than so many ids. Full means refuse.
//
// It forgets an id only when two things hold: the id was held for as long as its message could have been taken by a
// clock that does not step, and the clock says now that the message can not be taken. So a clock that is set forward
// and back again finds everything still remembered. What is forgotten leaves its time behind: a clock set back to a
// time whose ids are gone has the messages of just that time refused, until it has passed through it again.
//
// Elapsed time is read from the clock's monotonic reading where it has one, as time.Now has. Of a clock without one, such
// as a virtual clock, every move forward counts as time that went by, and no move back does.
type ReplayCache struct {
	hash idHasher

	mu    sync.Mutex
	clock replayClock
	ids   replayTable
}

const defaultReplayEntries = 500_000

// NewReplayCache makes a cache for so many ids [500,000 where entries is 0]; now may be nil for time.Now.
func NewReplayCache(entries int, now func() time.Time) *ReplayCache {
	r := &ReplayCache{clock: replayClock{now: now}, ids: newReplayTable(entries)}
	rand.Read(r.hash[:])
	return r
}

// Seen implements Replay.
func (r *ReplayCache) Seen(_ context.Context, id string, until time.Time) error {
	key := r.hash.of(id)
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ids.remember(key, until, r.clock.read())
}

// Len is the number of ids that may not be forgotten yet. It looks at each.
func (r *ReplayCache) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ids.live(r.clock.read())
}

// Size is the number of bytes that the ids take.
func (r *ReplayCache) Size() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ids.size()
}

// hashedID stands for an id: a peer does not choose how much memory its ids take.
type hashedID [16]byte

// idHasher is the secret that ids are hashed with: without it nobody finds two ids of one hash, or many for one place.
type idHasher [32]byte

func (h *idHasher) of(id string) hashedID {
	var short [32 + 128]byte
	sum := sha256.Sum256(append(append(short[:0], h[:]...), id...))
	return hashedID(sum[:16])
}

// replayClock reads wall and elapsed time.
type replayClock struct {
	now     func() time.Time
	last    time.Time
	elapsed time.Duration
}

// replayTime is one reading: the time of day, and in whole seconds the time of day and what went by since the start.
type replayTime struct {
	at           time.Time
	wall, steady uint32
}

func (c *replayClock) read() replayTime {
	if c.now == nil {
		c.now = time.Now
	}
	at := c.now()
	if !c.last.IsZero() {
		c.elapsed += max(0, at.Sub(c.last))
	}
	c.last = at
	return replayTime{at, seconds(at), uint32(min(c.elapsed/time.Second, math.MaxUint32))}
}

// seconds is a time in whole seconds since 1970, down; it stops in the year 2106.
func seconds(t time.Time) uint32 { return uint32(min(max(t.Unix(), 0), math.MaxUint32)) }

// wholeSecond is when an id need not be held any more, up: rather too long. It is never 0.
func wholeSecond(until time.Time) uint32 { return max(1, seconds(until.Add(time.Second-1))) }
