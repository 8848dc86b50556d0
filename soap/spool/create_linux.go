package spool

import (
	"os"

	"golang.org/x/sys/unix"
)

// createFile makes a file that never has a name (open(2), O_TMPFILE; with O_EXCL it can never be given one).
func createFile(dir string) (*os.File, error) {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_EXCL|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return createNamed(dir)
	}
	return os.NewFile(uintptr(fd), dir+"/(spool)"), nil
}

// InMemory reports whether a directory lies in memory, where spooling saves none.
func InMemory(dir string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(dir, &fs) == nil && (fs.Type == unix.TMPFS_MAGIC || fs.Type == unix.RAMFS_MAGIC)
}
