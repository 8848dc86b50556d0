package wssec_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gsigw/internal/gridtest"
	. "gsigw/wssec"
)

// stateDir is where a memory of ids a0 to a(n-1) is, on a clock that stands still.
func stateDir(t *testing.T, n int) (dir string, again func() (memory, error)) {
	t.Helper()
	clock := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	dir = filepath.Join(t.TempDir(), "state")
	again = func() (memory, error) {
		r, err := OpenReplayFile(dir, 1000, func() time.Time { return clock })
		if err == nil {
			t.Cleanup(func() { r.Close() })
		}
		return memory{r, t, &clock}, err
	}
	gridtest.Must(again()).fill("a", n)
	return dir, again
}

func TestReplayFile_RemembersOverRestarts(t *testing.T) {
	dir, again := stateDir(t, 20)
	m := gridtest.Must(again())
	for i := range 20 {
		m.takes(fmt.Sprint("a", i), ErrReplay)
	}
	m.takes("b", nil)
	doc := gridtest.Must(os.ReadFile(filepath.Join(dir, "replay")))
	if len(doc) != 1024+21*32 {
		t.Errorf("21 ids take %d bytes", len(doc))
	}
}

func TestReplayFile_IsForItsOwnerAlone(t *testing.T) {
	dir, again := stateDir(t, 1)
	file := filepath.Join(dir, "replay")
	for path, mode := range map[string]fs.FileMode{dir: fs.ModeDir | 0o700, file: 0o600} {
		if got := gridtest.Must(os.Stat(path)).Mode(); got != mode {
			t.Errorf("%s has mode %v", path, got)
		}
		for _, open := range []fs.FileMode{0o010, 0o004} {
			done(t, os.Chmod(path, mode.Perm()|open))
			if _, err := again(); err == nil || !strings.Contains(err.Error(), "chmod") {
				t.Errorf("%s open to others: %v", path, err)
			}
		}
		done(t, os.Chmod(path, mode.Perm()))
	}
	if _, err := again(); err != nil {
		t.Error(err)
	}
	empty := t.TempDir()
	done(t, os.Chmod(empty, 0o755))
	openReplay(t, empty, 0, nil)
	if mode := gridtest.Must(os.Stat(empty)).Mode().Perm(); mode != 0o700 {
		t.Errorf("an empty directory that was made for it has mode %04o", mode)
	}
}

func TestReplayFile_FollowsNoSymlink(t *testing.T) {
	dir, again := stateDir(t, 1)
	link := dir + "-link"
	done(t, os.Symlink(dir, link))
	for _, name := range []string{link, link + "/"} {
		if _, err := OpenReplayFile(name, 0, nil); err == nil || !strings.Contains(err.Error(), "symbolic link") {
			t.Errorf("%s: %v", name, err)
		}
	}
	file := filepath.Join(dir, "replay")
	done(t, os.Rename(file, file+"-moved"))
	done(t, os.Symlink(file+"-moved", file))
	if _, err := again(); err == nil || !strings.Contains(err.Error(), "symbolic link") {
		t.Errorf("the file: %v", err)
	}
}

func TestReplayFile_HoldsNoIDInClear(t *testing.T) {
	dir, again := stateDir(t, 0)
	gridtest.Must(again()).takes("uuid:7d51-in-clear", nil)
	if doc := gridtest.Must(os.ReadFile(filepath.Join(dir, "replay"))); bytes.Contains(doc, []byte("7d51")) {
		t.Error("the id stands in the file")
	}
	other, _ := stateDir(t, 1)
	one, two := gridtest.Must(os.ReadFile(filepath.Join(dir, "replay"))), gridtest.Must(os.ReadFile(filepath.Join(other, "replay")))
	if bytes.Equal(one[8:40], two[8:40]) {
		t.Error("two files have one secret")
	}
}

// What a crash leaves behind the last batch that was answered for is cut off; what it left of that batch counts.
func TestReplayFile_RepairsATornEnd(t *testing.T) {
	for _, c := range []struct {
		name, tail string
	}{
		{"part of a record", strings.Repeat("x", 31)},
		{"sectors that were not reached", strings.Repeat("\x00", 128*32)},
		{"zeros and part of a record", strings.Repeat("\x00", 40)},
	} {
		dir, again := stateDir(t, 20)
		f := gridtest.Must(os.OpenFile(filepath.Join(dir, "replay"), os.O_APPEND|os.O_WRONLY, 0))
		f.WriteString(c.tail)
		done(t, f.Close())
		for range 2 {
			m, err := again()
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
				continue
			}
			m.takes("a0", ErrReplay)
			m.takes("a19", ErrReplay)
		}
		if size := gridtest.Must(os.Stat(filepath.Join(dir, "replay"))).Size(); size != 1024+20*32 {
			t.Errorf("%s: %d bytes after the repair", c.name, size)
		}
	}
}

