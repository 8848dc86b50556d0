package spool

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
)

// onDisk opens the one file that a pool has.
func onDisk(t *testing.T, p *Pool) *os.File {
	t.Helper()
	paths := descriptors(t, p.Dir)
	if len(paths) != 1 {
		t.Fatalf("%d files are open", len(paths))
	}
	f, err := os.OpenFile(paths[0], os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestFile_HoldsNoPlaintextAndHasNoName(t *testing.T) {
	for name, create := range map[string]func(string) (*os.File, error){"without a name": createFile, "with a name for a moment": createNamed} {
		p := poolIn(t)
		p.create = create
		want := text(3*chunkSize + 5)
		spooled(t, p, want)
		f := onDisk(t, p)
		raw, err := io.ReadAll(f)
		if err != nil || len(raw) != len(want)+4*tagSize {
			t.Errorf("%s: %d bytes on disk, %v", name, len(raw), err)
		}
		for at := 0; at+8 <= len(want); at += 8 {
			if bytes.Contains(raw, want[at:at+8]) {
				t.Fatalf("%s: the file holds the plaintext's %q", name, want[at:at+8])
			}
		}
		if info, _ := f.Stat(); info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v", name, info.Mode())
		}
		if names, _ := os.ReadDir(p.Dir); len(names) > 0 {
			t.Errorf("%s: the directory has %v", name, names)
		}
	}
}

func TestFile_TheSameBytesAreSealedDifferentlyEachTime(t *testing.T) {
	p, want := poolIn(t), bytes.Repeat([]byte{'a'}, 2*chunkSize)
	a, b := spooled(t, p, want), spooled(t, p, want)
	seen := map[string]bool{}
	for _, s := range []*Spool{a, b} {
		for i := range int64(2) {
			var start [64]byte
			if _, err := s.file.File.ReadAt(start[:], i*int64(len(chunk{}))); err != nil {
				t.Fatal(err)
			}
			seen[string(start[:])] = true
		}
	}
	if len(seen) != 4 {
		t.Errorf("%d different ciphertexts of 4: a nonce was used twice", len(seen))
	}
}

func TestFile_WhatSomebodyChangedIsNotRead(t *testing.T) {
	whole := int64(len(chunk{}))
	swap := func(f *os.File, a, b int64) {
		x, y := make([]byte, whole), make([]byte, whole)
		f.ReadAt(x, a*whole)
		f.ReadAt(y, b*whole)
		f.WriteAt(y, a*whole)
		f.WriteAt(x, b*whole)
	}
	for name, change := range map[string]func(*os.File){
		"a bit":             func(f *os.File) { f.WriteAt([]byte{0}, 100); f.WriteAt([]byte{1}, 101) },
		"the tag":           func(f *os.File) { f.WriteAt(make([]byte, tagSize), chunkSize) },
		"the order":         func(f *os.File) { swap(f, 0, 1) },
		"the end":           func(f *os.File) { f.Truncate(3*whole + 10) },
		"a chunk less":      func(f *os.File) { f.Truncate(2 * whole) },
		"everything":        func(f *os.File) { f.Truncate(0) },
		"the end's content": func(f *os.File) { f.WriteAt([]byte("abc"), 3*whole) },
	} {
		p := poolIn(t)
		s := spooled(t, p, text(3*chunkSize+100))
		change(onDisk(t, p))
		_, err := io.ReadAll(io.NewSectionReader(s, 0, s.Size()))
		if !errors.As(err, new(*Error)) || !errors.Is(err, ErrChanged) {
			t.Errorf("%s was changed: %v", name, err)
		}
	}
}

func TestFile_OfAnotherSpoolIsNotRead(t *testing.T) {
	p := poolIn(t)
	a, b := spooled(t, p, text(2*chunkSize)), spooled(t, p, text(2*chunkSize))
	other, _ := io.ReadAll(io.NewSectionReader(b.file.File, 0, 1<<20))
	if _, err := a.file.WriteAt(other, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := a.ReadAt(make([]byte, 10), 0); !errors.Is(err, ErrChanged) {
		t.Errorf("%v", err)
	}
}

const victim = "GSIGW_SPOOL_VICTIM"

// TestFile_IsGoneWhenTheProcessIs kills a process (this test again) while it has a spool on disk.
func TestFile_IsGoneWhenTheProcessIs(t *testing.T) {
	if dir := os.Getenv(victim); dir != "" {
		p := &Pool{Dir: dir, Threshold: 1}
		s, err := p.Read(bytes.NewReader(text(3*chunkSize)), 1<<30)
		fmt.Println("spooled", s.Size(), err)
		io.Copy(io.Discard, os.Stdin) // until it is killed
		return
	}
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestFile_IsGoneWhenTheProcessIs$")
	cmd.Env = append(os.Environ(), victim+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := make([]byte, 64)
	n, _ := out.Read(said)
	cmd.Process.Kill()
	cmd.Wait()
	if want := fmt.Sprintf("spooled %d <nil>\n", 3*chunkSize); string(said[:n]) != want {
		t.Errorf("it said %q", said[:n])
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) > 0 {
		t.Errorf("left behind: %v, %v", names, err)
	}
}
