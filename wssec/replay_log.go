package wssec

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// replayLog is the file of a ReplayFile: a header, then records in the order in which they came. They are written in
// batches, and a batch is on the disk before the next is begun, so that only the last can be found torn.
type replayLog struct {
	dir        *os.File // its lock is the lock of everything in it: a file for that could be deleted
	file       *os.File
	hash       idHasher
	generation uint64 // of the header
	forgotten  spans  // of the header
	records    int
	broken     error // what cannot be put right without opening it again
	disk       replayDisk
}

// replayDisk is what of a disk can fail: it is full, or goes away.
type replayDisk struct {
	writeAt func(f *os.File, b []byte, at int64) (int, error)
	sync    func(f *os.File) error
}

// replayRecord is 32 bytes: key, seen and until (big-endian seconds, 4 bytes each), its place in the batch (4), a
// checksum (4) over all that and its place in the file.
type replayRecord struct {
	key         hashedID
	seen, until uint32
}

const (
	replayName   = "replay"
	replayMagic  = "gsigwRM1"
	recordSize   = 32
	replayHeader = 1024 // magic (8), secret (32), spans (4 and 8 each), zeros, generation (8), checksum (4)
	replayBatch  = 128  // records in one write
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errDamaged = errors.New("the file replay is damaged: every message is refused until it is moved away; " +
	"messages that were seen can then come again until they are too old")

// open opens the directory, and makes it if it is missing. One that others may enter is refused, unless it is empty.
func (l *replayLog) open(dir string) (err error) {
	dir = filepath.Clean(dir)
	if err := l.mkdir(dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	l.dir, err = os.OpenFile(dir, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_DIRECTORY, 0)
	if errors.Is(err, syscall.ELOOP) || errors.Is(err, syscall.ENOTDIR) {
		return errors.New("it is no directory, or a symbolic link to one: name the directory itself")
	}
	if err != nil {
		return err
	}
	if err := errors.Join(l.claim(), private(l.dir, 0o700, os.Geteuid())); err != nil {
		l.dir.Close()
		return err
	}
	return nil
}

// mkdir makes a directory that a power cut does not take away.
func (l *replayLog) mkdir(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	parent, err := os.Open(filepath.Dir(dir))
	if err != nil {
		return err
	}
	defer parent.Close()
	return l.disk.sync(parent)
}

// claim closes a directory to others in which there is nothing yet.
func (l *replayLog) claim() error {
	if names, err := l.dir.ReadDir(1); len(names) > 0 || err != io.EOF {
		return nil
	}
	return l.dir.Chmod(0o700)
}

// private refuses what others than a uid may read or write, or own.
func private(f *os.File, mode fs.FileMode, uid int) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	owner := info.Sys().(*syscall.Stat_t).Uid
	switch {
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("others have access to %s, with mode %04o: chmod it to %04o", f.Name(), info.Mode().Perm(), mode)
	case int(owner) != uid:
		return fmt.Errorf("%s belongs to uid %d, and this is uid %d", f.Name(), owner, uid)
	}
	return nil
}

func (l *replayLog) close() error {
	var err error
	for _, f := range []*os.File{l.file, l.dir} {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
	}
	return err
}

// lock waits until no other process has the directory.
func (l *replayLog) lock(ctx context.Context) (unlock func(), err error) {
	if l.broken != nil {
		return nil, l.broken
	}
	fd := int(l.dir.Fd())
	for pause := time.Millisecond; ; pause = min(2*pause, 20*time.Millisecond) {
		err := syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { syscall.Flock(fd, syscall.LOCK_UN) }, nil
		}
		if err != syscall.EWOULDBLOCK && err != syscall.EINTR {
			return nil, fmt.Errorf("locking it: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("another process has it locked: %w", ctx.Err())
		case <-time.After(pause):
		}
	}
}

func (l *replayLog) path() string { return filepath.Join(l.dir.Name(), replayName) }

// read gives the records that are new to us, after a repair where it is needed; anew says that there are no others. It
// gives each once: those beside an error too are to be taken in.
func (l *replayLog) read() (fresh []replayRecord, anew bool, err error) {
	if anew, err = l.reopen(); err != nil {
		return nil, false, err
	}
	raw, err := l.unread()
	if err != nil {
		return nil, anew, err
	}
	good, torn, err := l.parse(raw)
	if err != nil {
		return nil, anew, l.fail(err)
	}
	l.records += len(good)
	if len(good)*recordSize == len(raw) {
		return good, anew, nil
	}
	if err := l.file.Truncate(l.end()); err != nil {
		return good, anew, err
	}
	return append(good, torn...), anew, l.append(torn)
}

// unread gives what stands behind the records that were read.
func (l *replayLog) unread() ([]byte, error) {
	info, err := l.file.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() < l.end() {
		return nil, l.fail(errDamaged)
	}
	raw := make([]byte, info.Size()-l.end())
	_, err = l.file.ReadAt(raw, l.end())
	return raw, err
}

// end is where the next record goes.
func (l *replayLog) end() int64 { return replayHeader + int64(l.records)*recordSize }

// fail is for what cannot be put right.
func (l *replayLog) fail(err error) error {
	l.broken = err
	return err
}

// reopen opens the file, or the one that has taken its place; anew says that it did.
func (l *replayLog) reopen() (anew bool, err error) {
	if l.file != nil {
		now, err := os.Lstat(l.path())
		if err != nil {
			return false, l.fail(fmt.Errorf("the file is gone that was in use: %w", err))
		}
		if was, err := l.file.Stat(); err != nil || os.SameFile(was, now) {
			return false, err
		}
	}
	f, err := os.OpenFile(l.path(), os.O_RDWR|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return true, l.create()
	}
	if errors.Is(err, syscall.ELOOP) {
		return false, fmt.Errorf("%s is a symbolic link, which is not followed", l.path())
	}
	if err != nil {
		return false, err
	}
	if err := l.take(f); err != nil {
		f.Close()
		return false, err
	}
	return true, nil
}

// take goes on with a file: one that was made of the one before it, where there was one.
func (l *replayLog) take(f *os.File) error {
	if err := private(f, 0o600, os.Geteuid()); err != nil {
		return err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return errors.Join(fmt.Errorf("%s is no file", f.Name()), err)
	}
	header := make([]byte, replayHeader)
	if _, err := io.ReadFull(io.NewSectionReader(f, 0, replayHeader), header); err != nil {
		return errors.Join(errDamaged, err)
	}
	hash, generation, forgotten, ok := parseReplayHeader(header)
	switch {
	case !ok:
		return errDamaged
	case l.file == nil:
		l.hash = hash
	case hash != l.hash:
		return l.fail(errors.New("another file was put where the one in use was"))
	case generation <= l.generation:
		return l.fail(errors.New("an older copy of the file was put where the one in use was"))
	default:
		l.file.Close()
	}
	l.file, l.generation, l.forgotten, l.records = f, generation, forgotten, 0
	return nil
}

// create makes a first file.
func (l *replayLog) create() error {
	rand.Read(l.hash[:])
	return l.rewrite(nil, nil)
}

// rewrite puts a file of these records, of the next generation, in the place of the one that is.
func (l *replayLog) rewrite(records []replayRecord, forgotten spans) error {
	temp := l.path() + ".new"
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	b := replayHeaderOf(l.hash, l.generation+1, forgotten)
	for i, r := range records {
		b = append(b, r.marshal(i, 0)...)
	}
	_, err = l.disk.writeAt(f, b, 0)
	if err = errors.Join(err, l.disk.sync(f)); err == nil {
		err = os.Rename(temp, l.path())
	}
	if err != nil {
		return errors.Join(err, f.Close(), os.Remove(temp)) // which may be all the room there is
	}
	if l.file != nil {
		l.file.Close()
	}
	l.file, l.forgotten, l.records = f, forgotten, len(records)
	l.generation++
	if err := l.disk.sync(l.dir); err != nil {
		return l.fail(err)
	}
	return nil
}

// append writes a batch, and returns when it is on the disk.
func (l *replayLog) append(batch []replayRecord) error {
	if len(batch) == 0 {
		return nil
	}
	var b []byte
	for i, r := range batch {
		b = append(b, r.marshal(l.records+i, i)...)
	}
	if _, err := l.disk.writeAt(l.file, b, l.end()); err != nil {
		return l.undo(err)
	}
	if err := l.disk.sync(l.file); err != nil {
		return l.fail(l.undo(err)) // nobody knows what is on the disk, and a second sync would not say
	}
	l.records += len(batch)
	return nil
}

// undo takes back a batch that could not be written, so that the next one takes its place.
func (l *replayLog) undo(err error) error {
	if undone := l.file.Truncate(l.end()); undone != nil {
		return l.fail(errors.Join(err, undone))
	}
	return err
}

// parse reads records up to the first that is missing. What follows it must be of the batch that it is of, the last:
// then nobody was answered for it, and those of it that are there are given as torn. Anything else is damage.
func (l *replayLog) parse(raw []byte) (good, torn []replayRecord, err error) {
	for i := 0; i < len(raw); i += recordSize {
		r, batch, ok := parseReplayRecord(raw[i:], l.records+i/recordSize)
		switch bad := i/recordSize - len(good); {
		case !ok && !isMissing(raw[i:]) || bad >= replayBatch:
			return nil, nil, errDamaged
		case !ok:
		case bad == 0:
			good = append(good, r)
		case batch < bad: // its batch was begun behind the one that is missing
			return nil, nil, errDamaged
		default:
			torn = append(torn, r)
		}
	}
	return good, torn, nil
}

// isMissing reports whether a record was not written: the file ends in it, or has zeros for it as file systems give for
// sectors that were not reached. No record lies across two sectors.
func isMissing(b []byte) bool {
	return len(b) < recordSize || bytes.Equal(b[:recordSize], make([]byte, recordSize))
}

func (r replayRecord) marshal(place, batch int) []byte {
	b := make([]byte, 0, recordSize)
	b = append(b, r.key[:]...)
	b = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, r.seen), r.until)
	b = binary.BigEndian.AppendUint32(b, uint32(batch))
	return binary.BigEndian.AppendUint32(b, recordSum(b, place))
}