// FuzzReplayFile looks for an end of the file that makes what was answered for forgotten.
func FuzzReplayFile(f *testing.F) {
	f.Add([]byte{})
	f.Add(make([]byte, 70))
	f.Add([]byte(strings.Repeat("x", 32)))
	f.Fuzz(func(t *testing.T, tail []byte) {
		dir, again := stateDir(t, 3)
		file, err := os.OpenFile(filepath.Join(dir, "replay"), os.O_APPEND|os.O_WRONLY, 0)
		done(t, err)
		file.Write(tail)
		done(t, file.Close())
		m, err := again()
		if err != nil {
			return
		}
		m.takes("a2", ErrReplay)
		m.takes("b", nil)
		m = gridtest.Must(again())
		m.takes("a0", ErrReplay)
		m.takes("b", ErrReplay)
	})
}

func TestReplayFile_KeepsWhatIsThereOfATornBatch(t *testing.T) {
	dir, again := stateDir(t, 20)
	done(t, gridtest.Must(again()).Replay.(*ReplayFile).AppendBatch("b0", "b1", "b2"))
	file := filepath.Join(dir, "replay")
	doc := gridtest.Must(os.ReadFile(file))
	clear(doc[len(doc)-2*32 : len(doc)-32]) // b1 was not reached
	done(t, os.WriteFile(file, doc, 0o600))
	m := gridtest.Must(again())
	m.takes("b0", ErrReplay)
	m.takes("b2", ErrReplay)
	m.takes("b1", nil)
	m = gridtest.Must(again())
	for _, id := range []string{"a0", "a19", "b0", "b1", "b2"} {
		m.takes(id, ErrReplay)
	}
}

func TestReplayFile_RefusesEverythingWhereItIsDamaged(t *testing.T) {
	for name, damage := range map[string]func(doc []byte) []byte{
		"a bit of the secret":          flip(20),
		"a bit of the magic":           flip(0),
		"a bit of the first record":    flip(1024),
		"a bit of the last record":     flip(1024 + 19*32 + 31),
		"a record of zeros":            func(doc []byte) []byte { clear(doc[1024:][:32]); return doc },
		"more zeros than a batch":      func(doc []byte) []byte { return append(doc, make([]byte, 129*32)...) },
		"part of the header":           func(doc []byte) []byte { return doc[:100] },
		"nothing":                      func(doc []byte) []byte { return nil },
		"a record in another's place":  func(doc []byte) []byte { copy(doc[1024:], doc[1056:][:32]); return doc },
		"records behind a missing one": func(doc []byte) []byte { clear(doc[1024+18*32:][:32]); return doc },
	} {
		dir, again := stateDir(t, 20)
		file := filepath.Join(dir, "replay")
		running := gridtest.Must(again())
		done(t, os.WriteFile(file, damage(gridtest.Must(os.ReadFile(file))), 0o600))
		if _, err := again(); err == nil || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("%s: %v", name, err)
		}
		if len(gridtest.Must(os.ReadFile(file))) < 1024+20*32 { // what shrinks under a process that runs it notices
			if err := running.Seen(t.Context(), "new", *running.clock); err == nil {
				t.Errorf("%s: a message is taken", name)
			}
		}
	}
}

func flip(at int) func([]byte) []byte {
	return func(doc []byte) []byte { doc[at] ^= 1; return doc }
}

func TestReplayFile_RefusesEverythingOnceItsFileIsAnother(t *testing.T) {
	for _, c := range []struct{ name, words string }{{"gone", "gone"}, {"another", "another file"}} {
		dir, again := stateDir(t, 1)
		m := gridtest.Must(again())
		done(t, os.Remove(filepath.Join(dir, "replay")))
		if c.name == "another" {
			gridtest.Must(again())
		}
		for range 2 {
			if err := m.Seen(t.Context(), "new", m.clock.Add(time.Minute)); err == nil || !strings.Contains(err.Error(), c.words) {
				t.Errorf("%s: %v", c.name, err)
			}
		}
	}
}

func TestReplayFile_IsSharedBetweenProcesses(t *testing.T) {
	_, again := stateDir(t, 0)
	var taken atomic.Int64
	var all sync.WaitGroup
	for range 4 {
		m := gridtest.Must(again())
		for range 4 {
			all.Go(func() {
				for i := range 50 {
					switch err := m.Seen(t.Context(), fmt.Sprint(i), m.clock.Add(time.Minute)); {
					case err == nil:
						taken.Add(1)
					case !errors.Is(err, ErrReplay):
						t.Error(err)
					}
				}
			})
		}
	}
	all.Wait()
	if n := taken.Load(); n != 50 {
		t.Errorf("50 ids were taken %d times", n)
	}
}

