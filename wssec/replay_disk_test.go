package wssec_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	. "gsigw/wssec"
)

// fullDisk writes what a disk does that has room for so many bytes.
func fullDisk(room int) func(*os.File, []byte, int64) (int, error) {
	return func(f *os.File, b []byte, at int64) (int, error) {
		n, err := f.WriteAt(b[:min(room, len(b))], at)
		return n, errors.Join(err, syscall.ENOSPC)
	}
}

func lostSync(*os.File) error { return syscall.EIO }

// refuses wants ids refused for a reason of the disk's.
func (m memory) refuses(reason error, ids ...string) {
	m.t.Helper()
	for _, id := range ids {
		if err := m.Seen(m.t.Context(), id, m.clock.Add(5*time.Minute)); !errors.Is(err, reason) {
			m.t.Errorf("%s: %v, want %v", id, err, reason)
		}
	}
}

func TestReplayFile_AFullDiskRefusesUntilThereIsRoom(t *testing.T) {
	for _, room := range []int{0, 31, 32, 40} {
		_, _, again := restarts(t, 100)
		m, other := again(), again()
		file := m.Replay.(*ReplayFile)
		m.fill("a", 3)
		file.Disk(fullDisk(room), nil)
		m.refuses(syscall.ENOSPC, "b", "c")
		m.takes("a0", ErrReplay)
		other.takes("a2", ErrReplay)
		file.Disk(nil, nil)
		m.takes("d", nil)
		m.takes("b", ErrReplay) // by the process that tried
		other.takes("b", nil)
		again().takes("a0", ErrReplay)
		again().takes("d", ErrReplay)
		again().takes("b", ErrReplay)
	}
}

// What one process could not write, and another did, counts once.
func TestReplayFile_CountsEachIDOnce(t *testing.T) {
	_, _, again := restarts(t, 15)
	m, other := again(), again()
	file := m.Replay.(*ReplayFile)
	file.KeepAll = true // up to twice the entries, and no forgetting counts again
	file.Disk(fullDisk(0), nil)
	for i := range 10 {
		m.refuses(syscall.ENOSPC, fmt.Sprint("a", i))
	}
	file.Disk(nil, nil)
	other.fill("a", 10)
	m.fill("b", 20)
	m.takes("c", ErrReplayFull)
}

func TestReplayFile_AFullDiskLosesNothingThatIsWrittenAnew(t *testing.T) {
	dir, clock, again := restarts(t, 20)
	m := again()
	file := m.Replay.(*ReplayFile)
	for i := range 40 {
		m.takes(fmt.Sprint("a", i), nil)
		*clock = clock.Add(20 * time.Second)
	}
	for name, fail := range map[string]func(){
		"write": func() { file.Disk(fullDisk(1000), nil) },
		"sync":  func() { file.Disk(nil, lostSync) },
	} {
		fail()
		if err := m.Seen(t.Context(), "b", clock.Add(time.Minute)); err == nil {
			t.Errorf("%s: taken", name)
		}
		if _, err := os.Stat(filepath.Join(dir, "replay.new")); err == nil {
			t.Errorf("%s: half a file is left on a full disk", name)
		}
	}
	file.Disk(nil, nil)
	m.takes("c", nil)
	again().takes("a39", ErrReplay)
	again().takes("c", ErrReplay)
}

// A crash left a torn end, and there is no room for its repair: what stands before it is remembered all the same.
func TestReplayFile_AFullDiskLosesNothingThatIsRepaired(t *testing.T) {
	dir, _, again := restarts(t, 20)
	m, late := again(), again()
	m.fill("a", 3)
	done(t, m.Replay.(*ReplayFile).AppendBatch("b0", "b1", "b2"))
	name := filepath.Join(dir, "replay")
	doc, err := os.ReadFile(name)
	done(t, err)
	clear(doc[len(doc)-2*32 : len(doc)-32])
	done(t, os.WriteFile(name, doc, 0o600))
	file := late.Replay.(*ReplayFile)
	file.Disk(fullDisk(0), nil)
	late.refuses(syscall.ENOSPC, "c")
	file.Disk(nil, nil)
	for _, id := range []string{"a0", "a2", "b0", "b2"} {
		late.takes(id, ErrReplay)
	}
	late.takes("d", nil)
}

func TestReplayFile_RefusesEverythingOnceAWriteIsNotConfirmed(t *testing.T) {
	_, _, again := restarts(t, 20)
	m := again()
	m.fill("a", 1)
	file := m.Replay.(*ReplayFile)
	file.Disk(nil, lostSync)
	m.refuses(syscall.EIO, "b")
	file.Disk(nil, nil)
	m.refuses(syscall.EIO, "b", "c", "a0")
	m = again()
	m.takes("a0", ErrReplay)
	m.takes("b", nil) // it was taken back
}

func TestReplayFile_RefusesEverythingOnceTheDirectoryIsNotConfirmed(t *testing.T) {
	_, clock, again := restarts(t, 20)
	m := again()
	for i := range 40 {
		m.takes(fmt.Sprint("a", i), nil)
		*clock = clock.Add(20 * time.Second)
	}
	m.Replay.(*ReplayFile).Disk(nil, func(f *os.File) error {
		if info, err := f.Stat(); err != nil || !info.IsDir() {
			return err
		}
		return syscall.EIO
	})
	m.refuses(syscall.EIO, "b", "c")
}

func TestReplayFile_IsWrittenThroughWithItsDirectories(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "state")
	synced, err := MakeReplay(dir)
	done(t, err)
	if want := []string{parent, filepath.Join(dir, "replay.new"), dir}; !slices.Equal(synced, want) {
		t.Errorf("%q", synced)
	}
}

func TestReplayFile_IsNotAnothersFile(t *testing.T) {
	f, err := os.Open(t.TempDir())
	done(t, err)
	defer f.Close()
	done(t, f.Chmod(0o700))
	done(t, Private(f, 0o700, os.Geteuid()))
	if err := Private(f, 0o700, os.Geteuid()+1); err == nil || !strings.Contains(err.Error(), "belongs to uid") {
		t.Error(err)
	}
}

// While another process has the file, whoever gives up goes without a trace, and whoever does not has its turn.
func TestReplayFile_DropsWhoGaveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, again := restarts(t, 100)
		m, other := again(), again()
		unlock := other.Replay.(*ReplayFile).Lock(t)
		ctx, cancel := context.WithCancel(t.Context())
		gone, patient := make(chan error), make(chan error)
		for i := range 20 {
			go func() { gone <- m.Seen(ctx, fmt.Sprint("a", i), m.clock.Add(time.Minute)) }()
		}
		synctest.Wait()
		go func() { patient <- m.Seen(t.Context(), "b", m.clock.Add(time.Minute)) }()
		synctest.Wait()
		cancel()
		for range 20 {
			if err := <-gone; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
		if n := m.Replay.(*ReplayFile).Waiting(); n != 1 {
			t.Errorf("%d wait", n)
		}
		unlock()
		if err := <-patient; err != nil {
			t.Error(err)
		}
		for i := range 20 {
			m.takes(fmt.Sprint("a", i), nil)
		}
		other.takes("b", ErrReplay)
	})
}
