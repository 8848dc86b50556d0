package spool

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"

	"gsigw/soap/xmlscan"
)

// text is bytes that are easy to find again.
func text(n int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "<secret n='%d'/>", i)
	}
	return b.Bytes()[:n]
}

func poolIn(t testing.TB) *Pool { return &Pool{Dir: t.TempDir(), Threshold: 1 << 10} }

func spooled(t testing.TB, p *Pool, b []byte) *Spool {
	t.Helper()
	s, err := p.Read(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestRead_KeepsInMemoryUpToTheThreshold(t *testing.T) {
	for _, c := range []struct {
		size, threshold int64
		memory          bool
	}{
		{0, 1024, true}, {1024, 1024, true}, {1025, 1024, false}, {chunkSize, chunkSize, true}, {chunkSize + 1, chunkSize, false},
		{3 * chunkSize, 3 * chunkSize, true}, {3*chunkSize + 1, 3 * chunkSize, false}, {5 * chunkSize, 1, false},
	} {
		p := &Pool{Dir: t.TempDir(), Threshold: c.threshold}
		want := text(int(c.size))
		s := spooled(t, p, want)
		if _, memory := s.Source().(xmlscan.Memory); memory != c.memory {
			t.Errorf("%d bytes with threshold %d: in memory %v", c.size, c.threshold, memory)
		}
		got, err := io.ReadAll(io.NewSectionReader(s, 0, s.Size()))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes with threshold %d: %v, or other bytes", c.size, c.threshold, err)
		}
	}
}

func TestReadAt_AgreesWithBytesInMemory(t *testing.T) {
	for _, size := range []int{2000, chunkSize - 1, chunkSize, chunkSize + 1, 3 * chunkSize, 5*chunkSize + 77} {
		want := text(size)
		reference, s := bytes.NewReader(want), spooled(t, poolIn(t), want)
		if s.Size() != int64(size) {
			t.Fatalf("Size %d of %d", s.Size(), size)
		}
		for _, off := range []int{0, 1, chunkSize - 1, chunkSize, chunkSize + 1, 2*chunkSize - 5, size - 1, size, size + 1} {
			for _, n := range []int{0, 1, 10, chunkSize, 2*chunkSize + 1} {
				a, b := make([]byte, n), make([]byte, n)
				wantN, wantErr := reference.ReadAt(a, int64(off))
				gotN, gotErr := s.ReadAt(b, int64(off))
				if gotN != wantN || !bytes.Equal(a, b) || n > 0 && gotErr != wantErr {
					t.Errorf("%d bytes at %d of %d: %d, %v; want %d, %v", n, off, size, gotN, gotErr, wantN, wantErr)
				}
			}
		}
	}
}

func TestRead_TakesReadersAsTheyCome(t *testing.T) {
	want := text(2*chunkSize + 10)
	for name, reader := range map[string]func(io.Reader) io.Reader{
		"data with EOF": iotest.DataErrReader,
		"halves":        iotest.HalfReader,
		"empty reads":   func(r io.Reader) io.Reader { return &hesitant{r: r} },
		"without ReadFrom": func(r io.Reader) io.Reader {
			return struct{ io.Reader }{r}
		},
	} {
		for _, threshold := range []int64{1, chunkSize, 1 << 20} {
			s, err := (&Pool{Dir: t.TempDir(), Threshold: threshold}).Read(reader(bytes.NewReader(want)), 1<<20)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			got, err := io.ReadAll(io.NewSectionReader(s, 0, s.Size()))
			s.Close()
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s, threshold %d: %v, %d bytes", name, threshold, err, len(got))
			}
		}
	}
}

// hesitant gives nothing every second time.
type hesitant struct {
	r     io.Reader
	again bool
}

func (h *hesitant) Read(b []byte) (int, error) {
	if h.again = !h.again; h.again {
		return 0, nil
	}
	return h.r.Read(b)
}

func TestRead_GivesUpOnAReaderThatGivesNothing(t *testing.T) {
	if _, err := poolIn(t).Read(iotest.ErrReader(nil), 10); err != io.ErrNoProgress {
		t.Errorf("%v", err)
	}
}

func TestRead_RefusesMoreThanTheLimit(t *testing.T) {
	for _, size := range []int64{0, 10, chunkSize, 2*chunkSize + 5} {
		for _, threshold := range []int64{1, 1 << 20} {
			p := &Pool{Dir: t.TempDir(), Threshold: threshold}
			s, err := p.Read(bytes.NewReader(text(int(size))), size)
			if err != nil {
				t.Fatalf("exactly %d bytes: %v", size, err)
			}
			s.Close()
			e, ok := errors.AsType[*LimitError](third(p.Read(bytes.NewReader(text(int(size)+1)), size)))
			if !ok || e.Limit != size {
				t.Errorf("%d bytes too many: %v", size+1, e)
			}
			isEmpty(t, p)
		}
	}
}

func third(_ *Spool, err error) error { return err }

