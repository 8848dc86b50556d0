package gsi

import (
	"crypto"
	"encoding/pem"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestWriteProxyFile_Is0600AndInTheOrderOfTheGrid(t *testing.T) {
	path := filepath.Join(t.TempDir(), "proxy")
	writeFile(t, path, []byte("what was there"), 0o644)
	p := proxyOf(t, user(t, "Jane", noon.AddDate(1, 0, 0)))
	if err := WriteProxyFile(path, p); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	data, _ := os.ReadFile(path)
	var order []string
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		order = append(order, block.Type)
	}
	if strings.Join(order, ",") != "CERTIFICATE,PRIVATE KEY,CERTIFICATE" {
		t.Error(order)
	}
	entries, _ := os.ReadDir(filepath.Dir(path))
	if len(entries) != 1 {
		t.Error("something is left behind:", entries)
	}
}

func TestWriteProxyFile_RefusesAKeyThatLivesElsewhere(t *testing.T) {
	u := user(t, "Jane", noon.AddDate(1, 0, 0))
	path := filepath.Join(t.TempDir(), "proxy")
	for name, c := range map[string]*Credential{
		"elsewhere": {Chain: u.Chain, Key: struct{ crypto.Signer }{u.Key}},
		"another's": {Chain: u.Chain, Key: user(t, "John", noon).Key},
	} {
		if err := WriteProxyFile(path, c); err == nil {
			t.Error("written, the key is", name)
		}
		if _, err := os.Stat(path); err == nil {
			t.Error("left a file, the key is", name)
		}
	}
	if err := WriteProxyFile(filepath.Join(path, "nowhere"), u); err == nil {
		t.Error("written to a directory that is not there")
	}
	entry := filepath.Join(t.TempDir(), "directory")
	if err := errors.Join(os.Mkdir(entry, 0o700), WriteProxyFile(entry, u)); err == nil {
		t.Error("written in the place of a directory")
	}
	if left, _ := os.ReadDir(filepath.Dir(entry)); len(left) != 1 {
		t.Error("something is left behind:", left)
	}
}

func TestWriteProxyFile_Is0600UnderAnyUmask(t *testing.T) {
	u := user(t, "Jane", noon.AddDate(1, 0, 0))
	for _, mask := range []int{0, 0o022, 0o277, 0o777} {
		path := filepath.Join(t.TempDir(), "proxy")
		old := syscall.Umask(mask)
		err := WriteProxyFile(path, u)
		syscall.Umask(old)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("umask %04o: mode %v, %v", mask, info.Mode(), err)
		}
	}
}

func TestWriteProxyFile_TakesThePlaceOfNothingButAFileOfOnesOwn(t *testing.T) {
	u := user(t, "Jane", noon.AddDate(1, 0, 0))
	for name, put := range map[string]func(path string) error{
		"a symbolic link": func(path string) error {
			return errors.Join(os.WriteFile(path+".target", []byte("precious"), 0o600), os.Symlink(path+".target", path))
		},
		"a link to nowhere": func(path string) error { return os.Symlink(path+".target", path) },
		"a directory":       func(path string) error { return os.Mkdir(path, 0o700) },
		"a FIFO":            func(path string) error { return syscall.Mkfifo(path, 0o600) },
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "proxy")
		if err := put(path); err != nil {
			t.Fatal(err)
		}
		before, _ := os.ReadDir(dir)
		err := WriteProxyFile(path, u)
		if !errors.Is(err, errNotOwn) || !strings.Contains(err.Error(), "remove it, or name another file") || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
		if after, _ := os.ReadDir(dir); len(after) != len(before) {
			t.Errorf("%s: something is left behind: %v", name, after)
		}
	}
}

func TestOwnFile_IsTheUsersAlone(t *testing.T) {
	info, err := os.Stat(writeFile(t, filepath.Join(t.TempDir(), "file"), nil, 0o600))
	if err != nil {
		t.Fatal(err)
	}
	if err := ownFile(info); err != nil {
		t.Error(err)
	}
	info.Sys().(*syscall.Stat_t).Uid++
	if err := ownFile(info); !errors.Is(err, errNotOwn) || !strings.Contains(err.Error(), "belongs to uid") {
		t.Error(err)
	}
}

func TestWriteProxyFile_LeavesTheOldFileWhenThereIsNoRoom(t *testing.T) {
	u := user(t, "Jane", noon.AddDate(1, 0, 0))
	dir := t.TempDir()
	path := writeFile(t, filepath.Join(dir, "proxy"), []byte("the old proxy"), 0o600)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 100, Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	err := WriteProxyFile(path, u)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	if err == nil || !strings.Contains(err.Error(), "make room there") {
		t.Error(err)
	}
	data, _ := os.ReadFile(path)
	if left, _ := os.ReadDir(dir); len(left) != 1 || string(data) != "the old proxy" {
		t.Error("left behind:", left, string(data))
	}
}

func TestDestroyProxyFile_LeavesNothingToRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "proxy")
	if err := WriteProxyFile(path, user(t, "Jane", noon)); err != nil {
		t.Fatal(err)
	}
	open, err := os.Open(path) // who has it open sees what becomes of it
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	if err := DestroyProxyFile(path); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Error("it is still there:", err)
	}
	buffer := make([]byte, 1<<16)
	n, _ := open.Read(buffer)
	if n == 0 || strings.Trim(string(buffer[:n]), "\x00") != "" {
		t.Errorf("%q can still be read", buffer[:n])
	}
	if err := DestroyProxyFile(path); !errors.Is(err, os.ErrNotExist) {
		t.Error("twice:", err)
	}
}

func TestDestroyProxyFile_TouchesNothingButAFileOfOnesOwn(t *testing.T) {
	dir := t.TempDir()
	precious := writeFile(t, filepath.Join(dir, "thesis"), []byte("precious"), 0o600)
	link, hard, sub := filepath.Join(dir, "link"), filepath.Join(dir, "hard"), filepath.Join(dir, "sub")
	if err := errors.Join(os.Symlink(precious, link), os.Link(precious, hard), os.Mkdir(sub, 0o700)); err != nil {
		t.Fatal(err)
	}
	for path, word := range map[string]string{link: "symbolic link", hard: "2 names", sub: "directory"} {
		if err := DestroyProxyFile(path); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%s: %v", path, err)
		}
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("%s is gone", path)
		}
	}
	if data, _ := os.ReadFile(precious); string(data) != "precious" {
		t.Errorf("now it is %q", data)
	}
}

// With somebody reading it, a FIFO can be opened to write.
func TestDestroyProxyFile_LeavesAFIFOAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if err := DestroyProxyFile(path); !errors.Is(err, errNotOwn) {
		t.Error(err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Error("it is gone:", err)
	}
}

// Root may write to any file, and destroys its own alone. Nobody else can make a file of another's.
func TestDestroyProxyFile_LeavesTheFileOfAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		return // TestOwnFile_IsTheUsersAlone has the rule
	}
	path := writeFile(t, filepath.Join(t.TempDir(), "theirs"), []byte("precious"), 0o600)
	if err := os.Chown(path, 4711, 4711); err != nil {
		t.Fatal(err)
	}
	if err := DestroyProxyFile(path); !errors.Is(err, errNotOwn) {
		t.Error(err)
	}
	if data, err := os.ReadFile(path); string(data) != "precious" {
		t.Errorf("now it is %q, %v", data, err)
	}
}
