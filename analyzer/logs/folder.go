package logs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// suffix ends the name of every log's file.
const suffix = ".log"

// lockFolder takes the lock on dir that keeps two processes from renaming each other's files. The
// kernel releases it when the process dies, however it dies. Where directories cannot be locked
// (Windows, some network file systems) there is no lock, and no error.
func lockFolder(dir string) (*flock.Flock, error) {
	lock := flock.New(dir, flock.SetFlag(os.O_RDONLY))
	if locked, err := lock.TryLock(); err == nil && !locked {
		return nil, fmt.Errorf("folder %s: another process is writing its logs there", dir)
	}
	return lock, nil
}

// putAsideLeftovers puts aside the logs that an earlier process left in dir, so that all files that
// have a log's plain name are from one run. Files that merely end in .log are not touched: they do
// not begin with a row of the log that their name says.
func putAsideLeftovers(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path, ok := strings.CutSuffix(e.Name(), suffix)
		if !ok || !e.Type().IsRegular() || strings.Contains(path, ".") {
			continue
		}
		name := filepath.Join(dir, e.Name())
		ours, err := beginsWithRow(name, path)
		if err != nil {
			return err
		}
		if ours {
			if err := putLeftoverAside(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// beginsWithRow reports whether the first line of the file name is, as far as it was written, a row
// of the log named path.
func beginsWithRow(name, path string) (bool, error) {
	f, err := os.Open(name)
	if err != nil {
		return false, err
	}
	defer f.Close()
	const start = `{"_path":"`
	want := []byte(start + path + `"`)
	got := make([]byte, len(want))
	n, err := io.ReadFull(f, got)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return false, err
	}
	return n >= len(start) && bytes.Equal(got[:n], want[:n]), nil
}

// putLeftoverAside puts the file name aside under the time when it was last written, since the time
// when it was begun is unknown. If the process that wrote it was killed while it wrote a row, the
// part of it that is there is cut off, since no reader could make sense of it.
func putLeftoverAside(name string) error {
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	if err := cutTornRow(name, info.Size()); err != nil {
		return err
	}
	return putAside(name, info.ModTime())
}

// cutTornRow truncates a file of size bytes after its last newline.
func cutTornRow(name string, size int64) error {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	var b [4096]byte
	for end := size; end > 0; {
		start := max(end-int64(len(b)), 0)
		part := b[:end-start]
		if _, err := f.ReadAt(part, start); err != nil {
			return err
		}
		if i := bytes.LastIndexByte(part, '\n'); i >= 0 {
			if whole := start + int64(i) + 1; whole < size {
				return f.Truncate(whole)
			}
			return nil
		}
		end = start
	}
	return f.Truncate(0)
}

// putAside renames the file name, such as conn.log, to one with the time t in it, such as
// conn.20060102T150405.000Z.log, or conn.20060102T150405.000Z.1.log if that is taken: it replaces
// no file. If name is gone, another program has moved or removed it, and putAside does nothing.
func putAside(name string, t time.Time) error {
	base := strings.TrimSuffix(name, suffix) + t.UTC().Format(".20060102T150405.000Z")
	aside := base + suffix
	for n := 1; ; n++ {
		_, err := os.Lstat(aside)
		if errors.Is(err, fs.ErrNotExist) {
			err = os.Rename(name, aside)
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		}
		if err != nil {
			return err
		}
		aside = fmt.Sprintf("%s.%d%s", base, n, suffix)
	}
}