func TestReplayFile_WaitsForOtherProcessesAsLongAsItsContext(t *testing.T) {
	_, again := stateDir(t, 0)
	m, other := gridtest.Must(again()), gridtest.Must(again())
	unlock := other.Replay.(*ReplayFile).Lock(t)
	ctx, cancel := context.WithCancel(t.Context())
	answer := make(chan error)
	for range 2 {
		go func() { answer <- m.Seen(ctx, "a", m.clock.Add(time.Minute)) }()
	}
	cancel()
	for range 2 {
		if err := <-answer; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	unlock()
	m.takes("b", nil)
	other.takes("b", ErrReplay)
}

func TestReplayFile_RefusesEverythingOnceItCannotWrite(t *testing.T) {
	_, again := stateDir(t, 1)
	m := gridtest.Must(again())
	m.Replay.(*ReplayFile).Unwritable(t)
	for _, id := range []string{"b", "b", "c", "a0"} {
		if err := m.Seen(t.Context(), id, m.clock.Add(time.Minute)); err == nil {
			t.Errorf("%s is taken", id)
		}
	}
	gridtest.Must(again()).takes("c", nil)
}

func TestReplayFile_BoundsTheDisk(t *testing.T) {
	const entries = 300
	clock := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	dir := t.TempDir() + "/state"
	r, other := openReplay(t, dir, entries, func() time.Time { return clock }), openReplay(t, dir, entries, func() time.Time { return clock })
	m, second := memory{r, t, &clock}, memory{other, t, &clock}
	for i := range 1300 {
		clock = clock.Add(2 * time.Second)
		m.takes(fmt.Sprint(i), nil)
		second.takes(fmt.Sprint(i), ErrReplay)
		second.takes(fmt.Sprint(max(0, i-149)), ErrReplay)
		if size := gridtest.Must(os.Stat(filepath.Join(dir, "replay"))).Size(); size > 1024+2*entries*32 {
			t.Fatalf("%d bytes for %d entries", size, entries)
		}
	}
	third := memory{openReplay(t, dir, entries, func() time.Time { return clock }), t, &clock}
	for i := range 150 {
		third.takes(fmt.Sprint(1299-i), ErrReplay)
	}
}

// A look at an old message must not cost the present its memory, nor the other way round.
func TestReplayFile_KeepAllForgetsNothing(t *testing.T) {
	clock := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	r := openReplay(t, t.TempDir()+"/state", 100, func() time.Time { return clock })
	r.KeepAll = true
	m := memory{r, t, &clock}
	m.fill("a", 150)
	clock = clock.Add(24 * time.Hour)
	m.fill("b", 50)
	m.takes("c", ErrReplayFull)
	clock = clock.Add(-24 * time.Hour)
	m.takes("a0", ErrReplay)
}

// A process is killed at any moment; every id that it had an answer for is remembered.
func TestReplayFile_SurvivesKill(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	if child := os.Getenv("REPLAY_CHILD"); child != "" {
		r := gridtest.Must(OpenReplayFile(child, 0, nil))
		for i := 0; ; i++ {
			done(t, r.Seen(t.Context(), fmt.Sprint(os.Getpid(), "-", i), time.Now().Add(5*time.Minute)))
			fmt.Printf("id %d-%d\n", os.Getpid(), i)
		}
	}
	var answered []string
	for range 3 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestReplayFile_SurvivesKill$", "-test.timeout=1m")
		cmd.Env = append(os.Environ(), "REPLAY_CHILD="+dir)
		out := gridtest.Must(cmd.StdoutPipe())
		done(t, cmd.Start())
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if id, ok := strings.CutPrefix(lines.Text(), "id "); ok {
				answered = append(answered, id)
			}
			if len(answered)%30 == 29 {
				cmd.Process.Kill()
			}
		}
		cmd.Wait()
	}
	r := openReplay(t, dir, 0, nil)
	if len(answered) < 80 {
		t.Fatalf("only %d ids were answered for", len(answered))
	}
	for _, id := range answered {
		if err := r.Seen(t.Context(), id, time.Now().Add(time.Minute)); !errors.Is(err, ErrReplay) {
			t.Errorf("%s: %v", id, err)
		}
	}
}

// BenchmarkReplayFile_Parallel is bound by how many writes the disk confirms; those that come together share one.
func BenchmarkReplayFile_Parallel(b *testing.B) {
	r := openReplay(b, b.TempDir()+"/state", 1<<22, nil)
	until := time.Now().Add(5 * time.Minute)
	var n atomic.Int64
	b.SetParallelism(64)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if err := r.Seen(b.Context(), fmt.Sprint(n.Add(1)), until); err != nil {
				b.Error(err)
			}
		}
	})
}

func done(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
