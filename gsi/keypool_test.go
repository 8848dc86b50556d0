package gsi

import (
	"context"
	"crypto"
	"crypto/rsa"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
)

func TestKeyPool_GivesNoKeyTwice(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	pool := NewKeyPool(4, 1024)
	var runs, takers sync.WaitGroup
	for range 2 {
		runs.Go(func() { pool.Run(ctx) })
	}
	var mu sync.Mutex
	seen := map[string]bool{}
	for range 4 {
		takers.Go(func() {
			for range 5 {
				key, err := pool.Key(ctx)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				seen[key.Public().(*rsa.PublicKey).N.String()] = true
				mu.Unlock()
			}
		})
	}
	takers.Wait()
	cancel()
	runs.Wait()
	if len(seen) != 20 {
		t.Errorf("20 keys taken, %d different ones", len(seen))
	}
}

func TestKeyPool_HoldsItsSizeAndMakesMoreAsTheyAreTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		pool := NewKeyPool(2, 1024)
		done := make(chan error)
		go func() { done <- pool.Run(ctx) }()
		for range 3 {
			synctest.Wait()                  // Run has nothing left to do
			if n := len(pool.keys); n != 1 { // and one in the hand of Run
				t.Errorf("holds %d keys", n)
			}
			if _, err := pool.Key(ctx); err != nil {
				t.Error(err)
			}
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestKeyPool_NobodyWaitsForAPoolThatNobodyRuns(t *testing.T) {
	pool := NewKeyPool(1, 0)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := pool.Run(ctx); err != nil {
		t.Error(err)
	}
	if key, err := pool.Key(t.Context()); err != nil || key.Public().(*rsa.PublicKey).N.BitLen() != 2048 {
		t.Error(err)
	}
}

func TestKeyPool_StopsWaitingWithTheContext(t *testing.T) {
	pool := NewKeyPool(1, 0)
	cause := errors.New("the request is over")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if key, err := pool.Key(ctx); !errors.Is(err, cause) || key != nil {
		t.Error(key, err)
	}
}

func TestKeyPool_SaysWhenItsKeysCannotBeMade(t *testing.T) {
	pool := NewKeyPool(1, 512)
	if err := pool.Run(t.Context()); err == nil {
		t.Error("runs")
	}
	if key, err := pool.Key(t.Context()); err == nil || key != crypto.Signer(nil) {
		t.Error(key, err)
	}
}