// isEmpty is for a pool that has nothing open.
func isEmpty(t *testing.T, p *Pool) {
	t.Helper()
	if memory, files := p.Held(); memory != 0 || files != 0 {
		t.Errorf("%d bytes of memory and %d files are held", memory, files)
	}
	if n := len(descriptors(t, p.Dir)); n > 0 {
		t.Errorf("%d files are open", n)
	}
	if names, err := os.ReadDir(p.Dir); err != nil || len(names) > 0 {
		t.Errorf("the directory has %v, %v", names, err)
	}
}

// descriptors are our open files in a directory, as paths under /proc through which they can be opened again; none where there is no /proc.
func descriptors(t *testing.T, dir string) (paths []string) {
	t.Helper()
	all, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range all {
		if target, _ := os.Readlink(path); strings.HasPrefix(target, dir+"/") {
			paths = append(paths, path)
		}
	}
	return paths
}

func TestRead_FailuresOfTheReaderComeBackAndLeaveNothing(t *testing.T) {
	for _, size := range []int{10, 3 * chunkSize} {
		p, broken := poolIn(t), errors.New("hung up")
		_, err := p.Read(io.MultiReader(bytes.NewReader(text(size)), iotest.ErrReader(broken)), 1<<30)
		if err != broken {
			t.Errorf("after %d bytes: %v", size, err)
		}
		isEmpty(t, p)
	}
}

func TestWriter_MakesWhatReadMakes(t *testing.T) {
	want := text(3*chunkSize + 100)
	for _, piece := range []int{1000, chunkSize, len(want)} {
		p := poolIn(t)
		w := p.Writer(1 << 30)
		for rest := want; len(rest) > 0; rest = rest[min(piece, len(rest)):] {
			if n, err := w.Write(rest[:min(piece, len(rest))]); err != nil || n != min(piece, len(rest)) {
				t.Fatal(n, err)
			}
		}
		s, err := w.Spool()
		if err != nil {
			t.Fatal(err)
		}
		w.Close()
		got, err := io.ReadAll(io.NewSectionReader(s, 0, s.Size()))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("pieces of %d: %v, %d bytes", piece, err, len(got))
		}
		if _, err := w.Write(want); err != errEnded {
			t.Errorf("written after the end: %v", err)
		}
		s.Close()
		isEmpty(t, p)
	}
}

func TestWriter_CloseDropsWhatWasWritten(t *testing.T) {
	for _, size := range []int{10, 2 * chunkSize} {
		p := poolIn(t)
		w := p.Writer(1 << 30)
		w.Write(text(size))
		w.Close()
		if _, err := w.Spool(); err != errEnded {
			t.Errorf("%v", err)
		}
		isEmpty(t, p)
	}
}

func TestWriter_StaysAtItsLimit(t *testing.T) {
	p := poolIn(t)
	w := p.Writer(100)
	w.Write(text(90))
	for range 2 {
		if _, err := w.Write(text(11)); !errors.As(err, new(*LimitError)) {
			t.Errorf("%v", err)
		}
	}
	if _, err := w.Spool(); !errors.As(err, new(*LimitError)) {
		t.Errorf("%v", err)
	}
	isEmpty(t, p)
}

func TestPool_HoldsNoMoreMemoryThanItMay(t *testing.T) {
	p := &Pool{Dir: t.TempDir(), Threshold: 10 * chunkSize, Memory: 5 * chunkSize}
	a, b, c := spooled(t, p, text(4*chunkSize)), spooled(t, p, text(4*chunkSize)), spooled(t, p, text(chunkSize))
	if a.file != nil || b.file == nil || c.file != nil {
		t.Errorf("in files: %v %v %v; want the second alone", a.file != nil, b.file != nil, c.file != nil)
	}
	if memory, files := p.Held(); memory != 3*chunkSize || files != 1 {
		t.Errorf("%d bytes and %d files are held", memory, files)
	}
	a.Close()
	if d := spooled(t, p, text(4*chunkSize)); d.file != nil {
		t.Error("memory that was given back is not used again")
	}
}

// What is opened of a file is memory too.
func TestPool_CountsWhatIsOpenedOfFiles(t *testing.T) {
	for _, c := range []struct{ room, want int64 }{{0, 0}, {2, 2}, {100, cached - 1}} {
		p := &Pool{Dir: t.TempDir(), Threshold: 1, Memory: c.room*chunkSize + 1}
		want := text(6 * chunkSize)
		s := spooled(t, p, want)
		for range 2 {
			got, err := io.ReadAll(io.NewSectionReader(s, 0, s.Size()))
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%v, or other bytes", err)
			}
		}
		if memory, _ := p.Held(); memory != c.want*chunkSize {
			t.Errorf("with room for %d chunks %d bytes are held, want %d chunks", c.room, memory, c.want)
		}
		s.Close()
		isEmpty(t, p)
	}
}

