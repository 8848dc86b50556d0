package gsi

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// asAnyUser runs f in a thread without the right of root's to write to any file. The thread ends with it.
func asAnyUser(t *testing.T, f func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var data [2]unix.CapUserData
		err := unix.Capget(&header, &data[0])
		data[0].Effective &^= 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_DAC_READ_SEARCH | 1<<unix.CAP_FOWNER
		if err = errors.Join(err, unix.Capset(&header, &data[0])); err == nil {
			f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestDestroyProxyFile_DestroysWhatItsOwnerMayNotWrite(t *testing.T) {
	for _, mode := range []os.FileMode{0o400, 0} {
		path := writeFile(t, filepath.Join(t.TempDir(), "proxy"), []byte("secret"), mode)
		open, err := os.Open(path)
		if err != nil && os.Geteuid() == 0 {
			t.Fatal(err)
		}
		asAnyUser(t, func() { err = DestroyProxyFile(path) })
		if err != nil {
			t.Errorf("%04o: %v", mode, err)
		}
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%04o: it is still there: %v", mode, err)
		}
		if open == nil {
			continue
		}
		defer open.Close()
		buffer := make([]byte, 10)
		if n, _ := open.Read(buffer); string(buffer[:n]) != "\x00\x00\x00\x00\x00\x00" {
			t.Errorf("%04o: %q can still be read", mode, buffer[:n])
		}
	}
}

func TestDestroyProxyFile_LeavesTheModeOfAnothersFile(t *testing.T) {
	dir := t.TempDir()
	link, target := filepath.Join(dir, "link"), writeFile(t, filepath.Join(dir, "thesis"), []byte("precious"), 0o400)
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	paths := []string{link}
	if os.Geteuid() == 0 {
		other := writeFile(t, filepath.Join(dir, "other"), []byte("precious"), 0o400)
		if err := os.Chown(other, 4711, 4711); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, other)
	}
	for _, path := range paths {
		var err error
		asAnyUser(t, func() { err = DestroyProxyFile(path) })
		info, statErr := os.Stat(path)
		if !errors.Is(err, errNotOwn) || statErr != nil || info.Mode().Perm() != 0o400 {
			t.Errorf("%s: %v; it is now %v, %v", filepath.Base(path), err, info, statErr)
		}
	}
}
