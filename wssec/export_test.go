package wssec

import (
	"crypto"
	"crypto/rand"
	"errors"
	"os"
	"testing"
	"time"
)

// What the tests, which stand outside because the stand-in that they share imports this package, see of the inside.
const (
	DSig     = dsig
	DSigMore = dsigMore
)

var IsSecurity = isSecurity

func SignDigest(key crypto.Signer, h crypto.Hash, digest []byte) ([]byte, error) {
	return sign(key, rand.Reader, h, digest)
}

// Stepped tells the cache's clock what a monotonic reading would: that no time went by while it was set.
func (r *ReplayCache) Stepped(by time.Duration) { r.clock.last = r.clock.last.Add(by) }

// AppendBatch writes ids as one batch, as if they had come together.
func (r *ReplayFile) AppendBatch(ids ...string) error {
	var batch []replayRecord
	for _, id := range ids {
		batch = append(batch, replayRecord{r.log.hash.of(id), 1<<31 - 300, 1 << 31})
	}
	return r.log.append(batch)
}

// Lock is what another process does while it writes.
func (r *ReplayFile) Lock(t testing.TB) (unlock func()) {
	unlock, err := r.lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return unlock
}

// Unwritable makes every write fail, as a disk does that went away.
func (r *ReplayFile) Unwritable(t testing.TB) {
	f, err := os.Open(r.log.path())
	if err != nil {
		t.Fatal(err)
	}
	r.log.file.Close()
	r.log.file = f
}

// Disk puts a disk that fails under the memory; nil is one that does not.
func (r *ReplayFile) Disk(writeAt func(*os.File, []byte, int64) (int, error), sync func(*os.File) error) {
	r.log.disk = replayDisk{(*os.File).WriteAt, (*os.File).Sync}
	if writeAt != nil {
		r.log.disk.writeAt = writeAt
	}
	if sync != nil {
		r.log.disk.sync = sync
	}
}

// Waiting is how many ids wait for a write.
func (r *ReplayFile) Waiting() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.waiting.Len()
}

// MakeReplay makes a memory and gives what of it was written through, in this order.
func MakeReplay(dir string) (synced []string, err error) {
	l := replayLog{disk: replayDisk{(*os.File).WriteAt, func(f *os.File) error {
		synced = append(synced, f.Name())
		return nil
	}}}
	if err = l.open(dir); err == nil {
		_, _, err = l.read()
	}
	return synced, errors.Join(err, l.close())
}

var Private = private