func TestReadPart_CountsFromTheFirstByte(t *testing.T) {
	p := &Pool{Dir: t.TempDir(), Memory: 3 * chunkSize}
	var parts []*Spool
	for i := range 5 {
		want := text(chunkSize - i)
		s, err := p.ReadPart(bytes.NewReader(want), 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if (s.file != nil) != (i >= 3) {
			t.Errorf("part %d in a file: %v", i, s.file != nil)
		}
		for range 2 {
			got, err := io.ReadAll(io.NewSectionReader(s, 0, s.Size()))
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("part %d: %v, %q", i, err, got)
			}
		}
		parts = append(parts, s)
	}
	if memory, files := p.Held(); memory != 3*chunkSize-3 || files != 2 {
		t.Errorf("%d bytes and %d files are held", memory, files)
	}
	for _, s := range parts {
		s.Close()
	}
	isEmpty(t, p)
}

// A part that goes to a file from its first byte is sealed as any other: no chunk is written twice under one nonce.
func TestReadPart_OfAnySizeComesBackFromAFile(t *testing.T) {
	p := &Pool{Dir: t.TempDir(), Memory: 1}
	for _, size := range []int{0, 1, chunkSize - 1, chunkSize, chunkSize + 1, 3*chunkSize + 5} {
		want := text(size)
		s, err := p.ReadPart(iotest.HalfReader(bytes.NewReader(want)), int64(size))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(io.NewSectionReader(s, 0, s.Size()))
		if err != nil || !bytes.Equal(got, want) || s.Size() != int64(size) {
			t.Errorf("%d bytes: %v, %d bytes back", size, err, len(got))
		}
		s.Close()
	}
	isEmpty(t, p)
}

func TestSpool_CloseGivesAllBackAndEndsReading(t *testing.T) {
	p := poolIn(t)
	s := spooled(t, p, text(2*chunkSize))
	s.ReadAt(make([]byte, 10), 0)
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, off := range []int64{0, chunkSize} {
		if _, err := s.ReadAt(make([]byte, 10), off); !errors.Is(err, os.ErrClosed) {
			t.Errorf("read at %d after Close: %v", off, err)
		}
	}
	isEmpty(t, p)
}

func TestSpool_HasRoomForManyReaders(t *testing.T) {
	want := text(6*chunkSize + 9)
	s := spooled(t, poolIn(t), want)
	var running sync.WaitGroup
	for i := range 8 {
		running.Go(func() {
			from := int64(i) * 50_000
			got, err := io.ReadAll(io.NewSectionReader(s, from, s.Size()-from))
			if err != nil || !bytes.Equal(got, want[from:]) {
				t.Errorf("reader from %d: %v", from, err)
			}
		})
	}
	running.Wait()
}

func TestPool_SaysWhereThereIsNoRoom(t *testing.T) {
	p := poolIn(t)
	p.create = func(string) (*os.File, error) { return os.OpenFile("/dev/full", os.O_RDWR, 0) }
	_, err := p.Read(bytes.NewReader(text(3*chunkSize)), 1<<30)
	if !errors.As(err, new(*Error)) || !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "no room in "+p.Dir) {
		t.Errorf("%v", err)
	}
	isEmpty(t, p)

	gone := &Pool{Dir: filepath.Join(t.TempDir(), "gone"), Threshold: 1}
	if err := gone.Check(); !errors.As(err, new(*Error)) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Check: %v", err)
	}
	if _, err := gone.Read(bytes.NewReader(text(100)), 1<<30); !errors.As(err, new(*Error)) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

func TestPool_CheckLeavesNothing(t *testing.T) {
	p := poolIn(t)
	if err := p.Check(); err != nil {
		t.Error(err)
	}
	isEmpty(t, p)
}

func TestPool_TheDefaultDirectoryIsOnDisk(t *testing.T) {
	t.Setenv("TMPDIR", "")
	if dir := new(Pool).Directory(); dir != varTmp && dir != os.TempDir() {
		t.Errorf("%s", dir)
	}
	t.Setenv("TMPDIR", "/elsewhere")
	if dir := new(Pool).Directory(); dir != "/elsewhere" {
		t.Errorf("%s in spite of TMPDIR", dir)
	}
}

func BenchmarkRead(b *testing.B) {
	for _, size := range []int{2 << 10, 1 << 20, 64 << 20} {
		b.Run(fmt.Sprintf("%dKB", size>>10), func(b *testing.B) {
			data := make([]byte, size)
			rand.Read(data)
			p := &Pool{Dir: b.TempDir()}
			b.SetBytes(int64(size))
			for b.Loop() {
				s, err := p.Read(bytes.NewReader(data), 1<<30)
				if err != nil {
					b.Fatal(err)
				}
				s.Close()
			}
		})
	}
}

func BenchmarkReadAt_Sequential(b *testing.B) {
	s := spooled(b, poolIn(b), make([]byte, 64<<20))
	b.SetBytes(s.Size())
	for b.Loop() {
		if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, io.NewSectionReader(s, 0, s.Size()), make([]byte, 50_000)); err != nil {
			b.Fatal(err)
		}
	}
}
