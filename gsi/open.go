package gsi

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// maxFile bounds what is read of a credential file.
const maxFile = 1 << 20

// readFile reads a credential file. Owner and mode are those of the open file,
// so that nothing changes between the look and the read. A symbolic link is not
// followed out of a directory where anyone may put one.
func readFile(path string, secret bool, o FileOptions) ([]byte, fileStamp, error) {
	flags := os.O_RDONLY | syscall.O_NONBLOCK // a FIFO must not hold us up
	if !o.AllowGroupRead && inSharedDir(path) {
		flags |= syscall.O_NOFOLLOW
	}
	f, err := os.OpenFile(path, flags, 0)
	if errors.Is(err, syscall.ELOOP) {
		return nil, fileStamp{}, errors.New("it is a symbolic link in a directory that anyone may write: put the file itself there")
	}
	if err != nil {
		return nil, fileStamp{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fileStamp{}, err
	}
	if !info.Mode().IsRegular() {
		return nil, fileStamp{}, errors.New("it is not a regular file")
	}
	if secret {
		if err := checkOwner(info.Sys().(*syscall.Stat_t).Uid, os.Geteuid()); err != nil {
			return nil, fileStamp{}, err
		}
		if err := checkMode(info.Mode(), o.AllowGroupRead); err != nil {
			return nil, fileStamp{}, err
		}
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("it is larger than %d bytes", maxFile)
	}
	return data, stampOf(info), err
}

func checkOwner(owner uint32, euid int) error {
	if owner != 0 && int(owner) != euid {
		return fmt.Errorf("it belongs to uid %d: a key must belong to the user of this process (uid %d) or root", owner, euid)
	}
	return nil
}

func checkMode(mode os.FileMode, allowGroupRead bool) error {
	switch perm := mode.Perm(); {
	case perm&0o077 == 0, allowGroupRead && perm&0o037 == 0:
		return nil
	case allowGroupRead:
		return fmt.Errorf("its mode is %04o: others may not read it, nor the group write it: chmod 0640", perm)
	default:
		return fmt.Errorf("its mode is %04o: nobody but its owner may read a key: chmod 0600", perm)
	}
}

// inSharedDir says whether the directory of path is one like /tmp.
func inSharedDir(path string) bool {
	info, err := os.Stat(filepath.Dir(path))
	return err == nil && info.Mode().Perm()&0o002 != 0
}

// fileStamp tells one state of a file from the next.
type fileStamp struct {
	dev, inode uint64
	size       int64
	mtime      int64
	mode       os.FileMode
	uid        uint32
}

func stampOf(info os.FileInfo) fileStamp {
	st := info.Sys().(*syscall.Stat_t)
	return fileStamp{uint64(st.Dev), st.Ino, info.Size(), info.ModTime().UnixNano(), info.Mode(), st.Uid}
}
