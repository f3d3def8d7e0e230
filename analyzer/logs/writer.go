package logs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/goccy/go-json"
	"github.com/gofrs/flock"
)

// An Output is the destination of all rows: one stream, or a folder with a file per log. Each
// worker has its own [Writer] to it. Its methods may be called from any goroutine, even after
// Close: then Reopen and Rotate do nothing, Close returns the first error again, and rows that a
// Writer flushes are lost, which counts as a write error.
type Output struct {
	stream io.Writer // nil if rows go to dir
	dir    string
	lock   *flock.Flock // of dir
	failed func(error)  // called once, by the goroutine that met the error

	mu     sync.Mutex
	files  map[string]*os.File
	begun  time.Time // when the files that are open were begun; names what [Output.Rotate] puts aside
	closed bool
	err    error // the first write error: nothing is written after it

	statsMu sync.Mutex // never held during a write
	stats   OutputStats
}

// NewOutput returns an Output that writes all rows to w. failed, which may be nil, is called at the
// first error.
func NewOutput(w io.Writer, failed func(error)) *Output {
	return &Output{stream: w, failed: failed, stats: newOutputStats()}
}

// NewDir returns an Output that writes a file for each log, such as conn.log, in the folder dir,
// which it makes. Logs that are there already, because the process that wrote them was killed or
// has ended, are put aside under names with the time when they were last written, such as
// conn.20060102T150405.000Z.log; a last row that was not written as a whole is cut off. No file
// with rows in it is ever replaced. It is an error if another process has an Output to dir. failed,
// which may be nil, is called at the first write error.
func NewDir(dir string, failed func(error)) (*Output, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return nil, err
	}
	if err := putAsideLeftovers(dir); err != nil {
		return nil, errors.Join(err, lock.Unlock())
	}
	return &Output{dir: dir, lock: lock, failed: failed, files: make(map[string]*os.File), begun: time.Now(), stats: newOutputStats()}, nil
}

// write writes whole lines of the log named path, and reports whether it could.
func (o *Output) write(path string, lines []byte) bool {
	return o.do(&o.stats.WriteErrors, func() error {
		if o.closed {
			return os.ErrClosed
		}
		if o.stream != nil {
			_, err := o.stream.Write(lines)
			return err
		}
		f := o.files[path]
		if f == nil {
			var err error
			if f, err = o.begin(path); err != nil {
				return err
			}
			o.files[path] = f
		}
		_, err := f.Write(lines)
		return err
	})
}

func (o *Output) name(path string) string { return filepath.Join(o.dir, path+suffix) }

// begin creates the file of the log named path. If one is there already that is not empty, another
// program has written it, and it is put aside.
func (o *Output) begin(path string) (*os.File, error) {
	name := o.name(path)
	if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() && info.Size() > 0 {
		if err := putAside(name, info.ModTime()); err != nil {
			return nil, err
		}
	}
	return appendTo(name)
}

// appendTo opens the file name, which it creates if need be, to write to its end.
func appendTo(name string) (*os.File, error) {
	return os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o666)
}

// do calls f under the lock, unless there was an error before. It records an error of f in o.err,
// and counts it in errors, a field of o.stats. It reports whether there was none.
func (o *Output) do(errors *uint64, f func() error) bool {
	o.mu.Lock()
	first := false
	if o.err == nil {
		if err := f(); err != nil {
			o.err, first = fmt.Errorf("writing logs: %w", err), true
		}
	}
	err := o.err
	o.mu.Unlock()
	if first {
		o.count(func(stats *OutputStats) {
			*errors++
			stats.Err = err
		})
		if o.failed != nil {
			o.failed(err)
		}
	}
	return err == nil
}

