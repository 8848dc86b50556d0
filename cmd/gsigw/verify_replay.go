package main

import (
	"context"
	"errors"
	"time"

	"gsigw/wssec"
)

// replayState is the memory of --replay-state. A message is remembered at last, when nothing else can refuse it: until
// then what the verifier wants to have remembered is kept here.
type replayState struct {
	file  *wssec.ReplayFile // nil: none
	id    string
	until time.Time
}

// openReplayState opens the memory. As of another time than the present nothing is forgotten in it: whatever the flag
// says, what is over then may not be over for the next call.
func (f *verifyFlags) openReplayState() (*replayState, error) {
	if f.replayState == "" {
		return &replayState{}, nil
	}
	file, err := wssec.OpenReplayFile(f.replayState, 0, f.at.now)
	if err != nil {
		return nil, err
	}
	file.KeepAll = !f.at.IsZero()
	return &replayState{file: file}, nil
}

// Seen implements wssec.Replay.
func (r *replayState) Seen(_ context.Context, id string, until time.Time) error {
	r.id, r.until = id, until
	return nil
}

// remember refuses what was seen before.
func (r *replayState) remember(ctx context.Context) error {
	if r.file == nil {
		return nil
	}
	if r.id == "" {
		return errors.New("the verifier did not look for replays")
	}
	if err := r.file.Seen(ctx, r.id, r.until); err != nil {
		return &wssec.Error{Class: wssec.ClassReplay, Msg: "the message is refused", Err: err}
	}
	return nil
}

func (r *replayState) close() error {
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}
