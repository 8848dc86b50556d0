package wssec

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
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
// It forgets only where there is no other room. What this process took goes by the rule of ReplayCache. What it read,
// because another process took it or an earlier one, goes by the time of day alone: once it is over, or where it is
// further ahead than a message can be. For how long it was held nobody knows, and a young process that waited for that
// would never forget. The seconds of what is forgotten stay in the file, and their messages are refused by whoever opens
// it. So a process that starts while the clock is wrong may forget what can still come, but that comes in vain: when the
// clock is right again, all messages of just those seconds are refused, new ones too. This rests on until: processes that
// share a memory must give one message the same, and so have the same skew.
//
// Where the disk is full, what cannot be written is refused, and goes on being refused by the process that tried; with
// room again, the next is taken. After a write that the disk did not confirm all is refused until it is opened again.
//
// Each file that is written anew has a higher generation: an older copy that is put back while a process runs is noticed,
// and everything refused. One that is put back while none runs is not.
type ReplayFile struct {
	// KeepAll forgets nothing, and refuses when the file is full: for a clock that shows another time than the present,
	// at which what is over may not be over. Set it before the first Seen.
	KeepAll bool

	dir     string
	hash    idHasher
	lead    chan struct{} // whoever puts something in commits for all that wait
	mu      sync.Mutex
	waiting list.List // of *sighting

	// For the leader alone.
	clock replayClock
	log   replayLog
	ids   replayTable
}

// sighting is an id that waits for its answer.
type sighting struct {
	key    hashedID
	until  time.Time
	answer chan error
}

// OpenReplayFile opens the memory in a directory, or makes it, for so many ids [500,000 where entries is 0]; now may
// be nil for time.Now. It fails where others than the owner have access, and where the file is damaged.
func OpenReplayFile(dir string, entries int, now func() time.Time) (*ReplayFile, error) {
	r := &ReplayFile{dir: dir, lead: make(chan struct{}, 1), clock: replayClock{now: now}, ids: lazyReplayTable(entries)}
	r.log.disk = replayDisk{(*os.File).WriteAt, (*os.File).Sync}
	if err := r.log.open(dir); err != nil {
		return nil, r.wrap(err)
	}
	unlock, err := r.lock(context.Background())
	if err == nil {
		err = r.wrap(r.catchUp())
		unlock()
	}
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	r.hash = r.log.hash
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

// Seen implements Replay. Where ctx ends early, the id counts as seen if it was being written, and is dropped if not.
func (r *ReplayFile) Seen(ctx context.Context, id string, until time.Time) error {
	s := &sighting{r.hash.of(id), until, make(chan error, 1)}
	defer r.leave(r.enter(s))
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

// enter lets a sighting wait for the next write.
func (r *ReplayFile) enter(s *sighting) *list.Element {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.waiting.PushBack(s)
}

// leave drops a sighting, unless it is in a write.
func (r *ReplayFile) leave(s *list.Element) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting.Remove(s)
}

// batch gives those that waited longest, as many as one write takes.
func (r *ReplayFile) batch() (batch []*sighting) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(batch) < replayBatch && r.waiting.Len() > 0 {
		batch = append(batch, r.waiting.Remove(r.waiting.Front()).(*sighting))
	}
	return batch
}

// commit answers those that wait, as many as one write takes. Where its own ctx ends while another process has the file,
// it leaves them to the next.
func (r *ReplayFile) commit(ctx context.Context) {
	unlock, err := r.lock(ctx)
	if err != nil && ctx.Err() != nil {
		return
	}
	batch := r.batch()
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
func (r *ReplayFile) catchUp() error {
	fresh, anew, err := r.log.read()
	if anew {
		r.ids = lazyReplayTable(r.ids.entries)
		r.ids.forgotten = slices.Clone(r.log.forgotten)
	}
	for _, f := range fresh {
		if !r.ids.has(f.key) { // which it has where it could not write it, and then another process did
			r.ids.add(slot{key: f.key, until: f.until}, f.seen)
		}
	}
	return err
}

// decide writes down what was not seen before, by this process or another.
func (r *ReplayFile) decide(batch []*sighting, answers []error) error {
	now := r.clock.read()
	if err := r.catchUp(); err != nil {
		return err
	}
	if err := r.makeRoom(len(batch), now); err != nil {
		return err
	}
	var fresh []replayRecord
	for i, s := range batch {
		if answers[i] = r.remember(s.key, s.until, now); answers[i] == nil {
			fresh = append(fresh, replayRecord{s.key, now.wall, wholeSecond(s.until)})
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
		records = append(records, replayRecord{s.key, s.until - min(r.ids.longest, s.until), s.until})
	}
	return r.log.rewrite(records, r.ids.forgotten)
}