// Reopen opens the files in the folder again, by name: a file that was moved away in the meantime,
// as logrotate does, is created again, and one that is still there is continued. It does nothing to
// a stream.
func (o *Output) Reopen() {
	o.do(&o.stats.RotationErrors, func() error {
		for path, f := range o.files {
			err := f.Close()
			if err == nil {
				o.files[path], err = appendTo(o.name(path))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Rotate puts the files in the folder aside under names with the time when they were begun, such as
// conn.20060102T150405.000Z.log, and begins new ones, even if a file was moved away or removed in
// the meantime. It does nothing to a stream.
func (o *Output) Rotate() {
	o.do(&o.stats.RotationErrors, func() error {
		begun := o.begun
		o.begun = time.Now()
		for path, f := range o.files {
			delete(o.files, path)
			if err := f.Close(); err != nil {
				return err
			}
			if err := putAside(o.name(path), begun); err != nil {
				return err
			}
			o.count(func(stats *OutputStats) { stats.Rotations++ })
		}
		return nil
	})
}

// Close closes the files and returns the first write error. All Writers must be flushed before.
func (o *Output) Close() error {
	o.do(&o.stats.WriteErrors, func() error {
		var err error
		for path, f := range o.files {
			delete(o.files, path)
			err = errors.Join(err, f.Close())
		}
		return err
	})
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, f := range o.files { // that are left after an error, which is the one to return
		_ = f.Close()
	}
	clear(o.files)
	if o.lock != nil {
		_ = o.lock.Unlock() // the end of the process releases it, too
	}
	o.closed = true
	return o.err
}

// OutputStats holds the counters of an [Output].
type OutputStats struct {
	Rows                        map[string]uint64 // that were written, by log
	Rotations                   uint64            // files that [Output.Rotate] has ended
	WriteErrors, RotationErrors uint64            // the second of Rotate and [Output.Reopen]
	WriteTime                   time.Duration     // that Writers spent writing, or waiting to write
	// Err is the first of these errors: nothing is written after it.
	Err error
}

func newOutputStats() OutputStats { return OutputStats{Rows: make(map[string]uint64)} }

// Stats returns what was counted so far. It does not wait for a write that takes long.
func (o *Output) Stats() OutputStats {
	o.statsMu.Lock()
	defer o.statsMu.Unlock()
	stats := o.stats
	stats.Rows = maps.Clone(o.stats.Rows)
	return stats
}

// count lets f change the counters.
func (o *Output) count(f func(*OutputStats)) {
	o.statsMu.Lock()
	defer o.statsMu.Unlock()
	f(&o.stats)
}

// A Writer encodes one worker's rows. It buffers them, so that workers contend for the Output only
// once per few hundred rows.
type Writer struct {
	out  *Output
	logs map[string]*pending
}

// pending describes the rows of a log that are still to be written.
type pending struct {
	rows   int
	buffer *buffer // if the Output is a stream, that of all logs: the rows keep their order
}

// A buffer gathers the lines of one file.
type buffer struct {
	bytes.Buffer
	path string
	// enc encodes to the buffer. It takes half the time of encoding/json (BenchmarkWrite) for the same
	// output (FuzzRows).
	enc *json.Encoder
}

// NewWriter returns a Writer to out. It belongs to one goroutine.
func NewWriter(out *Output) *Writer {
	return &Writer{out: out, logs: make(map[string]*pending)}
}

// An Appender is a row that writes itself, without its newline. conn.log, which has a row for every
// connection, needs the speed.
type Appender interface {
	AppendJSON(b []byte) []byte
}

// flushSize is how many bytes a Writer buffers before it writes them.
const flushSize = 64 << 10

// Write writes row, a struct with json tags or an Appender, to the log that it names. It panics if
// row cannot be encoded, which is a bug of the caller.
func (w *Writer) Write(row Row) {
	path := row.LogName()
	l := w.logs[path]
	if l == nil {
		l = w.newLog(strings.Clone(path))
	}
	b := l.buffer
	if a, ok := row.(Appender); ok {
		b.Write(append(a.AppendJSON(b.AvailableBuffer()), '\n'))
	} else if err := b.enc.Encode(row); err != nil {
		panic("logs: a row of " + path + " is not JSON: " + err.Error())
	}
	l.rows++
	if b.Len() >= flushSize {
		w.flush(b)
	}
}

func (w *Writer) newLog(path string) *pending {
	l := new(pending)
	if w.out.stream != nil {
		for _, other := range w.logs {
			l.buffer = other.buffer
		}
	}
	if l.buffer == nil {
		l.buffer = &buffer{path: path}
		l.buffer.enc = json.NewEncoder(l.buffer)
		l.buffer.enc.SetEscapeHTML(false)
	}
	w.logs[path] = l
	return l
}

// Flush writes all buffered rows.
func (w *Writer) Flush() {
	for _, l := range w.logs {
		w.flush(l.buffer)
	}
}

// flush writes the bytes in b.
func (w *Writer) flush(b *buffer) {
	if b.Len() == 0 {
		return
	}
	start := time.Now()
	written := w.out.write(b.path, b.Bytes())
	took := time.Since(start)
	b.Reset()
	w.out.count(func(stats *OutputStats) {
		stats.WriteTime += took
		for path, l := range w.logs {
			if l.buffer == b && l.rows > 0 {
				if written {
					stats.Rows[path] += uint64(l.rows)
				}
				l.rows = 0
			}
		}
	})
}