func recordSum(b []byte, place int) uint32 {
	return crc32.Update(crc32.Checksum(b, castagnoli), castagnoli, binary.BigEndian.AppendUint64(nil, uint64(place)))
}

func parseReplayRecord(b []byte, place int) (r replayRecord, batch int, ok bool) {
	if len(b) < recordSize {
		return r, 0, false
	}
	r = replayRecord{hashedID(b[:16]), binary.BigEndian.Uint32(b[16:]), binary.BigEndian.Uint32(b[20:])}
	ok = binary.BigEndian.Uint32(b[28:]) == recordSum(b[:28], place) && r.until != 0
	return r, int(binary.BigEndian.Uint32(b[24:])), ok
}

func replayHeaderOf(hash idHasher, generation uint64, forgotten spans) []byte {
	b := append([]byte(replayMagic), hash[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(forgotten)))
	for _, s := range forgotten {
		b = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, s.First), s.Last)
	}
	b = append(b, make([]byte, replayHeader-12-len(b))...)
	b = binary.BigEndian.AppendUint64(b, generation)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func parseReplayHeader(b []byte) (hash idHasher, generation uint64, forgotten spans, ok bool) {
	body := b[:replayHeader-4]
	n := binary.BigEndian.Uint32(b[40:])
	if string(b[:8]) != replayMagic || binary.BigEndian.Uint32(b[len(body):]) != crc32.Checksum(body, castagnoli) || n > maxSpans {
		return hash, 0, nil, false
	}
	for i := range n {
		at := b[44+8*i:]
		forgotten = append(forgotten, span{binary.BigEndian.Uint32(at), binary.BigEndian.Uint32(at[4:])})
	}
	return idHasher(b[8:40]), binary.BigEndian.Uint64(b[replayHeader-12:]), forgotten, true
}
