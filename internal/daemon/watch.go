package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// settleTime is how long files must stay as they are before they are read: a CA update writes many.
	settleTime = 300 * time.Millisecond
	// lookTime is how often files are looked at without an event, for file systems that give none.
	lookTime = time.Minute
)

// watcher finds out when something that the config names has changed. Directories are watched and not files, so that a
// file that is replaced and a symbolic link that is swapped are seen (as in mounted ConfigMaps and secrets, where
// "..data" moves). An event only wakes it: whether something changed it sees by looking, for a proxy's directory may be
// /tmp, where much happens.
type watcher struct {
	notify *fsnotify.Watcher
	log    *slog.Logger
	every  time.Duration // between looks without an event

	dirs, files []string
	seen        map[string]string // what they were when last looked at, by path
	unsettled   bool              // they were different the time before
}

func newWatcher(log *slog.Logger) (*watcher, error) {
	n, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("daemon: files cannot be watched: %w", err)
	}
	return &watcher{notify: n, log: log, every: lookTime}, nil
}

// watch replaces what is watched.
func (w *watcher) watch(dirs, files []string) {
	w.dirs, w.files = dirs, files
	want := places(dirs, files)
	for _, dir := range w.notify.WatchList() {
		if !slices.Contains(want, dir) {
			w.notify.Remove(dir)
		}
	}
	for _, dir := range want { // also those that were there: the name may stand for another directory now
		if err := w.notify.Add(dir); err != nil {
			w.log.Warn("a directory cannot be watched: its changes are seen within a minute", "dir", dir, "err", err)
		}
	}
	// What was watched before keeps what was seen of it before it was read: a change since then is still to be read.
	seen := w.look()
	for path := range seen {
		if before, ok := w.seen[path]; ok {
			seen[path] = before
		}
	}
	w.seen = seen
}

// places are the directories to watch: those given, those that hold the files, and where symbolic links lead.
func places(dirs, files []string) []string {
	list := slices.Clone(dirs)
	for _, f := range files {
		list = append(list, filepath.Dir(f))
	}
	for _, path := range slices.Concat(dirs, files) {
		if real, err := filepath.EvalSymlinks(path); err == nil && real != path {
			list = append(list, filepath.Dir(path), filepath.Dir(real))
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// look says what the files and directories are, in words that change when they do.
func (w *watcher) look() map[string]string {
	seen := map[string]string{}
	for _, f := range w.files {
		seen[f] = stamp(f)
	}
	for _, dir := range w.dirs {
		entries, err := os.ReadDir(dir)
		var b strings.Builder
		fmt.Fprintln(&b, err)
		for _, e := range entries {
			fmt.Fprintln(&b, e.Name(), stamp(filepath.Join(dir, e.Name())))
		}
		seen[dir] = b.String()
	}
	return seen
}

func stamp(path string) string {
	real, _ := filepath.EvalSymlinks(path)
	info, err := os.Stat(path)
	if err != nil {
		return real + " unreadable"
	}
	return fmt.Sprintln(real, info.Size(), info.Mode(), info.ModTime().UnixNano())
}

// changed says whether the files changed and are at rest again.
func (w *watcher) changed() (yes, again bool) {
	now := w.look()
	if !maps.Equal(now, w.seen) {
		w.seen, w.unsettled = now, true
		return false, true
	}
	yes, w.unsettled = w.unsettled, false
	return yes, false
}

// run calls reload on each signal and after each burst of changes, until ctx ends.
func (w *watcher) run(ctx context.Context, hangUps <-chan os.Signal, reload func()) {
	defer w.notify.Close()
	awake := false // something happened, and has not been looked at
	soon := time.After(w.every)
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangUps:
			w.seen = w.look()
			reload()
		case <-w.notify.Events:
			if !awake {
				awake = true
				soon = time.After(settleTime)
			}
		case err := <-w.notify.Errors: // an overflow: something changed, and it is not known what
			w.log.Warn("watching files", "err", err)
			awake, soon = true, time.After(settleTime)
		case <-soon:
			yes, again := w.changed()
			if yes {
				reload()
			}
			if awake = again; again {
				soon = time.After(settleTime)
			} else {
				soon = time.After(w.every)
			}
		}
	}
}
