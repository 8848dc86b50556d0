package wssec

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// ReplayFile is a Replay that outlives its process: what it took is on the disk before it answers, whatever is killed or
// switched off then. Processes on one machine share it, and ids that come at the same time share a write.
//
//	r, err := wssec.OpenReplayFile("/var/lib/gsigw/replay", 0, nil)
//	...
//	defer r.Close()
//
// In its directory (mode 0700) lies the file replay (0600): 32 bytes for an id, which is hashed with a secret of the
// file's own. It holds twice the entries at most; then it is written anew with those that must still be held. What a
// crash left half written at its end is repaired. A file that is damaged elsewhere is refused, and every message with it.
//
// It forgets by the rule of ReplayCache, and only where there is no other room.
type ReplayFile struct {
	// KeepAll forgets nothing, and refuses when the file is full: for a clock that shows another time than the present,
	// at which what is over may not be over. Set it before the first Seen.
	KeepAll bool

	dir     string
	lead    chan struct{} // whoever puts something in commits for all that wait
	mu      sync.Mutex
	waiting []*sighting

	// For the leader alone.
	clock replayClock
	log   replayLog
	ids   replayTable
}

// sighting is an id that waits for its answer.
type sighting struct {
	id     string
	until  time.Time
	answer chan error
}

// OpenReplayFile opens the memory in a directory, or makes it, for so many ids [500,000 where entries is 0]; now may
// be nil for time.Now. It fails where others than the owner have access, and where the file is damaged.
func OpenReplayFile(dir string, entries int, now func() time.Time) (*ReplayFile, error) {
	r := &ReplayFile{dir: dir, lead: make(chan struct{}, 1), clock: replayClock{now: now}, ids: lazyReplayTable(entries)}
	if err := r.log.open(dir); err != nil {
		return nil, r.wrap(err)
	}
	unlock, err := r.lock(context.Background())
	if err == nil {
		err = r.wrap(r.catchUp(r.clock.read()))
		unlock()
	}
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// lazyReplayTable forgets only when it is full.
func lazyReplayTable(entries int) replayTable {
	t := newReplayTable(entries)
	t.least, t.sweepAt = t.entries, t.entries
	return t
}

// Close gives the files up. No Seen may be under way.
func (r *ReplayFile) Close() error { return r.log.close() }

// Seen implements Replay. Where ctx ends early, the id counts as seen or does not.
func (r *ReplayFile) Seen(ctx context.Context, id string, until time.Time) error {
	s := &sighting{id, until, make(chan error, 1)}
	r.mu.Lock()
	r.waiting = append(r.waiting, s)
	r.mu.Unlock()
	for {
		select {
		case err := <-s.answer:
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		case r.lead <- struct{}{}:
			r.commit(ctx)
			<-r.lead
		}
	}
}

// commit answers those that wait, as many as one write takes. Where its own ctx ends while another process has the file,
// it leaves them to the next.
func (r *ReplayFile) commit(ctx context.Context) {
	unlock, err := r.lock(ctx)
	if err != nil && ctx.Err() != nil {
		return
	}
	r.mu.Lock()
	batch := r.waiting[:min(len(r.waiting), replayBatch)]
	r.waiting = r.waiting[len(batch):]
	r.mu.Unlock()
	answers := make([]error, len(batch))
	if err == nil {
		err = r.wrap(r.decide(batch, answers))
		unlock()
	}
	for i, s := range batch {
		if answers[i] == nil {
			answers[i] = err
		}
		s.answer <- answers[i]
	}
}

// lock keeps other processes out.
func (r *ReplayFile) lock(ctx context.Context) (unlock func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, replayLockTime)
	defer cancel()
	unlock, err = r.log.lock(ctx)
	return unlock, r.wrap(err)
}

// replayLockTime is how long other processes may take for theirs; one write takes milliseconds.
const replayLockTime = 10 * time.Second

func (r *ReplayFile) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("wssec: the replay memory in %s: %w", r.dir, err)
}

// catchUp takes in what other processes wrote.
func (r *ReplayFile) catchUp(now replayTime) error {
	fresh, anew, err := r.log.read()
	if err != nil {
		return err
	}
	if anew {
		r.ids = lazyReplayTable(r.ids.entries)
		r.ids.forgotten = append(r.ids.forgotten, r.log.forgotten...)
	}
	for _, f := range fresh {
		if !r.ids.has(f.key) {
			r.ids.put(f.key, f.until, now)
		}
	}
	return nil
}

// decide writes down what was not seen before, by this process or another.
func (r *ReplayFile) decide(batch []*sighting, answers []error) error {
	now := r.clock.read()
	if err := r.catchUp(now); err != nil {
		return err
	}
	if err := r.makeRoom(len(batch), now); err != nil {
		return err
	}
	var fresh []replayRecord
	for i, s := range batch {
		key := r.log.hash.of(s.id)
		if answers[i] = r.remember(key, s.until, now); answers[i] == nil {
			fresh = append(fresh, replayRecord{key, wholeSecond(s.until)})
		}
	}
	return r.log.append(fresh)
}

func (r *ReplayFile) remember(key hashedID, until time.Time, now replayTime) error {
	if !r.KeepAll {
		return r.ids.remember(key, until, now)
	}
	if r.ids.wasSeen(key, until, now) {
		return ErrReplay
	}
	if r.ids.count >= 2*r.ids.entries {
		return ErrReplayFull
	}
	r.ids.put(key, wholeSecond(until), now)
	return nil
}

// makeRoom writes the file anew where it has no room for so many.
func (r *ReplayFile) makeRoom(n int, now replayTime) error {
	if r.KeepAll || r.log.records+n <= 2*r.ids.entries {
		return nil
	}
	r.ids.sweep(now)
	if r.ids.count >= r.ids.entries {
		return nil // they are refused as it is
	}
	records := make([]replayRecord, 0, r.ids.count)
	for s := range r.ids.all {
		records = append(records, replayRecord{s.key, s.until})
	}
	return r.log.rewrite(records, r.ids.forgotten)
}
