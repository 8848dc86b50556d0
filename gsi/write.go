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

// MarshalProxy writes a credential as proxy files hold it: the leaf, its key in
// PKCS#1 (GT4 reads no other) or SEC 1, then the chain.
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
// nothing: to a new file beside it that then takes its place.
func WriteProxyFile(path string, c *Credential) (err error) {
	data, err := MarshalProxy(c)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return fmt.Errorf("gsi: write proxy: %w", err)
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("gsi: write proxy: %w", err)
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("gsi: write proxy: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("gsi: write proxy: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("gsi: write proxy: %w", err)
	}
	return nil
}

// DestroyProxyFile overwrites a proxy file with zeros and removes it, as
// grid-proxy-destroy does. It refuses what is not a regular file of the user's
// own: a symbolic link, above all.
func DestroyProxyFile(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ELOOP) {
		return fmt.Errorf("gsi: destroy proxy: %s is a symbolic link: name the file itself", path)
	}
	if err != nil {
		return fmt.Errorf("gsi: destroy proxy: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("gsi: destroy proxy: %w", err)
	}
	if err := ownFile(info); err != nil {
		return fmt.Errorf("gsi: destroy proxy: %s: %w", path, err)
	}
	_, err = f.WriteAt(make([]byte, min(info.Size(), maxFile)), 0)
	if err = errors.Join(err, f.Sync(), os.Remove(path)); err != nil {
		return fmt.Errorf("gsi: destroy proxy: %w", err)
	}
	return nil
}

func ownFile(info os.FileInfo) error {
	if !info.Mode().IsRegular() {
		return errors.New("it is not a regular file")
	}
	if uid := info.Sys().(*syscall.Stat_t).Uid; int(uid) != os.Geteuid() {
		return fmt.Errorf("it belongs to uid %d, not to the user of this process (uid %d)", uid, os.Geteuid())
	}
	return nil
}
