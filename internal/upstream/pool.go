package upstream

import (
	"slices"
	"sync"
	"time"
)

// pool keeps idle connections, oldest first. There are few, so one list serves for finding and for forgetting.
type pool struct {
	max, perKey int
	timeout     time.Duration

	mu         sync.Mutex
	idle       []*conn
	generation int // a connection of an earlier one takes no further call
}

func (p *pool) now() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.generation
}

// take returns an idle connection for exactly this key, or nil. What turns out stale on the way is closed.
func (p *pool) take(k key, now time.Time) *conn {
	for {
		cn := p.pop(k)
		if cn == nil {
			return nil
		}
		if cn.timer.Stop() && now.Before(cn.expires) && cn.quiet() {
			return cn
		}
		cn.bye()
	}
}

func (p *pool) pop(k key) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, cn := range slices.Backward(p.idle) {
		if cn.key == k {
			p.idle = slices.Delete(p.idle, i, i+1)
			return cn
		}
	}
	return nil
}

// put keeps a connection for the next call, or closes it.
func (p *pool) put(cn *conn) {
	for _, old := range p.add(cn) {
		old.timer.Stop()
		old.bye()
	}
}

// add returns the connections that had to go.
func (p *pool) add(cn *conn) (out []*conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	cn.timer = time.AfterFunc(p.timeout, func() { p.drop(cn) })
	if cn.generation != p.generation {
		return []*conn{cn}
	}
	p.idle = append(p.idle, cn)
	same := func(c *conn) bool { return c.key == cn.key }
	if p.count(same) > p.perKey {
		out = p.removeOldest(out, same)
	}
	if len(p.idle) > p.max {
		out = p.removeOldest(out, func(*conn) bool { return true })
	}
	return out
}

func (p *pool) count(match func(*conn) bool) (n int) {
	for _, cn := range p.idle {
		if match(cn) {
			n++
		}
	}
	return n
}

func (p *pool) removeOldest(out []*conn, match func(*conn) bool) []*conn {
	i := slices.IndexFunc(p.idle, match)
	out = append(out, p.idle[i])
	p.idle = slices.Delete(p.idle, i, i+1)
	return out
}

// drop closes a connection that was idle for too long, unless a call has just taken it.
func (p *pool) drop(cn *conn) {
	p.mu.Lock()
	i := slices.Index(p.idle, cn)
	if i >= 0 {
		p.idle = slices.Delete(p.idle, i, i+1)
	}
	p.mu.Unlock()
	if i >= 0 {
		cn.bye()
	}
}

func (p *pool) reset() {
	p.mu.Lock()
	idle := p.idle
	p.idle = nil
	p.generation++
	p.mu.Unlock()
	for _, cn := range idle {
		cn.timer.Stop()
		cn.bye()
	}
}
