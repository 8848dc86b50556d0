package daemon

import (
	"gsigw/internal/config"
	"gsigw/soap/spool"
)

func poolOf(c config.Spool) *spool.Pool {
	return &spool.Pool{Dir: string(c.Dir), Threshold: int64(c.Threshold), Memory: int64(c.Memory)}
}

// spool looks whether large messages have a place to lie. Small ones need none, so the gateway runs without.
func (w *wiring) spool() {
	pool := poolOf(w.config.Spool)
	if err := pool.Check(); err != nil {
		w.warn("messages larger than spool.threshold will be refused: %v", err)
	} else if spool.InMemory(pool.Directory()) {
		w.warn("the spool's directory, %s, lies in memory, which large messages will fill: name one on a disk under spool.dir", pool.Directory())
	}
}
