package wssec

import (
	"container/heap"
	"context"
	"crypto/sha256"
	"errors"
	"sync"
	"time"
)

// Replay remembers what was seen.
type Replay interface {
	// Seen records an id that must not be seen again before until. It fails with ErrReplay if it was seen before, and
	// with ErrReplayFull if it could only be remembered by forgetting another.
	Seen(ctx context.Context, id string, until time.Time) error
}

// The refusals of a Replay.
var (
	ErrReplay     = errors.New("wssec: the message was seen before")
	ErrReplayFull = errors.New("wssec: the replay memory is full; raise its entries")
)

// ReplayCache is a Replay in memory. It never forgets an id before its time, not even when it is full, and it holds
// its memory to a number of entries: full means refuse.
type ReplayCache struct {
	now     func() time.Time
	entries int

	mu     sync.Mutex
	latest time.Time // the clock never runs back: an id forgotten is one whose time was over
	seen   map[idHash]struct{}
	expiry expiries
}

// NewReplayCache makes a cache for so many ids [500,000 where entries is 0]; now may be nil for time.Now.
func NewReplayCache(entries int, now func() time.Time) *ReplayCache {
	if entries <= 0 {
		entries = 500_000
	}
	if now == nil {
		now = time.Now
	}
	return &ReplayCache{now: now, entries: entries, seen: map[idHash]struct{}{}}
}

// Seen implements Replay.
func (r *ReplayCache) Seen(_ context.Context, id string, until time.Time) error {
	key := idHash(sha256.Sum256([]byte(id)))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget()
	if _, ok := r.seen[key]; ok {
		return ErrReplay
	}
	if until.Before(r.latest) {
		// Its time was over before it came: it would be forgotten at once and could come again.
		return ErrReplay
	}
	if len(r.seen) >= r.entries {
		return ErrReplayFull
	}
	r.seen[key] = struct{}{}
	heap.Push(&r.expiry, expiry{until, key})
	return nil
}

// Len is the number of ids remembered.
func (r *ReplayCache) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.seen)
}

func (r *ReplayCache) forget() {
	if now := r.now(); now.After(r.latest) {
		r.latest = now
	}
	for len(r.expiry) > 0 && r.expiry[0].until.Before(r.latest) {
		delete(r.seen, heap.Pop(&r.expiry).(expiry).id)
	}
}

type expiry struct {
	until time.Time
	id    idHash
}

// idHash stands for an id: a peer does not choose how much memory its ids take.
type idHash [sha256.Size]byte

// expiries is a heap, earliest first.
type expiries []expiry

func (e expiries) Len() int           { return len(e) }
func (e expiries) Less(i, j int) bool { return e[i].until.Before(e[j].until) }
func (e expiries) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *expiries) Push(x any)        { *e = append(*e, x.(expiry)) }
func (e *expiries) Pop() any {
	old := *e
	last := old[len(old)-1]
	*e = old[:len(old)-1]
	return last
}
