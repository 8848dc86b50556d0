package gsi

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// MarshalProxy writes a credential as proxy files hold it: the leaf, its key as
// [MarshalKey] writes it, then the chain.
func MarshalProxy(c *Credential) ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	key, err := MarshalKey(c.Key)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	for i, cert := range c.Chain {
		pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
		if i == 0 {
			out.Write(key)
		}
	}
	return out.Bytes(), nil
}

// WriteProxyFile writes a credential to path with mode 0600, all of it or
// nothing: to a new file beside it that then takes its place. What is there
// already must be a regular file of the user's own. The error says what to do.
func WriteProxyFile(path string, c *Credential) error {
	data, err := MarshalProxy(c)
	if err != nil {
		return err
	}
	if err := replaceFile(path, data); err != nil {
		return fmt.Errorf("gsi: write proxy %s: %w: %s", path, err, writeRemedy(err))
	}
	return nil
}

func replaceFile(path string, data []byte) (err error) {
	if err := replaceable(path); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	err = f.Chmod(0o600) // whatever the umask took away
	if err == nil {
		_, err = f.Write(data)
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// replaceable refuses to put a proxy in the place of what is not the user's file.
func replaceable(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return ownFile(info)
}

func writeRemedy(err error) string {
	switch {
	case errors.Is(err, errNotOwn):
		return "remove it, or name another file"
	case errors.Is(err, os.ErrNotExist):
		return "make the directory, or name another file"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		return "make room there, or name another file"
	}
	return "name a file in a directory that you may write"
}

// errNotOwn says that something is not a regular file of the user's own.
var errNotOwn = errors.New("what is there is not a file of your own")

func ownFile(info os.FileInfo) error {
	switch {
	case info.Mode()&os.ModeSymlink != 0:
		return fmt.Errorf("%w but a symbolic link", errNotOwn)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%w but no regular file at all", errNotOwn)
	}
	if uid := info.Sys().(*syscall.Stat_t).Uid; int(uid) != os.Geteuid() {
		return fmt.Errorf("%w: it belongs to uid %d, and this process to uid %d", errNotOwn, uid, os.Geteuid())
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// DestroyProxyFile overwrites a proxy file with zeros and removes it, as
// grid-proxy-destroy does. It refuses what is not a regular file of the user's
// own: a symbolic link, above all, or a file with another name besides.
func DestroyProxyFile(path string) error {
	if err := destroyFile(path); err != nil {
		return fmt.Errorf("gsi: destroy proxy %s: %w", path, err)
	}
	return nil
}

func destroyFile(path string) error {
	f, err := openToDestroy(path)
	if errors.Is(err, os.ErrPermission) {
		if err = makeWritable(path); err == nil {
			f, err = openToDestroy(path)
		}
	}
	if errors.Is(err, syscall.ELOOP) {
		return fmt.Errorf("%w but a symbolic link: name the file itself", errNotOwn)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := ownFile(info); err != nil {
		return err
	}
	if n := info.Sys().(*syscall.Stat_t).Nlink; n != 1 {
		return fmt.Errorf("it has %d names (hard links), and its contents would go from all of them: remove it with rm", n)
	}
	_, err = f.WriteAt(make([]byte, min(info.Size(), maxFile)), 0)
	return errors.Join(err, f.Sync(), os.Remove(path))
}

func openToDestroy(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_WRONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
}

// makeWritable lets the user write to a file of his own that is for reading only.
func makeWritable(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if err := ownFile(info); err != nil {
		return err
	}
	return os.Chmod(path, 0o600)
}
