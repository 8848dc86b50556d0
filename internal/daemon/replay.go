package daemon

import (
	"fmt"

	"gsigw/wssec"
)

// openReplay makes the memory of what was seen: on disk where the config names a directory.
func (d *Daemon) openReplay() (wssec.Replay, error) {
	c := d.started.Replay
	if c.State == "" {
		return wssec.NewReplayCache(c.Entries, d.now), nil
	}
	r, err := wssec.OpenReplayFile(string(c.State), c.Entries, d.now)
	if err != nil {
		return nil, fmt.Errorf("replay.state: %w", err)
	}
	d.replay = r
	return r, nil
}

func (d *Daemon) closeReplay() error {
	if d.replay == nil {
		return nil
	}
	return d.replay.Close()
}
