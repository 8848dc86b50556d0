package gsi

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"sync"
)

// KeyType is a kind of key to make.
type KeyType int

// The keys that NewProxy makes. Stock GT4 takes RSA only.
const (
	RSA KeyType = iota
	P256
)

func newKey(t KeyType, bits int) (crypto.Signer, error) {
	switch {
	case t == RSA:
		return newRSAKey(bits)
	case t == P256 && bits != 0 && bits != 256:
		return nil, fmt.Errorf("gsi: a P-256 key has 256 bits, not %d", bits)
	case t == P256:
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		return signer(key, err)
	}
	return nil, fmt.Errorf("gsi: no key type %d", t)
}

func newRSAKey(bits int) (crypto.Signer, error) {
	if bits == 0 {
		bits = 2048
	}
	if err := checkBits(bits); err != nil {
		return nil, fmt.Errorf("gsi: %w", err)
	}
	key, err := rsa.GenerateKey(rand.Reader, bits)
	return signer(key, err)
}

func signer(key crypto.Signer, err error) (crypto.Signer, error) {
	if err != nil {
		return nil, fmt.Errorf("gsi: make a key: %w", err)
	}
	return key, nil
}

func checkBits(bits int) error {
	if bits < 1024 || bits > 8192 {
		return fmt.Errorf("an RSA key of %d bits; 1024 to 8192 are taken", bits)
	}
	return nil
}

// KeyPool makes RSA keys ahead, so that a delegation need not wait for one:
//
//	pool := gsi.NewKeyPool(8, 2048)
//	go pool.Run(ctx)
//	key, err := pool.Key(ctx)
//	proxy, err := gsi.NewProxy(cred, gsi.Limits{Key: key})
//
// It is safe for concurrent use, and gives no key twice.
type KeyPool struct {
	bits int
	keys chan crypto.Signer

	mu      sync.Mutex
	running int
	idle    chan struct{} // closed while nobody runs the pool
}

// NewKeyPool returns an empty pool that holds up to size keys (at least one) of
// so many bits: 1024 to 8192, 0 means 2048.
func NewKeyPool(size, bits int) *KeyPool {
	idle := make(chan struct{})
	close(idle)
	// One more key is in the hand of Run, waiting for its place.
	return &KeyPool{bits: bits, keys: make(chan crypto.Signer, max(size-1, 0)), idle: idle}
}

// Run fills the pool, and fills it again as keys are taken, until ctx is done;
// then it returns nil. Several may run at once, to make keys on several CPUs.
func (p *KeyPool) Run(ctx context.Context) error {
	p.enter()
	defer p.leave()
	for ctx.Err() == nil {
		key, err := newRSAKey(p.bits)
		if err != nil {
			return err
		}
		select {
		case p.keys <- key:
		case <-ctx.Done():
		}
	}
	return nil
}

func (p *KeyPool) enter() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running == 0 {
		p.idle = make(chan struct{})
	}
	p.running++
}

func (p *KeyPool) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running--; p.running == 0 {
		close(p.idle)
	}
}

func (p *KeyPool) nobodyRuns() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.idle
}

// Key takes a key out of the pool. When there is none it waits for the next, or
// makes one itself if nobody runs the pool.
func (p *KeyPool) Key(ctx context.Context) (crypto.Signer, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	select {
	case key := <-p.keys:
		return key, nil
	default:
	}
	select {
	case key := <-p.keys:
		return key, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-p.nobodyRuns():
		return newRSAKey(p.bits)
	}
}
